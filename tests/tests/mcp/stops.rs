//! A gateway that stops lets calls of tools end, or says why not, however clients and servers are reached; and leaves
//! no server of its own behind.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use bailiwick_tests::{McpClient, McpServer, World, eventually, finish, python_web, signal};
use serde_json::json;

use crate::kit::{
    Client, Face, Said, Server, TRIAGE, before, call, calls, command, finished, pin,
    section_of_command,
};

const TASK: &str = "[[write]]\ntarget = \"helpdesk\"\ntools = [\"wait\", \"spawn\", \"large\"]\n";

const WHO: Client = (McpClient::Python, "2025-11-25");

const LONG: Duration = Duration::from_secs(60);

/// A gateway that waits so long when it stops, with a server that it starts itself.
fn start(journal: &Path, stop_within: &str) -> World {
    let server = python_web("odd_mcp.py");
    let words = std::iter::once(server.get_program()).chain(server.get_args());
    let words = words.map(|word| word.to_str().expect("UTF-8").to_owned());
    let words: Vec<String> = words.collect();
    let environment = ("JOURNAL".to_owned(), journal.display().to_string());
    let environment = [(&environment.0, &environment.1)];
    let builder = World::builder()
        .section(&section_of_command("helpdesk", &words, environment))
        .top(&format!("stop_within = {stop_within:?}"))
        .variable("HELPDESK_TOKEN", bailiwick_tests::CREDENTIAL)
        .task(bailiwick_tests::http_task("triage", TASK));
    crate::kit::start(builder)
}

/// A gateway that is told to stop while a tool takes so long, and what a client heard of that.
fn stopped(face: Face, stop_within: &str, seconds: u32) -> (World, bailiwick_tests::Run, Said) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let journal = folder.path().join("journal");
    let mut world = start(&journal, stop_within);
    let run = world.open("triage");
    let steps = json!([
        call("spawn", json!({})),
        call("wait", json!({"seconds": seconds})),
        call("large", json!({"size": 10}))
    ]);
    let mut client = command(&world, &run, WHO, face, &steps);
    let said = thread::spawn(move || Said::of(&finish(&mut client)));
    eventually("the tool has begun", LONG, || {
        let calls = std::fs::read_to_string(&journal).unwrap_or_default();
        calls.contains("\"wait\"").then_some(())
    });
    signal(world.pid(), "TERM");
    let said = said.join().expect("a client");
    world.ended();
    let pids: Vec<u64> = serde_json::from_str(said.text(1)).expect("process ids");
    for pid in pids {
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat"));
        eventually("the server is gone, and what it has started", LONG, || {
            state()
                .map_or(true, |state| state.contains(") Z "))
                .then_some(())
        });
    }
    world.serve();
    (world, run, said)
}

#[test]
fn a_tool_that_runs_when_the_gateway_stops_may_finish() {
    for face in [Face::Http, Face::Stdio] {
        let (world, run, said) = stopped(face, "50s", 3);
        assert_eq!(said.text(2), "waited", "{face:?}");
        // Nothing comes after it, and whoever asks is told so.
        said.error(3);
        let trail = finished(&world, &run);
        assert_eq!(calls(&trail, "tools/call", "large").len(), 0, "{face:?}");
        world.verify();
    }
}

#[test]
fn a_tool_that_does_not_end_in_time_is_given_up_and_its_caller_told_why() {
    for face in [Face::Http, Face::Stdio] {
        let (world, run, said) = stopped(face, "1s", 50);
        let error = said.error(2);
        assert!(
            error.contains("the gateway is stopping"),
            "{face:?}: {error}"
        );
        let trail = finished(&world, &run);
        let outcome = trail
            .iter()
            .rfind(|entry| entry["record"]["type"] == "call.finished");
        let outcome = outcome.expect("an outcome");
        assert_eq!(outcome["record"]["outcome"]["state"], "cut", "{outcome:#}");
        world.verify();
    }
}

/// What a client only listens to for what may come has no end to wait for.
#[test]
fn a_client_that_only_listens_does_not_hold_up_the_end() {
    let server = Server::http(McpServer::Python);
    for (client, step) in [
        (WHO, json!({"do": "wait", "seconds": 600})),
        (
            (McpClient::Python, "2026-07-28"),
            json!({"do": "listen", "uris": []}),
        ),
    ] {
        for face in [Face::Http, Face::Stdio] {
            let builder = before(&server, TRIAGE).top("stop_within = \"50s\"");
            let mut world = builder.prepare();
            pin(&world, &[]).ok();
            world.serve();
            let run = world.open("triage");
            let steps = json!([{"do": "tools"}, step]);
            let mut listener = command(&world, &run, client, face, &steps);
            let process = listener.stdout(std::process::Stdio::piped()).spawn();
            let mut process = process.expect("a client");
            eventually("it listens", LONG, || {
                let trail = world.trail(&run.id);
                let listens = trail.iter().any(|entry| {
                    let verb = entry["record"]["call"]["verb"].as_str().unwrap_or_default();
                    verb == "GET" || verb == "subscriptions/listen"
                });
                listens.then_some(())
            });
            // What it has asked for besides may still be on its way, and is waited for.
            let since = Instant::now();
            world.stop();
            let waited = since.elapsed() >= Duration::from_secs(50);
            assert!(!waited, "{client:?} {face:?} was waited for");
            let _ = process.kill();
            let _ = process.wait();
            world.serve();
            finished(&world, &run);
            world.verify();
        }
    }
}
