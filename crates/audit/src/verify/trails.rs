//! The chains of the runs and of the gateway.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use bailiwick_run::RunId;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::broken::Broken;
use super::tree::Hash;
use super::wal::Wal;
use super::{RunReport, RunState, lower_hex};

/// Every chain, as far as it has been followed.
pub(super) struct Trails {
    chains: HashMap<String, Trail>,
    /// Whether chains may have begun before the first record that is followed.
    is_resumed: bool,
    /// How many have.
    joined: u64,
}

#[derive(Default)]
pub(super) struct Trail {
    pub(super) seq: u64,
    pub(super) last: Hash,
    pub(super) closed: bool,
    pub(super) unfinished: BTreeSet<u64>,
}

impl Trails {
    /// For records from this one on.
    pub(super) fn from(start: u64) -> Self {
        Self {
            chains: HashMap::new(),
            is_resumed: start > 0,
            joined: 0,
        }
    }

    /// How many chains began before the first record that was followed.
    pub(super) fn joined(&self) -> u64 {
        self.joined
    }

    /// Checks that a record is the next of its chain; returns its time.
    pub(super) fn follow(
        &mut self,
        index: u64,
        bytes: &[u8],
        file: &str,
    ) -> Result<String, Broken> {
        let not_a_record = |reason: &str| Broken::NotARecord {
            index,
            file: file.to_owned(),
            reason: reason.to_owned(),
        };
        let record: Value =
            serde_json::from_slice(bytes).map_err(|error| not_a_record(&error.to_string()))?;
        let text = |name: &str| record.get(name).and_then(Value::as_str);
        let number = |name: &str| record.get(name).and_then(Value::as_u64);
        let (Some(run), Some(seq), Some(prev), Some(kind), Some(time)) = (
            text("run"),
            number("seq"),
            text("prev"),
            text("type"),
            text("time"),
        ) else {
            return Err(not_a_record(
                "one of run, seq, prev, type and time is missing",
            ));
        };
        if number("v") != Some(1) {
            return Err(not_a_record("it is of a version other than 1"));
        }
        if run != "gateway" && run.parse::<RunId>().is_err() {
            return Err(not_a_record("its run is neither a run's id nor `gateway`"));
        }
        let trail = match self.chains.entry(run.to_owned()) {
            Entry::Occupied(trail) => trail.into_mut(),
            Entry::Vacant(place) => {
                let before = joined(seq, prev).filter(|_| self.is_resumed);
                self.joined += u64::from(before.is_some());
                place.insert(before.unwrap_or_default())
            }
        };
        let check = |what: &'static str, found: String, expected: String| {
            if found == expected {
                return Ok(());
            }
            Err(Broken::Chain {
                index,
                name: format!("{run}/{seq}"),
                file: file.to_owned(),
                what,
                found,
                expected,
            })
        };
        if trail.closed {
            check(
                "a record after run.closed",
                kind.to_owned(),
                "none".to_owned(),
            )?;
        }
        check("seq", seq.to_string(), (trail.seq + 1).to_string())?;
        check("prev", prev.to_owned(), lower_hex(&trail.last))?;
        if run != "gateway" {
            let opened = (kind == "run.opened").to_string();
            check("being a run.opened", opened, (seq == 1).to_string())?;
        }
        let of = number("of");
        match kind {
            "call.decided" => {
                let effect = record
                    .get("decision")
                    .and_then(|decision| decision.get("effect"));
                if effect.and_then(Value::as_str) == Some("allow") {
                    trail.unfinished.insert(seq);
                }
            }
            "call.finished" => {
                let of = of.filter(|of| (1..seq).contains(of));
                let of = of.ok_or_else(|| not_a_record("its `of` is no earlier record"))?;
                trail.unfinished.remove(&of);
            }
            "run.closed" => {
                let count = number("count").map_or("missing".to_owned(), |count| count.to_string());
                check("count", count, seq.to_string())?;
                let last = text("last").unwrap_or("missing").to_owned();
                check("last", last, lower_hex(&trail.last))?;
                trail.closed = true;
            }
            _ => {}
        }
        trail.seq = seq;
        trail.last = Sha256::digest(bytes).into();
        Ok(time.to_owned())
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
        let trail = run.and_then(|run| self.chains.get(&run.to_string()));
        trail.map_or(0, |trail| trail.seq)
    }

    pub(super) fn report(&self, run: RunId, covered: u64) -> Option<RunReport> {
        let run = run.to_string();
        let trail = self.chains.get(&run)?;
        Some(RunReport {
            run,
            records: trail.seq,
            tail: trail.seq.saturating_sub(covered),
            state: if trail.closed {
                RunState::Closed
            } else {
                RunState::Open
            },
            without_outcome: trail.unfinished.len() as u64,
        })
    }

    pub(super) fn count(&self, state: RunState) -> u64 {
        let runs = self.chains.iter().filter(|(run, _)| *run != "gateway");
        runs.filter(|(_, trail)| trail.closed == (state == RunState::Closed))
            .count() as u64
    }

    pub(super) fn without_outcome(&self) -> u64 {
        let closed = self.chains.values().filter(|trail| trail.closed);
        closed.map(|trail| trail.unfinished.len() as u64).sum()
    }
}

/// A chain of which this record, not its first, is the first to be followed.
fn joined(seq: u64, prev: &str) -> Option<Trail> {
    let trail = Trail {
        seq: seq.checked_sub(1).filter(|before| *before > 0)?,
        last: crate::digest::from_hex(prev)?,
        ..Trail::default()
    };
    Some(trail)
}

/// What a record calls itself.
pub(super) fn name_of(record: &[u8]) -> String {
    let value: Value = serde_json::from_slice(record).unwrap_or_default();
    match (
        value.get("run").and_then(Value::as_str),
        value.get("seq").and_then(Value::as_u64),
    ) {
        (Some(run), Some(seq)) if run == "gateway" || run.parse::<RunId>().is_ok() => {
            format!("{run}/{seq}")
        }
        _ => "no longer readable".to_owned(),
    }
}
