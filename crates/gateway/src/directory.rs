//! How the gateway learns who a run is. It asks; whoever keeps the runs implements.

use std::sync::Arc;

use bailiwick_policy::Scope;
use bailiwick_run::{BearerDigest, Cut, Run, RunId, Tally, Verifier};
use tokio::sync::watch;

use crate::meters::{Level, Meter};

/// Knows the live runs.
pub trait Directory: Send + Sync {
    /// The run of this id, if it is live. The answer keeps telling when it ends.
    fn find(&self, run: &RunId) -> Option<Admission>;

    /// The run whose secret this is the digest of, if it is live.
    fn find_bearer(&self, secret: &BearerDigest) -> Option<Admission>;

    /// The run of this id, if it is suspended: only whoever proves its secret is told so.
    fn suspended(&self, run: &RunId) -> Option<Suspended>;

    /// The run whose secret this is the digest of, if it is suspended.
    fn suspended_bearer(&self, secret: &BearerDigest) -> Option<Suspended>;
}

/// A run that may do nothing until somebody resumes it.
#[derive(Clone)]
pub struct Suspended {
    /// Who it is.
    pub run: Run,
    /// What its credential is checked against.
    pub verifier: Arc<Verifier>,
    /// What it has done.
    pub tally: Arc<Tally>,
}

/// A live run.
#[derive(Clone)]
pub struct Admission {
    /// Who it is.
    pub run: Run,
    /// What its credential is checked against.
    pub verifier: Arc<Verifier>,
    /// What it may do: what it was opened to do, within the guardrails that are in force.
    pub scope: watch::Receiver<Arc<Scope>>,
    /// Why what it has open is cut, once it is. One that is resumed is admitted anew.
    pub ended: watch::Receiver<Option<Cut>>,
    /// What it has done.
    pub tally: Arc<Tally>,
}

impl Admission {
    /// What it may do now.
    pub(crate) fn scope(&self) -> Arc<Scope> {
        Arc::clone(&self.scope.borrow())
    }
}

/// A session that is open; it counts as open until this is dropped, which is after its last record.
#[derive(Debug)]
pub(crate) struct SessionOpen {
    tally: Arc<Tally>,
    _counted: Level,
}

impl SessionOpen {
    /// Counts one more session, unless that would be more than `max`.
    pub(crate) fn new(tally: &Arc<Tally>, max: u64, meter: &Meter) -> Option<Self> {
        tally.open_session(max).then(|| Self {
            tally: Arc::clone(tally),
            _counted: meter.session(),
        })
    }
}

impl Drop for SessionOpen {
    fn drop(&mut self) {
        self.tally.close_session();
    }
}
