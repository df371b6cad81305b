use bailiwick_audit::ReadError;
use bailiwick_run::RunId;

use super::{Registry, leftover};
use crate::api::Summary;
use crate::store::{StoreError, Stored};
use crate::view::Chain;
use crate::{clock, names, trail};

/// Why it cannot be said whether there is such a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The registry cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry does not know it, and the record cannot be read for it.
    #[error("{run} is not in the list of runs, and cannot be looked up in the record: {error}")]
    Read {
        /// The run.
        run: RunId,
        /// What happened.
        error: ReadError,
    },
}

impl Registry {
    /// A run at a glance, however long ago it ended; nothing if there never was one of this id.
    ///
    /// # Errors
    /// If the database, or for a run that it has lost the record, cannot be read.
    pub async fn summary(&self, id: &RunId) -> Result<Option<Summary>, LookupError> {
        if let Some(slot) = self.slot(id) {
            return Ok(Some(slot.summary()));
        }
        if let Some(stored) = self.0.store.find(*id).await? {
            return Ok(Some(stored.summary()));
        }
        let recorded = self.recorded(*id).await;
        let recorded = recorded.map_err(|error| LookupError::Read { run: *id, error })?;
        Ok(recorded.map(|recorded| recorded.summary()))
    }

    /// A run that is closed, as the record has it. The list can be lost, and the record not.
    async fn recorded(&self, id: RunId) -> Result<Option<Stored>, ReadError> {
        let entries = self.entries(Chain::Run(id), 0, usize::MAX).await?;
        let entries = entries.unwrap_or_default();
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return Ok(None);
        };
        // One whose first records were pruned is forgotten; one without an ending is being opened.
        let Some(ending) = &last.record.ending else {
            return Ok(None);
        };
        if first.record.seq != 1 {
            return Ok(None);
        }
        let unreadable = |index, what: &str| ReadError::Record {
            index,
            reason: format!("it does not say {what}"),
        };
        let ended = names::ending(ending)
            .zip(clock::read(&last.record.time))
            .ok_or_else(|| unreadable(last.index, "how and when the run ended"))?;
        Ok(Some(Stored {
            run: leftover::from_record(id, &entries).ok_or_else(|| {
                unreadable(first.index, "whose run it opens, for what and how long")
            })?,
            ended: Some(ended),
            ended_by: last.record.by.clone(),
            closed: true,
            counts: trail::counts(&entries),
        }))
    }
}
