//! How far the signals have followed the log, and what came of it, in the same database: the place, the counts,
//! and the notices change together or not at all.

use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError, count, notices};
use crate::notice::Notice;

pub(super) const TABLES: &str = "
    CREATE TABLE followed (
        one     INTEGER PRIMARY KEY CHECK (one = 1),
        records INTEGER NOT NULL,   -- of all logs, in their order
        digest  BLOB    NOT NULL    -- of the last of them
    ) STRICT;
    CREATE TABLE counted (
        signal TEXT NOT NULL,
        chain  TEXT NOT NULL,
        count  TEXT NOT NULL,       -- JSON
        PRIMARY KEY (signal, chain)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE raised (           -- and not seen in the log yet
        signal TEXT NOT NULL,
        of     TEXT NOT NULL,
        raised TEXT NOT NULL,       -- JSON
        PRIMARY KEY (signal, of)
    ) STRICT, WITHOUT ROWID;
";

/// Where the signals are in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// How many records were looked at.
    pub(crate) records: u64,
    /// The digest of the last of them.
    pub(crate) digest: Vec<u8>,
}

/// What is known from before.
#[derive(Debug, Default)]
pub(crate) struct Followed {
    /// Nothing where no rule was there.
    pub(crate) place: Option<Place>,
    /// Signal, chain, and how often.
    pub(crate) counts: Vec<(String, String, String)>,
    /// Signal, the record that raised it, and the rest.
    pub(crate) raised: Vec<(String, String, String)>,
}

/// What came of the next records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    /// Where that was, if anything was read.
    pub(crate) place: Option<Place>,
    /// Signal, chain, and how often; nothing where the chain is forgotten.
    pub(crate) counts: Vec<(String, String, Option<String>)>,
    /// Signal, the record that raised it, and the rest.
    pub(crate) raised: Vec<(String, String, String)>,
    /// What was raised before and is on record by now.
    pub(crate) seen: Vec<(String, String)>,
    /// What is told to whom.
    pub(crate) notices: Vec<(Vec<String>, Notice)>,
}

impl Store {
    /// What is known from before.
    pub(crate) async fn followed(&self) -> Result<Followed, StoreError> {
        self.job(|connection| {
            let place = connection
                .query_row("SELECT records, digest FROM followed", [], |row| {
                    Ok(Place {
                        records: row.get::<_, i64>(0)?.unsigned_abs(),
                        digest: row.get(1)?,
                    })
                })
                .optional()?;
            let all = |query: &str| {
                let mut statement = connection.prepare(query)?;
                let rows =
                    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
                rows.collect::<Result<Vec<_>, rusqlite::Error>>()
            };
            Ok(Followed {
                place,
                counts: all("SELECT signal, chain, count FROM counted")?,
                raised: all("SELECT signal, of, raised FROM raised")?,
            })
        })
        .await
    }

    /// Forgets where the signals were: there is no rule any more, and one that comes later is not about what
    /// was before it.
    pub(crate) async fn unfollow(&self) -> Result<(), StoreError> {
        self.job(|connection| {
            let transaction = connection.transaction()?;
            for table in ["followed", "counted", "raised"] {
                transaction.execute(&format!("DELETE FROM {table}"), [])?;
            }
            transaction.commit()?;
            Ok(())
        })
        .await
    }

    /// Takes down what came of the next records, all of it or nothing.
    pub(crate) async fn follow(&self, step: Step) -> Result<(), StoreError> {
        self.job(move |connection| {
            let transaction = connection.transaction()?;
            if let Some(place) = &step.place {
                transaction.execute(
                    "INSERT INTO followed (one, records, digest) VALUES (1, ?1, ?2)
                     ON CONFLICT (one) DO UPDATE SET records = ?1, digest = ?2",
                    params![count(place.records), place.digest],
                )?;
            }
            for (signal, chain, how_often) in &step.counts {
                match how_often {
                    Some(how_often) => transaction.execute(
                        "INSERT INTO counted (signal, chain, count) VALUES (?1, ?2, ?3)
                         ON CONFLICT (signal, chain) DO UPDATE SET count = ?3",
                        params![signal, chain, how_often],
                    )?,
                    None => transaction.execute(
                        "DELETE FROM counted WHERE signal = ?1 AND chain = ?2",
                        params![signal, chain],
                    )?,
                };
            }
            for (signal, of, raised) in &step.raised {
                transaction.execute(
                    "INSERT INTO raised (signal, of, raised) VALUES (?1, ?2, ?3)
                     ON CONFLICT (signal, of) DO UPDATE SET raised = ?3",
                    params![signal, of, raised],
                )?;
            }
            for (signal, of) in &step.seen {
                transaction.execute(
                    "DELETE FROM raised WHERE signal = ?1 AND of = ?2",
                    params![signal, of],
                )?;
            }
            for (sinks, notice) in &step.notices {
                notices::put(&transaction, sinks, notice)?;
            }
            transaction.commit()?;
            Ok(())
        })
        .await
    }
}
