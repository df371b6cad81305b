//! Searching the record.

use askama::Template;
use bailiwick_run::Time;

use super::layout::{Here, Layout};
use super::said;
use super::text::Text;
use super::words::{self, Moment, count, number};
use crate::api::{Answer, Hit};

/// A search and what it found.
#[derive(Template)]
#[template(path = "search.html")]
pub(crate) struct Page {
    layout: Layout,
    words: Text,
    run: Text,
    task: Text,
    launcher: Text,
    target: Text,
    since: Text,
    until: Text,
    denied: bool,
    is_filtered: bool,
    searched: &'static str,
    problem: Text,
    found: Option<Found>,
}

struct Found {
    headline: String,
    behind: String,
    hits: Vec<Row>,
    older: Option<String>,
}

struct Row {
    id: Text,
    run: Text,
    is_run: bool,
    class: &'static str,
    word: Text,
    what: Text,
    target: Text,
    task: Text,
    launcher: Text,
    reason: Text,
    time: Moment,
}

/// Where the words are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Searched {
    /// In records alone: nothing else can be searched.
    Records,
    /// In records alone, because of who looks.
    NotTheirs,
    /// In payloads, too.
    Payloads,
}

/// What somebody looks for, as they wrote it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    pub(crate) words: String,
    pub(crate) run: String,
    pub(crate) task: String,
    pub(crate) launcher: String,
    pub(crate) target: String,
    pub(crate) since: String,
    pub(crate) until: String,
    pub(crate) denied: String,
}

impl Asked {
    /// Nothing was asked yet.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    fn is_filtered(&self) -> bool {
        let Self {
            run,
            task,
            launcher,
            target,
            since,
            until,
            denied,
            ..
        } = self;
        [run, task, launcher, target, since, until, denied]
            .iter()
            .any(|text| !text.is_empty())
    }
}

impl Page {
    pub(crate) fn new(
        layout: Layout,
        asked: &Asked,
        answer: Option<Result<&Answer, String>>,
        searched: Searched,
        now: Time,
    ) -> Self {
        let (found, problem) = match answer {
            None => (None, String::new()),
            Some(Ok(answer)) => (Some(Found::of(asked, answer, now)), String::new()),
            Some(Err(problem)) => (None, problem),
        };
        Self {
            layout: Layout {
                here: Here::Search,
                ..layout
            },
            words: Text::whole(&asked.words),
            run: Text::whole(&asked.run),
            task: Text::whole(&asked.task),
            launcher: Text::whole(&asked.launcher),
            target: Text::whole(&asked.target),
            since: Text::whole(&asked.since),
            until: Text::whole(&asked.until),
            denied: !asked.denied.is_empty(),
            is_filtered: asked.is_filtered(),
            searched: match searched {
                Searched::Payloads => {
                    "Records are searched, and what agents wrote. That you look for words there is on record."
                }
                Searched::NotTheirs => {
                    "Records are searched. What agents wrote is searched for the role auditor."
                }
                Searched::Records => {
                    "Records are searched; statements and values stay encrypted, and are not."
                }
            },
            problem: Text::line(&problem),
            found,
        }
    }
}

impl Found {
    fn of(asked: &Asked, answer: &Answer, now: Time) -> Self {
        let hits: Vec<Row> = answer.hits.iter().map(|hit| Row::of(hit, now)).collect();
        let more = if answer.more { "More than " } else { "" };
        Self {
            headline: match hits.len() {
                0 => "Nothing was found".to_owned(),
                some => format!("{more}{}", count(some as u64, "record")),
            },
            behind: match answer.complete {
                true => String::new(),
                false => format!(
                    "The index is behind the log: this is from its first {}.",
                    count(answer.records, "record")
                ),
            },
            older: match (answer.more, answer.hits.last()) {
                (true, Some(last)) => Some(older(asked, last.time)),
                _ => None,
            },
            hits,
        }
    }
}

/// The same search before a moment.
fn older(asked: &Asked, before: Time) -> String {
    // What was at the same moment is shown again rather than left out.
    let before = Time::from_millis(before.millis().saturating_add(1)).to_string();
    let pairs = [
        ("words", &asked.words),
        ("run", &asked.run),
        ("task", &asked.task),
        ("launcher", &asked.launcher),
        ("target", &asked.target),
        ("since", &asked.since),
        ("denied", &asked.denied),
        ("until", &before),
    ];
    format!(
        "/search?{}",
        super::query(pairs.map(|(name, value)| (name, Some(value.as_str()))))
    )
}

impl Row {
    fn of(hit: &Hit, now: Time) -> Self {
        let class = match (hit.effect.as_deref(), hit.state.as_deref()) {
            (Some("allow") | None, Some("error" | "cut" | "indeterminate")) => "failed",
            (Some("allow"), _) => "allowed",
            (Some("hold"), _) => "held",
            (None, _) => "event",
            (Some(_), _) => "denied",
        };
        let (word, what) = match hit.r#type.as_str() {
            _ if hit.verb.is_some() => ("", said::actions(hit.verb.as_deref(), &hit.actions)),
            "call.finished" => ("outcome", outcome(hit)),
            "login.denied" => ("access", String::new()),
            "run.opened" => ("opened", String::new()),
            "run.closed" => (
                "ended",
                words::ending(hit.state.as_deref().unwrap_or_default()).to_owned(),
            ),
            other => (other, hit.state.clone().unwrap_or_default()),
        };
        let what = match what.is_empty() {
            true => format!("record {}", hit.seq),
            false => what,
        };
        Self {
            id: Text::line(&hit.id),
            run: Text::line(&hit.run),
            is_run: hit.run != "gateway",
            class,
            word: Text::line(word),
            what: Text::line(&what),
            target: Text::line(hit.target.as_deref().unwrap_or_default()),
            task: Text::line(hit.task.as_deref().unwrap_or_default()),
            launcher: Text::line(hit.launcher.as_deref().unwrap_or_default()),
            reason: Text::line(hit.reason.as_deref().unwrap_or_default()),
            time: Moment::new(hit.time, now),
        }
    }
}

fn outcome(hit: &Hit) -> String {
    let mut parts: Vec<String> = hit.state.iter().chain(&hit.error).cloned().collect();
    if let Some(rows) = hit.rows.filter(|rows| *rows > 0) {
        parts.push(count(rows, "row"));
    }
    if let Some(masked) = hit.masked.filter(|masked| *masked > 0) {
        parts.push(format!("{} masked", number(masked)));
    }
    parts.join(", ")
}
