//! The chains: every run has one, and the gateway has one. Each record of a chain holds the next
//! number and the digest of the record before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use bailiwick_action::Decision;
use bailiwick_run::{InvalidRunId, RunId};
use serde::{Deserialize, Serialize, Serializer};

use crate::digest::Digest;
use crate::entry::Record;
use crate::record::Event;

/// Whose chain it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ChainId {
    #[default]
    Gateway,
    Run(RunId),
}

impl ChainId {
    /// The run, if it is one's.
    pub(crate) fn run(&self) -> Option<RunId> {
        match self {
            ChainId::Gateway => None,
            ChainId::Run(run) => Some(*run),
        }
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChainId::Gateway => f.write_str("gateway"),
            ChainId::Run(run) => run.fmt(f),
        }
    }
}

impl Serialize for ChainId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for ChainId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "gateway" {
            Ok(ChainId::Gateway)
        } else {
            text.parse().map(ChainId::Run)
        }
    }
}

/// What a record does to its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Allows,
    Closes,
    /// Not to its own chain: to the payloads of this one.
    Erases {
        run: RunId,
    },
    Finishes {
        of: u64,
    },
    None,
    Opens,
    /// Not to its own chain: to all records before this one.
    Prunes {
        before: u64,
    },
}

impl Effect {
    /// Of a record that is being made.
    pub(crate) fn of_event(event: &Event) -> Self {
        match event {
            Event::CallDecided {
                decision: Decision::Allow { .. },
                ..
            } => Effect::Allows,
            Event::CallFinished { of, .. } => Effect::Finishes { of: *of },
            Event::LogPruned { before, .. } => Effect::Prunes { before: *before },
            Event::PayloadsErased { run, .. } => Effect::Erases { run: *run },
            Event::RunClosed { .. } => Effect::Closes,
            Event::RunOpened { .. } => Effect::Opens,
            Event::CallDecided { .. }
            | Event::GatewayStarted { .. }
            | Event::GatewayStopped
            | Event::LogContinued(_)
            | Event::ApprovalDecided { .. }
            | Event::CallHeld { .. }
            | Event::PayloadsViewed { .. }
            | Event::PayloadsSearched { .. }
            | Event::PolicyLoaded { .. }
            | Event::ReceiptTaken { .. }
            | Event::RunVerified { .. }
            | Event::IndexRemade { .. }
            | Event::LinkMade { .. }
            | Event::PersonSignedIn { .. }
            | Event::PersonSignedOut { .. }
            | Event::RunResumed { .. }
            | Event::RunSuspended { .. }
            | Event::SignalRaised { .. }
            | Event::LogContinues(_)
            | Event::WitnessDisagreed { .. }
            | Event::LoginDenied { .. } => Effect::None,
        }
    }
}

/// One record's step along its chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) chain: ChainId,
    pub(crate) seq: u64,
    pub(crate) digest: Digest,
    pub(crate) effect: Effect,
}

impl Step {
    /// The step of a stored record, and what it says came before it.
    pub(crate) fn of_stored(bytes: &[u8]) -> Result<(Self, Digest), UnreadableRecord> {
        let record = Record::parse(bytes).map_err(|_| UnreadableRecord)?;
        let allows = record
            .decision
            .is_some_and(|decision| decision.effect == "allow");
        let prev = Digest::parse(&record.prev).ok_or(UnreadableRecord)?;
        let step = Self {
            chain: record.run.parse().map_err(|_| UnreadableRecord)?,
            seq: record.seq,
            digest: Digest::of(bytes),
            effect: match record.r#type.as_str() {
                "call.decided" if allows => Effect::Allows,
                "call.finished" => Effect::Finishes {
                    of: record.of.ok_or(UnreadableRecord)?,
                },
                "log.pruned" => {
                    let before = record.pruned.ok_or(UnreadableRecord)?.before;
                    Effect::Prunes { before }
                }
                "payloads.erased" => {
                    let erased = record.erased.ok_or(UnreadableRecord)?;
                    let run = erased.run.parse().map_err(|_| UnreadableRecord)?;
                    Effect::Erases { run }
                }
                "run.closed" => Effect::Closes,
                "run.opened" => Effect::Opens,
                _ => Effect::None,
            },
        };
        Ok((step, prev))
    }
}

/// Bytes that are not a record.
#[derive(Debug)]
pub(crate) struct UnreadableRecord;

/// How far a chain has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Links {
    /// The number of its last record; zero before the first.
    pub(crate) seq: u64,
    /// The digest of its last record.
    pub(crate) last: Digest,
    /// Calls that were allowed and have not finished.
    pub(crate) unfinished: BTreeSet<u64>,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            seq: 0,
            last: Digest::NONE,
            unfinished: BTreeSet::new(),
        }
    }
}

impl Links {
    pub(crate) fn apply(&mut self, step: &Step) {
        self.seq = step.seq;
        self.last = step.digest;
        match step.effect {
            Effect::Allows => {
                self.unfinished.insert(step.seq);
            }
            Effect::Finishes { of } => {
                self.unfinished.remove(&of);
            }
            Effect::Closes
            | Effect::Erases { .. }
            | Effect::None
            | Effect::Opens
            | Effect::Prunes { .. } => {}
        }
    }
}

/// Every chain that is not closed, after some number of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chains(pub(crate) BTreeMap<ChainId, Links>);

impl Chains {
    pub(crate) fn apply(&mut self, step: &Step) {
        if step.effect == Effect::Closes {
            self.0.remove(&step.chain);
        } else {
            self.0.entry(step.chain).or_default().apply(step);
        }
    }

    /// As [`follows`](Self::follows), where the beginning of the log is pruned: a chain that is met
    /// for the first time may have begun before.
    pub(crate) fn follows_pruned(&self, step: &Step, prev: Digest) -> bool {
        !self.0.contains_key(&step.chain) || self.follows(step, prev)
    }

    /// Whether a stored record is the next of its chain.
    pub(crate) fn follows(&self, step: &Step, prev: Digest) -> bool {
        match self.0.get(&step.chain) {
            Some(links) => step.seq == links.seq + 1 && prev == links.last,
            None => step.seq == 1 && prev == Digest::NONE,
        }
    }

    /// As bytes for a snapshot: where a start may begin to read, so that it need not read the whole
    /// log. Losing it costs time, nothing else.
    pub(crate) fn to_snapshot(&self, size: u64) -> Result<Vec<u8>, serde_json::Error> {
        let chains = self.0.iter().map(|(chain, links)| SnapshotChain {
            run: chain.to_string(),
            seq: links.seq,
            last: links.last.to_string(),
            unfinished: links.unfinished.iter().copied().collect(),
        });
        serde_json::to_vec(&Snapshot {
            v: 1,
            size,
            chains: chains.collect(),
        })
    }

    /// What a snapshot says, and after how many records; nothing if it cannot be used.
    pub(crate) fn from_snapshot(bytes: &[u8]) -> Option<(u64, Self)> {
        let snapshot: Snapshot = serde_json::from_slice(bytes).ok()?;
        if snapshot.v != 1 {
            return None;
        }
        let mut chains = BTreeMap::new();
        for chain in snapshot.chains {
            let links = Links {
                seq: chain.seq,
                last: Digest::parse(&chain.last)?,
                unfinished: chain.unfinished.into_iter().collect(),
            };
            chains.insert(chain.run.parse().ok()?, links);
        }
        Some((snapshot.size, Self(chains)))
    }
}

#[derive(Deserialize, Serialize)]
struct Snapshot {
    v: u64,
    size: u64,
    chains: Vec<SnapshotChain>,
}

#[derive(Deserialize, Serialize)]
struct SnapshotChain {
    run: String,
    seq: u64,
    last: String,
    unfinished: Vec<u64>,
}

#[cfg(test)]
mod tests {
    use bailiwick_run::Time;

    use super::*;

    #[test]
    fn a_snapshot_says_what_was_put_in() {
        let run = ChainId::Run(RunId::new(Time::from_millis(5), [3; 10]));
        let mut chains = Chains::default();
        let effects = [
            Effect::Opens,
            Effect::Allows,
            Effect::Allows,
            Effect::Finishes { of: 2 },
        ];
        for (seq, effect) in (1..).zip(effects) {
            chains.apply(&Step {
                chain: run,
                seq,
                digest: Digest::of(&[seq as u8]),
                effect,
            });
        }
        let snapshot = chains.to_snapshot(9).unwrap();
        assert_eq!(Chains::from_snapshot(&snapshot), Some((9, chains.clone())));
        assert_eq!(chains.0[&run].unfinished, BTreeSet::from([3]));
        assert_eq!(Chains::from_snapshot(b"{}"), None);
        chains.apply(&Step {
            chain: run,
            seq: 5,
            digest: Digest::NONE,
            effect: Effect::Closes,
        });
        assert!(chains.0.is_empty());
    }
}
