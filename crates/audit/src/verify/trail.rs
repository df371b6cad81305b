//! Checking one run: that its trail is whole, and that each of its records is under a signed checkpoint.

use bailiwick_run::RunId;

use super::broken::Broken;
use super::policy::{Judgement, NotTrusted};
use super::report::RunReport;
use super::trails::Trails;
use super::tree::{Hash, leaf_hash};
use super::{RunState, proof};
use crate::entry::Entry;
use crate::reader::ReadError;

/// What a run's trail was found to be: whole, as far as it goes.
#[derive(Clone, Debug)]
pub struct TrailReport {
    /// Its chain.
    pub run: RunReport,
    /// The checkpoint that its records are under, and who cosigned that.
    pub checkpoint: Judgement,
}

/// Why a run's trail is not what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrailBroken {
    /// A record is not there, or is not one.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log did not sign the checkpoint, or a witness's signature is not its own.
    #[error("the checkpoint is not valid: {0}")]
    Checkpoint(#[from] NotTrusted),
    /// The key that the log is checked with is none.
    #[error("the key of the log is not one: {0}")]
    Key(String),
    /// There is no checkpoint.
    #[error("the log has no checkpoint")]
    NoCheckpoint,
    /// A record does not follow the one before it.
    #[error(transparent)]
    Chain(Box<Broken>),
    /// A record is not the one that the log has signed.
    #[error(
        "record {id} is not record {index} of the {size} that {origin} has signed: it was altered, or moved"
    )]
    NotIncluded {
        /// Its name.
        id: String,
        /// Where it stands.
        index: u64,
        /// How many records the checkpoint covers.
        size: u64,
        /// The log.
        origin: String,
    },
    /// A record is another run's.
    #[error("record {0} stands in the trail of {1}, and is not its own")]
    Foreign(String, RunId),
    /// There are no records.
    #[error("there is no record of {0}")]
    Nothing(RunId),
    /// There are none any more.
    #[error("the records of {0} were pruned, and none are left to check")]
    Pruned(RunId),
    /// It begins in the middle, and nothing before it was removed by pruning.
    #[error(
        "the records of {0} before {1} are missing, and the log does not say that they were pruned"
    )]
    Headless(RunId, u64),
    /// It has ended, and the record that says so is not there.
    #[error("{0} has ended, and its last records are missing")]
    Endless(RunId),
}

impl From<Broken> for TrailBroken {
    fn from(broken: Broken) -> Self {
        Self::Chain(Box::new(broken))
    }
}

/// One run, held against a checkpoint record by record.
pub(crate) struct TrailCheck {
    run: RunId,
    trails: Trails,
    checkpoint: Judgement,
    /// How many records were pruned at the beginning of the log.
    pruned: u64,
    /// The `seq` of the last record under the checkpoint.
    covered: u64,
}

impl TrailCheck {
    pub(crate) fn new(run: RunId, checkpoint: Judgement, pruned: u64) -> Self {
        Self {
            run,
            trails: Trails::from(pruned),
            checkpoint,
            pruned,
            covered: 0,
        }
    }

    /// How many records the checkpoint covers.
    pub(crate) fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// Takes its next record, and the path from it to the root where the checkpoint covers it.
    pub(crate) fn follow(
        &mut self,
        entry: &Entry,
        path: Option<&[Hash]>,
    ) -> Result<(), TrailBroken> {
        if entry.record.run != self.run.to_string() {
            return Err(TrailBroken::Foreign(entry.id(), self.run));
        }
        self.trails.follow(entry.index, &entry.bytes, "the log")?;
        let Judgement {
            origin, size, root, ..
        } = &self.checkpoint;
        if entry.index >= *size {
            return Ok(());
        }
        let leaf = leaf_hash(&entry.bytes);
        let is_included = path
            .is_some_and(|path| proof::includes(entry.index, *size, &leaf, path, root.as_bytes()));
        if !is_included {
            return Err(TrailBroken::NotIncluded {
                id: entry.id(),
                index: entry.index,
                size: *size,
                origin: origin.clone(),
            });
        }
        self.covered = entry.record.seq;
        Ok(())
    }

    /// What it was found to be. `ended` says that the run has ended, whatever its records say.
    pub(crate) fn end(self, ended: bool) -> Result<TrailReport, TrailBroken> {
        let run = self.trails.report(self.run, self.covered);
        let Some(run) = run else {
            return Err(match self.pruned {
                0 => TrailBroken::Nothing(self.run),
                _ => TrailBroken::Pruned(self.run),
            });
        };
        if run.first > 1 && self.pruned == 0 {
            return Err(TrailBroken::Headless(self.run, run.first));
        }
        if ended && run.state == RunState::Open {
            return Err(TrailBroken::Endless(self.run));
        }
        Ok(TrailReport {
            run,
            checkpoint: self.checkpoint,
        })
    }
}
