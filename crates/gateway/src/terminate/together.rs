//! What all exchanges of one run with one target have together, for as long as the run lives; and what all
//! runs have together that use one target.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bailiwick_run::RunId;
use bailiwick_wire::Knowledge;

use super::client::Client;
use super::command::Commands;
use super::upstream::{Lost, Upstream};
use crate::calls::ended_because;
use crate::directory::Admission;
use crate::gateway::Gateway;
use crate::limits::REFRESH_EVERY;
use crate::target::Target;
use crate::veil::Veil;

/// What the exchanges of one run with one target have together.
pub(crate) struct Together {
    /// Names the run to the target.
    pub(crate) label: String,
    pub(crate) veil: Arc<dyn bailiwick_wire::Veil>,
    /// What the protocol shares among them.
    pub(crate) knowledge: Option<Knowledge>,
    pub(crate) upstream: Arc<dyn Upstream>,
    /// When what is shared was last said to be out of date.
    refreshed: Mutex<Instant>,
}

impl Together {
    /// Whether it is time to say that what is shared may be out of date: an exchange is too short for a
    /// clock of its own.
    pub(crate) fn is_stale(&self) -> bool {
        let mut refreshed = lock(&self.refreshed);
        let is_stale = refreshed.elapsed() >= REFRESH_EVERY;
        if is_stale {
            *refreshed = Instant::now();
        }
        is_stale
    }
}

/// By run, and by target.
#[derive(Default)]
pub(crate) struct Togethers {
    of_runs: Mutex<HashMap<RunId, HashMap<String, Arc<Together>>>>,
    /// Connections to a target serve all runs: none can tell from them what another did.
    of_targets: Mutex<HashMap<String, Arc<dyn Upstream>>>,
}

impl Gateway {
    /// What a run's exchanges with a target have together. Made when the first needs it, and gone with the
    /// run.
    ///
    /// # Errors
    /// If the target cannot be reached, whatever is sent.
    pub(crate) fn together(
        self: &Arc<Self>,
        admission: &Admission,
        target: &Target,
    ) -> Result<Arc<Together>, Lost> {
        let run = admission.run.id;
        let mut of_runs = lock(&self.togethers.of_runs);
        let known = of_runs.get(&run);
        if let Some(together) = known.and_then(|of_run| of_run.get(&target.name)) {
            return Ok(Arc::clone(together));
        }
        let together = Arc::new(Together {
            label: format!("bailiwick {run}"),
            veil: Arc::new(
                Veil::new(&target.name, admission.scope(), Arc::clone(&self.detectors))
                    .hiding(target.secrets()),
            ),
            knowledge: target.protocol.shared.map(|shared| shared()),
            upstream: self.upstream(admission, target)?,
            refreshed: Mutex::new(Instant::now()),
        });
        let of_run = of_runs.entry(run).or_insert_with(|| {
            let (gateway, mut ended) = (Arc::clone(self), admission.ended.clone());
            tokio::spawn(async move {
                ended_because(&mut ended).await;
                lock(&gateway.togethers.of_runs).remove(&run);
            });
            HashMap::new()
        });
        of_run.insert(target.name.clone(), Arc::clone(&together));
        Ok(together)
    }

    fn upstream(&self, admission: &Admission, target: &Target) -> Result<Arc<dyn Upstream>, Lost> {
        if let Some(command) = &target.upstream.command {
            // Its programs are the run's own.
            let (run, ended) = (admission.run.id, admission.ended.clone());
            return Ok(Arc::new(Commands::new(&target.name, command, run, ended)));
        }
        let mut of_targets = lock(&self.togethers.of_targets);
        if let Some(upstream) = of_targets.get(&target.name) {
            return Ok(Arc::clone(upstream));
        }
        let made: Arc<dyn Upstream> = Arc::new(Client::new(target)?);
        of_targets.insert(target.name.clone(), Arc::clone(&made));
        Ok(made)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Entries go in and out whole, so a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
