//! Clients as agents have them: in `bailiwick run`, by the file of servers that it names.

use bailiwick_tests::{
    Finished, McpClient, McpServer, World, bailiwick, confinement, finish, mcp_client,
};
use serde_json::{Value, json};

use crate::kit::{Client, Said, Server, TRIAGE, call, calls, pinned};

/// Reads the file as a client does, and starts the client behind it with what it says of the helpdesk.
const BY_FILE: &str = r#"
import json, os, sys
server = json.load(open(os.environ["BAILIWICK_MCP_CONFIG"]))["mcpServers"]["helpdesk"]
assert server["type"] == "http", server
headers = [word for name, value in server["headers"].items() for word in ("--header", f"{name}: {value}")]
os.execvp(sys.argv[1], [*sys.argv[1:-1], "--url", server["url"], *headers, sys.argv[-1]])
"#;

fn steps() -> Value {
    json!([
        {"do": "tools"},
        call("add_comment", json!({"ticket": 7, "text": "seen", "visibility": "internal"})),
        call("add_comment", json!({"ticket": 7, "text": "leak", "visibility": "public"})),
        call("delete_ticket", json!({"id": 7})),
        call("lookup_customer", json!({"customer": "ada"})),
    ])
}

/// The words of a client with these options, and its environment.
fn words((sdk, era): Client, options: &[&str]) -> (Vec<String>, Vec<(String, String)>) {
    let mut client = mcp_client(sdk);
    client
        .args(options)
        .args(["--era", era])
        .arg(steps().to_string());
    let text = |text: &std::ffi::OsStr| text.to_str().expect("UTF-8").to_owned();
    let words = std::iter::once(client.get_program()).chain(client.get_args());
    let environment = client.get_envs();
    (
        words.map(text).collect(),
        environment
            .filter_map(|(name, value)| Some((text(name), text(value?))))
            .collect(),
    )
}

#[track_caller]
fn check(world: &World, server: &Server, ran: &Finished, mark: usize) {
    let said = Said::of(ran);
    let why = said.failed(3);
    assert_eq!(said.text(2), "commented on 7", "{said:#?}");
    assert!(why.contains("visibility"), "{why}");
    assert!(said.error(4).contains("delete_ticket"), "{said:#?}");
    assert!(said.text(5).contains("[masked"), "{said:#?}");
    let id = ran
        .stderr
        .split_whitespace()
        .find(|word| word.starts_with("run_"));
    let trail = world.trail(id.expect("the run's id"));
    assert_eq!(calls(&trail, "tools/call", "seen").len(), 1, "{trail:#?}");
    assert_eq!(calls(&trail, "tools/call", "leak").len(), 1);
    // The stream on which the server may speak ended as it should: with its listener.
    let cut = |entry: &&serde_json::Value| entry["record"]["outcome"]["state"] == "cut";
    assert_eq!(trail.iter().find(cut), None, "{trail:#?}");
    let last = &trail.last().expect("records")["record"];
    assert_eq!(last["type"], "run.closed", "{last:#}");
    assert_eq!(server.journal().calls("add_comment").len(), mark);
    assert!(server.journal().calls("delete_ticket").is_empty());
}

#[test]
fn a_confined_agent_with_the_file_or_the_command() {
    let unconfined = confinement().err();
    for (server, who) in [
        (
            Server::http(McpServer::Python),
            (McpClient::TypeScript1, "2025-11-25"),
        ),
        (
            Server::command(McpServer::TypeScript),
            (McpClient::Python, "2026-07-28"),
        ),
    ] {
        let world = pinned(&server, TRIAGE);
        let program = bailiwick().display().to_string();
        let by_command = json!([program, "mcp", "helpdesk"]).to_string();
        let ways = [
            (vec!["python3", "-c", BY_FILE], vec![]),
            (vec![], vec!["--command", &*by_command]),
        ];
        for (mark, (before, options)) in ways.into_iter().enumerate() {
            let (words, environment) = words(who, &options);
            let mut arguments = vec!["run", "--task", "triage"];
            arguments.extend(unconfined);
            for (name, _) in &environment {
                arguments.extend(["--env", name.as_str()]);
            }
            arguments.push("--");
            arguments.extend(before);
            arguments.extend(words.iter().map(String::as_str));
            let ran = finish(world.command(&arguments).envs(environment.clone()));
            check(&world, &server, &ran, mark + 1);
        }
        world.verify();
    }
}
