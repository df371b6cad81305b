//! The way back of one exchange: the target's answer, masked as it comes.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::bhttp::{self, Response, put_end, put_response};
use super::method::Method;
use super::place::Place;
use super::problem::{Problem, Sort};
use super::request::Request;
use super::tags::Tags;
use super::{Outbox, fields};
use crate::content::{Broken, Masker};
use crate::{End, Fault, Result, Step, Terms, Ticket, Veil};

/// What an answer's call ends with whose content is withheld.
const WITHHELD: &str = "withheld";

/// A request that is with its target, and its answer as far as it has come.
pub(super) struct Answering {
    pub(super) ticket: Ticket,
    pub(super) request: Request,
    pub(super) terms: Terms,
    state: State,
    /// The target's status; zero before there is one.
    status: u16,
    /// Whether the content was withheld.
    withheld: bool,
    bytes: u64,
    masked: u64,
}

enum State {
    /// Nothing yet.
    Waiting,
    /// A head whose content would be of a type that cannot be looked into. It passes if there is none.
    Unmaskable(Bytes),
    /// A head whose content is text, in a run that masks fields: it passes if that turns out to be JSON.
    Guessing(Bytes, Masker),
    /// Content goes through this; the head is out.
    Content(Masker),
    /// The head is out, and has no content (RFC 9110, section 6.4.1).
    Empty,
}

/// Whether the exchange goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    More,
    /// The target has accepted a WebSocket.
    Upgraded,
    Over,
}

impl Answering {
    pub(super) fn new(ticket: Ticket, request: Request, terms: Terms) -> Self {
        Self {
            ticket,
            request,
            terms,
            state: State::Waiting,
            status: 0,
            withheld: false,
            bytes: 0,
            masked: 0,
        }
    }

    /// Whether the agent has got the head.
    pub(super) fn is_out(&self) -> bool {
        matches!(self.state, State::Content(_) | State::Empty)
    }

    /// Whether the answer has begun.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self.state, State::Waiting)
    }

    /// Takes the head.
    pub(super) fn head(
        &mut self,
        head: &Response,
        place: &Place,
        veil: &Arc<dyn Veil>,
        tags: &Tags,
        out: &mut Outbox,
    ) -> Result<Next> {
        if self.has_begun() {
            return Err(Fault::Target("two answers to one request".into()));
        }
        let upgrade = head.status == 101;
        let ends = match head.status {
            101 => self.request.method == Method::WebSocket,
            status => (200..600).contains(&status),
        };
        if !ends {
            return Err(Fault::Target("a status that ends no request".into()));
        }
        let path = &self.request.path;
        let place = |name: &str, value: &str| place.for_agent(name, value, path);
        let fields = fields::of_response(&head.fields, &**veil, tags, place, &mut self.masked);
        let mut bytes = BytesMut::new();
        let status = head.status;
        put_response(&mut bytes, &Response { status, fields });
        self.status = status;
        if upgrade || self.request.method == Method::Head || matches!(status, 204 | 205 | 304) {
            self.state = State::Empty;
            out.agent(bytes);
            return Ok(if upgrade { Next::Upgraded } else { Next::More });
        }
        let mut types = head
            .fields
            .iter()
            .filter(|(name, _)| name == "content-type");
        let content_type = match (types.next(), types.next()) {
            (Some((_, value)), None) => Some(&value[..]),
            // Two of them are as good as none.
            _ => None,
        };
        self.state = match Masker::for_type(content_type, Arc::clone(veil)) {
            Masker::Bare if !self.terms.binary => State::Unmaskable(bytes.freeze()),
            // Whoever asks for the same as a page, a table or a script would get around the fields. What
            // tells of a redirect or an error is another thing, and so is plain text.
            masker @ Masker::Guess(_)
                if !self.terms.binary && status < 300 && !is_plain(content_type) =>
            {
                State::Guessing(bytes.freeze(), masker)
            }
            masker => {
                out.agent(bytes);
                State::Content(masker)
            }
        };
        Ok(Next::More)
    }

    /// Takes content.
    pub(super) fn content(&mut self, piece: &[u8], out: &mut Outbox) -> Result<Next> {
        match &mut self.state {
            State::Content(masker) => {
                let mut rows = BytesMut::new();
                masker.feed(piece, &mut rows).map_err(unmaskable)?;
                self.rows(rows, out);
                Ok(Next::More)
            }
            State::Unmaskable(_) => {
                self.withhold(out);
                Ok(Next::Over)
            }
            State::Guessing(head, masker) => {
                let mut rows = BytesMut::new();
                masker.feed(piece, &mut rows).map_err(unmaskable)?;
                match masker {
                    Masker::Guess(_) => Ok(Next::More),
                    Masker::Json(_) => {
                        out.agent(std::mem::take(head));
                        self.state = State::Content(std::mem::replace(masker, Masker::Bare));
                        self.rows(rows, out);
                        Ok(Next::More)
                    }
                    Masker::Text(_) | Masker::Events(_) | Masker::Bare => {
                        self.withhold(out);
                        Ok(Next::Over)
                    }
                }
            }
            State::Empty => Err(Fault::Target("content in an answer that has none".into())),
            State::Waiting => Err(Fault::Target("content before its head".into())),
        }
    }

    /// Takes the end. Trailer fields do not pass: what they say is about the content as it was.
    pub(super) fn end(&mut self, out: &mut Outbox) -> Result<Next> {
        match &mut self.state {
            State::Waiting => return Err(Fault::Target("an end before its head".into())),
            State::Unmaskable(head) => {
                out.agent(std::mem::take(head));
            }
            State::Guessing(head, masker) => {
                // Nothing, or white space.
                out.agent(std::mem::take(head));
                let mut rows = BytesMut::new();
                masker.finish(&mut rows).map_err(unmaskable)?;
                self.rows(rows, out);
            }
            State::Content(masker) => {
                let mut rows = BytesMut::new();
                masker.finish(&mut rows).map_err(unmaskable)?;
                self.masked += masker.masked();
                self.rows(rows, out);
            }
            State::Empty => {}
        }
        out.step(Step::Finished(self.ticket, self.outcome()));
        let mut end = BytesMut::new();
        put_end(&mut end, &[]);
        out.agent(end);
        out.step(Step::Done);
        Ok(Next::Over)
    }

    fn rows(&mut self, rows: BytesMut, out: &mut Outbox) {
        if !rows.is_empty() {
            self.bytes += rows.len() as u64;
            out.step(Step::Rows(self.ticket, rows.freeze()));
        }
    }

    fn outcome(&self) -> End {
        End {
            bytes: self.bytes,
            masked: self.masked,
            error: match self.status {
                _ if self.withheld => Some(WITHHELD.to_owned()),
                400.. => Some(self.status.to_string()),
                _ => None,
            },
            ..End::default()
        }
    }

    fn withhold(&mut self, out: &mut Outbox) {
        let problem = Problem::new(
            Sort::Withheld,
            format!(
                "The target answered with status {} and content whose type cannot be looked into, and so \
                 not masked.",
                self.status
            ),
            "The request reached the target. Ask for a grant with `binary = true`, or for another type \
             with `Accept`.",
        );
        self.withheld = true;
        out.step(Step::Finished(self.ticket, self.outcome()));
        out.agent(problem.response(false));
        out.step(Step::Done);
    }
}

/// Whether content is text without any structure, as far as it says.
fn is_plain(content_type: Option<&[u8]>) -> bool {
    content_type
        .and_then(fields::MediaType::read)
        .is_some_and(|media| media.essence == "text/plain")
}

fn unmaskable(broken: Broken) -> Fault {
    Fault::Target(format!("content that cannot be masked: {broken}"))
}

/// The type of content, for what comes without a head.
pub(super) fn masked_whole(
    content: &[u8],
    content_type: &str,
    veil: &Arc<dyn Veil>,
) -> Option<(BytesMut, u64)> {
    let mut masker = Masker::for_type(Some(content_type.as_bytes()), Arc::clone(veil));
    let mut out = BytesMut::new();
    masker.feed(content, &mut out).ok()?;
    masker.finish(&mut out).ok()?;
    Some((out, masker.masked()))
}

/// The bytes of one message of a WebSocket.
pub(super) fn message(opcode: u8, data: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::with_capacity(data.len() + 1);
    bytes.extend_from_slice(&[opcode]);
    bytes.extend_from_slice(data);
    bytes
}

/// The same, framed.
pub(super) fn framed(message: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    bhttp::put_content(&mut bytes, message);
    bytes
}
