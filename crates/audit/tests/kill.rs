//! After `kill -9` in the middle of work, every record that had a receipt is there.
//!
//! The child is this test binary itself, told by its environment to write.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test"
)]

mod kit;

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bailiwick_audit::{Reader, RunState};
use kit::*;

const CHILD: &str = "BAILIWICK_AUDIT_TEST_WRITE_TO";

/// Not a test by itself: the child's part.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else {
        return;
    };
    let (log, recovered) = open(Path::new(&dir));
    for id in recovered.open_runs {
        let run = (0..100_000).map(run).find(|run| run.id == id).unwrap();
        append(&log, closed(&run));
    }
    let first = std::env::var("FIRST").unwrap().parse::<u64>().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = &log;
            scope.spawn(move || {
                for n in 0.. {
                    let run = run(first + thread * 1000 + n);
                    say(append(log, opened(&run)));
                    for _ in 0..20 {
                        let decided = append(log, with_payload(decided(&run, true), "{\"a\":1}"));
                        let of = decided.seq();
                        say(decided);
                        say(append(log, finished(&run, of)));
                    }
                    say(append(log, closed(&run)));
                }
            });
        }
    });
}

fn say(receipt: bailiwick_audit::Receipt) {
    let line = format!("acked {} {}\n", receipt.id(), receipt.digest());
    // One write per line: a line is whole or not there.
    std::io::stdout().write_all(line.as_bytes()).unwrap();
}

#[test]
fn no_record_with_a_receipt_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut acked: HashSet<(String, String)> = HashSet::new();
    for round in 0..4u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "child_that_writes_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD, dir.path())
            .env("FIRST", (round * 10_000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut acked = Vec::new();
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The test harness writes before the first line.
                let line = line.split_once("acked ").map(|(_, line)| line.to_owned());
                if let Some((id, digest)) = line.as_deref().and_then(|line| line.split_once(' '))
                    && digest.len() == 64
                {
                    acked.push((id.to_owned(), digest.to_owned()));
                }
            }
            acked
        });
        std::thread::sleep(Duration::from_millis(900 + 370 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        acked.extend(reader.join().unwrap());
        assert!(acked.len() > 20, "{}", acked.len());

        // As the crash left it, and after each start.
        let crashed = check(dir.path()).unwrap();
        assert!(crashed.records + crashed.tail >= acked.len() as u64);
    }
    let (log, recovered) = open(dir.path());
    log.close();
    let report = check(dir.path()).unwrap();
    assert_eq!(report.tail, 0);
    assert_eq!(report.runs_open, recovered.open_runs.len() as u64);

    let reader = Reader::open(dir.path()).unwrap();
    let mut stored = HashSet::new();
    for entry in reader.newest(usize::MAX).unwrap() {
        stored.insert((entry.id(), entry.digest().to_string()));
    }
    for record in &acked {
        assert!(stored.contains(record), "{record:?}");
    }
    // Payloads, too: those of the last run that was begun are the likeliest to be missing.
    for run in &recovered.open_runs {
        for entry in reader.run(run).unwrap() {
            if entry.record.payload.is_some() {
                assert_eq!(
                    reader.payload(&entry).unwrap().as_deref(),
                    Some(&b"{\"a\":1}"[..])
                );
            }
        }
        assert_eq!(
            check_run(dir.path(), Some(*run))
                .unwrap()
                .run
                .unwrap()
                .state,
            RunState::Open
        );
    }
}
