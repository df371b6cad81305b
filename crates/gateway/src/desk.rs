//! How the gateway has people asked about a call that a grant holds. It asks; whoever keeps the approvals
//! implements.

use std::pin::Pin;

use bailiwick_audit::AppendError;
use bailiwick_policy::Approval;
pub use bailiwick_policy::{Estimate, Question, Standing};
use bailiwick_run::{ApprovalId, Time};
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

    /// The agent has taken a call back, and nobody waits for the answer to it: unless others wait for the same
    /// question it can be answered no more, and an answer it has is good for nothing. That is on record soon after.
    fn withdraw(&self, approval: ApprovalId);
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

/// Why nobody can be asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotAsked {
    /// The run, or all together, have too many questions open.
    #[error("{0} calls wait for approval already; wait for some of them to be decided")]
    TooMany(usize),
    /// The run has asked so often that nobody is asked for it any more.
    #[error("this run has asked for approval {0} times, and that is as often as one may")]
    TooOften(usize),
    /// The run may not act any more, or not now.
    #[error("the run may not act, so nobody is asked for it")]
    NotLive,
    /// It cannot be recorded.
    #[error("it could not be recorded: {0}")]
    Record(#[from] AppendError),
    /// The operating system has no randomness.
    #[error("the operating system gave no random bytes")]
    Random,
}
