//! The agent's way to the HTTP API and to the MCP server: an ordinary HTTP client with the URL and the
//! token from its environment.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::failure::Failure;

/// Where `bailiwick run` puts the gateway's URL and the run's token.
const URL: &str = "BAILIWICK_URL";
const TOKEN: &str = "BAILIWICK_TOKEN";

/// The largest answer, in bytes.
const ANSWER_MAX: usize = 1024 * 1024;

/// The revision of MCP that the agent speaks.
const REVISION: &str = "2025-11-25";

/// A connection to the gateway.
pub(super) struct Api {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    token: String,
    /// The session with the MCP server, once there is one.
    session: Option<String>,
    next: u64,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) json: Value,
    session: Option<String>,
}

impl Api {
    pub(super) async fn connect() -> Result<Self, Failure> {
        let var = |name: &str| {
            std::env::var(name)
                .map_err(|_| Failure::new(format!("{name} is not set: `bailiwick run` sets it")))
        };
        let (url, token) = (var(URL)?, var(TOKEN)?);
        let host = url.strip_prefix("http://").unwrap_or(&url);
        let host = host.trim_end_matches('/').to_owned();
        let stream = TcpStream::connect(&host).await.map_err(Failure::new)?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::new)?;
        tokio::spawn(connection);
        Ok(Self {
            sender,
            host,
            token,
            session: None,
            next: 0,
        })
    }

    /// Sends a request.
    pub(super) async fn request(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, format!("Bearer {}", self.token));
        if body.is_some() {
            request = request
                .header(CONTENT_TYPE, "application/json")
                .header(ACCEPT, "application/json, text/event-stream");
        }
        if let Some(session) = &self.session {
            request = request
                .header("mcp-session-id", session)
                .header("mcp-protocol-version", REVISION);
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::from(body)).map_err(Failure::new)?;
        self.sender.ready().await.map_err(Failure::new)?;
        let response = self
            .sender
            .send_request(request)
            .await
            .map_err(Failure::new)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await;
        let body = body
            .map_err(|error| Failure::new(error.to_string()))?
            .to_bytes();
        let text = String::from_utf8_lossy(&body);
        // An event stream has its message in its one `data` line.
        let data = text.lines().find_map(|line| line.strip_prefix("data:"));
        let session = head.headers.get("mcp-session-id");
        Ok(Answer {
            status: head.status.as_u16(),
            json: serde_json::from_str(data.unwrap_or(&text)).unwrap_or_default(),
            session: session
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
        })
    }

    /// Greets the MCP server of this target.
    pub(super) async fn initialize(&mut self, target: &str) -> Result<(), Failure> {
        let params = json!({
            "protocolVersion": REVISION,
            "capabilities": {},
            "clientInfo": { "name": "demo-agent", "version": "1" },
        });
        let answer = self.call(target, "initialize", params).await?;
        if answer.status != 200 {
            return Err(Failure::new(format!(
                "the agent has no MCP server: {}",
                answer.json
            )));
        }
        self.session = answer.session;
        let done = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        self.request(Method::POST, &format!("/{target}"), Some(&done))
            .await?;
        Ok(())
    }

    /// Sends a message to an MCP server, and gives what it answers.
    pub(super) async fn call(
        &mut self,
        target: &str,
        method: &str,
        params: Value,
    ) -> Result<Answer, Failure> {
        self.next += 1;
        let message =
            json!({ "jsonrpc": "2.0", "id": self.next, "method": method, "params": params });
        self.request(Method::POST, &format!("/{target}"), Some(&message))
            .await
    }
}
