//! How the gateway has people asked about a call that a grant holds. It asks; whoever keeps the approvals
//! implements.

use std::collections::BTreeSet;
use std::pin::Pin;

use bailiwick_action::{Action, Class, Fingerprint};
use bailiwick_audit::AppendError;
use bailiwick_policy::Approval;
use bailiwick_run::{ApprovalId, Launcher, Run, Time};
use tokio::sync::watch;

/// Puts held calls before people.
pub trait Desk: Send + Sync {
    /// Asks about a call. The same call of the same run under the same policies is one question however often it
    /// is made: one that is open goes on, and one that was answered within its time has that answer. A new one is
    /// on record (`call.held`) when this returns.
    fn ask(
        &self,
        question: Question,
    ) -> Pin<Box<dyn Future<Output = Result<Asked, NotAsked>> + Send>>;

    /// Uses an approval up, if the question has one whose time is not over: once, by whoever is first.
    fn take(&self, approval: &ApprovalId) -> Option<Approval>;
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

/// A question that people have before them, or have answered.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its name, for the agent to wait by and for people to answer.
    pub id: ApprovalId,
    /// Until when it can be answered.
    pub expires: Time,
    /// What has become of it. Closed when nobody will answer any more.
    pub standing: watch::Receiver<Standing>,
}

/// What has become of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has answered.
    Open,
    /// The call may be made: [`Desk::take`].
    Approved,
    /// It may not.
    Denied {
        /// Who says so.
        by: Launcher,
        /// Why, for the agent.
        reason: String,
    },
    /// Nobody answered in time.
    Lapsed,
}

/// Why nobody can be asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotAsked {
    /// The run, or all together, have too many questions open.
    #[error("{0} calls wait for approval already; wait for some of them to be decided")]
    TooMany(usize),
    /// It cannot be recorded.
    #[error("it could not be recorded: {0}")]
    Record(#[from] AppendError),
    /// The operating system has no randomness.
    #[error("the operating system gave no random bytes")]
    Random,
}
