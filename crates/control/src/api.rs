//! What the API's requests and answers hold, for the server and for clients.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use bailiwick_run::{Confinement, Ending, Launcher, RunId, Time};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

mod approvals;
mod people;
pub(crate) mod schema;
mod search;
pub(crate) mod text;
mod view;

pub use approvals::{
    AgentWords, Approval, ApprovalQuery, ApprovalState, Approvals, ApproveRequest, DenyRequest,
    Estimate, Given, WhichApprovals,
};
pub use people::{ConsoleLink, Me};
pub use search::{Answer, Hit, IndexState, Reindexed, Reindexing, Search};
pub use view::{
    Activity, ActivityQuery, Incident, IncidentQuery, Incidents, Part, RunIncidents, RunList,
    RunQuery, RunScope, TrailQuery, Verified,
};

/// `POST /v1/runs`: opens a run in the name of whoever asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenRequest {
    /// The task.
    pub task: String,
    /// The time box, as `10m`; the task's own if nothing is asked for.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<schema::Duration>)]
    pub ttl: Option<Duration>,
    /// What the run is for, at most 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The strictest confinement that the launcher can give the run's process. The answer says which
    /// one it has to. Without, its process is one that is started elsewhere, of which nothing is known.
    #[serde(default = "elsewhere", with = "text")]
    #[schema(value_type = schema::Confinement)]
    pub confinement: Confinement,
    /// Whether the run lasts only as long as the launcher stays attached to it
    /// (`GET /v1/runs/RUN/attach`).
    #[serde(default)]
    pub attach: bool,
}

/// How a process is confined of which nobody says so.
fn elsewhere() -> Confinement {
    Confinement::Elsewhere
}

/// A run that was opened, with what its process gets. The only answer that holds a credential.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct OpenedRun {
    /// Its id.
    #[serde(with = "text")]
    #[schema(value_type = schema::RunId)]
    pub run: RunId,
    /// Its task.
    pub task: String,
    /// Who opened it.
    #[serde(with = "text")]
    #[schema(value_type = schema::Launcher)]
    pub launcher: Launcher,
    /// When it ends, at the latest.
    #[serde(with = "text")]
    #[schema(value_type = schema::Time)]
    pub expires: Time,
    /// The environment variables that its process gets.
    pub env: BTreeMap<String, String>,
    /// The configuration for an MCP client, with the run's credential in it, if the task has MCP targets:
    /// `{"mcpServers": {TARGET: {"type": "http", "url": …, "headers": …}}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<serde_json::Value>,
    /// The authority by which the gateway vouches for what it stands in for as a proxy, as PEM, if the task
    /// makes it one. To be trusted by this run's process, and by nobody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The environment variables that its process must not inherit: they hold the gateway's secrets.
    pub withhold: Vec<String>,
    /// How its process has to be confined.
    pub confine: Confine,
    /// What its process must not reach.
    pub protect: Protect,
}

/// Without the credential.
impl fmt::Debug for OpenedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedRun")
            .field("run", &self.run)
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

/// How a run's process has to be confined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Confine {
    /// How; the record says the same.
    #[serde(with = "text")]
    #[schema(value_type = schema::Confinement)]
    pub mode: Confinement,
    /// The ports of the gateway, for `gateway-only`.
    pub gateway_ports: Vec<u16>,
}

/// Files that are not for a run's process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Protect {
    /// Neither to read nor to change.
    #[schema(value_type = Vec<String>)]
    pub hidden: Vec<PathBuf>,
    /// Not to change.
    #[schema(value_type = Vec<String>)]
    pub read_only: Vec<PathBuf>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It may act.
    Open,
    /// It may not act until somebody resumes it.
    Suspended,
    /// It may not act any more, and its closing record is on its way.
    Ending,
    /// It has ended, and its trail is complete.
    Ended,
}

/// What a run did, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Calls allowed.
    pub allowed: u64,
    /// Calls and logins denied.
    pub denied: u64,
    /// Values masked.
    pub masked: u64,
}

/// A run at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// Its id.
    #[serde(with = "text")]
    #[schema(value_type = schema::RunId)]
    pub run: RunId,
    /// Its task.
    pub task: String,
    /// Who opened it.
    #[serde(with = "text")]
    #[schema(value_type = schema::Launcher)]
    pub launcher: Launcher,
    /// How its process is confined.
    #[serde(with = "text")]
    #[schema(value_type = schema::Confinement)]
    pub confinement: Confinement,
    /// How far it is.
    pub state: RunState,
    /// When it was opened.
    #[serde(with = "text")]
    #[schema(value_type = schema::Time)]
    pub opened: Time,
    /// When it ends, at the latest.
    #[serde(with = "text")]
    #[schema(value_type = schema::Time)]
    pub expires: Time,
    /// When it ended.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<schema::Time>)]
    pub ended: Option<Time>,
    /// Why it ended.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<schema::Ending>)]
    pub ending: Option<Ending>,
    /// What it did so far.
    pub counts: Counts,
    /// Sessions it has open now.
    pub sessions: u64,
}

/// `GET /v1/runs/RUN`: a run with what its launcher said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub summary: Summary,
    /// What the launcher said it is for, unless that was erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What its trail was found to be when it was last verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
}

/// Which runs `GET /v1/runs` lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// All.
    #[default]
    All,
    /// Those that have not ended.
    Open,
    /// Those that have.
    Ended,
}

/// `GET /v1/runs/RUN/attach`: a line of JSON for each change of what the run may do, the last when it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "now", rename_all = "lowercase")]
pub enum Change {
    /// It may do nothing until somebody resumes it.
    Suspended,
    /// It may act again.
    Resumed,
    /// It is over.
    Ended {
        /// Why.
        #[serde(with = "text")]
        #[schema(value_type = schema::Ending)]
        ending: Ending,
    },
}

/// `POST /v1/runs/RUN/erase`: a run's payloads are gone. Only on the Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Erased {
    /// Whose.
    #[serde(with = "text")]
    #[schema(value_type = schema::RunId)]
    pub run: RunId,
    /// The record that says so: `gateway/SEQ`.
    pub record: String,
}

/// `POST /v1/log/prune`: removes what is old. Only on the Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PruneRequest {
    /// Records of before this moment go.
    #[serde(with = "text")]
    #[schema(value_type = schema::Time)]
    pub until: Time,
}

/// What was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pruned {
    /// The index of the first record that stays.
    pub before: u64,
    /// How many runs left the list.
    pub runs: u64,
}

/// What is in force once tasks and guardrails are loaded anew, and what is different from before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reloaded {
    /// The digest of all that was in force.
    pub before: String,
    /// The digest of all that is. The same where nothing is different, and then there is no record.
    pub after: String,
    /// How many tasks there are.
    pub tasks: u64,
    /// How many guardrails there are.
    pub guardrails: u64,
    /// The tasks that there were not.
    pub added: BTreeSet<String>,
    /// The tasks that there were. Their runs go on.
    pub removed: BTreeSet<String>,
    /// The tasks that are others now. Their runs keep what they were opened with.
    pub changed: BTreeSet<String>,
    /// How many open runs have come under other guardrails.
    pub runs: u64,
}

/// Records of one chain, in order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Trail {
    /// The records.
    pub records: Vec<TrailRecord>,
    /// There are more already: ask again, after the last of these.
    pub more: bool,
}

/// One record, with its payload.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TrailRecord {
    /// Its name: `RUN/SEQ`.
    pub id: String,
    /// Its number in its chain.
    pub seq: u64,
    /// Its place in the log.
    pub index: u64,
    /// The SHA-256 digest of its exact bytes.
    pub digest: String,
    /// Its exact bytes.
    #[schema(value_type = Object)]
    pub record: Box<RawValue>,
    /// What goes with it, decrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
    /// Why its payload cannot be shown, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_missing: Option<String>,
}

/// `GET /v1/tasks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskList {
    /// The tasks, by name.
    pub tasks: Vec<TaskInfo>,
}

/// A task at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskInfo {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Who may open a run of it.
    pub launchers: Vec<String>,
    /// The longest time box of its runs.
    #[serde(with = "text")]
    #[schema(value_type = schema::Duration)]
    pub ttl: Duration,
    /// The environment variables that its runs get, and the target each points to.
    pub env: BTreeMap<String, String>,
    /// The targets it has a grant on.
    pub targets: Vec<String>,
    /// Whether its runs may open TCP connections to the gateway alone.
    pub gateway_only: bool,
    /// The digest of its file.
    pub digest: String,
    /// Its file.
    #[schema(value_type = String)]
    pub file: PathBuf,
}

/// `GET /v1/tasks/NAME`: what a task allows, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskDetail {
    /// The task.
    #[serde(flatten)]
    pub task: TaskInfo,
    /// What it allows.
    pub words: Vec<Words>,
    /// The tables and functions it names.
    pub references: Vec<Reference>,
}

/// One statement about what a task allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Words {
    /// What sort of statement it is.
    pub sort: Sort,
    /// The statement.
    pub text: String,
}

/// What [`Words`] say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// Something is allowed.
    Allowed,
    /// Something would be allowed once somebody approved.
    Approval,
    /// A column's values are masked.
    Masked,
    /// A guardrail stands above the task.
    Guardrail,
    /// What holds for the rest.
    Rest,
}

impl From<&bailiwick_policy::Line> for Words {
    fn from(line: &bailiwick_policy::Line) -> Self {
        use bailiwick_policy::Sort as From;
        Self {
            sort: match line.sort {
                From::Allowed => Sort::Allowed,
                From::Approval => Sort::Approval,
                From::Masked => Sort::Masked,
                From::Guardrail => Sort::Guardrail,
                From::Rest => Sort::Rest,
            },
            text: line.text.clone(),
        }
    }
}

/// A table or function that a task names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reference {
    /// The target it should be on.
    pub target: String,
    /// `table` or `function`.
    pub kind: String,
    /// Its schema.
    pub schema: Option<String>,
    /// Its name; nothing where every one in the schema is meant.
    pub name: Option<String>,
    /// The columns it should have.
    pub columns: Vec<String>,
    /// Where the task says so: `FILE:LINE:COLUMN`.
    pub place: String,
}

/// `GET /v1/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// The gateway's version.
    pub version: String,
    /// Runs that have not ended.
    pub open_runs: usize,
    /// The digest of tasks and guardrails in force.
    pub policy_digest: String,
    /// The key that checks the log.
    pub vkey: String,
}

/// An error, in the form of RFC 9457 (`application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Names the sort of problem: `urn:bailiwick:no-such-task`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status's own words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do.
    pub detail: String,
    /// What to ask for, where something was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_request_reads_as_people_write_it() {
        let request: OpenRequest = serde_json::from_str(
            r#"{"task":"t","ttl":"10m","confinement":"gateway-only","attach":true}"#,
        )
        .unwrap();
        assert_eq!(request.ttl, Some(Duration::from_secs(600)));
        assert_eq!(request.confinement, Confinement::GatewayOnly);
        let again = serde_json::to_string(&request).unwrap();
        assert_eq!(
            serde_json::from_str::<OpenRequest>(&again).unwrap(),
            request
        );
        // By hand, and for a process elsewhere.
        let least: OpenRequest = serde_json::from_str(r#"{"task":"t"}"#).unwrap();
        assert_eq!(least.confinement, Confinement::Elsewhere);
        assert!(!least.attach);
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (wrong, says) in [
            (
                r#"{"task":"t","confinement":"rope"}"#,
                "`rope` is not one of landlock, gateway-only, unconfined, elsewhere",
            ),
            (
                r#"{"task":"t","confinement":"landlock","ttl":"soon"}"#,
                "soon",
            ),
            (r#"{"task":"t","confinement":"landlock","ttk":"1m"}"#, "ttk"),
        ] {
            let error = serde_json::from_str::<OpenRequest>(wrong)
                .unwrap_err()
                .to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_summary_comes_back_as_it_was() {
        let summary = Summary {
            run: RunId::new(Time::from_millis(1_700_000_000_000), [7; 10]),
            task: "t".into(),
            launcher: "human:a@localhost".parse().unwrap(),
            confinement: Confinement::Elsewhere,
            state: RunState::Ended,
            opened: Time::from_millis(1_700_000_000_123),
            expires: Time::from_millis(1_700_000_060_123),
            ended: Some(Time::from_millis(1_700_000_060_200)),
            ending: Some(Ending::Expired),
            counts: Counts::default(),
            sessions: 0,
        };
        let detail = RunDetail {
            summary,
            reason: Some("because".into()),
            verified: None,
        };
        let text = serde_json::to_string(&detail).unwrap();
        assert!(
            text.contains(r#""opened":"2023-11-14T22:13:20.123Z""#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<RunDetail>(&text).unwrap(), detail);
    }
}
