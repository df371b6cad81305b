//! A WebSocket after both sides have agreed on it (RFC 6455): every message of the agent is a call of its
//! own, and every message of the target is masked by itself. Fragments and control frames are the
//! transport's matter: here a message is one chunk of content.

use std::sync::Arc;

use bailiwick_action::{Denial, Facts, Held, Stage, WRITTEN_BACK};
use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::bhttp::{CHUNK_BYTES_MAX, Part, Reader, put_end};
use super::body::{self, Extent};
use super::problem::Refusal;
use super::request::Request;
use super::response::{framed, masked_whole};
use super::{Outbox, Tickets};
use crate::{Answer, End, Fault, Plumbing, Refused, Result, Step, Terms, Ticket, Veil, Why};

const TEXT: u8 = 1;
const BINARY: u8 = 2;

/// Why a WebSocket is closed by the gateway (RFC 6455, section 7.4.1).
#[derive(Clone, Copy)]
enum Close {
    /// In good order.
    Normal = 1000,
    /// The gateway stops.
    Away = 1001,
    /// A message of a kind that is not accepted.
    Unsupported = 1003,
    /// A message that was denied, or the run has ended.
    Policy = 1008,
    /// A message could not be recorded, or something else failed.
    Internal = 1011,
}

/// The field of the end of a WebSocket's content that says why it is closed: a status code, a space, and
/// words.
const CLOSE: &str = "close";

/// The most bytes of such words: what a close frame has room for.
const CLOSE_BYTES_MAX: usize = 123;

/// An open WebSocket.
pub(super) struct WebSocket {
    upgrade: Ticket,
    request: Request,
    terms: Terms,
    /// The message that is being decided.
    asked: Option<Ticket>,
    agent_ended: bool,
    bytes: u64,
    masked: u64,
}

impl WebSocket {
    pub(super) fn new(upgrade: Ticket, request: Request, terms: Terms) -> Self {
        Self {
            upgrade,
            request,
            terms,
            asked: None,
            agent_ended: false,
            bytes: 0,
            masked: 0,
        }
    }

    pub(super) fn wants_agent(&self) -> bool {
        self.asked.is_none() && !self.agent_ended
    }

    /// Reads what the agent sent, up to the next message that has to be decided.
    pub(super) fn agent(
        &mut self,
        reader: &mut Reader,
        veil: &dyn Veil,
        tickets: &mut Tickets,
        out: &mut Outbox,
    ) -> Result<()> {
        while self.wants_agent() {
            match super::next(reader)? {
                None => return Ok(()),
                Some(Part::Content(message)) => {
                    let ticket = tickets.next();
                    self.asked = Some(ticket);
                    out.step(Step::Ask(ticket, self.held(&message, veil)?));
                }
                Some(Part::End(_)) => {
                    self.agent_ended = true;
                    out.step(Step::Relay(Plumbing::new(ended(Close::Normal, ""))));
                }
                Some(Part::Request(_) | Part::Response(_)) => {
                    return Err(Fault::Bug("a head within a WebSocket"));
                }
            }
        }
        Ok(())
    }

    fn held(&self, message: &Bytes, veil: &dyn Veil) -> Result<Held> {
        let (opcode, data) = split(message).ok_or(Fault::Bug("a message without its opcode"))?;
        let mut facts = Facts::new();
        let refusal = self.look(opcode, data, veil, &mut facts).err();
        let mut call = self
            .request
            .message(body::shown(data, Extent::Whole), facts, veil);
        let mut bytes = Vec::new();
        match refusal {
            Some(refusal) => call.refusal = Some(refusal.why),
            None => bytes = framed(message).into(),
        }
        Ok(Held {
            call,
            sense: Sha256::digest(&bytes).to_vec(),
            bytes,
            // Others follow it, both ways.
            stage: Stage::Retries,
        })
    }

    /// Looks at a message of the agent's.
    fn look(
        &self,
        opcode: u8,
        data: &[u8],
        veil: &dyn Veil,
        facts: &mut Facts,
    ) -> std::result::Result<(), Refusal> {
        match opcode {
            TEXT => {}
            BINARY if self.terms.binary => {}
            _ => {
                return Err(Refusal::not_understood(
                    "a binary message; it takes a grant with `binary = true`",
                ));
            }
        }
        if veil.has_placeholder(data) {
            return Err(Refusal::not_understood(WRITTEN_BACK));
        }
        if opcode == TEXT && std::str::from_utf8(data).is_err() {
            return Err(Refusal::not_understood("a text message that is not UTF-8"));
        }
        match looks_like_json(data) {
            true if opcode == TEXT => {
                let value = body::read_json(data, veil, facts)?;
                match body::holds_placeholder(value, veil) {
                    true => Err(Refusal::not_understood(WRITTEN_BACK)),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// The gateway's answer to a message of the agent's. Says whether the WebSocket is closed.
    pub(super) fn answer(
        &mut self,
        ticket: Ticket,
        answer: Answer,
        out: &mut Outbox,
    ) -> Result<bool> {
        if self.asked.take() != Some(ticket) {
            return Err(Fault::Bug("an answer to a message that was not asked"));
        }
        match answer {
            Answer::Allow(_) => {
                out.step(Step::Finished(ticket, End::default()));
                Ok(false)
            }
            Answer::Deny(Denial { reason, remedy, .. })
            | Answer::Unapproved(Denial { reason, remedy, .. }, _) => {
                self.close(Close::Policy, &format!("{reason}; {remedy}"), "denied", out);
                Ok(true)
            }
            Answer::Withdrawn => {
                self.close(Close::Policy, "the message was taken back", "denied", out);
                Ok(true)
            }
            Answer::Unrecorded(why) => {
                self.close(Close::Internal, &why, "unrecorded", out);
                Ok(true)
            }
        }
    }

    /// Takes what the target sent. Says whether the WebSocket is closed.
    pub(super) fn target(
        &mut self,
        part: Part,
        veil: &Arc<dyn Veil>,
        out: &mut Outbox,
    ) -> Result<bool> {
        match part {
            Part::Content(message) => {
                let (opcode, data) = split(&message)
                    .ok_or_else(|| Fault::Target("a message without its opcode".into()))?;
                let (masked, count) = match opcode {
                    TEXT => masked(data, veil)?,
                    BINARY if self.terms.binary => (BytesMut::from(data), 0),
                    _ => {
                        let why = "the target sent a binary message, which cannot be masked; ask for \
                                   binary = true";
                        self.close(Close::Unsupported, why, "withheld", out);
                        return Ok(true);
                    }
                };
                if masked.len() >= CHUNK_BYTES_MAX {
                    return Err(Fault::Target("a message that is too long".into()));
                }
                let rows = super::response::message(opcode, &masked);
                self.masked += count;
                self.bytes += rows.len() as u64;
                out.step(Step::Rows(self.upgrade, rows.freeze()));
                Ok(false)
            }
            Part::End(_) => {
                self.finish(None, out);
                out.agent(ended(Close::Normal, ""));
                out.step(Step::Done);
                Ok(true)
            }
            Part::Request(_) | Part::Response(_) => {
                Err(Fault::Target("two answers to one request".into()))
            }
        }
    }

    fn finish(&self, error: Option<&str>, out: &mut Outbox) {
        let end = End {
            bytes: self.bytes,
            masked: self.masked,
            error: error.map(str::to_owned),
            ..End::default()
        };
        out.step(Step::Finished(self.upgrade, end));
    }

    /// Closes it towards both sides.
    fn close(&self, why: Close, words: &str, error: &str, out: &mut Outbox) {
        self.finish(Some(error), out);
        if !self.agent_ended {
            out.step(Step::Relay(Plumbing::new(ended(Close::Normal, ""))));
        }
        out.agent(ended(why, words));
        out.step(Step::Done);
    }
}

/// A message of the target's, masked: as JSON if it is, else as text. Where fields are masked, what only
/// looks like JSON, or has some within it (Socket.IO's `42["event",{…}]`), may have them too, and there is no
/// telling where.
fn masked(data: &[u8], veil: &Arc<dyn Veil>) -> Result<(BytesMut, u64)> {
    let looks = looks_like_json(data);
    let json = looks.then(|| masked_whole(data, "application/json", veil));
    let may_have_fields = (looks || data.contains(&b'{')) && !veil.fields().is_empty();
    let masked = match json.flatten() {
        None if !may_have_fields => masked_whole(data, "text/plain", veil),
        json => json,
    };
    masked.ok_or_else(|| Fault::Target("a message that cannot be masked".into()))
}

fn split(message: &[u8]) -> Option<(u8, &[u8])> {
    message.split_first().map(|(opcode, data)| (*opcode, data))
}

fn looks_like_json(data: &[u8]) -> bool {
    matches!(data.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// The end of the content of a WebSocket that the gateway ends.
pub(super) fn farewell(refused: &Refused) -> BytesMut {
    let why = match refused.why {
        Why::Stopping => Close::Away,
        Why::Ended => Close::Policy,
        _ => Close::Internal,
    };
    ended(why, &refused.message)
}

/// The end of a WebSocket's content.
fn ended(why: Close, words: &str) -> BytesMut {
    let mut text = format!("{} ", why as u16);
    for c in words.chars().filter(|c| !c.is_control()) {
        if text.len() + c.len_utf8() > CLOSE_BYTES_MAX {
            break;
        }
        text.push(c);
    }
    let mut bytes = BytesMut::new();
    put_end(&mut bytes, &[(CLOSE.to_owned(), Bytes::from(text))]);
    bytes
}
