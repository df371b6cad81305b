//! The side of a target that is reached by HTTP: a pool of connections, each request sent once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bailiwick_wire::http::bhttp;
use bailiwick_wire::{Endpoint, TlsMode};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, request};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::address;
use super::body::Body;
use super::coding;
use super::credential::Shown;
use super::head::{self, Origin};
use super::upstream::{Lost, Reply, Sending, Upstream};
use super::websocket;
use crate::limits::{
    ANSWER_TIME_MAX, CONNECT_TIME_MAX, FIELDS_BYTES_MAX, FIELDS_MAX, HELD_BYTES_MAX,
    HTTP2_WINDOW_MAX, IDLE_AT_TARGET_MAX, IDLE_AT_TARGET_TIME_MAX, PING_EVERY,
};
use crate::stream::Stream;
use crate::target::Target;
use crate::tls;

/// A target that is reached by HTTP.
pub(crate) struct Client {
    origin: Origin,
    credential: Shown,
    dialler: Dialler,
    pool: legacy::Client<Dialler, Body>,
}

impl Client {
    /// # Errors
    /// If what it needs for TLS cannot be read.
    pub(crate) fn new(target: &Target) -> Result<Self, Lost> {
        let endpoint = &target.endpoint;
        let origin = origin(endpoint);
        let tls = match endpoint.tls {
            TlsMode::Disable => None,
            _ => {
                let certificate = target.upstream.certificate.as_ref();
                let config = tls::towards_showing(endpoint, certificate);
                let config = config.map_err(|error| Lost::Unsent(error.to_string()))?;
                let mut config = ClientConfig::clone(&config);
                config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
                Some(Arc::new(config))
            }
        };
        let dialler = Dialler {
            endpoint: Arc::new(endpoint.clone()),
            private: target.upstream.private,
            tls,
        };
        let mut pool = legacy::Client::builder(TokioExecutor::new());
        pool.pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_AT_TARGET_TIME_MAX)
            .pool_max_idle_per_host(IDLE_AT_TARGET_MAX)
            .http1_max_headers(FIELDS_MAX)
            .http1_max_buf_size(FIELDS_BYTES_MAX)
            .http2_max_header_list_size(FIELDS_BYTES_MAX as u32)
            .http2_keep_alive_interval(PING_EVERY)
            // A connection serves all runs. Agents that do not read may each hold up what is theirs, and not
            // together what is the connection's.
            .http2_initial_stream_window_size(HELD_BYTES_MAX as u32)
            .http2_initial_connection_window_size(HTTP2_WINDOW_MAX)
            // Only of a request that never left its queue, because the connection it waited for was closed:
            // what may have reached the target is not sent again.
            .retry_canceled_requests(true);
        let credential = Shown::new(&target.name, &target.upstream, endpoint);
        Ok(Self {
            origin,
            credential: credential.map_err(|error| Lost::Unsent(error.to_string()))?,
            pool: pool.build(dialler.clone()),
            dialler,
        })
    }

    async fn exchange(&self, head: bhttp::Request, content: Body) -> Result<Reply, Lost> {
        let is_socket = head.method == bhttp::WEBSOCKET;
        let unsent = |_| Lost::Unsent("a request that HTTP cannot carry".to_owned());
        let mut parts = head::ask(head, &self.origin).map_err(unsent)?;
        parts
            .headers
            .insert(header::ACCEPT_ENCODING, coding::ACCEPTED);
        let shown = self.credential.apply(&mut parts.headers).await;
        shown.map_err(|error| Lost::Unsent(error.to_string()))?;
        if is_socket {
            return self.websocket(parts, content).await;
        }
        let authorization = parts.headers.get(header::AUTHORIZATION).cloned();
        // RFC 9110, section 8.6: a method that anticipates content says that there is none.
        if matches!(parts.method, Method::POST | Method::PUT | Method::PATCH)
            && http_body::Body::is_end_stream(&content)
        {
            parts
                .headers
                .insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let bodiless = parts.method == Method::HEAD;
        let response = self.pool.request(Request::from_parts(parts, content));
        let response = match timeout(ANSWER_TIME_MAX, response).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_connect() => return Err(Lost::Unsent(causes(&error))),
            Ok(Err(error)) => return Err(Lost::Gone(causes(&error))),
            Err(_) => {
                return Err(Lost::Gone(format!(
                    "it did not answer within {} s",
                    ANSWER_TIME_MAX.as_secs()
                )));
            }
        };
        let (mut parts, content) = response.into_parts();
        if let (StatusCode::UNAUTHORIZED, Some(shown)) = (parts.status, authorization) {
            let shown = HeaderMap::from_iter([(header::AUTHORIZATION, shown)]);
            self.credential.refused(&shown).await;
        }
        if parts.status.is_informational() {
            return Err(Lost::Unreadable(format!(
                "it answered with status {}, which nobody asked for",
                parts.status.as_u16()
            )));
        }
        let bodiless = bodiless || http_body::Body::is_end_stream(&content);
        let content = coding::undone(&mut parts.headers, content, bodiless)?;
        Ok(Reply {
            head: head::response(&parts),
            content,
        })
    }
}

impl Client {
    /// Asks for a WebSocket, on a connection of its own.
    async fn websocket(&self, mut parts: request::Parts, content: Body) -> Result<Reply, Lost> {
        let unsent = |what: &dyn std::fmt::Display| Lost::Unsent(what.to_string());
        let gone = |error: hyper::Error| Lost::Gone(causes(&error));
        let asking = websocket::Asking::new(&mut parts);
        parts.uri = match parts.uri.path_and_query() {
            Some(path) => Uri::from(path.clone()),
            None => Uri::from_static("/"),
        };
        let host = HeaderValue::try_from(&self.origin.authority).map_err(|error| unsent(&error))?;
        parts.headers.insert(header::HOST, host);
        let dialled = self.dialler.clone().for_sockets().dial().await;
        let stream = dialled.map_err(|error| unsent(&error))?;
        let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
            .max_headers(FIELDS_MAX)
            .max_buf_size(FIELDS_BYTES_MAX)
            .handshake(stream)
            .await
            .map_err(|error| unsent(&error))?;
        tokio::spawn(connection.with_upgrades());
        let shown = parts.headers.get(header::AUTHORIZATION).cloned();
        let nothing = Body::Whole(Bytes::new());
        let asked = sender.send_request(Request::from_parts(parts, nothing));
        let response = timeout(ANSWER_TIME_MAX, asked).await.map_err(|_| {
            let seconds = ANSWER_TIME_MAX.as_secs();
            Lost::Gone(format!("it did not answer within {seconds} s"))
        })?;
        let (mut parts, answer) = response.map_err(gone)?.into_parts();
        if let (StatusCode::UNAUTHORIZED, Some(shown)) = (parts.status, shown) {
            let shown = HeaderMap::from_iter([(header::AUTHORIZATION, shown)]);
            self.credential.refused(&shown).await;
        }
        let content = match parts.status {
            StatusCode::SWITCHING_PROTOCOLS => {
                asking.check(&mut parts)?;
                let mut response = Response::from_parts(parts, answer);
                let upgraded = hyper::upgrade::on(&mut response).await.map_err(gone)?;
                (parts, _) = response.into_parts();
                websocket::join(upgraded, content)
            }
            _ => {
                let bodiless = http_body::Body::is_end_stream(&answer);
                coding::undone(&mut parts.headers, answer, bodiless)?
            }
        };
        Ok(Reply {
            head: head::response(&parts),
            content,
        })
    }
}

impl Upstream for Client {
    fn send(self: Arc<Self>, head: bhttp::Request, content: Body) -> Sending {
        Box::pin(async move { self.exchange(head, content).await })
    }
}

/// Where requests go: what stands in `host`.
fn origin(endpoint: &Endpoint) -> Origin {
    let (scheme, own) = match endpoint.tls {
        TlsMode::Disable => ("http", 80),
        _ => ("https", 443),
    };
    let host = match endpoint.host.contains(':') {
        true => format!("[{}]", endpoint.host),
        false => endpoint.host.clone(),
    };
    Origin {
        scheme: scheme.into(),
        authority: match endpoint.port == own {
            true => host,
            false => format!("{host}:{}", endpoint.port),
        },
    }
}

/// An error and what it came from: hyper's own says no more than that something failed.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Opens connections to one target, whatever the URI.
#[derive(Clone)]
struct Dialler {
    endpoint: Arc<Endpoint>,
    /// It may be at an address that is not public.
    private: bool,
    tls: Option<Arc<ClientConfig>>,
}

impl Dialler {
    /// The same for WebSockets, which begin as HTTP/1.1.
    fn for_sockets(mut self) -> Self {
        self.tls = self.tls.map(|tls| {
            let mut tls = ClientConfig::clone(&tls);
            tls.alpn_protocols = vec![b"http/1.1".to_vec()];
            Arc::new(tls)
        });
        self
    }

    async fn dial(self) -> std::io::Result<Dialled> {
        let other = |what: String| std::io::Error::other(what);
        let Endpoint { host, port, .. } = &*self.endpoint;
        let stream = address::connect(host, *port, self.private)
            .await
            .map_err(std::io::Error::other)?;
        let Some(config) = self.tls else {
            return Ok(Dialled::new(Stream::Plain(stream), false));
        };
        let name = ServerName::try_from(host.clone())
            .map_err(|_| other("its host is neither a DNS name nor an address".into()))?;
        let stream = timeout(
            CONNECT_TIME_MAX,
            TlsConnector::from(config).connect(name, stream),
        )
        .await
        .map_err(|_| other(format!("TLS with {host}:{port} took too long")))?
        .map_err(|error| other(format!("TLS with {host}:{port} failed: {error}")))?;
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Dialled::new(Stream::Target(Box::new(stream)), http2))
    }
}

impl tower_service::Service<Uri> for Dialler {
    type Response = Dialled;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Dialled>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().dial())
    }
}

/// A connection to a target.
struct Dialled {
    stream: TokioIo<Stream>,
    http2: bool,
}

impl Dialled {
    fn new(stream: Stream, http2: bool) -> Self {
        Self {
            stream: TokioIo::new(stream),
            http2,
        }
    }
}

impl Connection for Dialled {
    fn connected(&self) -> Connected {
        match self.http2 {
            true => Connected::new().negotiated_h2(),
            false => Connected::new(),
        }
    }
}

impl hyper::rt::Read for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for Dialled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
