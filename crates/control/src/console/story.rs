//! A run's records as a short list: each call and its outcome are one line, and calls that do the same
//! are one. What was denied stands out because the rest is quiet.

use std::collections::BTreeMap;

use bailiwick_audit::{Record, RecordedCall};
use bailiwick_run::Time;

use super::said;

/// The error code of a target whose own privileges refused a call: insufficient_privilege.
const NO_PRIVILEGE: &str = "42501";

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A call that was let through.
    Allowed,
    /// A call or login that was not.
    Denied,
    /// A call that was let through and did not come to a good end.
    Failed,
    /// A call that waits, or waited, for a person.
    Held,
    /// Something that happened to the run itself.
    Event,
}

/// One line of the story, in words of others.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) seq: u64,
    pub(crate) time: Time,
    pub(crate) effect: Effect,
    /// What happened, of an event; nothing of a call.
    pub(crate) word: String,
    /// What was done to what.
    pub(crate) what: String,
    pub(crate) target: String,
    /// How it ended, if that is worth a word.
    pub(crate) state: String,
    pub(crate) rows: u64,
    pub(crate) masked: u64,
    pub(crate) reason: String,
    pub(crate) remedy: String,
    /// How many calls it stands for.
    pub(crate) times: u64,
    /// It only prepares something or keeps the session.
    pub(crate) is_quiet: bool,
    /// The approval it waits for or rests on.
    pub(crate) approval: String,
}

/// A run's story, folded.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) lines: Vec<Line>,
    /// Calls that only prepare something or keep the session, which no line tells.
    pub(crate) quiet: u64,
    /// Values masked, by target.
    pub(crate) masked: BTreeMap<String, u64>,
}

impl Story {
    /// Of records in their order. `is_over` says that no outcome will come any more.
    pub(crate) fn of<'a>(records: impl IntoIterator<Item = &'a Record>, is_over: bool) -> Self {
        let mut story = Self::default();
        let mut pending: BTreeMap<u64, Line> = BTreeMap::new();
        for record in records {
            if let Some(masked) = record.outcome.as_ref().map(|outcome| outcome.masked)
                && masked > 0
            {
                let target = record.target.clone().unwrap_or_default();
                let sum = story.masked.entry(target).or_default();
                *sum = sum.saturating_add(masked);
            }
            let of = record.of.and_then(|seq| pending.remove(&seq));
            match Line::of(record, of) {
                Some(line) if line.effect == Effect::Allowed && line.state == PENDING => {
                    pending.insert(line.seq, line);
                }
                Some(line) => story.lines.push(line),
                None => {}
            }
        }
        let state = if is_over {
            "no outcome on record"
        } else {
            "running"
        };
        story.lines.extend(pending.into_values().map(|line| Line {
            state: state.to_owned(),
            is_quiet: false,
            ..line
        }));
        story.lines.sort_by_key(|line| line.seq);
        story.quiet = story.lines.iter().filter(|line| line.is_quiet).count() as u64;
        story.lines.retain(|line| !line.is_quiet);
        story.lines = fold(story.lines);
        story
    }

    /// How many lines are about what was denied.
    pub(crate) fn denied(&self) -> impl Iterator<Item = &Line> {
        self.lines
            .iter()
            .filter(|line| line.effect == Effect::Denied)
    }
}

/// The state of a call whose outcome has not been met yet.
const PENDING: &str = "…";

impl Line {
    /// The line that a record begins or, of a call that was let through, completes.
    fn of(record: &Record, pending: Option<Line>) -> Option<Self> {
        let base = Self::base(record);
        if let (Some(call), Some(decision)) = (&record.call, &record.decision) {
            let is_denied = decision.effect != "allow";
            return Some(Self {
                effect: if is_denied {
                    Effect::Denied
                } else {
                    Effect::Allowed
                },
                what: said::call(call),
                state: if is_denied {
                    String::new()
                } else {
                    PENDING.to_owned()
                },
                reason: decision.reason.clone().unwrap_or_default(),
                remedy: decision.remedy.clone().unwrap_or_default(),
                is_quiet: !is_denied && is_quiet(call),
                ..base
            });
        }
        if let Some(call) = &record.call {
            return Some(Self {
                effect: Effect::Held,
                what: said::call(call),
                state: "held for a person".to_owned(),
                ..base
            });
        }
        if let Some(outcome) = &record.outcome {
            let mut line = pending?;
            line.rows = outcome.rows;
            line.masked = outcome.masked;
            line.state = String::new();
            if outcome.state != "ok" {
                line.effect = Effect::Failed;
                line.is_quiet = false;
                line.state = match &outcome.error {
                    Some(code) => format!("{} {code}", outcome.state),
                    None => outcome.state.clone(),
                };
                if outcome.error.as_deref() == Some(NO_PRIVILEGE) {
                    line.reason = "let through here, and refused by the target itself".to_owned();
                }
            }
            return Some(line);
        }
        if let Some(login) = &record.login {
            return Some(Self {
                effect: Effect::Denied,
                word: "access".to_owned(),
                reason: login.reason.clone(),
                ..base
            });
        }
        let (word, what) = said::event(record);
        Some(Self { word, what, ..base })
    }

    fn base(record: &Record) -> Self {
        let approval = record.approval.as_ref().map(|approval| approval.id.clone());
        let rests_on = record
            .decision
            .as_ref()
            .and_then(|decision| decision.approval.clone());
        Self {
            seq: record.seq,
            time: said::time(record),
            effect: Effect::Event,
            word: String::new(),
            what: String::new(),
            target: record.target.clone().unwrap_or_default(),
            state: String::new(),
            rows: 0,
            masked: 0,
            reason: String::new(),
            remedy: String::new(),
            times: 1,
            is_quiet: false,
            approval: approval.or(rests_on).unwrap_or_default(),
        }
    }
}

/// Makes one line of all that differ only in when they were and how much they moved, where the
/// first of them stands.
fn fold(lines: Vec<Line>) -> Vec<Line> {
    let mut folded: Vec<Line> = Vec::new();
    let mut places: BTreeMap<(String, String, String, String), usize> = BTreeMap::new();
    for line in lines {
        if matches!(line.effect, Effect::Event | Effect::Held) || !line.approval.is_empty() {
            folded.push(line);
            continue;
        }
        let key = (
            format!("{:?} {}", line.effect, line.word),
            format!("{} {}", line.target, line.what),
            format!("{} {}", line.state, line.reason),
            line.remedy.clone(),
        );
        match places.get(&key).and_then(|place| folded.get_mut(*place)) {
            Some(first) => {
                first.times += line.times;
                first.rows = first.rows.saturating_add(line.rows);
                first.masked = first.masked.saturating_add(line.masked);
            }
            None => {
                places.insert(key, folded.len());
                folded.push(line);
            }
        }
    }
    folded
}

fn is_quiet(call: &RecordedCall) -> bool {
    call.verb.starts_with("PREPARE ")
        || (!call.actions.is_empty() && call.actions.iter().all(|action| action.class == "session"))
}
