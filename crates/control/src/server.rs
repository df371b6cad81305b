//! The API over HTTP, on the Unix socket and over TCP.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
use crate::socket::{self, OurGroup, Shared, SocketError};
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

use guard::{Entrance, LocalTokens, LocalUser, Peer};
use monitoring::Watched;
pub use monitoring::{Check, Monitoring};
pub use openapi::openapi;

/// Where the API is served.
#[derive(Debug)]
pub struct ServerSettings {
    /// The data folder: a socket and its token are in it, for the gateway's own user, and the log to publish.
    pub data: PathBuf,
    /// A second socket, which a group may use.
    pub shared: Option<Shared>,
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
    /// Nobody can be served on a Unix socket.
    #[error("cannot listen at {}: {reason}", path.display())]
    Local {
        /// The socket, or the token beside it.
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
}

impl BindError {
    fn local(path: &Path, error: &SocketError) -> Self {
        Self::Local {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }
}

/// The API, listening.
pub struct Server {
    local: Door,
    shared: Option<Door>,
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
        let (local, token) = Door::open(&settings.data, Entrance::Own, None).await?;
        let network = listen(settings.network)
            .await
            .map_err(|(address, error)| BindError::Network { address, error })?;
        let listener = listen(monitoring.listen)
            .await
            .map_err(|(address, error)| BindError::Monitoring { address, error })?;
        let watched = Watched::new(registry.clone(), monitoring);
        let (shared, shared_token) = match &settings.shared {
            Some(shared) => {
                let (door, token) = Door::share(shared).await?;
                (Some(door), Some(token))
            }
            None => (None, None),
        };
        Ok(Self {
            local,
            shared,
            router: routes::router(
                registry,
                LocalTokens {
                    own: token,
                    shared: shared_token,
                },
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
        let local = self.local.serve(self.router.clone(), stop.clone());
        let (router, told) = (self.router.clone(), stop.clone());
        let shared = async {
            if let Some(door) = self.shared {
                door.serve(router, told).await;
            }
        };
        let network = serve_if(
            self.network,
            self.router,
            NETWORK_CONNECTIONS_MAX,
            stop.clone(),
        );
        let watched = monitoring::open(&self.watched);
        let monitoring = serve_if(self.monitoring, watched, MONITORING_CONNECTIONS_MAX, stop);
        tokio::join!(local, shared, network, monitoring);
    }
}

/// A Unix socket that is listened on.
struct Door {
    path: PathBuf,
    listener: UnixListener,
    entrance: Entrance,
}

impl Door {
    /// Listens in this folder, and makes the token that is asked for there.
    async fn open(
        folder: &Path,
        entrance: Entrance,
        group: Option<&OurGroup>,
    ) -> Result<(Self, Token), BindError> {
        let path = socket::path(folder);
        let listening = socket::listen(&path, group).await;
        let listener = listening.map_err(|error| BindError::local(&path, &error))?;
        let token = Token::create(folder, group)
            .map_err(|error| BindError::local(&Token::path(folder), &error))?;
        let door = Self {
            path,
            listener,
            entrance,
        };
        Ok((door, token))
    }

    async fn share(shared: &Shared) -> Result<(Self, Token), BindError> {
        let path = socket::path(&shared.folder);
        let group = OurGroup::enter(shared).map_err(|error| BindError::local(&path, &error))?;
        Self::open(&shared.folder, Entrance::Shared, Some(&group)).await
    }

    /// Serves until told to stop, then lets requests finish and removes the socket.
    async fn serve(self, router: Router, stop: watch::Receiver<bool>) {
        serve_local(self.listener, self.entrance, router, stop).await;
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "a control socket could not be removed");
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

async fn serve_local(
    listener: UnixListener,
    entrance: Entrance,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
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
            let peer = Peer::Local(who(&stream, entrance).await);
            serve_connection(stream, router, peer, stop).await;
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
async fn who(stream: &UnixStream, entrance: Entrance) -> LocalUser {
    let (name, is_keeper) = match stream.peer_cred() {
        Ok(credentials) => {
            let uid = credentials.uid();
            let name = blocking(move || peer::launcher(uid)).await;
            (
                name.map_err(|error| error.to_string()),
                peer::is_keeper(uid),
            )
        }
        Err(error) => {
            let unknown = format!("the system does not say which user is connected: {error}");
            (Err(unknown), false)
        }
    };
    LocalUser {
        entrance,
        is_keeper,
        name,
    }
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
