use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_run::RunId;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::registry::Registry;

/// What the index has taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Records of these.
    Some {
        /// The runs.
        runs: BTreeSet<RunId>,
        /// And the gateway's own.
        gateway: bool,
    },
    /// It was made anew, or more than was kept for whoever listens: everything may look different.
    Everything,
}

/// Hears of every change from here on.
#[derive(Debug)]
pub struct Changes(broadcast::Receiver<Arc<Change>>);

impl Changes {
    /// The next one; nothing once there is no more index. Whoever is late gets one
    /// [`Everything`](Change::Everything) for all that was missed. May be given up and called again.
    pub async fn next(&mut self) -> Option<Arc<Change>> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(RecvError::Lagged(_)) => Some(Arc::new(Change::Everything)),
            Err(RecvError::Closed) => None,
        }
    }
}

impl Registry {
    /// Tells whenever the index has moved on with the record.
    pub fn changes(&self) -> Changes {
        Changes(self.index().changes())
    }
}
