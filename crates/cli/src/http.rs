//! Asking servers over HTTP and HTTPS: witnesses, and logs that are elsewhere.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::thread;

use bailiwick_audit::{Answer, Bounds, Transport, TransportError};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

/// Connections to one server that are kept for the next request.
const IDLE_MAX: usize = 4;

const AGENT: &str = concat!("bailiwick/", env!("CARGO_PKG_VERSION"));

/// Asks over HTTP/1.1, with connections that are kept open between requests, on a thread of its own
/// that ends when this is dropped. Servers with `https` prove who they are to the system's trusted
/// authorities.
pub(crate) struct Http {
    jobs: UnboundedSender<Job>,
}

/// A request, and who waits for its answer.
struct Job {
    ask: Ask,
    waiter: Waiter,
}

/// Takes the answer. Whoever waited may have gone.
type Waiter = Box<dyn FnOnce(Result<Answer, TransportError>) + Send>;

struct Ask {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    bounds: Bounds,
}

impl Http {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start() -> io::Result<Self> {
        Self::trusting(None)
    }

    /// Trusts these authorities instead of the system's.
    fn trusting(roots: Option<RootCertStore>) -> io::Result<Self> {
        let (jobs, received) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let client = Arc::new(Client {
            roots,
            ..Client::default()
        });
        thread::Builder::new()
            .name("http".to_owned())
            .spawn(move || runtime.block_on(serve(client, received)))?;
        Ok(Self { jobs })
    }

    fn ask(&self, ask: Ask) -> Result<Answer, TransportError> {
        let gone = TransportError::Unreachable {
            url: ask.url.clone(),
            reason: "the thread that asks has ended".to_owned(),
        };
        let (sender, answer) = mpsc::sync_channel(1);
        let waiter: Waiter = Box::new(move |answer| drop(sender.send(answer)));
        match self.jobs.send(Job { ask, waiter }) {
            Ok(()) => answer.recv().unwrap_or(Err(gone)),
            Err(_) => Err(gone),
        }
    }

    /// Sends a request as it is and waits without holding up a thread. Redirects are answers like others.
    ///
    /// # Errors
    /// If there is no answer within the bounds.
    pub(crate) async fn send(
        &self,
        request: Request<Vec<u8>>,
        bounds: Bounds,
    ) -> Result<Answer, TransportError> {
        let (head, body) = request.into_parts();
        let ask = Ask {
            method: head.method,
            url: head.uri.to_string(),
            headers: head.headers,
            body: body.into(),
            bounds,
        };
        let gone = TransportError::Unreachable {
            url: ask.url.clone(),
            reason: "the thread that asks has ended".to_owned(),
        };
        let (sender, answer) = oneshot::channel();
        let waiter: Waiter = Box::new(move |answer| drop(sender.send(answer)));
        match self.jobs.send(Job { ask, waiter }) {
            Ok(()) => answer.await.unwrap_or(Err(gone)),
            Err(_) => Err(gone),
        }
    }
}

impl Transport for Http {
    fn get(&self, url: &str, bounds: Bounds) -> Result<Answer, TransportError> {
        self.ask(Ask {
            method: Method::GET,
            url: url.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            bounds,
        })
    }

    fn post(&self, url: &str, body: &[u8], bounds: Bounds) -> Result<Answer, TransportError> {
        self.ask(Ask {
            method: Method::POST,
            url: url.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body),
            bounds,
        })
    }
}

async fn serve(client: Arc<Client>, mut jobs: UnboundedReceiver<Job>) {
    while let Some(Job { ask, waiter }) = jobs.recv().await {
        let client = Arc::clone(&client);
        tokio::spawn(async move {
            let answer = client.within_bounds(&ask).await;
            waiter(answer);
        });
    }
}

pub(crate) type Sender = SendRequest<Full<Bytes>>;

#[derive(Default)]
struct Client {
    /// Connections that wait for their next request, by server.
    idle: Mutex<HashMap<Server, Vec<Sender>>>,
    /// Looked up when the first `https` URL is asked.
    tls: OnceLock<Result<TlsConnector, String>>,
    /// Whom to trust, if not the system's authorities.
    roots: Option<RootCertStore>,
}

/// Where a URL leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Server {
    secure: bool,
    /// As a `Host` header names it.
    authority: String,
    host: String,
    port: u16,
}

/// Why one exchange came to nothing.
enum Fault {
    Broken(String),
    TooLong,
}

impl From<hyper::Error> for Fault {
    fn from(error: hyper::Error) -> Self {
        Self::Broken(why(&error))
    }
}

/// What went wrong, with its cause.
pub(crate) fn why(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

impl Client {
    async fn within_bounds(&self, ask: &Ask) -> Result<Answer, TransportError> {
        let url = || ask.url.clone();
        let (server, path) = parse(&ask.url).map_err(|reason| TransportError::Url {
            url: url(),
            reason: reason.to_owned(),
        })?;
        let answer = tokio::time::timeout(ask.bounds.time, self.answer(ask, &server, &path));
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Fault::Broken(reason))) => {
                Err(TransportError::Unreachable { url: url(), reason })
            }
            Ok(Err(Fault::TooLong)) => Err(TransportError::TooLong {
                url: url(),
                limit: ask.bounds.body,
            }),
            Err(_) => Err(TransportError::TimedOut {
                url: url(),
                time: ask.bounds.time,
            }),
        }
    }

    async fn answer(&self, ask: &Ask, server: &Server, path: &str) -> Result<Answer, Fault> {
        if let Some(idle) = self.take_idle(server) {
            match self.exchange(idle, ask, server, path).await {
                // The server may have closed it since.
                Err(Fault::Broken(_)) => {}
                done => return done,
            }
        }
        let fresh = self.connect(server).await?;
        self.exchange(fresh, ask, server, path).await
    }

    async fn exchange(
        &self,
        mut sender: Sender,
        ask: &Ask,
        server: &Server,
        path: &str,
    ) -> Result<Answer, Fault> {
        sender.ready().await?;
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(path)
            .header(HOST, &server.authority)
            .header(USER_AGENT, AGENT)
            .body(Full::new(ask.body.clone()))
            .map_err(|error| Fault::Broken(error.to_string()))?;
        request.headers_mut().extend(ask.headers.clone());
        let response = sender.send_request(request).await?;
        let answer = read(response, ask.bounds.body).await?;
        self.keep(server, sender);
        Ok(answer)
    }

    async fn connect(&self, server: &Server) -> Result<Sender, Fault> {
        let broken = |error: io::Error| Fault::Broken(error.to_string());
        let stream = TcpStream::connect((server.host.as_str(), server.port))
            .await
            .map_err(broken)?;
        // Requests are small and waited for.
        stream.set_nodelay(true).map_err(broken)?;
        if !server.secure {
            return Ok(opened(stream).await?);
        }
        let tls = self.tls.get_or_init(|| connector(self.roots.clone()));
        let tls = tls.as_ref().map_err(|why| Fault::Broken(why.clone()))?;
        let name = ServerName::try_from(server.host.clone())
            .map_err(|_| Fault::Broken("its host cannot have a certificate".to_owned()))?;
        Ok(opened(tls.connect(name, stream).await.map_err(broken)?).await?)
    }

    fn take_idle(&self, server: &Server) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(server)?;
        kept.retain(|sender| !sender.is_closed());
        kept.pop()
    }

    fn keep(&self, server: &Server, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.entry(server.clone()).or_default();
        if kept.len() < IDLE_MAX {
            kept.push(sender);
        }
    }
}

/// HTTP/1.1 on a connection.
pub(crate) async fn opened(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Sender, hyper::Error> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // What goes wrong with it is told to whoever uses it.
    tokio::spawn(async { drop(connection.await) });
    Ok(sender)
}

async fn read(response: Response<Incoming>, limit: usize) -> Result<Answer, Fault> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            return Fault::TooLong;
        }
        Fault::Broken(error.to_string())
    })?;
    let media_type = |value: &str| match value.split_once(';') {
        Some((media_type, _)) => media_type.trim_end().to_ascii_lowercase(),
        None => value.to_ascii_lowercase(),
    };
    let content_type = head.headers.get(CONTENT_TYPE);
    Ok(Answer {
        status: head.status.as_u16(),
        content_type: content_type
            .and_then(|value| value.to_str().ok())
            .map(media_type),
        retry_after: head
            .headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned),
        body: body.to_bytes().into(),
    })
}

fn parse(url: &str) -> Result<(Server, String), &'static str> {
    let uri: Uri = url.parse().map_err(|_| "it is not a URL")?;
    let secure = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err("it has to begin with `https://` or `http://`"),
    };
    let authority = uri.authority().ok_or("it names no host")?;
    if authority.as_str().contains('@') {
        return Err("a login in it is not used; take it out");
    }
    let host = authority.host().trim_matches(['[', ']']);
    if host.is_empty() {
        return Err("it names no host");
    }
    let server = Server {
        secure,
        authority: authority.as_str().to_owned(),
        host: host.to_owned(),
        port: authority
            .port_u16()
            .unwrap_or(if secure { 443 } else { 80 }),
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok((server, path.to_owned()))
}

/// TLS that trusts these authorities, or the system's.
pub(crate) fn connector(roots: Option<RootCertStore>) -> Result<TlsConnector, String> {
    let roots = roots.unwrap_or_else(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots
    });
    if roots.is_empty() {
        return Err("this system has no trusted certificates; install ca-certificates".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests;
