//! Telling people elsewhere: what a signal found, and which call waits for an answer. A [`Notice`] is durable in
//! `state.sqlite` once [`Notices::put`] returns, and goes from there to each sink that it is for: in its order,
//! again and again until the sink has it. One that a sink refuses for good, or never takes though it takes others, is
//! set aside on record and holds nothing up. No sink waits for another, and nothing else waits for any of them.
//!
//! A notice holds what a record holds, never a payload and never a secret: it leaves the house.

use bailiwick_run::{Launcher, RunId, Time};
use serde::{Deserialize, Serialize};

mod deliver;
mod meters;
mod otlp;
mod queue;
mod sink;
mod slack;
mod syslog;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod webhook;

pub(crate) use queue::Notices;
pub use sink::{Sink, Syslog, Way};

use crate::api::text;

/// Something that people are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// Its name: letters, digits, `_` and `-`. The same thing has the same one however often it is put, and a
    /// receiver sees it with every delivery.
    pub(crate) id: String,
    /// What sort of thing it is.
    #[serde(rename = "type")]
    pub(crate) kind: NoticeKind,
    /// When it happened.
    #[serde(with = "text")]
    pub(crate) time: Time,
    /// In one line, for people.
    pub(crate) title: String,
    /// The rule that was raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signal: Option<String>,
    /// The approval that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) approval: Option<String>,
    /// Who is asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) approvers: Vec<String>,
    /// Until when.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) expires: Option<Time>,
    /// The run that it is about.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) run: Option<RunId>,
    /// Its task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<String>,
    /// Who launched it.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) launcher: Option<Launcher>,
    /// The target's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<String>,
    /// What the protocol calls the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) verb: Option<String>,
    /// What it does, as understood: `delete public.tickets`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) actions: Vec<String>,
    /// Rows it would touch, as the target estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rows: Option<u64>,
    /// Why it was denied, or what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What is done about it: `suspend`, `revoke`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) done: Vec<String>,
    /// The record that says so: `RUN/SEQ`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) record: Option<String>,
    /// Where the console shows it: `/records/RUN/SEQ`.
    pub(crate) page: String,
}

impl Notice {
    /// One that says no more than this. The rest is filled in by whoever knows it.
    pub(crate) fn new(id: String, kind: NoticeKind, time: Time, title: String) -> Self {
        Self {
            id,
            kind,
            time,
            title,
            signal: None,
            approval: None,
            approvers: Vec::new(),
            expires: None,
            run: None,
            task: None,
            launcher: None,
            target: None,
            verb: None,
            actions: Vec::new(),
            rows: None,
            reason: None,
            done: Vec::new(),
            record: None,
            page: "/".to_owned(),
        }
    }

    /// What there is to know, each with its name, in the order in which people want it.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let rows = self.rows.map(|rows| rows.to_string());
        let all = [
            ("signal", self.signal.clone()),
            ("approval", self.approval.clone()),
            ("approvers", joined(&self.approvers)),
            ("expires", self.expires.map(|time| time.to_string())),
            ("done", joined(&self.done)),
            ("run", self.run.map(|run| run.to_string())),
            ("task", self.task.clone()),
            ("launcher", self.launcher.as_ref().map(ToString::to_string)),
            ("target", self.target.clone()),
            ("verb", self.verb.clone()),
            ("actions", joined(&self.actions)),
            ("rows", rows),
            ("reason", self.reason.clone()),
            ("record", self.record.clone()),
        ];
        let known = all.into_iter();
        known
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

fn joined(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// What sort of thing people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum NoticeKind {
    /// A rule of the configuration matched.
    #[serde(rename = "signal.raised")]
    SignalRaised,
    /// A call waits for somebody's answer.
    #[serde(rename = "call.held")]
    CallHeld,
}

impl NoticeKind {
    /// Its name: the type of the record that says the same.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::SignalRaised => "signal.raised",
            Self::CallHeld => "call.held",
        }
    }
}

/// What the configuration says of who is told.
#[derive(Clone, Debug, Default)]
pub struct NoticeSettings {
    /// The sinks.
    pub sinks: Vec<Sink>,
    /// Where people reach the console: `https://bailiwick.acme.example`, without a slash at the end. Without it
    /// notices have no link.
    pub console: Option<String>,
}
