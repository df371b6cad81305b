//! A call that was let through, up to its outcome: what it took, and its result as the agent got it.

use std::time::Instant;

use bailiwick_action::{Fingerprint, FingerprintKey};
use bailiwick_audit::{Event, Outcome, State};
use bailiwick_wire::End;
use sha2::{Digest, Sha256};

use crate::kept;
use crate::meters::Level;

/// A call that was let through and has not ended.
pub(crate) struct Running {
    /// The `seq` of its decision.
    seq: u64,
    /// What its protocol calls the command.
    verb: String,
    since: Instant,
    result: Option<ResultBytes>,
    /// Counts it as running; not if it was never sent.
    counted: Option<Level>,
}

/// A result: all of it digested, the beginning of it kept.
struct ResultBytes {
    digest: Sha256,
    kept: Vec<u8>,
    /// Whether `kept` is all there was.
    whole: bool,
}

/// How a result's kept bytes are read for people; see [`bailiwick_wire::Protocol::readable`].
pub(crate) type Readable = fn(&[u8]) -> Vec<Vec<Option<String>>>;

impl Running {
    /// From now on.
    pub(crate) fn new(seq: u64, verb: &str) -> Self {
        Self {
            seq,
            verb: verb.to_owned(),
            since: Instant::now(),
            result: None,
            counted: None,
        }
    }

    /// The same, counted as running.
    pub(crate) fn counted(self, level: Level) -> Self {
        Self {
            counted: Some(level),
            ..self
        }
    }

    /// Takes a part of its result. At most `keep` bytes are kept, in whole parts.
    pub(crate) fn result(&mut self, part: &[u8], keep: usize) {
        let result = self.result.get_or_insert_with(|| ResultBytes {
            digest: Sha256::new(),
            kept: Vec::new(),
            whole: true,
        });
        result.digest.update(part);
        result.whole &= result.kept.len() + part.len() <= keep;
        if result.whole {
            result.kept.extend_from_slice(part);
        }
    }

    /// Its outcome, and what is kept of its result, as the JSON that goes encrypted beside the
    /// record.
    pub(crate) fn ended(
        self,
        state: State,
        end: &End,
        target: &str,
        protocol: &'static str,
        key: &FingerprintKey,
        readable: Readable,
    ) -> (Event, Option<Vec<u8>>) {
        drop(self.counted);
        let micros = self.since.elapsed().as_micros();
        let digest = self.result.as_ref().map(|result| {
            let digest = result.digest.clone().finalize().into();
            Fingerprint::of_result(key, &digest)
        });
        let kept = self.result.filter(|result| !result.kept.is_empty());
        let payload = kept.map(|result| {
            let rows = readable(&result.kept);
            let left_out = end.rows.saturating_sub(rows.len() as u64);
            kept::got(rows, (!result.whole).then_some(left_out))
        });
        let event = Event::CallFinished {
            of: self.seq,
            target: target.to_owned(),
            protocol: protocol.into(),
            verb: self.verb,
            outcome: Outcome {
                state,
                rows: end.rows,
                bytes: end.bytes,
                digest,
                masked: end.masked,
                error: end.error.clone(),
                micros: u64::try_from(micros).unwrap_or(u64::MAX),
            },
        };
        (event, payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(kept: &[u8]) -> Vec<Vec<Option<String>>> {
        let text = String::from_utf8(kept.to_vec()).unwrap();
        text.lines().map(|line| vec![Some(line.into())]).collect()
    }

    fn ended(parts: &[&str], keep: usize) -> (Option<Fingerprint>, Option<String>) {
        let mut running = Running::new(7, "GET");
        for part in parts {
            running.result(part.as_bytes(), keep);
        }
        let end = End {
            rows: parts.len() as u64,
            ..End::default()
        };
        let key = FingerprintKey::new([1; 32]);
        let (event, payload) = running.ended(State::Ok, &end, "t", "http", &key, lines);
        let Event::CallFinished { outcome, .. } = event else {
            panic!("{event:?}");
        };
        (
            outcome.digest,
            payload.map(|json| String::from_utf8(json).unwrap()),
        )
    }

    #[test]
    fn a_result_is_kept_up_to_its_limit_and_digested_whole() {
        let (whole, kept) = ended(&["a\n", "b\n"], 4);
        assert_eq!(kept.as_deref(), Some(r#"{"rows":[["a"],["b"]]}"#));
        let (cut, kept) = ended(&["a\n", "b\n", "c\n"], 4);
        let left_out = r#"{"rows":[["a"],["b"]],"rows_left_out":1}"#;
        assert_eq!(kept.as_deref(), Some(left_out));
        assert_ne!(whole, cut);
        assert_eq!(ended(&["a\n", "b\n"], 0), (whole, None));
        assert_eq!(ended(&[], 4), (None, None));
        // Nothing after the first part that does not fit, or the rows would not be those in order.
        let (_, kept) = ended(&["a\n", "bcdef\n", "c\n"], 4);
        assert_eq!(
            kept.as_deref(),
            Some(r#"{"rows":[["a"]],"rows_left_out":2}"#)
        );
    }
}
