//! Masking as the gateway has it: one column by its name, and the detectors.

use bailiwick_mask::{Detectors, WHOLE};
use bailiwick_wire::{Masked, Veil};

/// Masks `public.tickets.email`.
pub(crate) struct TestVeil(pub(crate) &'static Detectors);

/// The detectors, made once.
pub(crate) fn detectors() -> &'static Detectors {
    static DETECTORS: std::sync::OnceLock<Detectors> = std::sync::OnceLock::new();
    DETECTORS.get_or_init(Detectors::new)
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

    fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        let rewritten = self.0.rewrite(text)?;
        Some((rewritten.bytes, rewritten.count))
    }

    fn placeholder(&self) -> &'static str {
        WHOLE
    }

    fn has_placeholder(&self, bytes: &[u8]) -> bool {
        Detectors::has_placeholder(bytes)
    }
}
