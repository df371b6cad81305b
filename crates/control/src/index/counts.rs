//! What the records come to: counted as they are taken in, and counted down as they are pruned, so that what
//! people look at first costs the same however long the log is.

use std::collections::BTreeMap;

use rusqlite::{Transaction, params};

use super::file::IndexError;
use super::row::{Row, SIGNAL};

/// The lengths of the buckets of calls over time, in seconds.
pub(super) const SPANS: [u64; 3] = [1, 60, 3600];

pub(super) const TABLES: &str = "
    CREATE TABLE chain (
        run      TEXT PRIMARY KEY,
        launcher TEXT,
        task     TEXT,
        records  INTEGER NOT NULL,
        denied   INTEGER NOT NULL,
        newest   INTEGER               -- the number of its newest incident
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX chain_newest ON chain (newest) WHERE newest IS NOT NULL;
    CREATE TABLE chain_target (
        run      TEXT    NOT NULL,
        target   TEXT    NOT NULL,     -- '' for records that have none
        records  INTEGER NOT NULL,
        allowed  INTEGER NOT NULL,
        denied   INTEGER NOT NULL,
        held     INTEGER NOT NULL,
        masked   INTEGER NOT NULL,
        newest   INTEGER,
        PRIMARY KEY (run, target)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX chain_target_newest ON chain_target (target, newest) WHERE newest IS NOT NULL;
    CREATE TABLE used (
        run      TEXT    NOT NULL,
        policy   TEXT    NOT NULL,
        calls    INTEGER NOT NULL,     -- that it allowed
        PRIMARY KEY (run, policy)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE verified (
        run      TEXT PRIMARY KEY,
        record   INTEGER NOT NULL,     -- the number of the newest run.verified about it
        broken   INTEGER NOT NULL      -- 1 if that has found something wrong
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX verified_broken ON verified (record) WHERE broken = 1;
    CREATE TABLE activity (
        span     INTEGER NOT NULL,     -- the length of a bucket, in seconds
        start    INTEGER NOT NULL,     -- its begin, in seconds since the Unix epoch
        allowed  INTEGER NOT NULL,
        denied   INTEGER NOT NULL,
        held     INTEGER NOT NULL,
        PRIMARY KEY (span, start)
    ) STRICT, WITHOUT ROWID;
";

/// After the records from ?1 up to ?2 are gone: what was the newest of them is so no more.
const RENEW: [&str; 2] = [
    "UPDATE chain SET newest = (
         SELECT max(id) FROM record WHERE run = chain.run
         AND (effect = 'deny' OR type = 'signal.raised')
     ) WHERE newest >= ?1 AND newest < ?2",
    "UPDATE chain_target SET newest = (
         SELECT max(id) FROM record WHERE run = chain_target.run
         AND ifnull(target, '') = chain_target.target
         AND (effect = 'deny' OR type = 'signal.raised')
     ) WHERE newest >= ?1 AND newest < ?2",
];

/// Of what nothing is left.
const NOTHING: &str = "
    DELETE FROM chain WHERE records = 0;
    DELETE FROM chain_target WHERE records = 0;
    DELETE FROM used WHERE calls = 0;
    DELETE FROM activity WHERE allowed = 0 AND denied = 0 AND held = 0;
";

/// What some records come to.
#[derive(Debug, Default)]
pub(super) struct Counts {
    chains: BTreeMap<String, Chain>,
    /// By the length of the bucket and its begin, in seconds.
    activity: BTreeMap<(u64, u64), Calls>,
}

#[derive(Debug, Default)]
struct Chain {
    launcher: Option<String>,
    task: Option<String>,
    records: i64,
    denied: i64,
    newest: Option<i64>,
    targets: BTreeMap<String, Target>,
    used: BTreeMap<String, i64>,
}

#[derive(Debug, Default)]
struct Target {
    records: i64,
    calls: Calls,
    masked: i64,
    newest: Option<i64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    allowed: i64,
    denied: i64,
    held: i64,
}

impl Calls {
    fn one(effect: Option<&str>) -> Self {
        let is = |wanted| i64::from(effect == Some(wanted));
        Self {
            allowed: is("allow"),
            denied: is("deny"),
            held: is("hold"),
        }
    }

    fn add(&mut self, other: Self) {
        self.allowed += other.allowed;
        self.denied += other.denied;
        self.held += other.held;
    }
}

/// What of a record is counted.
struct Counted<'r> {
    number: i64,
    r#type: &'r str,
    /// In milliseconds.
    time: u64,
    run: &'r str,
    launcher: Option<&'r str>,
    task: Option<&'r str>,
    target: Option<&'r str>,
    effect: Option<&'r str>,
    policies: &'r [String],
    masked: Option<i64>,
}

impl Counts {
    /// Counts a record that is taken in.
    pub(super) fn take(&mut self, row: &Row) {
        self.count(&Counted {
            number: number(row.number),
            r#type: &row.r#type,
            time: row.time,
            run: &row.run,
            launcher: row.launcher.as_deref(),
            task: row.task.as_deref(),
            target: row.target.as_deref(),
            effect: row.effect.as_deref(),
            policies: &row.policies,
            masked: row.masked.map(number),
        });
    }

    fn count(&mut self, record: &Counted<'_>) {
        let calls = Calls::one(record.effect);
        let incident = calls.denied > 0 || record.r#type == SIGNAL;
        let newest = incident.then_some(record.number);
        let chain = entry(&mut self.chains, record.run);
        if chain.records == 0 {
            chain.launcher = record.launcher.map(str::to_owned);
            chain.task = record.task.map(str::to_owned);
        }
        chain.records += 1;
        chain.denied += calls.denied;
        chain.newest = chain.newest.max(newest);
        let target = entry(&mut chain.targets, record.target.unwrap_or_default());
        target.records += 1;
        target.calls.add(calls);
        target.masked += record.masked.unwrap_or_default();
        target.newest = target.newest.max(newest);
        for policy in record.policies {
            *entry(&mut chain.used, policy) += 1;
        }
        if record.effect.is_some() {
            let seconds = record.time / 1000;
            for span in SPANS {
                let bucket = (span, seconds - seconds % span);
                self.activity.entry(bucket).or_default().add(calls);
            }
        }
    }

    /// Adds all of it to what is counted.
    pub(super) fn add(self, transaction: &Transaction<'_>) -> Result<(), IndexError> {
        self.write(transaction, 1)
    }

    /// Adds it `times` times: once, or once less.
    fn write(self, transaction: &Transaction<'_>, times: i64) -> Result<(), IndexError> {
        let mut chains = transaction.prepare_cached(
            "INSERT INTO chain VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET
             records = records + excluded.records,
             denied = denied + excluded.denied,
             newest = coalesce(max(newest, excluded.newest), newest, excluded.newest)",
        )?;
        let mut targets = transaction.prepare_cached(
            "INSERT INTO chain_target VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET
             records = records + excluded.records,
             allowed = allowed + excluded.allowed,
             denied = denied + excluded.denied,
             held = held + excluded.held,
             masked = masked + excluded.masked,
             newest = coalesce(max(newest, excluded.newest), newest, excluded.newest)",
        )?;
        let mut used = transaction.prepare_cached(
            "INSERT INTO used VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET
             calls = calls + excluded.calls",
        )?;
        let mut activity = transaction.prepare_cached(
            "INSERT INTO activity VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET
             allowed = allowed + excluded.allowed,
             denied = denied + excluded.denied,
             held = held + excluded.held",
        )?;
        for (run, chain) in self.chains {
            let (records, denied) = (times * chain.records, times * chain.denied);
            chains.execute(params![
                run,
                chain.launcher,
                chain.task,
                records,
                denied,
                chain.newest
            ])?;
            for (target, count) in chain.targets {
                targets.execute(params![
                    run,
                    target,
                    times * count.records,
                    times * count.calls.allowed,
                    times * count.calls.denied,
                    times * count.calls.held,
                    times * count.masked,
                    count.newest,
                ])?;
            }
            for (policy, calls) in chain.used {
                used.execute(params![run, policy, times * calls])?;
            }
        }
        for ((span, start), calls) in self.activity {
            activity.execute(params![
                number(span),
                number(start),
                times * calls.allowed,
                times * calls.denied,
                times * calls.held,
            ])?;
        }
        Ok(())
    }
}

/// Counts the records from `first` up to `before` down, and has `remove` take them out.
pub(super) fn subtract(
    transaction: &Transaction<'_>,
    first: i64,
    before: i64,
    remove: impl FnOnce() -> Result<(), IndexError>,
) -> Result<(), IndexError> {
    counted(transaction, first, before)?.write(transaction, -1)?;
    remove()?;
    // Those before a newest one that is gone are gone, too.
    transaction.execute(
        "DELETE FROM verified WHERE record >= ?1 AND record < ?2",
        [first, before],
    )?;
    for renew in RENEW {
        transaction.execute(renew, [first, before])?;
    }
    transaction.execute_batch(NOTHING)?;
    Ok(())
}

/// What these records come to, out of the index.
fn counted(transaction: &Transaction<'_>, first: i64, before: i64) -> Result<Counts, IndexError> {
    let mut counts = Counts::default();
    let mut records = transaction.prepare(
        "SELECT id, type, time, run, launcher, task, target, effect, policies, masked
         FROM record WHERE id >= ?1 AND id < ?2",
    )?;
    let mut records = records.query([first, before])?;
    while let Some(record) = records.next()? {
        let text = |at| Ok::<_, IndexError>(record.get_ref(at)?.as_str_or_null().ok().flatten());
        let policies = text(8)?.map(serde_json::from_str).and_then(Result::ok);
        let policies: Vec<String> = policies.unwrap_or_default();
        counts.count(&Counted {
            number: record.get(0)?,
            r#type: text(1)?.unwrap_or_default(),
            time: record.get::<_, i64>(2)?.unsigned_abs(),
            run: text(3)?.unwrap_or_default(),
            launcher: text(4)?,
            task: text(5)?,
            target: text(6)?,
            effect: text(7)?,
            policies: &policies,
            masked: record.get(9)?,
        });
    }
    Ok(counts)
}

/// The entry of this name, made if it is not there.
fn entry<'m, T: Default>(map: &'m mut BTreeMap<String, T>, name: &str) -> &'m mut T {
    map.entry(name.to_owned()).or_default()
}

/// Numbers of a record are below 2^53.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
