//! Who signs the log's checkpoints: a key in this process, or another process that has it.

use std::io;
use std::time::Instant;

use crate::limits;
use crate::note::{Checkpoint, Signer};
use crate::prove::Prover;

/// Signs checkpoints of one log.
pub(crate) trait Sign: Send {
    /// The note of a checkpoint over `tree`, which is on disk already and grew from the last one
    /// signed. Waits for whoever has the key.
    fn sign(&mut self, checkpoint: &Checkpoint, tree: &mut Prover) -> Result<String, SignError>;
}

/// Why a checkpoint is not signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignError {
    /// The signer is not there, or cannot keep what it signs. Trying again may help.
    #[error("the signer at {place} does not sign now: {reason}")]
    Unavailable { place: String, reason: String },
    /// The signer has signed another history of this log, or does not sign this log at all.
    #[error("the signer at {place} refuses to sign: {reason}")]
    Refused { place: String, reason: String },
    /// The tree could not be read to prove that it grew.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Sign for Signer {
    fn sign(&mut self, checkpoint: &Checkpoint, _: &mut Prover) -> Result<String, SignError> {
        // The key is this process's own, and so is the memory of what it signed: the tree only ever
        // grows from there, and a start has checked that what it found is that tree.
        Ok(Signer::sign(self, checkpoint))
    }
}

/// Says that the signer is missing: at once, then now and then, and when it is back.
#[derive(Default)]
pub(crate) struct Unsigned {
    said: Option<Instant>,
}

impl Unsigned {
    /// Takes down how publishing went.
    pub(crate) fn note(&mut self, done: &Result<(), SignError>) {
        match done {
            Err(error @ SignError::Unavailable { .. }) if self.is_to_be_said() => {
                tracing::error!("nothing is published until it is signed: {error}");
                self.said = Some(Instant::now());
            }
            Ok(()) if self.said.take().is_some() => {
                tracing::info!("the signer signs again");
            }
            _ => {}
        }
    }

    fn is_to_be_said(&self) -> bool {
        self.said
            .is_none_or(|said| said.elapsed() >= limits::SAY_AGAIN)
    }

    /// Whether records wait for the signer.
    pub(crate) fn is_said(&self) -> bool {
        self.said.is_some()
    }
}
