//! What a server says, as the agent gets it.

use super::*;

fn read(run: &mut Run, id: i64) -> Exchange {
    let mut exchange = run.call(id, "resources/read", json!({"uri": "ticket://5"}));
    exchange.allow();
    exchange
}

fn result(id: i64, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

#[test]
fn lists_show_what_the_run_may_use() {
    let tools = json!([
        tool("list_tickets", "Lists."),
        tool("delete_ticket", "Deletes."),
        tool("List_tickets", "Lists."),
        tool("list_tickets ", "Lists."),
        tool("list_t\u{456}ckets", "Lists."),
    ]);
    let mut run = Run::with_session(task());
    for (id, method, list, all, shown) in [
        (
            1,
            "tools/list",
            "tools",
            tools,
            json!([tool("list_tickets", "Lists.")]),
        ),
        (
            2,
            "resources/list",
            "resources",
            json!([{"uri": "ticket://5", "name": "5"}, {"uri": "ticket://6"}, {"name": "x"}]),
            json!([{"uri": "ticket://5", "name": "5"}]),
        ),
        (
            3,
            "resources/templates/list",
            "resourceTemplates",
            json!([{"uriTemplate": "ticket://{id}"}, {"uriTemplate": "{+any}"}]),
            json!([{"uriTemplate": "ticket://{id}"}]),
        ),
        (
            4,
            "prompts/list",
            "prompts",
            json!([{"name": "Summary"}, {"name": "summary"}]),
            json!([{"name": "summary"}]),
        ),
    ] {
        let mut exchange = run.call(id, method, json!({}));
        exchange.allow();
        exchange.answers(&result(id, json!({list: all, "nextCursor": "more"})));
        let expected = result(id, json!({list: shown, "nextCursor": "more"}));
        assert_eq!(exchange.message(), expected, "{method}");
    }
    for (id, wrong) in [(5, json!({})), (6, json!({"tools": {}}))] {
        let mut exchange = run.call(id, "tools/list", json!({}));
        exchange.allow();
        exchange.answers(&result(id, wrong));
        assert_eq!(exchange.head().status, 502);
    }
}

#[test]
fn what_a_server_can_is_cut_down_to_what_passes() {
    let capabilities = json!({
        "tools": {"listChanged": true}, "tasks": {}, "extensions": {"x/y": {}}, "experimental": {},
    });
    let mut run = Run::new(STATELESS, task());
    let mut exchange = run.call(1, "server/discover", json!({}));
    exchange.allow();
    exchange.answers(&result(
        1,
        json!({
            "resultType": "complete", "capabilities": capabilities,
            "supportedVersions": ["2027-01-01", "2026-07-28", "2025-11-25", "2024-11-05"],
        }),
    ));
    let message = exchange.message();
    assert_eq!(
        message["result"],
        json!({
            "resultType": "complete", "capabilities": {"tools": {"listChanged": true}},
            "supportedVersions": ["2026-07-28", "2025-11-25"],
        })
    );
}

#[test]
fn a_session_begins_only_in_a_revision_that_is_spoken_here() {
    for (version, session, is_good) in [
        ("2025-06-18", "s-2", true),
        ("2024-11-05", "s-2", false),
        ("2026-07-28", "s-2", false),
        ("2025-11-25", "s 2", false),
        ("2025-11-25", "", false),
    ] {
        let mut run = Run::new(LEGACY, task());
        let mut exchange = run.call(
            1,
            "initialize",
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}}),
        );
        exchange.allow();
        let fields = [
            ("content-type", "text/event-stream"),
            ("mcp-session-id", session),
        ];
        exchange.begin(200, &fields);
        if !exchange.done {
            exchange.says(&result(
                1,
                json!({"protocolVersion": version, "capabilities": {}}),
            ));
        }
        let status = if is_good { 200 } else { 502 };
        assert_eq!(exchange.head().status, status, "{version} {session}");
        run.session = Some(session.to_owned());
        run.version = if is_good { version } else { LEGACY };
        let known = run.call(2, "ping", json!({}));
        assert_eq!(known.asked().call.refusal.is_none(), is_good, "{version}");
    }
}

#[test]
fn what_is_masked_is_masked_in_every_place() {
    let secret = format!("from {CANARY} to you");
    let inside = json!({"email": "x", "deep": [{"note": secret}]}).to_string();
    let escaped = inside.replace('@', "\\u0040");
    let messages = [
        json!({"contents": [{"uri": format!("user://{CANARY}"), "text": secret}]}),
        json!({"contents": [{"uri": "ticket://5", "text": inside}]}),
        json!({"contents": [{"uri": "ticket://5", "text": escaped}]}),
        json!({"content": [{"type": "text", "text": secret, "annotations": {"x": secret}}]}),
        json!({"content": [{"type": "resource", "resource": {"uri": "a:b", "text": inside}}]}),
        json!({"content": [{"type": "resource_link", "uri": "a:b", "name": secret}]}),
        json!({"structuredContent": {"deep": {(CANARY): [secret]}}, "content": []}),
        json!({"structuredContent": inside}),
        json!({"_meta": {"a/b": secret}, (CANARY): 1}),
        json!({"description": secret, "messages": [{"role": "user", "content": {"type": "text", "text": secret}}]}),
        json!({"completion": {"values": [secret, CANARY]}}),
        json!({"instructions": secret}),
    ];
    let mut run = Run::with_session(Task {
        fields: vec![FieldPath::parse("$.email").unwrap()],
        ..task()
    });
    for (id, message) in (1..).zip(messages) {
        for as_error in [false, true] {
            let id = id * 2 + i64::from(as_error);
            let message = match as_error {
                false => result(id, message.clone()),
                true => json!({
                    "jsonrpc": "2.0", "id": id,
                    "error": {"code": -32000, "message": secret, "data": message},
                }),
            };
            let mut exchange = read(&mut run, id);
            exchange.answers(&message);
            let text = exchange.text();
            assert!(!text.contains("alice"), "{text}");
            assert!(text.contains(MASKED), "{text}");
            assert!(!text.contains(r#"\"email\":\"x\""#), "{text}");
            assert!(exchange.finished[0].1.masked > 0);
            assert_eq!(exchange.finished[0].1.error.is_some(), as_error);
            // What is not to be masked is as it was.
            assert_eq!(exchange.message()["id"], id);

            let mut exchange = read(&mut run, 1000 + id);
            let notice = json!({
                "jsonrpc": "2.0", "method": "notifications/message",
                "params": {"level": "info", "data": message, "logger": secret},
            });
            exchange.streams(&[notice]);
            let text = exchange.text();
            assert!(!text.contains("alice") && text.contains(MASKED), "{text}");
        }
    }
}

#[test]
fn fields_are_masked_where_a_servers_own_values_are() {
    let own = json!({"customer": {"name": "Al", "tags": ["a"]}, "name": "kept"});
    let mut run = Run::with_session(Task {
        fields: vec![
            FieldPath::parse("$.customer.name").unwrap(),
            FieldPath::parse("$[*].customer.name").unwrap(),
        ],
        ..task()
    });
    let masked = json!({"customer": {"name": MASKED, "tags": ["a"]}, "name": "kept"});
    let mut exchange = read(&mut run, 1);
    let text = json!([{"customer": {"name": 1}}, 2]).to_string();
    let broken = r#"{"customer": {"name": "Al", "#;
    let lines = format!("{own}\n{own}");
    let twice = r#"{"customer": {"name": "Al", "name": "Bo"}}"#;
    exchange.answers(&result(
        1,
        json!({
            "structuredContent": own,
            "content": [
                {"type": "text", "text": own.to_string()},
                {"type": "text", "text": text},
                {"type": "text", "text": broken},
                {"type": "text", "text": "[1] is no JSON"},
                {"type": "text", "text": lines},
                {"type": "text", "text": twice},
                {"type": "text", "text": json!(["x", own]).to_string()},
                {"type": "text", "text": json!(own.to_string()).to_string()},
            ],
        }),
    ));
    let message = exchange.message();
    assert_eq!(message["result"]["structuredContent"], masked);
    let text_of = |index: usize| {
        message["result"]["content"][index]["text"]
            .as_str()
            .unwrap()
    };
    assert_eq!(serde_json::from_str::<Value>(text_of(0)).unwrap(), masked);
    assert_eq!(text_of(1), text.replace("1}", "\"[masked]\"}"));
    assert!(text_of(2).contains("withheld") && !text_of(2).contains("Al"));
    assert_eq!(text_of(3), "[1] is no JSON");
    assert_eq!(text_of(4), format!("{masked}\n{masked}"));
    assert_eq!(
        text_of(5),
        r#"{"customer": {"name": "[masked]", "name": "[masked]"}}"#
    );
    assert_eq!(text_of(6), json!(["x", masked]).to_string());
    assert_eq!(text_of(7), json!(masked.to_string()).to_string());

    // A result whose values may be masked is not what its schema says.
    let mut definition = tool("list_tickets", "Lists.");
    definition["outputSchema"] = json!({"type": "object"});
    let mut task = task();
    task.pins.insert("list_tickets".into(), pin(&definition));
    for fields in [vec![], vec![FieldPath::parse("$.a").unwrap()]] {
        let has_schema = fields.is_empty();
        let mut run = Run::new(
            STATELESS,
            Task {
                fields,
                grants: task.grants.clone(),
                pins: task.pins.clone(),
                inputs: Vec::new(),
            },
        );
        let mut exchange = run.call(1, "tools/list", json!({}));
        exchange.allow();
        exchange.answers(&result(1, json!({"tools": [definition.clone()]})));
        let tools = &exchange.message()["result"]["tools"];
        assert_eq!(tools[0].get("outputSchema").is_some(), has_schema);
        assert_eq!(tools[0]["name"], "list_tickets");
    }
}

/// The same as data and for people.
#[test]
fn what_a_masked_field_has_is_masked_in_texts_too() {
    let mut run = Run::with_session(Task {
        fields: ["$.name", "$.card", "$.tags", "$.id", "$.kind"]
            .map(|path| FieldPath::parse(path).unwrap())
            .to_vec(),
        ..task()
    });
    let data = json!({
        "name": "Ada Lovelace", "card": 41111111, "tags": ["vip", "overdue"], "id": "mask", "kind": "text",
        "note": "Ada Lovelace is overdue", "other": 41111111, "count": 4,
    });
    let told = "Customer Ada Lovelace (vip, overdue), card 41111111, mask on: \u{1f600}.";
    let quoted = json!({"told": told, "name": "Ada Lovelace"}).to_string();
    let content = [told, quoted.as_str(), data.to_string().as_str()]
        .map(|text| json!({"type": "text", "text": text, "title": "for Ada Lovelace"}));
    let message = json!({"content": content, "structuredContent": data});
    let mut exchange = read(&mut run, 1);
    exchange.answers(&result(1, message));
    let text = exchange.text();
    for secret in ["Ada", "Lovelace", "41111111", "overdue"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    let told = &exchange.message()["result"]["content"][0]["text"];
    assert_eq!(
        told,
        &format!("Customer {MASKED} (vip, {MASKED}), card {MASKED}, mask on: \u{1f600}.")
    );
    assert_eq!(exchange.message()["result"]["content"][0]["type"], "text");
    let inner = exchange.message()["result"]["content"][2]["text"].clone();
    let inner: Value = serde_json::from_str(inner.as_str().unwrap()).unwrap();
    assert_eq!(inner["count"], 4);
    // Another message knows nothing of it.
    let mut exchange = read(&mut run, 2);
    let other = json!({"content": [{"type": "text", "text": "Ada Lovelace"}]});
    exchange.answers(&result(2, other));
    assert!(exchange.text().contains("Ada Lovelace"));
}

#[test]
fn contents_that_cannot_be_looked_into_need_a_grant() {
    let contents = json!({
        "contents": [{"uri": "ticket://5", "mimeType": "image/png", "blob": "AAAA"}],
        "content": [
            {"type": "image", "data": "AAAA", "mimeType": "image/png"},
            {"type": "audio", "data": "AAAA", "mimeType": "audio/wav"},
            {"type": "hologram", "data": "AAAA", "mimeType": "x/y"},
            {"type": "resource", "resource": {"uri": "a:b", "blob": "AAAA"}},
            {"type": "text", "text": "kept"},
        ],
    });
    let mut run = Run::new(STATELESS, task());
    let mut exchange = read(&mut run, 1);
    exchange.answers(&result(1, contents.clone()));
    let text = exchange.text();
    assert!(!text.contains("AAAA"), "{text}");
    assert_eq!(text.matches("withheld").count(), 5);
    let message = exchange.message();
    assert_eq!(message["result"]["content"][0]["type"], "text");
    assert_eq!(message["result"]["contents"][0]["uri"], "ticket://5");
    assert_eq!(message["result"]["content"][4]["text"], "kept");

    let mut exchange = run.call(2, "resources/read", json!({"uri": "ticket://5"}));
    exchange.decide(Answer::Allow(Terms { binary: true }));
    exchange.answers(&result(2, contents.clone()));
    assert_eq!(exchange.message()["result"], contents);
}

#[test]
fn a_stream_goes_on_message_by_message_until_the_response() {
    let mut run = Run::with_session(task());
    let mut exchange = read(&mut run, 1);
    exchange.begin(200, &[("content-type", "text/event-stream; charset=utf-8")]);
    exchange.part(b"id: a-1\nretry: 100\ndata:\n\n");
    assert_eq!(exchange.text(), "id: a-1\nretry: 100\ndata: \n\n");
    let progress = json!({
        "jsonrpc": "2.0", "method": "notifications/progress",
        "params": {"progressToken": 1, "progress": 0.5, "message": CANARY},
    });
    let stream = format!(
        ": hello\r\nevent: other\r\ndata: {progress}\r\n\r\nid: a-2\r\ndata: {progress}\r\n\r\n"
    );
    for piece in stream.as_bytes().chunks(5) {
        exchange.part(piece);
    }
    assert_eq!(exchange.messages().len(), 1, "{}", exchange.text());
    assert_eq!(exchange.messages()[0]["params"]["message"], MASKED);
    assert!(!exchange.done);
    // What the agent does not know, it does not get; and what it may not read, it does not hear of.
    for (method, params) in [
        ("notifications/made_up", json!({})),
        (
            "notifications/resources/updated",
            json!({"uri": "ticket://6"}),
        ),
        ("notifications/tasks/status", json!({})),
    ] {
        exchange.says(&json!({"jsonrpc": "2.0", "method": method, "params": params}));
    }
    exchange.says(&json!({
        "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "ticket://5"},
    }));
    assert_eq!(exchange.messages().len(), 2);
    let answer = exchange.named(result(1, json!({"contents": []})), false);
    let pretty = serde_json::to_string_pretty(&answer).unwrap();
    exchange.part(format!("data: {}\n\n", pretty.replace('\n', "\ndata: ")).as_bytes());
    assert!(exchange.done && exchange.is_whole());
    assert_eq!(exchange.messages()[2], result(1, json!({"contents": []})));
    assert_eq!(exchange.finished[0].1.masked, 1);
    assert_eq!(exchange.finished[0].1.bytes, exchange.rows.len() as u64);
}

#[test]
fn a_response_can_come_on_the_stream_where_it_was_left_off() {
    let mut run = Run::with_session(task());
    let mut exchange = run.call(1, "tools/list", json!({}));
    exchange.allow();
    exchange.begin(200, &[("content-type", "text/event-stream")]);
    exchange.part(b"id: a-1\ndata:\n\n");
    exchange.end();
    assert!(exchange.done && exchange.is_whole());
    let mut answer = result(1, Value::Null);
    answer["id"] = json!(exchange.alias);
    drop(exchange);

    let fields = [("mcp-session-id", "s-1".to_owned())];
    let mut exchange = run.send("GET", &fields, b"");
    exchange.allow();
    let tools = json!({"tools": [tool("list_tickets", "Lists."), tool("delete_ticket", "x")]});
    answer["result"] = tools;
    exchange.streams(std::slice::from_ref(&answer));
    let shown = json!({"tools": [tool("list_tickets", "Lists.")]});
    assert_eq!(exchange.messages(), [result(1, shown)]);
    // Once, and nothing that was not asked.
    exchange.says(&answer);
    assert_eq!(exchange.messages().len(), 1);
    assert!(exchange.done);
}

#[test]
fn the_targets_own_refusals_do_not_look_like_the_gateways() {
    for (status, kind, body) in [
        (401, "application/json", "{}"),
        (403, "text/html", "<p>secret</p>"),
        (302, "", ""),
        (500, "text/plain", "at alice@example.com:5"),
        (500, "application/json", "{}"),
        (400, "text/plain", "Bad Request: secret"),
        (404, "text/html", "<p>secret</p>"),
        (404, "application/json", r#"{"detail":"secret"}"#),
        (200, "text/plain", "hello"),
        (200, "application/json; charset=utf-16", "{}"),
        (200, "application/json", "not json"),
        (202, "", ""),
    ] {
        let mut run = Run::new(STATELESS, task());
        let mut exchange = read(&mut run, 1);
        let fields = [
            ("content-type", kind),
            ("www-authenticate", "Bearer error=\"insufficient_scope\""),
            ("location", "http://evil/"),
            ("set-cookie", "a=b"),
        ];
        exchange.server(status, &fields, body.as_bytes());
        let head = exchange.head();
        let expected = match status {
            400 | 404 => status,
            _ => 502,
        };
        assert_eq!(head.status, expected, "{status} {kind}");
        assert!(!exchange.text().contains("secret"));
        assert_eq!(head.fields.len(), 1, "{:?}", head.fields);
        assert_eq!(exchange.message()["error"]["code"], 502);
        assert_eq!(exchange.finished[0].1.error.as_deref(), Some("502"));
    }
    // What the protocol itself says with an error's status, the client needs to hear.
    let mut run = Run::new(STATELESS, task());
    let mut exchange = read(&mut run, 1);
    let unsupported = json!({
        "jsonrpc": "2.0", "id": 1,
        "error": {"code": -32022, "message": "no", "data": {"supported": ["2025-11-25"]}},
    });
    let kind = [("content-type", "application/json")];
    exchange.server(400, &kind, unsupported.to_string().as_bytes());
    assert_eq!(exchange.head().status, 400);
    assert_eq!(exchange.message(), unsupported);
    // Also where the server does not know to what it answers; but a result has to be of the request.
    for id in [json!(null), json!("server-error"), json!(7)] {
        let mut exchange = read(&mut run, 1);
        let error = json!({"code": -32600, "message": CANARY});
        let refused = json!({"jsonrpc": "2.0", "id": id, "error": error});
        exchange.server(400, &kind, refused.to_string().as_bytes());
        assert_eq!(exchange.head().status, 400);
        let error = json!({"code": -32600, "message": MASKED});
        let told = json!({"jsonrpc": "2.0", "id": 1, "error": error});
        assert_eq!(exchange.message(), told, "{id}");

        let mut exchange = read(&mut run, 1);
        let result = json!({"jsonrpc": "2.0", "id": id, "result": {"contents": []}});
        exchange.server(400, &kind, result.to_string().as_bytes());
        assert_eq!(exchange.message()["error"]["code"], 502, "{id}");
    }
}

#[test]
fn what_is_too_long_is_cut() {
    let mut run = Run::new(STATELESS, task());
    let mut exchange = read(&mut run, 1);
    exchange.begin(200, &[("content-type", "application/json")]);
    for _ in 0..17 {
        exchange.part(&vec![b' '; 1024 * 1024]);
    }
    assert!(exchange.done);
    assert!(exchange.told().contains("too long"));

    let body = vec![b' '; 5 * 1024 * 1024];
    let fields = run.fields(&Value::Null);
    let mut bytes = BytesMut::new();
    bhttp::put_content(&mut bytes, &body);
    let mut exchange = run.send("POST", &fields, &body);
    assert!(exchange.refusal().contains("longer than"));
    exchange.deny();
    assert_eq!(exchange.head().status, 413);
}
