//! WebSockets (RFC 6455; over HTTP/2, RFC 8441): the handshakes on both sides, and messages between a
//! socket and an exchange. Fragments are put together, pings answered and closings made here; no extension is
//! agreed on, so nothing is compressed. To an exchange a WebSocket is content like any other, in which each
//! piece is one message: its opcode, then its data.

use std::pin::pin;

use bailiwick_wire::http::bhttp::{self, CHUNK_BYTES_MAX, WEBSOCKET, field};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt, stream};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Response, StatusCode, request, response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};

use super::body::{Body, Piece};
use super::head::Odd;
use super::upstream::{Content, Lost};
use crate::limits::{FAREWELL_TIME_MAX, LOGIN_TIME_MAX, READ_BYTES};

const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// The field of the end of a content that says why it is closed: a code, a space, and words.
const CLOSE: &str = "close";

/// Fields that are the handshake's own, and each side's for itself.
const OF_HANDSHAKE: [HeaderName; 4] = [
    SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION,
];

/// An agent's side of a handshake.
pub(crate) struct Asked {
    upgrade: OnUpgrade,
    /// What shows that it was understood; over HTTP/2 nothing does.
    accept: Option<HeaderValue>,
}

impl Asked {
    /// Reads the head of a request, and takes from it what it takes to have the connection; nothing if it is
    /// no handshake.
    ///
    /// # Errors
    /// If it is one that is not right (RFC 6455, section 4.2.1).
    pub(crate) fn take(parts: &mut request::Parts) -> Result<Option<Self>, Odd> {
        let over_http2 = parts
            .extensions
            .get::<Protocol>()
            .is_some_and(|protocol| protocol.as_str() == "websocket");
        let odd = |status, why| Err(Odd { status, why });
        if parts.method.as_str() == WEBSOCKET {
            // Only a handshake makes one.
            return odd(
                StatusCode::NOT_IMPLEMENTED,
                "a method that HTTP does not have",
            );
        }
        if !over_http2 && !names(&parts.headers, &UPGRADE, "websocket") {
            return Ok(None);
        }
        let has_content = [CONTENT_LENGTH, TRANSFER_ENCODING]
            .iter()
            .any(|name| parts.headers.contains_key(name));
        if has_content {
            return odd(
                StatusCode::BAD_REQUEST,
                "a WebSocket's handshake with content",
            );
        }
        if parts
            .headers
            .get(SEC_WEBSOCKET_VERSION)
            .map(HeaderValue::as_bytes)
            != Some(b"13")
        {
            let status = StatusCode::UPGRADE_REQUIRED;
            return odd(status, "of WebSocket, version 13 is spoken here");
        }
        let accept = if over_http2 {
            parts.method = Method::GET;
            None
        } else {
            let mut keys = parts.headers.get_all(SEC_WEBSOCKET_KEY).iter();
            let key = keys.next().map(HeaderValue::as_bytes).filter(|key| {
                let decoded = BASE64_STANDARD.decode(key);
                decoded.is_ok_and(|key| key.len() == 16)
            });
            let (Some(key), None) = (key, keys.next()) else {
                return odd(
                    StatusCode::BAD_REQUEST,
                    "a WebSocket's handshake without its key",
                );
            };
            HeaderValue::try_from(derive_accept_key(key)).ok()
        };
        if parts.method != Method::GET
            || !(over_http2 || names(&parts.headers, &CONNECTION, "upgrade"))
        {
            return odd(
                StatusCode::BAD_REQUEST,
                "a WebSocket's handshake that is none",
            );
        }
        let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            return odd(
                StatusCode::BAD_REQUEST,
                "a connection that can be no WebSocket",
            );
        };
        Ok(Some(Self { upgrade, accept }))
    }

    /// Makes the head of its request what a session knows a WebSocket by.
    pub(crate) fn put(&self, head: &mut bhttp::Request) {
        head.method = WEBSOCKET.to_owned();
        head.fields
            .retain(|(name, _)| OF_HANDSHAKE.iter().all(|own| own.as_str() != name));
    }

    /// Answers the agent; and if its WebSocket was accepted, carries messages between it and the exchange:
    /// the agent's by `to`, and for the agent what is the content of the response.
    pub(crate) fn answer(
        self,
        mut response: Response<Body>,
        to: mpsc::Sender<Piece>,
    ) -> Response<Body> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return response;
        }
        let content = std::mem::replace(response.body_mut(), Body::Whole(Bytes::new()));
        let headers = response.headers_mut();
        for own in OF_HANDSHAKE {
            headers.remove(own);
        }
        match self.accept {
            Some(accept) => {
                headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
            }
            None => *response.status_mut() = StatusCode::OK,
        }
        let upgrade = self.upgrade;
        tokio::spawn(async move {
            if let Ok(Ok(upgraded)) = timeout(LOGIN_TIME_MAX, upgrade).await {
                carry(upgraded, Role::Server, to, content).await;
            }
        });
        response
    }
}

/// The gateway's side of a handshake with a target.
pub(crate) struct Asking {
    key: String,
    /// The protocols that the agent offered.
    offered: Vec<String>,
}

impl Asking {
    /// Makes a request a handshake.
    pub(crate) fn new(parts: &mut request::Parts) -> Self {
        let key = generate_key();
        parts.method = Method::GET;
        let headers = &mut parts.headers;
        let offered = headers
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .flat_map(words)
            .map(str::to_owned)
            .collect();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        if let Ok(key) = HeaderValue::try_from(&key) {
            headers.insert(SEC_WEBSOCKET_KEY, key);
        }
        Self { key, offered }
    }

    /// Checks the target's half (RFC 6455, section 4.1).
    ///
    /// # Errors
    /// If it is not what was asked for.
    pub(crate) fn check(&self, parts: &mut response::Parts) -> Result<(), Lost> {
        let headers = &mut parts.headers;
        let accept = headers.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
        let accepted = names(headers, &UPGRADE, "websocket")
            && names(headers, &CONNECTION, "upgrade")
            && accept == Some(derive_accept_key(self.key.as_bytes()).as_bytes());
        let mut chosen = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
        let is_offered = chosen.next().is_none_or(|one| {
            let one = one.as_bytes();
            self.offered.iter().any(|offered| offered.as_bytes() == one)
        });
        let what = if !accepted {
            "it switched protocols, and not to WebSocket"
        } else if headers.contains_key(SEC_WEBSOCKET_EXTENSIONS) {
            "it uses a WebSocket extension that it was not offered"
        } else if !is_offered || chosen.next().is_some() {
            "it uses a WebSocket subprotocol that it was not offered"
        } else {
            for own in OF_HANDSHAKE {
                headers.remove(own);
            }
            return Ok(());
        };
        Err(Lost::Unreadable(what.into()))
    }
}

/// Carries messages between a target's WebSocket and an exchange: the agent's are `content`, and the target's
/// what comes back.
pub(crate) fn join(upgraded: Upgraded, content: Body) -> Content {
    let (to, messages) = mpsc::channel(1);
    tokio::spawn(carry(upgraded, Role::Client, to, content));
    let frames = stream::unfold(Some(messages), |messages| async {
        let mut messages = messages?;
        match messages.recv().await {
            Some(Piece::Content(message)) => Some((Ok(Frame::data(message)), Some(messages))),
            Some(Piece::End(_)) => None,
            None => Some((Err(Lost::Gone("its WebSocket broke off".into())), None)),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

/// Carries messages both ways until one side has no more: what comes from the socket to `to`, with an end
/// if it was closed and without if it broke off; what is in `content` to the socket.
async fn carry(upgraded: Upgraded, role: Role, to: mpsc::Sender<Piece>, content: Body) {
    let Body::Streamed(mut content) = content else {
        return;
    };
    // A message and its opcode are one chunk.
    let largest = Some(CHUNK_BYTES_MAX - 1);
    let config = WebSocketConfig::default()
        .max_message_size(largest)
        .max_frame_size(largest)
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0);
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), role, Some(config)).await;
    let (mut sink, mut messages) = socket.split();
    let reading = async {
        while let Some(Ok(message)) = messages.next().await {
            let piece = match message {
                Message::Text(text) => Piece::Content(message_of(TEXT, text.as_bytes())),
                Message::Binary(data) => Piece::Content(message_of(BINARY, &data)),
                // Its code and words are its sender's own: neither masked nor on record.
                Message::Close(_) => Piece::End(Vec::new()),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
            };
            let is_end = matches!(piece, Piece::End(_));
            if to.send(piece).await.is_err() {
                return false;
            }
            if is_end {
                return true;
            }
        }
        false
    };
    let writing = async {
        let close = loop {
            match content.recv().await {
                Some(Piece::Content(message)) => {
                    let Some(message) = sendable(message) else {
                        return;
                    };
                    if sink.send(message).await.is_err() {
                        return;
                    }
                }
                Some(Piece::End(fields)) => break closing(field(&fields, CLOSE)),
                None => break closing(Some(b"1011 ")),
            }
        };
        let _ = sink.send(Message::Close(Some(close))).await;
        // Where the other side has closed it first, it still waits for the answer to that.
        let _ = sink.close().await;
    };
    let (mut reading, mut writing) = (pin!(reading), pin!(writing));
    tokio::select! {
        closed = &mut reading => {
            if closed {
                // Until the exchange has said its last, too.
                writing.await;
            }
        }
        () = &mut writing => {
            let _ = timeout(FAREWELL_TIME_MAX, reading).await;
        }
    }
}

/// A message as a piece of content.
fn message_of(opcode: u8, data: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(1 + data.len());
    message.put_u8(opcode);
    message.put_slice(data);
    message.freeze()
}

/// A piece of content as a message; nothing if it is none.
fn sendable(mut message: Bytes) -> Option<Message> {
    if message.is_empty() {
        return None;
    }
    let opcode = message.split_to(1);
    match opcode.first() {
        Some(&TEXT) => Utf8Bytes::try_from(message).ok().map(Message::Text),
        Some(&BINARY) => Some(Message::Binary(message)),
        _ => None,
    }
}

/// How a WebSocket is closed: as a session says, else in good order.
fn closing(said: Option<&[u8]>) -> CloseFrame {
    let said = said.and_then(|said| std::str::from_utf8(said).ok());
    let (code, words) = said
        .and_then(|said| said.split_once(' '))
        .unwrap_or_default();
    let code = code.parse::<u16>();
    let code = code.map_or(CloseCode::Normal, CloseCode::from);
    CloseFrame {
        code,
        reason: words.into(),
    }
}

/// Whether one of a field's comma-separated words is this one.
fn names(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let mut values = headers.get_all(name).iter().flat_map(words);
    values.any(|one| one.eq_ignore_ascii_case(word))
}

fn words(value: &HeaderValue) -> impl Iterator<Item = &str> {
    let text = value.to_str().unwrap_or_default();
    text.split(',').map(str::trim)
}
