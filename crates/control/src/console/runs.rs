//! Runs, live and past.

use askama::Template;
use bailiwick_run::{RunId, Time};

use super::layout::{Here, Layout, Watch};
use super::text::Text;
use super::words::{self, Moment, Standing, TimeBox, count, number};
use crate::api::Summary;

/// Runs, the newest first.
#[derive(Template)]
#[template(path = "runs.html")]
pub(crate) struct Page {
    layout: Layout,
    headline: String,
    states: Vec<Choice>,
    task: Text,
    launcher: Text,
    text: Text,
    is_filtered: bool,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Choice {
    value: &'static str,
    words: &'static str,
    is_current: bool,
}

struct Row {
    run: String,
    task: Text,
    launcher: Text,
    standing: Standing,
    why: String,
    time_box: TimeBox,
    opened: Moment,
    denied: u64,
    allowed: String,
    masked: String,
}

/// What somebody looks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// `open`, `ended`, or any.
    pub(crate) state: String,
    pub(crate) task: String,
    pub(crate) launcher: String,
    pub(crate) text: String,
}

impl Filter {
    /// What a link has to say again.
    fn query(&self) -> String {
        let Self {
            state,
            task,
            launcher,
            text,
        } = self;
        let pairs = [
            ("state", state),
            ("task", task),
            ("launcher", launcher),
            ("text", text),
        ];
        super::query(pairs.map(|(name, value)| (name, Some(value.as_str()))))
    }
}

/// The states that can be chosen, and their words.
const STATES: [(&str, &str); 3] = [("", "Any"), ("open", "Alive"), ("ended", "Ended")];

impl Page {
    pub(crate) fn new(
        layout: Layout,
        runs: &[Summary],
        filter: &Filter,
        next: Option<RunId>,
        now: Time,
    ) -> Self {
        let rows: Vec<Row> = runs.iter().map(|run| Row::of(run, now)).collect();
        let is_filtered = *filter != Filter::default();
        let alive = layout.alive;
        Self {
            headline: match (is_filtered, alive) {
                (true, _) if next.is_some() => {
                    format!("More than {}", count(rows.len() as u64, "run"))
                }
                (true, _) => count(rows.len() as u64, "run"),
                (false, 0) => "No run is alive".to_owned(),
                (false, 1) => "One run is alive".to_owned(),
                (false, many) => format!("{} runs are alive", number(many)),
            },
            layout: Layout {
                here: Here::Runs,
                watch: Watch::All,
                ..layout
            },
            states: (STATES.iter())
                .map(|(value, words)| Choice {
                    value,
                    words,
                    is_current: *value == filter.state,
                })
                .collect(),
            task: Text::whole(&filter.task),
            launcher: Text::whole(&filter.launcher),
            text: Text::whole(&filter.text),
            is_filtered,
            rows,
            next: next.map(|next| format!("/runs?{}before={next}", filter.query())),
        }
    }
}

impl Row {
    fn of(run: &Summary, now: Time) -> Self {
        Self {
            run: run.run.to_string(),
            task: Text::line(&run.task),
            launcher: Text::line(run.launcher.as_str()),
            standing: Standing::of(run.state),
            why: (run.ending).map_or_else(String::new, |ending| {
                words::ending(ending.as_str()).to_owned()
            }),
            time_box: TimeBox::of(run, now),
            opened: Moment::new(run.opened, now),
            denied: run.counts.denied,
            allowed: number(run.counts.allowed),
            masked: number(run.counts.masked),
        }
    }
}
