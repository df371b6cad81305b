//! Between login and first call: is the target in the run's scope, and can it be opened.

use std::io;
use std::sync::Arc;

use bailiwick_wire::{CancelKey, Protocol, Refused, Session, Wanted, Why};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::calls::{ended_because, ended_words};
use crate::directory::{Admission, SessionOpen};
use crate::gateway::Gateway;
use crate::limits::{FAREWELL_TIME_MAX, SESSIONS_PER_RUN_MAX};
use crate::listen::Phase;
use crate::live::Live;
use crate::login::{LoggedIn, farewell};
use crate::stream::Stream;
use crate::target::{Target, open};
use crate::veil::Veil;

/// Opens the target for a logged-in agent and serves the session to its end.
pub(crate) async fn connect(
    gateway: &Arc<Gateway>,
    protocol: &'static Protocol,
    mut session: Box<dyn Session>,
    logged_in: LoggedIn,
    cancel: CancelKey,
    phase: watch::Receiver<Phase>,
) -> io::Result<()> {
    let LoggedIn {
        mut stream,
        admission,
        target: wanted,
    } = logged_in;
    let max = SESSIONS_PER_RUN_MAX;
    let (target, session_open) = match may(gateway, protocol, &admission, &wanted, max).await {
        Ok(granted) => granted,
        Err(refused) => return say_no(&mut *session, &mut stream, &refused).await,
    };
    let veil: Arc<dyn bailiwick_wire::Veil> = Arc::new(Veil::new(
        &target.name,
        admission.scope(),
        Arc::clone(&gateway.detectors),
    ));
    let label = format!("bailiwick {}", admission.run.id);
    let mut ended = admission.ended.clone();
    let opening = async {
        let entrance = gateway.entrance(&admission, target).await?;
        let targets = &gateway.targets;
        open(&mut *session, target, &entrance, targets, &label, &veil).await
    };
    let opened = tokio::select! {
        opened = opening => opened,
        ending = ended_because(&mut ended) => {
            return say_no(&mut *session, &mut stream, &ended_words(ending)).await;
        }
    };
    match opened {
        Ok(opened) => {
            let cancellable = gateway.cancellable(cancel);
            let live = Live::new(gateway, admission, target, session, stream, opened);
            live.serve(&cancellable, phase).await;
            drop(session_open);
            Ok(())
        }
        Err(error) => {
            let run = admission.run.id;
            tracing::error!(%run, target = target.name, %error, "the target cannot be opened");
            let reason = format!("the target cannot be opened: {error}");
            gateway
                .login_denied(Some(&admission.run), Some(target.name.clone()), reason)
                .await;
            // Addresses are for whoever runs the gateway.
            let refused = Refused {
                why: Why::TargetUnopened,
                message: format!("target `{}` cannot be opened", target.name),
                hint: "The gateway's own log and the run's trail say why. Try again later.".into(),
            };
            say_no(&mut *session, &mut stream, &refused).await
        }
    }
}

/// Whether the run may open a session with this target now, having no more than `max` open; if not, that is
/// on record.
pub(crate) async fn may<'g>(
    gateway: &'g Gateway,
    protocol: &'static Protocol,
    admission: &Admission,
    wanted: &Wanted,
    max: u64,
) -> Result<(&'g Target, SessionOpen), Refused> {
    match within(gateway, protocol, admission, wanted, max) {
        Ok(granted) => Ok(granted),
        Err((target, refused)) => {
            admission.tally.deny();
            gateway
                .login_denied(Some(&admission.run), target, refused.message.clone())
                .await;
            Err(refused)
        }
    }
}

fn within<'g>(
    gateway: &'g Gateway,
    protocol: &'static Protocol,
    admission: &Admission,
    wanted: &Wanted,
    max: u64,
) -> Result<(&'g Target, SessionOpen), (Option<String>, Refused)> {
    let run = &admission.run;
    let known = gateway
        .targets
        .wanted(wanted)
        .filter(|target| target.protocol.name == protocol.name);
    // A target that does not exist and one that is out of scope are told apart by nobody.
    let scope = admission.scope();
    let Some(target) = known.filter(|target| scope.may_use(&target.name)) else {
        return Err((
            known.map(|target| target.name.clone()),
            Refused {
                why: Why::OutOfScope,
                message: format!(
                    "target `{}` is outside the scope of run {} (task {})",
                    wanted.to_string().escape_debug(),
                    run.id,
                    run.task
                ),
                hint: "Ask for a grant on this target in the task's file.".into(),
            },
        ));
    };
    let meter = gateway.meters.of(target);
    match SessionOpen::new(&admission.tally, max, &meter) {
        Some(session_open) => Ok((target, session_open)),
        None => Err((
            Some(target.name.clone()),
            Refused {
                why: Why::Busy,
                message: format!("run {} has {max} sessions open", run.id),
                hint: "Close some of them.".into(),
            },
        )),
    }
}

async fn say_no(
    session: &mut dyn Session,
    stream: &mut Stream,
    refused: &Refused,
) -> io::Result<()> {
    session.refuse(refused);
    timeout(FAREWELL_TIME_MAX, farewell(session, stream))
        .await
        .map_err(io::Error::other)?
}
