//! From one HTTP request to a call: what is asked for, under which revision and in which session, and what
//! goes to the server should it be allowed. What is not understood becomes a call that is refused, so that it
//! is on record like any other.

mod ask;
mod hold;
mod name;
mod revision;

use std::ops::Range;
use std::sync::Arc;

use self::ask::Ask;
use self::revision::{Stated, revision};
use crate::mcp::alias::{Alias, is_own_session};
use bailiwick_action::{Action, Call, Kind, Payload, Resource, Verb};
use bytes::BytesMut;

pub(in crate::mcp) use self::ask::about_of;
pub(in crate::mcp) use self::hold::{hold_against, stopped};
use crate::Veil;
use crate::http::bhttp::{self, Request};
use crate::mcp::header;
use crate::mcp::json::{self, Node};
use crate::mcp::message::{Id, Message, NoMessage};
use crate::mcp::method::{Method, Revision, What};
use crate::mcp::reply::{INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, Reply};
use crate::mcp::shared::{Flight, Shared};

/// What a request is understood as.
pub(in crate::mcp) struct Planned {
    /// To be asked.
    pub(in crate::mcp) call: Call,
    /// What the agent is told where [`Call::refusal`] says that it cannot be allowed.
    pub(in crate::mcp) refusal: Option<Reply>,
    /// The id that an answer goes to.
    pub(in crate::mcp) id: Option<Id>,
    /// The revision it is in.
    pub(in crate::mcp) revision: Revision,
    /// The session it is in.
    pub(in crate::mcp) session: Option<String>,
    /// What comes back, should it be allowed.
    pub(in crate::mcp) expect: Expect,
    /// The request to the server, should it be allowed.
    pub(in crate::mcp) bytes: Vec<u8>,
    /// What it is about: what a grant would have to name.
    pub(in crate::mcp) about: Option<Resource>,
    /// Its id is taken as long as this is there.
    pub(in crate::mcp) flight: Option<Flight>,
    /// The name of what a server needed, which this brings.
    pub(in crate::mcp) input: Option<String>,
    /// The server's request that this is the answer to.
    pub(in crate::mcp) answers: Option<Id>,
    /// The token of its progress as JSON, where the server is given another.
    pub(in crate::mcp) progress: Option<Vec<u8>>,
    /// What the gateway itself does about it.
    pub(in crate::mcp) own: Option<Own>,
}

/// What comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mcp) enum Expect {
    /// A response to this.
    Response(What),
    /// That it was taken.
    Taken,
    /// A stream of what the server says by itself.
    Stream,
    /// That the session is over.
    Ended,
    /// Nothing: the gateway sees to it itself.
    Nothing,
}

/// What the gateway itself does about a request that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mcp) enum Own {
    /// It takes back the request of this id, if that has not reached the server.
    TakesBack(Id),
    /// It ends a session of its own making.
    Ends,
}

/// From what a request is read.
pub(in crate::mcp) struct Given<'g> {
    pub(in crate::mcp) head: &'g Request,
    pub(in crate::mcp) body: &'g [u8],
    /// The whole path at the target.
    pub(in crate::mcp) path: &'g str,
    pub(in crate::mcp) veil: &'g dyn Veil,
    pub(in crate::mcp) shared: &'g Arc<Shared>,
    pub(in crate::mcp) alias: &'g Alias,
}

/// A request that is refused, with what could be read of it.
struct Refusal {
    reply: Box<Reply>,
    read: Read,
}

/// What was read of a request before it was refused.
#[derive(Default)]
struct Read {
    verb: Option<&'static str>,
    id: Option<Id>,
    text: Option<String>,
    actions: Vec<Action>,
}

impl Planned {
    /// A request that cannot be allowed, whatever it is.
    pub(in crate::mcp) fn refused(given: &Given<'_>, reply: Reply) -> Self {
        Self::of_refusal(
            given,
            Refusal {
                reply: Box::new(reply),
                read: Read::default(),
            },
        )
    }

    fn of_refusal(given: &Given<'_>, refusal: Refusal) -> Self {
        let Refusal { reply, read } = refusal;
        let text = read
            .text
            .unwrap_or_else(|| String::from_utf8_lossy(given.body).into_owned());
        let call = Call {
            protocol: crate::mcp::NAME,
            verb: read
                .verb
                .unwrap_or(http_verb(&given.head.method))
                .to_owned(),
            actions: read.actions,
            refusal: Some(reply.message.clone()),
            payload: Payload {
                text,
                values: Vec::new(),
            },
        };
        Self {
            call,
            refusal: Some(*reply),
            id: read.id,
            revision: Revision::R20250618,
            session: None,
            expect: Expect::Taken,
            bytes: Vec::new(),
            about: None,
            flight: None,
            input: None,
            answers: None,
            progress: None,
            own: None,
        }
    }

    /// Refuses what was understood.
    pub(in crate::mcp) fn refuse(&mut self, reply: Reply) {
        self.call.refusal = Some(reply.message.clone());
        self.refusal = Some(reply);
    }

    /// The session that the server knows, if there is one.
    pub(in crate::mcp) fn server_session(&self) -> Option<&str> {
        let session = self.session.as_deref();
        session.filter(|session| !is_own_session(session.as_bytes()))
    }

    /// The tool that it calls, if it calls one.
    pub(in crate::mcp) fn tool(&self) -> Option<&str> {
        self.about
            .as_ref()
            .filter(|about| about.kind == Kind::Tool)
            .map(|about| about.name.as_str())
    }
}

/// A verb that is not the agent's text.
fn http_verb(method: &str) -> &'static str {
    match method {
        "POST" => "POST",
        "GET" => "GET",
        "DELETE" => "DELETE",
        _ => "HTTP",
    }
}

/// Understands a request.
pub(in crate::mcp) fn plan(given: &Given<'_>) -> Planned {
    let planned = match &*given.head.method {
        "POST" => post(given),
        "GET" | "DELETE" => session_alone(given),
        _ => Err(Reply::error(
            405,
            INVALID_REQUEST,
            "a request of MCP is a POST, a GET or a DELETE",
        )
        .into()),
    };
    planned.unwrap_or_else(|refusal| Planned::of_refusal(given, refusal))
}

impl From<Reply> for Refusal {
    fn from(reply: Reply) -> Self {
        Self {
            reply: Box::new(reply),
            read: Read::default(),
        }
    }
}

/// A GET opens a session's stream, a DELETE ends it (2025-11-25, basic/transports).
fn session_alone(given: &Given<'_>) -> Result<Planned, Refusal> {
    let head = given.head;
    if !given.body.is_empty() {
        return Err(Reply::invalid("a request of this method has no content").into());
    }
    let session = header::session(head)?;
    let revision = match revision(given, session, Stated::Nothing)? {
        revision if revision.is_stateless() => {
            let why = "this revision of the protocol has no sessions and no stream of its own";
            return Err(Reply::error(405, INVALID_REQUEST, why).into());
        }
        revision => revision,
    };
    if header::repeats_arguments(head) {
        return Err(Reply::mismatch("there are no arguments to repeat").into());
    }
    if let Some(event) = header::one(head, header::LAST_EVENT)? {
        // A server that numbers its events for all its clients would tell one what is another's.
        let seen = given.shared.with(session, |known| known.has_seen(event));
        if seen != Some(true) {
            let why = "its Last-Event-ID is of no event that this session was sent";
            return Err(Reply::invalid(why).into());
        }
    }
    let expect = match (&*head.method, session) {
        ("GET", _) => Expect::Stream,
        (_, Some(session)) if is_own_session(session.as_bytes()) => Expect::Nothing,
        (_, Some(_)) => Expect::Ended,
        (_, None) => return Err(Reply::invalid("it names no session").into()),
    };
    let verb = http_verb(&head.method);
    Ok(Planned {
        call: call(verb, vec![Action::session()], String::new()),
        refusal: None,
        id: None,
        revision,
        session: session.map(str::to_owned),
        expect,
        bytes: match expect {
            Expect::Nothing => Vec::new(),
            _ => onwards(given, &[]),
        },
        about: None,
        flight: None,
        input: None,
        answers: None,
        progress: None,
        own: (expect == Expect::Nothing).then_some(Own::Ends),
    })
}

fn call(verb: &str, actions: Vec<Action>, text: String) -> Call {
    Call {
        protocol: crate::mcp::NAME,
        verb: verb.to_owned(),
        actions,
        refusal: None,
        payload: Payload {
            text,
            values: Vec::new(),
        },
    }
}

/// The request to the server.
fn onwards(given: &Given<'_>, body: &[u8]) -> Vec<u8> {
    request(
        &given.head.method,
        given.path,
        header::onwards(given.head),
        body,
    )
}

/// A whole request to the server.
pub(in crate::mcp) fn request(
    method: &str,
    path: &str,
    fields: bhttp::Fields,
    body: &[u8],
) -> Vec<u8> {
    let head = Request {
        method: method.to_owned(),
        scheme: String::new(),
        authority: String::new(),
        path: path.to_owned(),
        fields,
    };
    let mut out = BytesMut::new();
    bhttp::put_request(&mut out, &head);
    bhttp::put_content(&mut out, body);
    bhttp::put_end(&mut out, &[]);
    out.to_vec()
}

fn post(given: &Given<'_>) -> Result<Planned, Refusal> {
    if !header::is_json(given.head) {
        let why = "the request is refused: its content is not said to be application/json";
        return Err(Reply::error(415, INVALID_REQUEST, why).into());
    }
    if header::is_coded(given.head) {
        let why = "the request is refused: its content is in a coding; send it as it is";
        return Err(Reply::error(415, INVALID_REQUEST, why).into());
    }
    let node = json::read(given.body)
        .map_err(|why| Reply::error(400, PARSE_ERROR, format!("the request is refused: {why}")))?;
    let message = Message::of(&node).map_err(|NoMessage { why, id }| Refusal {
        reply: Box::new(Reply::invalid(why)),
        read: Read {
            id,
            ..Read::default()
        },
    })?;
    match message {
        Message::Request {
            id,
            id_at,
            method,
            params,
        } => {
            let read = Read {
                id: Some(id.clone()),
                ..Read::default()
            };
            asked(given, method, params, Some((id, id_at))).map_err(|refusal| Refusal {
                read: Read {
                    id: read.id,
                    ..refusal.read
                },
                ..refusal
            })
        }
        Message::Notification { method, params } => asked(given, method, params, None),
        Message::Response { id, .. } => response(given, &node, id),
    }
}

/// The answer of an agent to what a server asked.
fn response(given: &Given<'_>, node: &Node<'_>, id: Option<Id>) -> Result<Planned, Refusal> {
    let head = given.head;
    let session = header::session(head)?;
    let revision = revision(given, session, Stated::Nothing)?;
    let id = id.ok_or_else(|| Reply::invalid("a response of an agent has an id"))?;
    let asked = given
        .shared
        .with(session, |known| known.asked(&id))
        .flatten();
    let Some(asked) = asked.filter(|_| !revision.is_stateless()) else {
        return Err(Reply::invalid("it is a response to nothing that the server asked").into());
    };
    let about = asked.map(|feature| Resource::named(Kind::Feature, feature));
    let action = match &about {
        None => Action::session(),
        Some(feature) => Action::new(Verb::Execute, feature.clone()),
    };
    let text = String::from_utf8_lossy(given.body).into_owned();
    if holds_placeholder(given.veil, given.body, node) {
        return Err(Refusal {
            reply: Box::new(Reply::error(400, INVALID_PARAMS, PLACEHOLDER)),
            read: Read {
                verb: Some("response"),
                text: Some(text),
                actions: vec![action],
                ..Read::default()
            },
        });
    }
    Ok(Planned {
        call: call("response", vec![action], text),
        refusal: None,
        id: None,
        revision,
        session: session.map(str::to_owned),
        expect: Expect::Taken,
        bytes: onwards(given, given.body),
        about,
        flight: None,
        input: None,
        answers: Some(id),
        progress: None,
        own: None,
    })
}

/// Holds [`bailiwick_action::WRITTEN_BACK`], by test.
const PLACEHOLDER: &str = "the request is refused: a masked value is not written back, and it would write a masked \
                           placeholder back to the target. What stands there is what the gateway put in the \
                           value's place";

fn holds_placeholder(veil: &dyn Veil, raw: &[u8], node: &Node<'_>) -> bool {
    veil.has_placeholder(raw) || node.any_text(&|text| veil.has_placeholder(text.as_bytes()))
}

/// A request or a notification of an agent.
fn asked(
    given: &Given<'_>,
    method: &str,
    params: Option<&Node<'_>>,
    id: Option<(Id, Range<usize>)>,
) -> Result<Planned, Refusal> {
    let head = given.head;
    let session = header::session(head)?;
    let begun = method != "initialize";
    if !begun && session.is_some() {
        return Err(Reply::invalid("a session begins without a session").into());
    }
    let meta = params.and_then(|params| params.get("_meta"));
    let stated = meta.and_then(|meta| meta.get("io.modelcontextprotocol/protocolVersion"));
    let stated = match stated {
        Some(version) => Stated::As(version.text().unwrap_or_default()),
        None if !begun => Stated::Beginning,
        None if id.is_some() => Stated::Missing,
        None => Stated::Nothing,
    };
    let revision = revision(given, session, stated)?;
    let known = match &id {
        Some(_) => Method::request(method, revision),
        None => Method::notification(method, revision),
    };
    let Some(known) = known else {
        let status = match (&id, revision.is_stateless()) {
            (None, _) => 400,
            (Some(_), true) => 404,
            (Some(_), false) => 200,
        };
        let why = "the method is not one that this gateway knows in this revision of the protocol";
        return Err(Reply::error(status, METHOD_NOT_FOUND, why).into());
    };
    let ask = Ask {
        given,
        known,
        revision,
        session,
        params,
        id,
    };
    ask.planned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn that_a_masked_value_was_sent_back_is_told_apart() {
        assert!(super::PLACEHOLDER.contains(bailiwick_action::WRITTEN_BACK));
    }
}
