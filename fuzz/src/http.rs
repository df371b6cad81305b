//! Exchanges of HTTP: what goes to a target is one request, and the one that was decided; what is masked
//! does not come back.

use bailiwick_action::Held;
use bailiwick_wire::http::PROTOCOL;
use bailiwick_wire::http::bhttp::{
    self, Part, Reader, Request, Response, WEBSOCKET, put_content, put_end, put_response,
};
use bytes::{Bytes, BytesMut};

use crate::exchange::{Drive, secret};
use crate::input::Input;
use crate::message::holds;
use crate::sql::CANARY;

/// What the target's paths begin with.
const BASE: &str = "/api/v2";

const METHODS: &[&str] = &[
    "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", WEBSOCKET, "TRACE", "",
];

const FIELDS: &[(&str, &str)] = &[
    ("content-type", "application/json"),
    ("content-type", "text/plain"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "multipart/form-data; boundary=x"),
    ("content-type", "application/octet-stream"),
    ("content-encoding", "gzip"),
    ("cookie", "a=b"),
    ("x-http-method-override", "DELETE"),
    ("x-request-id", "1"),
    ("range", "bytes=0-1"),
];

const TYPES: &[&str] = &[
    "application/json",
    "application/problem+json; charset=utf-8",
    "application/x-ndjson",
    "text/plain",
    "text/html; charset=utf-16",
    "text/event-stream",
    "image/png",
    "",
];

/// Puts an exchange to a session.
pub fn http(input: &[u8]) {
    let mut input = Input::new(input);
    let method = input.pick(METHODS);
    let mut drive = Drive::new(&PROTOCOL, None, BASE, is_what_was_decided);
    drive.head(&head(method, &mut input));
    if !drive.connect() {
        return;
    }
    let length = input.below(64);
    let body = input.bytes(length).to_vec();
    let mut bytes = BytesMut::new();
    put_content(&mut bytes, &body);
    if method != WEBSOCKET || input.one_in(2) {
        put_end(&mut bytes, &[]);
    }
    let cut = 1 + input.below(16);
    for piece in bytes.chunks(cut) {
        drive.agent(piece);
    }
    drive.decide(&mut input);
    let (answer, as_made) = answer(method, &mut input);
    let cut = 1 + input.below(64);
    for piece in answer.chunks(cut) {
        drive.target(piece);
        drive.decide(&mut input);
    }
    let told = drive.end();
    if as_made {
        assert!(!holds(&told, CANARY.as_bytes()), "a masked value got out");
        let found = holds(&told, b"jane.doe@example.org");
        assert!(!found, "what a detector finds got out");
    }
}

fn head(method: &str, input: &mut Input<'_>) -> Request {
    let bearer = format!("Bearer {}", secret().reveal());
    let mut fields = vec![("authorization".to_owned(), Bytes::from(bearer))];
    for _ in 0..input.below(3) {
        let (name, value) = input.pick(FIELDS);
        fields.push((name.to_owned(), Bytes::from_static(value.as_bytes())));
    }
    let proxied = input.one_in(8);
    let path = String::from_utf8_lossy(input.until(0)).into_owned();
    Request {
        method: method.to_owned(),
        scheme: if proxied { "http" } else { "" }.to_owned(),
        authority: if proxied { "crm.internal" } else { "" }.to_owned(),
        path: if proxied {
            format!("{BASE}/{path}")
        } else {
            format!("/crm/{path}")
        },
        fields,
    }
}

/// An answer with the masked value in it, and whether it is as it was made: where a byte of it was changed,
/// what is masked may stand anywhere.
fn answer(method: &str, input: &mut Input<'_>) -> (BytesMut, bool) {
    let mut bytes = BytesMut::new();
    let status = input.pick(&[200, 201, 204, 302, 404, 500, 101, 103]);
    let mut fields = Vec::new();
    let kind = input.pick(TYPES);
    if !kind.is_empty() {
        fields.push((
            "content-type".to_owned(),
            Bytes::from_static(kind.as_bytes()),
        ));
    }
    fields.push((
        "set-cookie".to_owned(),
        Bytes::from_static(CANARY.as_bytes()),
    ));
    put_response(&mut bytes, &Response { status, fields });
    let filler = input.until(0);
    // It holds neither what is masked nor a quote.
    let filler: String = String::from_utf8_lossy(filler)
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() && *c != 'y' || " ,:".contains(*c))
        .collect();
    let name = input.pick(&["email", "\\u0065mail", "em\\u0061il"]);
    let value = input.pick(&["\"V\"", "[\"V\"]", "{\"x\": \"V\"}"]);
    let value = value.replace('V', CANARY);
    let json = format!("{{\"a\": \"{filler}\", \"b\": [{{\"{name}\": {value}}}]}}");
    let content = if kind.contains("json") {
        json
    } else {
        format!("{filler} jane.doe@example.org {filler}\n\n")
    };
    if method == WEBSOCKET && status == 101 {
        let opcode = input.pick(&[1, 2, 9]);
        let content = if kind.contains("json") {
            content
        } else {
            filler
        };
        put_content(&mut bytes, &[&[opcode], content.as_bytes()].concat());
    } else {
        let cut = 1 + input.below(32);
        for piece in content.as_bytes().chunks(cut) {
            put_content(&mut bytes, piece);
        }
    }
    put_end(&mut bytes, &[]);
    let changed = input.one_in(4);
    if changed {
        let at = input.below(bytes.len());
        bytes[at] = input.byte();
    }
    (bytes, !changed)
}

/// What would go to the target is the one request that was decided, or a message of its WebSocket.
fn is_what_was_decided(held: &Held) {
    let [action] = &held.call.actions[..] else {
        panic!("a request is one action: {held:?}");
    };
    let (method, path) = action.resource.method_and_path().expect("a request");
    let mut reader = Reader::default();
    if held.call.verb == "MESSAGE" {
        // It stands behind a head.
        let mut head = BytesMut::new();
        put_response(&mut head, &Response::default());
        reader.push(&head);
    }
    reader.push(&held.bytes);
    let mut parts = Vec::new();
    while let Some(part) = reader.next().expect("what goes to the target is HTTP") {
        parts.push(part);
    }
    assert_eq!(reader.waiting(), 0, "more than its parts");
    match &parts[..] {
        [Part::Request(sent), rest @ ..] => {
            let at_target = sent.path.split('?').next();
            assert_eq!(
                (&*sent.method, at_target),
                (method, Some(&*format!("{BASE}{path}")))
            );
            assert!(sent.scheme.is_empty() && sent.authority.is_empty());
            let credential = bhttp::field(&sent.fields, "authorization");
            assert!(credential.is_none(), "the run's secret leaves the gateway");
            assert!(bhttp::field(&sent.fields, "cookie").is_none());
            let heads = rest.iter().any(|part| matches!(part, Part::Request(_)));
            assert!(!heads, "two requests");
            let ends = rest
                .iter()
                .filter(|part| matches!(part, Part::End(_)))
                .count();
            assert_eq!(ends, usize::from(method != WEBSOCKET), "where it ends");
        }
        [Part::Response(_), Part::Content(_)] => assert_eq!(method, WEBSOCKET),
        parts => panic!("neither a request nor a message: {parts:?}"),
    }
    let plain = path
        .split('/')
        .skip(1)
        .all(|segment| !matches!(segment, "." | ".."));
    assert!(
        plain && !path.contains("%2F") && !path.contains("%2E"),
        "{path}"
    );
}
