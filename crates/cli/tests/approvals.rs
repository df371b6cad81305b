//! A call of a real, confined child that waits until somebody decides, from the command line.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Child, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Gateway, can_confine, ran, until};
use serde_json::Value;

const CONFIG: &str = r#"
name = "test/bailiwick"
[listen]
http = "127.0.0.1:0"
[groups]
owners = ["human:*@localhost"]
[targets.api]
kind = "http"
url = "http://API"
"#;

const TASK: &str = r#"
purpose = "Tidy up drafts"
launchers = ["human:*@localhost"]
ttl = "5m"
[env]
API_URL = "api"
API_TOKEN = "token:api"
[[write]]
target = "api"
requests = ["POST /drafts"]
approve = "group:owners"
[[destroy]]
target = "api"
requests = ["DELETE /drafts"]
approve = "group:owners"
"#;

/// A gateway before an API that counts what reaches it.
struct Place {
    gateway: Gateway,
    reached: Arc<AtomicUsize>,
}

impl Place {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let reached = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&reached);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = head
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                    .next();
                if first.is_some() {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
                let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\
                              connection: close\r\n\r\ndone";
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        let config = CONFIG.replace("API", &address);
        Self {
            gateway: Gateway::start_with(&config, &[("tidy", TASK)]),
            reached,
        }
    }

    /// A run whose process sends this request and writes what it gets.
    fn agent(&self, method: &str) -> Child {
        let script = format!(
            "curl -sS --max-time 60 -X {method} -H \"Authorization: Bearer $API_TOKEN\" \"$API_URL/drafts\""
        );
        let command = [
            "run", "--task", "tidy", "--reason", "spring", "--", "sh", "-c", &script,
        ];
        let mut command = self.gateway.ask(&command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// The approvals that wait.
    fn waiting(&self) -> Vec<Value> {
        self.lines(&["approvals", "--json"])
    }

    fn lines(&self, command: &[&str]) -> Vec<Value> {
        let listed = ran(&mut self.gateway.ask(command));
        assert_eq!(listed.status, Some(0), "{}", listed.stderr);
        let lines = listed.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The one that waits, once it does.
    fn held(&self) -> Value {
        until("a call waits", || self.waiting().len() == 1);
        self.waiting().remove(0)
    }
}

fn written(agent: Child) -> (String, String) {
    let Output { stdout, stderr, .. } = agent.wait_with_output().unwrap();
    (
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

#[test]
fn a_call_waits_until_somebody_approves_it() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    let agent = place.agent("POST");
    let held = place.held();
    let id = held["id"].as_str().unwrap();
    assert_eq!(held["class"], "write");
    assert_eq!(held["reason"], "spring");
    assert_eq!(place.reached.load(Ordering::SeqCst), 0);

    let table = ran(&mut place.gateway.ask(&["approvals"]));
    for part in [id, "open", "tidy", "POST /drafts", "group:owners"] {
        assert!(table.stdout.contains(part), "{}", table.stdout);
    }
    let page = ran(&mut place.gateway.ask(&["approvals", id, "--words"]));
    for part in [
        "class",
        "write",
        "spring",
        "group:owners",
        "estimate",
        "POST",
    ] {
        assert!(page.stdout.contains(part), "{}", page.stdout);
    }

    // Nobody is at this terminal, so nothing is decided.
    let asked = ran(place.gateway.ask(&["approve", id]).stdin(Stdio::null()));
    assert_eq!(asked.status, Some(2));
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
    assert_eq!(place.waiting().len(), 1);

    let approved = ran(&mut place
        .gateway
        .ask(&["approve", id, "--yes", "--note", "fine"]));
    assert_eq!(approved.status, Some(0), "{}", approved.stderr);
    let said = format!("{id} approved");
    assert!(approved.stdout.starts_with(&said), "{}", approved.stdout);
    assert!(
        approved.stdout.contains(": by human:"),
        "{}",
        approved.stdout
    );
    let (stdout, stderr) = written(agent);
    assert_eq!(stdout, "done", "{stderr}");
    assert_eq!(place.reached.load(Ordering::SeqCst), 1);

    let all = place.lines(&["approvals", "--all", "--json"]);
    assert_eq!(
        (&all[0]["id"], &all[0]["state"]),
        (&held["id"], &"used".into())
    );
    assert_eq!(all[0]["answer"], "fine");
    let again = ran(&mut place.gateway.ask(&["approve", id, "--yes"]));
    assert_eq!(again.status, Some(2));
    assert!(
        again.stderr.contains("nothing to decide"),
        "{}",
        again.stderr
    );
    let trail = place.lines(&["trail", "last", "--json"]);
    let types: Vec<_> = trail
        .iter()
        .map(|record| record["record"]["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        types,
        [
            "run.opened",
            "call.held",
            "approval.decided",
            "call.decided",
            "call.finished",
            "run.closed"
        ]
    );
    assert_eq!(trail[3]["record"]["decision"]["approval"], held["id"]);
}

#[test]
fn a_no_reaches_the_agent_with_its_reason_and_nothing_reaches_the_target() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    let mut follow = place.gateway.ask(&["approvals", "--follow", "--json"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut news = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut news = || serde_json::from_str::<Value>(&news.next().unwrap().unwrap()).unwrap();
    let agent = place.agent("POST");
    let id = place.held()["id"].as_str().unwrap().to_owned();
    let heard = news();
    assert_eq!(
        (&heard["id"], &heard["state"]),
        (&id.as_str().into(), &"open".into())
    );
    let deny = ["deny", &id, "--reason", "not in spring", "--json"];
    let denied = place.lines(&deny).remove(0);
    assert_eq!(denied["state"], "denied");
    let heard = news();
    assert_eq!(
        (&heard["state"], &heard["answer"]),
        (&"denied".into(), &"not in spring".into())
    );
    follow.kill().unwrap();
    follow.wait().unwrap();
    let (stdout, _) = written(agent);
    assert!(stdout.contains("not in spring"), "{stdout}");
    assert_eq!(place.reached.load(Ordering::SeqCst), 0);
}

#[test]
fn the_launcher_does_not_approve_what_destroys_and_a_run_that_ends_waits_for_nobody() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    let mut agent = place.agent("DELETE");
    let id = place.held()["id"].as_str().unwrap().to_owned();
    let approve = ran(&mut place.gateway.ask(&["approve", &id, "--yes"]));
    assert_eq!(approve.status, Some(2));
    for part in ["launched this run", "somebody else", "[groups]"] {
        assert!(approve.stderr.contains(part), "{}", approve.stderr);
    }
    assert_eq!(place.waiting().len(), 1);
    let revoked = ran(&mut place.gateway.ask(&["revoke", "last"]));
    assert_eq!(revoked.status, Some(0), "{}", revoked.stderr);
    agent.wait().unwrap();
    assert!(place.waiting().is_empty());
    let all = place.lines(&["approvals", "--all", "--json"]);
    assert_eq!(all[0]["state"], "lapsed");
    assert_eq!(place.reached.load(Ordering::SeqCst), 0);
}

/// The agent has the binary and knows where the gateway is. That is not enough.
#[test]
fn a_confined_child_cannot_decide() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    let agent = place.agent("POST");
    let id = place.held()["id"].as_str().unwrap().to_owned();
    let binary = env!("CARGO_BIN_EXE_bailiwick");
    let yes = ["approve", id.as_str(), "--yes"];
    let no = ["deny", id.as_str(), "--reason", "x"];
    for attempt in [&["approvals"][..], &yes, &no] {
        let mut command = vec!["run", "--task", "tidy", "--env", "BAILIWICK_CONFIG"];
        command.extend(["--", binary]);
        command.extend(attempt);
        let tried = ran(&mut place.gateway.ask(&command));
        assert_ne!(tried.status, Some(0), "{attempt:?}");
        assert!(tried.stderr.contains("may not read"), "{}", tried.stderr);
    }
    assert_eq!(place.waiting()[0]["state"], "open");
    drop(place.lines(&["deny", &id, "--reason", "done", "--json"]));
    drop(written(agent));
}

#[test]
fn what_is_wrong_with_an_approval_or_the_configuration_is_said() {
    let place = Place::new();
    let none = ran(&mut place.gateway.ask(&["approvals"]));
    assert_eq!(none.status, Some(0));
    assert!(none.stderr.contains("nothing waits"), "{}", none.stderr);
    let wrong = ran(&mut place.gateway.ask(&["approve", "run_x", "--yes"]));
    assert!(
        wrong.stderr.contains("not an approval id"),
        "{}",
        wrong.stderr
    );
    let never = "apr_01JD5K3T9V8Z0W2Y4X6A7B8C9D";
    let unknown = ran(&mut place.gateway.ask(&["deny", never, "--reason", "x"]));
    assert!(unknown.stderr.contains(never), "{}", unknown.stderr);

    let config = std::fs::read_to_string(place.gateway.path("bailiwick.toml")).unwrap();
    for (section, says) in [
        ("decide_within = \"soon\"", "approvals.decide_within"),
        ("use_within = \"25h\"", "\"24h\""),
        ("notify = [\"slack\"]", "no [notify.slack]"),
        ("decide = \"1m\"", "not known"),
    ] {
        let text = format!("{config}[approvals]\n{section}\n");
        let file = place.gateway.path("wrong.toml");
        std::fs::write(&file, text).unwrap();
        let mut command = common::bailiwick();
        let command = command.args(["approvals", "--config"]).arg(&file);
        let refused = ran(command);
        assert_eq!(refused.status, Some(2));
        assert!(refused.stderr.contains(says), "{}", refused.stderr);
    }
}
