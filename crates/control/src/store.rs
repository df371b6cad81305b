//! The runs in SQLite. One thread has the database; everybody else sends it jobs.
//!
//! It is what a restart and a list of runs need, not the record: where the two differ, the record is
//! right. What a launcher said a run is for is not in here; it is a payload of the record, where it
//! can be erased.

use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bailiwick_run::{Confinement, Ending, Run, RunId, Time, TimeBox};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use tokio::sync::{mpsc, oneshot};

use crate::api::{Counts, Which};
use crate::limits::{STORE_BUSY_TIME_MAX, STORE_QUEUE_MAX};
use crate::names;

mod notices;
mod signals;

pub(crate) use notices::{Standing, Waiting};
pub(crate) use signals::{Place, Step};

/// The version of the tables.
const SCHEMA: i64 = 4;

const TABLES: &str = "
    CREATE TABLE run (
        id          TEXT PRIMARY KEY,
        launcher    TEXT NOT NULL,
        task        TEXT NOT NULL,
        confinement TEXT NOT NULL,
        opened      INTEGER NOT NULL,  -- milliseconds since the Unix epoch, like all moments
        expires     INTEGER NOT NULL,
        ending      TEXT,              -- why it ended, as soon as it may not act any more
        ended       INTEGER,
        ended_by    TEXT,              -- who wanted it, if anybody did
        closed      INTEGER NOT NULL DEFAULT 0,  -- 1 once its closing record is durable
        allowed     INTEGER NOT NULL DEFAULT 0,
        denied      INTEGER NOT NULL DEFAULT 0,
        masked      INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX run_not_closed ON run (id) WHERE closed = 0;
";

/// What version 3 of the tables did not have.
const SINCE_4: &str = "ALTER TABLE run ADD COLUMN ended_by TEXT";

/// Why the registry's database cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file cannot be made or opened.
    #[error("cannot open {}: {error}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// A newer version has written it.
    #[error(
        "{} was written by a newer version of bailiwick (its tables are version {found}, this one \
         knows {SCHEMA}): use that version, or give this one another data folder",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: i64,
    },
    /// SQLite refused.
    #[error("the registry of runs (state.sqlite) cannot be used: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A row holds what this version cannot read.
    #[error("the registry of runs (state.sqlite) holds `{0}`, which cannot be read")]
    Malformed(String),
    /// The system gives no thread for what follows the log.
    #[error("the record cannot be watched for signals: {0}")]
    Thread(std::sync::Arc<io::Error>),
    /// The log cannot be read for signals.
    #[error("the record cannot be read for signals: {0}")]
    Read(#[from] bailiwick_audit::ReadError),
    /// The thread that has it is gone.
    #[error("the registry of runs is closed, because the gateway is stopping")]
    Closed,
}

/// A stored run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The run, without its reason.
    pub(crate) run: Run,
    /// Why and when it ended.
    pub(crate) ended: Option<(Ending, Time)>,
    /// Who wanted it, if anybody did.
    pub(crate) ended_by: Option<String>,
    /// Whether its closing record is durable.
    pub(crate) closed: bool,
    /// What it did, once it is closed.
    pub(crate) counts: Counts,
}

/// Which runs are listed. All that is said has to hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) which: Which,
    pub(crate) task: Option<String>,
    pub(crate) launcher: Option<String>,
    /// Parts of the id, the task or the launcher, whatever their case.
    pub(crate) words: Vec<String>,
    /// Only those before this one.
    pub(crate) before: Option<RunId>,
    pub(crate) limit: u32,
}

impl Listing {
    /// As SQL, and the values for it.
    fn conditions(&self) -> (String, Vec<Value>) {
        let mut conditions = vec![match self.which {
            Which::All => "TRUE",
            Which::Open => "closed = 0",
            Which::Ended => "closed = 1",
        }];
        let mut values = Vec::new();
        let mut condition = |sql, value: String| {
            conditions.push(sql);
            values.push(Value::Text(value));
        };
        if let Some(task) = &self.task {
            condition("task = ?", task.clone());
        }
        if let Some(launcher) = &self.launcher {
            condition("launcher = ?", launcher.clone());
        }
        if let Some(before) = &self.before {
            condition("id < ?", before.to_string());
        }
        for word in &self.words {
            // Ids, tasks and launchers are ASCII, or as good as.
            let lower = word.to_ascii_lowercase();
            condition(
                "instr(lower(id || ' ' || task || ' ' || launcher), ?)",
                lower,
            );
        }
        (conditions.join(" AND "), values)
    }
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle to the database.
#[derive(Clone)]
pub(crate) struct Store {
    jobs: mpsc::Sender<Job>,
}

impl Store {
    /// Opens the database, which nobody but the file's owner may read, and starts its thread. Waits
    /// for the disk.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = connect(path)?;
        let (jobs, mut queue) = mpsc::channel::<Job>(STORE_QUEUE_MAX);
        std::thread::Builder::new()
            .name("control-store".into())
            .spawn(move || {
                while let Some(job) = queue.blocking_recv() {
                    job(&mut connection);
                }
            })
            .map_err(|error| StoreError::Open {
                path: path.to_owned(),
                error,
            })?;
        Ok(Self { jobs })
    }

    /// A run was opened. Durable when this returns.
    pub(crate) async fn opened(&self, run: &Run) -> Result<(), StoreError> {
        let run = run.clone();
        self.job(move |connection| insert(connection, &run)).await
    }

    /// A run may not act any more.
    pub(crate) async fn ended(
        &self,
        id: RunId,
        ending: Ending,
        ended: Time,
        by: Option<String>,
    ) -> Result<(), StoreError> {
        self.job(move |connection| {
            connection.execute(
                "UPDATE run SET ending = ?2, ended = ?3, ended_by = ?4 WHERE id = ?1 AND ending IS NULL",
                params![id.to_string(), ending.as_str(), millis(ended), by],
            )?;
            Ok(())
        })
        .await
    }

    /// A run's closing record is durable. The run is added if it is not there.
    pub(crate) async fn closed(
        &self,
        run: &Run,
        ending: Ending,
        ended: Time,
        counts: Counts,
    ) -> Result<(), StoreError> {
        let run = run.clone();
        self.job(move |connection| {
            let transaction = connection.transaction()?;
            insert(&transaction, &run)?;
            transaction.execute(
                "UPDATE run SET ending = ?2, ended = ?3, closed = 1, allowed = ?4, denied = ?5,
                 masked = ?6 WHERE id = ?1",
                params![
                    run.id.to_string(),
                    ending.as_str(),
                    millis(ended),
                    count(counts.allowed),
                    count(counts.denied),
                    count(counts.masked),
                ],
            )?;
            transaction.commit()?;
            Ok(())
        })
        .await
    }

    /// The run of this id.
    pub(crate) async fn find(&self, id: RunId) -> Result<Option<Stored>, StoreError> {
        self.job(move |connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM run WHERE id = ?1")?;
            statement
                .query_row([id.to_string()], |row| Ok(stored(row)))
                .optional()?
                .transpose()
        })
        .await
    }

    /// The runs of these ids, so far as they are known.
    pub(crate) async fn find_all(&self, ids: Vec<RunId>) -> Result<Vec<Stored>, StoreError> {
        self.job(move |connection| {
            let mut statement = connection.prepare_cached("SELECT * FROM run WHERE id = ?1")?;
            let mut all = Vec::with_capacity(ids.len());
            for id in ids {
                let found = statement.query_row([id.to_string()], |row| Ok(stored(row)));
                all.extend(found.optional()?.transpose()?);
            }
            Ok(all)
        })
        .await
    }

    /// Runs, the newest first.
    pub(crate) async fn list(&self, list: Listing) -> Result<Vec<Stored>, StoreError> {
        self.job(move |connection| {
            let (conditions, mut values) = list.conditions();
            values.push(Value::Integer(i64::from(list.limit)));
            let query = format!("SELECT * FROM run WHERE {conditions} ORDER BY id DESC LIMIT ?");
            let mut statement = connection.prepare_cached(&query)?;
            let rows = statement.query_map(params_from_iter(values), |row| Ok(stored(row)))?;
            rows.map(|row| row?).collect()
        })
        .await
    }

    /// Forgets the runs that were closed before a moment; returns how many.
    pub(crate) async fn forget(&self, before: Time) -> Result<u64, StoreError> {
        self.job(move |connection| {
            let gone = connection.execute(
                "DELETE FROM run WHERE closed = 1 AND ended < ?1",
                [millis(before)],
            )?;
            Ok(gone as u64)
        })
        .await
    }

    /// Every run without a closing record, as far as is known here.
    pub(crate) async fn not_closed(&self) -> Result<Vec<Stored>, StoreError> {
        self.list(Listing {
            which: Which::Open,
            limit: u32::MAX,
            ..Listing::default()
        })
        .await
    }

    async fn job<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Whoever asked may have gone.
            drop(sender.send(job(connection)));
        });
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        receiver.await.map_err(|_| StoreError::Closed)?
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    // SQLite gives its other files the mode of this one.
    let private = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .and_then(|file| file.set_permissions(fs::Permissions::from_mode(0o600)));
    private.map_err(|error| StoreError::Open {
        path: path.to_owned(),
        error,
    })?;
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(STORE_BUSY_TIME_MAX)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    let transaction = connection.transaction()?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        0 => {
            transaction.execute_batch(TABLES)?;
            transaction.execute_batch(notices::TABLES)?;
            transaction.execute_batch(signals::TABLES)?;
        }
        1..SCHEMA => {
            match found {
                // Version 1 knew the runs alone.
                1 => {
                    transaction.execute_batch(notices::TABLES)?;
                    transaction.execute_batch(signals::TABLES)?;
                }
                2 => transaction.execute_batch(notices::SINCE_3)?,
                _ => {}
            }
            transaction.execute_batch(SINCE_4)?;
        }
        SCHEMA => {}
        found => {
            return Err(StoreError::Newer {
                path: path.to_owned(),
                found,
            });
        }
    }
    transaction.pragma_update(None, "user_version", SCHEMA)?;
    transaction.commit()?;
    Ok(connection)
}

fn insert(connection: &Connection, run: &Run) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO run (id, launcher, task, confinement, opened, expires)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING",
    )?;
    statement.execute(params![
        run.id.to_string(),
        run.launcher.as_str(),
        run.task,
        run.confinement.as_str(),
        millis(run.time_box.opened),
        millis(run.time_box.expires),
    ])?;
    Ok(())
}

fn stored(row: &Row<'_>) -> Result<Stored, StoreError> {
    let id: String = row.get("id")?;
    let launcher: String = row.get("launcher")?;
    let confinement: String = row.get("confinement")?;
    let ending: Option<String> = row.get("ending")?;
    let ended: Option<i64> = row.get("ended")?;
    let run = Run {
        id: named(id, |text| text.parse().ok())?,
        launcher: named(launcher, |text| text.parse().ok())?,
        task: row.get("task")?,
        time_box: TimeBox {
            opened: time(row.get("opened")?),
            expires: time(row.get("expires")?),
        },
        confinement: named::<Confinement>(confinement, names::confinement)?,
        reason: None,
    };
    let ended = match (ending, ended) {
        (Some(ending), Some(ended)) => Some((named(ending, names::ending)?, time(ended))),
        _ => None,
    };
    Ok(Stored {
        run,
        ended,
        ended_by: row.get("ended_by")?,
        closed: row.get::<_, i64>("closed")? != 0,
        counts: Counts {
            allowed: row.get::<_, i64>("allowed")?.unsigned_abs(),
            denied: row.get::<_, i64>("denied")?.unsigned_abs(),
            masked: row.get::<_, i64>("masked")?.unsigned_abs(),
        },
    })
}

fn named<T>(text: String, read: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
    read(&text).ok_or(StoreError::Malformed(text))
}

fn millis(time: Time) -> i64 {
    count(time.millis())
}

fn time(millis: i64) -> Time {
    Time::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn run(number: u8) -> Run {
        let opened = Time::from_millis(1_700_000_000_000 + u64::from(number));
        Run {
            id: RunId::new(opened, [number; 10]),
            launcher: "human:a@localhost".parse().unwrap(),
            task: "t".into(),
            time_box: TimeBox {
                opened,
                expires: opened.after(Duration::from_secs(9)),
            },
            confinement: Confinement::Landlock,
            reason: None,
        }
    }

    #[tokio::test]
    async fn a_run_goes_from_open_to_ended_to_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        let store = Store::open(&path).unwrap();
        let (one, two) = (run(1), run(2));
        store.opened(&one).await.unwrap();
        store.opened(&two).await.unwrap();
        let end = Time::from_millis(1_700_000_005_000);
        let by = Some("human:b@localhost".to_owned());
        store
            .ended(one.id, Ending::Revoked, end, by.clone())
            .await
            .unwrap();
        // The first reason is the one that counts.
        store
            .ended(
                one.id,
                Ending::Expired,
                end.after(Duration::from_secs(1)),
                None,
            )
            .await
            .unwrap();
        let found = store.find(one.id).await.unwrap().unwrap();
        assert_eq!(found.run, one);
        assert_eq!(
            (found.ended, found.closed),
            (Some((Ending::Revoked, end)), false)
        );
        assert_eq!(found.ended_by, by);

        // It is still there after a restart.
        drop(store);
        let store = Store::open(&path).unwrap();
        let open = store.not_closed().await.unwrap();
        assert_eq!(
            open.iter().map(|stored| stored.run.id).collect::<Vec<_>>(),
            [two.id, one.id]
        );

        let counts = Counts {
            allowed: 3,
            denied: 2,
            masked: u64::MAX,
        };
        store
            .closed(&one, Ending::Revoked, end, counts)
            .await
            .unwrap();
        let listed = |which, limit| Listing {
            which,
            limit,
            ..Listing::default()
        };
        let ended = store.list(listed(Which::Ended, 10)).await.unwrap();
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].counts.denied, 2);
        assert!(ended[0].closed);
        assert_eq!(
            store.list(listed(Which::All, 1)).await.unwrap()[0].run.id,
            two.id
        );

        let mode = |name: &str| {
            let path = dir.path().join(name);
            fs::metadata(path).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode("state.sqlite"), 0o600);
        assert_eq!(mode("state.sqlite-wal"), 0o600);
    }

    #[tokio::test]
    async fn runs_of_an_older_version_are_there_and_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        let run = run(1);
        let store = Store::open(&path).unwrap();
        store.opened(&run).await.unwrap();
        drop(store);
        let older = Connection::open(&path).unwrap();
        older
            .execute_batch("ALTER TABLE run DROP COLUMN ended_by; PRAGMA user_version = 3")
            .unwrap();
        drop(older);
        let store = Store::open(&path).unwrap();
        let (by, end) = (Some("signal:first".to_owned()), run.time_box.expires);
        store
            .ended(run.id, Ending::Revoked, end, by.clone())
            .await
            .unwrap();
        let found = store.find(run.id).await.unwrap().unwrap();
        assert_eq!((found.run, found.ended_by), (run, by));
    }

    #[tokio::test]
    async fn a_newer_database_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        drop(Store::open(&path).unwrap());
        let connection = Connection::open(&path).unwrap();
        connection
            .pragma_update(None, "user_version", SCHEMA + 1)
            .unwrap();
        drop(connection);
        assert!(matches!(
            Store::open(&path),
            Err(StoreError::Newer { found, .. }) if found == SCHEMA + 1
        ));
    }
}
