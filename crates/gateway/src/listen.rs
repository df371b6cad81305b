//! Where connections arrive: each gets a session of its own, within limits.

use std::sync::Arc;

use bailiwick_wire::Protocol;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::connect::connect;
use crate::gateway::Gateway;
use crate::limits::{CONNECTIONS_MAX, LOGIN_TIME_MAX, STOP_TIME_MAX};
use crate::login::log_in;
use crate::stream::Stream;

/// Serves agents of one protocol until told to stop; returns once their sessions are over.
pub async fn serve(
    gateway: Arc<Gateway>,
    protocol: &'static Protocol,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    tracing::warn!(%peer, "connection closed: {CONNECTIONS_MAX} are open already");
                    continue;
                };
                let gateway = Arc::clone(&gateway);
                connections.spawn(async move {
                    if let Err(error) = connection(&gateway, protocol, stream).await {
                        tracing::debug!(%peer, %error, "connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: let some close.
                tracing::error!(%error, "no connection could be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    // The runs have ended, and their sessions end with them; none may hold up the stop.
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP_TIME_MAX, all).await.is_err() {
        tracing::warn!("sessions were still open when the gateway stopped");
    }
}

async fn connection(
    gateway: &Arc<Gateway>,
    protocol: &'static Protocol,
    stream: TcpStream,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let seed = Gateway::seed().map_err(std::io::Error::other)?;
    let cancel = seed.cancel;
    let mut session = (protocol.session)(seed);
    let login = log_in(gateway, &mut *session, Stream::Plain(stream));
    match timeout(LOGIN_TIME_MAX, login).await {
        Ok(logged_in) => match logged_in? {
            Some(logged_in) => connect(gateway, protocol, session, logged_in, cancel).await,
            None => Ok(()),
        },
        Err(_) => Err(std::io::Error::other("the login took too long")),
    }
}
