use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bailiwick_audit::AppendError;
use bailiwick_policy::Scope;
use bailiwick_run::{Ending, Run, Tally, Time, Verifier};
use tokio::sync::watch;

use crate::api::{Counts, RunState, Summary};
use crate::store::Stored;

/// A run that may act, as the gateway needs it.
#[derive(Clone)]
pub struct Live {
    /// Who it is.
    pub run: Run,
    /// What its credential is checked against.
    pub verifier: Arc<Verifier>,
    /// What it may do.
    pub scope: Arc<Scope>,
    /// Why it ended, once it has: cut what it has open.
    pub ended: watch::Receiver<Option<Ending>>,
    /// What it does, to be counted by the gateway. Its closing record waits for the sessions counted
    /// here.
    pub tally: Arc<Tally>,
}

/// A run in the registry, until its closing record is durable.
pub(crate) struct Slot {
    pub(crate) live: Live,
    /// Why and when it ended.
    pub(crate) cut: watch::Sender<Option<Ending>>,
    pub(crate) ended_at: Mutex<Option<Time>>,
    /// What became of its closing record.
    pub(crate) closed: watch::Sender<Option<Result<Summary, AppendError>>>,
    pub(crate) attach: Mutex<Attach>,
    /// By a clock that nobody can set.
    pub(crate) deadline: Instant,
}

/// Whether a launcher holds the run open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attach {
    /// It need not.
    No,
    /// It has to, by then.
    Awaited(Instant),
    /// It does, or did until the run ended.
    Held,
}

impl Slot {
    pub(crate) fn new(
        run: Run,
        verifier: Verifier,
        scope: Scope,
        lifetime: Duration,
        attach: Attach,
    ) -> Self {
        let (cut, ended) = watch::channel(None);
        Self {
            live: Live {
                run,
                verifier: Arc::new(verifier),
                scope: Arc::new(scope),
                ended,
                tally: Arc::default(),
            },
            cut,
            ended_at: Mutex::new(None),
            closed: watch::channel(None).0,
            attach: Mutex::new(attach),
            deadline: Instant::now() + lifetime,
        }
    }

    /// Why it has to end now, if it has to. The time box is over when either clock says so: a wall
    /// clock that is set back gives no run more time, and one that stands still in a suspended
    /// machine neither.
    pub(crate) fn is_due(&self, now: Time) -> Option<Ending> {
        let instant = Instant::now();
        if self.live.run.time_box.is_over(now) || instant >= self.deadline {
            return Some(Ending::Expired);
        }
        match *lock(&self.attach) {
            Attach::Awaited(until) if instant >= until => Some(Ending::Closed),
            _ => None,
        }
    }

    pub(crate) fn ending(&self) -> Option<Ending> {
        *self.cut.borrow()
    }

    pub(crate) fn counts(&self) -> Counts {
        let tally = &self.live.tally;
        Counts {
            allowed: tally.allowed(),
            denied: tally.denied(),
            masked: tally.masked(),
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        let ending = self.ending();
        Summary {
            state: match ending {
                None => RunState::Open,
                Some(_) => RunState::Ending,
            },
            ended: *lock(&self.ended_at),
            ending,
            counts: self.counts(),
            sessions: self.live.tally.sessions(),
            ..summary(&self.live.run)
        }
    }
}

impl Stored {
    pub(crate) fn summary(&self) -> Summary {
        Summary {
            state: match (self.closed, self.ended) {
                (true, _) => RunState::Ended,
                (false, Some(_)) => RunState::Ending,
                (false, None) => RunState::Open,
            },
            ended: self.ended.map(|(_, ended)| ended),
            ending: self.ended.map(|(ending, _)| ending),
            counts: self.counts,
            ..summary(&self.run)
        }
    }
}

fn summary(run: &Run) -> Summary {
    Summary {
        run: run.id,
        task: run.task.clone(),
        launcher: run.launcher.clone(),
        confinement: run.confinement,
        state: RunState::Open,
        opened: run.time_box.opened,
        expires: run.time_box.expires,
        ended: None,
        ending: None,
        counts: Counts::default(),
        sessions: 0,
    }
}

/// Takes a lock. Nothing that is done under these locks can fail half way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
