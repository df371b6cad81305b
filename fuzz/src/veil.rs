//! Masking as the gateway has it: one column by its name, and the detectors.

use bailiwick_mask::{Detectors, WHOLE};
use bailiwick_wire::Veil;

/// Masks `public.tickets.email`.
pub(crate) struct TestVeil(pub(crate) &'static Detectors);

/// The detectors, made once.
pub(crate) fn detectors() -> &'static Detectors {
    static DETECTORS: std::sync::OnceLock<Detectors> = std::sync::OnceLock::new();
    DETECTORS.get_or_init(Detectors::new)
}

impl Veil for TestVeil {
    fn masks(&self, schema: &str, table: &str, column: &str) -> bool {
        (schema, table, column) == ("public", "tickets", "email")
    }

    fn masks_any(&self, schema: &str, table: &str) -> bool {
        (schema, table) == ("public", "tickets")
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
