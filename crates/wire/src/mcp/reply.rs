//! What the gateway itself answers, in the protocol's words.
//!
//! Why a denial looks the way it does: docs/decisions/0010-how-a-denial-reads-to-mcp.md.

use bailiwick_action::{Denial, Kind, Resource};
use bailiwick_run::ApprovalId;
use bytes::{Bytes, BytesMut};

use super::json::put_text;
use super::message::Id;
use super::method::Revision;
use crate::http::bhttp::{self, Fields, Response};
use crate::{Answer, Refused, Why};

/// JSON-RPC 2.0, section 5.1.
pub(super) const PARSE_ERROR: i64 = -32700;
pub(super) const INVALID_REQUEST: i64 = -32600;
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
pub(super) const INVALID_PARAMS: i64 = -32602;

/// 2026-07-28, basic, "Error Codes".
pub(super) const HEADER_MISMATCH: i64 = -32020;
pub(super) const UNSUPPORTED_VERSION: i64 = -32022;

/// What JSON-RPC leaves to applications; the protocol wants no new ones in its own range. These are
/// the HTTP statuses that say the same.
pub(super) const DENIED: i64 = 403;
pub(super) const UNANSWERED: i64 = 502;
pub(super) const UNRECORDED: i64 = 503;

/// What a client is told that waits all the same.
pub(super) const TAKEN_BACK: &str = "the call was taken back";

/// An answer of the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The HTTP status.
    pub(super) status: u16,
    /// The JSON-RPC error's code.
    pub(super) code: i64,
    /// What happened, in words.
    pub(super) message: String,
    /// The error's data: names and texts.
    pub(super) data: Vec<(&'static str, Datum)>,
    /// What the credential would have to be good for.
    pub(super) challenge: Option<Challenge>,
    /// Given as the result of a tool that failed, which every client shows to its model.
    pub(super) as_tool: bool,
}

/// A member of an error's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Datum {
    Text(String),
    Texts(Vec<&'static str>),
}

/// A `WWW-Authenticate` of RFC 6750, section 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// There is no credential, or none that is good.
    Credential,
    /// It is good, and not for this.
    Scope(String),
}

/// From where the agent sees the gateway and the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The gateway's host and port, as the agent spelled them; nothing where they cannot be repeated.
    pub(super) host: Option<String>,
    /// The target's name, if the agent came by it.
    pub(super) target: Option<String>,
}

impl Reply {
    /// An error and no more.
    pub(super) fn error(status: u16, code: i64, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            data: Vec::new(),
            challenge: None,
            as_tool: false,
        }
    }

    /// What does not let a request be understood.
    pub(super) fn invalid(why: &str) -> Self {
        Self::error(
            400,
            INVALID_REQUEST,
            format!("the request is refused: {why}"),
        )
    }

    /// A header field that does not say what the body says.
    pub(super) fn mismatch(why: impl AsRef<str>) -> Self {
        Self::error(
            400,
            HEADER_MISMATCH,
            format!("Header mismatch: {}", why.as_ref()),
        )
    }

    /// A revision that is not spoken here.
    pub(super) fn unsupported(requested: &str) -> Self {
        let mut reply = Self::error(
            400,
            UNSUPPORTED_VERSION,
            "Unsupported protocol version; `data.supported` has those that this gateway speaks",
        );
        let supported = Revision::ALL.map(Revision::as_str).to_vec();
        reply.data.push(("supported", Datum::Texts(supported)));
        let requested = requested.chars().take(64).collect();
        reply.data.push(("requested", Datum::Text(requested)));
        reply
    }

    /// The same as the failed result of a tool.
    pub(super) fn into_result(mut self) -> Self {
        self.as_tool = true;
        self
    }

    /// A denial. `scope` is what it was about, where the run has no grant for it at all.
    pub(super) fn denied(denial: &Denial, scope: Option<&Resource>) -> Self {
        let message = match &*denial.remedy {
            "" => format!("Denied: {}", denial.reason),
            remedy => format!("Denied: {}. {remedy}", denial.reason),
        };
        let mut reply = Self::error(403, DENIED, message);
        reply
            .data
            .push(("reason", Datum::Text(denial.reason.clone())));
        reply
            .data
            .push(("remedy", Datum::Text(denial.remedy.clone())));
        reply.challenge = Some(Challenge::Scope(scope.map(scope_token).unwrap_or_default()));
        reply
    }

    /// A call that is not made for want of an approval.
    fn unapproved(denial: &Denial, approval: ApprovalId, scope: Option<&Resource>) -> Self {
        let mut reply = Self::denied(denial, scope);
        let approval = Datum::Text(approval.to_string());
        reply.data.push(("approval", approval));
        reply
    }

    /// A call that is not made, whatever the reason; nothing where it is.
    pub(super) fn not_made(decided: Answer, scope: Option<&Resource>) -> Option<Self> {
        Some(match decided {
            Answer::Allow(_) => return None,
            Answer::Deny(denial) => Self::denied(&denial, scope),
            Answer::Unapproved(denial, approval) => Self::unapproved(&denial, approval, scope),
            Answer::Withdrawn => Self::error(403, DENIED, TAKEN_BACK),
            Answer::Unrecorded(why) => Self::unrecorded(&why),
        })
    }

    /// A call that could not be recorded, and so was not sent.
    pub(super) fn unrecorded(why: &str) -> Self {
        Self::error(
            503,
            UNRECORDED,
            format!("the call could not be recorded, so it was not sent: {why}"),
        )
    }

    /// An answer of the server's that is not passed on.
    pub(super) fn unanswered(why: &str) -> Self {
        Self::error(
            502,
            UNANSWERED,
            format!("the server's answer is not passed on: {why}"),
        )
    }

    /// Why the gateway ends an exchange.
    pub(super) fn refused(refused: &Refused) -> Self {
        let status = match refused.why {
            Why::Agent => 400,
            Why::Busy => 429,
            Why::Credential | Why::Ended | Why::NotLive => 401,
            Why::Defect => 500,
            Why::OutOfScope | Why::Suspended => 403,
            Why::TargetLost | Why::TargetUnopened => 502,
            Why::Stopping | Why::Unrecorded => 503,
            Why::Unsupported => 501,
        };
        let message = match &*refused.hint {
            "" => refused.message.clone(),
            hint => format!("{}. {hint}", refused.message),
        };
        let mut reply = Self::error(status, i64::from(status), message);
        reply.challenge = match refused.why {
            Why::Credential | Why::Ended | Why::NotLive => Some(Challenge::Credential),
            Why::OutOfScope => Some(Challenge::Scope(String::new())),
            _ => None,
        };
        reply
    }

    /// The JSON-RPC message.
    pub(super) fn body(&self, id: Option<&Id>) -> Vec<u8> {
        let mut out = b"{\"jsonrpc\":\"2.0\"".to_vec();
        if let Some(id) = id {
            out.extend(b",\"id\":");
            id.put(&mut out);
        }
        if self.as_tool && id.is_some() {
            // Revisions before 2026-07-28 have no `resultType`, and ignore it.
            out.extend(b",\"result\":{\"resultType\":\"complete\",\"isError\":true,\"content\":[{\"type\":\"text\",\"text\":");
            put_text(&mut out, &self.message);
            out.extend(b"}]}}");
            return out;
        }
        out.extend(format!(",\"error\":{{\"code\":{},\"message\":", self.code).bytes());
        put_text(&mut out, &self.message);
        if !self.data.is_empty() {
            out.extend(b",\"data\":{");
            for (index, (name, datum)) in self.data.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_text(&mut out, name);
                out.push(b':');
                match datum {
                    Datum::Text(text) => put_text(&mut out, text),
                    Datum::Texts(texts) => {
                        out.push(b'[');
                        for (index, text) in texts.iter().enumerate() {
                            if index > 0 {
                                out.push(b',');
                            }
                            put_text(&mut out, text);
                        }
                        out.push(b']');
                    }
                }
            }
            out.push(b'}');
        }
        out.extend(b"}}");
        out
    }

    /// The whole response.
    pub(super) fn response(&self, id: Option<&Id>, place: &Place) -> Bytes {
        let as_tool = self.as_tool && id.is_some();
        let mut fields: Fields = vec![("content-type".into(), Bytes::from_static(JSON))];
        if let Some(challenge) = self.challenge.as_ref().filter(|_| !as_tool) {
            let value = challenge.value(place, &self.message);
            fields.push(("www-authenticate".into(), value.into()));
        }
        if self.status == 429 {
            fields.push(("retry-after".into(), Bytes::from_static(b"1")));
        }
        let mut out = BytesMut::new();
        let status = if as_tool { 200 } else { self.status };
        bhttp::put_response(&mut out, &Response { status, fields });
        bhttp::put_content(&mut out, &self.body(id));
        bhttp::put_end(&mut out, &[]);
        out.freeze()
    }
}

/// The media type of one message.
pub(super) const JSON: &[u8] = b"application/json";

/// The media type of a stream of messages.
pub(super) const EVENTS: &[u8] = b"text/event-stream";

impl Challenge {
    fn value(&self, place: &Place, description: &str) -> String {
        let mut value = String::from("Bearer");
        let mut put = |name: &str, text: &str| {
            let comma = if value.len() > "Bearer".len() {
                ","
            } else {
                ""
            };
            value.push_str(&format!("{comma} {name}=\"{text}\""));
        };
        if let Challenge::Scope(scope) = self {
            put("error", "insufficient_scope");
            if !scope.is_empty() {
                put("scope", scope);
            }
        }
        if let Place {
            host: Some(host),
            target: Some(target),
        } = place
        {
            // RFC 9728, section 5.1.
            put(
                "resource_metadata",
                &format!("http://{host}/.well-known/oauth-protected-resource/{target}"),
            );
        }
        if let Challenge::Scope(_) = self {
            put("error_description", &described(description));
        }
        value
    }
}

/// A text as RFC 6750, section 3, lets an `error_description` be.
fn described(text: &str) -> String {
    let plain = |char| match char {
        ' '..='!' | '#'..='[' | ']'..='~' => char,
        '"' => '\'',
        _ => '?',
    };
    text.chars().take(1_024).map(plain).collect()
}

/// What a grant for a resource is called where OAuth names what a credential is good for (RFC 6749, section
/// 3.3): `tools:add_comment`.
fn scope_token(resource: &Resource) -> String {
    let kind = match resource.kind {
        Kind::Feature => "features",
        Kind::Prompt => "prompts",
        Kind::Tool => "tools",
        Kind::Uri => "resources",
        _ => return String::new(),
    };
    let mut token = format!("{kind}:");
    for byte in resource.name.bytes().take(1_024) {
        match byte {
            b'!' | b'#'..=b'$' | b'&'..=b'[' | b']'..=b'~' => token.push(char::from(byte)),
            _ => token.push_str(&format!("%{byte:02X}")),
        }
    }
    token
}

/// A host that can stand in a URL that is given back to the agent.
pub(super) fn host(sent: &[u8]) -> Option<String> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(byte);
    let is_host = !sent.is_empty() && sent.len() <= 255 && sent.iter().all(plain);
    is_host.then(|| String::from_utf8_lossy(sent).into_owned())
}
