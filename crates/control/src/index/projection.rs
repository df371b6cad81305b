//! The log, projected into the file, a batch at a time.

use std::collections::BTreeSet;
use std::path::Path;

use bailiwick_audit::{Digest, Entry, ReadError, Reader};
use bailiwick_run::RunId;
use rusqlite::{CachedStatement, Connection, InterruptHandle, Transaction, params};

use super::Words;
use super::counts::{self, Counts};
use super::file::{self, IndexError};
use super::logs::{Logs, Numbered};
use super::row::{Removed, Row};
use crate::limits::{INDEX_BATCH_BYTES_MAX, INDEX_BATCH_RECORDS_MAX};

/// Deleted words stay in the file until their pages are written anew.
const WORDS_STAY: &str = "INSERT INTO words (words, rank) VALUES ('secure-delete', 0)";

/// An index that is being written, and the log at its place.
pub(super) struct Projection {
    connection: Connection,
    log: Logs,
    words: Words,
    /// Traces of what was removed may still be in the file.
    scrub: bool,
    touched: Touched,
    unread: u64,
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There was enough to do, and there may be more.
    On,
    /// The log had no more.
    End,
}

/// The chains that a step has taken records of.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) runs: BTreeSet<RunId>,
    pub(super) gateway: bool,
    /// And something was removed, of whatever chain.
    pub(super) removed: bool,
}

impl Touched {
    fn by(rows: &[Row]) -> Self {
        let mut touched = Self::default();
        for row in rows {
            match row.run.parse() {
                Ok(run) => _ = touched.runs.insert(run),
                Err(_) => touched.gateway = true,
            }
            touched.removed |= row.removes.is_some();
        }
        touched
    }
}

impl Projection {
    /// Opens an index and checks that it is of this log.
    ///
    /// # Errors
    /// If it cannot be used; [`IndexError::is_damage`] says whether one made anew could.
    pub(super) fn open(path: &Path, reader: &Reader, words: Words) -> Result<Self, IndexError> {
        let connection = file::open(path)?;
        let (records, digest, scrub, known) = connection.query_row(
            "SELECT records, digest, scrub, payloads FROM position",
            [],
            |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get::<_, Vec<u8>>(1)?,
                    row.get(2)?,
                    row.get::<_, bool>(3)?,
                ))
            },
        )?;
        let records = u64::try_from(records).unwrap_or(0);
        let payloads = words == Words::WithPayloads;
        if records == 0 {
            connection.execute("UPDATE position SET payloads = ?1", [payloads])?;
        } else if payloads != known {
            return Err(IndexError::NotOfThisLog(match payloads {
                true => "it has no words of payloads, and is to have them",
                false => "it has words of payloads, and is to have none",
            }));
        }
        let log = match records.checked_sub(1) {
            None => Logs::from(reader, 0)?,
            Some(last) => {
                let mut log = Logs::from(reader, last)?;
                match log.next()? {
                    Some(found) if found.entry.digest().as_bytes()[..] == digest => log,
                    Some(_) => return Err(IndexError::NotOfThisLog("it is of another log")),
                    None => return Err(IndexError::NotOfThisLog("it has more than the log")),
                }
            }
        };
        Ok(Self {
            connection,
            log,
            words,
            scrub,
            touched: Touched::default(),
            unread: 0,
        })
    }

    /// Whose records the last step has taken.
    pub(super) fn touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    /// Breaks off what is being written.
    pub(super) fn interrupt_handle(&self) -> InterruptHandle {
        self.connection.get_interrupt_handle()
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// How many records of the log are in the index.
    pub(super) fn records(&self) -> u64 {
        self.log.position()
    }

    /// How many payloads could not be read: they were erased, or their keys are elsewhere.
    pub(super) fn unread(&self) -> u64 {
        self.unread
    }

    /// Takes the next records, all or none of them. After an error the projection has to be opened again.
    pub(super) fn step(&mut self) -> Result<Step, IndexError> {
        let mut rows = Vec::new();
        let mut bytes = 0;
        let mut last = Vec::new();
        let mut end = Step::On;
        while rows.len() < INDEX_BATCH_RECORDS_MAX && bytes < INDEX_BATCH_BYTES_MAX {
            let Some(Numbered { number, entry }) = self.log.next()? else {
                end = Step::End;
                break;
            };
            let payload = self.payload(&entry)?;
            let row = Row::new(number, entry.index, entry.record, payload.as_deref());
            bytes += entry.bytes.len() + row.payload.len();
            last = entry.bytes;
            rows.push(row);
        }
        self.write(&rows, &last)?;
        self.touched = Touched::by(&rows);
        Ok(end)
    }

    /// Removes the traces that removed words have left, if there are any.
    pub(super) fn scrub(&mut self) -> Result<(), IndexError> {
        if !self.scrub {
            return Ok(());
        }
        // Deleting removes a word itself, but what tells one page of words from the next may go on
        // showing its beginning, until those pages are written anew.
        self.connection
            .execute("INSERT INTO words (words) VALUES ('optimize')", [])?;
        if file::truncate(&self.connection)? {
            self.connection
                .execute("UPDATE position SET scrub = 0", [])?;
            self.scrub = false;
        }
        Ok(())
    }

    /// Nothing where the payload cannot be read by anybody any more.
    fn payload(&mut self, entry: &Entry) -> Result<Option<Vec<u8>>, IndexError> {
        if self.words == Words::OfRecords {
            return Ok(None);
        }
        match self.log.payload(entry) {
            Ok(payload) => Ok(payload),
            Err(
                error @ (ReadError::Erased(_)
                | ReadError::PayloadMissing(_)
                | ReadError::PayloadAltered(_)),
            ) => {
                tracing::debug!(%error, "a payload is not in the index");
                self.unread += 1;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes rows; these are the bytes of the last one's record.
    fn write(&mut self, rows: &[Row], bytes: &[u8]) -> Result<(), IndexError> {
        let Some(last) = rows.last() else {
            return Ok(());
        };
        let transaction = self.connection.transaction()?;
        let mut removed = false;
        let mut counts = Counts::default();
        let mut insert = Insert::new(&transaction)?;
        for row in rows {
            insert.row(row)?;
            counts.take(row);
            if let Some(verified) = &row.verified {
                transaction
                    .prepare_cached(
                        "INSERT INTO verified VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET
                         record = excluded.record, broken = excluded.broken",
                    )?
                    .execute(params![verified.run, number(row.number), verified.broken])?;
            }
            if let Some(what) = &row.removes {
                removed = true;
                match what {
                    Removed::Payloads { run } => erase(&transaction, run)?,
                    Removed::Records { before } => {
                        // Only what was counted can be counted down.
                        std::mem::take(&mut counts).add(&transaction)?;
                        let first = row.number.saturating_sub(row.place);
                        prune(&transaction, first, first.saturating_add(*before))?;
                    }
                }
            }
        }
        drop(insert);
        counts.add(&transaction)?;
        transaction.execute(
            "UPDATE position SET records = ?1, digest = ?2, scrub = scrub OR ?3",
            params![
                number(last.number + 1),
                Digest::of(bytes).as_bytes(),
                removed
            ],
        )?;
        transaction.commit()?;
        self.scrub |= removed;
        Ok(())
    }
}

/// Puts rows in.
struct Insert<'t> {
    record: CachedStatement<'t>,
    words: CachedStatement<'t>,
}

impl<'t> Insert<'t> {
    fn new(transaction: &'t Transaction<'_>) -> Result<Self, IndexError> {
        let record = transaction.prepare_cached(
            "INSERT INTO record (id, place, type, time, run, seq, launcher, task, target, verb, actions,
             effect, policies, reason, remedy, state, error, rows, masked, written)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
        )?;
        let words = transaction
            .prepare_cached("INSERT INTO words (rowid, record, payload) VALUES (?1, ?2, ?3)")?;
        Ok(Self { record, words })
    }

    fn row(&mut self, row: &Row) -> Result<(), IndexError> {
        let array = |texts: &[String]| serde_json::to_string(texts).unwrap_or_default();
        let policies = Some(&row.policies).filter(|policies| !policies.is_empty());
        self.record.execute(params![
            number(row.number),
            number(row.place),
            row.r#type,
            number(row.time),
            row.run,
            number(row.seq),
            row.launcher,
            row.task,
            row.target,
            row.verb,
            array(&row.actions),
            row.effect,
            policies.map(|policies| array(policies)),
            row.reason,
            row.remedy,
            row.state,
            row.error,
            row.rows.map(number),
            row.masked.map(number),
            !row.payload.is_empty(),
        ])?;
        self.words
            .execute(params![number(row.number), row.words(), row.payload])?;
        Ok(())
    }
}

/// Takes the words of a run's payloads out, so far as they are in.
fn erase(transaction: &Transaction<'_>, run: &str) -> Result<(), IndexError> {
    transaction.execute(
        "UPDATE words SET payload = '' WHERE rowid IN
         (SELECT id FROM record WHERE run = ?1 AND written = 1)",
        [run],
    )?;
    transaction.execute(
        "UPDATE record SET written = 0 WHERE run = ?1 AND written = 1",
        [run],
    )?;
    Ok(())
}

/// Takes the records out whose numbers are from `first` up to `before`.
fn prune(transaction: &Transaction<'_>, first: u64, before: u64) -> Result<(), IndexError> {
    // Word by word it takes a millisecond a record, and these are many. Scrubbing removes the rest.
    transaction.execute_batch(WORDS_STAY)?;
    let (first, before) = (number(first), number(before));
    counts::subtract(transaction, first, before, || {
        for table in [
            "DELETE FROM words WHERE rowid >= ?1 AND rowid < ?2",
            "DELETE FROM record WHERE id >= ?1 AND id < ?2",
        ] {
            transaction.execute(table, [first, before])?;
        }
        Ok(())
    })?;
    transaction.execute_batch(file::WORDS_GO)?;
    Ok(())
}

/// Numbers of a record are below 2^53.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
