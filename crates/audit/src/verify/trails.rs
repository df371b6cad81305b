//! The chains of the runs and of the gateway.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use bailiwick_run::RunId;
use sha2::{Digest as _, Sha256};

use super::broken::Broken;
use super::fields::Fields;
use super::said::Said;
use super::tree::Hash;
use super::wal::Wal;
use super::{RunReport, RunState, lower_hex};

/// Every chain, as far as it has been followed.
#[derive(Default)]
pub(super) struct Trails {
    chains: HashMap<Whose, Trail>,
    /// Where the first record that was there to look at stands. Chains that had begun before it are
    /// followed from where they are first seen.
    pub(super) first: u64,
    /// What the log says about itself.
    pub(super) said: Said,
}

/// Whose chain it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    Gateway,
    Run(RunId),
}

impl Whose {
    /// By the name it has in records. There is one spelling of each.
    fn parse(name: &str) -> Option<Self> {
        if name == "gateway" {
            return Some(Whose::Gateway);
        }
        name.parse().ok().map(Whose::Run)
    }
}

#[derive(Default)]
pub(super) struct Trail {
    pub(super) seq: u64,
    pub(super) last: Hash,
    pub(super) closed: bool,
    pub(super) unfinished: BTreeSet<u64>,
    /// It began before the first record that was there to look at.
    pub(super) cut: bool,
    /// Its records before the first that was there.
    pub(super) before: u64,
}

impl Trails {
    /// For the records from this one on.
    pub(super) fn from(first: u64) -> Self {
        Self {
            first,
            ..Self::default()
        }
    }

    /// Checks that a record is the next of its chain; returns its time.
    pub(super) fn follow<'r>(
        &mut self,
        index: u64,
        bytes: &'r [u8],
        file: &str,
    ) -> Result<Cow<'r, str>, Broken> {
        let not_a_record = |reason: &str| Broken::NotARecord {
            index,
            file: file.to_owned(),
            reason: reason.to_owned(),
        };
        let fields = Fields::read(bytes).map_err(|error| not_a_record(&error.to_string()))?;
        let (Some(run), Some(seq), Some(prev), Some(kind), Some(time)) = (
            fields.run,
            fields.seq,
            fields.prev,
            fields.kind,
            fields.time,
        ) else {
            return Err(not_a_record(
                "one of run, seq, prev, type and time is missing",
            ));
        };
        if fields.v != Some(1) {
            return Err(not_a_record("it is of a version other than 1"));
        }
        let whose = Whose::parse(&run)
            .ok_or_else(|| not_a_record("its run is neither a run's id nor `gateway`"))?;
        let seen = self.chains.contains_key(&whose);
        let trail = self.chains.entry(whose).or_default();
        if !seen && self.first > 0 && seq > 1 {
            trail.cut = true;
            trail.before = seq - 1;
            trail.seq = seq - 1;
            trail.last =
                super::from_hex(&prev).ok_or_else(|| not_a_record("its `prev` is not a digest"))?;
        }
        let broken = |what: &'static str, found: String, expected: String| Broken::Chain {
            index,
            name: format!("{run}/{seq}"),
            file: file.to_owned(),
            what,
            found,
            expected,
        };
        if trail.closed {
            let expected = "none".to_owned();
            return Err(broken(
                "a record after run.closed",
                kind.into_owned(),
                expected,
            ));
        }
        let next = trail.seq + 1;
        if seq != next {
            return Err(broken("seq", seq.to_string(), next.to_string()));
        }
        if !is_hex_of(&prev, &trail.last) {
            return Err(broken("prev", prev.into_owned(), lower_hex(&trail.last)));
        }
        let (opens, first) = (kind == "run.opened", seq == 1);
        if whose != Whose::Gateway && opens != first {
            let what = "being a run.opened";
            return Err(broken(what, opens.to_string(), first.to_string()));
        }
        match kind.as_ref() {
            "call.decided" if fields.effect.as_deref() == Some("allow") => {
                trail.unfinished.insert(seq);
            }
            "call.finished" => {
                let of = fields.of.filter(|of| (1..seq).contains(of));
                let of = of.ok_or_else(|| not_a_record("its `of` is no earlier record"))?;
                trail.unfinished.remove(&of);
            }
            "run.closed" => {
                if fields.count != Some(seq) {
                    let count = fields.count.map(|count| count.to_string());
                    return Err(broken("count", or_missing(count), seq.to_string()));
                }
                let last = fields.last.map(Cow::into_owned);
                if !last
                    .as_deref()
                    .is_some_and(|last| is_hex_of(last, &trail.last))
                {
                    let expected = lower_hex(&trail.last);
                    return Err(broken("last", or_missing(last), expected));
                }
                trail.closed = true;
            }
            _ => {}
        }
        trail.seq = seq;
        trail.last = Sha256::digest(bytes).into();
        if whose == Whose::Gateway {
            self.said.read(index, &kind, bytes, not_a_record)?;
        }
        Ok(time)
    }

    /// Follows what the write-ahead log has beyond the checkpoint; returns how much that is.
    pub(super) fn follow_tail(&mut self, wal: Option<&Wal>, covered: u64) -> Result<u64, Broken> {
        let Some(wal) = wal else {
            return Ok(0);
        };
        let mut tail = 0;
        for (index, record) in wal.records.range(covered..) {
            self.follow(*index, record, "the write-ahead log")?;
            tail += 1;
        }
        Ok(tail)
    }

    pub(super) fn records_of(&self, run: Option<RunId>) -> u64 {
        let trail = run.and_then(|run| self.chains.get(&Whose::Run(run)));
        trail.map_or(0, |trail| trail.seq)
    }

    pub(super) fn report(&self, run: RunId, covered: u64) -> Option<RunReport> {
        let trail = self.chains.get(&Whose::Run(run))?;
        Some(RunReport {
            run: run.to_string(),
            records: trail.seq - trail.before,
            tail: trail.seq - covered.clamp(trail.before, trail.seq),
            state: if trail.closed {
                RunState::Closed
            } else {
                RunState::Open
            },
            without_outcome: trail.unfinished.len() as u64,
            first: trail.before + 1,
        })
    }

    /// Runs of which the first records were not there to look at.
    pub(super) fn cut(&self) -> u64 {
        let runs = (self.chains.iter()).filter(|(whose, _)| **whose != Whose::Gateway);
        runs.filter(|(_, trail)| trail.cut).count() as u64
    }

    pub(super) fn count(&self, state: RunState) -> u64 {
        let runs = (self.chains.iter()).filter(|(whose, _)| **whose != Whose::Gateway);
        runs.filter(|(_, trail)| trail.closed == (state == RunState::Closed))
            .count() as u64
    }

    pub(super) fn without_outcome(&self) -> u64 {
        let closed = self.chains.values().filter(|trail| trail.closed);
        closed.map(|trail| trail.unfinished.len() as u64).sum()
    }
}

/// What a record calls itself.
pub(super) fn name_of(record: &[u8]) -> String {
    let fields = Fields::read(record).unwrap_or_default();
    match (fields.run, fields.seq) {
        (Some(run), Some(seq)) if Whose::parse(&run).is_some() => format!("{run}/{seq}"),
        _ => "no longer readable".to_owned(),
    }
}

/// Whether a text is exactly the lower-case hexadecimal digits of a hash.
fn is_hex_of(text: &str, hash: &Hash) -> bool {
    let digit = |nibble: u8| match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + nibble - 10,
    };
    let digits = hash
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    text.bytes().eq(digits)
}

fn or_missing(value: Option<String>) -> String {
    value.unwrap_or_else(|| "missing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_all_of_the_digits_are_those_of_a_hash() {
        let hash: Hash = std::array::from_fn(|position| (position * 37) as u8);
        let text = lower_hex(&hash);
        assert!(is_hex_of(&text, &hash));
        for position in 0..text.len() {
            let mut altered = text.clone().into_bytes();
            altered[position] ^= 1;
            assert!(!is_hex_of(&String::from_utf8(altered).unwrap(), &hash));
        }
        for wrong in [
            &text.replacen('0', "", 1),
            &format!("{text}0"),
            &text.to_uppercase(),
            "",
        ] {
            assert!(!is_hex_of(wrong, &hash), "{wrong}");
        }
    }
}
