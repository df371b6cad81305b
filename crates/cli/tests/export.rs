//! `bailiwick export`, beside a gateway and without one.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use common::{Gateway, bailiwick, ran, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn signal(process: &Child, signal: Signal) {
    let pid = Pid::from_raw(process.id().cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Ends the gateway, so that its checkpoint covers everything.
fn stop(gateway: &mut Gateway) {
    signal(&gateway.process, Signal::TERM);
    assert!(gateway.process.wait().unwrap().success());
}

fn open_and_close(gateway: &Gateway) -> String {
    let opened = ran(&mut gateway.ask(&["open", "--task", "look", "--json"]));
    let opened: Value = serde_json::from_str(&opened.stdout).unwrap();
    let run = opened["run"].as_str().unwrap().to_owned();
    assert_eq!(ran(&mut gateway.ask(&["close", &run])).status, Some(0));
    run
}

fn export(data: &Path, arguments: &[&str]) -> Command {
    let mut command = bailiwick();
    command.args(["export", "--data"]).arg(data).args(arguments);
    command
}

#[track_caller]
fn lines(command: &mut Command) -> Vec<Value> {
    let ran = ran(command);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let lines = ran.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn types(records: &[Value]) -> Vec<&str> {
    let types = records.iter().map(|record| record["type"].as_str());
    types.map(Option::unwrap).collect()
}

#[test]
fn the_log_leaves_as_records_and_as_events() {
    let mut gateway = Gateway::start();
    let first = open_and_close(&gateway);
    let second = open_and_close(&gateway);
    stop(&mut gateway);
    let data = gateway.path("data");
    let records = lines(&mut export(&data, &["--format", "jsonl"]));
    assert_eq!(
        types(&records),
        [
            "gateway.started",
            "run.opened",
            "run.closed",
            "run.opened",
            "run.closed",
            "gateway.stopped"
        ]
    );
    let events = lines(&mut export(&data, &["--format", "ocsf"]));
    assert_eq!(events.len(), records.len());
    let jsonl = ran(&mut export(&data, &["--format", "jsonl"])).stdout;
    for (index, (event, line)) in events.iter().zip(jsonl.lines()).enumerate() {
        assert_eq!(event["metadata"]["sequence"], index);
        assert_eq!(event["raw_data"], line, "not the exact bytes");
    }

    let told = ran(&mut export(&data, &["--format", "jsonl"])).stderr;
    assert!(told.contains("none of it was verified"), "{told}");

    // By the configuration, too, and a run by itself.
    let of_run = ["export", "--format", "jsonl", "--run", &first];
    let of_run = lines(&mut gateway.ask(&of_run));
    assert_eq!(types(&of_run), ["run.opened", "run.closed"]);
    assert!(of_run.iter().all(|record| record["run"] == first.as_str()));
    assert_ne!(first, second);
    let newest = lines(&mut export(&data, &["--format", "jsonl", "--run", "last"]));
    assert_eq!(types(&newest), ["run.opened", "run.closed"]);
    assert!(newest.iter().all(|record| record["run"] == second.as_str()));
    let own = lines(&mut export(
        &data,
        &["--format", "jsonl", "--run", "gateway"],
    ));
    assert_eq!(types(&own), ["gateway.started", "gateway.stopped"]);
}

#[test]
fn a_part_is_named_by_time_or_by_record() {
    let mut gateway = Gateway::start();
    open_and_close(&gateway);
    stop(&mut gateway);
    let data = gateway.path("data");
    let part = |arguments: &[&str]| {
        let mut command = export(&data, &["--format", "jsonl"]);
        let records = lines(command.args(arguments));
        let records = records.iter().map(|record| record["seq"].as_u64().unwrap());
        records.collect::<Vec<_>>()
    };
    assert_eq!(part(&["--since", "#1", "--until", "#3"]), [1, 2]);
    assert_eq!(part(&["--since", "test/bailiwick#3"]), [2]);
    assert_eq!(part(&["--since", "#4"]), Vec::<u64>::new());
    assert_eq!(part(&["--since", "1h"]), [1, 1, 2, 2]);
    assert_eq!(part(&["--until", "1h"]), Vec::<u64>::new());
    assert_eq!(part(&["--since", "2020-01-01T00:00:00+02:00"]).len(), 4);
    for (arguments, complaint) in [
        (["--since", "#5"], "with 5 at least"),
        (["--since", "other#1"], "`other` is another log"),
        (["--since", "1234"], "or a record (#1234)"),
        (["--run", "run_01JD5K3T9V8Z0W2Y4X6A7B8C9D"], "has no run"),
        (["--run", "newest"], "not a run id"),
    ] {
        let refused = ran(export(&data, &["--format", "ocsf"]).args(arguments));
        assert_eq!(refused.status, Some(2), "{arguments:?}");
        assert!(refused.stderr.contains(complaint), "{}", refused.stderr);
        assert_eq!(refused.stdout, "");
    }
    let nowhere = ran(&mut export(Path::new("/usr"), &["--format", "ocsf"]));
    assert_eq!(nowhere.status, Some(2));
}

/// An export that follows the log.
struct Following {
    process: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Following {
    fn start(gateway: &Gateway, arguments: &[&str]) -> Self {
        let mut command = export(&gateway.path("data"), &["--follow", "--format", "jsonl"]);
        let command = command.args(arguments).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            process,
            lines: Some(lines),
        }
    }

    fn next(&mut self) -> Option<Value> {
        let line = self.lines.as_mut()?.next()?.unwrap();
        Some(serde_json::from_str(&line).unwrap())
    }

    fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the export ends", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn following_goes_on_with_the_gateway_and_ends_when_told() {
    let mut gateway = Gateway::start();
    for told in [Signal::TERM, Signal::INT] {
        let mut following = Following::start(&gateway, &[]);
        assert_eq!(following.next().unwrap()["type"], "gateway.started");
        let run = open_and_close(&gateway);
        let opened = loop {
            let record = following.next().unwrap();
            if record["run"] == run.as_str() {
                break record;
            }
        };
        assert_eq!(opened["type"], "run.opened");
        assert_eq!(following.next().unwrap()["type"], "run.closed");
        signal(&following.process, told);
        assert_eq!(following.ended().code(), Some(0));
        assert_eq!(following.next(), None);
    }
    // It does not mind that the gateway stops, or starts again.
    let mut following = Following::start(&gateway, &["--since", "#5"]);
    stop(&mut gateway);
    assert_eq!(following.next().unwrap()["type"], "gateway.stopped");
    assert!(following.process.try_wait().unwrap().is_none());
}

#[test]
fn following_ends_with_its_reader_and_with_its_run() {
    let gateway = Gateway::start();
    let mut following = Following::start(&gateway, &[]);
    following.next().unwrap();
    following.lines = None;
    assert_eq!(following.ended().code(), Some(0), "nobody reads it");

    let run = open_and_close(&gateway);
    let mut following = Following::start(&gateway, &["--run", &run]);
    assert_eq!(following.next().unwrap()["type"], "run.opened");
    assert_eq!(following.next().unwrap()["type"], "run.closed");
    assert_eq!(following.next(), None);
    assert_eq!(following.ended().code(), Some(0));

    let mut following = Following::start(&gateway, &["--until", "0s"]);
    while following.next().is_some() {}
    assert_eq!(following.ended().code(), Some(0), "the end has passed");
}

/// A reader that stands still keeps no signal from being heard.
#[test]
fn a_reader_that_stands_still_holds_nothing_up() {
    let mut gateway = Gateway::start();
    // More than a pipe takes.
    for _ in 0..60 {
        open_and_close(&gateway);
    }
    stop(&mut gateway);
    let mut command = export(&gateway.path("data"), &["--follow", "--format", "ocsf"]);
    let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    signal(&process, Signal::TERM);
    let mut status = None;
    until("the export ends", || {
        status = process.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
}
