//! Masking as the gateway has it: one column and one field by their names, and the detectors.

use std::sync::LazyLock;

use bailiwick_action::{FieldPath, Input, Pin, Resource};
use bailiwick_mask::{Detectors, WHOLE};
use bailiwick_wire::{Masked, Veil};

/// Masks `public.tickets.email`, and `email` in JSON. Everything is granted.
pub(crate) struct TestVeil(pub(crate) &'static Detectors);

/// The detectors, made once.
pub(crate) fn detectors() -> &'static Detectors {
    static DETECTORS: std::sync::OnceLock<Detectors> = std::sync::OnceLock::new();
    DETECTORS.get_or_init(Detectors::new)
}

/// Where a condition looks.
pub(crate) fn visibility() -> Input {
    Input::Field(FieldPath::parse("$.visibility").expect("a path"))
}

impl Veil for TestVeil {
    fn masked(&self) -> Vec<Masked> {
        vec![Masked {
            schema: "public".into(),
            table: "tickets".into(),
            column: "email".into(),
            lookup: false,
        }]
    }

    fn fields(&self) -> &[FieldPath] {
        static FIELDS: LazyLock<Vec<FieldPath>> =
            LazyLock::new(|| vec![FieldPath::parse("$..email").expect("a path")]);
        &FIELDS
    }

    fn inputs(&self) -> &[Input] {
        static INPUTS: LazyLock<Vec<Input>> = LazyLock::new(|| vec![visibility()]);
        &INPUTS
    }

    fn covers(&self, _: &Resource) -> bool {
        true
    }

    fn pin(&self, _: &str) -> Pin {
        Pin::Unpinned
    }

    fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        let rewritten = self.0.rewrite(text)?;
        Some((rewritten.bytes, rewritten.count))
    }

    fn rewrite_start(&self, text: &[u8]) -> (usize, Option<(Vec<u8>, u64)>) {
        let (settled, rewritten) = self.0.rewrite_start(text);
        let rewritten = rewritten.map(|rewritten| (rewritten.bytes, rewritten.count));
        (settled, rewritten)
    }

    fn placeholder(&self) -> &'static str {
        WHOLE
    }

    fn has_placeholder(&self, bytes: &[u8]) -> bool {
        Detectors::has_placeholder(bytes)
    }
}
