//! How local commands ask the gateway.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use bailiwick_run::{RunId, Time};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::api::{
    Change, ConsoleLink, Erased, Health, Me, OpenRequest, OpenedRun, Problem, PruneRequest, Pruned,
    Reloaded, RunDetail, RunList, RunScope, Summary, TaskDetail, TaskList, Trail, TrailRecord,
    Which,
};
use crate::limits::{ANSWER_BYTES_MAX, ANSWER_TIME_MAX, CHANGE_BYTES_MAX, SILENCE_TIME_MAX};
use crate::people::Place;
use crate::socket;
use crate::token::Token;

mod approvals;
mod search;
mod view;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no gateway.
    #[error("no gateway is listening at {0}: start it with `bailiwick serve`")]
    NotListening(String),
    /// This process is kept away from it.
    #[error(
        "this process may not read {}: it runs confined in a run, or as another user than the \
         gateway", .0.display()
    )]
    MayNot(PathBuf),
    /// Nothing of the kind could be connected to.
    #[error("the gateway at {place} cannot be reached: {reason}")]
    NotReached {
        /// Where it is.
        place: String,
        /// Why not.
        reason: String,
    },
    /// The gateway has refused, and says what to do.
    #[error("{}{}", .0.detail, remedy(.0))]
    Refused(Box<Problem>),
    /// The connection broke.
    #[error("the gateway at {place} stopped answering: {reason}")]
    Broken {
        /// Where it is.
        place: String,
        /// What happened.
        reason: String,
    },
    /// It did not answer in time.
    #[error("the gateway at {0} did not answer in {seconds} s", seconds = ANSWER_TIME_MAX.as_secs())]
    TimedOut(String),
    /// The gateway cannot make its index.
    #[error(
        "the gateway cannot make the index: {0}; it tries again by itself, and its log says more"
    )]
    NoIndex(String),
    /// What answered is no gateway, or one of another version.
    #[error("what answers at {place} is not a gateway that this version understands: {reason}")]
    NotUnderstood {
        /// Where it is.
        place: String,
        /// What was not understood.
        reason: String,
    },
}

fn remedy(problem: &Problem) -> String {
    match &problem.remedy {
        Some(remedy) => format!("; {remedy}"),
        None => String::new(),
    }
}

/// A connection to a gateway.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Connects to a gateway that is elsewhere. Where its place is secure, whoever is there has proved to be it.
pub type Dial = Arc<dyn Fn() -> Dialling + Send + Sync>;

/// What comes of it.
pub type Dialling = Pin<Box<dyn Future<Output = io::Result<Box<dyn Stream>>> + Send>>;

/// Asks one gateway. Each request has a connection of its own.
#[derive(Clone)]
pub struct Client {
    way: Way,
    token: Token,
    /// Where the gateway is, for errors.
    place: String,
}

#[derive(Clone)]
enum Way {
    Local(PathBuf),
    Network(String),
    Elsewhere { authority: String, dial: Dial },
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Client");
        shown.field("place", &self.place).finish_non_exhaustive()
    }
}

impl Client {
    /// Finds the gateway whose socket and token are in this folder, on this machine.
    ///
    /// # Errors
    /// If none is listening, or this process is kept away from it.
    pub async fn connect(data: &Path) -> Result<Self, ClientError> {
        let path = socket::path(data);
        let place = path.display().to_string();
        let token = Token::read(data).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ClientError::NotListening(place.clone()),
            io::ErrorKind::PermissionDenied => ClientError::MayNot(Token::path(data)),
            _ => ClientError::Broken {
                place: place.clone(),
                reason: format!("{} cannot be read: {error}", Token::path(data).display()),
            },
        })?;
        let client = Self {
            way: Way::Local(path),
            token,
            place,
        };
        client.dial().await?;
        Ok(client)
    }

    /// A gateway over plain TCP, such as `http://127.0.0.1:7400`, for reading.
    ///
    /// # Errors
    /// If it is not such a URL.
    pub fn over_network(url: &str, token: &str) -> Result<Self, ClientError> {
        let address = url
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'));
        match address {
            Some(address) if !address.is_empty() && !address.contains('/') => Ok(Self {
                way: Way::Network(address.to_owned()),
                token: Token::from_text(token),
                place: url.to_owned(),
            }),
            _ => Err(ClientError::NotUnderstood {
                place: url.to_owned(),
                reason:
                    "a gateway's address is `https://HOST` or `http://HOST:PORT`, without a path"
                        .to_owned(),
            }),
        }
    }

    /// A gateway elsewhere, with a token of a program's.
    pub fn elsewhere(place: &Place, token: &str, dial: Dial) -> Self {
        Self {
            way: Way::Elsewhere {
                authority: place.authority().to_owned(),
                dial,
            },
            token: Token::from_text(token),
            place: place.to_string(),
        }
    }

    /// How the gateway is.
    ///
    /// # Errors
    /// If there is no answer, or it refuses; the same holds for all that follow.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.get("/v1/health").await
    }

    /// Opens a run.
    ///
    /// # Errors
    /// As [`health`](Self::health); and if a variable's name is none that a task can have, because a shell would take it for
    /// more.
    pub async fn open(&self, request: &OpenRequest) -> Result<OpenedRun, ClientError> {
        let opened: OpenedRun = self.json(Method::POST, "/v1/runs", body(request)).await?;
        match opened.env.keys().find(|name| !is_variable(name)) {
            Some(name) => Err(self.not_understood(format_args!("it names a variable `{name}`"))),
            None => Ok(opened),
        }
    }

    /// Stays attached to a run that was opened with `attach`: it ends when the answer is dropped, or
    /// this process dies.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn attach(&self, run: &RunId) -> Result<Attached, ClientError> {
        let path = format!("/v1/runs/{run}/attach");
        let (response, connection) = self.send(Method::GET, &path, Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        Ok(Attached {
            body: response.into_body(),
            line: Vec::new(),
            place: self.place.clone(),
            _connection: connection,
        })
    }

    /// Closes a run; one that has ended stays as it is.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn close(&self, run: &RunId) -> Result<Summary, ClientError> {
        self.json(Method::POST, &format!("/v1/runs/{run}/close"), Bytes::new())
            .await
    }

    /// Revokes a run; one that has ended stays as it is.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn revoke(&self, run: &RunId) -> Result<Summary, ClientError> {
        self.json(
            Method::POST,
            &format!("/v1/runs/{run}/revoke"),
            Bytes::new(),
        )
        .await
    }

    /// Suspends a run; one that is suspended stays so.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn suspend(&self, run: &RunId) -> Result<Summary, ClientError> {
        self.json(
            Method::POST,
            &format!("/v1/runs/{run}/suspend"),
            Bytes::new(),
        )
        .await
    }

    /// Lets a suspended run act again.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn resume(&self, run: &RunId) -> Result<Summary, ClientError> {
        self.json(
            Method::POST,
            &format!("/v1/runs/{run}/resume"),
            Bytes::new(),
        )
        .await
    }

    /// Erases the payloads of a run that has ended.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn erase(&self, run: &RunId) -> Result<Erased, ClientError> {
        self.json(Method::POST, &format!("/v1/runs/{run}/erase"), Bytes::new())
            .await
    }

    /// Has the tasks and guardrails loaded anew.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.json(Method::POST, "/v1/reload", Bytes::new()).await
    }

    /// Removes what is older than a moment.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn prune(&self, until: Time) -> Result<Pruned, ClientError> {
        let request = body(&PruneRequest { until });
        self.json(Method::POST, "/v1/log/prune", request).await
    }

    /// Who this is, to the gateway.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn me(&self) -> Result<Me, ClientError> {
        self.get("/v1/me").await
    }

    /// A link by which whoever asks can sign in at the console.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn console_link(&self) -> Result<ConsoleLink, ClientError> {
        self.json(Method::POST, "/v1/console/link", Bytes::new())
            .await
    }

    /// Runs, the newest first.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn runs(&self, which: Which, limit: u32) -> Result<RunList, ClientError> {
        let state = match which {
            Which::All => "all",
            Which::Open => "open",
            Which::Ended => "ended",
        };
        self.get(&format!("/v1/runs?state={state}&limit={limit}"))
            .await
    }

    /// One run.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn run(&self, run: &RunId) -> Result<RunDetail, ClientError> {
        self.get(&format!("/v1/runs/{run}")).await
    }

    /// What a run might do, and what it did of it.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn scope(&self, run: &RunId) -> Result<RunScope, ClientError> {
        self.get(&format!("/v1/runs/{run}/scope")).await
    }

    /// The records of a run after this number.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn trail(&self, run: &RunId, after: u64) -> Result<Trail, ClientError> {
        self.get(&format!("/v1/runs/{run}/trail?after={after}"))
            .await
    }

    /// The gateway's own records after this number.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn gateway_trail(&self, after: u64) -> Result<Trail, ClientError> {
        self.get(&format!("/v1/gateway/trail?after={after}")).await
    }

    /// One record, by its chain (a run's id, or `gateway`) and its number there.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn record(&self, chain: &str, seq: u64) -> Result<TrailRecord, ClientError> {
        self.get(&format!("/v1/records/{}/{seq}", encoded(chain)))
            .await
    }

    /// All tasks.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn tasks(&self) -> Result<TaskList, ClientError> {
        self.get("/v1/tasks").await
    }

    /// One task, in words.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn task(&self, name: &str) -> Result<TaskDetail, ClientError> {
        self.get(&format!("/v1/tasks/{}", encoded(name))).await
    }

    /// A file of the published log, such as `checkpoint`; nothing if it is not there.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn log_file(&self, path: &str) -> Result<Option<Vec<u8>>, ClientError> {
        let path: Vec<_> = path.split('/').map(encoded).collect();
        let path = format!("/log/{}", path.join("/"));
        let (response, _connection) = self.send(Method::GET, &path, Bytes::new()).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => Ok(Some(self.read(response).await?.into())),
            _ => Err(self.refused(response).await),
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(Method::GET, path, Bytes::new()).await
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let (response, _connection) = self.send(method, path, body).await?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        let answer = self.read(response).await?;
        serde_json::from_slice(&answer).map_err(|error| self.not_understood(error))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(Response<Incoming>, Connection), ClientError> {
        let host = match &self.way {
            Way::Local(_) => "localhost",
            Way::Network(authority) | Way::Elsewhere { authority, .. } => authority,
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host)
            .header(AUTHORIZATION, self.token.header())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.not_understood(error))?;
        let answer = async {
            let stream = self.dial().await?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream))
                    .await
                    .map_err(|error| self.broken(error))?;
            let connection = Connection(tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "the connection to the gateway ended");
                }
            }));
            let response = sender.send_request(request).await;
            Ok((response.map_err(|error| self.broken(error))?, connection))
        };
        self.in_time(answer).await
    }

    async fn dial(&self) -> Result<Box<dyn Stream>, ClientError> {
        let stream: io::Result<Box<dyn Stream>> = match &self.way {
            Way::Local(path) => UnixStream::connect(path)
                .await
                .map(|stream| Box::new(stream) as _),
            Way::Network(address) => TcpStream::connect(address)
                .await
                .map(|stream| Box::new(stream) as _),
            Way::Elsewhere { dial, .. } => dial().await,
        };
        stream.map_err(|error| match (error.kind(), &self.way) {
            (io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused, _) => {
                ClientError::NotListening(self.place.clone())
            }
            (io::ErrorKind::PermissionDenied, Way::Local(path)) => {
                ClientError::MayNot(path.clone())
            }
            _ => ClientError::NotReached {
                place: self.place.clone(),
                reason: error.to_string(),
            },
        })
    }

    /// The whole body of an answer.
    async fn read(&self, response: Response<Incoming>) -> Result<Bytes, ClientError> {
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body = async { body.collect().await.map_err(|error| self.broken(error)) };
        Ok(self.in_time(body).await?.to_bytes())
    }

    async fn refused(&self, response: Response<Incoming>) -> ClientError {
        let status = response.status();
        match self.read(response).await {
            Err(error) => error,
            Ok(body) => match serde_json::from_slice(&body) {
                Ok(problem) => ClientError::Refused(Box::new(problem)),
                Err(_) => self.not_understood(format_args!("it answers with status {status}")),
            },
        }
    }

    async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        match timeout(ANSWER_TIME_MAX, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::TimedOut(self.place.clone())),
        }
    }

    fn broken(&self, reason: impl std::fmt::Display) -> ClientError {
        ClientError::Broken {
            place: self.place.clone(),
            reason: reason.to_string(),
        }
    }

    fn not_understood(&self, reason: impl std::fmt::Display) -> ClientError {
        ClientError::NotUnderstood {
            place: self.place.clone(),
            reason: reason.to_string(),
        }
    }
}

/// Keeps a run open until it is dropped.
#[derive(Debug)]
pub struct Attached {
    body: Incoming,
    line: Vec<u8>,
    place: String,
    _connection: Connection,
}

impl Attached {
    /// Waits until the run is suspended, resumed or ended, and says which. May be called again after it was given
    /// up, and not after the run has ended.
    ///
    /// # Errors
    /// If the gateway goes away without saying so; the run has then ended too.
    pub async fn change(&mut self) -> Result<Change, ClientError> {
        let broken = |place: &str, reason: String| ClientError::Broken {
            place: place.to_owned(),
            reason,
        };
        let line = loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let line = self.line.drain(..=end).collect::<Vec<u8>>();
                // An empty one says that it is still there.
                if line.len() > 1 {
                    break line;
                }
                continue;
            }
            if self.line.len() > CHANGE_BYTES_MAX {
                return Err(ClientError::NotUnderstood {
                    place: self.place.clone(),
                    reason: format!("a line has more than {CHANGE_BYTES_MAX} bytes"),
                });
            }
            let Ok(frame) = timeout(SILENCE_TIME_MAX, self.body.frame()).await else {
                let seconds = SILENCE_TIME_MAX.as_secs();
                let silent = format!("nothing was heard of it for {seconds} s");
                return Err(broken(&self.place, silent));
            };
            match frame {
                Some(Ok(frame)) => {
                    self.line
                        .extend_from_slice(frame.data_ref().map_or(&[], |data| &data[..]));
                }
                Some(Err(error)) => return Err(broken(&self.place, error.to_string())),
                None => return Err(broken(&self.place, "it closed the connection".to_owned())),
            }
        };
        serde_json::from_slice(&line).map_err(|error| ClientError::NotUnderstood {
            place: self.place.clone(),
            reason: error.to_string(),
        })
    }
}

/// A connection that is closed when it is dropped.
#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn body(request: &impl Serialize) -> Bytes {
    // These types have nothing that JSON cannot hold; should one, the gateway says what it misses.
    serde_json::to_vec(request).unwrap_or_default().into()
}

/// Whether a shell and the system take it for a variable's name and nothing else.
fn is_variable(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(fits) && name.starts_with(|first: char| !first.is_ascii_digit())
}

fn encoded(segment: &str) -> String {
    utf8_percent_encode(segment, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests;
