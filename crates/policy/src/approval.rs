use std::collections::BTreeSet;

use bailiwick_action::{Action, Class, Fingerprint};
use bailiwick_run::{ApprovalId, Launcher, Run, RunId};

/// That people said yes to one call of one run, under the policies that held it. Whoever keeps the approvals makes
/// it when it is used up, so it cannot be copied.
#[derive(Debug)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// Whose call.
    pub run: RunId,
    /// At which target. A fingerprint does not say that.
    pub target: String,
    /// Exactly which.
    pub fingerprint: Fingerprint,
    /// Under which policies.
    pub policy_digest: String,
}

/// A call that is held, and what people are shown of it.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose it is.
    pub run: Run,
    /// The target's name.
    pub target: String,
    /// The protocol's name.
    pub protocol: &'static str,
    /// What the protocol calls the command.
    pub verb: String,
    /// What it would do, as understood.
    pub actions: Vec<Action>,
    /// The heaviest class of that.
    pub class: Class,
    /// The keyed digest of exactly what the agent sent.
    pub fingerprint: Fingerprint,
    /// The digest of the policies that hold it.
    pub policy_digest: String,
    /// Who has to say yes, as the task names them: `group:data-owners`. Each of them.
    pub approvers: BTreeSet<String>,
    /// What it would touch, as the target itself estimates it; or why that is not known.
    pub estimate: Result<Estimate, String>,
    /// The agent's own words, as the JSON of a payload. Shown apart, and as what they are.
    pub payload: Vec<u8>,
}

/// What a target expects of a call before it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Rows that it would return or change, as its planner guesses.
    pub rows: u64,
}

/// What has become of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has answered, or not everybody whose yes it takes.
    Open,
    /// The call may be made, once.
    Approved,
    /// It may not.
    Denied {
        /// Who says so.
        by: Launcher,
        /// Why, for the agent.
        reason: String,
    },
    /// Nobody answered in time, or the run ended before.
    Lapsed,
}
