//! What signals want of the registry.

use std::path::Path;
use std::sync::Weak;
use std::sync::atomic::Ordering;

use bailiwick_audit::{AppendError, Draft, Event, Subject, Vitals};
use bailiwick_run::RunId;

use super::{Inner, Registry};

/// A registry, as long as it is there.
#[derive(Clone)]
pub(crate) struct WeakRegistry(pub(super) Weak<Inner>);

impl WeakRegistry {
    pub(crate) fn get(&self) -> Option<Registry> {
        self.0.upgrade().map(Registry)
    }
}

impl Registry {
    /// Cuts what a run has open, at once and before that is on record: [`suspend`](Self::suspend) or
    /// [`end`](Self::end) has to follow.
    pub(crate) fn hold(&self, run: &RunId) {
        if let Some(slot) = self.slot(run)
            && slot.suspend()
        {
            slot.unrecorded.store(true, Ordering::Release);
        }
    }

    /// Records something in the chain of a run, or where that is not open in the gateway's own.
    pub(crate) async fn record_about(
        &self,
        run: Option<&RunId>,
        event: impl Fn() -> Event,
    ) -> Result<(), AppendError> {
        let draft = |subject| Draft {
            event: event(),
            subject,
            payload: None,
        };
        if let Some(slot) = run.and_then(|run| self.slot(run)) {
            let of_run = draft(Subject::Run(slot.live.run.clone()));
            match self.0.log.append(of_run).await {
                Err(AppendError::NotOpen(_)) => {}
                recorded => return recorded.map(drop),
            }
        }
        let recorded = self.0.log.append(draft(Subject::Gateway)).await;
        recorded.map(drop)
    }

    /// How the log is.
    pub(crate) fn vitals(&self) -> Vitals {
        self.0.log.vitals()
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.0.settings.data
    }
}
