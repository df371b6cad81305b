//! What people look at first: what was outside a scope, how much happens, what a run did of what it might.

use std::collections::BTreeMap;

use bailiwick_audit::Entry;
use bailiwick_run::{Launcher, RunId, Time};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{RunState, Summary, Which, Words, schema, text};
use crate::clock;

/// `GET /v1/runs`: which. All that is said has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RunQuery {
    /// How far they are.
    #[serde(default)]
    #[param(inline)]
    pub state: Which,
    /// Of this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Of this launcher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launcher: Option<String>,
    /// Words that are all, whatever their case, somewhere in the run's id, its task or its launcher. At most 32,
    /// 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Only runs before this one: the `next` of the page before.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[param(value_type = Option<schema::RunId>)]
    pub before: Option<RunId>,
    /// So many at most: 100 if nothing is said, 1,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// `GET /v1/runs`: runs, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunList {
    /// The runs.
    pub runs: Vec<Summary>,
    /// Where the next page begins, if there is more.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<schema::RunId>)]
    pub next: Option<RunId>,
}

/// `GET /v1/incidents`: which.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct IncidentQuery {
    /// Of this task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Of this launcher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launcher: Option<String>,
    /// At this target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Only records before this number: the `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// So many runs at most: 50 if nothing is said, 200 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Runs with calls that were denied, the one with the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Incidents {
    /// The runs. What is in the gateway's own chain (logins of nobody, refused launchers) is one more.
    pub runs: Vec<RunIncidents>,
    /// Where the next page begins, if there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// How many records of the log were looked at.
    pub records: u64,
    /// Runs whose trail was verified and is not whole, the newest first; whatever is asked for, and whether or not
    /// anything was denied to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unverified: Vec<Verified>,
}

/// What a check of a run's trail has found, as its record says: the record is the truth, and this is read from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verified {
    /// That record: `gateway/SEQ`.
    pub record: String,
    /// When.
    #[serde(with = "text")]
    #[schema(value_type = schema::Time)]
    pub time: Time,
    /// Who wanted it.
    pub by: String,
    /// Whose trail.
    #[serde(with = "text")]
    #[schema(value_type = schema::RunId)]
    pub run: RunId,
    /// How many records were found whole.
    pub records: u64,
    /// How many of the last of them were not under the checkpoint yet.
    pub tail: u64,
    /// How many records of the log the checkpoint covers.
    pub size: u64,
    /// The witnesses that have cosigned it.
    pub witnesses: Vec<String>,
    /// What is wrong; nothing if it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Verified {
    /// What a `run.verified` says.
    pub(crate) fn read(entry: &Entry) -> Option<Self> {
        let record = &entry.record;
        let found = record.verified.as_ref()?;
        Some(Self {
            record: entry.id(),
            time: clock::read(&record.time)?,
            by: found.by.clone(),
            run: found.run.parse().ok()?,
            records: found.records,
            tail: found.tail,
            size: found.size,
            witnesses: found.witnesses.clone(),
            problem: found.problem.clone(),
        })
    }
}

/// What was denied to one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunIncidents {
    /// The run; nothing for the gateway's own chain.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<schema::RunId>)]
    pub run: Option<RunId>,
    /// Its task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Who launched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launcher: Option<String>,
    /// How far it is, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RunState>,
    /// All that was denied to it.
    pub denied: u64,
    /// The newest of that, at most a handful.
    pub newest: Vec<Incident>,
}

/// One call, login or opening that was denied, or a signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Incident {
    /// Its record: `RUN/SEQ`.
    pub id: String,
    /// The record's type: `call.decided`, `login.denied`, `signal.raised`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    #[serde(with = "text")]
    #[schema(value_type = schema::Time)]
    pub time: Time,
    /// At which target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What the protocol calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// What it would have done, in words: `delete public.tickets`.
    pub actions: Vec<String>,
    /// Why it was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What to ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// `GET /v1/activity`: over which time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ActivityQuery {
    /// From then; an hour ago if nothing is said.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[param(value_type = Option<schema::Time>)]
    pub since: Option<Time>,
    /// Up to then; now if nothing is said.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[param(value_type = Option<schema::Time>)]
    pub until: Option<Time>,
    /// Cut into so many parts, 1 to 240; 60 if nothing is said. The parts begin where seconds, minutes or hours
    /// do, so there may be one more, or fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
    /// Only this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// Calls over time, by decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Activity {
    /// Where the first part begins.
    #[serde(with = "text")]
    #[schema(value_type = schema::Time)]
    pub since: Time,
    /// Where the last one ends.
    #[serde(with = "text")]
    #[schema(value_type = schema::Time)]
    pub until: Time,
    /// The parts, in order, all of one length.
    pub parts: Vec<Part>,
}

/// What happened in one part of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Part {
    /// Calls allowed.
    pub allowed: u64,
    /// Calls and logins denied.
    pub denied: u64,
    /// Calls held for an approval.
    pub held: u64,
}

/// `GET /v1/runs/RUN/scope`: what a run might do, and what it did of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunScope {
    /// Whose.
    #[serde(with = "text")]
    #[schema(value_type = schema::RunId)]
    pub run: RunId,
    /// Who launched it.
    #[serde(with = "text")]
    #[schema(value_type = schema::Launcher)]
    pub launcher: Launcher,
    /// What it may do, in words. Of an ended run: what its task says now.
    pub words: Vec<Words>,
    /// Whether the task has changed since the run was opened.
    pub changed: bool,
    /// How often each entry of its grants decided a call: `read-1/public.tickets` and a count. Those that
    /// decided none are in here with 0: granted, but unused.
    pub used: BTreeMap<String, u64>,
    /// Values masked, by target.
    pub masked: BTreeMap<String, u64>,
}

/// `GET /v1/runs/RUN/trail`, `GET /v1/gateway/trail`: which records, and with what. Of a single record
/// (`GET /v1/records/RUN/SEQ`) only `payloads` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TrailQuery {
    /// Only those after this number.
    #[serde(default)]
    pub after: u64,
    /// Whether payloads come along, so far as whoever asks may see them. Each time they do is on record.
    #[serde(default = "yes")]
    pub payloads: bool,
}

fn yes() -> bool {
    true
}

impl Default for TrailQuery {
    fn default() -> Self {
        Self {
            after: 0,
            payloads: true,
        }
    }
}
