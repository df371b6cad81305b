//! Clients of one run that know nothing of each other, and what they take back.

use super::*;

fn call(run: &mut Run, id: i64) -> Exchange {
    run.call(id, "resources/read", json!({"uri": "ticket://5"}))
}

/// What the server really gets, with the gateway's own names in it.
fn raw(held: &Held) -> Value {
    let mut reader = Reader::default();
    reader.push(&held.bytes);
    let mut body = Vec::new();
    while let Some(part) = reader.next().unwrap() {
        if let Part::Content(bytes) = part {
            body.extend_from_slice(&bytes);
        }
    }
    serde_json::from_slice(&body).unwrap()
}

/// A client of a server that has no sessions.
fn begin(run: &mut Run) -> Exchange {
    run.session = None;
    let body = json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {}},
    });
    let mut exchange = run.post(&body);
    exchange.allow();
    let result = json!({"protocolVersion": LEGACY, "capabilities": {}, "serverInfo": {}});
    exchange.answers(&json!({"jsonrpc": "2.0", "id": 0, "result": result}));
    exchange
}

fn cancel(run: &mut Run, id: i64) -> Exchange {
    run.post(&json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id},
    }))
}

#[test]
fn the_same_id_at_the_same_time_is_two_requests() {
    for version in [STATELESS, LEGACY] {
        let mut run = Run::new(version, task());
        let mut one = call(&mut run, 1);
        let mut two = call(&mut run, 1);
        let ids = [&one, &two].map(|exchange| raw(exchange.asked())["id"].clone());
        assert_ne!(ids[0], ids[1]);
        for (exchange, id) in [&one, &two].into_iter().zip(&ids) {
            assert_eq!(*id, json!(exchange.alias));
        }
        one.allow();
        two.allow();
        // A server that mixes them up is not believed.
        let result = |uri: &str| json!({"contents": [{"uri": uri, "text": "x"}]});
        let kind = [("content-type", "application/json")];
        let mixed = json!({"jsonrpc": "2.0", "id": ids[1], "result": result("ticket://2")});
        one.server(200, &kind, mixed.to_string().as_bytes());
        assert_eq!(one.head().status, 502);
        assert!(!one.text().contains("ticket://2"));
        // Nor one that goes by the number alone.
        let mut three = call(&mut run, 1);
        three.allow();
        let bare = json!({"jsonrpc": "2.0", "id": 1, "result": result("ticket://3")});
        three.server(200, &kind, bare.to_string().as_bytes());
        assert_eq!(three.head().status, 502);
        two.server(200, &kind, mixed.to_string().as_bytes());
        assert_eq!(
            two.message(),
            json!({"jsonrpc": "2.0", "id": 1, "result": result("ticket://2")})
        );
    }
}

#[test]
fn progress_is_for_whom_it_is() {
    let ask = |run: &mut Run| {
        let mut body = run.request(1, "resources/read", json!({"uri": "ticket://5"}));
        body["params"]["_meta"]["progressToken"] = json!(7);
        let mut exchange = run.post(&body);
        let sent = raw(exchange.asked());
        exchange.allow();
        exchange.begin(200, &[("content-type", "text/event-stream")]);
        (exchange, sent["params"]["_meta"]["progressToken"].clone())
    };
    let progress = |token: &Value| json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}});
    let mut run = Run::new(STATELESS, task());
    let (mut one, token) = ask(&mut run);
    let (two, other) = ask(&mut run);
    assert_eq!(token, json!(one.alias));
    assert_eq!(other, json!(two.alias));
    for (token, is_shown) in [(&token, true), (&other, false), (&json!(7), false)] {
        let before = one.messages().len();
        one.part(format!("data: {}\n\n", progress(token)).as_bytes());
        assert_eq!(one.messages().len() > before, is_shown, "{token}");
    }
    assert_eq!(one.messages(), [progress(&json!(7))]);
    // In a session of the server's own, tokens are its client's alone.
    let mut run = Run::with_session(task());
    let (mut one, token) = ask(&mut run);
    assert_eq!(token, 7);
    one.says(&progress(&json!(7)));
    assert_eq!(one.messages(), [progress(&json!(7))]);
    let mut body = run.request(9, "resources/read", json!({"uri": "ticket://5"}));
    body["params"]["_meta"] = json!({"progressToken": [1]});
    assert!(run.post(&body).refusal().contains("progress token"));
}

#[test]
fn a_subscription_has_its_own_name() {
    let mut run = Run::new(STATELESS, task());
    let filter = json!({"notifications": {"resourceSubscriptions": ["ticket://5"]}});
    let mut exchange = run.call(4, "subscriptions/listen", filter);
    exchange.allow();
    exchange.begin(200, &[("content-type", "text/event-stream")]);
    let changed = |id: Value| json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "ticket://5", "_meta": {"io.modelcontextprotocol/subscriptionId": id}}});
    exchange.says(&changed(json!(exchange.alias)));
    let over = |id: Value| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    exchange.says(&over(json!(exchange.alias)));
    assert_eq!(exchange.messages(), [changed(json!(4)), over(json!(4))]);
}

#[test]
fn clients_of_a_server_without_sessions_are_told_apart() {
    let mut run = Run::new(LEGACY, task());
    let clients = [begin(&mut run), begin(&mut run)];
    let sessions = clients.map(|exchange| exchange.field("mcp-session-id").unwrap());
    assert_ne!(sessions[0], sessions[1]);
    let mut held = Vec::new();
    for session in &sessions {
        run.session = Some(session.clone());
        let exchange = call(&mut run, 1);
        assert_eq!(exchange.asked().call.refusal, None);
        held.push(exchange);
    }
    // The server hears nothing of them.
    held[0].allow();
    let (head, _) = held[0].request();
    assert_eq!(bhttp::field(&head.fields, "mcp-session-id"), None);
    held[0].answers(&json!({"jsonrpc": "2.0", "id": 1, "result": {"contents": []}}));
    assert_eq!(held[0].message()["id"], 1);
    // One takes back what is its own, and its own alone: the other's has the same id.
    run.session = Some(sessions[0].clone());
    let mut late = cancel(&mut run, 1);
    late.allow();
    assert_eq!((late.cancelled.len(), late.head().status), (0, 202));
    assert!(late.is_silent());
    run.session = Some(sessions[1].clone());
    let mut own = cancel(&mut run, 1);
    own.allow();
    assert!(own.cancelled == [CancelKey([4; 8])]);
    assert!(own.is_silent() && own.is_whole());
    // It ends its session with the gateway, which the server has no part in.
    let fields = run.fields(&Value::Null);
    let mut end = run.send("DELETE", &fields, b"");
    end.allow();
    assert!(end.is_silent());
    assert_eq!(end.head().status, 200);
    let after = call(&mut run, 2);
    assert!(after.refusal().contains("no such session"));
    run.session = Some(sessions[0].clone());
    assert_eq!(call(&mut run, 2).asked().call.refusal, None);
}

#[test]
fn no_server_makes_a_session_of_the_gateways() {
    let mut run = Run::new(LEGACY, task());
    let theirs = begin(&mut run).field("mcp-session-id").unwrap();
    run.session = None;
    let params = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {}});
    let mut exchange = run.call(1, "initialize", params);
    exchange.allow();
    exchange.begin(
        200,
        &[
            ("content-type", "application/json"),
            ("mcp-session-id", &theirs),
        ],
    );
    assert_eq!(exchange.head().status, 502);
}

#[test]
fn what_is_at_the_server_is_cancelled_there_by_the_name_it_has_there() {
    let mut run = Run::with_session(task());
    let mut asked = call(&mut run, 1);
    asked.allow();
    let mut notice = cancel(&mut run, 1);
    assert_eq!(raw(notice.asked())["params"]["requestId"], asked.alias);
    notice.allow();
    assert!(notice.cancelled.is_empty());
    notice.server(202, &[], b"");
    assert_eq!(notice.head().status, 202);
    // What is not known any more, or never was, is nobody's.
    asked.answers(&json!({"jsonrpc": "2.0", "id": 1, "result": {"contents": []}}));
    drop(asked);
    for id in [1, 2] {
        let mut notice = cancel(&mut run, id);
        notice.allow();
        assert!(notice.is_silent() && notice.cancelled.is_empty());
        assert_eq!(notice.head().status, 202);
    }
    let nothing = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}});
    assert!(run.post(&nothing).refusal().contains("names no request"));
}

#[test]
fn what_is_taken_back_while_the_gateway_looks_is_not_asked_for() {
    let mut run = Run::with_session(task());
    let mut asked = run.call(1, "tools/call", json!({"name": "list_tickets"}));
    let mut notice = cancel(&mut run, 1);
    notice.allow();
    assert_eq!(notice.cancelled.len(), 1);
    asked.lists(&[tool("list_tickets", "Lists.")]);
    assert!(asked.refusal().contains("taken back"));
    asked.deny();
    assert!(asked.told().contains("taken back"));
    assert!(asked.is_silent());
}

#[test]
fn without_a_session_nobody_cancels_anything_by_an_id() {
    for version in [STATELESS, LEGACY] {
        let mut run = Run::new(version, task());
        let mut one = call(&mut run, 1);
        one.allow();
        let mut body = run.request(0, "notifications/cancelled", json!({"requestId": 1}));
        body.as_object_mut().unwrap().remove("id");
        let mut notice = run.post(&body);
        notice.allow();
        assert!(notice.is_silent() && notice.cancelled.is_empty());
        assert_eq!(notice.head().status, 202, "{version}");
    }
}

#[test]
fn a_response_on_another_stream_has_the_agents_own_id() {
    let mut run = Run::with_session(task());
    let mut asked = call(&mut run, 5);
    asked.allow();
    asked.streams(&[json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {}})]);
    let alias = asked.alias.clone();
    drop(asked);
    let fields = run.fields(&Value::Null);
    let mut stream = run.send("GET", &fields, b"");
    stream.allow();
    stream.streams(&[json!({"jsonrpc": "2.0", "id": alias, "result": {"contents": []}})]);
    assert_eq!(
        stream.messages(),
        [json!({"jsonrpc": "2.0", "id": 5, "result": {"contents": []}})]
    );
}
