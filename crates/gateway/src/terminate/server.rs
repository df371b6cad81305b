//! The side of agents: connections of HTTP/1.1 and HTTP/2, within limits; each request is an exchange.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bailiwick_wire::http::bhttp;
use bailiwick_wire::{Protocol, Transport, Wanted};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version, request};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::agent::Coming;
use super::body::{Body, Cut};
use super::exchange::{self, Asked};
use super::head::{self, Odd};
use super::metadata;
use super::proxy::{self, Tunnel, Within};
use super::strict::{Strict, Switched};
use super::websocket;
use crate::gateway::Gateway;
use crate::limits::{
    FIELDS_BYTES_MAX, FIELDS_MAX, HEAD_TIME_MAX, HELD_BYTES_MAX, LOGIN_TIME_MAX, PING_EVERY,
    STREAMS_MAX,
};
use crate::listen::Phase;
use crate::stream::Stream;
use crate::tls;

/// The protocols that agents may begin TLS with (ALPN).
pub(crate) const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Says that there is no place for a connection, without waiting until that is read.
pub(crate) fn turn_away(stream: &TcpStream) {
    let busy = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
        connection: close\r\ncontent-length: 0\r\n\r\n";
    let _ = stream.try_write(busy);
}

/// Serves a connection that was just accepted, to its end.
pub(crate) async fn connection(
    gateway: &Arc<Gateway>,
    protocol: &'static Protocol,
    tls: &TlsAcceptor,
    stream: TcpStream,
    mut phase: watch::Receiver<Phase>,
) -> io::Result<()> {
    let begin = async {
        let mut first = [0];
        if stream.peek(&mut first).await? == 0 || first != [tls::HANDSHAKE] {
            return Ok(Stream::Plain(stream));
        }
        tls.accept(stream)
            .await
            .map(|stream| Stream::Agent(Box::new(stream)))
    };
    let begun = tokio::select! {
        biased;
        begun = timeout(LOGIN_TIME_MAX, begin) => begun,
        // Whoever has asked for nothing yet is let go.
        () = Phase::stops(&mut phase) => return Ok(()),
    };
    let stream = begun.map_err(|_| io::Error::other("no request came"))??;
    let place = Place {
        gateway: Arc::clone(gateway),
        protocol,
        tunnel: None,
        scheme: match &stream {
            Stream::Plain(_) => "http",
            Stream::Agent(_) | Stream::Target(_) => "https",
        },
        phase,
    };
    serve(Arc::new(place), stream).await
}

/// What the exchanges of one connection have in common.
pub(crate) struct Place {
    pub(crate) gateway: Arc<Gateway>,
    /// Serves requests for no target that is known.
    pub(crate) protocol: &'static Protocol,
    /// For whom the requests are, on a connection that is a tunnel.
    tunnel: Option<Tunnel>,
    /// `http` or `https`: how the agent came.
    scheme: &'static str,
    /// How far the gateway is.
    phase: watch::Receiver<Phase>,
}

/// Serves the requests of one connection, until either side or the gateway ends it; returns once the last
/// of its exchanges is over.
pub(crate) async fn serve<S>(place: Arc<Place>, stream: S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let exchanges = Arc::new(Exchanges::new());
    let mut phase = place.phase.clone();
    let switched = Switched::default();
    let stream = Strict::new(stream, switched.clone());
    let service = service_fn(|request| {
        let exchange = Running::new(&exchanges);
        answer(Arc::clone(&place), exchange, switched.clone(), request)
    });
    let result = {
        let builder = builder();
        let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut served = pin!(served);
        let mut idle = pin!(exchanges.rested());
        let mut ending = false;
        loop {
            tokio::select! {
                result = served.as_mut() => break result.map_err(io::Error::other),
                () = Phase::stops(&mut phase), if !ending => {}
                () = &mut idle => {
                    if ending {
                        break Ok(());
                    }
                    idle.set(exchanges.rested());
                }
            }
            ending = true;
            served.as_mut().graceful_shutdown();
        }
    };
    // The connection is dropped, so its exchanges know that their agent is gone.
    // Each leaves its outcomes on record.
    exchanges.over().await;
    if switched.has_refused() {
        // Nobody knows whose it was: whom it names stands in what cannot be read in one way.
        let reason = "a request whose framing could be read in two ways".to_owned();
        place.gateway.login_denied(None, None, reason).await;
    }
    result
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_headers(FIELDS_MAX)
        .max_buf_size(FIELDS_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(FIELDS_BYTES_MAX as u32)
        .initial_stream_window_size(HELD_BYTES_MAX as u32)
        .initial_connection_window_size(4 * HELD_BYTES_MAX as u32)
        .max_send_buf_size(HELD_BYTES_MAX);
    builder
}

/// The exchanges of a connection. One that begins or ends wakes nobody but who waits for the end of all.
struct Exchanges {
    running: AtomicUsize,
    /// When the last one ended.
    rests_since: Mutex<Instant>,
    none: Notify,
}

impl Exchanges {
    fn new() -> Self {
        Self {
            running: AtomicUsize::new(0),
            rests_since: Mutex::new(Instant::now()),
            none: Notify::new(),
        }
    }

    fn rests_since(&self) -> MutexGuard<'_, Instant> {
        self.rests_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there has been none for long.
    async fn rested(&self) {
        loop {
            let rested = match self.running.load(Ordering::Acquire) {
                0 => self.rests_since().elapsed(),
                _ => Duration::ZERO,
            };
            match HEAD_TIME_MAX.checked_sub(rested) {
                None | Some(Duration::ZERO) => return,
                Some(left) => sleep(left).await,
            }
        }
    }

    /// Waits until there is none.
    async fn over(&self) {
        loop {
            let mut none = pin!(self.none.notified());
            none.as_mut().enable();
            if self.running.load(Ordering::Acquire) == 0 {
                return;
            }
            none.await;
        }
    }
}

/// An exchange of a connection that is running, until this is dropped.
struct Running(Arc<Exchanges>);

impl Running {
    fn new(exchanges: &Arc<Exchanges>) -> Self {
        exchanges.running.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(exchanges))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.rests_since() = Instant::now();
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

/// Answers one request. Without an answer the connection, or its stream, is cut.
async fn answer(
    place: Arc<Place>,
    running: Running,
    switched: Switched,
    request: Request<Incoming>,
) -> Result<Response<Body>, Cut> {
    let (mut parts, content) = request.into_parts();
    let socket = match websocket::Asked::take(&mut parts) {
        Ok(socket) => socket,
        Err(odd) => return Ok(refuse(&place.gateway, &odd).await),
    };
    if parts.method == Method::CONNECT {
        return Ok(tunnel(
            place,
            running,
            &switched,
            Request::from_parts(parts, content),
        )
        .await);
    }
    if let Some(metadata) = metadata(&place, &parts) {
        return Ok(metadata);
    }
    let origin = place.tunnel.as_ref().map(|tunnel| &tunnel.origin);
    let mut head = match head::request(&parts, origin) {
        Ok(head) => head,
        Err(odd) => return Ok(refuse(&place.gateway, &odd).await),
    };
    if let Some(tunnel) = &place.tunnel {
        tunnel.sign(&mut head);
    }
    if let Some(socket) = &socket {
        socket.put(&mut head);
    }
    let protocol = match spoken(&place, &mut head) {
        Ok(protocol) => protocol,
        Err(odd) => return Ok(refuse(&place.gateway, &odd).await),
    };
    let (answer, answered) = oneshot::channel();
    let (messages, coming) = match &socket {
        Some(_) => {
            let (messages, coming) = mpsc::channel(1);
            (Some(messages), Coming::Messages(coming))
        }
        None => (None, Coming::Content(content)),
    };
    let asked = Asked {
        gateway: Arc::clone(&place.gateway),
        protocol,
        head,
        method: parts.method,
        coming,
        answer,
    };
    let exchange = Outliving::new(async move {
        exchange::serve(asked).await;
        drop(running);
    });
    let response = exchange.until(answered).await.map_err(|_| Cut)?;
    Ok(match (socket, messages) {
        (Some(socket), Some(messages)) => {
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                switched.switch();
            }
            socket.answer(response, messages)
        }
        _ => response,
    })
}

/// What goes on to its end though whoever polls it lets go of it: an agent may go away half way through,
/// and what was sent has its outcome all the same. Until then it is a part of the task of its connection,
/// which saves waking another one.
struct Outliving(Option<BoxFuture<'static, ()>>);

impl Outliving {
    fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Some(Box::pin(work)))
    }

    /// Goes on with it until something comes of it; with the rest on a task of its own.
    async fn until<T>(mut self, mut outcome: impl Future<Output = T> + Unpin) -> T {
        std::future::poll_fn(|context| {
            if let Some(work) = &mut self.0
                && work.as_mut().poll(context).is_ready()
            {
                self.0 = None;
            }
            Pin::new(&mut outcome).poll(context)
        })
        .await
    }
}

impl Drop for Outliving {
    fn drop(&mut self) {
        if let Some(rest) = self.0.take() {
            tokio::spawn(rest);
        }
    }
}

/// Answers a request for metadata that is for the gateway itself.
fn metadata(place: &Place, parts: &request::Parts) -> Option<Response<Body>> {
    if place.tunnel.is_some() || (parts.version < Version::HTTP_2 && parts.uri.scheme().is_some()) {
        return None;
    }
    let host = parts.headers.get(header::HOST).map(HeaderValue::to_str);
    let authority = match parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => host.and_then(Result::ok),
    };
    let path = parts.uri.path();
    metadata::answer(&parts.method, place.scheme, authority, path).or_else(|| {
        let target = Wanted::Name(path.trim_start_matches('/').to_owned());
        let is_of_a_run = parts.headers.contains_key(header::AUTHORIZATION)
            || place.gateway.targets.wanted(&target).is_some();
        metadata::no_authorization_server(path, is_of_a_run)
    })
}

/// Gives an agent a tunnel, if it may have one, and serves what comes through it.
async fn tunnel(
    place: Arc<Place>,
    running: Running,
    switched: &Switched,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, content) = request.into_parts();
    // Some clients ask for one as HTTP/1.0 has it, and speak 1.1 within.
    let one_of_ours = parts.version < Version::HTTP_2 && place.tunnel.is_none();
    if !one_of_ours {
        return refuse(&place.gateway, &head::NO_TUNNEL).await;
    }
    let tunnel = match proxy::open(&place.gateway, place.protocol, &parts).await {
        Ok(tunnel) => tunnel,
        Err(refused) => return refused,
    };
    let mut request = Request::from_parts(parts, content);
    let upgrade = hyper::upgrade::on(&mut request);
    switched.switch();
    tokio::spawn(async move {
        match tunnel.enter(upgrade).await {
            Ok(stream) => {
                let place = Place {
                    gateway: Arc::clone(&place.gateway),
                    protocol: place.protocol,
                    tunnel: Some(tunnel),
                    scheme: "https",
                    phase: place.phase.clone(),
                };
                if let Err(error) = within(Arc::new(place), stream).await {
                    tracing::debug!(%error, "tunnel ended");
                }
            }
            Err(error) => tracing::debug!(%error, "tunnel not entered"),
        }
        drop(running);
    });
    Response::new(Body::Whole(Bytes::new()))
}

/// Serves what comes through a tunnel. Boxed, as it is served within what a connection is served with.
fn within(place: Arc<Place>, stream: Within) -> BoxFuture<'static, io::Result<()>> {
    Box::pin(serve(place, stream))
}

/// The protocol that serves a request: its target's. Moves the run's secret to where every protocol looks
/// for it, if it came in a field that the target names.
fn spoken(place: &Place, head: &mut bhttp::Request) -> Result<&'static Protocol, Odd> {
    let Some(target) = place.gateway.targets.wanted(&wanted(head)) else {
        return Ok(place.protocol);
    };
    if let Some(name) = &target.upstream.token_header {
        head::move_token(&mut head.fields, name)?;
    }
    match target.protocol.transport {
        Transport::Http => Ok(target.protocol),
        Transport::Socket { .. } => Ok(place.protocol),
    }
}

/// The target that a request is for, as far as its head tells; whether it may be used, its session asks.
fn wanted(head: &bhttp::Request) -> Wanted {
    let path = head.path.split('?').next().unwrap_or_default();
    if head.authority.is_empty() {
        let name = path.trim_start_matches('/').split('/').next();
        return Wanted::Name(name.unwrap_or_default().to_owned());
    }
    Wanted::Url {
        scheme: head.scheme.clone(),
        authority: head.authority.clone(),
        path: path.to_owned(),
    }
}

/// Answers a request that can be read in more ways than one, and records that.
async fn refuse(gateway: &Gateway, odd: &Odd) -> Response<Body> {
    gateway.login_denied(None, None, odd.why.to_owned()).await;
    let problem = serde_json::json!({
        "title": odd.status.canonical_reason(),
        "status": odd.status.as_u16(),
        "detail": odd.why,
    });
    let mut response = Response::new(Body::Whole(problem.to_string().into()));
    *response.status_mut() = odd.status;
    let fields = response.headers_mut();
    let problem = HeaderValue::from_static("application/problem+json");
    fields.insert(header::CONTENT_TYPE, problem);
    fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
