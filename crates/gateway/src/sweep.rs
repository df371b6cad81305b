//! Taking away the logins of runs that are over. There is one way for all of them, whatever ended the
//! run and whoever saw it: look which logins the target has, and drop those whose run is not live here.

use std::sync::Arc;

use bailiwick_run::RunId;
use bailiwick_wire::{Did, Errand, PerRun, Sweep};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::errand::run_errand;
use crate::gateway::Gateway;
use crate::limits::{SWEEP_AGAIN_AFTER, SWEEP_EVERY, SWEEP_STOP_TIME_MAX, SWEEP_TIME_MAX};
use crate::listen::Phase;
use crate::target::{Credentials, Target};

/// Keeps the logins at all targets to those of live runs, until the gateway's end: then all runs have ended,
/// and it returns once their logins are gone.
pub async fn keep_logins(gateway: Arc<Gateway>, mut phase: watch::Receiver<Phase>) {
    let mut sweepers = JoinSet::new();
    for target in gateway.targets.all() {
        if let (Credentials::PerRun, Some(per_run)) = (target.credentials, &target.protocol.per_run)
        {
            let (gateway, target) = (Arc::clone(&gateway), target.clone());
            sweepers.spawn(keep(gateway, per_run, target, phase.clone()));
        }
    }
    // There may be none.
    Phase::is_over(&mut phase).await;
    while sweepers.join_next().await.is_some() {}
}

/// Sweeps at the start, whenever a run has ended, and every minute: for what went wrong, and for what
/// another gateway left.
async fn keep(
    gateway: Arc<Gateway>,
    per_run: &'static PerRun,
    target: Target,
    mut phase: watch::Receiver<Phase>,
) {
    let wake = gateway.entrances.sweeper(&target.name);
    let mut again = SWEEP_AGAIN_AFTER;
    while *phase.borrow() != Phase::Over {
        let wait = match sweep(&gateway, per_run, &target, false).await {
            true => {
                again = SWEEP_AGAIN_AFTER;
                SWEEP_EVERY
            }
            false => {
                let now = again;
                again = (again * 2).min(SWEEP_EVERY);
                now
            }
        };
        tokio::select! {
            () = Phase::is_over(&mut phase) => {}
            () = wake.notified() => {}
            () = sleep(wait) => {}
        }
    }
    let last = sweep(&gateway, per_run, &target, true);
    if timeout(SWEEP_STOP_TIME_MAX, last).await != Ok(true) {
        tracing::warn!(
            target = target.name,
            "logins of runs may still be there; the next start of the gateway drops them"
        );
    }
}

/// Sweeps once; says whether all went that should.
async fn sweep(
    gateway: &Arc<Gateway>,
    per_run: &'static PerRun,
    target: &Target,
    last: bool,
) -> bool {
    let (runs, kept) = (Arc::clone(gateway), Arc::clone(gateway));
    let errand = Errand::Sweep(Sweep {
        gateway: gateway.name.clone(),
        live: Arc::new(move |run: &RunId| is_live(&runs, run)),
        keep: Arc::new(move |template| !last && kept.entrances.used_lately(template)),
    });
    let _place = gateway.entrances.place().await;
    let session = (per_run.errand)(errand);
    match run_errand(session, target, "bailiwick sweep", SWEEP_TIME_MAX).await {
        Ok(Did::Swept { dropped, failed }) => {
            if dropped > 0 {
                tracing::debug!(target = target.name, dropped, "logins of runs were dropped");
            }
            for why in &failed {
                tracing::warn!(
                    target = target.name,
                    "a login of a run could not be dropped: {why}"
                );
            }
            failed.is_empty()
        }
        Ok(_) => false,
        Err(error) => {
            tracing::warn!(target = target.name, %error, "logins of runs could not be looked for");
            false
        }
    }
}

fn is_live(gateway: &Gateway, run: &RunId) -> bool {
    let found = gateway.directory.find(run);
    found.is_some_and(|admission| admission.ended.borrow().is_none())
}
