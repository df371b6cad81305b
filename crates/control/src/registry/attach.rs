use std::sync::Arc;

use bailiwick_run::{Ending, Launcher, RunId};

use super::Registry;
use crate::api::Change;
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
    /// Another has launched it, whose it is to say how long it lasts.
    #[error("{0} was launched by {1}, who alone can hold it open; `bailiwick close` ends it")]
    NotTheirs(RunId, Launcher),
    /// Somebody else is attached.
    #[error("{0} has its launcher attached already")]
    Taken(RunId),
}

/// Holds a run open: when it is dropped the run ends.
pub struct Attachment {
    registry: Registry,
    slot: Arc<Slot>,
    /// Whether its holder knows it as suspended.
    suspended: bool,
}

impl Registry {
    /// Attaches to a run that was opened for it, by whoever has opened it: how it ends names nobody.
    ///
    /// # Errors
    /// If the run is not open, is somebody else's, was not opened for that, or is attached to already.
    pub fn attach(&self, id: &RunId, who: &Launcher) -> Result<Attachment, AttachError> {
        let slot = self.slot(id).filter(|slot| slot.ending().is_none());
        let slot = slot.ok_or(AttachError::NotOpen(*id))?;
        let launcher = &slot.live.run.launcher;
        if who != launcher {
            return Err(AttachError::NotTheirs(*id, launcher.clone()));
        }
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
            suspended: false,
        })
    }
}

impl Attachment {
    /// Waits until the run is suspended, resumed or ended, and says which. What was undone before anybody looked
    /// is not told.
    pub async fn change(&mut self) -> Change {
        let mut ended = self.slot.cut.subscribe();
        let mut suspended = self.slot.suspension.subscribe();
        let known = self.suspended;
        let change = tokio::select! {
            biased;
            ending = ended.wait_for(Option::is_some) => match ending.map(|ending| *ending) {
                Ok(Some(ending)) => Some(Change::Ended { ending }),
                Ok(None) | Err(_) => None,
            },
            now = suspended.wait_for(|now| *now != known) => match now.map(|now| *now) {
                Ok(true) => Some(Change::Suspended),
                Ok(false) => Some(Change::Resumed),
                Err(_) => None,
            },
        };
        match change {
            Some(change) => {
                self.suspended = change == Change::Suspended;
                change
            }
            // Their senders are in the slot that we hold.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.registry.cut(&self.slot, Ending::Closed, None);
    }
}
