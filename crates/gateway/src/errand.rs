//! What the gateway does at a target for itself, on connections of its own that no agent is on.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_policy::{Scope, Task};
use bailiwick_wire::{Did, Errand, Fault, Inspection, Protocol, Session};

use crate::fence::{Fence, granted};
use crate::limits::PROVIDE_TIME_MAX;
use crate::target::{OpenError, Target, Targets, open_within};
use crate::veil::Veil;

/// Opens a target for an errand of the gateway's own, and has it done within so long.
pub(crate) async fn run_errand(
    mut session: Box<dyn Session>,
    target: &Target,
    label: &str,
    within: Duration,
) -> Result<Did, OpenError> {
    let targets = Targets::new([]);
    let veil: Arc<dyn bailiwick_wire::Veil> = Arc::new(Veil::of_nobody(&target.name));
    let entrance = target.own_entrance();
    let opened = open_within(
        &mut *session,
        target,
        &entrance,
        &targets,
        label,
        &veil,
        within,
    )
    .await?;
    opened.did.ok_or_else(|| OpenError::Login {
        address: format!("{}:{}", target.endpoint.host, target.endpoint.port),
        fault: Fault::Bug("an errand of which nothing came"),
    })
}

/// What there is to know of the logins that runs of this scope would have at a target. It changes
/// nothing there.
///
/// # Errors
/// If the target cannot be asked; the text says why.
pub async fn inspect(
    target: &Target,
    gateway: &str,
    scope: Arc<Scope>,
) -> Result<Inspection, String> {
    let Some(per_run) = &target.protocol.per_run else {
        return Err(format!("{} has no logins of runs", target.protocol.name));
    };
    let session = (per_run.errand)(Errand::Inspect {
        gateway: gateway.to_owned(),
        fence: Arc::new(Fence::new(&target.name, scope)),
    });
    match run_errand(session, target, "bailiwick inspection", PROVIDE_TIME_MAX).await {
        Ok(Did::Inspected(inspection)) => Ok(inspection),
        Ok(_) => Err("it was not told what to look at".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// What of a task the privileges of a target's own cannot hold a run to, in words; a run of such a task
/// gets no login there.
pub fn beyond(protocol: &Protocol, target: &str, task: &Task) -> Vec<String> {
    match &protocol.per_run {
        Some(per_run) => (per_run.beyond)(&granted(task, target)),
        None => Vec::new(),
    }
}
