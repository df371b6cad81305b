//! What was signed last of a log, by somebody who signs no other history of it: a witness, or a
//! signer. It is durable before the signature is given away.

mod folder;
mod store;

use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::disk;
use crate::merkle;
use crate::queue::lock;
use crate::verify::checkpoint::Head;
use crate::verify::proof::is_consistent;

pub(crate) use folder::{Folder, hash_of};
pub(crate) use store::{NoteFile, Store};

type Hash = merkle::Hash;

/// Why what was signed before cannot be known, so that nothing may be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// Another process has the folder.
    #[error("{} is in use by another process; stop that one, or use another folder", .0.display())]
    InUse(PathBuf),
    /// What is there is not what was signed.
    #[error(
        "{} is not what was signed last ({reason}); restore it. Without it another history could be \
         signed",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder could not be read or written.
    #[error("cannot use {}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

/// Why a checkpoint is not signed. Each has an HTTP status in C2SP tlog-witness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// 400: not a request, or the old size is larger than the checkpoint's.
    #[error("the request is not right: {0}")]
    Malformed(String),
    /// 403: no key that is known for the log has signed it, or one's signature is wrong.
    #[error("the checkpoint is not signed as it has to be: {0}")]
    NotSigned(String),
    /// 404: the log is not known.
    #[error("the log `{0}` is not known here")]
    UnknownLog(String),
    /// 409: the old size is not that of the last checkpoint signed.
    #[error("the last checkpoint signed here is over {size} records")]
    Conflict {
        /// How many records that one covers; zero if there was none.
        size: u64,
    },
    /// 422: it is not shown that the tree grew from the one that was signed last.
    #[error(
        "it is not shown that this tree of {size} records grew from the one of {old} records that \
         was signed here"
    )]
    Inconsistent {
        /// How many records the last checkpoint signed covers.
        old: u64,
        /// How many this one does.
        size: u64,
    },
    /// 500: it could not be kept that this was signed, so it was not.
    #[error("it could not be kept that this was signed, so it is not: {0}")]
    NotKept(String),
}

/// A tree, and the claim that it grew from one of `old` leaves.
pub(crate) struct Claim<'a> {
    pub(crate) old: u64,
    pub(crate) proof: &'a [Hash],
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// The last tree signed of one log.
pub(crate) struct Memory {
    store: Box<dyn Store>,
    state: Mutex<State>,
}

struct State {
    size: u64,
    root: Hash,
    note: Option<Vec<u8>>,
    /// What is stored is no longer known. Only a start, which looks, ends that.
    unknown: Option<String>,
}

impl Memory {
    /// Reads what was signed last; `read` opens the stored note, or says what is wrong with it.
    pub(crate) fn open(
        store: Box<dyn Store>,
        read: impl FnOnce(&[u8]) -> Result<Head, String>,
    ) -> Result<Self, MemoryError> {
        let note = store.read().map_err(|error| MemoryError::Io {
            path: store.place(),
            error,
        })?;
        let (size, root) = match &note {
            None => (0, merkle::empty()),
            Some(note) => {
                let head = read(note).map_err(|reason| MemoryError::Damaged {
                    path: store.place(),
                    reason,
                })?;
                (head.size, head.root)
            }
        };
        let state = State {
            size,
            root,
            note,
            unknown: None,
        };
        Ok(Self {
            store,
            state: Mutex::new(state),
        })
    }

    /// The note that was kept with the last signature.
    pub(crate) fn note(&self) -> Option<Vec<u8>> {
        lock(&self.state).note.clone()
    }

    /// Signs a tree that grew from the last one. `sign` gives the note to keep, and what is returned
    /// once it is durable. Of two claims from the same size one wins, and the other is told.
    pub(crate) fn advance<T>(
        &self,
        claim: &Claim<'_>,
        sign: impl FnOnce() -> (Vec<u8>, T),
    ) -> Result<T, Refusal> {
        // Held until it is durable: what is checked against is what is stored.
        let mut state = lock(&self.state);
        if claim.old > claim.size {
            let (old, size) = (claim.old, claim.size);
            let reason = format!("the old size, {old}, is larger than the checkpoint's, {size}");
            return Err(Refusal::Malformed(reason));
        }
        if let Some(reason) = &state.unknown {
            return Err(Refusal::NotKept(reason.clone()));
        }
        if claim.old != state.size {
            return Err(Refusal::Conflict { size: state.size });
        }
        let (old, size) = (state.size, claim.size);
        if !is_consistent(old, size, &state.root, &claim.root, claim.proof) {
            return Err(Refusal::Inconsistent { old, size });
        }
        let (note, signed) = sign();
        if let Err(error) = self.store.replace(&note) {
            let mut reason = format!("{}: {error}", self.store.place().display());
            // A full disk shows before anything is changed; it goes on when there is room. After any
            // other error either of the two may be stored, and only a start tells which. Nobody has
            // a signature over the new one, so both are right.
            if !disk::is_full(&error) {
                reason.push_str("; restart this process when the disk is in order");
                state.unknown = Some(reason.clone());
            }
            return Err(Refusal::NotKept(reason));
        }
        *state = State {
            size,
            root: claim.root,
            note: Some(note),
            unknown: None,
        };
        Ok(signed)
    }
}

#[cfg(test)]
pub(crate) mod tests;
