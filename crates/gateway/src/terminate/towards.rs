//! The target's side of an exchange: its requests, one after the other, and their responses.

use std::collections::VecDeque;
use std::sync::Arc;

use bailiwick_wire::Fault;
use bailiwick_wire::http::bhttp::{self, Fields, Part};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::agent::whole;
use super::body::{Body, Piece};
use super::head;
use super::upstream::{Content, Lost, Sending, Upstream};
use crate::gate::Passed;
use crate::limits::{BESIDE_MAX, BESIDE_TIME_MAX, PIECES_MAX};

/// The target's side of an exchange. Most are one request and its response.
pub(crate) struct Towards {
    upstream: Arc<dyn Upstream>,
    reader: bhttp::Reader,
    /// What has passed the gate and is not on its way yet.
    parts: VecDeque<Part>,
    /// Where the content of the request goes, where it streams.
    content: Option<mpsc::Sender<Piece>>,
    state: State,
    /// As many hold it as requests are under way beside.
    beside: Arc<()>,
}

enum State {
    /// No request was sent.
    Idle,
    /// There is no response yet.
    Asked(Sending),
    /// The content of the response comes.
    Answering(Content),
    /// All has come that will.
    Over,
}

/// What happened on the target's side.
pub(crate) enum Came {
    /// A piece of the request is on its way.
    Sent,
    /// The head of the response, and how long its content is, if that is known.
    Head(bhttp::Response, Option<u64>),
    /// Content of the response.
    Content(Bytes),
    /// Its end, with its trailer fields.
    End(Fields),
    /// There is no response, or not the rest of it.
    Lost(Lost),
}

impl Towards {
    pub(crate) fn new(upstream: Arc<dyn Upstream>) -> Self {
        Self {
            upstream,
            reader: bhttp::Reader::default(),
            parts: VecDeque::new(),
            content: None,
            state: State::Idle,
            beside: Arc::default(),
        }
    }

    /// Whether something waits here to be sent.
    pub(crate) fn is_full(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Sends what has passed the gate.
    pub(crate) fn send(&mut self, passed: Passed) -> Result<(), Fault> {
        self.reader.push(passed.as_bytes());
        let malformed = |_| Fault::Bug("a malformed request");
        while let Some(part) = self.reader.next().map_err(malformed)? {
            let is_end = matches!(part, Part::End(_));
            self.parts.push_back(part);
            if is_end {
                self.go_on()?;
            }
        }
        self.go_on()
    }

    /// Begins the request that is next, if that is what is next.
    fn go_on(&mut self) -> Result<(), Fault> {
        match self.parts.pop_front() {
            Some(Part::Request(head)) => match self.state {
                State::Asked(_) | State::Answering(_) => self.beside(head),
                State::Idle | State::Over => {
                    self.begin(head);
                    Ok(())
                }
            },
            Some(other) => {
                self.parts.push_front(other);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Sends a request while the response of the one before is not over. What it brings interests nobody,
    /// and it goes its way though the exchange may end.
    fn beside(&mut self, head: bhttp::Request) -> Result<(), Fault> {
        let Some(content) = whole(&mut self.parts) else {
            return Err(Fault::Bug("a long request beside another"));
        };
        if Arc::strong_count(&self.beside) <= BESIDE_MAX {
            let sending = Arc::clone(&self.upstream).send(head, Body::Whole(content));
            let one_more = Arc::clone(&self.beside);
            tokio::spawn(async move {
                let _ = timeout(BESIDE_TIME_MAX, sending).await;
                drop(one_more);
            });
        }
        Ok(())
    }

    fn begin(&mut self, head: bhttp::Request) {
        self.content = None;
        // A WebSocket's messages stay apart.
        let is_socket = head.method == bhttp::WEBSOCKET;
        let whole = (!is_socket).then(|| whole(&mut self.parts)).flatten();
        let body = match whole {
            Some(bytes) => Body::Whole(bytes),
            None => {
                let (pieces, body) = mpsc::channel(PIECES_MAX);
                self.content = Some(pieces);
                Body::Streamed(body)
            }
        };
        self.state = State::Asked(Arc::clone(&self.upstream).send(head, body));
    }

    /// Waits for the next thing to happen; for what comes from the target only if it is to be `read` now.
    /// For ever where there is nothing to wait for. Cancel safe.
    pub(crate) async fn next(&mut self, read: bool) -> Came {
        let Self {
            parts,
            content,
            state,
            ..
        } = self;
        tokio::select! {
            biased;
            () = pass_on(parts, content), if !parts.is_empty() => Came::Sent,
            came = receive(state), if read => came,
            else => std::future::pending().await,
        }
    }
}

/// Sends a piece of the request's content.
async fn pass_on(parts: &mut VecDeque<Part>, content: &Option<mpsc::Sender<Piece>>) {
    let place = match content {
        Some(pieces) => pieces.reserve().await.ok(),
        None => None,
    };
    match (parts.pop_front(), place) {
        (Some(Part::Content(bytes)), Some(place)) => place.send(Piece::Content(bytes)),
        (Some(Part::End(trailers)), Some(place)) => place.send(Piece::End(trailers)),
        // The target has read what it wanted to, and answers.
        _ => parts.clear(),
    }
}

/// Receives something of the response.
async fn receive(state: &mut State) -> Came {
    let came = match state {
        State::Idle | State::Over => std::future::pending().await,
        State::Asked(sending) => match sending.await {
            Ok(reply) => {
                let length = reply.content.size_hint().exact();
                *state = State::Answering(reply.content);
                return Came::Head(reply.head, length);
            }
            Err(lost) => Came::Lost(lost),
        },
        State::Answering(content) => match content.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => return Came::Content(bytes),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    Came::End(head::trailers(&trailers))
                }
            },
            Some(Err(lost)) => Came::Lost(lost),
            None => Came::End(Fields::new()),
        },
    };
    *state = State::Over;
    came
}
