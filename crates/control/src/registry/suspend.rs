use std::sync::Arc;
use std::sync::atomic::Ordering;

use bailiwick_audit::{AppendError, Draft, Event, Subject};
use bailiwick_run::{Launcher, RunId};
use tokio::time::{sleep, timeout};

use super::{LookupError, Registry};
use crate::api::Summary;
use crate::limits::{CLOSE_RETRY_AFTER, END_TIME_MAX};
use crate::live::Slot;
use crate::people::{Person, Via};

/// Why it cannot be said that a run is suspended, or may act again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SuspendError {
    /// There is no such run.
    #[error("no run is called {0}; `bailiwick runs` lists them")]
    NoRun(RunId),
    /// It has ended.
    #[error("{0} has ended, so it can be neither suspended nor resumed; open another run")]
    Ended(RunId),
    /// It is suspended, and that is not on record yet.
    #[error(
        "{0} is suspended and can do nothing, but the record of that is still waiting for the disk; it is tried \
         again until it is there, and the run is not resumed before"
    )]
    NotYet(RunId),
    /// It cannot be recorded.
    #[error("{run} is suspended and can do nothing; the record could not be written: {error}")]
    Record {
        /// The run.
        run: RunId,
        /// What happened.
        error: AppendError,
    },
    /// Whoever wants it is a program.
    #[error(
        "{0} is a program, and a suspended run is resumed by a person: in the console, or with `bailiwick resume` on \
         the gateway's own machine"
    )]
    Program(Launcher),
    /// It failed in a way that should not be possible.
    #[error("{0}: it failed unexpectedly, and the gateway's log says how")]
    Unexpected(RunId),
    /// It is not known whether there is such a run.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

impl Registry {
    /// Suspends a run: what it has open is cut at once, and its credential opens nothing until somebody resumes
    /// it. Its time box goes on. One that is suspended stays so.
    ///
    /// `by` is as the record has it: a person's name, or `signal:NAME`.
    ///
    /// # Errors
    /// If there is no such run, it has ended, or it is not on record. It is suspended even so.
    pub async fn suspend(&self, id: &RunId, by: String) -> Result<Summary, SuspendError> {
        let (slot, registry) = (self.open_slot(id).await?, self.clone());
        // On a task of its own: whoever asks may go away half way through.
        let done = tokio::spawn(async move {
            let _turn = slot.turn.lock().await;
            let held = slot.unrecorded.swap(false, Ordering::AcqRel);
            if slot.suspend() || held {
                let recorded = registry.record_suspension(&slot, by).await;
                registry.void_questions(slot.live.run.id).await;
                recorded?;
            }
            still_open(&slot)
        });
        match timeout(END_TIME_MAX, done).await {
            Ok(done) => done.unwrap_or(Err(SuspendError::Unexpected(*id))),
            Err(_) => Err(SuspendError::NotYet(*id)),
        }
    }

    /// Lets a suspended run act again, once that is on record. One that is not suspended stays as it is.
    ///
    /// # Errors
    /// If there is no such run, it has ended, it cannot be recorded, or whoever wants it is no person: what keeps
    /// the runs going by itself may be what made the agent go astray. It stays suspended then.
    pub async fn resume(&self, id: &RunId, who: &Person) -> Result<Summary, SuspendError> {
        let by = who.name.clone();
        if who.via == Via::Token || !by.as_str().starts_with("human:") {
            return Err(SuspendError::Program(by));
        }
        let (slot, registry) = (self.open_slot(id).await?, self.clone());
        let done = tokio::spawn(async move {
            let _turn = slot.turn.lock().await;
            if slot.is_suspended() {
                let draft = draft(&slot, Event::RunResumed { by });
                let run = slot.live.run.id;
                let recorded = registry.0.log.append(draft).await;
                recorded.map_err(|error| SuspendError::Record { run, error })?;
                slot.resume();
            }
            still_open(&slot)
        });
        match timeout(END_TIME_MAX, done).await {
            Ok(done) => done.unwrap_or(Err(SuspendError::Unexpected(*id))),
            Err(_) => Err(SuspendError::NotYet(*id)),
        }
    }

    async fn open_slot(&self, id: &RunId) -> Result<Arc<Slot>, SuspendError> {
        match self.slot(id) {
            Some(slot) if slot.ending().is_none() => Ok(slot),
            Some(_) => Err(SuspendError::Ended(*id)),
            None => match self.summary(id).await? {
                Some(_) => Err(SuspendError::Ended(*id)),
                None => Err(SuspendError::NoRun(*id)),
            },
        }
    }

    async fn record_suspension(&self, slot: &Slot, by: String) -> Result<(), SuspendError> {
        let run = slot.live.run.id;
        loop {
            let suspended = draft(slot, Event::RunSuspended { by: by.clone() });
            match self.0.log.append(suspended).await {
                Ok(_) => return Ok(()),
                Err(AppendError::NotOpen(_)) => return Err(SuspendError::Ended(run)),
                Err(error @ (AppendError::DiskFull | AppendError::Behind)) => {
                    tracing::error!(%run, %error, "the record of a suspension has to wait");
                    sleep(CLOSE_RETRY_AFTER).await;
                }
                Err(error) => return Err(SuspendError::Record { run, error }),
            }
        }
    }
}

fn still_open(slot: &Slot) -> Result<Summary, SuspendError> {
    match slot.ending() {
        None => Ok(slot.summary()),
        Some(_) => Err(SuspendError::Ended(slot.live.run.id)),
    }
}

fn draft(slot: &Slot, event: Event) -> Draft {
    Draft {
        event,
        subject: Subject::Run(slot.live.run.clone()),
        payload: None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bailiwick_run::{Cut, Ending};

    use super::*;
    use crate::api::{RunQuery, RunState, Which};
    use crate::testing::{House, LAUNCHER, opening, person, soon};

    #[tokio::test]
    async fn a_suspended_run_is_cut_and_dead_until_it_is_resumed() {
        let house = House::new();
        let running = house.start().await;
        let registry = &running.registry;
        let opened = registry.open_run(opening("triage")).await.unwrap();
        let run = opened.run.id;
        let before = registry.find(&run).unwrap();
        let bearer = *before.verifier.bearer();

        let summary = registry.suspend(&run, "signal:x".into()).await.unwrap();
        assert_eq!(summary.state, RunState::Suspended);
        assert_eq!(*before.ended.borrow(), Some(Cut::Suspended));
        assert!(registry.find(&run).is_none());
        assert!(registry.find_bearer(&bearer).is_none());
        assert_eq!(registry.find_suspended(&run).unwrap().run.id, run);
        assert!(registry.find_suspended_bearer(&bearer).is_some());
        let open = RunQuery {
            state: Which::Open,
            ..RunQuery::default()
        };
        let listed = registry.runs(open).await.unwrap().runs;
        assert_eq!(listed[0].state, RunState::Suspended);
        // Once is enough.
        registry.suspend(&run, LAUNCHER.into()).await.unwrap();
        assert_eq!(running.types(run), ["run.opened", "run.suspended"]);
        assert!(running.last(run).record.get().contains("signal:x"));

        let mut program = person(LAUNCHER);
        program.via = Via::Token;
        for no_person in [program, person("workflow:ci")] {
            let error = registry.resume(&run, &no_person).await.unwrap_err();
            assert!(matches!(error, SuspendError::Program(_)), "{error}");
        }
        assert!(registry.find(&run).is_none());
        let by = person(LAUNCHER);
        let summary = registry.resume(&run, &by).await.unwrap();
        assert_eq!(summary.state, RunState::Open);
        registry.resume(&run, &by).await.unwrap();
        let after = registry.find_bearer(&bearer).unwrap();
        assert_eq!(*after.ended.borrow(), None);
        assert_eq!(*before.ended.borrow(), Some(Cut::Suspended));
        assert!(registry.find_suspended(&run).is_none());
        let types = ["run.opened", "run.suspended", "run.resumed"];
        assert_eq!(running.types(run), types);

        registry.suspend(&run, LAUNCHER.into()).await.unwrap();
        assert_eq!(*after.ended.borrow(), Some(Cut::Suspended));
        assert!(registry.find(&run).is_none());
    }

    #[tokio::test]
    async fn a_suspended_run_ends_as_any_and_is_not_resumed_then() {
        let house = House::new();
        let running = house.start().await;
        let registry = &running.registry;
        let by = person(LAUNCHER);
        let mut short = opening("triage");
        short.ttl = Some(Duration::from_secs(1));
        let expiring = registry.open_run(short).await.unwrap().run.id;
        let revoked = registry.open_run(opening("triage")).await.unwrap().run.id;
        let live = registry.find(&revoked).unwrap();
        for run in [&expiring, &revoked] {
            registry.suspend(run, LAUNCHER.into()).await.unwrap();
        }
        let summary = registry.end(&revoked, Ending::Revoked).await.unwrap();
        assert_eq!(summary.ending, Some(Ending::Revoked));
        assert_eq!(*live.ended.borrow(), Some(Cut::Ended(Ending::Revoked)));
        assert!(registry.find_suspended(&revoked).is_none());
        soon("it expires", || registry.open_runs() == 0).await;
        let types = ["run.opened", "run.suspended", "run.closed"];
        for run in [expiring, revoked] {
            assert_eq!(running.types(run), types);
            for error in [
                registry.resume(&run, &by).await.unwrap_err(),
                registry.suspend(&run, LAUNCHER.into()).await.unwrap_err(),
            ] {
                assert!(matches!(error, SuspendError::Ended(_)), "{error}");
            }
            assert!(registry.find(&run).is_none());
        }
    }

    #[tokio::test]
    async fn a_restart_ends_a_suspended_run() {
        let house = House::new();
        let running = house.start().await;
        let run = running.registry.open_run(opening("triage")).await.unwrap();
        let run = run.run.id;
        running
            .registry
            .suspend(&run, LAUNCHER.into())
            .await
            .unwrap();
        running.crash();
        let running = house.start().await;
        let summary = running.registry.summary(&run).await.unwrap().unwrap();
        assert_eq!(summary.ending, Some(Ending::GatewayStopped));
    }
}
