//! Masking for one session: the columns that the run's scope masks, and the detectors for the rest.

use std::sync::Arc;

use bailiwick_mask::{Detectors, WHOLE};
use bailiwick_policy::Scope;

/// What `wire` asks while it reads results.
pub(crate) struct Veil {
    pub(crate) target: String,
    pub(crate) scope: Arc<Scope>,
    pub(crate) detectors: Arc<Detectors>,
}

impl bailiwick_wire::Veil for Veil {
    fn masks(&self, schema: &str, table: &str, column: &str) -> bool {
        let name = (format!("{schema}.{table}"), column.to_owned());
        self.scope.masked(&self.target).contains(&name)
    }

    fn masks_any(&self, schema: &str, table: &str) -> bool {
        let table = format!("{schema}.{table}");
        let masked = self.scope.masked(&self.target);
        masked.iter().any(|(name, _)| *name == table)
    }

    fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        let rewritten = self.detectors.rewrite(text)?;
        Some((rewritten.bytes, rewritten.count))
    }

    fn placeholder(&self) -> &'static str {
        WHOLE
    }

    fn has_placeholder(&self, bytes: &[u8]) -> bool {
        Detectors::has_placeholder(bytes)
    }
}
