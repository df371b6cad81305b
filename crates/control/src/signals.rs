//! Signals: rules over the record as it grows. A thread reads the log behind everything that serves calls, as the
//! index does, and where a rule matches it cuts the run, tells the sinks, and records that (`signal.raised`).
//!
//! It keeps how far it has read in `state.sqlite`, in one transaction with what came of that: after a restart it
//! goes on where it was, so no record is left out and none counts twice. A signal is recorded once: what was
//! raised waits until it is seen in the log, and after a restart the log is read to its end before anything is
//! recorded again.

use std::sync::Arc;

mod count;
mod follow;
mod rule;
mod trouble;

pub use rule::{Canary, Does, Glob, Rule, When};

#[cfg(test)]
mod tests;

use crate::notice::Notices;
use crate::registry::{Registry, WeakRegistry};
use crate::store::{Store, StoreError};

/// What the configuration says of signals.
#[derive(Clone, Debug, Default)]
pub struct SignalSettings {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Whether witnesses are asked to sign the log, so that it is trouble where too few of them do.
    pub witnessed: bool,
}

/// Begins to follow the log, if there is a rule. Ends with the registry.
///
/// # Errors
/// If the database cannot be used or the log not be read.
pub(crate) async fn start(
    registry: &Registry,
    weak: WeakRegistry,
    settings: SignalSettings,
    store: &Store,
    notices: Notices,
) -> Result<(), StoreError> {
    if settings.rules.is_empty() {
        return store.unfollow().await;
    }
    let follower = follow::Follower::new(registry, weak, settings, store.clone(), notices).await?;
    std::thread::Builder::new()
        .name("control-signals".into())
        .spawn(move || follower.run())
        .map(drop)
        .map_err(|error| StoreError::Thread(Arc::new(error)))
}
