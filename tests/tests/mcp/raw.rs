//! What no SDK sends, and what no SDK shows.

use bailiwick_tests::{McpServer, Run, World, command, finish};
use serde_json::{Value, json};

use crate::kit::{Server, TRIAGE, pinned};

/// What begins a session.
pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"curl","version":"1"}}}"#;

/// An answer, as curl shows it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A field of its head.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }

    /// Its content as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:#?}"))
    }
}

/// curl, with nothing but what is said.
#[track_caller]
pub(crate) fn curl(arguments: &[&str], url: &str) -> Answer {
    let mut curl = command("curl");
    curl.args(["--disable", "--silent", "--show-error", "--include"])
        .args(["--path-as-is", "--max-time", "20"])
        .args(arguments)
        .arg(url);
    let finished = finish(&mut curl);
    let (head, body) = finished.stdout.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        status: status.unwrap_or_default(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Posts a message to the target `helpdesk`, as a client of a run does.
#[track_caller]
pub(crate) fn post(world: &World, run: &Run, headers: &[String], message: &str) -> Answer {
    let authorization = format!("Authorization: Bearer {}", run.token());
    let mut arguments = vec![
        "--header",
        &authorization,
        "--header",
        "Content-Type: application/json",
        "--header",
        "Accept: application/json, text/event-stream",
        "--header",
        "Expect:",
        "--data-binary",
        message,
    ];
    for header in headers {
        arguments.extend(["--header", header]);
    }
    curl(&arguments, &world.http("helpdesk"))
}

/// Says that a session has begun.
#[track_caller]
pub(crate) fn initialized(world: &World, run: &Run, session: &str) {
    let headers = [
        format!("Mcp-Session-Id: {session}"),
        "MCP-Protocol-Version: 2025-11-25".into(),
    ];
    let message = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    let answer = post(world, run, &headers, message);
    assert_eq!(answer.status, 202, "{answer:#?}");
}

/// A call of the revision without sessions.
pub(crate) fn modern(id: u64, method: &str, mut params: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "curl", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

/// The headers that go with it.
pub(crate) fn said(version: &str, method: &str, name: &str) -> Vec<String> {
    let mut headers = vec![format!("MCP-Protocol-Version: {version}")];
    if !method.is_empty() {
        headers.push(format!("Mcp-Method: {method}"));
    }
    if !name.is_empty() {
        headers.push(format!("Mcp-Name: {name}"));
    }
    headers
}

#[test]
fn where_a_client_looks_for_a_token() {
    let server = Server::http(McpServer::Python);
    let world = pinned(&server, TRIAGE);
    let run = world.open("triage");
    let heard = server.journal().entries().len();
    let url = world.http("helpdesk");
    let origin = url.trim_end_matches("/helpdesk");
    let metadata = format!("{origin}/.well-known/oauth-protected-resource/helpdesk");

    let content = [
        "--header",
        "Content-Type: application/json",
        "--data-binary",
        INITIALIZE,
    ];
    let answer = curl(&content, &url);
    assert_eq!(answer.status, 401, "{answer:#?}");
    let challenge = answer.field("www-authenticate").expect("a challenge");
    assert_eq!(
        challenge,
        format!("Bearer resource_metadata=\"{metadata}\"")
    );
    assert!(answer.json()["error"]["message"].is_string(), "{answer:#?}");

    let call = modern(
        7,
        "tools/call",
        json!({"name": "delete_ticket", "arguments": {"id": 7}}),
    );
    let headers = said("2026-07-28", "tools/call", "delete_ticket");
    let answer = post(&world, &run, &headers, &call);
    assert_eq!(answer.status, 403, "{answer:#?}");
    let challenge = answer.field("www-authenticate").expect("a challenge");
    for part in [
        "Bearer ",
        "error=\"insufficient_scope\"",
        "scope=\"tools:delete_ticket\"",
        &format!("resource_metadata=\"{metadata}\""),
        "error_description=\"Denied: ",
    ] {
        assert!(challenge.contains(part), "{part}: {challenge}");
    }
    let error = &answer.json();
    assert_eq!(error["id"], 7);
    assert_eq!(error["error"]["code"], 403);
    for part in ["reason", "remedy"] {
        let text = error["error"]["data"][part].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{answer:#?}");
    }

    let answer = curl(&[], &metadata);
    assert_eq!(answer.status, 200, "{answer:#?}");
    let document = answer.json();
    assert_eq!(document["resource"], url);
    assert_eq!(document["bearer_methods_supported"], json!(["header"]));
    // There is nowhere to get one, and nothing that would go through to a target.
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/helpdesk",
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/helpdesk",
        "/register",
        "/authorize",
        "/token",
    ] {
        for method in ["GET", "POST"] {
            let answer = curl(&["--request", method], &format!("{origin}{path}"));
            assert_eq!(answer.status, 404, "{method} {path}: {answer:#?}");
            answer.json();
        }
    }
    assert_eq!(server.journal().entries().len(), heard, "something arrived");
    world.verify();
}

#[test]
fn what_is_not_understood_does_not_arrive() {
    let server = Server::http(McpServer::TypeScript);
    let world = pinned(&server, TRIAGE);
    let run = world.open("triage");
    let call = |arguments: Value| json!({"name": "add_comment", "arguments": arguments});
    let fine = call(json!({"ticket": 7, "text": "odd", "visibility": "internal"}));
    let good = modern(1, "tools/call", fine.clone());
    let name = "add_comment";
    let stated = || said("2026-07-28", "tools/call", name);
    let heard = |server: &Server| server.journal().calls(name).len();
    // The same that is refused below in so many ways is fine as it is.
    let answer = post(&world, &run, &stated(), &good);
    assert_eq!(answer.status, 200, "{answer:#?}");
    assert_eq!(heard(&server), 1);

    let public = good.replace("\"internal\"", "\"internal\",\"visibility\":\"public\"");
    let renamed = good.replace(
        "\"add_comment\"",
        "\"list_tickets\",\"name\":\"add_comment\"",
    );
    let twice = good.replace("\"id\":1", "\"id\":1,\"id\":2");
    for text in [&public, &renamed, &twice] {
        assert_ne!(*text, good);
    }
    let reject: Vec<(&str, Vec<String>, String, u16, i64)> = vec![
        ("a batch", stated(), format!("[{good}]"), 400, -32600),
        (
            "a batch of two",
            stated(),
            format!("[{good},{good}]"),
            400,
            -32600,
        ),
        ("an argument twice", stated(), public, 400, -32700),
        ("a name twice", stated(), renamed, 400, -32700),
        ("an id twice", stated(), twice, 400, -32700),
        ("no JSON", stated(), good[1..].to_owned(), 400, -32700),
        (
            "something behind it",
            stated(),
            format!("{good} {good}"),
            400,
            -32700,
        ),
        (
            "another method in the header",
            said("2026-07-28", "tools/list", name),
            good.clone(),
            400,
            -32020,
        ),
        (
            "no method in the header",
            said("2026-07-28", "", name),
            good.clone(),
            400,
            -32020,
        ),
        (
            "another name in the header",
            said("2026-07-28", "tools/call", "list_tickets"),
            good.clone(),
            400,
            -32020,
        ),
        (
            "no name in the header",
            said("2026-07-28", "tools/call", ""),
            good.clone(),
            400,
            -32020,
        ),
        (
            "another revision in the header",
            said("2025-11-25", "tools/call", name),
            good.clone(),
            400,
            -32020,
        ),
        (
            "a revision that nobody knows",
            said("2024-11-05", "tools/call", name),
            good.clone(),
            400,
            -32022,
        ),
        (
            "an unknown method",
            said("2026-07-28", "tools/destroy", ""),
            modern(1, "tools/destroy", json!({})),
            404,
            -32601,
        ),
        (
            "a method of another revision",
            said("2026-07-28", "resources/subscribe", ""),
            modern(1, "resources/subscribe", json!({"uri": "ticket://7"})),
            404,
            -32601,
        ),
        (
            "params that nobody knows",
            stated(),
            modern(
                1,
                "tools/call",
                json!({"name": name, "arguments": {}, "task": {}}),
            ),
            400,
            -32602,
        ),
    ];
    let count = reject.len();
    for (what, headers, body, status, code) in reject {
        let answer = post(&world, &run, &headers, &body);
        assert_eq!(answer.status, status, "{what}: {answer:#?}");
        assert_eq!(answer.json()["error"]["code"], code, "{what}: {answer:#?}");
    }
    let twice = [stated(), said("2026-07-28", "", name)].concat();
    let answer = post(&world, &run, &twice, &good);
    assert_eq!(answer.status, 400, "header fields twice: {answer:#?}");
    let origin = [stated(), vec!["Origin: https://evil.example".into()]].concat();
    let answer = post(&world, &run, &origin, &good);
    assert_eq!(answer.status, 403, "a page in a browser: {answer:#?}");
    assert_eq!(heard(&server), 1, "{:#?}", server.journal().entries());

    let trail = crate::kit::finished(&world, &run);
    let denied = trail
        .iter()
        .filter(|entry| entry["record"]["decision"]["effect"] == "deny")
        .count();
    assert_eq!(denied, count + 2, "{trail:#?}");
    world.verify();
}

/// Four comments of three megabytes each are fine, and all of them at once are more than is held for looking into.
#[test]
fn a_result_that_is_too_large() {
    let grants = "[[write]]\ntarget = \"helpdesk\"\ntools = [\"add_comment\", \"get_ticket\"]\n";
    for sdk in [McpServer::Python, McpServer::TypeScript] {
        let server = Server::http(sdk);
        let world = pinned(&server, grants);
        let run = world.open("triage");
        let text = "x".repeat(3_000_000);
        let arguments = json!({"ticket": 7, "text": text, "visibility": "internal"});
        let add = modern(
            1,
            "tools/call",
            json!({"name": "add_comment", "arguments": arguments}),
        );
        let file = world.work().join("message");
        std::fs::write(&file, add).expect("a file");
        let get = modern(
            2,
            "tools/call",
            json!({"name": "get_ticket", "arguments": {"id": 7}}),
        );
        for comments in 1..=4 {
            let headers = said("2026-07-28", "tools/call", "add_comment");
            let answer = post(&world, &run, &headers, &format!("@{}", file.display()));
            assert_eq!(answer.status, 200, "{answer:#?}");
            let headers = said("2026-07-28", "tools/call", "get_ticket");
            let answer = post(&world, &run, &headers, &get);
            match comments {
                // Each is in the result twice: as structured content and as text.
                1 | 2 => {
                    assert_eq!(answer.status, 200);
                    assert!(answer.body.len() > 6_000_000 * comments);
                }
                3 | 4 => {
                    assert_eq!(answer.status, 502, "{} bytes", answer.body.len());
                    let error = &answer.json()["error"];
                    assert_eq!(error["code"], 502, "{error}");
                    let why = error["message"].as_str().unwrap_or_default();
                    assert!(why.contains("too long"), "{why}");
                }
                _ => unreachable!(),
            }
        }
        // None the worse for it.
        let small = modern(
            3,
            "tools/call",
            json!({"name": "get_ticket", "arguments": {"id": 1}}),
        );
        let headers = said("2026-07-28", "tools/call", "get_ticket");
        assert_eq!(post(&world, &run, &headers, &small).status, 200);
        crate::kit::finished(&world, &run);
        world.verify();
    }
}
