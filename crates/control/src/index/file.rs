//! The file: its tables, and what is done with one that cannot be used.

use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bailiwick_audit::ReadError;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::counts;
use crate::limits::{INDEX_BUSY_TIME_MAX, INDEX_WAL_PAGES};

/// Says whose file it is: `BWIX`.
const APPLICATION: i64 = 0x4257_4958;

/// The version of the tables, and of what is put into them. Every change of either counts it up, and
/// files of another version are made anew.
const VERSION: i64 = 4;

const TABLES: &str = "
    CREATE TABLE position (
        only    INTEGER PRIMARY KEY CHECK (only = 1),
        records INTEGER NOT NULL,  -- how many records of all logs were taken in
        digest  BLOB    NOT NULL,  -- of the bytes of the last of them
        scrub   INTEGER NOT NULL,  -- 1 while the file may hold traces of what was removed
        payloads INTEGER NOT NULL  -- 1 if words of payloads are taken in
    ) STRICT;
    INSERT INTO position VALUES (1, 0, x'', 0, 0);
    CREATE TABLE record (
        id       INTEGER PRIMARY KEY,  -- its number over all logs, those that were rotated away first
        place    INTEGER NOT NULL,     -- its place in its log
        type     TEXT    NOT NULL,
        time     INTEGER NOT NULL,     -- milliseconds since the Unix epoch
        run      TEXT    NOT NULL,
        seq      INTEGER NOT NULL,
        launcher TEXT,
        task     TEXT,
        target   TEXT,
        verb     TEXT,
        actions  TEXT    NOT NULL,     -- a JSON array of texts
        effect   TEXT,                 -- allow, deny or hold
        policies TEXT,                 -- those that allowed it, a JSON array without the task's prefix
        reason   TEXT,
        remedy   TEXT,
        state    TEXT,
        error    TEXT,
        rows     INTEGER,
        masked   INTEGER,
        written  INTEGER NOT NULL      -- 1 if text of its payload is in here
    ) STRICT;
    CREATE INDEX record_of_run ON record (run, seq, time, effect);
    CREATE INDEX record_denied ON record (id) WHERE effect = 'deny';
    CREATE INDEX record_incident ON record (run)
        WHERE effect = 'deny' OR type = 'signal.raised';
    CREATE VIRTUAL TABLE words USING fts5 (
        record, payload, columnsize = 0, tokenize = 'unicode61 remove_diacritics 2'
    );
";

/// Deleted words go from the file at once.
pub(super) const WORDS_GO: &str = "INSERT INTO words (words, rank) VALUES ('secure-delete', 1)";

/// Why the index cannot be used or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IndexError {
    /// The file cannot be made, opened or removed.
    #[error("cannot use {}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    /// It is something else, or of another version.
    #[error("it is {0}")]
    Foreign(&'static str),
    /// What it says of the log is not so.
    #[error("{0}")]
    NotOfThisLog(&'static str),
    /// SQLite refused.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl IndexError {
    /// Whether another file, made anew, is the way out.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Foreign(_) | Self::NotOfThisLog(_) => true,
            Self::Io { .. } | Self::Read(_) => false,
            Self::Sqlite(error) => match error.sqlite_error_code() {
                // The other codes are about the disk, the memory or who else is there.
                Some(code) => matches!(
                    code,
                    ErrorCode::DatabaseCorrupt
                        | ErrorCode::NotADatabase
                        | ErrorCode::ConstraintViolation
                        | ErrorCode::TypeMismatch
                        | ErrorCode::SchemaChanged
                        | ErrorCode::Unknown
                ),
                // A row without the columns it should have, or with others.
                None => true,
            },
        }
    }
}

/// Opens the index to write it; makes it if there is none. Nobody but the file's owner may read it.
pub(super) fn open(path: &Path) -> Result<Connection, IndexError> {
    // SQLite gives its other files the mode of this one.
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .and_then(|file| file.set_permissions(fs::Permissions::from_mode(0o600)))
        .map_err(|error| IndexError::Io {
            path: path.to_owned(),
            error,
        })?;
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(INDEX_BUSY_TIME_MAX)?;
    // What agents wrote goes nowhere but into this file, and what is removed leaves no trace there.
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "secure_delete", "on")?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "wal_autocheckpoint", INDEX_WAL_PAGES)?;
    let transaction = connection.transaction()?;
    let number = |name| transaction.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let tables = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
    match (
        number("application_id")?,
        number("user_version")?,
        transaction.query_row("SELECT count(*) FROM sqlite_schema", [], tables)?,
    ) {
        (0, 0, 0) => {
            transaction.execute_batch(TABLES)?;
            transaction.execute_batch(counts::TABLES)?;
            transaction.execute_batch(WORDS_GO)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
        }
        (APPLICATION, VERSION, _) => {}
        (APPLICATION, ..) => return Err(IndexError::Foreign("of another version")),
        _ => return Err(IndexError::Foreign("not an index of the record")),
    }
    transaction.commit()?;
    // A crash may have left what was to be removed in SQLite's own log.
    truncate(&connection)?;
    Ok(connection)
}

/// Opens the index to search in it.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, IndexError> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(INDEX_BUSY_TIME_MAX)?;
    connection.pragma_update(None, "temp_store", "memory")?;
    Ok(connection)
}

/// Brings everything from SQLite's own log into the file and empties that log; false if somebody who
/// searches stands in the way.
pub(super) fn truncate(connection: &Connection) -> Result<bool, IndexError> {
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

/// Removes the file with all that SQLite keeps beside it. Nobody may have it open.
pub(super) fn remove(path: &Path) -> Result<(), IndexError> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(IndexError::Io {
                    path: name.into(),
                    error,
                });
            }
            _ => {}
        }
    }
    Ok(())
}
