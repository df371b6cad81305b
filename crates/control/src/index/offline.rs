//! Making the index anew without a gateway.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use bailiwick_audit::{PayloadSecret, ReadError, Reader};

use super::file::{self, IndexError};
use super::logs::Logs;
use super::projection::{Projection, Step};
use super::query::QueryError;
use super::{Index, Query, SearchError, Words};
use crate::api::{Answer, Reindexed};

/// Why the index cannot be made anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReindexError {
    /// A gateway has the folder.
    #[error(
        "the data folder {} is in use by a gateway that does not answer; it keeps the index itself. \
         Stop it first, or see why it does not answer",
        .0.display()
    )]
    InUse(PathBuf),
    /// The folder cannot be kept from a gateway meanwhile.
    #[error("cannot lock {}: {error}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log ends before its end.
    #[error(
        "the log has {expected} records, but can be read up to {read} only; `bailiwick verify` says \
         what is wrong"
    )]
    Short {
        /// How many it has.
        expected: u64,
        /// How many could be read.
        read: u64,
    },
    /// The index cannot be written.
    #[error("the index {} cannot be made: {reason}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// Makes the index of a data folder anew, from its log alone, with the master key of the payloads
/// where that is kept elsewhere. No gateway may have the folder; none
/// can start meanwhile. Waits for the disk.
///
/// # Errors
/// If a gateway has the folder, there is no log in it or it cannot be read, or the index cannot be
/// written.
pub fn reindex(
    data: &Path,
    key: Option<PayloadSecret>,
    words: Words,
) -> Result<Reindexed, ReindexError> {
    let reader = Reader::open(data)?.with_payload_key(key);
    let _lock = lock(data)?;
    make(&Index::path(data), &reader, words)
}

/// Searches a log that nobody has an index of: makes one in this folder, which is empty, and asks it. Words of
/// payloads are not searched. Waits for the disk.
///
/// # Errors
/// If it cannot be searched so, the log cannot be read, or the index cannot be written.
pub(crate) fn search(
    reader: &Reader,
    scratch: &Path,
    query: &Query,
) -> Result<Answer, SearchError> {
    let path = Index::path(scratch);
    make(&path, reader, Words::OfRecords)?;
    let found = query.run(&path).map_err(|error| match error {
        QueryError::TooSlow => SearchError::TooSlow,
        QueryError::Index(error) => SearchError::NotMade(failed(&path, error)),
    })?;
    Ok(Answer {
        hits: found.hits,
        more: found.more,
        records: found.records,
        complete: true,
    })
}

/// Makes an index of a log where there may be one.
fn make(path: &Path, reader: &Reader, words: Words) -> Result<Reindexed, ReindexError> {
    let begun = Instant::now();
    let expected = Logs::count(reader)?;
    let failed = |error| failed(path, error);
    file::remove(path).map_err(failed)?;
    let mut projection = Projection::open(path, reader, words).map_err(failed)?;
    while projection.step().map_err(failed)? == Step::On {}
    projection.scrub().map_err(failed)?;
    let records = projection.records();
    if records < expected {
        return Err(ReindexError::Short {
            expected,
            read: records,
        });
    }
    Ok(Reindexed {
        records,
        payloads_unread: projection.unread(),
        took: begun.elapsed(),
    })
}

fn failed(path: &Path, error: IndexError) -> ReindexError {
    match error {
        IndexError::Read(error) => ReindexError::Read(error),
        error => ReindexError::Index {
            path: path.to_owned(),
            reason: error.to_string(),
        },
    }
}

/// What a gateway holds while it has the folder.
fn lock(data: &Path) -> Result<File, ReindexError> {
    let path = data.join("lock");
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let locked = opened.map(|file| file.try_lock().map(|()| file));
    match locked {
        Ok(Ok(file)) => Ok(file),
        Ok(Err(TryLockError::WouldBlock)) => Err(ReindexError::InUse(data.to_owned())),
        Ok(Err(TryLockError::Error(error))) | Err(error) => Err(ReindexError::Lock { path, error }),
    }
}
