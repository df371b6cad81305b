use bailiwick_audit::AppendError;
use bailiwick_run::{Launcher, RunId};

use super::{LookupError, Registry, blocking};
use crate::api::{Erased, RunState};

/// Why a run's payloads were not erased.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EraseError {
    /// There is no such run.
    #[error("no run is called {0}; `bailiwick runs` lists them")]
    NoRun(RunId),
    /// It can still act.
    #[error("{0} has not ended, so its payloads cannot be erased; close or revoke it first")]
    StillOpen(RunId),
    /// It is not known who wants it, and the record has to name them.
    #[error("nothing was erased, because it is not known who wants it: {0}")]
    Nobody(String),
    /// The record cannot be written, or the key not destroyed yet.
    #[error("the payloads of {run} are not erased yet: {error}")]
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
    /// Erases what a run that has ended wrote and got: every copy of the key of its payloads is
    /// destroyed. Its records stay, and one more says who wanted it. Nothing undoes this.
    ///
    /// # Errors
    /// If there is no such run, it has not ended, or the record cannot be read or written.
    pub async fn erase(&self, run: &RunId, by: Launcher) -> Result<Erased, EraseError> {
        let run = *run;
        let summary = self.summary(&run).await?.ok_or(EraseError::NoRun(run))?;
        if summary.state != RunState::Ended {
            return Err(EraseError::StillOpen(run));
        }
        let log = self.0.log.clone();
        let erased = blocking(move || log.erase(run, by)).await;
        let receipt = erased.map_err(|error| EraseError::Record { run, error })?;
        // What people said of its calls, and what it was for, are payloads as well.
        self.0.approvals.forget(run);
        tracing::info!(%run, record = receipt.id(), "erased the payloads of a run");
        Ok(Erased {
            run,
            record: receipt.id(),
        })
    }
}
