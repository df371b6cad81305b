//! What a server asks its client: a call of its own, on record before the agent sees it.

use bailiwick_action::{Action, Held, Kind, Resource, Stage, Verb};
use bytes::Bytes;

use super::{Asked, CALL, Exchange, How, Out, State};
use crate::http::bhttp::Fields;
use crate::mcp::answer::Answer;
use crate::mcp::header;
use crate::mcp::message::Id;
use crate::mcp::method::{What, feature};
use crate::mcp::plan::{self, Expect};
use crate::mcp::reply::{EVENTS, JSON, Reply};
use crate::mcp::shared::Input;
use crate::{Answer as Decided, End, Fault, Plumbing, Result, Step, Ticket};

impl Exchange {
    pub(super) fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Shows the agent a request of the server.
    pub(super) fn show(
        &mut self,
        ticket: Ticket,
        id: Id,
        feature: Option<&'static str>,
        event: Vec<u8>,
        masked: u64,
        out: &mut Out,
    ) -> bool {
        let State::Answering(answering) = &self.state else {
            return false;
        };
        let session = answering.planned.session.clone();
        let room = self
            .shared
            .with(session.as_deref(), |known| known.ask(id.clone(), feature));
        if room != Some(true) {
            self.decline(&id, out);
            return false;
        }
        self.begin(200, EVENTS, out);
        self.rows(ticket, event, masked, out);
        true
    }

    /// Tells the server that its client does not do what it asked. On its own way: the response that it
    /// asked on may last.
    pub(super) fn decline(&self, id: &Id, out: &mut Out) {
        let State::Answering(answering) = &self.state else {
            return;
        };
        let mut body = b"{\"jsonrpc\":\"2.0\",\"id\":".to_vec();
        id.put(&mut body);
        body.extend(br#","error":{"code":-32601,"message":"the client does not support this"}}"#);
        let version = answering.planned.revision.as_str();
        let mut fields: Fields = vec![
            (
                "accept".into(),
                Bytes::from_static(b"application/json, text/event-stream"),
            ),
            ("content-type".into(), Bytes::from_static(JSON)),
            (
                header::VERSION.into(),
                Bytes::from_static(version.as_bytes()),
            ),
        ];
        if let Some(session) = answering.planned.server_session() {
            fields.push((header::SESSION.into(), session.to_owned().into()));
        }
        let bytes = plan::request("POST", &self.path, fields, &body);
        out.push_back(Step::Relay(Plumbing::new(bytes)));
    }

    /// A server asks its client for something: a call of its own, decided before the agent sees it.
    pub(super) fn ask_feature(
        &mut self,
        id: Id,
        method: &str,
        params: &[u8],
        event: Vec<u8>,
        masked: u64,
        out: &mut Out,
    ) {
        let ticket = self.ticket();
        let text = String::from_utf8_lossy(params).into_owned();
        let known = feature(method);
        let mut call = crate::mcp::message::call(known.map_or("request", verb_of), text);
        match known {
            Some(feature) => call.actions.push(of_feature(feature)),
            None => {
                call.refusal =
                    Some("the server asks its client for something that is not known".to_owned());
            }
        }
        self.wait_for(
            Asked {
                ticket,
                event,
                how: How::Request(id, known),
            },
            call,
            masked,
            out,
        );
    }

    /// A server says what it needs before it goes on.
    pub(super) fn ask_needs(
        &mut self,
        name: String,
        input: Input,
        answer: Answer,
        text: &[u8],
        out: &mut Out,
    ) {
        let features = input.features();
        let ticket = self.ticket();
        let asked = Asked {
            ticket,
            event: Vec::new(),
            how: How::Needs(name, input, answer),
        };
        if features.is_empty() {
            // It wants to be asked again, and nothing of its client.
            return self.shown(asked, out);
        }
        let text = String::from_utf8_lossy(text).into_owned();
        let mut call = crate::mcp::message::call("input_required", text);
        call.actions.extend(features.into_iter().map(of_feature));
        self.wait_for(asked, call, 0, out);
    }

    pub(super) fn wait_for(
        &mut self,
        asked: Asked,
        call: bailiwick_action::Call,
        masked: u64,
        out: &mut Out,
    ) {
        let State::Answering(answering) = &mut self.state else {
            return;
        };
        answering.end.masked += masked;
        let held = Held {
            call,
            // What is asked for goes to the agent, not to the target.
            bytes: Vec::new(),
            sense: Vec::new(),
            // The server waits in the middle of its own call.
            stage: Stage::Retries,
        };
        out.push_back(Step::Ask(asked.ticket, held));
        answering.asking = Some(asked);
    }

    pub(super) fn feature_decided(
        &mut self,
        asked: Asked,
        decided: Decided,
        out: &mut Out,
    ) -> Result<()> {
        match decided {
            Decided::Allow(_) => {
                let end = End {
                    bytes: asked.event.len() as u64,
                    ..End::default()
                };
                out.push_back(Step::Finished(asked.ticket, end));
                self.shown(asked, out);
            }
            Decided::Unrecorded(why) => self.give(&Reply::unrecorded(&why), out),
            decided => match asked.how {
                How::Request(id, _) => self.decline(&id, out),
                How::Needs(..) => {
                    let reply = Reply::not_made(decided, None);
                    let reply = reply.ok_or(Fault::Bug("an answer that is none"))?;
                    let mut reply = reply.into_result();
                    let State::Answering(answering) = &self.state else {
                        return Ok(());
                    };
                    reply.as_tool = answering.planned.expect == Expect::Response(What::CallTool);
                    self.give(&reply, out);
                }
            },
        }
        Ok(())
    }

    pub(super) fn shown(&mut self, asked: Asked, out: &mut Out) {
        match asked.how {
            How::Request(id, feature) => {
                self.show(CALL, id, feature, asked.event, 0, out);
            }
            How::Needs(name, input, answer) => {
                if self.shared.keep_input(&name, input) {
                    self.deliver(answer, None, out);
                } else {
                    self.fail(
                        "it needs input, and too much of that is waited for already",
                        out,
                    );
                }
            }
        }
    }
}

fn of_feature(feature: &'static str) -> Action {
    Action::new(Verb::Execute, Resource::named(Kind::Feature, feature))
}

/// What a server asks for by a feature, as its method.
fn verb_of(feature: &'static str) -> &'static str {
    match feature {
        "elicitation" => "elicitation/create",
        "roots" => "roots/list",
        _ => "sampling/createMessage",
    }
}
