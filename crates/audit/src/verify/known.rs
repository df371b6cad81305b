//! Checkpoints of a log that are known besides the one it publishes: its tree must begin with theirs.

use super::broken::Broken;
use super::checkpoint::Checkpoint;
use super::tree::Hash;
use super::witnesses::Testimony;

/// A checkpoint that the log has signed, and where it is from.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// The gateway remembers to have signed it last.
    Last(Checkpoint),
    /// It is published as the newest that enough witnesses have seen.
    Witnessed(Checkpoint),
    /// It was verified before.
    Before(Checkpoint),
    /// A witness keeps it.
    Witness(Testimony),
}

impl Known {
    pub(super) fn checkpoint(&self) -> &Checkpoint {
        match self {
            Self::Last(checkpoint) | Self::Witnessed(checkpoint) | Self::Before(checkpoint) => {
                checkpoint
            }
            Self::Witness(testimony) => &testimony.checkpoint,
        }
    }

    /// What it shows about a log that covers fewer records.
    pub(super) fn is_ahead_of(&self, found: u64) -> Broken {
        let rolled_back = |what: &str, checkpoint: &Checkpoint| Broken::RolledBack {
            found,
            known: checkpoint.size,
            by: format!("{what}, in {},", checkpoint.file),
        };
        match self {
            Self::Last(checkpoint) => rolled_back("the checkpoint signed last", checkpoint),
            Self::Witnessed(checkpoint) => {
                rolled_back("the checkpoint that witnesses have seen", checkpoint)
            }
            Self::Before(checkpoint) => rolled_back("the checkpoint verified before", checkpoint),
            Self::Witness(testimony) => Broken::Behind {
                found,
                known: testimony.checkpoint.size,
                witness: testimony.witness.clone(),
                time: testimony.time.to_string(),
                evidence: testimony.note.clone(),
            },
        }
    }

    /// What it shows about a log whose tree of as many records has another root; nothing if it has
    /// this one.
    pub(super) fn contradicts(&self, root: &Hash) -> Option<Broken> {
        let checkpoint = self.checkpoint();
        if checkpoint.root == *root {
            return None;
        }
        Some(match self {
            Self::Last(_) | Self::Witnessed(_) | Self::Before(_) => Broken::Inconsistent {
                file: checkpoint.file.clone(),
                size: checkpoint.size,
            },
            Self::Witness(testimony) => Broken::Forked {
                size: checkpoint.size,
                witness: testimony.witness.clone(),
                time: testimony.time.to_string(),
                evidence: testimony.note.clone(),
            },
        })
    }
}
