//! What a request is: from its head and its content to the call that is decided and the bytes that are
//! sent. Both come from the same reading, so what is decided is what is sent.

use std::fmt::Write;

use bailiwick_action::{Action, Call, Fact, Facts, Input, Payload, Resource, Verb, WRITTEN_BACK};
use bytes::BytesMut;

use super::bhttp::{self, Fields};
use super::body::{self, Extent, Reading, Scan};
use super::fields::{self, MediaType};
use super::login::Route;
use super::method::Method;
use super::path::{self, Parameter};
use super::place::Place;
use super::problem::{Refusal, Sort};
use super::tags::Tags;
use crate::Veil;
use crate::limits::{CONTENT_HELD_BYTES_MAX, PATH_SHOWN_BYTES_MAX};
use crate::near::may_be_taken_for;

/// What a call is called that was not understood.
const NOT_UNDERSTOOD: &str = "NOT UNDERSTOOD";

/// What of a request is understood however wrong the rest of it is.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// What it does; nothing where its method is not understood. With the path as it was sent where that is not
    /// understood: it says what was asked, and no grant could cover it.
    action: Option<Action>,
    verb: &'static str,
    /// As the agent sent it.
    text: String,
}

impl Line {
    /// The call to refuse in the request's place.
    pub(super) fn refused(self, why: &Refusal) -> Call {
        Call {
            protocol: super::PROTOCOL.name,
            verb: self.verb.to_owned(),
            actions: self.action.into_iter().collect(),
            refusal: Some(why.why.clone()),
            payload: Payload {
                text: self.text,
                values: Vec::new(),
            },
        }
    }
}

/// A request whose head is understood.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// Behind the target's base.
    pub(super) path: String,
    query: Vec<Parameter>,
    fields: Fields,
    /// How its content is read, if it may have any.
    reading: Option<Reading>,
}

impl Request {
    /// Reads a request's head.
    ///
    /// # Errors
    /// If it is not understood; then as much as is.
    pub(super) fn read(
        head: &bhttp::Request,
        route: &Route,
        place: &Place,
        veil: &dyn Veil,
        tags: &Tags,
    ) -> Result<Self, Box<(Line, Refusal)>> {
        let method = Method::of(&head.method);
        let path = place.behind_base(route);
        let line = Line {
            action: method.map(|method| match &path {
                Ok(path) => action(method, path),
                Err(_) => action(method, as_sent(&head.path)),
            }),
            verb: method.map_or(NOT_UNDERSTOOD, Method::name),
            text: format!("{} {}", head.method, head.path),
        };
        let read = || {
            let method = method.ok_or_else(|| {
                Refusal::new(
                    Sort::Unsupported,
                    "a method other than GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE and WebSocket's",
                )
            })?;
            let path = path.map_err(Refusal::not_understood)?;
            let query = route.query.as_deref().unwrap_or_default();
            let query = path::query(query).map_err(Refusal::not_understood)?;
            body::check_parameters(&query)?;
            let also: &[&str] = match method {
                Method::WebSocket => &["sec-websocket-protocol"],
                _ => &[],
            };
            let mut fields = fields::of_request(&head.fields, also)?;
            tags.for_target(&mut fields)
                .map_err(Refusal::not_understood)?;
            let reading = match bhttp::field(&fields, "content-type") {
                Some(value) => Some(
                    MediaType::read(value)
                        .as_ref()
                        .map(Reading::of)
                        .ok_or_else(|| {
                            Refusal::new(
                                Sort::MediaType,
                                "a content-type that cannot be read in one way",
                            )
                        })?,
                ),
                None => None,
            };
            let request = Self {
                method,
                path,
                query,
                fields,
                reading,
            };
            if method.class().has_effect() && request.has_placeholder(veil) {
                return Err(Refusal::not_understood(WRITTEN_BACK));
            }
            Ok(request)
        };
        read().map_err(|refusal| Box::new((line, refusal)))
    }

    /// Whether a masked value stands in its path, its query or its fields.
    fn has_placeholder(&self, veil: &dyn Veil) -> bool {
        let path: Vec<u8> = percent_encoding::percent_decode_str(&self.path).collect();
        let parameters = self.query.iter();
        let texts = parameters.flat_map(|Parameter { name, value }| [Some(name), value.as_ref()]);
        let values = self.fields.iter().map(|(_, value)| &value[..]);
        std::iter::once(&path[..])
            .chain(texts.flatten().map(String::as_bytes))
            .chain(values)
            .any(|text| veil.has_placeholder(text))
    }

    /// Whether content of this length (so far) may be had, and is all held until it is decided.
    ///
    /// # Errors
    /// If it may not be.
    pub(super) fn may_hold(&self, length: usize) -> Result<bool, Refusal> {
        if !self.method.has_content() {
            return Err(Refusal::not_understood(
                "content in a request whose method has none",
            ));
        }
        let Some(reading) = self.reading else {
            return Err(Refusal::new(
                Sort::MediaType,
                "content without a content-type",
            ));
        };
        let fits = length <= CONTENT_HELD_BYTES_MAX;
        if !fits && reading.takes_all() {
            return Err(Refusal::new(
                Sort::TooLarge,
                format!(
                    "content of more than {CONTENT_HELD_BYTES_MAX} bytes, of a type that is read whole"
                ),
            ));
        }
        Ok(fits)
    }

    /// What looks at the content that follows this.
    pub(super) fn scan(&self, content: &[u8]) -> Scan {
        Scan::behind(content, self.reading)
    }

    /// The call that the request is, and the bytes that go to the target if it may.
    pub(super) fn call(
        &self,
        content: &[u8],
        extent: Extent,
        place: &Place,
        veil: &dyn Veil,
    ) -> (Call, Vec<u8>, Option<Refusal>) {
        let mut action = action(self.method, &self.path);
        query_facts(&self.query, veil.inputs(), &mut action.facts);
        let refusal = match self.reading {
            Some(reading) if !content.is_empty() => {
                reading.look(content, veil, &mut action.facts).err()
            }
            _ => None,
        };
        if content.is_empty() && extent == Extent::Whole {
            no_facts(veil.inputs(), &mut action.facts);
        }
        let call = Call {
            protocol: super::PROTOCOL.name,
            verb: self.method.name().to_owned(),
            actions: vec![action],
            refusal: refusal.as_ref().map(|refusal| refusal.why.clone()),
            payload: Payload {
                text: self.text(content, extent),
                values: Vec::new(),
            },
        };
        let mut bytes = BytesMut::new();
        if refusal.is_none() {
            self.put(&mut bytes, content, extent, place);
        }
        (call, bytes.into(), refusal)
    }

    /// The call that a request is that was refused for its content before that was read.
    pub(super) fn refused(&self, why: &Refusal) -> Call {
        let line = Line {
            action: Some(action(self.method, &self.path)),
            verb: self.method.name(),
            text: self.text(&[], Extent::Whole),
        };
        line.refused(why)
    }

    /// A call of the same request's that came later: a message of its WebSocket.
    pub(super) fn message(&self, text: String, facts: Facts, veil: &dyn Veil) -> Call {
        let mut action = action(self.method, &self.path);
        action.facts = facts;
        query_facts(&self.query, veil.inputs(), &mut action.facts);
        Call {
            protocol: super::PROTOCOL.name,
            verb: "MESSAGE".to_owned(),
            actions: vec![action],
            refusal: None,
            payload: Payload {
                text,
                values: Vec::new(),
            },
        }
    }

    /// What is kept of it: what goes to the target, as far as it is text.
    fn text(&self, content: &[u8], extent: Extent) -> String {
        let mut text = format!(
            "{} {}{}\n",
            self.method.name(),
            self.path,
            path::spelled(&self.query)
        );
        for (name, value) in &self.fields {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}: {}", String::from_utf8_lossy(value));
        }
        if !content.is_empty() {
            text.push('\n');
            text.push_str(&body::shown(content, extent));
        }
        text
    }

    fn put(&self, out: &mut BytesMut, content: &[u8], extent: Extent, place: &Place) {
        let path = place.at_target(&self.path);
        let head = bhttp::Request {
            method: self.method.name().to_owned(),
            scheme: String::new(),
            authority: String::new(),
            path: format!("{path}{}", path::spelled(&self.query)),
            fields: self.fields.clone(),
        };
        bhttp::put_request(out, &head);
        bhttp::put_content(out, content);
        // A WebSocket's messages follow.
        if extent == Extent::Whole && self.method != Method::WebSocket {
            bhttp::put_end(out, &[]);
        }
    }
}

/// The beginning of a path as it was sent, without its query.
fn as_sent(path: &str) -> &str {
    let path = path.split('?').next().unwrap_or_default();
    path.get(..path.floor_char_boundary(PATH_SHOWN_BYTES_MAX))
        .unwrap_or_default()
}

fn action(method: Method, path: &str) -> Action {
    let resource = Resource::request(method.name(), path);
    Action::of_class(method.class(), Verb::Request, resource)
}

fn query_facts(query: &[Parameter], inputs: &[Input], facts: &mut Facts) {
    for input in inputs {
        let Input::Query(name) = input else {
            continue;
        };
        let found = facts.entry(input.clone()).or_default();
        for parameter in query.iter().filter(|parameter| parameter.name == *name) {
            let text = parameter.value.clone().unwrap_or_default();
            let fact = match text.len() {
                0..=Fact::TEXT_BYTES_MAX => Fact::Text(text),
                _ => Fact::Other,
            };
            found.push(fact);
        }
        if query
            .iter()
            .any(|parameter| may_be_taken_for(&parameter.name, name))
        {
            found.push(Fact::Other);
        }
    }
}

/// What a body that is not there has: no field.
fn no_facts(inputs: &[Input], facts: &mut Facts) {
    for input in inputs {
        if let Input::Field(_) = input {
            facts.entry(input.clone()).or_default();
        }
    }
}
