//! Masking for one session: the columns that the run's scope masks, and the detectors for the rest.

use std::ops::Range;
use std::sync::Arc;

use bailiwick_action::{Detected, DetectedSet, FieldPath, Input, Pin, Resource};
use bailiwick_mask::{Detectors, Kind, WHOLE};
use bailiwick_policy::{Clear, Mask, Scope};
use bailiwick_wire::{Cleared, Masked};

/// The shortest secret that is looked for, in bytes.
const SECRET_BYTES_MIN: usize = 8;

/// What `wire` asks while it reads results.
pub(crate) struct Veil {
    target: String,
    /// Nothing where no agent is there to see anything.
    scope: Option<Arc<Scope>>,
    fields: Vec<FieldPath>,
    inputs: Vec<Input>,
    detectors: Arc<Detectors>,
    /// The gateway's own credential at the target, which some targets say again: what they were sent, or
    /// what they made of it.
    secrets: Vec<Vec<u8>>,
}

impl Veil {
    /// For a session of a run of this scope.
    pub(crate) fn new(target: &str, scope: Arc<Scope>, detectors: Arc<Detectors>) -> Self {
        Self {
            target: target.to_owned(),
            fields: scope.fields(target),
            inputs: scope.inputs(target),
            scope: Some(scope),
            detectors,
            secrets: Vec::new(),
        }
    }

    /// The same where the target is shown these secrets. Those that could be a part of anything are passed
    /// over.
    pub(crate) fn hiding(mut self, secrets: impl IntoIterator<Item = String>) -> Self {
        let telling = |secret: &String| {
            secret.len() >= SECRET_BYTES_MIN && !secret.bytes().all(|byte| byte.is_ascii_digit())
        };
        let secrets = secrets.into_iter().filter(telling);
        self.secrets = secrets.map(String::into_bytes).collect();
        // One that holds another is looked for first.
        self.secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        self
    }

    /// Where the first of the secrets is in a text.
    fn secret(&self, text: &[u8]) -> Option<Range<usize>> {
        let found = self.secrets.iter().filter_map(|secret| {
            let at = text.windows(secret.len()).position(|part| part == secret)?;
            Some(at..at + secret.len())
        });
        found.min_by_key(|range| (range.start, std::cmp::Reverse(range.end)))
    }

    /// A text without the secrets; nothing if there are none in it.
    fn without_secrets(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        let (mut out, mut count, mut rest) = (Vec::new(), 0, text);
        while let Some(found) = self.secret(rest) {
            out.extend_from_slice(rest.get(..found.start).unwrap_or_default());
            out.extend_from_slice(WHOLE.as_bytes());
            rest = rest.get(found.end..).unwrap_or_default();
            count += 1;
        }
        out.extend_from_slice(rest);
        (count > 0).then_some((out, count))
    }

    /// For a session of the gateway's own, in which no call goes through.
    pub(crate) fn of_nobody(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            scope: None,
            fields: Vec::new(),
            inputs: Vec::new(),
            detectors: Arc::default(),
            secrets: Vec::new(),
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

    fn cleared(&self) -> Vec<Cleared> {
        let scope = self.scope.iter();
        let clears = scope.flat_map(|scope| scope.clears(&self.target));
        let cleared = |clear: &Clear| Cleared {
            schema: clear.column.schema.clone(),
            table: clear.column.table.clone(),
            column: clear.column.name.clone(),
            kinds: clear.kinds,
        };
        clears.map(cleared).collect()
    }

    fn fields(&self) -> &[FieldPath] {
        &self.fields
    }

    fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    fn covers(&self, resource: &Resource) -> bool {
        let scope = self.scope.as_ref();
        scope.is_some_and(|scope| scope.covers(&self.target, resource))
    }

    fn pin(&self, tool: &str) -> Pin {
        let scope = self.scope.as_ref();
        scope.map_or(Pin::Missing, |scope| scope.pin(&self.target, tool))
    }

    fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        self.rewrite_but(text, DetectedSet::NONE)
    }

    fn rewrite_but(&self, text: &[u8], cleared: DetectedSet) -> Option<(Vec<u8>, u64)> {
        let (plain, hidden) = match self.without_secrets(text) {
            Some((plain, hidden)) => (Some(plain), hidden),
            None => (None, 0),
        };
        let text = plain.as_deref().unwrap_or(text);
        let wanted = |kind| !cleared.contains(detected(kind));
        match self.detectors.rewrite_only(text, wanted) {
            Some(rewritten) => Some((rewritten.bytes, hidden + rewritten.count)),
            None => plain.map(|plain| (plain, hidden)),
        }
    }

    fn rewrite_start(&self, text: &[u8]) -> (usize, Option<(Vec<u8>, u64)>) {
        let (settled, rewritten) = self.detectors.rewrite_start(text);
        let start = text.get(..settled).unwrap_or_default();
        let beyond = |range: &Range<usize>| range.start < settled;
        if let Some(found) = self.secret(text).filter(beyond) {
            return match found.end <= settled {
                true => (settled, self.rewrite(start)),
                // It begins in what is settled and ends behind it.
                false => (
                    found.start,
                    self.rewrite(text.get(..found.start).unwrap_or_default()),
                ),
            };
        }
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

/// What a detector has found, as tasks name it.
fn detected(kind: Kind) -> Detected {
    match kind {
        Kind::Card => Detected::Card,
        Kind::Email => Detected::Email,
        Kind::Iban => Detected::Iban,
        Kind::Phone => Detected::Phone,
        Kind::Secret => Detected::Secret,
        Kind::Ssn => Detected::Ssn,
    }
}
