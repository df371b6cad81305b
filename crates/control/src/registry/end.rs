use std::sync::Arc;
use std::time::Duration;

use bailiwick_audit::{AppendError, Draft, Event, Outcome, State, Subject};
use bailiwick_run::{Ending, Run, RunId};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{LookupError, Registry, blocking};
use crate::api::{RunState, Summary};
use crate::approvals::Moment;
use crate::clock;
use crate::limits::{CLOSE_RETRY_AFTER, END_TIME_MAX, SESSIONS_END_TIME_MAX};
use crate::live::{Slot, lock};
use crate::trail::{self, Unfinished};

/// How often the sessions of a run that was cut are counted.
const SESSIONS_LOOK: Duration = Duration::from_millis(5);

/// Why a run's end cannot be reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndError {
    /// There is no such run.
    #[error("no run is called {0}; `bailiwick runs` lists them")]
    NoRun(RunId),
    /// It has ended, but its closing record is not durable yet.
    #[error(
        "{0} has ended and can do nothing more, but its closing record is still waiting for the \
         disk; `bailiwick runs` shows when it is there"
    )]
    NotYet(RunId),
    /// It has ended, but its closing record could not be written.
    #[error(
        "{run} has ended and can do nothing more, but its closing record could not be written; the \
         next start of the gateway writes it: {error}"
    )]
    Record {
        /// The run.
        run: RunId,
        /// What happened.
        error: AppendError,
    },
    /// It is not known whether there is such a run.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

impl Registry {
    /// Ends a run: first what it has open is cut, then its last records are waited for, then its
    /// closing record is made durable. A run that has ended stays as it is.
    ///
    /// # Errors
    /// If there is no such run, or its closing record is not durable. The run is cut even so.
    pub async fn end(&self, id: &RunId, ending: Ending) -> Result<Summary, EndError> {
        self.end_by(id, ending, None).await
    }

    /// The same at somebody's wish, who is named in the closing record: a launcher's name, or `signal:NAME`.
    ///
    /// # Errors
    /// As [`end`](Self::end).
    pub async fn end_by(
        &self,
        id: &RunId,
        ending: Ending,
        by: Option<String>,
    ) -> Result<Summary, EndError> {
        let Some(slot) = self.slot(id) else {
            return self.summary(id).await?.ok_or(EndError::NoRun(*id));
        };
        self.cut(&slot, ending, by);
        self.wait_closed(&slot, Instant::now() + END_TIME_MAX).await
    }

    /// Ends what the run has open, at once, and sees to its closing record; the first ending counts.
    pub(super) fn cut(&self, slot: &Arc<Slot>, ending: Ending, by: Option<String>) {
        if slot.end(ending, clock::now()) {
            let (registry, slot) = (self.clone(), Arc::clone(slot));
            self.0
                .runtime
                .spawn(async move { registry.close(&slot, ending, by).await });
        }
    }

    pub(super) async fn wait_closed(
        &self,
        slot: &Slot,
        until: Instant,
    ) -> Result<Summary, EndError> {
        let run = slot.live.run.id;
        let mut closed = slot.closed.subscribe();
        let closed = timeout_at(until, closed.wait_for(Option::is_some)).await;
        match closed.as_ref().map(|closed| closed.as_deref()) {
            Ok(Ok(Some(Ok(summary)))) => Ok(summary.clone()),
            Ok(Ok(Some(Err(error)))) => Err(EndError::Record {
                run,
                error: error.clone(),
            }),
            _ => Err(EndError::NotYet(run)),
        }
    }

    /// After the cut: the run's last records, its closing record, the registry.
    async fn close(&self, slot: &Slot, ending: Ending, by: Option<String>) {
        let run = &slot.live.run;
        let ended = lock(&slot.ended_at).unwrap_or_else(clock::now);
        // Should the closing record have to wait for the next start, that still knows why.
        let stored = (self.0.store)
            .ended(run.id, ending, ended, by.clone())
            .await;
        if let Err(error) = stored {
            tracing::error!(run = %run.id, %error, "the end of a run could not be stored");
        }
        // Sessions may be waiting for somebody's answer.
        self.void_questions(run.id).await;
        let sessions_ended = async {
            while slot.live.tally.sessions() > 0 {
                sleep(SESSIONS_LOOK).await;
            }
        };
        if timeout(SESSIONS_END_TIME_MAX, sessions_ended)
            .await
            .is_err()
        {
            tracing::warn!(run = %run.id, "sessions of a run were still open after it was cut");
            self.finish_calls(run).await;
        }
        self.0.approvals.close(run.id, Moment::now()).await;
        let closed = || Draft {
            event: Event::RunClosed {
                ending,
                by: by.clone(),
            },
            subject: Subject::Run(run.clone()),
            payload: None,
        };
        let result = loop {
            match self.0.log.append(closed()).await {
                Ok(_) => break Ok(()),
                Err(error @ (AppendError::DiskFull | AppendError::Behind)) => {
                    tracing::error!(run = %run.id, %error, "a closing record has to wait");
                    sleep(CLOSE_RETRY_AFTER).await;
                }
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = result {
            tracing::error!(run = %run.id, %error, "a closing record could not be written");
            slot.closed.send_replace(Some(Err(error)));
            return;
        }
        self.0.meters.ended(ending);
        let summary = Summary {
            state: RunState::Ended,
            ..slot.summary()
        };
        let counts = slot.counts();
        while let Err(error) = self.0.store.closed(run, ending, ended, counts).await {
            // The record is what counts, and it is durable. The list waits, on a full disk say.
            tracing::error!(run = %run.id, %error, "the end of a run could not be stored yet");
            slot.closed.send_replace(Some(Ok(summary.clone())));
            sleep(CLOSE_RETRY_AFTER).await;
        }
        lock(&self.0.slots).remove(&run.id);
        slot.closed.send_replace(Some(Ok(summary)));
    }

    /// Sessions that do not end in time have calls without an outcome. Nobody knows theirs.
    async fn finish_calls(&self, run: &Run) {
        let (reader, id) = (self.0.log.reader(), run.id);
        let unfinished = blocking(move || {
            Ok::<_, bailiwick_audit::ReadError>(trail::unfinished(&reader.run(&id)?))
        });
        let unfinished = match unfinished.await {
            Ok(unfinished) => unfinished,
            Err(error) => {
                tracing::error!(run = %run.id, %error, "the unfinished calls of a run are not known");
                return;
            }
        };
        for call in unfinished {
            // Fails where the session got there first, which is as good.
            if let Err(error) = self.0.log.append(indeterminate(run, call)).await {
                tracing::debug!(run = %run.id, %error, "no outcome was recorded");
            }
        }
    }
}

/// Nobody knows how this call ended.
pub(super) fn indeterminate(run: &Run, call: Unfinished) -> Draft {
    Draft {
        event: Event::CallFinished {
            of: call.of,
            target: call.target,
            protocol: call.protocol.into(),
            verb: call.verb,
            outcome: Outcome {
                state: State::Indeterminate,
                rows: 0,
                bytes: 0,
                digest: None,
                masked: 0,
                error: None,
                micros: 0,
            },
        },
        subject: Subject::Run(run.clone()),
        payload: None,
    }
}
