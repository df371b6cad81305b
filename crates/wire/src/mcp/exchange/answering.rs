//! What the server answers, on its way to the agent.

use std::ops::Range;
use std::sync::Arc;

use bailiwick_action::{Kind, Resource};
use bytes::{Bytes, BytesMut};

use super::{Answering, CALL, Coming, Exchange, Out, State};
use crate::content::events::{Event, Item};
use crate::http::bhttp::{self, Fields, Part, Response};
use crate::limits::MCP_TARGET_BYTES_MAX;
use crate::mcp::alias::Given;
use crate::mcp::answer::{Answer, Reading, Unfit};
use crate::mcp::events::{self, Events};
use crate::mcp::header;
use crate::mcp::json::{self, Edits, Node};
use crate::mcp::message::{Id, Message, Outcome};
use crate::mcp::method::{What, is_known_to_agents};
use crate::mcp::plan::{self, Expect};
use crate::mcp::reply::{EVENTS, JSON, Reply};
use crate::mcp::shared::{Input, Known};
use crate::mcp::tools::Tools;
use crate::{Fault, Result, Step, Ticket, Veil};

impl Exchange {
    /// Goes on with the server's answer, as far as it is there and nothing has to be decided first.
    pub(super) fn answering(&mut self, out: &mut Out) -> Result<()> {
        loop {
            let State::Answering(answering) = &mut self.state else {
                return Ok(());
            };
            if answering.asking.is_some() {
                return Ok(());
            }
            if let Coming::Events(events) = &mut answering.coming {
                match events.next() {
                    Ok(Some(Item::Event(event))) => {
                        self.event(event, out);
                        continue;
                    }
                    Ok(Some(Item::Comment(_))) => {
                        self.sign_of_life(out);
                        continue;
                    }
                    Ok(None) => {}
                    Err(why) => {
                        self.fail(why, out);
                        continue;
                    }
                }
            }
            let Some(part) = self.part()? else {
                return Ok(());
            };
            match part {
                Part::Response(response) => self.response(&response, out),
                Part::Content(bytes) => self.content(&bytes, out),
                Part::End(_) => self.end(out),
                Part::Request(_) => return Err(Fault::Bug("a request from a target")),
            }
        }
    }

    pub(super) fn response(&mut self, response: &Response, out: &mut Out) {
        let State::Answering(answering) = &mut self.state else {
            return;
        };
        answering.status = response.status;
        let kind = bhttp::field(&response.fields, "content-type").and_then(header::media_type);
        let kind = kind
            .as_ref()
            .filter(|(_, is_plain)| *is_plain)
            .map(|(kind, _)| kind.as_bytes());
        let is_ok = (200..300).contains(&response.status);
        if answering.planned.expect == Expect::Response(What::Initialize) && is_ok {
            answering.began = header::begun_session(&response.fields);
            if answering.began.is_none()
                && bhttp::field(&response.fields, header::SESSION).is_some()
            {
                return self.fail("its session has a name that no session can have", out);
            }
        }
        let expect = answering.planned.expect;
        answering.coming = match (kind, expect) {
            (Some(JSON), Expect::Response(_)) => Coming::Message(Vec::new()),
            (Some(EVENTS), Expect::Response(_) | Expect::Stream) if is_ok => {
                Coming::Events(Events::default())
            }
            _ => Coming::Nothing,
        };
        match (response.status, expect) {
            (401 | 403 | 407, _) => self.fail("it refuses the gateway's own credential", out),
            (300..=399, _) => self.fail("it redirects, which is not followed", out),
            (404, _) if answering.planned.server_session().is_some() => {
                if let Some(session) = answering.planned.server_session() {
                    self.shared.end(session);
                }
                self.give(
                    &Reply::error(404, 404, "the server has ended this session"),
                    out,
                );
            }
            (405, Expect::Stream | Expect::Ended) => {
                self.give(
                    &Reply::error(405, 405, "the server does not offer this"),
                    out,
                );
            }
            (200..300, Expect::Stream) => match answering.coming {
                // A stream that is silent is there all the same.
                Coming::Events(_) => self.begin(200, EVENTS, out),
                _ => self.fail("it opened no event stream", out),
            },
            _ => {}
        }
    }

    /// The head of the response to the agent.
    pub(super) fn begin(&mut self, status: u16, kind: &'static [u8], out: &mut Out) {
        if std::mem::replace(&mut self.answered, true) {
            return;
        }
        let mut fields: Fields = Vec::new();
        if !kind.is_empty() {
            fields.push(("content-type".into(), Bytes::from_static(kind)));
        }
        if kind == EVENTS {
            fields.push(("cache-control".into(), Bytes::from_static(b"no-cache")));
            fields.push(("x-accel-buffering".into(), Bytes::from_static(b"no")));
        }
        if let State::Answering(answering) = &self.state
            && let Some(session) = &answering.began
        {
            fields.push((header::SESSION.into(), session.clone().into()));
        }
        let mut head = BytesMut::new();
        bhttp::put_response(&mut head, &Response { status, fields });
        out.push_back(Step::ToAgent(head.freeze()));
    }

    /// A part of the call's result.
    pub(super) fn rows(&mut self, ticket: Ticket, bytes: Vec<u8>, masked: u64, out: &mut Out) {
        if let State::Answering(answering) = &mut self.state {
            answering.end.bytes += bytes.len() as u64;
            answering.end.masked += masked;
        }
        if !bytes.is_empty() {
            out.push_back(Step::Rows(ticket, bytes.into()));
        }
    }

    /// The call ended, and with it the exchange.
    pub(super) fn finish(&mut self, error: Option<String>, out: &mut Out) {
        if let State::Answering(answering) = &mut self.state {
            let mut end = std::mem::take(&mut answering.end);
            end.error = error;
            out.push_back(Step::Finished(CALL, end));
        }
        let mut end = BytesMut::new();
        bhttp::put_end(&mut end, &[]);
        out.push_back(Step::ToAgent(end.freeze()));
        self.over(out);
    }

    /// The server's answer is not passed on; the agent gets this in its place.
    pub(super) fn give(&mut self, reply: &Reply, out: &mut Out) {
        let body = reply.body(self.id.as_ref());
        let error = Some(reply.code.to_string());
        if self.answered {
            let mut event = Vec::new();
            // A stream that belongs to no request has nobody to tell.
            if self.id.is_some() {
                events::put(&mut event, None, None, &body);
            }
            self.rows(CALL, event, 0, out);
        } else {
            let status = if reply.as_tool { 200 } else { reply.status };
            self.begin(status, JSON, out);
            self.rows(CALL, body, 0, out);
        }
        self.finish(error, out);
    }

    pub(super) fn fail(&mut self, why: &str, out: &mut Out) {
        let mut reply = Reply::unanswered(why);
        // By these a client knows a server of another revision. Those that are about a credential are about
        // the gateway's.
        if let State::Answering(answering) = &self.state
            && matches!(answering.status, 400 | 404..=406 | 415)
        {
            reply.status = answering.status;
        }
        self.give(&reply, out);
    }

    pub(super) fn content(&mut self, bytes: &[u8], out: &mut Out) {
        let State::Answering(answering) = &mut self.state else {
            return;
        };
        match &mut answering.coming {
            Coming::Message(message) => {
                message.extend_from_slice(bytes);
                if message.len() > MCP_TARGET_BYTES_MAX {
                    self.fail("it is too long", out);
                }
            }
            Coming::Events(events) => events.push(bytes),
            Coming::Head | Coming::Nothing => {}
        }
    }

    /// The server's response is over.
    pub(super) fn end(&mut self, out: &mut Out) {
        let State::Answering(answering) = &mut self.state else {
            return;
        };
        let status = answering.status;
        let is_ok = (200..300).contains(&status);
        match (
            std::mem::replace(&mut answering.coming, Coming::Nothing),
            answering.planned.expect,
        ) {
            (Coming::Message(text), Expect::Response(what)) => {
                if let Err(why) = self.message(&text, what, out) {
                    self.fail(why, out);
                }
            }
            (_, Expect::Taken) if is_ok => {
                self.begin(202, b"", out);
                self.finish(None, out);
            }
            (_, Expect::Ended) if is_ok => {
                if let Some(session) = &answering.planned.session {
                    self.shared.end(session);
                }
                self.begin(200, b"", out);
                self.finish(None, out);
            }
            (_, Expect::Stream) if self.answered => self.finish(None, out),
            (Coming::Events(_), Expect::Response(_)) if self.answered => {
                // It may go on by another stream, where there is a session.
                self.finish(Some("no response".to_owned()), out);
            }
            _ => self.fail(
                &format!("it has status {status}, and no message in it"),
                out,
            ),
        }
    }

    /// The one message of a response that is no stream.
    pub(super) fn message(
        &mut self,
        text: &[u8],
        what: What,
        out: &mut Out,
    ) -> std::result::Result<(), Unfit> {
        let State::Answering(answering) = &self.state else {
            return Ok(());
        };
        let node = read(text)?;
        match Message::of(&node).map_err(|no| no.why)? {
            // A server that refuses a request before it reads it does not know its id, and some make one up.
            Message::Response {
                id,
                outcome: Outcome::Error(error),
                ..
            } if answering.status >= 400 && id != Some(self.alias.id()) => {
                let mut own = b"{\"jsonrpc\":\"2.0\",\"id\":".to_vec();
                self.alias.id().put(&mut own);
                own.extend(b",\"error\":");
                own.extend(error.raw(text));
                own.push(b'}');
                self.message(&own, what, out)
            }
            Message::Response { id, id_at, outcome } => {
                self.result(text, (id, id_at), &outcome, what, None, out)
            }
            Message::Request { .. } | Message::Notification { .. } => {
                Err("it is no response to what was asked")
            }
        }
    }

    pub(super) fn event(&mut self, event: Event, out: &mut Out) {
        let State::Answering(answering) = &self.state else {
            return;
        };
        if !matches!(event.event.as_deref(), None | Some(b"" | b"message")) {
            return;
        }
        let expect = answering.planned.expect;
        let resumable = !answering.planned.revision.is_stateless();
        // An id says where to go on; one that the detectors would change is none any more.
        let id = event
            .id
            .filter(|id| resumable && self.veil.rewrite(id).is_none());
        if let Some(id) = &id {
            let session = answering.planned.session.as_deref();
            self.shared.with(session, |known| known.sees(id));
        }
        let data = event.data.unwrap_or_default();
        if data.is_empty() {
            if resumable && expect != Expect::Response(What::Initialize) {
                self.begin(200, EVENTS, out);
                let mut bytes = Vec::new();
                events::put(&mut bytes, id.as_deref(), event.retry, b"");
                self.rows(CALL, bytes, 0, out);
            }
            return;
        }
        let handled = match read(&data) {
            Err(why) => Err(why),
            Ok(node) => match Message::of(&node) {
                Err(no) => Err(no.why),
                Ok(message) => self.streamed(&data, message, id.as_deref(), out),
            },
        };
        if let Err(why) = handled {
            self.fail(why, out);
        }
    }

    /// A comment says that the server is still there; what else it says stays here.
    pub(super) fn sign_of_life(&mut self, out: &mut Out) {
        let State::Answering(answering) = &self.state else {
            return;
        };
        if answering.planned.expect != Expect::Response(What::Initialize) {
            self.begin(200, EVENTS, out);
            self.rows(CALL, b":\n\n".to_vec(), 0, out);
        }
    }

    pub(super) fn reading<'v>(veil: &'v Arc<dyn Veil>, answering: &Answering) -> Reading<'v> {
        Reading {
            veil,
            revision: answering.planned.revision,
            binary: answering.terms.binary,
        }
    }

    /// One message of a stream.
    pub(super) fn streamed(
        &mut self,
        text: &[u8],
        message: Message<'_, '_>,
        event_id: Option<&[u8]>,
        out: &mut Out,
    ) -> std::result::Result<(), Unfit> {
        let State::Answering(answering) = &self.state else {
            return Ok(());
        };
        let veil = Arc::clone(&self.veil);
        let reading = Self::reading(&veil, answering);
        let session = answering.planned.session.clone();
        let expect = answering.planned.expect;
        let begins = expect == Expect::Response(What::Initialize);
        match message {
            Message::Notification { method, params } => {
                if matches!(method, "notifications/tools/list_changed") {
                    let session = answering.planned.server_session();
                    self.shared.with(session, Known::forget_tools);
                }
                let changed = params
                    .and_then(|params| params.get("uri"))
                    .and_then(Node::text);
                let is_shown = is_known_to_agents(method, reading.revision)
                    && !begins
                    && (method != "notifications/resources/updated"
                        || changed
                            .is_some_and(|uri| self.veil.covers(&Resource::named(Kind::Uri, uri))));
                let mut edits = Edits::default();
                let is_own = own_names(answering).back(&self.alias, &mut edits, params);
                if is_shown && is_own {
                    let (data, masked) = reading.params(text, params, edits);
                    self.pass(CALL, event_id, &data, masked, out);
                }
                Ok(())
            }
            Message::Request { .. } if reading.revision.is_stateless() || begins => {
                Err("it asks its client where the protocol has no such thing")
            }
            Message::Request {
                id, method, params, ..
            } => {
                let (data, masked) = reading.params(text, params, Edits::default());
                let mut event = Vec::new();
                events::put(&mut event, event_id, None, &data);
                if method == "ping" {
                    self.show(CALL, id, None, event, masked, out);
                    return Ok(());
                }
                let raw = params.map(|params| params.raw(text)).unwrap_or_default();
                self.ask_feature(id, method, raw, event, masked, out);
                Ok(())
            }
            Message::Response { id, id_at, outcome } => match expect {
                Expect::Response(what) => {
                    self.result(text, (id, id_at), &outcome, what, event_id, out)
                }
                _ => {
                    let resumed = id.and_then(|id| {
                        let resumed = |known: &mut Known| known.resumed(&id);
                        self.shared.with(session.as_deref(), resumed).flatten()
                    });
                    let (own, what) = resumed.ok_or("it answers what was not asked")?;
                    let edits = named(id_at, Some(&own));
                    let answer = reading.response(text, &outcome, what, "", edits)?;
                    if answer.input.is_some() || answer.agreed.is_some() {
                        return Err("it answers in a way that belongs elsewhere");
                    }
                    self.pass(CALL, event_id, &answer.bytes, answer.masked, out);
                    Ok(())
                }
            },
        }
    }

    /// Passes on one message of a stream.
    pub(super) fn pass(
        &mut self,
        ticket: Ticket,
        event_id: Option<&[u8]>,
        data: &[u8],
        masked: u64,
        out: &mut Out,
    ) {
        self.begin(200, EVENTS, out);
        let mut event = Vec::new();
        events::put(&mut event, event_id, None, data);
        self.rows(ticket, event, masked, out);
    }

    /// The response to what was asked.
    pub(super) fn result(
        &mut self,
        text: &[u8],
        (id, id_at): (Option<Id>, Range<usize>),
        outcome: &Outcome<'_, '_>,
        what: What,
        event_id: Option<&[u8]>,
        out: &mut Out,
    ) -> std::result::Result<(), Unfit> {
        let State::Answering(answering) = &mut self.state else {
            return Ok(());
        };
        if id != Some(self.alias.id()) {
            return Err("it answers what was not asked");
        }
        if let Some(flight) = &mut answering.planned.flight {
            flight.landed();
        }
        let veil = Arc::clone(&self.veil);
        let name = self.alias.as_str().to_owned();
        let mut edits = named(id_at, answering.planned.id.as_ref());
        if let Outcome::Result(result) = outcome {
            own_names(answering).back(&self.alias, &mut edits, Some(result));
        }
        let reading = Self::reading(&veil, answering);
        let mut answer = reading.response(text, outcome, what, &name, edits)?;
        if let Some(needs) = answer.input.take() {
            let node = read(&self.body)?;
            let method = node.get("method").and_then(Node::text).unwrap_or_default();
            let input = Input {
                about: plan::about_of(method, node.get("params")),
                asked: needs.asked,
                state: needs.state,
            };
            self.ask_needs(name, input, answer, text, out);
            return Ok(());
        }
        if let (What::ListTools, Outcome::Result(result)) = (what, outcome) {
            // A server that has changed a tool without a word is found out here, and what the agent was
            // shown is not what the next call goes by any more.
            let mut listed = Tools::default();
            let elements = result.get("tools").and_then(Node::elements);
            listed.add(elements.unwrap_or_default());
            let session = answering.planned.server_session();
            self.shared
                .with(session, |known| known.compare_tools(&listed));
        }
        match (answer.agreed, &answering.began) {
            (Some(agreed), Some(session)) if !self.shared.begin(session, agreed) => {
                return Err("this run has too many sessions with it; end one first");
            }
            // The server tells no clients apart, so the gateway does, as long as there is room.
            (Some(agreed), None) if self.shared.begin(&self.alias.session(), agreed) => {
                answering.began = Some(self.alias.session());
            }
            _ => {}
        }
        self.deliver(answer, event_id, out);
        Ok(())
    }

    pub(super) fn deliver(&mut self, answer: Answer, event_id: Option<&[u8]>, out: &mut Out) {
        let State::Answering(answering) = &self.state else {
            return;
        };
        // A stream that has nothing but the response is as good as the response alone.
        if self.answered {
            self.pass(CALL, event_id, &answer.bytes, answer.masked, out);
        } else {
            self.begin(answering.status, JSON, out);
            self.rows(CALL, answer.bytes, answer.masked, out);
        }
        self.finish(answer.error, out);
    }
}

/// The agent's own names for what it asked.
fn own_names(answering: &Answering) -> Given<'_> {
    Given {
        id: answering.planned.id.as_ref(),
        progress: answering.planned.progress.as_deref(),
        in_session: answering.planned.server_session().is_some(),
    }
}

/// The agent's own id in the place of the one that its server knows.
fn named(at: Range<usize>, id: Option<&Id>) -> Edits {
    let mut edits = Edits::default();
    if let Some(id) = id {
        let mut own = Vec::new();
        id.put(&mut own);
        edits.replace(at, own);
    }
    edits
}

/// Reads a message of the server's.
fn read(text: &[u8]) -> std::result::Result<Node<'_>, Unfit> {
    json::read(text).map_err(|_| "it is not JSON that can be read in one way only")
}
