//! Masking for one session: the columns that the run's scope masks, and the detectors for the rest.

use std::sync::Arc;

use bailiwick_mask::{Detectors, WHOLE};
use bailiwick_policy::Scope;

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

    fn masked(&self) -> impl Iterator<Item = &(String, String)> {
        let scope = self.scope.iter();
        scope.flat_map(|scope| scope.masked(&self.target))
    }
}

impl bailiwick_wire::Veil for Veil {
    fn masks(&self, schema: &str, table: &str, column: &str) -> bool {
        self.masked()
            .any(|(of, name)| name == column && is(of, schema, table))
    }

    fn masks_any(&self, schema: &str, table: &str) -> bool {
        self.masked().any(|(of, _)| is(of, schema, table))
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

/// Whether `full` is `SCHEMA.TABLE`. Asked for every column of every result, so it builds nothing.
fn is(full: &str, schema: &str, table: &str) -> bool {
    let rest = full.strip_prefix(schema);
    rest.and_then(|rest| rest.strip_prefix('.')) == Some(table)
}
