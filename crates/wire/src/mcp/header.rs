//! The header fields of a request: which the protocol reads, whether they say what the body says, and which
//! go on to the server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::alias::is_own_session;
use super::json::{Node, Value};
use super::method::Revision;
use super::reply::{EVENTS, JSON, Reply};
use super::tools::Tool;
use crate::http::bhttp::{self, Fields, Request};

pub(super) const VERSION: &str = "mcp-protocol-version";
pub(super) const SESSION: &str = "mcp-session-id";
pub(super) const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const PARAM: &str = "mcp-param-";

/// The only value of a field, as a text.
///
/// # Errors
/// If it stands there more than once, or has more than visible ASCII characters and spaces.
pub(super) fn one<'h>(head: &'h Request, name: &str) -> Result<Option<&'h str>, Reply> {
    let mut values = head.fields.iter().filter(|(key, _)| key == name);
    let Some((_, value)) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Reply::mismatch(format!("{name} stands there twice")));
    }
    match std::str::from_utf8(value) {
        Ok(text) if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Ok(Some(text.trim())),
        _ => Err(Reply::mismatch(format!(
            "{name} has characters that a field cannot have"
        ))),
    }
}

/// Whether the body is said to be JSON, in UTF-8.
pub(super) fn is_json(head: &Request) -> bool {
    let mut types = head
        .fields
        .iter()
        .filter(|(name, _)| name == "content-type");
    let (Some((_, value)), None) = (types.next(), types.next()) else {
        return false;
    };
    media_type(value).is_some_and(|(kind, plain)| kind == "application/json" && plain)
}

/// Whether the body is said to be in a coding, in which it is not read.
pub(super) fn is_coded(head: &Request) -> bool {
    let mut codings = { head.fields.iter() }.filter(|(name, _)| name == "content-encoding");
    codings.any(|(_, coding)| !coding.eq_ignore_ascii_case(b"identity"))
}

/// A media type in lower case, and whether its text is in UTF-8.
pub(super) fn media_type(value: &[u8]) -> Option<(String, bool)> {
    let value = std::str::from_utf8(value).ok()?.to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next()?.to_owned();
    let is_plain = parts.all(|parameter| match parameter.split_once('=') {
        Some(("charset", charset)) => matches!(charset.trim_matches('"'), "utf-8" | "us-ascii"),
        _ => true,
    });
    Some((kind, is_plain))
}

/// Checks that the header fields say what the body says (2026-07-28, basic/transports/streamable-http,
/// "Server Validation"). Revisions that do not ask for them may leave them out; where they stand, they have to
/// be right.
///
/// # Errors
/// If one is missing, or says something else.
pub(super) fn agree(
    head: &Request,
    revision: Revision,
    method: &str,
    name: Option<&str>,
) -> Result<(), Reply> {
    let must = revision.is_stateless();
    match one(head, METHOD)? {
        Some(sent) if sent == method => {}
        Some(_) => return Err(Reply::mismatch("Mcp-Method is not the body's method")),
        None if must => return Err(Reply::mismatch("Mcp-Method is missing")),
        None => {}
    }
    match (one(head, NAME)?, name) {
        (Some(sent), Some(name)) if decoded(sent).as_deref() == Some(name) => Ok(()),
        (Some(_), _) => Err(Reply::mismatch(
            "Mcp-Name is not what the body's params name",
        )),
        (None, Some(_)) if must => Err(Reply::mismatch("Mcp-Name is missing")),
        (None, _) => Ok(()),
    }
}

/// Whether a field repeats an argument, as for calls of tools alone there are some.
pub(super) fn repeats_arguments(head: &Request) -> bool {
    head.fields.iter().any(|(name, _)| name.starts_with(PARAM))
}

/// Where a stream is to go on.
pub(super) const LAST_EVENT: &str = "last-event-id";

/// Checks that the header fields repeat the arguments that the tool's definition has them repeat, and none
/// else.
///
/// # Errors
/// If they do not.
pub(super) fn agree_with_arguments(
    head: &Request,
    revision: Revision,
    tool: &Tool,
    arguments: Option<&Node<'_>>,
) -> Result<(), Reply> {
    let sent = head.fields.iter().map(|(name, _)| name.as_str());
    for name in sent.filter(|name| name.starts_with(PARAM)) {
        if !tool.mirrored.contains_key(name) {
            return Err(Reply::mismatch(format!(
                "the tool's definition has no {name}"
            )));
        }
    }
    for (name, path) in &tool.mirrored {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let argument = arguments
            .and_then(|arguments| arguments.path(&path))
            .filter(|argument| !matches!(argument.value, Value::Null));
        let fits = match (one(head, name)?, argument) {
            (None, None) => true,
            (None, Some(_)) => !revision.is_stateless(),
            (Some(_), None) => false,
            (Some(sent), Some(argument)) => decoded(sent).is_some_and(|sent| says(&sent, argument)),
        };
        if !fits {
            return Err(Reply::mismatch(format!(
                "{name} is not the body's argument"
            )));
        }
    }
    Ok(())
}

fn says(sent: &str, argument: &Node<'_>) -> bool {
    match &argument.value {
        Value::Text(text) => text == sent,
        Value::Bool(is) => sent == if *is { "true" } else { "false" },
        Value::Number(written) => sent == *written,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// A value that is perhaps encoded, as `=?base64?…?=`.
fn decoded(sent: &str) -> Option<String> {
    let encoded = sent
        .strip_prefix("=?base64?")
        .and_then(|rest| rest.strip_suffix("?="));
    match encoded {
        None => Some(sent.to_owned()),
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
    }
}

/// Fields that go on as they came, beside those of the protocol itself. A closed list: what is not in it
/// could steer the server without being on record.
const PASSED: [&str; 3] = ["traceparent", "tracestate", "user-agent"];

/// The fields of the request to the server.
pub(super) fn onwards(head: &Request) -> Fields {
    let accept: &[u8] = match &*head.method {
        "POST" => b"application/json, text/event-stream",
        "GET" => EVENTS,
        _ => JSON,
    };
    let mut fields: Fields = vec![("accept".into(), Bytes::copy_from_slice(accept))];
    if head.method == "POST" {
        fields.push(("content-type".into(), Bytes::from_static(JSON)));
    }
    let is_ours = |name: &str| {
        matches!(name, VERSION | SESSION | METHOD | NAME)
            || name.starts_with(PARAM)
            || PASSED.contains(&name)
            || (name == LAST_EVENT && head.method == "GET")
    };
    let sent = head
        .fields
        .iter()
        .filter(|(name, value)| is_ours(name) && !(name == SESSION && is_own_session(value)));
    fields.extend(sent.cloned());
    fields
}

/// The request's session, if it names one.
///
/// # Errors
/// If it names it in a way that no session has.
pub(super) fn session(head: &Request) -> Result<Option<&str>, Reply> {
    one(head, SESSION)
}

/// The value of a field of a response, where it can be a session's id.
pub(super) fn begun_session(fields: &[(String, Bytes)]) -> Option<String> {
    let value = bhttp::field(fields, SESSION)?;
    let is_id = !value.is_empty()
        && value.len() <= crate::limits::MCP_SESSION_BYTES_MAX
        && !is_own_session(value)
        && value.iter().all(u8::is_ascii_graphic);
    is_id.then(|| String::from_utf8_lossy(value).into_owned())
}
