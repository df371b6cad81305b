//! HTTP to the gateway, on connections that are kept open.

use std::path::PathBuf;

use bailiwick_tests::World;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// One connection.
pub(crate) struct Peer {
    sender: SendRequest<Full<Bytes>>,
    bearer: String,
}

impl Peer {
    /// To a port of this machine.
    pub(crate) async fn at(port: u16, token: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await;
        let stream = stream.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self::on(stream, token).await
    }

    async fn on(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, token: &str) -> Self {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        Self {
            sender,
            bearer: format!("Bearer {token}"),
        }
    }

    /// The answer, in full.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: &str,
        body: &str,
    ) -> (StatusCode, Bytes) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(AUTHORIZATION, &self.bearer)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_owned())))
            .expect("a request");
        self.sender.ready().await.expect("an open connection");
        let answer = self.sender.send_request(request).await.expect("an answer");
        let status = answer.status();
        let body = answer.into_body().collect().await.expect("its body");
        (status, body.to_bytes())
    }

    /// The answer to a question.
    pub(crate) async fn get(&mut self, path: &str) -> (StatusCode, Bytes) {
        self.send(Method::GET, path, "").await
    }
}

/// The API on the control socket. Each question has a connection of its own: one that nobody asks anything on for a while
/// is closed.
pub(crate) struct Control {
    socket: PathBuf,
    /// What is shown over TCP, too.
    pub(crate) token: String,
}

impl Control {
    pub(crate) fn of(world: &World) -> Self {
        let token = std::fs::read_to_string(world.data().join("control.token"));
        Self {
            socket: world.data().join("control.sock"),
            token: token.expect("its token").trim().to_owned(),
        }
    }

    async fn send(&self, method: Method, path: &str, body: &str) -> Bytes {
        let stream = UnixStream::connect(&self.socket).await;
        let mut peer = Peer::on(stream.expect("the control socket"), &self.token).await;
        let (status, body) = peer.send(method, path, body).await;
        assert!(status.is_success(), "{path}: {status} {body:?}");
        body
    }

    pub(crate) async fn json(&self, method: Method, path: &str, body: &str) -> Value {
        let answer = self.send(method, path, body).await;
        serde_json::from_slice(&answer).expect("JSON")
    }

    /// How many records are in the index.
    pub(crate) async fn index(&self) -> u64 {
        let index = self.json(Method::GET, "/v1/index", "").await;
        index["records"].as_u64().expect("a number")
    }

    /// How many records are in the log, by its newest checkpoint.
    pub(crate) async fn records(&self) -> u64 {
        let checkpoint = self.send(Method::GET, "/log/checkpoint", "").await;
        let text = String::from_utf8_lossy(&checkpoint).into_owned();
        let size = text.lines().nth(1).and_then(|size| size.parse().ok());
        size.expect("a checkpoint")
    }
}
