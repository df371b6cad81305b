//! Servers that do what none by an SDK does.

use std::path::Path;
use std::time::Duration;

use bailiwick_tests::{McpClient, World, eventually, python_web};
use serde_json::{Value, json};

use crate::kit::{Client, Face, call, calls, client, finished, section_of_command, start};

const TASK: &str = "[[write]]\ntarget = \"helpdesk\"\n\
    tools = [\"large\", \"die\", \"spawn\", \"secrets\", \"mumble\", \"twice\", \"late\"]\n";

const WHO: Client = (McpClient::Python, "2025-11-25");

/// A gateway in front of the odd server, and the journal of that.
struct Odd {
    world: World,
    journal: tempfile::TempDir,
}

impl Odd {
    #[track_caller]
    fn start() -> Self {
        let journal = tempfile::tempdir().expect("a temporary folder");
        let server = python_web("odd_mcp.py");
        let words = std::iter::once(server.get_program()).chain(server.get_args());
        let words: Vec<String> = words
            .map(|word| word.to_str().expect("UTF-8").to_owned())
            .collect();
        let environment = [
            (
                "JOURNAL".to_owned(),
                journal.path().join("journal").display().to_string(),
            ),
            ("SERVER_KEY".to_owned(), "${SERVER_SECRET}".to_owned()),
        ];
        let section = section_of_command(
            "helpdesk",
            &words,
            environment.iter().map(|(name, value)| (name, value)),
        );
        // `task pin` reads the configuration, and so needs its variables.
        let builder = World::builder()
            .section(&section.replace("\"${SERVER_SECRET}\"", "\"${HELPDESK_TOKEN}\""))
            .variable("HELPDESK_TOKEN", bailiwick_tests::CREDENTIAL)
            .variable("SERVER_OTHER", "not-for-programs")
            .task(bailiwick_tests::http_task("triage", TASK));
        Self {
            world: start(builder),
            journal,
        }
    }

    fn journal(&self) -> String {
        std::fs::read_to_string(self.journal.path().join("journal")).unwrap_or_default()
    }
}

fn runs(pid: u64) -> bool {
    // Also one that nobody has waited for is over.
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    Path::new(&format!("/proc/{pid}")).exists() && !state.contains(") Z ")
}

#[track_caller]
fn pids(text: &str) -> Vec<u64> {
    serde_json::from_str(text).expect("process ids")
}

/// What a server has started goes when its run does, however that is, and not before.
#[test]
fn a_run_leaves_no_processes() {
    let odd = Odd::start();
    let steps = json!([call("spawn", json!({})), call("secrets", json!({}))]);
    for how in ["close", "revoke"] {
        let run = odd.world.open("triage");
        let said = client(
            &odd.world,
            &run,
            (McpClient::Python, "2025-11-25"),
            Face::Stdio,
            &steps,
        );
        let pids = pids(said.text(1));
        assert_eq!(pids.len(), 2);
        let secrets: Value = serde_json::from_str(said.text(2)).expect("JSON");
        assert!(secrets["SERVER_KEY"].is_string(), "{secrets}");
        assert_eq!(
            secrets.as_object().map(serde_json::Map::len),
            Some(1),
            "{secrets}"
        );
        odd.world.bailiwick(&[how, &run.id]).ok();
        eventually("they are gone", Duration::from_secs(5), || {
            (!pids.iter().any(|pid| runs(*pid))).then_some(())
        });
    }
    // Two runs have two servers, and the end of one is not that of the other.
    let (one, two) = (odd.world.open("triage"), odd.world.open("triage"));
    let curl = |run: &bailiwick_tests::Run| {
        let begun = crate::raw::post(&odd.world, run, &[], crate::raw::INITIALIZE);
        let session = begun.field("mcp-session-id").expect("a session");
        crate::raw::initialized(&odd.world, run, &session);
        let headers = [
            format!("Mcp-Session-Id: {session}"),
            "MCP-Protocol-Version: 2025-11-25".into(),
        ];
        let body = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "spawn", "arguments": {}}});
        let answer = crate::raw::post(&odd.world, run, &headers, &body.to_string());
        let data = answer
            .body
            .lines()
            .find_map(|line| line.strip_prefix("data: "));
        let message: Value = serde_json::from_str(data.unwrap_or(&answer.body)).expect("JSON");
        pids(
            message["result"]["content"][0]["text"]
                .as_str()
                .expect("text"),
        )
    };
    let (first, second) = (curl(&one), curl(&two));
    odd.world.bailiwick(&["close", &one.id]).ok();
    eventually("they are gone", Duration::from_secs(5), || {
        (!first.iter().any(|pid| runs(*pid))).then_some(())
    });
    assert!(second.iter().all(|pid| runs(*pid)), "{second:?}");
    let mut odd = odd;
    odd.world.stop();
    eventually("they are gone", Duration::from_secs(5), || {
        (!second.iter().any(|pid| runs(*pid))).then_some(())
    });
}

/// A server that dies in the middle: the caller is told, it is on record, and the next client gets another.
#[test]
fn a_server_that_dies() {
    let odd = Odd::start();
    let run = odd.world.open("triage");
    for who in [WHO, (McpClient::TypeScript1, "2025-11-25")] {
        let said = client(
            &odd.world,
            &run,
            who,
            Face::Http,
            &json!([call("die", json!({}))]),
        );
        said.error(1);
        let said = client(
            &odd.world,
            &run,
            who,
            Face::Stdio,
            &json!([call("mumble", json!({}))]),
        );
        assert_eq!(said.text(1), "mumbled");
    }
    let trail = finished(&odd.world, &run);
    for died in calls(&trail, "tools/call", "die") {
        let outcome = trail
            .iter()
            .find(|entry| entry["record"]["of"] == died["seq"]);
        let outcome = &outcome.expect("an outcome")["record"]["outcome"];
        assert_ne!(outcome["state"], "ok", "{outcome:#}");
    }
    odd.world.verify();
}

/// A result of twenty megabytes is more than is held for looking into: it is refused, and so is whatever else this
/// session asks, because nobody knows where in it the next message begins. Another session does well.
#[test]
fn a_result_that_is_too_large() {
    let odd = Odd::start();
    let run = odd.world.open("triage");
    let large = |size: u64| call("large", json!({"size": size}));
    let steps = json!([large(1_000_000), large(20_000_000)]);
    for face in [Face::Http, Face::Stdio] {
        let said = client(&odd.world, &run, WHO, face, &steps);
        assert_eq!(said.text(1).len(), 1_000_000);
        let error = said.error(2);
        assert!(error.len() < 2_000, "{}", error.len());
        assert!(
            error.contains("502") && error.contains("helpdesk"),
            "{error}"
        );
        let said = client(&odd.world, &run, WHO, face, &json!([large(10)]));
        assert_eq!(said.text(1).len(), 10);
    }
    let trail = finished(&odd.world, &run);
    for call in calls(&trail, "tools/call", "20000000") {
        let outcome = trail
            .iter()
            .find(|entry| entry["record"]["of"] == call["seq"]);
        let outcome = &outcome.expect("an outcome")["record"]["outcome"];
        assert_ne!(outcome["state"], "ok", "{outcome:#}");
    }
    assert!(odd.journal().contains("20000000"));
    odd.world.verify();
}

/// A second answer under one id reaches nobody, and a tool that has changed without a word is found out at the
/// next look.
#[test]
fn a_server_that_lies() {
    let odd = Odd::start();
    let run = odd.world.open("triage");
    let steps = json!([
        call("twice", json!({})), call("mumble", json!({})), call("late", json!({})),
        {"do": "tools"}, call("late", json!({})), call("mumble", json!({})),
    ]);
    let said = client(&odd.world, &run, WHO, Face::Http, &steps);
    assert_eq!(said.text(1), "once");
    assert_eq!(said.text(2), "mumbled");
    assert_eq!(said.text(3), "done");
    assert!(
        !said.ok(4).to_string().contains("evil.example"),
        "{said:#?}"
    );
    assert!(said.failed(5).contains("changed"), "{said:#?}");
    assert_eq!(said.text(6), "mumbled");
    assert_eq!(odd.journal().matches("\"late\"").count(), 1);
    finished(&odd.world, &run);
    odd.world.verify();
}
