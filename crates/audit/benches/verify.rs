//! How fast a log is verified.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark, which may stop at anything unexpected"
)]

#[path = "../tests/kit/mod.rs"]
mod kit;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use bailiwick_audit::Pending;

const HELP: &str = "\
Measures the verification of a whole log: signature, every record's hash, every tile, the root, the chain of every run.

  cargo bench -p bailiwick-audit --bench verify -- [--records 1000000] [--rounds 5]

The log is written by the first call and kept for later ones: runs of 200 allowed calls with their outcomes, records of
half a KiB on average, no payloads. One thread verifies it, with the log in the page cache after the first round, so the
figures are those of one core. What is printed is the median of the rounds, and the most memory the process had.

The log is kept in BAILIWICK_BENCH_DIR, or else in target/, as verify-RECORDS.";

/// How many records one run has: opened, calls and their outcomes, closed.
const CALLS: u64 = 200;
const RUN: u64 = 2 * CALLS + 2;

fn main() {
    let Some(options) = Options::read() else {
        println!("{HELP}");
        return;
    };
    let dir = options.dir.join(format!("verify-{}", options.records));
    if options.write {
        return write(&dir, options.records);
    }
    let whole = dir.join("whole");
    if !whole.exists() {
        println!("writing a log of {} records, once", options.records);
        // In a process of its own, whose memory does not count.
        let written = Command::new(env::current_exe().unwrap())
            .args(["--write", "--records", &options.records.to_string()])
            .status();
        assert!(written.unwrap().success(), "the log could not be written");
        fs::write(whole, "").unwrap();
    }
    let mut rounds: Vec<Duration> = Vec::new();
    for _ in 0..options.rounds {
        let began = Instant::now();
        let report = kit::check(&dir).unwrap_or_else(|broken| panic!("{broken}"));
        rounds.push(began.elapsed());
        assert_eq!(report.records, options.records);
    }
    rounds.sort();
    let took = rounds.get(rounds.len() / 2).unwrap().as_secs_f64();
    let bytes: u64 = kit::files(&dir.join("log/tile/entries"))
        .iter()
        .map(|bundle| bundle.metadata().unwrap().len())
        .sum();
    println!("records                  {:>10}", options.records);
    println!("seconds                  {took:>10.2}");
    println!(
        "records/s on one core    {:>10.0}",
        options.records as f64 / took
    );
    println!(
        "MB/s of records          {:>10.0}",
        bytes as f64 / 1e6 / took
    );
    println!("peak memory, MB          {:>10.0}", peak_memory() / 1e6);
}

/// Writes the log, with many records on their way at any time.
fn write(dir: &Path, records: u64) {
    if dir.exists() {
        fs::remove_dir_all(dir).unwrap();
    }
    let (log, _) = kit::open(dir);
    let mut waiting = Vec::new();
    for index in 0..records {
        let run = kit::run(index / RUN);
        let last = index + 1 == records;
        waiting.push(log.append(match index % RUN {
            0 => kit::opened(&run),
            at if at == RUN - 1 => kit::closed(&run),
            at if at % 2 == 1 => kit::decided(&run, true),
            of => kit::finished(&run, of),
        }));
        if waiting.len() == 1000 || last {
            waiting.drain(..).for_each(durable);
        }
        if index % 100_000 == 0 {
            // What is not in the tree yet must not become too much.
            log.checkpoint_now().unwrap();
        }
    }
    log.close();
}

fn durable(pending: Pending) {
    pending.wait().unwrap();
}

/// The most memory that this process had at any time, in bytes.
fn peak_memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib * 1024.0
}

struct Options {
    records: u64,
    rounds: usize,
    dir: PathBuf,
    /// Only write the log.
    write: bool,
}

impl Options {
    /// From the command line and the environment; nothing if help is wanted.
    fn read() -> Option<Self> {
        let dir = env::var_os("BAILIWICK_BENCH_DIR");
        let mut options = Self {
            records: 1_000_000,
            rounds: 5,
            dir: dir.map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from),
            write: false,
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                // Cargo says so.
                "--bench" => {}
                "--write" => options.write = true,
                "--records" => options.records = positive(arguments.next())?,
                "--rounds" => options.rounds = positive(arguments.next())? as usize,
                _ => return None,
            }
        }
        Some(options)
    }
}

fn positive(value: Option<String>) -> Option<u64> {
    value?.parse().ok().filter(|value| *value > 0)
}
