//! Where connections arrive: each gets a session of its own, within limits.

use std::sync::Arc;

use bailiwick_wire::{Protocol, Refused, Session, Step, Transport, Why};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::connect::connect;
use crate::gateway::Gateway;
use crate::limits::{CONNECTIONS_MAX, LOGIN_TIME_MAX, STOP_TIME_MAX};
use crate::login::log_in;
use crate::stream::Stream;
use crate::{terminate, tls};

/// How far a gateway is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// It serves.
    Serving,
    /// It stops: nobody new is let in, who has nothing under way is sent away, and what runs may come to its
    /// end.
    Stopping,
    /// All runs have ended.
    Over,
}

impl Phase {
    /// Waits until it no longer serves. Cancel safe.
    pub(crate) async fn stops(phase: &mut watch::Receiver<Phase>) {
        // Whoever sends it is gone only when the gateway is.
        let _ = phase.wait_for(|phase| *phase != Phase::Serving).await;
    }

    /// Waits until all runs have ended. Cancel safe.
    pub(crate) async fn is_over(phase: &mut watch::Receiver<Phase>) {
        let _ = phase.wait_for(|phase| *phase == Phase::Over).await;
    }
}

/// Serves agents of one protocol until the gateway stops; returns once their sessions are over.
pub async fn serve(
    gateway: Arc<Gateway>,
    protocol: &'static Protocol,
    listener: TcpListener,
    mut phase: watch::Receiver<Phase>,
) {
    let tls = match protocol.transport {
        Transport::Socket { tls_alpn, .. } => gateway.tls.speaking(&[tls_alpn]),
        Transport::Http => gateway.tls.speaking(&terminate::ALPN),
    };
    let tls = TlsAcceptor::from(tls);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let listening = gateway.meters.listening();
    loop {
        let accepted = tokio::select! {
            () = Phase::stops(&mut phase) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    tracing::warn!(%peer, "connection closed: {CONNECTIONS_MAX} are open already");
                    gateway.meters.turned_away.inc();
                    turn_away(protocol, &stream);
                    continue;
                };
                let gateway = Arc::clone(&gateway);
                let tls = tls.clone();
                let phase = phase.clone();
                connections.spawn(async move {
                    let counted = gateway.meters.connection(protocol.name);
                    let served = connection(&gateway, protocol, &tls, stream, phase).await;
                    if let Err(error) = served {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                    drop((place, counted));
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: let some close.
                tracing::error!(%error, "no connection could be accepted");
                sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
    drop((listener, listening));
    // Once the runs have ended their sessions end with them; none may hold up the stop.
    let all = async { while connections.join_next().await.is_some() {} };
    let late = async {
        Phase::is_over(&mut phase).await;
        sleep(STOP_TIME_MAX).await;
    };
    let ended = tokio::select! {
        () = all => true,
        () = late => false,
    };
    if !ended {
        tracing::warn!("sessions were still open when the gateway stopped");
    }
}

/// Says why there is no place for a connection, without waiting until that is read.
fn turn_away(protocol: &'static Protocol, stream: &TcpStream) {
    if matches!(protocol.transport, Transport::Http) {
        return terminate::turn_away(stream);
    }
    let Ok(seed) = Gateway::seed() else { return };
    let mut session = (protocol.session)(seed);
    session.refuse(&Refused {
        why: Why::Busy,
        message: format!("the gateway has {CONNECTIONS_MAX} connections open"),
        hint: "Close some, or try again later.".into(),
    });
    while let Some(step) = session.next() {
        if let Step::ToAgent(bytes) = step {
            // Its buffer is empty, so there is room; and if not, it is closed without a word.
            let _ = stream.try_write(&bytes);
        }
    }
}

async fn connection(
    gateway: &Arc<Gateway>,
    protocol: &'static Protocol,
    tls: &TlsAcceptor,
    stream: TcpStream,
    phase: watch::Receiver<Phase>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let Transport::Socket { tls_alpn, .. } = protocol.transport else {
        return terminate::connection(gateway, protocol, tls, stream, phase).await;
    };
    let seed = Gateway::seed().map_err(std::io::Error::other)?;
    let cancel = seed.cancel;
    let mut session = (protocol.session)(seed);
    let login = async {
        let stream = begin(tls_alpn, tls, &mut *session, stream).await?;
        log_in(gateway, tls, &mut *session, stream).await
    };
    match timeout(LOGIN_TIME_MAX, login).await {
        Ok(logged_in) => match logged_in? {
            Some(logged_in) => connect(gateway, protocol, session, logged_in, cancel, phase).await,
            None => Ok(()),
        },
        Err(_) => Err(std::io::Error::other("the login took too long")),
    }
}

/// The connection as its login finds it: within TLS, if that is what the agent starts with.
async fn begin(
    tls_alpn: &'static [u8],
    tls: &TlsAcceptor,
    session: &mut dyn Session,
    stream: TcpStream,
) -> std::io::Result<Stream> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 || first != [tls::HANDSHAKE] {
        return Ok(Stream::Plain(stream));
    }
    let secured = tls.accept(stream).await?;
    // Without the protocol's name, what was meant for another server might be taken for this
    // protocol (an ALPACA attack). PostgreSQL asks for it, too.
    if secured.get_ref().1.alpn_protocol() != Some(tls_alpn) {
        return Err(std::io::Error::other(
            "TLS at once, without the protocol's name in it",
        ));
    }
    session.agent_secured();
    Ok(Stream::Agent(Box::new(secured)))
}
