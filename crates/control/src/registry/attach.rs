use std::sync::Arc;

use bailiwick_run::{Ending, RunId};

use super::Registry;
use crate::live::{Attach, Slot, lock};

/// Why nobody can attach to a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// It is not open.
    #[error("{0} is not open, so there is nothing to attach to")]
    NotOpen(RunId),
    /// It does not depend on anybody.
    #[error("{0} was not opened to be attached to: it lasts until it is closed or its time is up")]
    NotWanted(RunId),
    /// Somebody else is attached.
    #[error("{0} has its launcher attached already")]
    Taken(RunId),
}

/// Holds a run open: when it is dropped the run ends.
pub struct Attachment {
    registry: Registry,
    slot: Arc<Slot>,
}

impl Registry {
    /// Attaches to a run that was opened for it.
    ///
    /// # Errors
    /// If the run is not open, was not opened for that, or is attached to already.
    pub fn attach(&self, id: &RunId) -> Result<Attachment, AttachError> {
        let slot = self.slot(id).filter(|slot| slot.ending().is_none());
        let slot = slot.ok_or(AttachError::NotOpen(*id))?;
        let mut attach = lock(&slot.attach);
        match *attach {
            Attach::Awaited(_) => *attach = Attach::Held,
            Attach::Held => return Err(AttachError::Taken(*id)),
            Attach::No => return Err(AttachError::NotWanted(*id)),
        }
        drop(attach);
        Ok(Attachment {
            registry: self.clone(),
            slot,
        })
    }
}

impl Attachment {
    /// Waits until the run ends, and says why it did.
    pub async fn ended(&self) -> Ending {
        let mut ended = self.slot.cut.subscribe();
        let ending = ended.wait_for(Option::is_some).await.map(|ending| *ending);
        match ending {
            Ok(Some(ending)) => ending,
            // Its sender is in the slot that we hold.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.registry.cut(&self.slot, Ending::Closed, None);
    }
}
