use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bailiwick_audit::AppendError;
use bailiwick_policy::Scope;
use bailiwick_run::{Cut, Ending, Run, Tally, Time, Verifier};
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
    /// What it may do: what it was opened to do, within the guardrails that are in force.
    pub scope: watch::Receiver<Arc<Scope>>,
    /// Why what it has open is to be cut, once it is. A run that was suspended and is resumed is found anew.
    pub ended: watch::Receiver<Option<Cut>>,
    /// What it does, to be counted by the gateway. Its closing record waits for the sessions counted
    /// here.
    pub tally: Arc<Tally>,
}

/// A run that may do nothing until somebody resumes it, as the gateway needs it.
#[derive(Clone)]
pub struct Suspended {
    /// Who it is.
    pub run: Run,
    /// What its credential is checked against.
    pub verifier: Arc<Verifier>,
    /// What it does, to be counted by the gateway.
    pub tally: Arc<Tally>,
}

/// What a run has as long as it lasts.
pub(crate) struct Lasting {
    pub(crate) run: Run,
    pub(crate) verifier: Arc<Verifier>,
    /// Replaced where the guardrails are.
    pub(crate) scope: watch::Sender<Arc<Scope>>,
    pub(crate) tally: Arc<Tally>,
}

/// A run in the registry, until its closing record is durable.
pub(crate) struct Slot {
    pub(crate) live: Lasting,
    /// Why and when it ended.
    pub(crate) cut: watch::Sender<Option<Ending>>,
    /// What its sessions watch, from its opening or last resumption on. Locked where `cut` changes.
    term: Mutex<watch::Sender<Option<Cut>>>,
    /// Whether it is suspended, for whoever is attached.
    pub(crate) suspension: watch::Sender<bool>,
    /// It was suspended and that is not on record yet.
    pub(crate) unrecorded: AtomicBool,
    /// Held by whoever suspends or resumes it, until that is on record: the records are in order.
    pub(crate) turn: tokio::sync::Mutex<()>,
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
        Self {
            live: Lasting {
                run,
                verifier: Arc::new(verifier),
                scope: watch::channel(Arc::new(scope)).0,
                tally: Arc::default(),
            },
            cut: watch::channel(None).0,
            term: Mutex::new(watch::channel(None).0),
            suspension: watch::channel(false).0,
            unrecorded: AtomicBool::new(false),
            turn: tokio::sync::Mutex::default(),
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

    /// The run, if it may act now.
    pub(crate) fn admit(&self, now: Time) -> Option<Live> {
        let ended = lock(&self.term).subscribe();
        let may = ended.borrow().is_none() && self.is_due(now).is_none();
        may.then(|| Live {
            run: self.live.run.clone(),
            verifier: Arc::clone(&self.live.verifier),
            scope: self.live.scope.subscribe(),
            ended,
            tally: Arc::clone(&self.live.tally),
        })
    }

    /// The run, if it is suspended now.
    pub(crate) fn suspended(&self, now: Time) -> Option<Suspended> {
        let is = self.is_suspended() && self.is_due(now).is_none();
        is.then(|| Suspended {
            run: self.live.run.clone(),
            verifier: Arc::clone(&self.live.verifier),
            tally: Arc::clone(&self.live.tally),
        })
    }

    pub(crate) fn is_suspended(&self) -> bool {
        *lock(&self.term).borrow() == Some(Cut::Suspended)
    }

    /// Ends it; whether it had not ended before.
    pub(crate) fn end(&self, ending: Ending, now: Time) -> bool {
        let term = lock(&self.term);
        let first = self.cut.send_if_modified(|cut| {
            let first = cut.is_none();
            if first {
                *lock(&self.ended_at) = Some(now);
                *cut = Some(ending);
            }
            first
        });
        if first {
            term.send_replace(Some(Cut::Ended(ending)));
        }
        first
    }

    /// Cuts what it has open, and its credential opens nothing more; whether it could act before.
    pub(crate) fn suspend(&self) -> bool {
        let term = lock(&self.term);
        let could = term.send_if_modified(|cut| {
            let could = cut.is_none();
            if could {
                *cut = Some(Cut::Suspended);
            }
            could
        });
        if could {
            self.suspension.send_replace(true);
        }
        could
    }

    /// Lets it act again; whether it was suspended. What was cut stays cut.
    pub(crate) fn resume(&self) -> bool {
        let mut term = lock(&self.term);
        let suspended = *term.borrow() == Some(Cut::Suspended);
        if suspended {
            *term = watch::channel(None).0;
            self.suspension.send_replace(false);
        }
        suspended
    }

    pub(crate) fn counts(&self) -> Counts {
        let tally = &self.live.tally;
        Counts {
            allowed: tally.allowed(),
            denied: tally.denied(),
            masked: tally.masked(),
        }
    }

    /// How far it is.
    pub(crate) fn state(&self) -> RunState {
        match self.ending() {
            None if self.is_suspended() => RunState::Suspended,
            None => RunState::Open,
            Some(_) => RunState::Ending,
        }
    }

    pub(crate) fn summary(&self) -> Summary {
        let ending = self.ending();
        Summary {
            state: self.state(),
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
