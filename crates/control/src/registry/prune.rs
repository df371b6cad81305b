use bailiwick_audit::PruneError;
use bailiwick_run::{Launcher, Time};

use super::{Registry, blocking};
use crate::api::Pruned;
use crate::store::StoreError;

/// Why the log was not pruned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneRunsError {
    /// It is not known who wants it, and the record has to name them.
    #[error("nothing was pruned, because it is not known who wants it: {0}")]
    Nobody(String),
    /// The log cannot be read or written.
    #[error("the log is not pruned yet: {0}")]
    Log(#[from] PruneError),
    /// The list of runs cannot be written.
    #[error("the log is pruned, but the list of runs is not yet: {0}")]
    Store(#[from] StoreError),
}

impl Registry {
    /// Removes what is older than a moment: whole bundles of records, the payloads of the runs that
    /// were closed in them, and these runs from the list.
    ///
    /// # Errors
    /// If the log or the list cannot be read or written.
    pub async fn prune(&self, until: Time, by: Launcher) -> Result<Pruned, PruneRunsError> {
        let (log, wanted) = (self.0.log.clone(), until);
        let before = blocking(move || log.prune(wanted, by)).await?;
        // A run's first record tells whether it is gone: the list goes by that time. Those of logs that
        // were rotated away are still there, and so are the payloads of their runs.
        let reader = self.0.log.reader();
        let first = blocking(move || match reader.archived()?.into_iter().next() {
            Some(oldest) => oldest.from(0).next(),
            None => reader.from(before).next(),
        });
        let first = first.await.map_err(PruneError::Read)?;
        let since = first.and_then(|entry| crate::clock::read(&entry.record.time));
        let runs = self
            .0
            .store
            .forget(since.unwrap_or(until).min(until))
            .await?;
        tracing::info!(before, runs, "pruned the log");
        Ok(Pruned { before, runs })
    }
}
