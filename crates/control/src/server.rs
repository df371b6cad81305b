//! The API over HTTP, on the Unix socket and over TCP.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::limits::{
    HEADER_TIME_MAX, LOCAL_CONNECTIONS_MAX, MONITORING_CONNECTIONS_MAX, NETWORK_CONNECTIONS_MAX,
    STOP_TIME_MAX,
};
use crate::peer;
use crate::people::{People, PeopleSettings};
use crate::registry::{Registry, blocking};
use crate::socket;
use crate::token::Token;

mod attach;
mod guard;
mod headers;
mod lasting;
mod log;
mod monitoring;
mod openapi;
mod person;
mod problem;
mod routes;

use guard::Peer;
use monitoring::Watched;
pub use monitoring::{Check, Monitoring};
pub use openapi::openapi;

/// Where the API is served.
#[derive(Debug)]
pub struct ServerSettings {
    /// The data folder: the socket and the token are in it, and the log to publish.
    pub data: PathBuf,
    /// The TCP address.
    pub network: Option<SocketAddr>,
    /// Whether anybody may read the published log there, without a token.
    pub public_log: bool,
    /// The gateway's version.
    pub version: String,
    /// Who may come in, and how.
    pub people: PeopleSettings,
}

/// Why the API cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Nobody can be served on the Unix socket.
    #[error("cannot listen at {}: {reason}", path.display())]
    Local {
        /// The socket.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Nobody can be served over TCP.
    #[error(
        "cannot listen at {address}: {error}; change `control` under [listen] in bailiwick.toml"
    )]
    Network {
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// People cannot come in as the configuration wants.
    #[error("people cannot sign in: {0}")]
    People(String),
    /// Nobody can be served with metrics.
    #[error(
        "cannot listen at {address}: {error}; change `listen` under [metrics] in bailiwick.toml"
    )]
    Monitoring {
        /// The address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The token cannot be kept.
    #[error("cannot write {}: {error}", path.display())]
    Token {
        /// Its file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

/// The API, listening.
pub struct Server {
    path: PathBuf,
    local: UnixListener,
    network: Option<(TcpListener, SocketAddr)>,
    monitoring: Option<(TcpListener, SocketAddr)>,
    watched: Arc<Watched>,
    router: Router,
    people: Arc<People>,
}

impl Server {
    /// Listens, and makes a new token. Nobody is answered before [`run`](Self::run).
    ///
    /// # Errors
    /// If another gateway has the folder or the address, or the folder cannot be written.
    pub async fn bind(
        registry: Registry,
        settings: ServerSettings,
        monitoring: Monitoring,
    ) -> Result<Self, BindError> {
        let people = Arc::new(People::new(settings.people.clone()).map_err(BindError::People)?);
        let path = socket::path(&settings.data);
        let local = socket::listen(&path)
            .await
            .map_err(|error| BindError::Local {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        let network = listen(settings.network)
            .await
            .map_err(|(address, error)| BindError::Network { address, error })?;
        let listener = listen(monitoring.listen)
            .await
            .map_err(|(address, error)| BindError::Monitoring { address, error })?;
        let watched = Watched::new(registry.clone(), monitoring);
        let token = Token::create(&settings.data).map_err(|error| BindError::Token {
            path: Token::path(&settings.data),
            error,
        })?;
        Ok(Self {
            path,
            local,
            router: routes::router(
                registry,
                token,
                &settings,
                Arc::clone(&people),
                network.as_ref().map(|(_, a)| *a),
                &watched,
            ),
            network,
            people,
            monitoring: listener,
            watched,
        })
    }

    /// Where it listens on TCP, with the port that the system has chosen.
    pub fn network(&self) -> Option<SocketAddr> {
        self.network.as_ref().map(|(_, address)| *address)
    }

    /// Where metrics are read without a token, with the port that the system has chosen.
    pub fn monitoring(&self) -> Option<SocketAddr> {
        self.monitoring.as_ref().map(|(_, address)| *address)
    }

    /// Serves until told to stop, then lets requests finish and removes the socket.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let people = Arc::clone(&self.people);
        tokio::spawn(async move {
            // Whoever starts the gateway hears of it at once if nobody can sign in; nothing else waits for that.
            if let Some(oidc) = people.oidc()
                && oidc.provider().await.is_ok()
            {
                tracing::info!(
                    issuer = oidc.issuer(),
                    "people can sign in by the identity provider"
                );
            }
        });
        let local = serve_local(self.local, self.router.clone(), stop.clone());
        let network = serve_if(
            self.network,
            self.router,
            NETWORK_CONNECTIONS_MAX,
            stop.clone(),
        );
        let watched = monitoring::open(&self.watched);
        let monitoring = serve_if(self.monitoring, watched, MONITORING_CONNECTIONS_MAX, stop);
        tokio::join!(local, network, monitoring);
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket could not be removed");
        }
    }
}

async fn listen(
    address: Option<SocketAddr>,
) -> Result<Option<(TcpListener, SocketAddr)>, (SocketAddr, io::Error)> {
    let Some(address) = address else {
        return Ok(None);
    };
    let bound = TcpListener::bind(address).await;
    let bound = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (at, listener) = bound.map_err(|error| (address, error))?;
    Ok(Some((listener, at)))
}

async fn serve_if(
    listener: Option<(TcpListener, SocketAddr)>,
    router: Router,
    connections_max: usize,
    stop: watch::Receiver<bool>,
) {
    if let Some((listener, _)) = listener {
        serve_network(listener, router, connections_max, stop).await;
    }
}

async fn serve_local(listener: UnixListener, router: Router, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(LOCAL_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Some((stream, _)) = usable(accepted).await else {
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            let launcher = who(&stream).await;
            serve_connection(stream, router, Peer::Local(launcher), stop).await;
            drop(place);
        });
    }
    drop(listener);
    finish(connections).await;
}

/// Serves whoever comes over TCP, so many at once, until told to stop; then lets requests finish.
pub(crate) async fn serve_network(
    listener: TcpListener,
    router: Router,
    connections_max: usize,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Some((stream, from)) = usable(accepted).await else {
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            continue;
        };
        let (router, stop) = (router.clone(), stop.clone());
        connections.spawn(async move {
            serve_connection(stream, router, Peer::Network(from.ip()), stop).await;
            drop(place);
        });
    }
    drop(listener);
    finish(connections).await;
}

async fn usable<T>(accepted: io::Result<T>) -> Option<T> {
    match accepted {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            // Out of file descriptors, most likely: let some close.
            tracing::error!(%error, "no connection could be accepted");
            sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// The local user at the other end.
async fn who(stream: &UnixStream) -> Result<bailiwick_run::Launcher, String> {
    let credentials = stream
        .peer_cred()
        .map_err(|error| format!("the system does not say which user is connected: {error}"))?;
    let uid = credentials.uid();
    blocking(move || peer::launcher(uid))
        .await
        .map_err(|error| error.to_string())
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    router: Router,
    peer: Peer,
    mut stop: watch::Receiver<bool>,
) {
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let stopped = async { drop(stop.wait_for(|stop| *stop).await) };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

/// Lets connections come to their end, for a while; then they are dropped.
async fn finish(mut connections: JoinSet<()>) {
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP_TIME_MAX, all).await.is_err() {
        tracing::debug!("connections were still open when it stopped");
    }
}

#[cfg(test)]
mod tests;
