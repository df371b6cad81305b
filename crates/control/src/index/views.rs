//! Questions of pages, answered from what was counted.

use std::collections::BTreeMap;

use bailiwick_run::RunId;
use rusqlite::types::Value;
use rusqlite::{Row, Transaction, params, params_from_iter};

use super::counts::SPANS;
use super::file::IndexError;
use super::query::{COLUMNS, hit};
use super::{Index, SearchError};
use crate::api::{Hit, Incident, IncidentQuery, Part};
use crate::limits::INCIDENTS_OF_RUN;
use crate::view::Chain;

/// Chains with incidents, the one with the newest first.
pub(crate) struct Found {
    pub(crate) chains: Vec<ChainIncidents>,
    pub(crate) next: Option<u64>,
    pub(crate) records: u64,
}

/// What was denied in one chain.
pub(crate) struct ChainIncidents {
    chain: String,
    /// The number of its newest incident.
    number: i64,
    pub(crate) task: Option<String>,
    pub(crate) launcher: Option<String>,
    pub(crate) denied: u64,
    pub(crate) newest: Vec<Incident>,
}

impl ChainIncidents {
    /// The run whose chain it is; nothing for the gateway's own.
    pub(crate) fn id(&self) -> Option<RunId> {
        self.chain.parse().ok()
    }
}

/// Where records of a chain are.
#[derive(Debug)]
pub(crate) struct Place {
    /// Their numbers over all logs, and in their chain, in order.
    pub(crate) numbers: Vec<(u64, u64)>,
    /// Whether the index has any record of the chain.
    pub(crate) known: bool,
    /// How many records are in the index: what it does not have is from this number on.
    pub(crate) records: u64,
}

/// What a run did, counted.
#[derive(Debug, Default)]
pub(crate) struct ChainCounts {
    /// Calls that each policy allowed.
    pub(crate) used: BTreeMap<String, u64>,
    /// Values masked, by target.
    pub(crate) masked: BTreeMap<String, u64>,
}

/// A time in parts of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spans {
    /// The begin, in milliseconds since the Unix epoch.
    pub(crate) since: u64,
    /// The length of the buckets that are added up, in seconds.
    span: u64,
    /// How many buckets are one part.
    buckets: u64,
    parts: u64,
}

impl Spans {
    /// At least the time from `since` to `until`, in about so many parts, never more than one more. They begin
    /// where seconds, minutes or hours do, whichever of those the parts are not shorter than.
    pub(crate) fn new(since: u64, until: u64, parts: u32) -> Self {
        let length = until
            .saturating_sub(since)
            .div_ceil(u64::from(parts).max(1));
        let spans = SPANS.into_iter().rev();
        let span = spans
            .filter(|span| span * 1000 <= length)
            .max()
            .unwrap_or(1);
        let bucket = span * 1000;
        let since = since - since % bucket;
        let buckets = length.div_ceil(bucket).max(1);
        Self {
            since,
            span,
            buckets,
            parts: until.saturating_sub(since).div_ceil(buckets * bucket),
        }
    }

    /// The end, in milliseconds since the Unix epoch.
    pub(crate) fn until(&self) -> u64 {
        self.since
            .saturating_add(self.length().saturating_mul(self.parts))
    }

    /// Of one part, in milliseconds.
    fn length(&self) -> u64 {
        self.buckets.saturating_mul(self.span * 1000)
    }

    /// Adds up what is counted by moment.
    fn gather(
        &self,
        counted: impl Iterator<Item = Result<(u64, Part), rusqlite::Error>>,
    ) -> Result<Vec<Part>, IndexError> {
        let mut parts = vec![Part::default(); usize::try_from(self.parts).unwrap_or(0)];
        for counted in counted {
            let (moment, count) = counted?;
            let place = moment.saturating_sub(self.since) / self.length().max(1);
            let part = usize::try_from(place)
                .ok()
                .and_then(|place| parts.get_mut(place));
            if let Some(part) = part {
                part.allowed += count.allowed;
                part.denied += count.denied;
                part.held += count.held;
            }
        }
        Ok(parts)
    }
}

impl Index {
    /// Chains with incidents.
    pub(crate) async fn incidents(
        &self,
        query: IncidentQuery,
        limit: u32,
    ) -> Result<Found, SearchError> {
        self.look(move |index| incidents(index, &query, limit))
            .await
    }

    /// Calls over time, of all runs or of one.
    pub(crate) async fn activity(
        &self,
        run: Option<RunId>,
        spans: Spans,
    ) -> Result<Vec<Part>, SearchError> {
        let look = move |index: &Transaction<'_>| match run {
            None => activity(index, spans),
            Some(run) => activity_of(index, run, spans),
        };
        self.look(look).await
    }

    /// Where the records of a chain after this one are, the first of them, among those from a number on.
    pub(crate) async fn place(
        &self,
        chain: Chain,
        after: u64,
        at_most: usize,
        from: u64,
    ) -> Result<Place, SearchError> {
        self.look(move |index| place(index, chain, after, at_most, from))
            .await
    }

    /// The number of a run's newest record.
    pub(crate) async fn last_of(&self, run: RunId) -> Result<Option<u64>, SearchError> {
        let sql = "SELECT id FROM record WHERE run = ?1 ORDER BY seq DESC, id DESC LIMIT 1";
        let look = move |index: &Transaction<'_>| numbers(index, sql, [run.to_string()]);
        Ok(self.look(look).await?.pop())
    }

    /// The number of the newest `run.verified` about a run.
    pub(crate) async fn verified(&self, run: RunId) -> Result<Option<u64>, SearchError> {
        let sql = "SELECT record FROM verified WHERE run = ?1";
        let look = move |index: &Transaction<'_>| numbers(index, sql, [run.to_string()]);
        Ok(self.look(look).await?.pop())
    }

    /// The numbers of those that have found something wrong, the newest first.
    pub(crate) async fn unverified(&self, limit: u32) -> Result<Vec<u64>, SearchError> {
        let sql = "SELECT record FROM verified WHERE broken = 1 ORDER BY record DESC LIMIT ?1";
        self.look(move |index| numbers(index, sql, [limit])).await
    }

    /// What a run did.
    pub(crate) async fn chain_counts(&self, run: RunId) -> Result<ChainCounts, SearchError> {
        self.look(move |index| chain_counts(index, run)).await
    }
}

fn records(index: &Transaction<'_>) -> Result<u64, rusqlite::Error> {
    let records = index.query_row("SELECT records FROM position", [], |row| row.get(0));
    records.map(i64::unsigned_abs)
}

fn numbers(
    index: &Transaction<'_>,
    sql: &str,
    of: impl rusqlite::Params,
) -> Result<Vec<u64>, IndexError> {
    let mut statement = index.prepare(sql)?;
    let numbers = statement.query_map(of, |row| row.get::<_, i64>(0).map(i64::unsigned_abs))?;
    Ok(numbers.collect::<Result<_, _>>()?)
}

fn place(
    index: &Transaction<'_>,
    chain: Chain,
    after: u64,
    at_most: usize,
    from: u64,
) -> Result<Place, IndexError> {
    let chain = chain.to_string();
    let known = "SELECT EXISTS (SELECT 1 FROM chain WHERE run = ?1)";
    let sql = "SELECT id, seq FROM record WHERE run = ?1 AND seq > ?2 AND id >= ?4 \
         ORDER BY seq, id DESC LIMIT ?3";
    let mut statement = index.prepare(sql)?;
    let after = params![chain, number(after), number(at_most as u64), number(from)];
    let numbers = statement.query_map(after, |row| {
        let number = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
        Ok((number(0)?, number(1)?))
    })?;
    Ok(Place {
        numbers: numbers.collect::<Result<_, _>>()?,
        known: index.query_row(known, [&chain], |row| row.get(0))?,
        records: records(index)?,
    })
}

fn incidents(
    index: &Transaction<'_>,
    query: &IncidentQuery,
    limit: u32,
) -> Result<Found, IndexError> {
    let records = records(index)?;
    let counted = match &query.target {
        None => "chain",
        Some(_) => "chain_target",
    };
    let mut conditions = vec![format!("{counted}.newest IS NOT NULL")];
    let mut values = Vec::new();
    let mut condition = |column: &str, sign: &str, value: Option<Value>| {
        if let Some(value) = value {
            conditions.push(format!("{column} {sign} ?"));
            values.push(value);
        }
    };
    let text = |text: &Option<String>| text.clone().map(Value::Text);
    let before = query.before.map(|before| Value::Integer(number(before)));
    condition(&format!("{counted}.newest"), "<", before);
    condition("chain.task", "=", text(&query.task));
    condition("chain.launcher", "=", text(&query.launcher));
    condition("chain_target.target", "=", text(&query.target));
    let from = match &query.target {
        None => "chain",
        Some(_) => "chain_target CROSS JOIN chain USING (run)",
    };
    let conditions = conditions.join(" AND ");
    let sql = format!(
        "SELECT run, task, launcher, {counted}.denied, {counted}.newest FROM {from} \
         WHERE {conditions} ORDER BY {counted}.newest DESC LIMIT ?"
    );
    values.push(Value::Integer(i64::from(limit) + 1));
    let chain = |row: &Row<'_>| {
        Ok(ChainIncidents {
            chain: row.get(0)?,
            task: row.get(1)?,
            launcher: row.get(2)?,
            denied: row.get::<_, i64>(3)?.unsigned_abs(),
            number: row.get(4)?,
            newest: Vec::new(),
        })
    };
    let mut chains: Vec<ChainIncidents> = index
        .prepare(&sql)?
        .query_map(params_from_iter(values), chain)?
        .collect::<Result<_, _>>()?;
    let more = chains.len() > limit as usize;
    chains.truncate(limit as usize);
    let at_target = match &query.target {
        None => "?3 IS NULL",
        Some(_) => "record.target = ?3",
    };
    let newest = format!(
        "SELECT {COLUMNS} FROM record WHERE record.run = ?1 \
         AND (effect = 'deny' OR type = 'signal.raised') AND {at_target} \
         ORDER BY record.id DESC LIMIT ?2"
    );
    let mut newest = index.prepare(&newest)?;
    for chain in &mut chains {
        let of_chain = params![chain.chain, INCIDENTS_OF_RUN, query.target];
        let found = newest.query_map(of_chain, hit)?;
        chain.newest = found
            .map(|hit| hit.map(incident))
            .collect::<Result<_, _>>()?;
    }
    let last = chains.last().filter(|_| more);
    Ok(Found {
        next: last.map(|chain| chain.number.unsigned_abs()),
        chains,
        records,
    })
}

fn incident(hit: Hit) -> Incident {
    Incident {
        id: hit.id,
        kind: hit.r#type,
        time: hit.time,
        target: hit.target,
        verb: hit.verb,
        actions: hit.actions,
        reason: hit.reason,
        remedy: hit.remedy,
    }
}

fn activity(index: &Transaction<'_>, spans: Spans) -> Result<Vec<Part>, IndexError> {
    let sql = "SELECT start, allowed, denied, held FROM activity \
         WHERE span = ?1 AND start >= ?2 AND start < ?3";
    let of_time = [spans.span, spans.since / 1000, spans.until() / 1000];
    let mut statement = index.prepare(sql)?;
    let counted = statement.query_map(of_time.map(number), |row| {
        let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let part = Part {
            allowed: count(1)?,
            denied: count(2)?,
            held: count(3)?,
        };
        Ok((count(0)? * 1000, part))
    })?;
    spans.gather(counted)
}

fn activity_of(index: &Transaction<'_>, run: RunId, spans: Spans) -> Result<Vec<Part>, IndexError> {
    // All that it asks for is in the index by run.
    let sql = "SELECT time, effect FROM record WHERE run = ?1 AND effect IS NOT NULL \
         AND time >= ?2 AND time < ?3";
    let mut statement = index.prepare(sql)?;
    let of_time = params![run.to_string(), number(spans.since), number(spans.until())];
    let counted = statement.query_map(of_time, |row| {
        let mut part = Part::default();
        match row.get_ref(1)?.as_bytes()? {
            b"allow" => part.allowed = 1,
            b"hold" => part.held = 1,
            _ => part.denied = 1,
        }
        Ok((row.get::<_, i64>(0)?.unsigned_abs(), part))
    })?;
    spans.gather(counted)
}

fn chain_counts(index: &Transaction<'_>, run: RunId) -> Result<ChainCounts, IndexError> {
    let counts = |sql| {
        let mut statement = index.prepare(sql)?;
        let counts = statement.query_map([run.to_string()], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
        })?;
        counts.collect::<Result<BTreeMap<_, _>, _>>()
    };
    let masked = "SELECT target, masked FROM chain_target WHERE run = ? AND masked > 0";
    Ok(ChainCounts {
        used: counts("SELECT policy, calls FROM used WHERE run = ?")?,
        masked: counts(masked)?,
    })
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
