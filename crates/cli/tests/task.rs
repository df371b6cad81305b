//! `bailiwick task diff`, `trim` and `suggest`, against a real gateway whose target is not there.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Gateway, Ran, ran};
use serde_json::Value;

const CONFIG: &str = r#"
name = "test/bailiwick"
[listen]
http = "127.0.0.1:0"
[targets.crm]
kind = "http"
url = "http://127.0.0.1:1/api"
"#;

const LOOK: &str = r#"
purpose = "Look at something"
launchers = ["human:*@localhost"]
ttl = "30m"

[[read]]
target = "crm"
requests = ["GET /customers/*", "GET /files"]

[[write]]
target = "crm"
requests = ["POST /notes"]
body = { visibility = "internal" }

[[mask]]
target = "crm"
fields = ["$.email"]
"#;

/// The same but for: a wider read, no writing, something that waits for a person, and nothing masked.
const WIDE: &str = r#"
purpose = "Look at more"
launchers = ["human:*@localhost", "workflow:nightly"]
ttl = "1h"

[[read]]
target = "crm"
requests = ["GET /customers/*", "GET /files", "GET /**"]

[[destroy]]
target = "crm"
requests = ["DELETE /drafts/*"]
approve = "human:boss@localhost"
"#;

fn gateway() -> Gateway {
    Gateway::start_with(CONFIG, &[("look", LOOK), ("wide", WIDE)])
}

fn asked(gateway: &Gateway, command: &[&str]) -> Ran {
    let ran = ran(&mut gateway.ask(command));
    assert_eq!(ran.status, Some(0), "{command:?}: {}", ran.stderr);
    ran
}

/// A run that sends these requests, and has ended.
fn run(gateway: &Gateway, task: &str, requests: &[&str]) -> String {
    let opened = asked(gateway, &["open", "--task", task, "--json"]).stdout;
    let opened: Value = serde_json::from_str(&opened).unwrap();
    let env = |name: &str| opened["env"][name].as_str().unwrap();
    let address = env("BAILIWICK_URL").strip_prefix("http://").unwrap();
    let token = env("BAILIWICK_TOKEN");
    for request in requests {
        let (method, path) = request.split_once(' ').unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!(
            "{method} /crm{path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 "), "{request}: {answer}");
    }
    let run = opened["run"].as_str().unwrap().to_owned();
    asked(gateway, &["close", &run]);
    // What is asked of runs is asked of the index.
    let found = || asked(gateway, &["search", "--json", &run, "run.closed"]).stdout;
    let until = Instant::now() + Duration::from_secs(60);
    while !found().contains("run.closed") {
        assert!(Instant::now() < until, "the index does not come up");
        std::thread::sleep(Duration::from_millis(50));
    }
    run
}

#[test]
fn what_no_run_has_used_is_named_with_its_place() {
    let mut gateway = gateway();
    let none = asked(&gateway, &["task", "trim", "look"]).stdout;
    assert!(none.contains("nothing to go by"), "{none}");

    // One is allowed, though its target is not there; one is denied, and uses nothing.
    run(&gateway, "look", &["GET /customers/7", "POST /notes"]);
    run(&gateway, "wide", &["GET /files"]);
    let trimmed = asked(&gateway, &["task", "trim", "look"]);
    let said = &trimmed.stdout;
    assert!(said.contains("look: 1 run in"), "{said}");
    assert!(!said.contains("GET /customers/*"), "{said}");
    for unused in [
        "look.toml:9:",
        "read-1/GET /files",
        "may send GET /files on crm",
        "look.toml:13:",
        "write-1/POST /notes",
    ] {
        assert!(said.contains(unused), "{unused}: {said}");
    }
    assert!(
        trimmed.stderr.contains("may be needed"),
        "{}",
        trimmed.stderr
    );
    let json = asked(&gateway, &["task", "trim", "look", "--json"]).stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["runs"], 1);
    assert_eq!(json["unused"].as_array().unwrap().len(), 2, "{json:#}");
    assert_eq!(json["used"]["read-1/GET /customers/*"], 1, "{json:#}");

    // Its file says something else by now than the gateway has read.
    let file = gateway.path("tasks/look.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let more = text.replace("\"GET /files\"]", "\"GET /files\", \"GET /more\"]");
    std::fs::write(&file, more).unwrap();
    let behind = ran(&mut gateway.ask(&["task", "trim", "look"]));
    assert_eq!(behind.status, Some(2), "{}", behind.stdout);
    assert!(
        behind.stderr.contains("another version"),
        "{}",
        behind.stderr
    );

    // And once it has, the run counts no more.
    gateway.process.kill().unwrap();
    gateway.process.wait().unwrap();
    gateway.serve();
    let later = asked(&gateway, &["task", "trim", "look"]);
    assert!(later.stdout.contains("look: 0 runs"), "{}", later.stdout);
    assert!(later.stderr.contains("left out: 1"), "{}", later.stderr);
}

#[test]
fn what_a_run_was_denied_is_a_proposal_and_no_more() {
    let gateway = gateway();
    let before = std::fs::read_to_string(gateway.path("tasks/look.toml")).unwrap();
    let requests = [
        "GET /orders",
        "GET /orders",
        "DELETE /customers/7",
        "GET /a%2fb",
    ];
    let denied = run(&gateway, "look", &requests);
    let proposed = asked(&gateway, &["task", "suggest", "last"]);
    let text = &proposed.stdout;
    assert!(text.starts_with("# A proposal"), "{text}");
    assert!(text.contains(&denied), "{text}");
    let table: toml::Table = text.parse().unwrap();
    assert_eq!(table["read"][0]["target"].as_str(), Some("crm"), "{text}");
    assert_eq!(
        table["read"][0]["requests"][0].as_str(),
        Some("GET /orders")
    );
    assert_eq!(table["read"].as_array().unwrap().len(), 1, "{text}");
    assert!(
        table["destroy"][0]["requests"][0]
            .as_str()
            .unwrap()
            .starts_with("DELETE /customers/")
    );
    assert!(
        proposed.stderr.contains("for 1 of 4 denied calls"),
        "{}",
        proposed.stderr
    );
    let after = std::fs::read_to_string(gateway.path("tasks/look.toml")).unwrap();
    assert_eq!(before, after);

    // What is proposed is a task file's own language.
    let whole = format!(
        "task = \"more\"\npurpose = \"More\"\nlaunchers = [\"human:*\"]\nttl = \"5m\"\n{text}"
    );
    std::fs::write(gateway.path("tasks/more.toml"), whole).unwrap();
    let checked = asked(&gateway, &["task", "check", "more", "--offline"]).stdout;
    assert!(checked.contains("may send GET /orders"), "{checked}");

    run(&gateway, "look", &["GET /files"]);
    let nothing = asked(&gateway, &["task", "suggest", "last"]);
    assert_eq!(nothing.stdout, "");
    assert!(
        nothing.stderr.contains("nothing was denied"),
        "{}",
        nothing.stderr
    );
}

#[test]
fn what_one_task_allows_and_another_does_not_is_said_both_ways() {
    let gateway = gateway();
    let said = asked(&gateway, &["task", "diff", "look", "wide"]).stdout;
    let (look, wide) = said.split_once("wide allows, and look does not:").unwrap();
    assert!(
        look.starts_with("look allows, and wide does not:"),
        "{said}"
    );
    assert!(
        look.contains("may send POST /notes (write) on crm, if visibility"),
        "{said}"
    );
    assert!(!look.contains("GET /"), "{said}");
    for only in [
        "may send GET /** on crm",
        "may send DELETE /drafts/* (destroy) on crm once human:boss@localhost approves",
        "may see $.email of what crm answers, masked by the other",
        "may be opened by workflow:nightly",
        "may last for 1h",
    ] {
        assert!(wide.contains(only), "{only}: {said}");
    }
    let same = asked(&gateway, &["task", "diff", "look", "look"]).stdout;
    assert!(
        same.contains("look allows nothing that look does not"),
        "{same}"
    );
    let unknown = ran(&mut gateway.ask(&["task", "diff", "look", "wid"]));
    assert!(
        unknown.stderr.contains("did you mean `wide`?"),
        "{}",
        unknown.stderr
    );
}
