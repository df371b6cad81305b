//! How the gateway learns who a run is. It asks; whoever keeps the runs implements.

use std::sync::Arc;

use bailiwick_policy::Scope;
use bailiwick_run::{BearerDigest, Ending, Run, RunId, Tally, Verifier};
use tokio::sync::watch;

/// Knows the live runs.
pub trait Directory: Send + Sync {
    /// The run of this id, if it is live. The answer keeps telling when it ends.
    fn find(&self, run: &RunId) -> Option<Admission>;

    /// The run whose secret this is the digest of, if it is live.
    fn find_bearer(&self, secret: &BearerDigest) -> Option<Admission>;
}

/// A live run.
#[derive(Clone)]
pub struct Admission {
    /// Who it is.
    pub run: Run,
    /// What its credential is checked against.
    pub verifier: Arc<Verifier>,
    /// What it may do.
    pub scope: Arc<Scope>,
    /// Why it ended, once it has.
    pub ended: watch::Receiver<Option<Ending>>,
    /// What it has done.
    pub tally: Arc<Tally>,
}

/// A session that is open; it counts as open until this is dropped, which is after its last record.
#[derive(Debug)]
pub(crate) struct SessionOpen(Arc<Tally>);

impl SessionOpen {
    /// Counts one more session, unless that would be more than `max`.
    pub(crate) fn new(tally: &Arc<Tally>, max: u64) -> Option<Self> {
        tally.open_session(max).then(|| Self(Arc::clone(tally)))
    }
}

impl Drop for SessionOpen {
    fn drop(&mut self) {
        self.0.close_session();
    }
}
