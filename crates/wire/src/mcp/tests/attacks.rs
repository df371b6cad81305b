//! What an agent or a server may try.

use super::*;

/// Sends a text, and says why it is refused.
fn refused(run: &mut Run, text: &str) -> (String, Value) {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let fields = run.fields(&body);
    let mut exchange = run.send("POST", &fields, text.as_bytes());
    let why = exchange.refusal().to_owned();
    assert!(exchange.asked().bytes.is_empty());
    exchange.deny();
    assert!(exchange.is_silent());
    (why, exchange.message())
}

#[test]
fn what_could_be_read_in_two_ways_is_not_read() {
    let read = r#""method":"resources/read","params":{"uri":"ticket://5"}"#;
    for (text, why, code) in [
        (format!(r#"[{{"jsonrpc":"2.0","id":1,{read}}}]"#), "a batch", -32600),
        (r#"[]"#.to_owned(), "a batch", -32600),
        (format!(r#"{{"jsonrpc":"2.0","id":1,"id":2,{read}}}"#), "same name", -32700),
        (format!(r#"{{"jsonrpc":"2.0","id":1,"\u0069d":2,{read}}}"#), "same name", -32700),
        (format!(r#"{{"jsonrpc":"2.0","id":1,{read},{read}}}"#), "same name", -32700),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"ticket://5","uri":"ticket://6"}}"#
                .to_owned(),
            "same name",
            -32700,
        ),
        (format!(r#"{{"jsonrpc":"2.0","id":1,{read}}} {{}}"#), "follows", -32700),
        (format!("\u{feff}{{\"jsonrpc\":\"2.0\",\"id\":1,{read}}}"), "byte order mark", -32700),
        (format!(r#"{{"jsonrpc":"2.0","id":1,{read},"extra":1}}"#), "does not have", -32600),
        (format!(r#"{{"jsonrpc":"2.0","id":1,{read},"result":{{}}}}"#), "does not have", -32600),
        (format!(r#"{{"jsonrpc":"1.0","id":1,{read}}}"#), "not JSON-RPC", -32600),
        (format!(r#"{{"id":1,{read}}}"#), "not JSON-RPC", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#.to_owned(), "no text", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#.to_owned(), "no object", -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#.to_owned(), "neither", -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"\ud800":1}}"#.to_owned(), "surrogate", -32700),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"more":1}}"#.to_owned(),
            "a member that the method does not have",
            -32602,
        ),
        ("\"ping\"".to_owned(), "no JSON-RPC message", -32600),
        (format!("{}1{}", "[".repeat(200), "]".repeat(200)), "deeper", -32700),
    ] {
        let mut run = Run::with_session(task());
        let (told, message) = refused(&mut run, &text);
        assert!(told.contains(why), "{text}: {told}");
        assert_eq!(message["error"]["code"], code, "{text}");
    }
    // Tasks are not known here.
    let mut run = Run::with_session(task());
    let params = json!({"name": "list_tickets", "arguments": {}, "task": {"ttl": 1}});
    let exchange = run.call(1, "tools/call", params);
    assert!(
        exchange
            .refusal()
            .contains("a member that the method does not have")
    );
}

#[test]
fn an_id_is_a_plain_one_and_used_once() {
    for id in [
        "null",
        "1.5",
        "1.0",
        "1e3",
        "-0",
        "9007199254740993",
        "1e400",
        "true",
        "[1]",
        "{}",
    ] {
        let mut run = Run::with_session(task());
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let (why, message) = refused(&mut run, &text);
        assert!(why.contains("neither a text nor an integer"), "{id}: {why}");
        assert_eq!(message.get("id"), None);
    }
    let mut run = Run::with_session(task());
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#,
        "x".repeat(300)
    );
    assert!(refused(&mut run, &long).0.contains("id"));

    // In a session once.
    let mut exchange = run.call(1, "ping", json!({}));
    let mut again = run.call(1, "ping", json!({}));
    assert!(again.refusal().contains("no response yet"));
    again.deny();
    assert_eq!(again.message()["id"], 1);
    exchange.allow();
    exchange.answers(&json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
    drop(exchange);
    assert!(
        run.call(1, "ping", json!({}))
            .refusal()
            .contains("used before")
    );
    // `1` is another id than `"1"`.
    let text = json!({"jsonrpc": "2.0", "id": "1", "method": "ping"});
    assert_eq!(run.post(&text).asked().call.refusal, None);
}

#[test]
fn a_tool_is_called_by_its_very_name() {
    for name in [
        "List_tickets",
        "list_tickets ",
        " list_tickets",
        "list_t\u{456}ckets",
        "list_tickets\u{200b}",
        "ｌist_tickets",
        "list_tickets.",
        "list-tickets",
    ] {
        let mut run = Run::new(LEGACY, task());
        let mut exchange = run.call(1, "tools/call", json!({"name": name, "arguments": {}}));
        let resource = &exchange.asked().call.actions[0].resource;
        assert_eq!(resource, &Resource::named(Kind::Tool, name));
        exchange.deny();
        assert_eq!(exchange.head().status, 403);
        let challenge = exchange.field("www-authenticate").unwrap();
        assert!(
            challenge.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{challenge}"
        );
    }
    for name in ["", "a\nb", "a\0b", &"x".repeat(300)] {
        let mut run = Run::new(LEGACY, task());
        let exchange = run.call(1, "tools/call", json!({"name": name}));
        assert!(!exchange.refusal().is_empty(), "{name:?}");
    }
    for params in [
        json!({}),
        json!({"name": ["list_tickets"]}),
        json!({"name": "a", "arguments": []}),
    ] {
        let mut run = Run::new(LEGACY, task());
        assert!(!run.call(1, "tools/call", params).refusal().is_empty());
    }
    // The name in the record is the one that is sent.
    let text =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list\u005ftickets"}}"#;
    let mut run = Run::new(LEGACY, task());
    let fields = run.fields(&Value::Null);
    let mut exchange = run.send("POST", &fields, text.as_bytes());
    exchange.lists(&[tool("list_tickets", "Lists.")]);
    assert_eq!(
        exchange.asked().call.actions[0].resource.name,
        "list_tickets"
    );
}

#[test]
fn a_uri_is_spelled_plainly() {
    for uri in [
        "ticket://5/../6",
        "ticket://5/%2e%2e/6",
        "ticket://5/.%2E/6",
        "ticket://5%2f6",
        "ticket://5\\6",
        "ticket://5/./6",
        "ticket://5\n",
        "ticket://5#6",
        "ticket",
        "://5",
        "",
        "tick\u{435}t://5",
        "ticket://5/..",
        "1a://x",
    ] {
        let mut run = Run::new(LEGACY, task());
        let exchange = run.call(1, "resources/read", json!({"uri": uri}));
        assert!(exchange.refusal().contains("two ways"), "{uri}");
    }
    for uri in [
        "ticket://5",
        "file:///a/b.txt",
        "urn:isbn:1",
        "https://a/b?c=d/..e",
        "ticket://{id}",
    ] {
        let mut run = Run::new(LEGACY, task());
        let exchange = run.call(1, "resources/read", json!({"uri": uri}));
        assert_eq!(exchange.asked().call.refusal, None, "{uri}");
    }
}

#[test]
fn header_and_body_agree() {
    let body = |run: &Run| {
        run.request(
            1,
            "tools/call",
            json!({"name": "list_tickets", "arguments": {}}),
        )
    };
    let change = |name: &'static str, value: Option<&str>| {
        let mut run = Run::new(STATELESS, task());
        let body = body(&run);
        let mut fields = run.fields(&body);
        fields.retain(|(key, _)| *key != name);
        if let Some(value) = value {
            fields.push((name, value.to_owned()));
        }
        let mut exchange = run.send("POST", &fields, body.to_string().as_bytes());
        if exchange.asked.is_empty() {
            exchange.lists(&[tool("list_tickets", "Lists.")]);
        }
        exchange
    };
    for (name, value) in [
        ("mcp-method", None),
        ("mcp-method", Some("tools/list")),
        ("mcp-method", Some("TOOLS/CALL")),
        ("mcp-name", None),
        ("mcp-name", Some("delete_ticket")),
        ("mcp-name", Some("=?base64?ZGVsZXRlX3RpY2tldA==?=")),
        ("mcp-name", Some("=?base64?!!?=")),
        ("mcp-protocol-version", None),
        ("mcp-protocol-version", Some("2025-11-25")),
        ("mcp-param-region", Some("us")),
    ] {
        let mut exchange = change(name, value);
        assert!(
            exchange.refusal().starts_with("Header mismatch"),
            "{name} {value:?}"
        );
        exchange.deny();
        assert_eq!(exchange.head().status, 400);
        assert_eq!(
            exchange.message()["error"]["code"],
            -32020,
            "{name} {value:?}"
        );
        assert_eq!(exchange.message()["id"], 1);
    }
    let good = change("mcp-name", Some("=?base64?bGlzdF90aWNrZXRz?="));
    assert_eq!(good.asked().call.refusal, None);

    let mut unknown = change("mcp-protocol-version", Some("1900-01-01"));
    unknown.deny();
    let error = &unknown.message()["error"];
    assert_eq!(error["code"], -32022);
    assert_eq!(error["data"]["supported"][0], "2026-07-28");
    assert_eq!(error["data"]["requested"], "1900-01-01");

    // A field twice.
    let mut run = Run::new(STATELESS, task());
    let sent = body(&run);
    let mut fields = run.fields(&sent);
    fields.push(("mcp-name", "list_tickets".to_owned()));
    let exchange = run.send("POST", &fields, sent.to_string().as_bytes());
    assert!(exchange.refusal().contains("twice"));
    // The body says nothing of a revision that has to be said there.
    let sent = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let mut exchange = run.post(&sent);
    exchange.deny();
    assert_eq!(exchange.message()["error"]["code"], -32602);
    // Older revisions need none of them; what stands there has to be right all the same.
    let mut run = Run::new(LEGACY, task());
    let sent = body(&run);
    let mut fields = run.fields(&sent);
    fields.push(("mcp-name", "delete_ticket".to_owned()));
    let exchange = run.send("POST", &fields, sent.to_string().as_bytes());
    assert!(exchange.refusal().starts_with("Header mismatch"));
}

#[test]
fn arguments_that_are_repeated_in_the_header_agree_too() {
    let mut definition = tool("list_tickets", "Lists.");
    definition["inputSchema"]["properties"] = json!({
        "region": {"type": "string", "x-mcp-header": "Region"},
        "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}},
    });
    let run = || {
        let mut task = task();
        task.pins.insert("list_tickets".into(), pin(&definition));
        Run::new(STATELESS, task)
    };
    for (arguments, sent, is_good) in [
        (
            json!({"region": "eu", "deep": {"n": 4}}),
            vec![("mcp-param-region", "eu"), ("mcp-param-n", "4")],
            true,
        ),
        (
            json!({"region": "\u{e9}"}),
            vec![("mcp-param-region", "=?base64?w6k=?=")],
            true,
        ),
        (json!({}), vec![], true),
        (json!({"region": null}), vec![], true),
        (json!({"region": "eu"}), vec![], false),
        (
            json!({"region": "eu"}),
            vec![("mcp-param-region", "us")],
            false,
        ),
        (json!({}), vec![("mcp-param-region", "us")], false),
        (
            json!({"region": "eu"}),
            vec![("mcp-param-region", "eu"), ("mcp-param-other", "1")],
            false,
        ),
        (
            json!({"deep": {"n": "4"}, "n": 4}),
            vec![("mcp-param-n", "5")],
            false,
        ),
    ] {
        let mut run = run();
        let body = run.request(
            1,
            "tools/call",
            json!({"name": "list_tickets", "arguments": arguments}),
        );
        let mut fields = run.fields(&body);
        fields.extend(
            sent.iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        let mut exchange = run.send("POST", &fields, body.to_string().as_bytes());
        exchange.lists(std::slice::from_ref(&definition));
        assert_eq!(
            exchange.asked().call.refusal.is_none(),
            is_good,
            "{arguments} {sent:?}"
        );
        if is_good {
            exchange.allow();
            let (head, _) = exchange.request();
            for (name, value) in sent {
                assert_eq!(bhttp::field(&head.fields, name), Some(value.as_bytes()));
            }
        }
    }
    // A definition that repeats them in a way that is not allowed is no definition.
    for properties in [
        json!({"a": {"type": "number", "x-mcp-header": "A"}}),
        json!({"a": {"type": "string", "x-mcp-header": "A b"}}),
        json!({"a": {"type": "string", "x-mcp-header": ""}}),
        json!({"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}}),
        json!({"a": {"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}}),
    ] {
        let mut odd = definition.clone();
        odd["inputSchema"]["properties"] = properties;
        assert!(
            definition_digest(odd.to_string().as_bytes()).is_err(),
            "{odd}"
        );
    }
}

#[test]
fn a_masked_value_is_not_written_back() {
    for arguments in [
        json!({"to": format!("send to {MASKED}")}),
        json!({"a": {(MASKED): 1}}),
    ] {
        for escaped in [false, true] {
            let mut run = Run::new(LEGACY, task());
            let body = run.request(
                1,
                "tools/call",
                json!({"name": "list_tickets", "arguments": arguments}),
            );
            let text = match escaped {
                true => body.to_string().replace("[masked]", "\\u005bmasked]"),
                false => body.to_string(),
            };
            let fields = run.fields(&body);
            let mut exchange = run.send("POST", &fields, text.as_bytes());
            assert!(exchange.refusal().contains("not written back"), "{text}");
            exchange.deny();
            assert_eq!(exchange.message()["result"]["isError"], true);
        }
    }
}

#[test]
fn a_session_of_another_run_is_none() {
    let mut owner = Run::with_session(task());
    let mut thief = Run::new(LEGACY, task());
    thief.session.clone_from(&owner.session);
    let mut exchange = thief.call(1, "ping", json!({}));
    assert!(exchange.refusal().contains("no such session"));
    exchange.deny();
    assert_eq!(exchange.head().status, 404);
    assert_eq!(owner.call(1, "ping", json!({})).asked().call.refusal, None);
    for method in ["GET", "DELETE"] {
        let fields = [("mcp-session-id", "s-1".to_owned())];
        let exchange = thief.send(method, &fields, b"");
        assert!(exchange.refusal().contains("no such session"), "{method}");
    }
    // Nor does one begin in another.
    let params = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {}});
    assert!(
        owner
            .call(2, "initialize", params)
            .refusal()
            .contains("without a session")
    );
}

#[test]
fn a_server_answers_what_was_asked_and_once() {
    let result = |id: Value| json!({"jsonrpc": "2.0", "id": id, "result": {"contents": []}});
    let read = |run: &mut Run, id| {
        let mut exchange = run.call(id, "resources/read", json!({"uri": "ticket://5"}));
        exchange.allow();
        exchange.request();
        exchange
    };
    let kind = [("content-type", "application/json")];
    let other = result(json!(2)).to_string();
    let text = result(json!("1")).to_string();
    let none = json!({"jsonrpc": "2.0", "error": {"code": 1, "message": "x"}}).to_string();
    let notice =
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {}}).to_string();
    let disguised = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let both =
        r#"{"jsonrpc":"2.0","id":1,"result":{"contents":[]},"error":{"code":1,"message":""}}"#;
    let twice = r#"{"jsonrpc":"2.0","id":1,"result":{"contents":[]},"result":{"x":1}}"#;
    let batch = format!("[{}]", result(json!(1)));
    for wrong in [
        &other, &text, &none, &notice, &disguised, both, twice, &batch, "null", "",
    ] {
        let mut run = Run::with_session(task());
        let mut exchange = read(&mut run, 1);
        let alias = |exchange: &Exchange| format!("\"id\":\"{}\"", exchange.alias);
        let sent = wrong.replace("\"id\":1", &alias(&exchange));
        exchange.server(200, &kind, sent.as_bytes());
        assert_eq!(exchange.head().status, 502, "{wrong}");
        let message = exchange.message();
        assert_eq!(
            (&message["id"], &message["error"]["code"]),
            (&json!(1), &json!(502))
        );
        // The same on a stream, where some of these are what they say they are.
        let is_known = *wrong == notice || *wrong == disguised || wrong.is_empty();
        let mut exchange = read(&mut run, 3);
        let wrong = wrong.replace("\"id\":1", &alias(&exchange));
        exchange.begin(200, &[("content-type", "text/event-stream")]);
        exchange.part(format!("data: {wrong}\n\n").as_bytes());
        assert_eq!(exchange.done, !is_known, "{wrong}");
        if !is_known {
            assert_eq!(exchange.message()["error"]["code"], 502, "{wrong}");
        }
    }
    // What comes behind the response is not looked at.
    let mut run = Run::with_session(task());
    let mut exchange = read(&mut run, 1);
    let injected =
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "do this"}});
    exchange.begin(200, &[("content-type", "text/event-stream")]);
    let (one, two) = (result(json!(exchange.alias)), result(json!(exchange.alias)));
    exchange.part(format!("data: {one}\n\ndata: {two}\n\ndata: {injected}\n\n").as_bytes());
    exchange.end();
    assert!(exchange.done && exchange.is_whole());
    assert!(!exchange.text().contains("do this"));
    assert_eq!(exchange.text().matches("contents").count(), 1);
    // A line break within a text does not begin an event of its own.
    let mut exchange = read(&mut run, 2);
    let text = "x\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\r\n\r\n";
    let contents = json!({"contents": [{"uri": "ticket://5", "text": text}]});
    exchange.streams(&[json!({"jsonrpc": "2.0", "id": 2, "result": contents})]);
    assert_eq!(exchange.message()["result"], contents);
    let mut exchange = read(&mut run, 3);
    let progress =
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"message": text}});
    exchange.streams(&[
        progress,
        json!({"jsonrpc": "2.0", "id": 3, "result": contents}),
    ]);
    assert_eq!(exchange.messages().len(), 2);
    assert_eq!(exchange.messages()[1]["result"], contents);
}

#[test]
fn a_request_goes_to_the_server_and_nowhere_else_there() {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    for path in [
        "/helpdesk/admin",
        "/helpdesk?x=1",
        "/helpdesk/..",
        "/helpdesk//",
    ] {
        let mut run = Run::new(LEGACY, task());
        let fields = run.fields(&Value::Null);
        let mut exchange = run.send_to(path, "POST", &fields, body.as_bytes());
        assert!(!exchange.refusal().is_empty(), "{path}");
        exchange.deny();
        assert!(exchange.head().status >= 400 && exchange.is_silent());
    }
    for path in ["/helpdesk", "/helpdesk/"] {
        let mut run = Run::new(LEGACY, task());
        let fields = run.fields(&Value::Null);
        let exchange = run.send_to(path, "POST", &fields, body.as_bytes());
        assert_eq!(exchange.asked().call.refusal, None, "{path}");
    }
    for (name, value) in [
        ("content-type", "text/plain"),
        ("content-type", "application/json; charset=utf-7"),
        ("origin", "http://evil"),
    ] {
        let mut run = Run::new(LEGACY, task());
        let mut fields = run.fields(&Value::Null);
        fields.retain(|(key, _)| *key != name);
        fields.push((name, value.to_owned()));
        let exchange = run.send("POST", &fields, body.as_bytes());
        assert!(!exchange.refusal().is_empty(), "{name}: {value}");
    }
    // Nothing of the agent's that could make it somebody else goes along.
    let mut run = Run::new(LEGACY, task());
    let mut fields = run.fields(&Value::Null);
    for name in [
        "cookie",
        "x-forwarded-for",
        "x-api-key",
        "proxy-authorization2",
        "last-event-id",
    ] {
        fields.push((name, "x".to_owned()));
    }
    let mut exchange = run.send("POST", &fields, body.as_bytes());
    exchange.allow();
    let (head, _) = exchange.request();
    let names: Vec<_> = head.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["accept", "content-type", "mcp-protocol-version"]);
}

#[test]
fn a_stream_goes_on_only_from_what_its_own_client_was_sent() {
    let notice = r#"{"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
    let mut run = Run::with_session(task());
    let mut asked = run.call(1, "resources/read", json!({"uri": "ticket://5"}));
    asked.allow();
    asked.begin(200, &[("content-type", "text/event-stream")]);
    asked.part(
        format!(
            "id: 7\ndata: {notice}\n\nid: {}\ndata:\n\n",
            "x".repeat(300)
        )
        .as_bytes(),
    );
    let long = "x".repeat(300);
    for (event, is_own) in [("7", true), ("8", false), ("6", false), (&*long, false)] {
        let mut fields = run.fields(&Value::Null);
        fields.push(("last-event-id", event.to_owned()));
        let stream = run.send("GET", &fields, b"");
        assert_eq!(stream.asked().call.refusal.is_none(), is_own, "{event}");
    }
    // Nor from another session's.
    run.session = None;
    let mut fields = run.fields(&Value::Null);
    fields.push(("last-event-id", "7".to_owned()));
    let stream = run.send("GET", &fields, b"");
    assert!(stream.refusal().contains("Last-Event-ID"));
}

#[test]
fn only_a_call_of_a_tool_repeats_arguments() {
    let mut run = Run::with_session(task());
    for (method, params) in [
        ("resources/read", json!({"uri": "ticket://5"})),
        ("tools/list", json!({})),
        ("ping", json!({})),
    ] {
        let body = run.request(1, method, params);
        let mut fields = run.fields(&body);
        fields.push(("mcp-param-tenant", "other".to_owned()));
        let exchange = run.send("POST", &fields, body.to_string().as_bytes());
        assert!(exchange.refusal().contains("no arguments"), "{method}");
    }
    let mut fields = run.fields(&Value::Null);
    fields.push(("mcp-param-tenant", "other".to_owned()));
    for method in ["GET", "DELETE"] {
        let exchange = run.send(method, &fields, b"");
        assert!(exchange.refusal().contains("no arguments"), "{method}");
    }
}
