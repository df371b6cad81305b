//! One exchange with the gateway, over HTTP.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpStream;

use super::relay::MESSAGE_BYTES_MAX;
use crate::failure::Failure;
use crate::http::{opened, why};

pub(super) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");

/// Where the target is reached, and as which run.
pub(super) struct Gateway {
    host: String,
    port: u16,
    authority: String,
    path: String,
    credential: HeaderValue,
}

/// What is sent.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

impl Gateway {
    pub(super) fn new(url: &str, token: &str, target: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::new(format!(
                "BAILIWICK_URL is `{url}`, which is not the URL of a gateway"
            ))
            .help("it is as in http://127.0.0.1:7480; `bailiwick run` sets it")
        };
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        let authority = authority.ok_or_else(wrong)?;
        let mut credential = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| Failure::new("BAILIWICK_TOKEN is not the secret of a run"))?;
        credential.set_sensitive(true);
        Ok(Self {
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authority: authority.to_string(),
            path: format!("/{}", utf8_percent_encode(target, NON_ALPHANUMERIC)),
            credential,
        })
    }

    /// Sends something on a connection of its own, so that what was sent is never sent twice. The answer's
    /// body is still to come.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Response<Incoming>, String> {
        let unreachable = |what: String| {
            format!(
                "the gateway at http://{} cannot be reached: {what}",
                self.authority
            )
        };
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| unreachable(error.to_string()))?;
        stream
            .set_nodelay(true)
            .map_err(|error| unreachable(error.to_string()))?;
        let accept = match ask.method {
            Method::GET => "text/event-stream",
            _ => "application/json, text/event-stream",
        };
        let mut request = Request::builder()
            .method(&ask.method)
            .uri(&self.path)
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, &self.credential)
            .header(ACCEPT, accept);
        if ask.method == Method::POST {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in ask.fields {
            request = request.header(name, value);
        }
        let request = request
            .body(Full::new(ask.body))
            .map_err(|error| format!("the message cannot be sent: {error}"))?;
        let opened = opened(stream).await;
        let mut sender = opened.map_err(|error| unreachable(why(&error)))?;
        let answer = sender.send_request(request).await;
        answer.map_err(|error| format!("the gateway did not answer: {}", why(&error)))
    }
}

/// The whole body of an answer.
pub(super) async fn whole(body: Incoming) -> Result<Bytes, String> {
    match Limited::new(body, MESSAGE_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(format!("the gateway's answer broke off: {error}")),
    }
}
