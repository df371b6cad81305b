//! A gateway that stops ends connections of HTTP/2 in that protocol's own words.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bailiwick_tests::{Run, World, node_web, signal};
use serde_json::Value;

use crate::kit::{TRIAGE, before_crm, call, finished, mark, outcome};

/// Nothing takes that long.
const LONG: Duration = Duration::from_secs(60);

/// No error (RFC 9113, section 7).
const NO_ERROR: u64 = 0;

/// An agent that speaks HTTP/2.
struct Agent {
    process: Child,
    lines: Receiver<Value>,
}

impl Agent {
    /// One that has asked for these paths at once.
    fn asking(world: &World, run: &Run, paths: &[String]) -> Self {
        let mut command = node_web("http2.mjs");
        let url = world.http("crm");
        let port = url
            .rsplit(':')
            .next()
            .and_then(|rest| rest.split('/').next());
        command.args([port.expect("a port"), run.token()]);
        command.args(paths.iter().map(|path| format!("/crm{path}")));
        let mut process = command.stdout(Stdio::piped()).spawn().expect("Node");
        let output = BufReader::new(process.stdout.take().expect("its output"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).expect("JSON"));
            }
        });
        Self { process, lines }
    }

    /// Waits for something; what came before it is passed over.
    fn until(&self, event: &str) {
        while self.lines.recv_timeout(LONG).expect("it goes on")["event"] != event {}
    }

    /// All that comes up to the end of the connection.
    fn rest(mut self) -> Vec<Value> {
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(LONG) {
            rest.push(line);
        }
        let status = self.process.wait().expect("a child of ours");
        assert!(status.success(), "{rest:#?}");
        assert_eq!(rest.last().expect("an end")["event"], "closed", "{rest:#?}");
        rest
    }
}

/// Where in what came the first of this kind is.
#[track_caller]
fn place(rest: &[Value], event: &str) -> usize {
    let found = rest.iter().position(|line| line["event"] == event);
    found.unwrap_or_else(|| panic!("no {event}: {rest:#?}"))
}

/// It was told to go away, for no fault.
#[track_caller]
fn assert_sent_away(rest: &[Value]) {
    let mut told = rest.iter().filter(|line| line["event"] == "goaway");
    let place = place(rest, "goaway");
    assert!(
        told.all(|line| line["code"] == NO_ERROR),
        "{place}: {rest:#?}"
    );
}

#[test]
fn http2_is_told_to_go_away_and_gets_the_answers_under_way() {
    let mut world = before_crm(TRIAGE).top("stop_within = \"50s\"").start();
    let (run, mark) = (world.open("triage"), mark());
    let idle = Agent::asking(&world, &run, &[]);
    idle.until("settings");
    let asks = |number| format!("/events?count=4&pause=1&q={mark}{number}");
    let busy = Agent::asking(&world, &run, &[asks(1), asks(2)]);
    busy.until("data");
    signal(world.pid(), "TERM");
    assert_sent_away(&idle.rest());
    let rest = busy.rest();
    assert_sent_away(&rest);
    // It hears of it at once, and both answers come to their end after that.
    let ended: Vec<_> = rest
        .iter()
        .filter(|line| line["event"] == "ended")
        .collect();
    assert_eq!(ended.len(), 2, "{rest:#?}");
    assert!(place(&rest, "goaway") < place(&rest, "ended"), "{rest:#?}");
    assert!(
        !rest.iter().any(|line| line["event"] == "broken"),
        "{rest:#?}"
    );
    let last = rest.iter().filter(|line| {
        line["text"]
            .as_str()
            .is_some_and(|text| text.contains("id: 3"))
    });
    assert_eq!(last.count(), 2, "{rest:#?}");
    world.ended();
    world.serve();
    let trail = finished(&world, &run);
    for number in 1..=2 {
        let outcome = outcome(&trail, call(&trail, &format!("{mark}{number}")));
        assert_eq!(outcome["record"]["outcome"]["state"], "ok", "{outcome:#}");
    }
    world.verify();
}

#[test]
fn an_answer_over_http2_that_does_not_end_in_time_is_cut_and_not_taken_for_whole() {
    let mut world = before_crm(TRIAGE).top("stop_within = \"1s\"").start();
    let (run, mark) = (world.open("triage"), mark());
    let path = format!("/events?count=600&pause=0.5&q={mark}");
    let agent = Agent::asking(&world, &run, &[path]);
    agent.until("data");
    signal(world.pid(), "TERM");
    let rest = agent.rest();
    assert_sent_away(&rest);
    assert!(
        !rest.iter().any(|line| line["event"] == "ended"),
        "{rest:#?}"
    );
    world.ended();
    world.serve();
    let trail = finished(&world, &run);
    let outcome = outcome(&trail, call(&trail, &mark));
    assert_eq!(outcome["record"]["outcome"]["state"], "cut", "{outcome:#}");
    world.verify();
}
