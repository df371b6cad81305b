//! Messages of MCP, in both directions: what goes to a server is what was decided, as another reader of JSON
//! reads it; and what is masked does not come back, whatever the server wraps it in.

use bailiwick_action::{Fact, Held, Kind};
use bailiwick_wire::http::bhttp::{
    self, Part, Reader, Request, Response, put_content, put_end, put_response,
};
use bailiwick_wire::{Knowledge, PROTOCOLS, Protocol};
use bytes::{Bytes, BytesMut};
use serde_json::Value;

use crate::exchange::{Drive, secret};
use crate::input::Input;
use crate::message::holds;
use crate::sql::CANARY;
use crate::veil::visibility;

const STATELESS: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";

/// By what the server knows the request of a [`Drive`].
const ALIAS: &str = "bw-0303030303030303";

const REQUESTS: &[(&str, &str)] = &[
    (
        "tools/call",
        r#""name":"add_comment","arguments":{"visibility":"internal"}"#,
    ),
    ("tools/call", r#""name":"add_comment""#),
    ("tools/list", ""),
    ("resources/read", r#""uri":"ticket://5""#),
    ("resources/subscribe", r#""uri":"ticket://5""#),
    ("prompts/get", r#""name":"triage","arguments":{}"#),
    (
        "completion/complete",
        r#""ref":{"type":"ref/prompt","name":"triage"},"argument":{"name":"a","value":"b"}"#,
    ),
    (
        "initialize",
        r#""protocolVersion":"2025-11-25","capabilities":{"roots":{}},"clientInfo":{}"#,
    ),
    (
        "subscriptions/listen",
        r#""notifications":{"resourceSubscriptions":["ticket://5"]}"#,
    ),
    ("notifications/cancelled", r#""requestId":1"#),
    ("ping", ""),
    ("server/discover", ""),
];

const FIELDS: &[(&str, &str)] = &[
    ("mcp-session-id", "s-1"),
    ("mcp-session-id", "bw-1"),
    ("last-event-id", "7"),
    ("mcp-param-tenant", "a"),
    ("cookie", "a=b"),
    ("mcp-method", "tools/list"),
    ("traceparent", "00-1-2-01"),
    ("origin", "http://evil"),
];

fn protocol() -> &'static Protocol {
    let mut protocols = PROTOCOLS.into_iter();
    protocols
        .find(|protocol| protocol.name == "mcp")
        .expect("MCP")
}

fn shared() -> Option<Knowledge> {
    protocol().shared.map(|shared| shared())
}

/// Puts a message of an agent to a session.
pub fn mcp_requests(input: &[u8]) {
    let mut input = Input::new(input);
    let mut drive = drive(shared());
    let version = input.pick(&[STATELESS, LEGACY, "2025-06-18", "1"]);
    let (method, params) = input.pick(REQUESTS);
    let http = input.pick(&["POST", "POST", "POST", "POST", "GET", "DELETE"]);
    let mut body = match http {
        "POST" => message(method, params, version, &mut input),
        _ => Vec::new(),
    };
    if input.one_in(8) {
        body = input.until(0).to_vec();
    }
    let mut fields = fields(version, method, &body);
    for _ in 0..input.below(3) {
        fields.push(input.pick(FIELDS));
    }
    if !begin(&mut drive, http, &fields) {
        return;
    }
    content(&mut drive, &body, &mut input);
    drive.decide(&mut input);
    // The gateway looks at the tools first.
    if looks(&drive.sent) {
        let tools = format!(
            r#"{{"jsonrpc":"2.0","id":"{ALIAS}-tools-0","result":{{"tools":[{{"name":"add_comment","inputSchema":{{}}}}]}}}}"#
        );
        drive.target(&response(200, "application/json", tools.as_bytes()));
        drive.decide(&mut input);
    }
    drive.end();
}

/// A message, with what an agent may add to it wherever it likes.
fn message(method: &str, params: &str, version: &str, input: &mut Input<'_>) -> Vec<u8> {
    let meta = match version {
        STATELESS => format!(
            r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientCapabilities":{{}}}}"#
        ),
        _ => r#""_meta":{"progressToken":1}"#.to_owned(),
    };
    let comma = if params.is_empty() { "" } else { "," };
    let id = if method.starts_with("notifications/") {
        ""
    } else {
        r#""id":1,"#
    };
    let mut text = format!(
        r#"{{"jsonrpc":"2.0",{id}"method":"{method}","params":{{{params}{comma}{meta}}}}}"#
    )
    .into_bytes();
    for _ in 0..input.below(4) {
        let at = input.below(256).min(text.len());
        let more = input.until(0);
        match input.one_in(2) {
            true => drop(text.splice(at..at, more.iter().copied())),
            false => {
                let end = (at + more.len()).min(text.len());
                text.splice(at..end, more.iter().copied());
            }
        }
    }
    text
}

/// The fields that go with a message as it is read by others.
fn fields<'f>(version: &'f str, method: &'f str, body: &[u8]) -> Vec<(&'f str, &'f str)> {
    let mut fields = vec![
        ("content-type", "application/json"),
        ("mcp-protocol-version", version),
    ];
    if version == STATELESS {
        fields.push(("mcp-method", method));
        let named: Value = serde_json::from_slice(body).unwrap_or_default();
        let named = ["/params/name", "/params/uri"]
            .into_iter()
            .find_map(|at| named.pointer(at)?.as_str());
        let known = ["add_comment", "triage", "ticket://5"];
        fields.extend(
            known
                .into_iter()
                .find(|known| named == Some(known))
                .map(|name| ("mcp-name", name)),
        );
    }
    fields
}

/// Puts a server's answer to a session.
pub fn mcp_answers(input: &[u8]) {
    let mut input = Input::new(input);
    let knowledge = shared();
    let mut drive = drive(knowledge);
    let version = input.pick(&[STATELESS, LEGACY]);
    let (method, params) = input.pick(&[
        ("resources/read", r#""uri":"ticket://5""#),
        ("prompts/get", r#""name":"triage","arguments":{}"#),
        ("tools/list", ""),
        (
            "completion/complete",
            r#""ref":{"type":"ref/prompt","name":"triage"},"argument":{"name":"a","value":"b"}"#,
        ),
        (
            "initialize",
            r#""protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{}"#,
        ),
    ]);
    let body = message(method, params, version, &mut Input::new(&[]));
    if !begin(&mut drive, "POST", &fields(version, method, &body)) {
        return;
    }
    content(&mut drive, &body, &mut Input::new(&[]));
    drive.decide(&mut Input::new(&[]));
    let (answer, as_made) = answer(&mut input);
    let cut = 1 + input.below(64);
    for piece in answer.chunks(cut) {
        drive.target(piece);
        drive.decide(&mut input);
    }
    let told = drive.end();
    if as_made {
        let shown = String::from_utf8_lossy(&told).into_owned();
        assert!(
            !holds(&told, CANARY.as_bytes()),
            "a masked value got out: {shown}"
        );
        let found = holds(&told, b"jane.doe@example.org");
        assert!(!found, "what a detector finds got out: {shown}");
    }
}

/// An answer with the masked value in it, and whether it is as it was made.
fn answer(input: &mut Input<'_>) -> (BytesMut, bool) {
    let status = input.pick(&[200, 200, 200, 202, 400, 404, 500]);
    let kind = input.pick(&["application/json", "text/event-stream", "text/plain"]);
    let filler = String::from_utf8_lossy(input.until(0)).into_owned();
    // It holds neither what is masked nor a quote.
    let filler: String = filler
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() && *c != 'y' || " ,:.".contains(*c))
        .collect();
    let name = input.pick(&["email", "\\u0065mail", "em\\u0061il"]);
    let own = format!(r#"{{"{name}":"{CANARY}","note":"{filler}"}}"#);
    let quoted = serde_json::to_string(&own).expect("a text");
    let told = format!(r#""{filler} jane.doe@example.org {filler}""#);
    let place = input.pick(&[
        r#""structuredContent":OWN,"content":[{"type":"text","text":QUOTED}]"#,
        r#""contents":[{"uri":"ticket://5","text":QUOTED}]"#,
        r#""content":[{"type":"text","text":TOLD},{"type":"resource","resource":{"uri":"a:b","text":QUOTED}}]"#,
        r#""structuredContent":{"a":[OWN]},"content":[{"type":"text","text":"of VALUE"}]"#,
        r#""_meta":{"x/y":TOLD},"tools":[{"name":"add_comment","description":TOLD,"inputSchema":{}}]"#,
        r#""messages":[{"role":"user","content":{"type":"text","text":TOLD}}]"#,
        r#""completion":{"values":[TOLD]}"#,
        r#""protocolVersion":"2025-11-25","capabilities":{},"instructions":TOLD"#,
        r#""resultType":"input_required","requestState":TOLD,"inputRequests":{"a":{"method":"roots/list"}}"#,
        r#""content":[{"type":"image","mimeType":"a/b","data":TOLD}]"#,
    ]);
    let inside = place
        .replace("OWN", &own)
        .replace("QUOTED", &quoted)
        .replace("TOLD", &told)
        .replace("VALUE", CANARY);
    let id = input.pick(&[ALIAS, ALIAS, ALIAS, "bw-0404040404040404", "1"]);
    let result = format!(r#"{{"jsonrpc":"2.0","id":"{id}","result":{{{inside}}}}}"#);
    let error = format!(
        r#"{{"jsonrpc":"2.0","id":"{id}","error":{{"code":-1,"message":{told},"data":{own}}}}}"#
    );
    let notice = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"data":{own},"logger":{told}}}}}"#
    );
    let progress = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"{id}","progress":1,"message":{told}}}}}"#
    );
    let asked = format!(
        r#"{{"jsonrpc":"2.0","id":9,"method":"elicitation/create","params":{{"message":{told}}}}}"#
    );
    let mut content = Vec::new();
    if kind == "text/event-stream" {
        for _ in 0..=input.below(3) {
            let said = input.pick(&[&result, &error, &notice, &progress, &asked]);
            let event = format!("event: message\r\nid: 7\r\ndata: {said}\n\n");
            content.extend(event.into_bytes());
        }
    } else {
        content.extend(input.pick(&[&result, &error, &notice]).bytes());
    }
    let changed = input.one_in(4);
    if changed {
        let at = input.below(256).min(content.len() - 1);
        content[at] = input.byte();
    }
    let bytes = response(status, kind, &content);
    (bytes, !changed)
}

fn drive(knowledge: Option<Knowledge>) -> Drive {
    Drive::new(protocol(), knowledge, "/mcp", is_what_was_decided).owning(looks)
}

/// Whether it is the gateway's own look at the tools.
fn looks(bytes: &[u8]) -> bool {
    let own = format!(r#""id":"{ALIAS}-tools-0","method":"tools/list""#);
    holds(bytes, own.as_bytes())
}

fn begin(drive: &mut Drive, method: &str, fields: &[(&str, &str)]) -> bool {
    let bearer = format!("Bearer {}", secret().reveal());
    let mut head = vec![("authorization".to_owned(), Bytes::from(bearer))];
    for (name, value) in fields {
        head.push(((*name).to_owned(), Bytes::from((*value).to_owned())));
    }
    drive.head(&Request {
        method: method.to_owned(),
        scheme: String::new(),
        authority: String::new(),
        path: "/helpdesk".to_owned(),
        fields: head,
    });
    drive.connect()
}

fn content(drive: &mut Drive, body: &[u8], input: &mut Input<'_>) {
    let mut bytes = BytesMut::new();
    put_content(&mut bytes, body);
    put_end(&mut bytes, &[]);
    let cut = 1 + input.below(32);
    for piece in bytes.chunks(cut) {
        drive.agent(piece);
    }
}

fn response(status: u16, kind: &str, content: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    let fields = vec![("content-type".to_owned(), Bytes::from(kind.to_owned()))];
    put_response(&mut bytes, &Response { status, fields });
    for piece in content.chunks(32) {
        put_content(&mut bytes, piece);
    }
    put_end(&mut bytes, &[]);
    bytes
}

/// What would go to the server is the one message that was decided, as another reader reads it.
fn is_what_was_decided(held: &Held) {
    if held.bytes.is_empty() {
        return;
    }
    let mut reader = Reader::default();
    reader.push(&held.bytes);
    let (mut heads, mut body) = (0, Vec::new());
    while let Some(part) = reader.next().expect("what goes to the server is HTTP") {
        match part {
            Part::Request(head) => {
                heads += 1;
                assert_eq!(head.path, "/mcp");
                for name in ["authorization", "cookie", "origin"] {
                    assert!(bhttp::field(&head.fields, name).is_none(), "{name}");
                }
            }
            Part::Content(bytes) => body.extend_from_slice(&bytes),
            Part::End(_) => {}
            Part::Response(_) => panic!("a response to the server"),
        }
    }
    assert_eq!((heads, reader.waiting()), (1, 0), "one request");
    if body.is_empty() {
        return;
    }
    let message: Value = serde_json::from_slice(&body).expect("what goes to the server is JSON");
    if held.call.verb != "response" {
        assert_eq!(message["method"], *held.call.verb);
        let id = message.get("id");
        assert!(id.is_none_or(|id| id == ALIAS), "{id:?}");
    }
    for action in &held.call.actions {
        let name = action.resource.name.as_str();
        let places: &[&str] = match action.resource.kind {
            Kind::Tool => &["/params/name"],
            Kind::Prompt => &["/params/name", "/params/ref/name"],
            Kind::Uri => &["/params/uri", "/params/ref/uri"],
            _ => continue,
        };
        let listed = message.pointer("/params/notifications/resourceSubscriptions");
        let listed = listed.and_then(Value::as_array).into_iter().flatten();
        let named = places.iter().filter_map(|place| message.pointer(place));
        assert!(named.chain(listed).any(|named| named == name), "{name}");
        if action.resource.kind == Kind::Tool {
            let argument = message.pointer("/params/arguments/visibility");
            let facts = action.facts.get(&visibility()).map(Vec::as_slice);
            let facts = facts.expect("the place was looked at");
            match argument.map(Value::as_str) {
                None => assert!(facts.iter().all(|fact| *fact == Fact::Other), "{facts:?}"),
                Some(Some(text)) if text.len() <= Fact::TEXT_BYTES_MAX => {
                    assert!(facts.contains(&Fact::Text(text.to_owned())), "{facts:?}");
                }
                Some(_) => assert!(
                    facts.iter().any(|fact| !matches!(fact, Fact::Text(_))),
                    "{facts:?}"
                ),
            }
        }
    }
}
