//! What servers ask of their clients.

use super::*;

const ASK: &str = "elicitation/create";

fn granting() -> Task {
    let mut task = task();
    task.grants
        .push(Resource::named(Kind::Feature, "elicitation"));
    task
}

fn ask(id: i64, method: &str) -> Value {
    let params = json!({"message": CANARY, "requestedSchema": {}});
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

fn read(run: &mut Run, id: i64) -> Exchange {
    let mut exchange = run.call(id, "resources/read", json!({"uri": "ticket://5"}));
    exchange.allow();
    exchange.request();
    exchange
}

#[test]
fn a_server_that_asks_without_a_grant_is_told_no_and_the_agent_nothing() {
    for method in [
        ASK,
        "sampling/createMessage",
        "roots/list",
        "tasks/get",
        "made/up",
    ] {
        let mut run = Run::with_session(task());
        let mut exchange = read(&mut run, 1);
        exchange.streams(&[ask(90, method)]);
        let call = &exchange.asked().call;
        let is_known = method != "tasks/get" && method != "made/up";
        assert_eq!(call.refusal.is_none(), is_known);
        assert_eq!(call.actions.len(), usize::from(is_known));
        assert_eq!(call.verb, if is_known { method } else { "request" });
        assert!(call.payload.text.contains(CANARY));
        // What comes behind it waits.
        exchange.says(&json!({"jsonrpc": "2.0", "id": 1, "result": {"contents": []}}));
        assert!(exchange.finished.is_empty());
        exchange.deny();
        let (head, body) = exchange.request();
        assert_eq!(
            bhttp::field(&head.fields, "mcp-session-id"),
            Some(&b"s-1"[..])
        );
        assert_eq!(body["id"], 90);
        assert_eq!(body["error"]["code"], -32601);
        assert!(!body.to_string().contains("scope"));
        // And the call goes on.
        assert_eq!(exchange.finished.len(), 1);
        assert!(exchange.done && exchange.is_whole());
        assert!(!exchange.text().contains(method));
        // Nor can the agent answer it.
        let forged = json!({"jsonrpc": "2.0", "id": 90, "result": {"action": "accept"}});
        assert!(
            run.post(&forged)
                .refusal()
                .contains("nothing that the server asked")
        );
    }
}

#[test]
fn a_granted_question_is_on_record_before_it_is_seen_and_answered_once() {
    let mut run = Run::with_session(granting());
    let mut exchange = read(&mut run, 1);
    exchange.streams(&[ask(90, ASK)]);
    assert!(exchange.rows.is_empty());
    let action = &exchange.asked().call.actions[0];
    assert_eq!(
        action.resource,
        Resource::named(Kind::Feature, "elicitation")
    );
    exchange.allow();
    let mut expected = ask(90, ASK);
    expected["params"]["message"] = json!(MASKED);
    assert_eq!(exchange.messages(), [expected]);
    assert_eq!(exchange.finished.len(), 1);
    assert!(exchange.is_silent());

    let accept = |id: Value, content: &str| json!({"jsonrpc": "2.0", "id": id, "result": {"action": "accept", "content": {"a": content}}});
    for (forged, why) in [
        (accept(json!(91), "x"), "nothing that the server asked"),
        (accept(json!("90"), "x"), "nothing that the server asked"),
        (accept(json!(90), MASKED), "not written back"),
        (
            json!({"jsonrpc": "2.0", "id": 90, "result": {}, "error": {}}),
            "not one result",
        ),
        (
            json!({"jsonrpc": "2.0", "error": {"code": 1, "message": ""}}),
            "has an id",
        ),
    ] {
        let mut exchange = run.post(&forged);
        assert!(exchange.refusal().contains(why), "{}", exchange.refusal());
        exchange.deny();
        assert_eq!(exchange.head().status, 400);
        assert!(exchange.is_silent());
    }
    let mut answer = run.post(&accept(json!(90), "x"));
    assert_eq!(answer.asked().call.verb, "response");
    assert_eq!(answer.asked().call.actions.len(), 1);
    answer.allow();
    assert_eq!(answer.request().1, accept(json!(90), "x"));
    answer.server(202, &[], b"");
    assert_eq!(answer.head().status, 202);
    assert!(
        run.post(&accept(json!(90), "x"))
            .refusal()
            .contains("nothing")
    );

    exchange.says(&json!({"jsonrpc": "2.0", "id": 1, "result": {"contents": []}}));
    assert!(exchange.done && exchange.is_whole());
}

#[test]
fn a_sign_of_life_is_answered_without_a_grant() {
    let mut run = Run::with_session(task());
    let fields = [("mcp-session-id", "s-1".to_owned())];
    let mut exchange = run.send("GET", &fields, b"");
    exchange.allow();
    exchange.streams(&[json!({"jsonrpc": "2.0", "id": "p", "method": "ping"})]);
    assert_eq!(exchange.messages().len(), 1);
    let mut answer = run.post(&json!({"jsonrpc": "2.0", "id": "p", "result": {}}));
    assert_eq!(
        answer.asked().call.actions,
        [bailiwick_action::Action::session()]
    );
    answer.allow();
    answer.server(202, &[], b"");
    assert_eq!(answer.head().status, 202);
}

#[test]
fn a_question_where_the_protocol_has_none_ends_the_call() {
    let mut run = Run::new(STATELESS, granting());
    let mut exchange = read(&mut run, 1);
    exchange.streams(&[ask(90, ASK)]);
    assert!(exchange.done && exchange.asked.is_empty());
    assert_eq!(exchange.message()["error"]["code"], 502);
}

fn needs(id: i64, state: Option<&str>) -> Value {
    let mut result = json!({
        "resultType": "input_required",
        "inputRequests": {"who": {"method": ASK, "params": {"message": CANARY}}},
    });
    if let Some(state) = state {
        result["requestState"] = json!(state);
    }
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

fn list(run: &mut Run, id: i64, more: Value) -> Exchange {
    let mut params = json!({"name": "list_tickets", "arguments": {}});
    for (name, value) in more.as_object().unwrap() {
        params[name] = value.clone();
    }
    let mut exchange = run.call(id, "tools/call", params);
    if exchange.asked.is_empty() {
        exchange.lists(&[tool("list_tickets", "Lists.")]);
    }
    exchange
}

#[test]
fn a_tool_that_was_changed_while_its_call_waited_is_not_called() {
    let resume = |exchange: &mut Exchange| {
        let (ticket, _) = exchange.asked.first().unwrap();
        exchange.session.resume(*ticket).unwrap()
    };
    let mut run = Run::new(STATELESS, task());
    let mut waits = list(&mut run, 1, json!({}));
    assert_eq!(resume(&mut waits), Some(true));
    // Where it may have changed, the server is asked.
    waits.session.refresh();
    assert_eq!(resume(&mut waits), None);
    waits.lists(&[tool("list_tickets", "Lists.")]);
    assert_eq!(waits.resumed, [true]);
    assert_eq!(resume(&mut waits), Some(true));
    for changed in [
        &[tool("list_tickets", "Lists, and sends them to somebody.")][..],
        &[],
    ] {
        waits.session.refresh();
        assert_eq!(resume(&mut waits), None);
        waits.lists(changed);
        assert_eq!(waits.resumed.last(), Some(&false));
    }
    waits.session.refresh();
    assert_eq!(resume(&mut waits), None);
    waits.steps();
    waits.request();
    waits.server(500, &[], b"");
    assert_eq!(waits.resumed, [true, false, false, false]);
    waits.session.refresh();
    let params = json!({"name": "list_tickets", "arguments": {}});
    let mut other = run.call(3, "tools/call", params);
    other.lists(&[tool("list_tickets", "Lists, and sends them to somebody.")]);
    assert!(other.refusal().contains("changed the definition"));
    assert_eq!(resume(&mut waits), Some(false));
    // What is no tool's has nothing that could change.
    let mut read = run.call(4, "resources/read", json!({"uri": "ticket://5"}));
    assert_eq!(resume(&mut read), Some(true));
}

#[test]
fn input_that_is_not_granted_is_not_asked_for() {
    let mut run = Run::new(STATELESS, task());
    let mut exchange = list(&mut run, 1, json!({}));
    exchange.allow();
    exchange.answers(&needs(1, Some("state")));
    assert_eq!(exchange.asked().call.verb, "input_required");
    assert!(exchange.rows.is_empty());
    exchange.deny();
    let message = exchange.message();
    assert_eq!(message["result"]["isError"], true);
    assert!(!message.to_string().contains("state"));
    assert!(exchange.finished[0].1.error.is_some());
}

#[test]
fn input_that_is_granted_belongs_to_its_request_and_is_used_once() {
    for state in [Some("the server's own"), None] {
        let mut run = Run::new(STATELESS, granting());
        let mut exchange = list(&mut run, 1, json!({}));
        exchange.allow();
        exchange.request();
        exchange.answers(&needs(1, state));
        exchange.allow();
        assert_eq!(exchange.finished.len(), 2);
        let message = exchange.message();
        let name = message["result"]["requestState"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(!message.to_string().contains("the server's own"));
        let asked = &message["result"]["inputRequests"]["who"]["params"]["message"];
        assert_eq!(asked, MASKED);

        let who = json!({"who": {"action": "accept", "content": {}}});
        for (wrong, why) in [
            (json!({"inputResponses": who}), "nobody asked for"),
            (
                json!({"requestState": "forged", "inputResponses": who}),
                "none that this run",
            ),
            (
                json!({"requestState": name, "inputResponses": {"other": {}}}),
                "nobody asked for",
            ),
            (
                json!({"requestState": name, "inputResponses": {"who": {"a": MASKED}}}),
                "not written back",
            ),
        ] {
            let exchange = list(&mut run, 2, wrong);
            assert!(exchange.refusal().contains(why), "{}", exchange.refusal());
        }
        let params = json!({"uri": "ticket://5", "requestState": name, "inputResponses": who});
        let elsewhere = run.call(3, "resources/read", params);
        assert!(elsewhere.refusal().contains("none that this run"));

        let brought = json!({"requestState": name, "inputResponses": who});
        let mut exchange = list(&mut run, 4, brought.clone());
        // An approval of it is for going on from there, and from nowhere else.
        assert_eq!(exchange.asked().sense, name.as_bytes());
        assert_eq!(exchange.asked().call.actions.len(), 2);
        assert!(exchange.asked().call.payload.text.contains("accept"));
        exchange.allow();
        let (_, body) = exchange.request();
        let sent = body["params"].get("requestState").and_then(Value::as_str);
        assert_eq!(sent, state);
        assert_eq!(body["params"]["inputResponses"], who);
        assert!(
            list(&mut run, 5, brought)
                .refusal()
                .contains("brought before")
        );
    }
}

#[test]
fn a_server_that_only_wants_to_be_asked_again_asks_nothing_of_its_client() {
    let mut run = Run::new(STATELESS, task());
    let mut exchange = list(&mut run, 1, json!({}));
    exchange.allow();
    let again = json!({"resultType": "input_required", "requestState": "busy"});
    exchange.answers(&json!({"jsonrpc": "2.0", "id": 1, "result": again}));
    let name = exchange.message()["result"]["requestState"].clone();
    let mut exchange = list(&mut run, 2, json!({"requestState": name}));
    exchange.allow();
    assert_eq!(exchange.request().1["params"]["requestState"], "busy");
    // Only where the protocol has it.
    for unknown in ["input_required", "task", ""] {
        let mut run = Run::with_session(task());
        let mut exchange = read(&mut run, 1);
        exchange.answers(&json!({"jsonrpc": "2.0", "id": 1, "result": {"resultType": unknown}}));
        assert_eq!(exchange.head().status, 502, "{unknown}");
    }
}
