//! Calls that wait for somebody's yes, and what became of them.

use std::time::Duration;

use bailiwick_action::Class;
use bailiwick_run::{ApprovalId, Launcher, RunId, Time};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Counts, schema, text};

/// `GET /v1/approvals`: which.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ApprovalQuery {
    /// Those that can be decided, if nothing is said.
    #[serde(default)]
    #[param(inline)]
    pub state: WhichApprovals,
}

/// Which approvals `GET /v1/approvals` lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhichApprovals {
    /// Those that can be decided.
    #[default]
    Open,
    /// Those that were decided, too, as far back as the gateway remembers.
    All,
}

/// `GET /v1/approvals`: those that can be decided, the one with the least time left first; then the others, the
/// newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approvals {
    /// The approvals.
    pub approvals: Vec<Approval>,
}

/// `GET /v1/approvals/ID`: a call that is or was held, as the gateway understood it. The agent's own words are not
/// in here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// Its id.
    #[serde(with = "text")]
    #[schema(value_type = schema::ApprovalId)]
    pub id: ApprovalId,
    /// Whose call.
    #[serde(with = "text")]
    #[schema(value_type = schema::RunId)]
    pub run: RunId,
    /// The run's task.
    pub task: String,
    /// Who launched the run.
    #[serde(with = "text")]
    #[schema(value_type = schema::Launcher)]
    pub launcher: Launcher,
    /// What the launcher said the run is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the run did so far.
    pub counts: Counts,
    /// The target's name.
    pub target: String,
    /// The protocol's name.
    pub protocol: String,
    /// What the protocol calls the command.
    pub verb: String,
    /// What it would do, in words: `delete public.drafts`.
    pub actions: Vec<String>,
    /// How many actions more it has than are listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_actions: usize,
    /// The heaviest class of that.
    #[serde(with = "text")]
    #[schema(value_type = String)]
    pub class: Class,
    /// Who has to say yes, as the task names them: `group:data-owners`. Each of them.
    pub approvers: Vec<String>,
    /// Who of them said yes.
    pub given: Vec<Given>,
    /// What it would touch, as the target expects.
    pub estimate: Estimate,
    /// When it was asked.
    #[serde(with = "text")]
    #[schema(value_type = schema::Time)]
    pub asked: Time,
    /// Until when it can be decided.
    #[serde(with = "text")]
    #[schema(value_type = schema::Time)]
    pub expires: Time,
    /// For how long the call can be made after the yes.
    #[serde(with = "text")]
    #[schema(value_type = schema::Duration)]
    pub use_within: Duration,
    /// What became of it.
    pub state: ApprovalState,
    /// Who decided.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<schema::Launcher>)]
    pub by: Option<Launcher>,
    /// When that was, or when it lapsed.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<schema::Time>)]
    pub decided: Option<Time>,
    /// Until when the call can be made, where it was approved.
    #[serde(
        default,
        with = "text::option",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<schema::Time>)]
    pub usable_until: Option<Time>,
    /// What was said with the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Its `call.held`: `RUN/SEQ`.
    pub record: String,
}

/// That one of those who have to say yes has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Given {
    /// As the task names them.
    pub approver: String,
    /// Who spoke for them.
    #[serde(with = "text")]
    #[schema(value_type = schema::Launcher)]
    pub by: Launcher,
}

/// What a call would touch, as the target expects before it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Estimate {
    /// So many rows.
    Rows(u64),
    /// That is not known, for this reason.
    Unknown(String),
}

/// What became of a call that was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalState {
    /// It waits.
    Open,
    /// It may be made, once.
    Approved,
    /// It was approved, and then made.
    Used,
    /// It may not be made.
    Denied,
    /// Nobody decided in time, or nobody made the call in time, or the run could not act any more.
    Lapsed,
}

impl ApprovalState {
    /// The lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Used => "used",
            Self::Denied => "denied",
            Self::Lapsed => "lapsed",
        }
    }
}

/// `POST /v1/approvals/ID/approve`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// What is to be remembered about it, at most 1,024 bytes. The agent does not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// `POST /v1/approvals/ID/deny`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DenyRequest {
    /// Why, at most 1,024 bytes. The agent is told.
    pub reason: String,
}

/// `GET /v1/approvals/ID/words`: what the agent wrote. That somebody saw it is on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentWords {
    /// The record that it belongs to: `RUN/SEQ`.
    pub record: String,
    /// The payload of that, decrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<serde_json::Value>,
    /// Why it cannot be shown, where it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_missing: Option<String>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_comes_back_as_it_was() {
        let asked = Time::from_millis(1_700_000_000_123);
        let approval = Approval {
            id: ApprovalId::new(asked, [1; 10]),
            run: RunId::new(asked, [7; 10]),
            task: "sweep".into(),
            launcher: "human:a@localhost".parse().unwrap(),
            reason: None,
            counts: Counts::default(),
            target: "tickets".into(),
            protocol: "postgres".into(),
            verb: "DELETE".into(),
            actions: vec!["delete public.drafts".into()],
            more_actions: 0,
            class: Class::Destroy,
            approvers: vec!["group:data-owners".into()],
            given: vec![Given {
                approver: "group:data-owners".into(),
                by: "human:b@localhost".parse().unwrap(),
            }],
            estimate: Estimate::Rows(12),
            asked,
            expires: asked.after(Duration::from_secs(600)),
            use_within: Duration::from_secs(300),
            state: ApprovalState::Open,
            by: None,
            decided: None,
            usable_until: None,
            answer: None,
            record: "run_x/2".into(),
        };
        let text = serde_json::to_string(&approval).unwrap();
        for part in [
            r#""class":"destroy""#,
            r#""estimate":{"rows":12}"#,
            r#""use_within":"5m""#,
            r#""state":"open""#,
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(serde_json::from_str::<Approval>(&text).unwrap(), approval);
    }
}
