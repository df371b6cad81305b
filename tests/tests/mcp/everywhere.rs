//! The same steps by every client, in every revision, over every transport, and the same answers.

use bailiwick_tests::{McpClient, McpServer, Run, World, http_task};
use serde_json::{Value, json};

use crate::kit::{
    CLIENTS, Client, Face, Said, Server, TRIAGE, before, call, calls, client, finished, names,
    start,
};

/// A task for which servers may ask their clients.
const ASKED: &str = r#"
[[write]]
target   = "helpdesk"
tools    = ["escalate", "summarize", "attach_logs"]
unpinned = true
[[write]]
target   = "helpdesk"
features = ["elicitation", "sampling", "roots"]
"#;

fn steps() -> Value {
    let comment = |arguments: Value| call("add_comment", arguments);
    json!([
        {"do": "tools"},
        call("get_ticket", json!({"id": 2})),
        call("lookup_customer", json!({"customer": "ada"})),
        comment(json!({"ticket": 7, "text": "seen", "visibility": "internal"})),
        comment(json!({"ticket": 7, "text": "all cards", "visibility": "public"})),
        comment(json!({"ticket": 7, "text": "for whom?"})),
        call("delete_ticket", json!({"id": 7})),
        {"do": "call", "name": "export_tickets", "progress": true},
        call("summarize", json!({"ticket": 2})),
        call("escalate", json!({"ticket": 2})),
        call("attach_logs", json!({"ticket": 2})),
        {"do": "resources"},
        {"do": "templates"},
        {"do": "read", "uri": "ticket://1"},
        {"do": "read", "uri": "helpdesk://handbook"},
        {"do": "prompts"},
        {"do": "prompt", "name": "triage", "arguments": {"ticket": "7"}},
    ])
}

/// What the client's caller got.
#[track_caller]
fn check_said(said: &Said, (_, revision): Client) {
    assert_eq!(said.ok(0)["protocol"], revision, "{said:#?}");
    let mut tools = names(&said.ok(1)["tools"], "name");
    tools.sort_unstable();
    assert_eq!(
        tools,
        [
            "add_comment",
            "attach_logs",
            "escalate",
            "export_tickets",
            "get_ticket",
            "list_tickets",
            "lookup_customer",
            "summarize"
        ]
    );
    let all = format!("{said:?}");
    for secret in [
        "4111",
        "555 0143",
        "ada@",
        "@post.example",
        "Lovelace",
        "grace@",
    ] {
        assert!(!all.contains(secret), "{secret}: {said:#?}");
    }
    let text = said.text(2);
    assert!(
        text.contains("The card is [masked:card], call [masked:phone]."),
        "{text}"
    );
    let customer = &said.ok(3)["structuredContent"];
    let text: Value = serde_json::from_str(said.text(3)).expect("JSON");
    for customer in [customer, &text] {
        assert_eq!(customer["name"], "[masked]", "{said:#?}");
        assert_eq!(customer["card"], "[masked]", "{said:#?}");
        assert_eq!(
            customer["emails"],
            json!(["[masked:email]", "[masked:email]"])
        );
        assert_eq!(customer["tier"], "gold");
    }
    assert_eq!(said.text(4), "commented on 7");
    for step in [5, 6] {
        let why = said.failed(step);
        assert!(
            why.contains("task triage: visibility has to be \"internal\""),
            "{why}"
        );
    }
    // What the second SDK for TypeScript keeps of a 403 is the scope alone.
    let why = said.error(7);
    assert!(why.contains("delete_ticket"), "{why}");
    assert!(
        why.contains("no grant covers this tool") || why.contains("tools:delete_ticket"),
        "{why}"
    );
    assert!(
        said.text(8).contains("My address is [masked:email]"),
        "{said:#?}"
    );
    assert_eq!(said.count("progress"), 3, "{said:#?}");
    assert_eq!(said.text(9), "summary of 2: sampled by the test");
    assert_eq!(said.count("sampling"), 1, "{said:#?}");
    for (step, feature) in [(10, "elicitation"), (11, "roots")] {
        assert_eq!(said.count(feature), 0, "{said:#?}");
        let step = said.steps[step].to_string();
        let says_no = step.contains("-32021") || step.contains("\"isError\":true");
        assert!(says_no && step.contains(feature), "{feature}: {step}");
    }
    assert_eq!(said.ok(12)["resources"], json!([]));
    assert_eq!(
        names(&said.ok(13)["resourceTemplates"], "uriTemplate"),
        ["ticket://{id}"]
    );
    let text = said.ok(14)["contents"][0]["text"].to_string();
    assert!(text.contains("My address is [masked:email]"), "{text}");
    let why = said.error(15);
    assert!(why.contains("helpdesk://handbook"), "{why}");
    assert_eq!(names(&said.ok(16)["prompts"], "name"), ["triage"]);
    assert!(
        said.ok(17)["messages"][0]["content"]["text"]
            .to_string()
            .contains("ticket 7")
    );
}

/// What is on record.
#[track_caller]
fn check_trail(world: &World, run: &Run) {
    let trail = finished(world, run);
    for (verb, text, effect) in [
        ("tools/call", "get_ticket", "allow"),
        ("tools/call", "lookup_customer", "allow"),
        ("tools/call", "seen", "allow"),
        ("tools/call", "all cards", "deny"),
        ("tools/call", "for whom?", "deny"),
        ("tools/call", "delete_ticket", "deny"),
        ("resources/read", "ticket://1", "allow"),
        ("resources/read", "helpdesk://handbook", "deny"),
        ("prompts/get", "triage", "allow"),
    ] {
        let found = calls(&trail, verb, text);
        let [call] = found[..] else {
            panic!("{verb} {text}: {found:#?} in {trail:#?}");
        };
        assert_eq!(call["record"]["decision"]["effect"], effect, "{call:#}");
        if text == "lookup_customer" {
            let outcome = trail
                .iter()
                .find(|entry| entry["record"]["of"] == call["seq"]);
            let outcome = &outcome.expect("an outcome")["record"]["outcome"];
            assert_eq!(outcome["state"], "ok", "{outcome:#}");
            assert!(outcome["masked"].as_u64() >= Some(4), "{outcome:#}");
        }
    }
}

#[track_caller]
fn check(server: &Server, clients: &[(Client, Face)]) {
    let world = start(before(server, TRIAGE).task(http_task("asked", ASKED)));
    for &(who, face) in clients {
        let heard = server.journal().calls("add_comment").len();
        let run = world.open("triage");
        let said = client(&world, &run, who, face, &steps());
        check_said(&said, who);
        check_trail(&world, &run);
        let comments = server.journal().calls("add_comment");
        assert_eq!(comments.len(), heard + 1, "{comments:#?}");
        assert_eq!(comments[heard]["text"], "seen");
    }
    let journal = server.journal();
    assert!(journal.calls("delete_ticket").is_empty());
    let entries = format!("{:?}", journal.entries());
    assert!(!entries.contains("helpdesk://handbook"), "{entries}");
    assert!(!entries.contains("bwk_"), "a run's secret came through");

    // What a server may ask is for the task to say.
    for (who, face) in [clients[0], clients[clients.len() - 1]] {
        let run = world.open("asked");
        let call = |name: &str| call(name, json!({"ticket": 2}));
        let steps = json!([call("escalate"), call("summarize"), call("attach_logs")]);
        let said = client(&world, &run, who, face, &steps);
        for (step, text) in [
            (1, "escalated 2: asked by the test"),
            (2, "summary of 2: sampled by the test"),
            (3, "attached to 2: file:///nowhere"),
        ] {
            assert_eq!(said.text(step), text, "{who:?} {face:?}: {said:#?}");
        }
        for feature in ["elicitation", "sampling", "roots"] {
            assert_eq!(said.count(feature), 1, "{said:#?}");
        }
        finished(&world, &run);
    }
    world.verify();
}

/// All by HTTP, and some by `bailiwick mcp` too.
fn all() -> Vec<(Client, Face)> {
    let http = CLIENTS.map(|client| (client, Face::Http));
    let stdio = [CLIENTS[0], CLIENTS[4]].map(|client| (client, Face::Stdio));
    [&http[..], &stdio[..]].concat()
}

/// One for each SDK and kind of revision.
fn some() -> Vec<(Client, Face)> {
    vec![
        ((McpClient::Python, "2026-07-28"), Face::Http),
        ((McpClient::TypeScript, "2026-07-28"), Face::Stdio),
        ((McpClient::TypeScript1, "2025-11-25"), Face::Http),
        ((McpClient::TypeScript, "2025-06-18"), Face::Http),
        ((McpClient::Python, "2025-11-25"), Face::Stdio),
    ]
}

#[test]
fn a_server_by_python_at_a_url() {
    check(&Server::http(McpServer::Python), &all());
}

#[test]
fn a_server_by_typescript_at_a_url() {
    check(&Server::http(McpServer::TypeScript), &all());
}

#[test]
fn a_server_by_python_as_a_command() {
    check(&Server::command(McpServer::Python), &some());
}

#[test]
fn a_server_by_typescript_as_a_command() {
    check(&Server::command(McpServer::TypeScript), &some());
}
