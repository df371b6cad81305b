//! The agent's side of an exchange.

use std::collections::VecDeque;

use bailiwick_wire::Fault;
use bailiwick_wire::http::bhttp::{self, Part};
use bytes::{Bytes, BytesMut};
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::body::{Body, Piece};
use super::head;
use crate::gate::WayBack;
use crate::limits::{CONTENT_TIME_MAX, FAREWELL_TIME_MAX, PIECES_MAX};

/// The content of an agent's request.
pub(crate) struct FromAgent {
    coming: Coming,
    is_over: bool,
}

/// How it comes.
pub(crate) enum Coming {
    /// As the content of a request.
    Content(Incoming),
    /// As the messages of a WebSocket. Without an end, the agent has gone away.
    Messages(mpsc::Receiver<Piece>),
}

impl FromAgent {
    pub(crate) fn new(coming: Coming) -> Self {
        Self {
            coming,
            is_over: false,
        }
    }

    /// Whether all of it was read.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Reads some of it, for the session. Cancel safe.
    pub(crate) async fn read(&mut self) -> Result<BytesMut, Fault> {
        let mut bytes = BytesMut::new();
        let content = match &mut self.coming {
            Coming::Content(content) => content,
            Coming::Messages(messages) => {
                match messages.recv().await {
                    Some(Piece::Content(message)) => bhttp::put_content(&mut bytes, &message),
                    Some(Piece::End(fields)) => {
                        self.is_over = true;
                        bhttp::put_end(&mut bytes, &fields);
                    }
                    // What goes to the agent finds that it has gone away.
                    None => std::future::pending().await,
                }
                return Ok(bytes);
            }
        };
        let frame = match content.is_end_stream() {
            true => None,
            false => timeout(CONTENT_TIME_MAX, content.frame())
                .await
                .map_err(|_| Fault::Agent("the request's content stopped coming".into()))?,
        };
        match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => bhttp::put_content(&mut bytes, &data),
                Err(frame) => {
                    self.is_over = true;
                    let trailers = frame.into_trailers().unwrap_or_default();
                    bhttp::put_end(&mut bytes, &head::trailers(&trailers));
                }
            },
            Some(Err(_)) => {
                self.is_over = true;
                return Err(Fault::Agent(
                    "the request's content is cut or malformed".into(),
                ));
            }
            None => {
                self.is_over = true;
                bhttp::put_end(&mut bytes, &[]);
            }
        }
        Ok(bytes)
    }
}

/// What an agent gets.
pub(crate) struct ToAgent {
    to: To,
    method: Method,
    reader: bhttp::Reader,
    /// What was read and is not on its way yet.
    parts: VecDeque<Part>,
}

enum To {
    /// Nothing was sent yet.
    Head(oneshot::Sender<Response<Body>>),
    /// The content streams.
    Content(mpsc::Sender<Piece>),
    /// All was sent.
    Over,
}

/// Nothing more can be written.
pub(crate) enum Unwritten {
    /// The agent went away.
    Gone,
    /// The session made what no response can be.
    Bug(&'static str),
}

impl ToAgent {
    pub(crate) fn new(answer: oneshot::Sender<Response<Body>>, method: Method) -> Self {
        Self {
            to: To::Head(answer),
            method,
            reader: bhttp::Reader::default(),
            parts: VecDeque::new(),
        }
    }

    /// Whether something waits here to be written.
    pub(crate) fn has_more(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Writes some of what may go, and takes more only when that is gone. With nothing to write, waits for
    /// the agent to go away. Cancel safe.
    pub(crate) async fn write(&mut self, back: &mut WayBack) -> Result<(), Unwritten> {
        if self.parts.is_empty() && back.free() > 0 {
            self.take(&back.take())?;
        }
        self.pass_on().await
    }

    /// Writes the last there is, if the agent reads it; then lets go of it. Without the end of a response
    /// in it, the agent's connection is cut.
    pub(crate) async fn last(mut self, words: BytesMut) {
        if self.take(&words).is_err() {
            return;
        }
        let write = async { while self.has_more() && self.pass_on().await.is_ok() {} };
        let _ = timeout(FAREWELL_TIME_MAX, write).await;
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Unwritten> {
        self.reader.push(bytes);
        let malformed = |_| Unwritten::Bug("a malformed response");
        while let Some(part) = self.reader.next().map_err(malformed)? {
            self.parts.push_back(part);
        }
        Ok(())
    }

    async fn pass_on(&mut self) -> Result<(), Unwritten> {
        if self.parts.is_empty() {
            match &mut self.to {
                To::Head(answer) => answer.closed().await,
                To::Content(pieces) => pieces.closed().await,
                To::Over => std::future::pending().await,
            }
            return Err(Unwritten::Gone);
        }
        let sender = match &mut self.to {
            To::Head(_) => return self.begin(),
            To::Content(pieces) => pieces,
            To::Over => return Err(Unwritten::Bug("a response after the response")),
        };
        let Ok(place) = sender.reserve().await else {
            return Err(Unwritten::Gone);
        };
        match self.parts.pop_front() {
            Some(Part::Content(content)) => place.send(Piece::Content(content)),
            Some(Part::End(trailers)) => {
                place.send(Piece::End(trailers));
                self.to = To::Over;
            }
            _ => return Err(Unwritten::Bug("a head in the middle of a response")),
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Unwritten> {
        let To::Head(answer) = std::mem::replace(&mut self.to, To::Over) else {
            return Err(Unwritten::Bug("a second response"));
        };
        let Some(Part::Response(head)) = self.parts.pop_front() else {
            return Err(Unwritten::Bug("content without a response"));
        };
        let parts = head::answer(head, &self.method)
            .map_err(|_| Unwritten::Bug("a response that HTTP cannot carry"))?;
        // A WebSocket's messages stay apart.
        let is_socket = parts.status == StatusCode::SWITCHING_PROTOCOLS;
        let whole = (!is_socket).then(|| whole(&mut self.parts)).flatten();
        let body = match whole {
            Some(bytes) => Body::Whole(bytes),
            None => {
                let (pieces, body) = mpsc::channel(PIECES_MAX);
                self.to = To::Content(pieces);
                Body::Streamed(body)
            }
        };
        let answered = answer.send(Response::from_parts(parts, body));
        answered.map_err(|_| Unwritten::Gone)
    }
}

/// Takes the content of a message from its parts, if it is there whole and has no trailer fields.
pub(crate) fn whole(parts: &mut VecDeque<Part>) -> Option<Bytes> {
    match parts.back() {
        Some(Part::End(trailers)) if trailers.is_empty() => {}
        _ => return None,
    }
    let mut contents = parts.drain(..).filter_map(|part| match part {
        Part::Content(content) => Some(content),
        _ => None,
    });
    let first = contents.next().unwrap_or_default();
    let Some(second) = contents.next() else {
        return Some(first);
    };
    let mut joined = BytesMut::from(first);
    joined.extend_from_slice(&second);
    for content in contents {
        joined.extend_from_slice(&content);
    }
    Some(joined.freeze())
}
