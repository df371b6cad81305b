//! What an agent may send: per revision, what each request is, and what the server gets.

use bailiwick_action::{Action, Class, Fact, Verb};

use super::*;

#[test]
fn every_method_is_what_it_does() {
    let tool = || {
        Action::of_class(
            Class::Write,
            Verb::Execute,
            Resource::named(Kind::Tool, "list_tickets"),
        )
    };
    let get = |kind, name: &str| Action::new(Verb::Get, Resource::named(kind, name));
    let both = [LEGACY, STATELESS].as_slice();
    let legacy = [LEGACY].as_slice();
    let stateless = [STATELESS].as_slice();
    let cases = [
        ("ping", json!({}), legacy, Action::session()),
        ("server/discover", json!({}), stateless, Action::session()),
        (
            "tools/list",
            json!({"cursor": "x"}),
            both,
            Action::session(),
        ),
        (
            "tools/call",
            json!({"name": "list_tickets", "arguments": {"ticket": 5}}),
            both,
            tool(),
        ),
        ("resources/list", json!({}), both, Action::session()),
        (
            "resources/templates/list",
            json!({}),
            both,
            Action::session(),
        ),
        (
            "resources/read",
            json!({"uri": "ticket://5"}),
            both,
            get(Kind::Uri, "ticket://5"),
        ),
        (
            "resources/subscribe",
            json!({"uri": "ticket://5"}),
            legacy,
            get(Kind::Uri, "ticket://5"),
        ),
        (
            "resources/unsubscribe",
            json!({"uri": "ticket://5"}),
            legacy,
            Action::session(),
        ),
        (
            "subscriptions/listen",
            json!({"notifications": {"resourceSubscriptions": ["ticket://5"]}}),
            stateless,
            get(Kind::Uri, "ticket://5"),
        ),
        (
            "subscriptions/listen",
            json!({"notifications": {"toolsListChanged": true}}),
            stateless,
            Action::session(),
        ),
        ("prompts/list", json!({}), both, Action::session()),
        (
            "prompts/get",
            json!({"name": "summary", "arguments": {}}),
            both,
            get(Kind::Prompt, "summary"),
        ),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "summary"}, "argument": {}}),
            both,
            get(Kind::Prompt, "summary"),
        ),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/resource", "uri": "ticket://{id}"}, "argument": {}}),
            both,
            get(Kind::Uri, "ticket://{id}"),
        ),
        (
            "logging/setLevel",
            json!({"level": "info"}),
            legacy,
            Action::session(),
        ),
    ];
    for version in [LEGACY, STATELESS] {
        for (method, params, versions, action) in &cases {
            let mut run = Run::new(version, task());
            let mut exchange = run.call(1, method, params.clone());
            if !versions.contains(&version) {
                assert!(
                    exchange
                        .refusal()
                        .contains("not one that this gateway knows"),
                    "{method}"
                );
                exchange.deny();
                assert_eq!(exchange.message()["error"]["code"], -32601, "{method}");
                continue;
            }
            if *method == "tools/call" {
                exchange.lists(&[super::tool("list_tickets", "Lists.")]);
            }
            let call = &exchange.asked().call;
            assert_eq!(call.refusal, None, "{version} {method}");
            assert_eq!(call.verb, *method);
            assert_eq!(
                call.actions,
                std::slice::from_ref(action),
                "{version} {method}"
            );
            exchange.allow();
            let (head, body) = exchange.request();
            assert_eq!((&*head.method, &*head.path), ("POST", "/mcp"));
            assert_eq!(body, run.request(1, method, params.clone()), "{version}");
            let names = head.fields.iter().map(|(name, _)| name.as_str());
            for name in names {
                assert!(
                    name.starts_with("mcp-") || ["accept", "content-type"].contains(&name),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn notifications_are_calls_too_and_need_no_answer() {
    for (method, params) in [
        ("notifications/initialized", json!({})),
        (
            "notifications/cancelled",
            json!({"requestId": 7, "reason": "late"}),
        ),
        (
            "notifications/progress",
            json!({"progressToken": 1, "progress": 2}),
        ),
        ("notifications/roots/list_changed", json!({})),
    ] {
        let mut run = Run::with_session(task());
        let body = json!({"jsonrpc": "2.0", "method": method, "params": params});
        let mut exchange = run.post(&body);
        assert_eq!(exchange.asked().call.verb, method);
        exchange.allow();
        exchange.server(202, &[], b"");
        assert_eq!(exchange.head().status, 202);
        assert!(exchange.done && exchange.is_whole() && exchange.text().is_empty());
        assert_eq!(exchange.finished.len(), 1);
    }
    let mut run = Run::with_session(task());
    let body = json!({"jsonrpc": "2.0", "method": "notifications/made_up"});
    assert!(!run.post(&body).refusal().is_empty());
}

/// What was looked at and is not there is told from what was not looked at, and servers differ in whether
/// case tells names apart.
#[test]
fn conditions_see_what_is_not_there_and_what_might_be() {
    let input = Input::Field(FieldPath::parse("$.ticket").unwrap());
    for (arguments, expected) in [
        (Value::Null, vec![]),
        (json!({}), vec![]),
        (json!({"note": 1}), vec![]),
        (json!({"Ticket": 1}), vec![Fact::Other]),
        (
            json!({"Ticket": 1, "ticket": 2}),
            vec![Fact::Other, Fact::Number("2".into())],
        ),
    ] {
        let inputs = vec![input.clone()];
        let mut run = Run::new(LEGACY, Task { inputs, ..task() });
        let params = match arguments {
            Value::Null => json!({"name": "list_tickets"}),
            arguments => json!({"name": "list_tickets", "arguments": arguments}),
        };
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let mut exchange = run.post(&body);
        exchange.lists(&[tool("list_tickets", "Lists.")]);
        let facts = &exchange.asked().call.actions[0].facts;
        assert_eq!(facts.get(&input), Some(&expected), "{body}");
    }
}

#[test]
fn what_is_brought_beside_the_arguments_is_on_record_too() {
    for (meta, kept) in [
        (json!({"progressToken": 1}), false),
        (json!({"progressToken": 1, "acme/as": "admin"}), true),
    ] {
        let mut run = Run::new(LEGACY, task());
        let params = json!({"name": "list_tickets", "arguments": {}, "_meta": meta});
        let mut exchange = run.call(1, "tools/call", params);
        exchange.lists(&[tool("list_tickets", "Lists.")]);
        let text = &exchange.asked().call.payload.text;
        assert_eq!(text.contains("acme/as"), kept, "{text}");
        assert_eq!(text.contains("progressToken"), kept, "{text}");
    }
}

#[test]
fn conditions_see_the_arguments_and_the_record_has_them_as_they_were_sent() {
    let path = FieldPath::parse("$.ticket").unwrap();
    let mut run = Run::new(
        LEGACY,
        Task {
            inputs: vec![Input::Field(path.clone()), Input::Query("ticket".into())],
            ..task()
        },
    );
    let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_tickets","arguments":{ "\u0074icket" : 5.0 , "note":"ticket"}}}"#;
    let fields = run.fields(&Value::Null);
    let mut exchange = run.send("POST", &fields, text.as_bytes());
    exchange.lists(&[tool("list_tickets", "Lists.")]);
    let held = exchange.asked();
    let facts = &held.call.actions[0].facts;
    assert_eq!(facts.len(), 1);
    assert_eq!(facts[&Input::Field(path)], [Fact::Number("5.0".into())]);
    let payload = "list_tickets\n{ \"\\u0074icket\" : 5.0 , \"note\":\"ticket\"}";
    assert_eq!(held.call.payload.text, payload);
    let sent = text.replace("\"id\":1", &format!("\"id\":\"{}\"", exchange.alias));
    assert!(
        held.bytes
            .windows(sent.len())
            .any(|window| window == sent.as_bytes())
    );
}

#[test]
fn capabilities_that_are_not_granted_are_not_shown_to_the_server() {
    let all = json!({
        "roots": {"listChanged": true}, "sampling": {}, "elicitation": {"form": {}},
        "tasks": {}, "experimental": {"x": {}}, "extensions": {"io.modelcontextprotocol/ui": {}},
    });
    for (grants, left) in [
        (vec![], json!({})),
        (
            vec![Resource::named(Kind::Feature, "elicitation")],
            json!({"elicitation": {"form": {}}}),
        ),
    ] {
        let task = || Task {
            grants: grants.clone(),
            ..Task::default()
        };
        let mut run = Run::new(LEGACY, task());
        let mut exchange = run.call(
            1,
            "initialize",
            json!({"protocolVersion": LEGACY, "capabilities": all, "clientInfo": {"name": "x"}}),
        );
        exchange.allow();
        let (_, body) = exchange.request();
        assert_eq!(body["params"]["capabilities"], left);
        assert_eq!(body["params"]["clientInfo"], json!({"name": "x"}));

        let mut run = Run::new(STATELESS, task());
        let mut body = run.request(1, "tools/list", json!({}));
        body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = all.clone();
        body["params"]["_meta"]["traceparent"] = json!("00-1-2-01");
        let mut exchange = run.post(&body);
        exchange.allow();
        body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = left.clone();
        assert_eq!(exchange.request().1, body);
    }
}

#[test]
fn a_session_is_begun_used_and_ended() {
    let mut run = Run::with_session(task());
    let mut exchange = run.call(1, "ping", json!({}));
    exchange.allow();
    let (head, _) = exchange.request();
    assert_eq!(
        bhttp::field(&head.fields, "mcp-session-id"),
        Some(&b"s-1"[..])
    );
    exchange.answers(&json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
    assert_eq!(exchange.message()["result"], json!({}));

    // The revision need not be repeated in a session, and cannot be another.
    let session = ("mcp-session-id", "s-1".to_owned());
    let kind = ("content-type", "application/json".to_owned());
    let ping = |id| json!({"jsonrpc": "2.0", "id": id, "method": "ping"}).to_string();
    let mut exchange = run.send("POST", &[session.clone(), kind.clone()], ping(2).as_bytes());
    exchange.allow();
    let other = ("mcp-protocol-version", "2025-06-18".to_owned());
    let exchange = run.send(
        "POST",
        &[session.clone(), kind.clone(), other],
        ping(3).as_bytes(),
    );
    assert!(exchange.refusal().contains("agreed"));

    let mut exchange = run.send("DELETE", std::slice::from_ref(&session), b"");
    assert_eq!(exchange.asked().call.verb, "DELETE");
    exchange.allow();
    exchange.server(200, &[], b"");
    assert!(exchange.done && exchange.is_whole());

    let mut exchange = run.send("POST", &[session, kind], ping(4).as_bytes());
    assert!(exchange.refusal().contains("no such session"));
    exchange.deny();
    assert_eq!(exchange.head().status, 404);
}

#[test]
fn a_session_that_the_server_ended_is_over() {
    let mut run = Run::with_session(task());
    let mut exchange = run.call(1, "ping", json!({}));
    exchange.allow();
    exchange.server(404, &[("content-type", "text/plain")], b"gone");
    assert_eq!(exchange.head().status, 404);
    assert!(!exchange.text().contains("gone"));
    assert_eq!(exchange.finished[0].1.error.as_deref(), Some("404"));
    assert!(
        run.call(2, "ping", json!({}))
            .refusal()
            .contains("no such session")
    );
}

#[test]
fn the_servers_own_stream_is_opened_by_a_get() {
    let mut run = Run::with_session(task());
    let mut seen = run.call(1, "ping", json!({}));
    seen.allow();
    seen.begin(200, &[("content-type", "text/event-stream")]);
    seen.part(b"id: 7\ndata:\n\n");
    let fields = [
        ("mcp-session-id", "s-1".to_owned()),
        ("last-event-id", "7".to_owned()),
    ];
    let mut exchange = run.send("GET", &fields, b"");
    assert_eq!(exchange.asked().call.verb, "GET");
    exchange.allow();
    let (head, _) = exchange.request();
    assert_eq!(bhttp::field(&head.fields, "last-event-id"), Some(&b"7"[..]));
    exchange.streams(&[json!({"jsonrpc": "2.0", "method": "notifications/prompts/list_changed"})]);
    assert_eq!(exchange.messages().len(), 1);
    assert_eq!(
        exchange.field("content-type").as_deref(),
        Some("text/event-stream")
    );
    assert!(!exchange.done);
    exchange.end();
    assert!(exchange.done && exchange.is_whole());

    let mut exchange = run.send("GET", &fields, b"");
    exchange.allow();
    exchange.server(405, &[], b"");
    assert_eq!(exchange.head().status, 405);

    let mut run = Run::new(STATELESS, task());
    let fields = [("mcp-protocol-version", STATELESS.to_owned())];
    for method in ["GET", "DELETE", "PUT"] {
        let mut exchange = run.send(method, &fields, b"");
        assert!(!exchange.refusal().is_empty(), "{method}");
        exchange.deny();
        assert_eq!(exchange.head().status, 405, "{method}");
    }
}

#[test]
fn without_a_good_credential_it_is_said_where_to_ask() {
    for sent in [None, Some(Secret::new([6; 32]))] {
        without_a_good_credential(sent.as_ref());
    }
}

fn without_a_good_credential(sent: Option<&Secret>) {
    let bearer = sent.map(|sent| format!("Bearer {}", sent.reveal()));
    let bearer = bearer.map(|bearer| ("authorization".to_owned(), bearer.into()));
    let mut session = (PROTOCOL.session)(Seed {
        nonce: [1; 18],
        cancel: CancelKey([2; 8]),
        token: [4; 8],
    });
    let head = Request {
        method: "POST".into(),
        path: "/helpdesk".into(),
        fields: [("host".into(), Bytes::from_static(b"gw:7480"))]
            .into_iter()
            .chain(bearer)
            .collect(),
        ..Request::default()
    };
    let mut bytes = BytesMut::new();
    bhttp::put_request(&mut bytes, &head);
    session.agent(&bytes).unwrap();
    if sent.is_some() {
        assert!(matches!(session.next(), Some(Step::Identify(_))));
        let id = RunId::new(Time::from_millis(1), [3; 10]);
        let verifier = Verifier::new(id, &Secret::new([5; 32]), [9; 16]);
        session.identified(Arc::new(verifier)).unwrap();
    }
    let Some(Step::LoginFailed(failure)) = session.next() else {
        panic!("no failure");
    };
    assert_eq!(failure.target, "helpdesk");
    let Some(Step::ToAgent(response)) = session.next() else {
        panic!("no response");
    };
    assert!(matches!(session.next(), Some(Step::Done)));
    let mut reader = Reader::default();
    reader.push(&response);
    let Some(Part::Response(head)) = reader.next().unwrap() else {
        panic!("no head");
    };
    assert_eq!(head.status, 401);
    assert_eq!(
        bhttp::field(&head.fields, "www-authenticate"),
        Some(
            &br#"Bearer resource_metadata="http://gw:7480/.well-known/oauth-protected-resource/helpdesk""#[..]
        )
    );
}

#[test]
fn the_gateways_own_reasons_to_end_are_told_or_cut() {
    let refused = Refused {
        why: Why::Ended,
        message: "this run has ended".into(),
        hint: "Open another.".into(),
    };
    let mut run = Run::new(STATELESS, task());
    let mut exchange = run.call(1, "tools/list", json!({}));
    exchange.allow();
    exchange.session.refuse(&refused);
    exchange.steps();
    assert_eq!(exchange.head().status, 401);
    assert_eq!(exchange.told(), "this run has ended. Open another.");

    let mut exchange = run.call(2, "resources/read", json!({"uri": "ticket://5"}));
    exchange.allow();
    exchange.streams(&[json!({
        "jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1},
    })]);
    exchange.session.refuse(&refused);
    exchange.steps();
    assert!(exchange.done && !exchange.is_whole());

    // What a read brought is held until it is on record: nobody has got any of this.
    let unrecorded = Refused {
        why: Why::Unrecorded,
        ..refused
    };
    for is_whole in [false, true] {
        let mut exchange = run.call(4, "resources/read", json!({"uri": "ticket://5"}));
        exchange.allow();
        if is_whole {
            exchange.answers(&json!({"jsonrpc": "2.0", "id": 4, "result": {"contents": []}}));
        } else {
            exchange.streams(&[json!({"jsonrpc": "2.0", "method": "notifications/message"})]);
        }
        exchange.to_agent.clear();
        exchange.session.refuse(&unrecorded);
        exchange.steps();
        assert_eq!(exchange.head().status, 503);
        assert_eq!(exchange.message()["id"], 4);
    }

    let mut exchange = run.call(3, "tools/list", json!({}));
    exchange.decide(Answer::Unrecorded("the disk is full".into()));
    assert_eq!(exchange.head().status, 503);
    assert!(exchange.told().contains("the disk is full"));
    assert!(exchange.is_silent());
}
