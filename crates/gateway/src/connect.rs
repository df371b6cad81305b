//! Between login and first call: is the target in the run's scope, and can it be opened.

use std::io;
use std::sync::Arc;

use bailiwick_wire::{CancelKey, Protocol, Refused, Session};
use tokio::time::timeout;

use crate::directory::{Admission, SessionOpen};
use crate::gateway::Gateway;
use crate::limits::{FAREWELL_TIME_MAX, SESSIONS_PER_RUN_MAX};
use crate::live::{Live, ended_because, ended_words};
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
) -> io::Result<()> {
    let LoggedIn {
        mut stream,
        admission,
        target: wanted,
    } = logged_in;
    let open_session = match may(gateway, protocol, &admission, &wanted) {
        Ok(granted) => granted,
        Err((target, refused)) => {
            admission.tally.deny();
            gateway
                .login_denied(Some(&admission.run), target, refused.message.clone())
                .await;
            return say_no(&mut *session, &mut stream, &refused).await;
        }
    };
    let (target, session_open) = open_session;
    let veil: Arc<dyn bailiwick_wire::Veil> = Arc::new(Veil::new(
        &target.name,
        Arc::clone(&admission.scope),
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
            live.serve(&cancellable).await;
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
                code: "08001",
                message: format!("target `{}` cannot be opened", target.name),
                hint: "The gateway's own log and the run's trail say why. Try again later.".into(),
            };
            say_no(&mut *session, &mut stream, &refused).await
        }
    }
}

/// Whether the run may open a session with this target now.
fn may<'g>(
    gateway: &'g Gateway,
    protocol: &'static Protocol,
    admission: &Admission,
    wanted: &str,
) -> Result<(&'g Target, SessionOpen), (Option<String>, Refused)> {
    let run = &admission.run;
    let known = gateway
        .targets
        .get(wanted)
        .filter(|target| target.protocol.name == protocol.name);
    // A target that does not exist and one that is out of scope are told apart by nobody.
    let Some(target) = known.filter(|target| admission.scope.may_use(&target.name)) else {
        return Err((
            known.map(|target| target.name.clone()),
            Refused {
                code: "42501",
                message: format!(
                    "target `{}` is outside the scope of run {} (task {})",
                    wanted.escape_debug(),
                    run.id,
                    run.task
                ),
                hint: "Ask for a grant on this target in the task's file.".into(),
            },
        ));
    };
    match SessionOpen::new(&admission.tally, SESSIONS_PER_RUN_MAX) {
        Some(session_open) => Ok((target, session_open)),
        None => Err((
            Some(target.name.clone()),
            Refused {
                code: "53300",
                message: format!("run {} has {SESSIONS_PER_RUN_MAX} sessions open", run.id),
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
