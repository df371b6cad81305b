//! Asking the index.

use std::path::Path;
use std::time::Instant;

use bailiwick_run::{RunId, Time};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, Row, params_from_iter};

use super::file::{self, IndexError};
use crate::api::{Hit, Search};
use crate::limits::{
    SEARCH_HITS, SEARCH_HITS_MAX, SEARCH_TIME_MAX, SEARCH_WORDS_BYTES_MAX, SEARCH_WORDS_MAX,
};

/// How many of SQLite's steps go by before the time is looked at.
const STEPS: i32 = 10_000;

pub(super) const COLUMNS: &str = "record.place, record.type, record.time, record.run, record.seq, \
    record.launcher, record.task, record.target, record.verb, record.actions, record.effect, \
    record.reason, record.remedy, record.state, record.error, record.rows, record.masked";

/// Those of one run.
const OF_RUN: &str = "record.run = ?";

/// Why a search cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAQuery {
    /// Too many bytes.
    #[error(
        "the words to search for are {0} bytes long; at most {SEARCH_WORDS_BYTES_MAX} are taken"
    )]
    TooLong(usize),
    /// Too many words.
    #[error("there are more than {SEARCH_WORDS_MAX} words to search for; take fewer")]
    TooMany,
    /// Nothing that is in an index.
    #[error("`{0}` has no letter or digit to search for")]
    NoWord(String),
    /// No chain.
    #[error("`{0}` is neither a run's id nor `gateway`")]
    NoRun(String),
}

/// A search that can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// What SQLite's full-text search gets. Nothing where any record will do.
    words: Option<String>,
    /// Whether the words may be those of payloads.
    payloads: bool,
    conditions: Vec<(&'static str, Text)>,
    denied: bool,
    limit: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Text(String),
    Moment(Time),
}

/// What was found, and how many records of the log were looked at.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) hits: Vec<Hit>,
    pub(super) more: bool,
    pub(super) records: u64,
}

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
pub(super) enum QueryError {
    #[error("it took too long")]
    TooSlow,
    #[error(transparent)]
    Index(IndexError),
}

impl From<IndexError> for QueryError {
    fn from(error: IndexError) -> Self {
        match error {
            IndexError::Sqlite(error)
                if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) =>
            {
                Self::TooSlow
            }
            error => Self::Index(error),
        }
    }
}

/// Gives up what is asked on this connection when it takes too long.
pub(super) fn limit(connection: &Connection) -> Result<(), IndexError> {
    let begun = Instant::now();
    let over = move || begun.elapsed() > SEARCH_TIME_MAX;
    connection.progress_handler(STEPS, Some(over))?;
    Ok(())
}

impl Query {
    /// Reads what somebody asks for: records that are found by their own words.
    pub(crate) fn new(search: Search) -> Result<Self, NotAQuery> {
        let mut conditions = Vec::new();
        let mut condition = |sql, text: Option<String>| {
            conditions.extend(text.map(|text| (sql, Text::Text(text))));
        };
        if let Some(run) = &search.run
            && run != "gateway"
            && run.parse::<RunId>().is_err()
        {
            return Err(NotAQuery::NoRun(run.clone()));
        }
        condition(OF_RUN, search.run);
        condition("record.task = ?", search.task);
        condition("record.launcher = ?", search.launcher);
        condition("record.target = ?", search.target);
        let mut condition = |sql, moment: Option<Time>| {
            conditions.extend(moment.map(|moment| (sql, Text::Moment(moment))));
        };
        condition("record.time >= ?", search.since);
        condition("record.time < ?", search.until);
        Ok(Self {
            words: words(search.words.as_deref().unwrap_or_default())?,
            payloads: false,
            conditions,
            denied: search.denied,
            limit: search.limit.unwrap_or(SEARCH_HITS).min(SEARCH_HITS_MAX),
        })
    }

    /// Whether it is by words at all.
    pub(crate) fn has_words(&self) -> bool {
        self.words.is_some()
    }

    /// The same, and by words of payloads, too: for somebody who may see payloads. Whoever can ask for one word
    /// after another learns what is written.
    pub(crate) fn with_payloads(self) -> Self {
        Self {
            payloads: true,
            ..self
        }
    }

    /// Searches, the newest record first. Waits for the disk.
    pub(super) fn run(&self, path: &Path) -> Result<Found, QueryError> {
        let connection = file::open_to_read(path)?;
        limit(&connection)?;
        Ok(self.find(connection)?)
    }

    fn find(&self, mut connection: Connection) -> Result<Found, IndexError> {
        // Hits and position out of one state of the index.
        let transaction = connection.transaction()?;
        let position = "SELECT records FROM position";
        let records: i64 = transaction.query_row(position, [], |row| row.get(0))?;
        let (sql, values) = self.sql();
        let mut hits: Vec<Hit> = transaction
            .prepare(&sql)?
            .query_map(params_from_iter(values), hit)?
            .collect::<Result<_, _>>()?;
        let more = hits.len() > self.limit as usize;
        hits.truncate(self.limit as usize);
        Ok(Found {
            hits,
            more,
            records: records.unsigned_abs(),
        })
    }

    fn sql(&self) -> (String, Vec<Value>) {
        let mut values = Vec::new();
        let mut conditions = Vec::new();
        // The order of the tables is fixed: rows come from the first by falling number, and the search
        // stops at the limit.
        let from = match &self.words {
            None => "record",
            Some(words) => {
                conditions.push("words MATCH ?");
                values.push(Value::Text(match self.payloads {
                    true => words.clone(),
                    false => format!("{{record}} : ({words})"),
                }));
                "words CROSS JOIN record ON record.id = words.rowid"
            }
        };
        for (condition, value) in &self.conditions {
            conditions.push(condition);
            values.push(match value {
                Text::Text(text) => Value::Text(text.clone()),
                Text::Moment(time) => {
                    Value::Integer(i64::try_from(time.millis()).unwrap_or(i64::MAX))
                }
            });
        }
        if self.denied {
            conditions.push("record.effect = 'deny'");
        }
        if conditions.is_empty() {
            conditions.push("TRUE");
        }
        let of_run = self.conditions.iter().find(|(sql, _)| *sql == OF_RUN);
        let of_gateway = |run: &Text| matches!(run, Text::Text(run) if run == "gateway");
        let order = match (&self.words, of_run) {
            // Every log has a chain of the gateway's own, with numbers of its own. They are few, and sorted.
            (None, Some((_, run))) if of_gateway(run) => "+record.id",
            // The same order; of one run the index knows it.
            (None, Some(_)) => "record.seq",
            (None, None) => "record.id",
            (Some(_), _) => "words.rowid",
        };
        values.push(Value::Integer(i64::from(self.limit) + 1));
        let conditions = conditions.join(" AND ");
        let sql = format!(
            "SELECT {COLUMNS} FROM {from} WHERE {conditions} ORDER BY {order} DESC LIMIT ?"
        );
        (sql, values)
    }
}

/// The words as SQLite's full-text search takes them: each in quotes, so that nothing in it is an
/// operator. Only a star at a word's end means something, any rest of the word.
fn words(text: &str) -> Result<Option<String>, NotAQuery> {
    if text.len() > SEARCH_WORDS_BYTES_MAX {
        return Err(NotAQuery::TooLong(text.len()));
    }
    let mut terms = Vec::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        let bare = word.trim_end_matches('*');
        if !bare.contains(char::is_alphanumeric) {
            continue;
        }
        let star = if bare.len() < word.len() { " *" } else { "" };
        terms.push(format!("\"{}\"{star}", bare.replace('"', "\"\"")));
    }
    match terms.len() {
        0 if text.trim().is_empty() => Ok(None),
        0 => Err(NotAQuery::NoWord(text.trim().to_owned())),
        1..=SEARCH_WORDS_MAX => Ok(Some(terms.join(" "))),
        _ => Err(NotAQuery::TooMany),
    }
}

pub(super) fn hit(row: &Row<'_>) -> Result<Hit, rusqlite::Error> {
    let number = |name| row.get::<_, i64>(name).map(i64::unsigned_abs);
    let some_number = |name| {
        let value: Option<i64> = row.get(name)?;
        Ok::<_, rusqlite::Error>(value.map(i64::unsigned_abs))
    };
    let run: String = row.get("run")?;
    let seq = number("seq")?;
    let actions: String = row.get("actions")?;
    Ok(Hit {
        id: format!("{run}/{seq}"),
        index: number("place")?,
        r#type: row.get("type")?,
        time: Time::from_millis(number("time")?),
        run,
        seq,
        launcher: row.get("launcher")?,
        task: row.get("task")?,
        target: row.get("target")?,
        verb: row.get("verb")?,
        actions: serde_json::from_str(&actions).unwrap_or_default(),
        effect: row.get("effect")?,
        reason: row.get("reason")?,
        remedy: row.get("remedy")?,
        state: row.get("state")?,
        error: row.get("error")?,
        rows: some_number("rows")?,
        masked: some_number("masked")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_words_not_operators() {
        for (text, expected) in [
            ("delete FROM", r#""delete" "FROM""#),
            ("invoi* x", r#""invoi" * "x""#),
            ("a AND NOT b", r#""a" "AND" "NOT" "b""#),
            (r#"say "hi" payload:x"#, r#""say" """hi""" "payload:x""#),
            ("NEAR(a b, 2) ^c -d", r#""NEAR(a" "b," "2)" "^c" "-d""#),
            ("* -- a", r#""a""#),
            ("a\0b", r#""a" "b""#),
            ("a**", r#""a" *"#),
        ] {
            assert_eq!(words(text).unwrap().as_deref(), Some(expected), "{text}");
        }
        assert_eq!(words(" \t"), Ok(None));
        assert_eq!(words("-- *"), Err(NotAQuery::NoWord("-- *".into())));
        assert_eq!(
            words(&"a ".repeat(SEARCH_WORDS_MAX + 1)),
            Err(NotAQuery::TooMany)
        );
        let long = "a".repeat(SEARCH_WORDS_BYTES_MAX + 1);
        assert_eq!(words(&long), Err(NotAQuery::TooLong(long.len())));
    }
}
