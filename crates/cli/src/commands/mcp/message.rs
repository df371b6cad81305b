//! What a message of the client's is, as far as its way through HTTP depends on it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::gateway::PROTOCOL_VERSION;

/// The member of `_meta` that says which revision a request is of, in revisions without sessions.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// A message of the client's.
pub(super) enum Message {
    /// It wants an answer.
    Request(Request),
    /// It is told that a request is given up.
    Cancelled(Value, Envelope),
    /// A notification, a response, or something that the gateway will refuse.
    Other(Envelope),
}

/// A request of the client's.
pub(super) struct Request {
    pub(super) id: Value,
    pub(super) method: String,
    pub(super) envelope: Envelope,
}

/// What the header of a message's HTTP request says again.
#[derive(Default)]
pub(super) struct Envelope {
    /// The revision that the message itself names.
    pub(super) version: Option<String>,
    method: Option<String>,
    name: Option<String>,
    /// Of a tool call.
    arguments: Option<Value>,
}

impl Message {
    pub(super) fn read(line: &[u8]) -> Self {
        let Ok(Value::Object(mut message)) = serde_json::from_slice(line) else {
            return Self::Other(Envelope::default());
        };
        let method = message
            .get("method")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let params = message
            .get_mut("params")
            .map(Value::take)
            .unwrap_or_default();
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let envelope = Envelope {
            version: text(params.get("_meta").and_then(|meta| meta.get(VERSION))),
            name: match method.as_deref() {
                Some("tools/call" | "prompts/get") => text(params.get("name")),
                Some("resources/read") => text(params.get("uri")),
                _ => None,
            },
            arguments: match method.as_deref() {
                Some("tools/call") => params.get("arguments").cloned(),
                _ => None,
            },
            method: method.clone(),
        };
        match (method, message.remove("id")) {
            (Some(method), Some(id)) => Self::Request(Request {
                id,
                method,
                envelope,
            }),
            (Some(method), None) if method == "notifications/cancelled" => {
                let of = params.get("requestId").cloned().unwrap_or_default();
                Self::Cancelled(of, envelope)
            }
            _ => Self::Other(envelope),
        }
    }
}

impl Envelope {
    /// The header fields. `agreed` is the revision that the two sides have agreed on, if they have;
    /// `mirrored` the arguments that the tool wants repeated: by the name of the field, the path of each.
    pub(super) fn fields(
        &self,
        agreed: Option<&str>,
        mirrored: &[(String, Vec<String>)],
    ) -> Vec<(HeaderName, HeaderValue)> {
        let mut fields = Vec::new();
        let mut field = |name: &str, value: &str| {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, encoded(value).parse()) {
                fields.push((name, value));
            }
        };
        let Some(version) = &self.version else {
            if let Some(agreed) = agreed {
                field(PROTOCOL_VERSION.as_str(), agreed);
            }
            return fields;
        };
        field(PROTOCOL_VERSION.as_str(), version);
        if let Some(method) = &self.method {
            field("mcp-method", method);
        }
        if let Some(name) = &self.name {
            field("mcp-name", name);
        }
        for (name, path) in mirrored {
            let steps = path.iter();
            let argument = steps.fold(self.arguments.as_ref(), |value, step| value?.get(step));
            let text = match argument {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Bool(flag)) => flag.to_string(),
                Some(Value::Number(number)) => number.to_string(),
                _ => continue,
            };
            field(&format!("mcp-param-{name}"), &text);
        }
        fields
    }

    /// The tool that it calls.
    pub(super) fn tool(&self) -> Option<&str> {
        self.name.as_deref().filter(|_| self.arguments.is_some())
    }
}

/// As a header field can carry it (2026-07-28, basic/transports/streamable-http, "Value Encoding").
fn encoded(value: &str) -> String {
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && value.trim() == value
        && !value.starts_with("=?base64?");
    match plain {
        true => value.to_owned(),
        false => format!("=?base64?{}?=", BASE64_STANDARD.encode(value)),
    }
}

/// The error that answers a request which no answer came to.
pub(super) fn error(id: &Value, message: &str) -> Value {
    // "Server error" of JSON-RPC 2.0, section 5.1: what went wrong is not the message's fault.
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32000, "message": message } })
}

/// The error in the body of an HTTP response that is none: the gateway's own words, or a problem report of
/// something else (RFC 9457).
pub(super) fn refusal(id: &Value, status: u16, body: &[u8]) -> Value {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if body.get("error").is_some_and(Value::is_object) {
        let mut answer = body;
        // It may not know which request it is about.
        if let Some(object) = answer.as_object_mut() {
            object.insert("id".to_owned(), id.clone());
        }
        return answer;
    }
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    match text("detail").or_else(|| text("title")) {
        Some(why) => error(id, why),
        None => error(id, &format!("the gateway answered with status {status}")),
    }
}

/// Where a tool's schema says which arguments are repeated in header fields (2026-07-28,
/// basic/transports/streamable-http, "Custom Headers from Tool Parameters").
pub(super) fn mirrored(schema: &Value) -> Vec<(String, Vec<String>)> {
    fn walk(schema: &Value, path: &mut Vec<String>, found: &mut Vec<(String, Vec<String>)>) {
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            path.push(name.clone());
            if let Some(header) = property.get("x-mcp-header").and_then(Value::as_str) {
                found.push((header.to_owned(), path.clone()));
            }
            walk(property, path, found);
            path.pop();
        }
    }
    let mut found = Vec::new();
    walk(schema, &mut Vec::new(), &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str, agreed: Option<&str>, mirrored: &[(String, Vec<String>)]) -> Vec<String> {
        let message = Message::read(line.as_bytes());
        let envelope = match message {
            Message::Request(request) => request.envelope,
            Message::Cancelled(_, envelope) | Message::Other(envelope) => envelope,
        };
        let fields = envelope.fields(agreed, mirrored).into_iter();
        fields
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect()
    }

    #[test]
    fn the_header_says_what_the_message_says() {
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"look up",
            "arguments":{"region":"Köln","deep":{"n":3,"on":true},"none":null},
            "_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let schema = serde_json::json!({"properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "none": {"type": "string", "x-mcp-header": "None"},
            "gone": {"type": "string", "x-mcp-header": "Gone"},
            "deep": {"properties": {"n": {"x-mcp-header": "N"}, "on": {"x-mcp-header": "On"}}}}});
        let mut sent = fields(call, Some("2025-06-18"), &mirrored(&schema));
        sent.sort();
        assert_eq!(
            sent,
            [
                "mcp-method: tools/call",
                "mcp-name: look up",
                "mcp-param-n: 3",
                "mcp-param-on: true",
                "mcp-param-region: =?base64?S8O2bG4=?=",
                "mcp-protocol-version: 2026-07-28",
            ]
        );
        let read = call
            .replace("tools/call", "resources/read")
            .replace("\"name\":", "\"uri\":");
        assert!(fields(&read, None, &[]).contains(&"mcp-name: look up".to_owned()));
    }

    #[test]
    fn in_revisions_with_sessions_it_says_the_agreed_one() {
        let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        assert_eq!(
            fields(list, Some("2025-06-18"), &[]),
            ["mcp-protocol-version: 2025-06-18"]
        );
        assert!(fields(list, None, &[]).is_empty());
        for odd in ["", "[]", "{", "1", r#"{"id":1,"result":{}}"#] {
            assert!(
                matches!(Message::read(odd.as_bytes()), Message::Other(_)),
                "{odd}"
            );
        }
    }

    #[test]
    fn nothing_gets_into_the_header_that_is_not_one_value() {
        for (text, value) in [
            ("plain", "plain"),
            ("a\r\nx: y", "=?base64?YQ0KeDogeQ==?="),
            (" led", "=?base64?IGxlZA==?="),
            ("=?base64?eA==?=", "=?base64?PT9iYXNlNjQ/ZUE9PT89?="),
        ] {
            assert_eq!(encoded(text), value);
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_gateways_words() {
        let id = serde_json::json!("a");
        let own = br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32003,"message":"outside"}}"#;
        let told = refusal(&id, 403, own);
        assert_eq!(
            (&told["id"], &told["error"]["message"]),
            (&id, &"outside".into())
        );
        let problem = br#"{"title":"Forbidden","detail":"it is outside the scope"}"#;
        assert_eq!(
            refusal(&id, 403, problem)["error"]["message"],
            "it is outside the scope"
        );
        let told = refusal(&id, 502, b"<html>");
        assert_eq!(
            told["error"]["message"],
            "the gateway answered with status 502"
        );
    }
}
