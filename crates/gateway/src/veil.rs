//! Masking for one session: the columns that the run's scope masks, and the detectors for the rest.

use std::sync::Arc;

use bailiwick_mask::{Detectors, WHOLE};
use bailiwick_policy::{Mask, Scope};
use bailiwick_wire::Masked;

/// What `wire` asks while it reads results.
pub(crate) struct Veil {
    target: String,
    /// Nothing where no agent is there to see anything.
    scope: Option<Arc<Scope>>,
    detectors: Arc<Detectors>,
}

impl Veil {
    /// For a session of a run of this scope.
    pub(crate) fn new(target: &str, scope: Arc<Scope>, detectors: Arc<Detectors>) -> Self {
        Self {
            target: target.to_owned(),
            scope: Some(scope),
            detectors,
        }
    }

    /// For a session of the gateway's own, in which no call goes through.
    pub(crate) fn of_nobody(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            scope: None,
            detectors: Arc::default(),
        }
    }
}

impl bailiwick_wire::Veil for Veil {
    fn masked(&self) -> Vec<Masked> {
        let scope = self.scope.iter();
        let masks = scope.flat_map(|scope| scope.masks(&self.target));
        let masked = |mask: &Mask| Masked {
            schema: mask.column.schema.clone(),
            table: mask.column.table.clone(),
            column: mask.column.name.clone(),
            lookup: mask.lookup,
        };
        masks.map(masked).collect()
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
