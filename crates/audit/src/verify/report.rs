//! What a check has found, and what it cannot know.

use serde::Serialize;

use super::policy::Cosigned;
use super::said::{Predecessor, Successor};
use super::wal::Wal;
use super::witnesses::Asked;

/// What was checked and found whole.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The log's name.
    pub origin: String,
    /// How many records the signed checkpoint covers.
    pub records: u64,
    /// The root it signs, in base64.
    pub root: String,
    /// The checkpoint itself, a signed note. Kept elsewhere, it shows later what the log was now.
    pub checkpoint: String,
    /// Up to where enough witnesses have seen the log; nothing if the policy asks for none and none
    /// has.
    pub witnessed: Option<Witnessed>,
    /// The witnesses that were asked now, and keep a checkpoint of this very tree.
    pub asked: Vec<Agreement>,
    /// What was not read again, because it was verified before.
    pub resumed: Option<Resumed>,
    /// When the last record it covers was made, by the gateway's clock. (A checkpoint has no time
    /// of its own.)
    pub last_time: Option<String>,
    /// Records that are durable and not covered by a checkpoint yet. Their chains are whole.
    pub tail: u64,
    /// Bytes at the end of the write-ahead log of a batch that is being written, or never became
    /// durable. Nobody has a receipt for those.
    pub torn_bytes: u64,
    /// Runs that are open.
    pub runs_open: u64,
    /// Runs that are closed, with as many records as their last one says.
    pub runs_closed: u64,
    /// Allowed calls of closed runs of which no outcome is recorded.
    pub without_outcome: u64,
    /// Records at the beginning that were pruned, as the log says itself. Their hashes are whole, and
    /// what they said is gone.
    pub pruned: u64,
    /// Runs of which the first records are pruned.
    pub runs_cut: u64,
    /// Runs whose payloads were erased, in that order.
    pub erased: Vec<String>,
    /// The log that this one continues, and where that one ended.
    pub continues: Option<Predecessor>,
    /// Those that it continues, checked, from the last one back, as far as they are kept beside it.
    pub predecessors: Vec<Report>,
    /// The log that continues this one.
    pub continued_by: Option<Successor>,
    /// The run that was asked about, if the log has it.
    pub run: Option<RunReport>,
    /// What no check of these files can know, in words.
    pub unknown: Vec<String>,
}

/// How far the witnesses have seen a log.
#[derive(Clone, Debug, Serialize)]
pub struct Witnessed {
    /// How many records the checkpoint covers that enough of them cosigned.
    pub records: u64,
    /// How many records after these the log alone has signed.
    pub after: u64,
    /// Who has seen it, and when.
    pub by: Vec<Cosigned>,
}

/// A witness that keeps a checkpoint of the tree that was checked.
#[derive(Clone, Debug, Serialize)]
pub struct Agreement {
    /// The witness.
    pub witness: String,
    /// How many records it has seen.
    pub records: u64,
    /// When, by its own clock.
    pub time: String,
}

/// What was taken over from an earlier check. What was not read again is counted nowhere else in the
/// report: not the runs that ended there, nor the calls decided there, nor what the log says there
/// about itself.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Resumed {
    /// How many records were not read again.
    pub skipped: u64,
    /// How many runs began in these and went on after; they were followed from there.
    pub joined: u64,
}

/// What was found of one run.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Its id.
    pub run: String,
    /// How many records of it were read, gapless from the first of them.
    pub records: u64,
    /// How many of them no checkpoint covers yet.
    pub tail: u64,
    /// Whether it is closed.
    pub state: RunState,
    /// Allowed calls of which no outcome is recorded.
    pub without_outcome: u64,
    /// The number of the first of them: 1, unless those before it are pruned or were verified before.
    pub first: u64,
}

/// Whether a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Its last record is `run.closed`, and agrees with the chain.
    Closed,
    /// It has none.
    Open,
}

/// What bears on what a check cannot know.
pub(super) struct Doubts<'a> {
    pub(super) witnessed: Option<&'a Witnessed>,
    pub(super) asked: &'a Asked,
    pub(super) has_last: bool,
    pub(super) wal: Option<&'a Wal>,
    pub(super) records: u64,
}

impl Doubts<'_> {
    pub(super) fn in_words(&self) -> Vec<String> {
        let mut unknown = Vec::new();
        let asked = &self.asked;
        let asked_up_to = asked.known.iter().map(|known| known.checkpoint.size);
        let witnessed = self.witnessed.map(|witnessed| witnessed.records);
        match asked_up_to.chain(witnessed).max() {
            None => unknown.push(
                "Whether this is the log that others were shown: no witness's word was heard. \
                 Whoever holds its signing key and can write all of its files could have replaced \
                 it, or its end, as a whole; only a checkpoint that somebody else kept would show \
                 that. A policy that names witnesses (--policy) has them heard."
                    .to_owned(),
            ),
            Some(seen) if seen < self.records => unknown.push(format!(
                "Whether others will be shown the same last {}: until witnesses have seen them, \
                 whoever holds the signing key could still replace them.",
                match self.records - seen {
                    1 => "record".to_owned(),
                    more => format!("{more} records"),
                }
            )),
            Some(_) => {}
        }
        if self.witnessed.is_some() && asked.known.is_empty() {
            unknown.push(
                "Whether the log was cut back to what witnesses saw earlier: none was heard about \
                 what it has seen since."
                    .to_owned(),
            );
        }
        for (witness, why) in &asked.silent {
            unknown.push(format!(
                "What the witness {witness} has seen: it could not be asked ({why})."
            ));
        }
        if !self.has_last {
            unknown.push(
                "Whether a later checkpoint was signed: the one the gateway remembers was not there \
                 to compare with."
                    .to_owned(),
            );
        }
        match self.wal {
            None => unknown.push(
                "Whether there are records after this checkpoint: the write-ahead log was not there \
                 to look at."
                    .to_owned(),
            ),
            Some(wal) if wal.base.is_none() && self.records > 0 => unknown.push(
                "Whether there were records after this checkpoint: the write-ahead log is empty."
                    .to_owned(),
            ),
            Some(_) => {}
        }
        unknown
    }
}
