//! Calls that wait for somebody's yes. A grant with `approve` holds a call; it becomes a question here, people
//! answer it, and the gateway takes the answer. Questions live in memory, as runs do, and in the record: `call.held`
//! is durable before anybody sees a question, `approval.decided` before it takes effect.
//!
//! A question is about one call of one run: the same text to the same target, understood to do the same things,
//! under the same policies. Made again, it is the same question. A yes is used up once; a no holds for a while, so
//! that nobody is worn down by being asked again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_audit::{AppendError, Log};
use bailiwick_run::{ApprovalId, RunId, Time};
use tokio::sync::watch;

use crate::live::lock;
use crate::notice::Notices;

mod ask;
mod book;
mod entry;
mod lapse;
mod moment;
mod notice;
mod rule;
mod view;
mod who;

use bailiwick_policy::Standing;
use book::Book;
use entry::Kept;
pub(crate) use moment::Moment;
pub use rule::RuleError;
pub use who::NotTheirs;

/// How calls are held, as the configuration wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalSettings {
    /// How long people have to decide. Never longer than the run has left.
    pub decide_within: Duration,
    /// How long the call can be made after the yes. Never longer than the run has left.
    pub use_within: Duration,
    /// The sinks that hear of every question, by their names.
    pub notify: Vec<String>,
}

impl Default for ApprovalSettings {
    fn default() -> Self {
        Self {
            decide_within: Duration::from_secs(600),
            use_within: Duration::from_secs(300),
            notify: Vec::new(),
        }
    }
}

/// A question that people have before them, or have answered.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its id.
    pub id: ApprovalId,
    /// Until when it can be answered.
    pub expires: Time,
    /// What has become of it.
    pub standing: watch::Receiver<Standing>,
}

/// Why nobody can be asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AskError {
    /// The run, or all together, have too many questions open.
    #[error("{0} calls wait for approval already; wait for some of them to be decided")]
    TooMany(usize),
    /// The run has asked too often.
    #[error("this run has asked for approval {0} times, and that is as often as one may")]
    TooOften(usize),
    /// The run may not act.
    #[error("the run may not act, so nobody is asked for it")]
    NotLive,
    /// It cannot be recorded.
    #[error("it could not be recorded: {0}")]
    Record(#[from] AppendError),
    /// The operating system has no randomness.
    #[error("the operating system gave no random bytes")]
    Random,
}

/// Who records something about the questions of a run: one at a time.
type Pen = Arc<tokio::sync::Mutex<()>>;

/// All questions. A cheap handle.
#[derive(Clone)]
pub(crate) struct Approvals(Arc<Inner>);

struct Inner {
    settings: ApprovalSettings,
    log: Log,
    notices: Notices,
    book: Mutex<Book>,
}

impl Approvals {
    /// How many questions wait to be answered.
    pub(crate) fn waiting(&self) -> usize {
        let (all, now) = (lock(&self.0.book).all(), Moment::now());
        all.iter().filter(|entry| entry.is_open(now)).count()
    }

    pub(crate) fn new(settings: ApprovalSettings, log: Log, notices: Notices) -> Self {
        Self(Arc::new(Inner {
            settings,
            log,
            notices,
            book: Mutex::default(),
        }))
    }

    /// What a run that has ended asked is not remembered any more: its payloads are erased.
    pub(crate) fn forget(&self, run: RunId) {
        lock(&self.0.book).forget(run);
    }

    fn find(&self, id: &ApprovalId) -> Option<Kept> {
        lock(&self.0.book).find(id)
    }

    /// Uses an approval up, if its time is not over: once, by whoever is first.
    pub(crate) fn take(
        &self,
        id: &ApprovalId,
        now: Moment,
        live: impl FnOnce(&RunId) -> bool,
    ) -> Option<bailiwick_policy::Approval> {
        let entry = self.find(id)?;
        if !live(&entry.run()) || !entry.take(now) {
            return None;
        }
        let question = &entry.question;
        Some(bailiwick_policy::Approval {
            id: *id,
            run: entry.run(),
            target: question.target.clone(),
            fingerprint: question.fingerprint,
            policy_digest: question.policy_digest.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
