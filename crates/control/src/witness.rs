//! A witness over HTTP (C2SP tlog-witness): `POST /add-checkpoint` for logs, and
//! `GET /HASH/checkpoint` for whoever watches them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, http::HeaderName};
use bailiwick_audit::{Refusal, Witness};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::clock;
use crate::limits::{WITNESS_BODY_BYTES_MAX, WITNESS_CONNECTIONS_MAX, WITNESS_REQUEST_TIME_MAX};
use crate::registry::blocking;
use crate::server::serve_network;

/// The type of a body that is a size, as the specification names it.
const SIZE: &str = "text/x.tlog.size";
const TEXT: &str = "text/plain; charset=utf-8";

/// A witness that listens. Whoever reaches it may ask: a checkpoint's own signature is what counts.
pub struct WitnessServer {
    listener: TcpListener,
    address: SocketAddr,
    witness: Arc<Witness>,
}

impl WitnessServer {
    /// Listens. Nobody is answered before [`run`](Self::run).
    ///
    /// # Errors
    /// If the address cannot be had.
    pub async fn bind(witness: Witness, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            witness: Arc::new(witness),
        })
    }

    /// Where it listens, with the port that the system has chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until told to stop, then lets requests finish.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let router = router(self.witness);
        serve_network(self.listener, router, WITNESS_CONNECTIONS_MAX, stop).await;
    }
}

fn router(witness: Arc<Witness>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/{hash}/checkpoint", get(checkpoint))
        .layer(DefaultBodyLimit::max(WITNESS_BODY_BYTES_MAX))
        .layer(middleware::from_fn(in_time))
        .with_state(witness)
}

async fn in_time(request: Request, next: Next) -> Response {
    let answer = timeout(WITNESS_REQUEST_TIME_MAX, next.run(request)).await;
    answer.unwrap_or_else(|_| {
        let said = "the request did not come to its end in time\n";
        (StatusCode::REQUEST_TIMEOUT, typed(TEXT), said).into_response()
    })
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Bytes) -> Response {
    let answer = blocking(move || witness.add_checkpoint(&body, clock::now())).await;
    match answer {
        Ok(signatures) => (typed(TEXT), signatures).into_response(),
        Err(refusal) => refuse(&refusal),
    }
}

async fn checkpoint(State(witness): State<Arc<Witness>>, Path(hash): Path<String>) -> Response {
    match witness.checkpoint(&hash) {
        Some(note) => (typed(TEXT), [(CACHE_CONTROL, "no-store")], note).into_response(),
        None => {
            let said = "this witness has signed no checkpoint of such a log\n";
            (StatusCode::NOT_FOUND, typed(TEXT), said).into_response()
        }
    }
}

fn refuse(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
        Refusal::NotSigned(_) => StatusCode::FORBIDDEN,
        Refusal::UnknownLog(_) => StatusCode::NOT_FOUND,
        Refusal::Conflict { size } => {
            return (StatusCode::CONFLICT, typed(SIZE), format!("{size}\n")).into_response();
        }
        Refusal::Inconsistent { .. } => {
            // It may be proof that a log has two histories.
            tracing::error!(%refusal, "a checkpoint that its log has signed was refused");
            StatusCode::UNPROCESSABLE_ENTITY
        }
        refusal => {
            tracing::error!(%refusal, "nothing is signed");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    (status, typed(TEXT), format!("{refusal}\n")).into_response()
}

fn typed(media_type: &'static str) -> [(HeaderName, &'static str); 1] {
    [(CONTENT_TYPE, media_type)]
}

#[cfg(test)]
mod tests {
    use bailiwick_audit::{Config, Draft, Event, Log, Subject, WitnessConfig};
    use http_body_util::BodyExt;
    use hyper::client::conn::http1::handshake;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpStream;

    use super::*;

    /// A witness over HTTP, of a log in the same folder.
    struct Bench {
        dir: tempfile::TempDir,
        log: Log,
        address: SocketAddr,
        _stop: watch::Sender<bool>,
    }

    impl Bench {
        async fn start() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let config = Config::new(dir.path().join("log"), "a.example/log");
            let (log, _) = Log::open(config).unwrap();
            let config = WitnessConfig {
                dir: dir.path().join("witness"),
                name: Some("w.example".to_owned()),
                logs: vec![log.vkey()],
            };
            let witness = Witness::open(config).unwrap();
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let server = WitnessServer::bind(witness, any).await.unwrap();
            let address = server.address();
            let (stop, stopped) = watch::channel(false);
            tokio::spawn(server.run(stopped));
            Self {
                dir,
                log,
                address,
                _stop: stop,
            }
        }

        /// One more record, in a checkpoint: the published note.
        async fn grow(&self) -> String {
            let draft = Draft {
                event: Event::GatewayStopped,
                subject: Subject::Gateway,
                payload: None,
            };
            self.log.append(draft).await.unwrap();
            let log = self.log.clone();
            blocking(move || log.checkpoint_now()).await.unwrap();
            std::fs::read_to_string(self.dir.path().join("log/log/checkpoint")).unwrap()
        }

        async fn ask(&self, method: &str, path: &str, body: String) -> (u16, String, String) {
            let stream = TcpStream::connect(self.address).await.unwrap();
            let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let request = hyper::Request::builder()
                .method(method)
                .uri(path)
                .header("host", "w.example")
                .body(body)
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            let (status, media_type) = (
                response.status().as_u16(),
                response.headers().get(CONTENT_TYPE).cloned(),
            );
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let media_type = media_type.map(|value| value.to_str().unwrap().to_owned());
            let body = String::from_utf8(body.to_vec()).unwrap();
            (status, media_type.unwrap_or_default(), body)
        }

        async fn post(&self, body: String) -> (u16, String, String) {
            self.ask("POST", "/add-checkpoint", body).await
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn each_status_is_that_of_the_specification() {
        let bench = Bench::start().await;
        // SHA-256 of `a.example/log`.
        let path = "/fc4451950ec3af561b5395410910a9f179378e59928c7f679df269520bb70b3a/checkpoint";
        assert_eq!(bench.ask("GET", path, String::new()).await.0, 404);
        let note = bench.grow().await;
        let (status, media_type, signature) = bench.post(format!("old 0\n\n{note}")).await;
        assert_eq!((status, media_type.as_str()), (200, TEXT), "{signature}");
        assert!(signature.starts_with("\u{2014} w.example ") && signature.ends_with("=\n"));

        let next = bench.grow().await;
        let conflict = bench.post(format!("old 0\n\n{next}")).await;
        assert_eq!(conflict, (409, SIZE.to_owned(), "1\n".to_owned()));
        let status = async |body: String| bench.post(body).await.0;
        assert_eq!(status("no".to_owned()).await, 400);
        assert_eq!(status(format!("old 3\n\n{next}")).await, 400);
        assert_eq!(status(format!("old 1\n\n{next}")).await, 422);
        let other = next.replace("a.example/log", "b.example/log");
        assert_eq!(status(format!("old 1\n\n{other}")).await, 404);
        let altered = next.replace("\n2\n", "\n3\n");
        assert_eq!(status(format!("old 1\n\n{altered}")).await, 403);
        assert_eq!(status("x".repeat(WITNESS_BODY_BYTES_MAX + 1)).await, 413);
        let get = bench.ask("GET", "/add-checkpoint", String::new()).await;
        assert_eq!(get.0, 405);

        let served = bench.ask("GET", path, String::new()).await;
        assert_eq!(served, (200, TEXT.to_owned(), format!("{note}{signature}")));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_requests_from_the_same_size_one_wins() {
        let bench = Bench::start().await;
        let first = bench.grow().await;
        let second = bench.grow().await;
        let (one, other) = tokio::join!(
            bench.post(format!("old 0\n\n{first}")),
            bench.post(format!("old 0\n\n{second}"))
        );
        let mut statuses = [one.0, other.0];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
    }
}
