//! How fast people are answered: every page while hundreds of runs make thousands of calls a second, over a record of a
//! million entries, and how much memory the gateway takes meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark, which may stop at anything unexpected"
)]

mod agents;
mod asking;
#[expect(dead_code, reason = "the other benchmark also has it as a proxy")]
#[path = "../http/nginx.rs"]
mod nginx;
mod pages;
mod peer;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bailiwick_tests::{World, http_task};
use nginx::Nginx;

const HELP: &str = "\
Measures how fast the API and the console answer beside a load.

  scripts/bench console [--records 1000000] [--runs 200] [--rate 2000] [--seconds 60]

First runs are opened and make calls as fast as they can, until the record has so many entries and the index has them
all. Then every page is asked for with nothing else going on. Then so many runs are open at once and make so many calls
a second between them, each in its own rhythm, one in fifty outside its scope, while every page is asked for in turn.
The target is nginx, which answers from memory; reads wait until the system has their record.

What is printed is the time until an answer is there in full: median, 99th percentile and longest, in milliseconds, idle
and beside the load; and over time the calls that were made, how far the index is behind the record, and the memory of
the gateway. All of it is on this machine, the load and the target too. The disk is that of BAILIWICK_BENCH_DIR, or else
of target/. Let nothing else run.";

/// What is asked for, and what it brings.
const ANSWER: &str = r#"{"id":42,"name":"Anna Berg","plan":"enterprise","email":"anna.berg@example.com","seats":120,"tags":["eu","annual"],"since":"2019-04-01"}"#;

const GRANTS: &str = r#"
[[read]]
target   = "crm"
requests = ["GET /customers/{id}"]
[[read]]
target   = "crm"
requests = ["GET /invoices/{id}"]
[[mask]]
target = "crm"
fields = ["$.email"]
"#;

/// Calls of one run while the record is filled.
const CALLS_OF_A_RUN: u64 = 250;

fn main() {
    let Some(options) = Options::read() else {
        println!("{HELP}");
        return;
    };
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(&options.dir)
        .expect("a folder");
    let server = Nginx::server(ANSWER);
    let target = format!(
        "[targets.crm]\nkind = \"http\"\nurl = \"http://127.0.0.1:{}\"\nreads = \"written\"\n",
        server.port()
    );
    let task = |name| {
        let (name, text) = http_task(name, GRANTS);
        (name, text.replace("ttl = \"10m\"", "ttl = \"8h\""))
    };
    let world = World::builder()
        .section(&target)
        .task(task("triage"))
        .task(task("sweep"))
        .data(folder.path())
        .quiet()
        .start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure(&world, &options));
}

async fn measure(world: &World, options: &Options) {
    let control = peer::Control::of(world);
    let begun = Instant::now();
    let calls = agents::fill(world, &control, options.records, CALLS_OF_A_RUN).await;
    let filled = begun.elapsed();
    let indexed = loop {
        let index = control.index().await;
        if index >= options.records {
            break index;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    println!(
        "{indexed} records after {:.0?}: {calls} calls at {:.0}/s; in the index {:.1?} later; {} MiB",
        begun.elapsed(),
        calls as f64 / filled.as_secs_f64(),
        begun.elapsed() - filled,
        memory(world),
    );

    let live = agents::open(&control, options.runs).await;
    agents::some_calls(world, &live).await;
    let pages = pages::pages(&control, &live).await;
    let idle = asking::ask(world, &pages, Duration::from_secs(10)).await;

    let load = agents::load(world, live, options.rate);
    let watched = watch(world, &control, &load);
    let asked = asking::ask(world, &pages, options.time);
    let loaded = tokio::select! {
        () = watched => unreachable!("it watches for ever"),
        loaded = asked => loaded,
    };
    println!("{load}");
    asking::print(&pages, &idle, &loaded);
}

/// Prints how it goes, from time to time, for ever.
async fn watch(world: &World, control: &peer::Control, load: &agents::Load) {
    println!("\n  seconds   calls/s   denied   index behind   MiB");
    let begun = Instant::now();
    let mut before = load.calls();
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let calls = load.calls();
        let records = control.records().await;
        println!(
            "{:>9.0} {:>9.0} {:>8} {:>14} {:>5}",
            begun.elapsed().as_secs_f64(),
            (calls - before) as f64 / 5.0,
            load.denied(),
            records.saturating_sub(control.index().await),
            memory(world),
        );
        before = calls;
    }
}

/// What the gateway's process has in memory, in MiB.
fn memory(world: &World) -> u64 {
    let path = format!("/proc/{}/status", world.pid());
    let status = std::fs::read_to_string(path).expect("the status of the gateway's process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<u64>().ok())
        .expect("a number")
        / 1024
}

struct Options {
    records: u64,
    runs: usize,
    rate: u64,
    time: Duration,
    dir: PathBuf,
}

impl Options {
    /// From the command line; nothing if it is not understood.
    fn read() -> Option<Self> {
        let dir = match std::env::var_os("BAILIWICK_BENCH_DIR") {
            Some(dir) => PathBuf::from(dir),
            None => Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(),
        };
        std::fs::create_dir_all(&dir).expect("the folder for the record");
        let mut options = Self {
            records: 1_000_000,
            runs: 200,
            rate: 2_000,
            time: Duration::from_secs(60),
            dir,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            // Cargo says so.
            if argument == "--bench" {
                continue;
            }
            let value: u64 = arguments.next()?.parse().ok().filter(|value| *value > 0)?;
            match argument.as_str() {
                "--records" => options.records = value,
                "--runs" => options.runs = usize::try_from(value).ok()?,
                "--rate" => options.rate = value,
                "--seconds" => options.time = Duration::from_secs(value),
                _ => return None,
            }
        }
        Some(options)
    }
}
