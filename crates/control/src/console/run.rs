//! One run: what it may, what it did of that, and what it was denied.

use std::collections::BTreeSet;

use askama::Template;
use bailiwick_audit::Record;
use bailiwick_run::{Confinement, Time};

use super::chart::{Mark, Svg, timeline};
use super::layout::{Here, Layout, Watch};
use super::said;
use super::story::{Effect, Line, Story};
use super::text::Text;
use super::words::{self, Moment, Standing, TimeBox, count, number};
use crate::api::{Hit, RunScope, RunState, Sort, Summary, Verified, Words};

/// A run.
#[derive(Template)]
#[template(path = "run.html")]
pub(crate) struct Page {
    layout: Layout,
    did: Option<&'static str>,
    news: String,
    run: String,
    task: Text,
    launcher: Text,
    reason: Text,
    confinement: &'static str,
    standing: Standing,
    time_box: TimeBox,
    opened: Moment,
    expires: Moment,
    ended: Option<Moment>,
    why: String,
    sessions: u64,
    timeline: Svg,
    denied: u64,
    allowed: String,
    held: u64,
    masked: u64,
    outside: Vec<Row>,
    lines: Vec<Row>,
    /// Which lines are missing, if any are.
    cut: String,
    quiet: u64,
    several: bool,
    changed: bool,
    words: Vec<Word>,
    used: Vec<Used>,
    unused: usize,
    masked_at: Vec<Used>,
    records: String,
    chain: String,
    chain_ok: bool,
    covered: String,
    witnessed: &'static str,
    verified: Checked,
}

/// What is known of the last check of its trail.
struct Checked {
    /// In words; nothing if it was never checked.
    words: Text,
    class: &'static str,
    /// What is wrong.
    problem: Text,
    /// Its record.
    record: Text,
    when: Option<Moment>,
}

struct Row {
    seq: u64,
    class: &'static str,
    time: Moment,
    since: String,
    word: Text,
    what: Text,
    target: Text,
    times: u64,
    result: Text,
    reason: Text,
    remedy: Text,
    approval: Text,
}

/// One statement about what a task allows.
pub(crate) struct Word {
    pub(crate) class: &'static str,
    pub(crate) label: &'static str,
    pub(crate) text: Text,
}

struct Used {
    name: Text,
    count: u64,
}

/// How much of a run is under a signed checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Covered {
    /// Its last record is, and so all are.
    All {
        /// Over how many records of the log.
        size: u64,
        /// Witnesses have signed that they saw it.
        is_witnessed: bool,
    },
    /// The newest ones are not yet.
    NotYet,
}

/// A record that was read, and the digest of its bytes.
pub(crate) struct Read {
    pub(crate) record: Record,
    pub(crate) digest: String,
}

/// What the page is made of.
pub(crate) struct Shown<'a> {
    pub(crate) summary: &'a Summary,
    pub(crate) reason: Option<&'a str>,
    /// Its newest records, in order.
    pub(crate) records: &'a [Read],
    /// What was denied to it before those.
    pub(crate) denied_before: &'a [Hit],
    /// What it might do; why that is not known.
    pub(crate) scope: Result<RunScope, String>,
    pub(crate) covered: Covered,
    /// What the last check of its trail has found.
    pub(crate) verified: Option<&'a Verified>,
    pub(crate) has_witnesses: bool,
    pub(crate) did: Option<&'static str>,
    pub(crate) now: Time,
}

impl Page {
    pub(crate) fn new(layout: Layout, shown: Shown<'_>) -> Self {
        let Shown {
            summary,
            records,
            now,
            ..
        } = shown;
        let is_over = summary.state == RunState::Ended;
        let story = Story::of(records.iter().map(|read| &read.record), is_over);
        let opened = summary.opened;
        let row = |line: &Line| Row::of(line, opened, now);
        let targets: BTreeSet<&str> = (story.lines.iter())
            .map(|line| line.target.as_str())
            .filter(|target| !target.is_empty())
            .collect();
        let (scope, changed, used) = match shown.scope {
            Ok(scope) => {
                let used = scope.used.iter().map(|(name, count)| Used {
                    name: Text::line(name),
                    count: *count,
                });
                let mut used: Vec<Used> = used.collect();
                // What nobody used is what to look at.
                used.sort_by_key(|used| used.count);
                (
                    scope.words.iter().map(Word::of).collect(),
                    scope.changed,
                    used,
                )
            }
            Err(why) => (vec![Word::rest(&why)], false, Vec::new()),
        };
        let marks = records.iter().filter_map(|read| mark(&read.record));
        let standing = Standing::of(summary.state);
        let first = records.first().map_or(1, |read| read.record.seq);
        let (chain_ok, chain) = chain(records);
        let counts = summary.counts;
        Self {
            layout: Layout {
                here: Here::Runs,
                watch: match is_over {
                    true => Watch::Nothing,
                    false => Watch::Run(summary.run.to_string()),
                },
                ..layout
            },
            did: shown.did,
            news: format!(
                "{}: {} allowed, {} outside its scope",
                standing.word,
                number(counts.allowed),
                number(counts.denied)
            ),
            run: summary.run.to_string(),
            task: Text::line(&summary.task),
            launcher: Text::line(summary.launcher.as_str()),
            reason: Text::line(shown.reason.unwrap_or_default()),
            confinement: confinement(summary.confinement),
            time_box: TimeBox::of(summary, now),
            opened: Moment::new(opened, now),
            expires: Moment::new(summary.expires, now),
            ended: summary.ended.map(|ended| Moment::new(ended, now)),
            why: (summary.ending).map_or_else(String::new, |ending| {
                words::ending(ending.as_str()).to_owned()
            }),
            sessions: summary.sessions,
            timeline: timeline(opened, summary.expires, summary.ended, now, marks),
            denied: counts.denied,
            allowed: number(counts.allowed),
            held: (story.lines.iter())
                .filter(|line| line.effect == Effect::Held)
                .count() as u64,
            masked: counts.masked,
            outside: (shown.denied_before.iter().rev())
                .map(|hit| Row::before(hit, opened, now))
                .chain(story.denied().map(row))
                .collect(),
            lines: story.lines.iter().map(row).collect(),
            cut: match first {
                0 | 1 => String::new(),
                _ => format!(
                    "These are its newest {}; those before are at the command line: `bailiwick trail`.",
                    count(records.len() as u64, "record")
                ),
            },
            quiet: story.quiet,
            several: targets.len() > 1,
            changed,
            words: scope,
            unused: used.iter().filter(|used| used.count == 0).count(),
            used,
            masked_at: (story.masked.iter())
                .map(|(target, count)| Used {
                    name: Text::line(target),
                    count: *count,
                })
                .collect(),
            verified: Checked::of(
                shown.verified,
                records.last().map_or(0, |read| read.record.seq),
                now,
            ),
            records: number(records.last().map_or(0, |read| read.record.seq)),
            chain,
            chain_ok,
            covered: match shown.covered {
                Covered::All { size, .. } => format!(
                    "signed over {}, all of this run among them",
                    count(size, "record")
                ),
                Covered::NotYet => {
                    "the newest records are not under one yet; one is signed about every second"
                        .to_owned()
                }
            },
            witnessed: match (shown.covered, shown.has_witnesses) {
                (
                    Covered::All {
                        is_witnessed: true, ..
                    },
                    _,
                ) => "have signed that they saw it",
                (_, true) => "have not signed for it yet",
                (_, false) => "none are asked to sign",
            },
            standing,
        }
    }
}

impl Checked {
    /// Of the last check, if there was one, of a run that has so many records now.
    fn of(verified: Option<&Verified>, records: u64, now: Time) -> Self {
        let Some(verified) = verified else {
            return Self {
                words: Text::default(),
                class: "",
                problem: Text::default(),
                record: Text::default(),
                when: None,
            };
        };
        let (class, words) = match &verified.problem {
            Some(_) => ("out", "it is not whole".to_owned()),
            None => ("fine", found(verified, records)),
        };
        Self {
            words: Text::whole(&format!(
                "{words}; checked by the gateway for {}",
                verified.by
            )),
            class,
            problem: Text::whole(verified.problem.as_deref().unwrap_or_default()),
            record: Text::line(&verified.record),
            when: Some(Moment::new(verified.time, now)),
        }
    }
}

/// What a check has found of a trail that is whole.
fn found(verified: &Verified, records: u64) -> String {
    let mut words = format!(
        "whole: {}, under the checkpoint over {}",
        count(verified.records, "record"),
        number(verified.size)
    );
    if verified.tail > 0 {
        words.push_str(&format!(", but for the last {}", number(verified.tail)));
    }
    match verified.witnesses.as_slice() {
        [] => words.push_str(", cosigned by nobody"),
        names => words.push_str(&format!(", cosigned by {}", names.join(", "))),
    }
    match records.saturating_sub(verified.records) {
        0 => {}
        since => words.push_str(&format!("; {} since", count(since, "record"))),
    }
    words
}

fn confinement(confinement: Confinement) -> &'static str {
    match confinement {
        Confinement::Landlock => "confined by Landlock",
        Confinement::GatewayOnly => "confined to the gateway’s ports",
        Confinement::Unconfined => "not confined",
        Confinement::Elsewhere => "its process was started elsewhere",
    }
}

/// What of a record is marked on the run's line.
fn mark(record: &Record) -> Option<(Time, Mark)> {
    let mark = match (&record.decision, &record.call, &record.login) {
        (Some(decision), ..) if decision.effect == "allow" => Mark::Allowed,
        (Some(_), ..) | (_, _, Some(_)) => Mark::Denied,
        (None, Some(_), _) => Mark::Held,
        (None, None, None) => return None,
    };
    Some((said::time(record), mark))
}

/// Whether each record holds the digest of the one before it.
fn chain(records: &[Read]) -> (bool, String) {
    for pair in records.windows(2) {
        if let [before, after] = pair
            && (after.record.seq != before.record.seq + 1 || after.record.prev != before.digest)
        {
            let words = format!(
                "record {} does not follow the one before it",
                after.record.seq
            );
            return (false, words);
        }
    }
    let links = records.len().saturating_sub(1) as u64;
    (true, format!("whole: {} followed", count(links, "link")))
}

impl Word {
    pub(crate) fn of(words: &Words) -> Self {
        let (class, label) = match words.sort {
            Sort::Allowed => ("allowed", "Allowed"),
            Sort::Approval => ("held", "Held"),
            Sort::Masked => ("masked", "Masked"),
            Sort::Guardrail => ("guardrail", "Guardrail"),
            Sort::Rest => ("rest", "The rest"),
        };
        Self {
            class,
            label,
            text: Text::line(&words.text),
        }
    }

    fn rest(text: &str) -> Self {
        Self {
            class: "rest",
            label: "",
            text: Text::line(text),
        }
    }
}

impl Row {
    /// What the index says of a call that was denied.
    fn before(hit: &Hit, opened: Time, now: Time) -> Self {
        let text = |text: &Option<String>| Text::line(text.as_deref().unwrap_or_default());
        let word = match hit.verb {
            Some(_) => "",
            None => "access",
        };
        Self {
            seq: hit.seq,
            class: "denied",
            time: Moment::new(hit.time, now),
            since: words::since(opened, hit.time),
            word: Text::line(word),
            what: Text::line(&said::actions(hit.verb.as_deref(), &hit.actions)),
            target: text(&hit.target),
            times: 1,
            result: Text::default(),
            reason: text(&hit.reason),
            remedy: text(&hit.remedy),
            approval: Text::default(),
        }
    }

    fn of(line: &Line, opened: Time, now: Time) -> Self {
        let mut result = Vec::new();
        if !line.state.is_empty() {
            result.push(line.state.clone());
        }
        if line.rows > 0 {
            result.push(count(line.rows, "row"));
        }
        if line.masked > 0 {
            result.push(format!("{} masked", number(line.masked)));
        }
        if line.effect == Effect::Failed && !line.reason.is_empty() {
            result.push(line.reason.clone());
        }
        Self {
            seq: line.seq,
            class: match line.effect {
                Effect::Allowed => "allowed",
                Effect::Denied => "denied",
                Effect::Failed => "failed",
                Effect::Held => "held",
                Effect::Event => "event",
            },
            time: Moment::new(line.time, now),
            since: words::since(opened, line.time),
            word: Text::line(&line.word),
            what: Text::line(&line.what),
            target: Text::line(&line.target),
            times: line.times,
            result: Text::line(&result.join(", ")),
            reason: Text::line(&line.reason),
            remedy: Text::line(&line.remedy),
            approval: Text::line(&line.approval),
        }
    }
}
