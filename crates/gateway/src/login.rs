//! An agent's login: from the first byte of a connection to the proof of which run it is.

use std::io;
use std::sync::Arc;

use bailiwick_run::{RunId, Verified, Verifier};
use bailiwick_wire::{Claim, Fault, LoginFailure, Refused, Session, Step, Wanted, Why};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::calls::suspended_words;
use crate::directory::Admission;
use crate::gateway::Gateway;
use crate::limits::READ_BYTES;
use crate::stream::Stream;

/// An agent that proved which run it is.
pub(crate) struct LoggedIn {
    pub(crate) stream: Stream,
    pub(crate) admission: Admission,
    /// The target it wants.
    pub(crate) target: Wanted,
}

/// Lets an agent log in; nothing if it did not, and then it has been told and that is on record.
pub(crate) async fn log_in(
    gateway: &Gateway,
    tls: &TlsAcceptor,
    session: &mut dyn Session,
    mut stream: Stream,
) -> io::Result<Option<LoggedIn>> {
    let mut input = BytesMut::with_capacity(READ_BYTES);
    // The run whose id the agent gave, whether or not it can prove it.
    let mut claimed: Option<Admission> = None;
    loop {
        while let Some(step) = session.next() {
            match step {
                Step::ToAgent(bytes) => stream.write_all(&bytes).await?,
                Step::AgentTls(bytes) => {
                    stream.write_all(&bytes).await?;
                    let Some(plain) = stream.into_plain() else {
                        return Err(io::Error::other("TLS within TLS"));
                    };
                    stream = Stream::Agent(Box::new(tls.accept(plain).await?));
                    session.agent_secured();
                }
                Step::Identify(claim) => {
                    let verifier;
                    (claimed, verifier) = identify(gateway, &claim);
                    if let Err(fault) = session.identified(verifier) {
                        return refuse(gateway, session, stream, claimed, &fault).await;
                    }
                }
                Step::LoginFailed(failure) => {
                    login_failed(gateway, claimed.as_ref(), failure).await;
                }
                Step::Connect { verified, target } => {
                    return match admitted(gateway, &verified).await {
                        Ok(admission) => Ok(Some(LoggedIn {
                            stream,
                            admission,
                            target,
                        })),
                        Err(refused) => {
                            session.refuse(&refused);
                            farewell(session, &mut stream).await?;
                            Ok(None)
                        }
                    };
                }
                Step::Cancel(key) => {
                    gateway.cancel(key);
                    // Clients that cancel over TLS wait for its proper end.
                    stream.shutdown().await?;
                    return Ok(None);
                }
                Step::Done => {
                    stream.flush().await?;
                    return Ok(None);
                }
                Step::TargetTls
                | Step::Learned(_)
                | Step::Did(_)
                | Step::Ready
                | Step::Ask(..)
                | Step::Held(..)
                | Step::Resumed(..)
                | Step::Rows(..)
                | Step::Relay(_)
                | Step::Finished(..) => {
                    return Err(io::Error::other("a step that does not belong to a login"));
                }
            }
        }
        stream.flush().await?;
        input.clear();
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(None);
        }
        if let Err(fault) = session.agent(&input) {
            return refuse(gateway, session, stream, claimed, &fault).await;
        }
    }
}

/// The run that an agent claims to be, whether or not it can prove it, and what its proof is checked against.
pub(crate) fn identify(gateway: &Gateway, claim: &Claim) -> (Option<Admission>, Arc<Verifier>) {
    let directory = &gateway.directory;
    let (claimed, suspended, name) = match claim {
        Claim::Name(name) => {
            let run = name.parse::<RunId>().ok();
            let claimed = run.and_then(|run| directory.find(&run));
            (
                claimed,
                run.and_then(|run| directory.suspended(&run)),
                &**name,
            )
        }
        Claim::Bearer(secret) => (
            directory.find_bearer(secret),
            directory.suspended_bearer(secret),
            "",
        ),
    };
    let verifier = match (&claimed, suspended) {
        (Some(admission), _) => Arc::clone(&admission.verifier),
        (None, Some(suspended)) => suspended.verifier,
        (None, None) => Arc::new(Verifier::of_nobody(&gateway.decoy, name)),
    };
    (claimed, verifier)
}

/// Records a failed login, under the run that the agent claimed to be.
pub(crate) async fn login_failed(
    gateway: &Gateway,
    claimed: Option<&Admission>,
    failure: LoginFailure,
) {
    if let Some(admission) = claimed {
        admission.tally.deny();
    }
    tracing::warn!(user = ?failure.user, reason = failure.reason, "login denied");
    let target = gateway.targets.get(&failure.target);
    let target = target.map(|target| target.name.clone());
    let run = claimed.map(|admission| &admission.run);
    gateway.login_denied(run, target, failure.reason).await;
}

/// What an agent is told that proved to be a run that is over.
fn not_live() -> Refused {
    Refused {
        why: Why::NotLive,
        message: "this run has ended".into(),
        hint: "Open another run; its credential is its own.".into(),
    }
}

/// The run that an agent proved to be, if it may act now. That one tried which is suspended is on record.
///
/// # Errors
/// What the agent is told, if it may not.
pub(crate) async fn admitted(gateway: &Gateway, verified: &Verified) -> Result<Admission, Refused> {
    let run = verified.run();
    let found = gateway.directory.find(&run);
    if let Some(admission) = found.filter(|admission| admission.ended.borrow().is_none()) {
        return Ok(admission);
    }
    let Some(suspended) = gateway.directory.suspended(&run) else {
        return Err(not_live());
    };
    let refused = suspended_words();
    suspended.tally.deny();
    gateway
        .login_denied(Some(&suspended.run), None, refused.message.clone())
        .await;
    Err(refused)
}

/// Records that a login was not understood, and has the session say so.
pub(crate) async fn not_understood(
    gateway: &Gateway,
    session: &mut dyn Session,
    claimed: Option<&Admission>,
    fault: &Fault,
) {
    let run = claimed.map(|admission| &admission.run);
    gateway.login_denied(run, None, fault.to_string()).await;
    session.refuse(&Refused {
        why: Why::Agent,
        message: fault.to_string(),
        hint: String::new(),
    });
}

/// Ends a login that was not understood.
async fn refuse(
    gateway: &Gateway,
    session: &mut dyn Session,
    mut stream: Stream,
    claimed: Option<Admission>,
    fault: &Fault,
) -> io::Result<Option<LoggedIn>> {
    not_understood(gateway, session, claimed.as_ref(), fault).await;
    farewell(session, &mut stream).await?;
    Ok(None)
}

/// Sends the last words of a session.
pub(crate) async fn farewell(session: &mut dyn Session, stream: &mut Stream) -> io::Result<()> {
    while let Some(step) = session.next() {
        if let Step::ToAgent(bytes) = step {
            stream.write_all(&bytes).await?;
        }
    }
    stream.flush().await
}
