use bailiwick_action::{Class, Fact};

use super::*;

const JSON: (&str, &str) = ("content-type", "application/json");

fn resource(did: &Did) -> Option<String> {
    let actions = &did.held().call.actions;
    actions.first().map(|action| action.resource.to_string())
}

#[test]
fn what_is_decided_is_what_is_sent() {
    let head = request(
        "POST",
        "/crm/tickets/%35/comments?notify=true;x=1&flag",
        &[
            JSON,
            ("cookie", "session=1"),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-request-id", "7"),
        ],
    );
    let (_, did) = asked(&head, br#"{"visibility": "public", "text": "hello"}"#);
    let call = &did.held().call;
    assert_eq!((call.protocol, &*call.verb), ("http", "POST"));
    assert_eq!(call.refusal, None);
    let [action] = &call.actions[..] else {
        panic!("{call:?}");
    };
    assert_eq!(action.class, Class::Write);
    assert_eq!(action.resource.name, "POST /tickets/5/comments");
    let facts: Vec<_> = action.facts.values().flatten().cloned().collect();
    let expected = [Fact::Text("true;x=1".into()), Fact::Text("public".into())];
    assert_eq!(facts, expected);
    let (sent, body) = did.sent();
    assert_eq!(
        sent.path,
        "/api/v2/tickets/5/comments?notify=true%3Bx%3D1&flag"
    );
    assert_eq!((&*sent.scheme, &*sent.authority), ("", ""));
    assert_eq!(sent.fields, fields(&[JSON, ("x-request-id", "7")]));
    assert_eq!(body, br#"{"visibility": "public", "text": "hello"}"#);
    let text = "POST /tickets/5/comments?notify=true%3Bx%3D1&flag\n\
                content-type: application/json\nx-request-id: 7\n\n\
                {\"visibility\": \"public\", \"text\": \"hello\"}";
    assert_eq!(call.payload.text, text);
    assert!(!call.payload.text.contains("bwk_"));
}

/// A place that was looked at and holds nothing is another thing than one that could not be looked at.
#[test]
fn a_condition_sees_whether_its_place_was_looked_at() {
    let looked = |media: &str, body: &[u8]| {
        let head = request("POST", "/crm/x", &[("content-type", media)]);
        let (_, did) = asked(&head, body);
        let facts = did.held().call.actions[0].facts.clone();
        assert!(facts.values().all(Vec::is_empty), "{facts:?}");
        facts.len()
    };
    // The query and the body.
    assert_eq!(looked("application/json", b"{}"), 2);
    assert_eq!(looked("application/json", b""), 2);
    // The query only.
    assert_eq!(
        looked("application/x-www-form-urlencoded", b"visibility=public"),
        1
    );
    assert_eq!(looked("application/octet-stream", b"visibility"), 1);
}

/// Targets differ in whether case tells names apart, and in what they put together.
#[test]
fn a_parameter_or_field_that_may_be_taken_for_another_meets_no_condition() {
    for (path, body) in [
        (
            "/crm/x?notify=false&Notify=true",
            "{\"visibility\": \"internal\"}",
        ),
        (
            "/crm/x?notify=false",
            "{\"visibility\": \"internal\", \"Visibility\": \"public\"}",
        ),
        ("/crm/x?notify=false", "{\"VISIBILITY\": \"public\"}"),
        // To PHP, Rails and `qs` this is the value of `notify`, or one of its values.
        (
            "/crm/x?notify=false&notify%5B%5D=true",
            "{\"visibility\": \"internal\"}",
        ),
    ] {
        let (_, did) = asked(&request("POST", path, &[JSON]), body.as_bytes());
        let facts = &did.held().call.actions[0].facts;
        let other = facts
            .values()
            .flatten()
            .filter(|fact| **fact == Fact::Other);
        assert_eq!(other.count(), 1, "{facts:?}");
    }
}

#[test]
fn a_method_has_a_class_of_its_own_unless_the_task_says_otherwise() {
    for (method, class) in [
        ("GET", Class::Read),
        ("HEAD", Class::Read),
        ("OPTIONS", Class::Read),
        ("POST", Class::Write),
        ("PUT", Class::Write),
        ("PATCH", Class::Write),
        ("WEBSOCKET", Class::Write),
        ("DELETE", Class::Destroy),
    ] {
        let (_, did) = asked(&request(method, "/crm/x", &[]), b"");
        let call = &did.held().call;
        assert_eq!((&*call.verb, call.class()), (method, class));
        assert_eq!(call.only_reads(), class == Class::Read);
    }
}

/// What is refused: its head, its content, its status, and whether it is known what was asked.
type Attack<'a> = (
    &'a str,
    &'a str,
    &'a [(&'a str, &'a str)],
    &'a [u8],
    u16,
    bool,
);

#[test]
fn what_is_not_understood_is_denied_on_record_and_says_so() {
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
    const PLAIN: (&str, &str) = ("content-type", "text/plain");
    const PARTS: (&str, &str) = ("content-type", "multipart/form-data; boundary=x");
    let attacks: &[Attack<'_>] = &[
        // Methods.
        ("TRACE", "/crm/x", &[], b"", 501, false),
        ("CONNECT", "/crm/x", &[], b"", 501, false),
        ("get", "/crm/x", &[], b"", 501, false),
        ("DELETE ", "/crm/x", &[], b"", 501, false),
        ("websocket", "/crm/x", &[], b"", 501, false),
        ("", "/crm/x", &[], b"", 501, false),
        (
            "POST",
            "/crm/x",
            &[("x-http-method-override", "DELETE")],
            b"",
            400,
            true,
        ),
        (
            "POST",
            "/crm/x",
            &[("x-http-method", "DELETE")],
            b"",
            400,
            true,
        ),
        (
            "POST",
            "/crm/x",
            &[("x-method-override", "DELETE")],
            b"",
            400,
            true,
        ),
        ("POST", "/crm/x?_method=DELETE", &[], b"", 400, true),
        ("POST", "/crm/x?%5fMETHOD=DELETE", &[], b"", 400, true),
        (
            "POST",
            "/crm/x?X-HTTP-Method-Override=PUT",
            &[],
            b"",
            400,
            true,
        ),
        ("POST", "/crm/x", &[FORM], b"a=b&_method=DELETE", 400, true),
        ("POST", "/crm/x", &[FORM], b"a=b;_method=DELETE", 400, true),
        ("POST", "/crm/x", &[FORM], b"%5f%6dethod=DELETE", 400, true),
        (
            "POST",
            "/crm/x",
            &[PARTS],
            b"--x\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nDELETE\r\n--x--",
            400,
            true,
        ),
        (
            "POST",
            "/crm/x",
            &[PARTS],
            b"--x\r\nContent-Disposition: form-data; name=_METHOD\r\n\r\nDELETE\r\n--x--",
            400,
            true,
        ),
        // Paths.
        ("GET", "/crm/a/../b", &[], b"", 400, true),
        ("GET", "/crm/%2e%2e/billing/cards", &[], b"", 400, true),
        ("GET", "/crm/a%2fb", &[], b"", 400, true),
        ("GET", "/crm/a%5cb", &[], b"", 400, true),
        ("GET", "/crm//b", &[], b"", 400, true),
        ("GET", "/crm/a%00", &[], b"", 400, true),
        ("GET", "/crm/%c0%ae%c0%ae/b", &[], b"", 400, true),
        ("GET", "/crm/a#b", &[], b"", 400, true),
        ("GET", "/crm/a?b=%zz", &[], b"", 400, true),
        ("GET", "/crm/a?b#c", &[], b"", 400, true),
        // Credentials of its own.
        ("GET", "/crm/a?access_token=x", &[], b"", 400, true),
        ("POST", "/crm/a", &[FORM], b"access_token=x", 400, true),
        // Content where none belongs, or without a type, or under another.
        ("GET", "/crm/a", &[JSON], b"{}", 400, true),
        ("HEAD", "/crm/a", &[JSON], b"{}", 400, true),
        ("POST", "/crm/a", &[], b"{}", 415, true),
        (
            "POST",
            "/crm/a",
            &[("content-type", "json")],
            b"{}",
            415,
            true,
        ),
        (
            "POST",
            "/crm/a",
            &[("content-type", "application/json, text/plain")],
            b"{}",
            415,
            true,
        ),
        ("POST", "/crm/a", &[JSON, PLAIN], b"{}", 415, true),
        (
            "POST",
            "/crm/a",
            &[PLAIN],
            b" {\"visibility\": 1}",
            415,
            true,
        ),
        ("POST", "/crm/a", &[FORM], b"{\"visibility\": 1}", 415, true),
        (
            "POST",
            "/crm/a",
            &[JSON, ("content-encoding", "gzip")],
            b"{}",
            415,
            true,
        ),
        (
            "POST",
            "/crm/a",
            &[("content-type", "application/json; charset=utf-16")],
            b"{}",
            415,
            true,
        ),
        (
            "POST",
            "/crm/a",
            &[("content-type", "application/json; charset=utf-7")],
            b"{}",
            415,
            true,
        ),
        (
            "POST",
            "/crm/a",
            &[(
                "content-type",
                "application/x-www-form-urlencoded; charset=ibm037",
            )],
            b"a",
            415,
            true,
        ),
        (
            "POST",
            "/crm/a",
            &[(
                "content-type",
                "multipart/form-data; boundary=x; charset=utf-16",
            )],
            b"a",
            415,
            true,
        ),
        ("POST", "/crm/a", &[FORM], b"a=%ff", 400, true),
        ("POST", "/crm/a", &[FORM], b"a=\xff", 400, true),
        // JSON that can be read in two ways.
        (
            "POST",
            "/crm/a",
            &[JSON],
            br#"{"visibility": "internal", "visibility": "public"}"#,
            400,
            true,
        ),
        (
            "POST",
            "/crm/a",
            &[JSON],
            br#"{"visibility": "internal", "visibilit\u0079": "public"}"#,
            400,
            true,
        ),
        ("POST", "/crm/a", &[JSON], b"{} {}", 400, true),
        ("POST", "/crm/a", &[JSON], b"{", 400, true),
        ("POST", "/crm/a", &[JSON], b"{\"a\": NaN}", 400, true),
        ("POST", "/crm/a", &[JSON], b"\xef\xbb\xbf{}", 400, true),
        (
            "POST",
            "/crm/a",
            &[("content-type", "application/merge-patch+json")],
            b"{'a': 1}",
            400,
            true,
        ),
        (
            "POST",
            "/crm/a",
            &[JSON],
            b"{\"_method\": \"DELETE\"}",
            400,
            true,
        ),
        (
            "POST",
            "/crm/a",
            &[JSON],
            b"{\"\\u005fmethod\": \"DELETE\"}",
            400,
            true,
        ),
        // What was masked, on its way back.
        (
            "POST",
            "/crm/a",
            &[JSON],
            br#"{"email": "[masked]"}"#,
            400,
            true,
        ),
        ("POST", "/crm/a", &[FORM], b"email=%5Bmasked%5D", 400, true),
        (
            "POST",
            "/crm/a",
            &[("content-type", "text/csv")],
            b"a,[masked]",
            400,
            true,
        ),
        ("PUT", "/crm/a?email=%5bmasked%5d", &[], b"", 400, true),
        ("DELETE", "/crm/%5bmasked%5d", &[], b"", 400, true),
        (
            "POST",
            "/crm/a",
            &[("idempotency-key", "[masked]")],
            b"",
            400,
            true,
        ),
    ];
    for (method, path, fields, body, status, known) in attacks {
        let of = format!(
            "{method} {path} {fields:?} {}",
            String::from_utf8_lossy(body)
        );
        let (mut test, did) = asked(&request(method, path, fields), body);
        let held = did.held();
        assert!(held.call.refusal.is_some(), "{of}");
        assert!(held.bytes.is_empty(), "{of}: there is something to send");
        assert_eq!(held.call.actions.is_empty(), !known, "{of}");
        assert!(held.call.verb.len() <= 64);
        assert_eq!(held.call.class(), Class::Admin, "{of}");
        let did = test.deny(&did);
        assert_eq!((did.status(), did.done), (*status, true), "{of}");
        assert!(!test.session.wants_agent());
        assert!(test.agent(&content(b"more")).relayed.is_empty(), "{of}");
    }
}

#[test]
fn what_is_only_unusual_goes_through() {
    for (method, path, fields, body, name) in [
        ("GET", "/crm", &[][..], &b""[..], "GET /"),
        ("GET", "/crm/a/?", &[], b"", "GET /a/"),
        ("GET", "/crm/users/@me", &[], b"", "GET /users/%40me"),
        ("GET", "/crm/find?email=%5bmasked%5d", &[], b"", "GET /find"),
        ("POST", "/crm/a", &[], b"", "POST /a"),
        ("DELETE", "/crm/a", &[JSON], b"[1, 2]", "DELETE /a"),
        (
            "POST",
            "/crm/a",
            &[("content-type", "application/octet-stream")],
            b"\0\xff",
            "POST /a",
        ),
        (
            "POST",
            "/crm/a",
            &[("content-type", "application/graphql")],
            b"{ user { name } }",
            "POST /a",
        ),
        (
            "POST",
            "/crm/a",
            &[JSON, ("content-encoding", "identity")],
            b"{}",
            "POST /a",
        ),
    ] {
        let (_, did) = asked(&request(method, path, fields), body);
        assert_eq!(did.held().call.refusal, None, "{method} {path}");
        assert_eq!(resource(&did).as_deref(), Some(name));
        assert_eq!(did.sent().1, body);
    }
}

#[test]
fn content_that_is_no_text_is_on_record_by_its_digest() {
    let kind = [("content-type", "application/octet-stream")];
    let (_, did) = asked(&request("POST", "/crm/a", &kind), b"\0\xff");
    let text = &did.held().call.payload.text;
    let shown = "2 bytes, SHA-256 06eb7d6a69ee19e5fbdf749018d3d2abfa04bcbd1365db312eb86dc7169389b8";
    assert!(text.ends_with(shown), "{text}");
}

#[test]
fn a_denial_says_why_and_what_to_ask_for() {
    let (mut test, did) = asked(&request("GET", "/crm/customers", &[]), b"");
    let did = test.deny(&did);
    let (head, text, whole) = did.answer();
    assert_eq!((head.status, whole, did.done), (403, true, true));
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(json["detail"], "out of scope");
    assert_eq!(json["remedy"], "ask for more");
    let (mut test, did) = asked(&request("HEAD", "/crm/customers", &[]), b"");
    let did = test.deny(&did);
    assert_eq!((did.status(), &*did.text()), (403, ""));
    let (mut test, did) = asked(&request("GET", "/crm/customers", &[]), b"");
    let did = test.answer(&did, Answer::Unrecorded("the disk is full".into()));
    assert_eq!(did.status(), 503);
    assert!(did.text().contains("the disk is full"));
    assert!(did.finished.is_empty() && did.done);
}

#[test]
fn a_request_to_a_proxy_is_of_the_target_it_names_or_of_none() {
    for (path, name, refused) in [
        ("/api/v2/customers", "GET /customers", false),
        ("/api/v2", "GET /", false),
        // Refused, and shown as they were sent.
        ("/api/v3/customers", "GET /api/v3/customers", true),
        ("/api/v22", "GET /api/v22", true),
        ("/api/v2/../v3", "GET /api/v2/../v3", true),
    ] {
        let mut head = request("GET", path, &[]);
        head.scheme = "https".into();
        head.authority = "crm.internal".into();
        let (_, did) = asked(&head, b"");
        assert_eq!(resource(&did).as_deref(), Some(name));
        assert_eq!(did.held().call.refusal.is_some(), refused, "{path}");
    }
}

#[test]
fn a_path_that_is_not_understood_is_shown_as_it_was_sent() {
    let [long, in_part] = [4_000, 125].map(|count| format!("/crm//{}", "é".repeat(count)));
    for (path, shown) in [
        ("/crm/a%2fb?c=d", "/crm/a%2fb"),
        ("/crm/../b", "/crm/../b"),
        // In part, and no character in part.
        (&*long, &*in_part),
    ] {
        let (_, did) = asked(&request("DELETE", path, &[]), b"");
        let call = &did.held().call;
        assert!(call.refusal.is_some(), "{path}");
        let [action] = &call.actions[..] else {
            panic!("{path}: {:?}", call.actions);
        };
        assert_eq!(action.resource.name, format!("DELETE {shown}"));
    }
}
