//! How fast the log makes records durable, beside a bare loop that only writes and syncs as much.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a benchmark, which may stop at anything unexpected"
)]

mod bare;
mod handed;
#[path = "../../tests/kit/mod.rs"]
mod kit;
mod options;

use std::path::Path;
use std::time::{Duration, Instant};

use bailiwick_action::{Action, Decision, Denial, Resource, Verb};
use bailiwick_audit::{AppendError, Draft, Event, Log};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use bare::Batch;
use options::Options;

const HELP: &str = "\
Measures Log::append until the receipt, in a folder that is made for it and removed after.

  cargo bench -p bailiwick-audit --bench append -- [--writers 1,8,64,256] [--seconds 2] [--rounds 5]

Writers are tasks on a Tokio runtime with a thread per core, as in the gateway. Each has a run of its own, appends a
call.decided of about 1 KiB (a denial, so that nothing stays open), waits for the receipt and appends the next, with and
without a payload of about 200 bytes. `cpu us` is what all threads used of the processors for a record, the writers'
making of records to append included. Signing, tiles and payload files go on meanwhile, as they always do.

The bare loop writes and fdatasyncs batches of exactly the sizes that the log made in the round before, one after the
other, over a zero-filled file like the log's own segments in the same folder. It makes no records, has no writers to wake
and builds no tree: no log with the same batches on this disk can be faster. The ratio is ours to its.

The loop with writers has as many tasks on the same runtime, each of which hands finished bytes of a record's length to
one thread and waits; the thread writes and fdatasyncs whatever it was handed meanwhile, and wakes them. It does nothing
else: what is between it and ours is making, encrypting, hashing and chaining records, and the tree.

They take turns, because disks have moods; what is printed are medians of the rounds. The folder is BAILIWICK_BENCH_DIR,
or else in target/. Put it on the disk that is meant, and let nothing else run: with few processors everything that does
delays the writers, who need them, and not the bare loop, which does not.";

fn main() {
    let Some(options) = Options::read(HELP) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    println!(
        "{} rounds of {:?} each, in {}",
        options.rounds,
        options.time,
        options.dir.display()
    );
    let mut folders = Vec::new();
    for payload in [false, true] {
        let with = if payload { "with" } else { "without" };
        println!("\n{with} payload");
        println!(
            "writers   records/s   p50 ms   p99 ms  p99.9 ms   per batch   cpu us    bare/s   ratio (of rounds)      handed/s   ratio"
        );
        for writers in &options.writers {
            measure(&runtime, &options, *writers, payload, &mut folders);
        }
    }
}

/// The three in turns, and one line about them.
fn measure(
    runtime: &Runtime,
    options: &Options,
    writers: usize,
    payload: bool,
    folders: &mut Vec<TempDir>,
) {
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        let dir = tempfile::tempdir_in(&options.dir).unwrap();
        // Neither pays for what the other has left to be written.
        bare::settle(dir.path());
        let ours = ours(runtime, dir.path(), options.time, writers, payload);
        bare::settle(dir.path());
        let bare = bare::run(dir.path(), &ours.batches, options.time);
        bare::settle(dir.path());
        let handed = handed::run(runtime, dir.path(), &ours.batches, writers, options.time);
        rounds.push(Round { ours, bare, handed });
        // ext4 looks for new inodes among those that were just freed, one by one: a folder removed
        // between two rounds would slow the tree of the next.
        folders.push(dir);
    }
    let of = |value: &dyn Fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    let latency = |part: f64| of(&|round| round.ours.latency(part).as_secs_f64() * 1000.0);
    let ratios = rounds.iter().map(|round| round.ours.rate() / round.bare);
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    println!(
        "{writers:>7}   {:>9.0}   {:>6.2}   {:>6.2}   {:>7.2}   {:>9.1}   {:>6.1}   {:>7.0}   {:>5.2} ({:.2} to {:.2})   {:>9.0}   {:>5.2}",
        of(&|round| round.ours.rate()),
        latency(0.5),
        latency(0.99),
        latency(0.999),
        of(&|round| bare::mean(&round.ours.batches)),
        of(&|round| round.ours.cpu.as_secs_f64() * 1e6 / round.ours.latencies.len() as f64),
        of(&|round| round.bare),
        median(ratios.clone()),
        ratios[0],
        ratios[ratios.len() - 1],
        of(&|round| round.handed),
        of(&|round| round.ours.rate() / round.handed),
    );
}

/// What each of the three came to, one after the other.
struct Round {
    ours: Ours,
    /// In records a second.
    bare: f64,
    handed: f64,
}

/// What one round of the log came to.
struct Ours {
    /// How long each receipt took, shortest first.
    latencies: Vec<Duration>,
    took: Duration,
    /// What all threads used of the processors, writers included.
    cpu: Duration,
    batches: Vec<Batch>,
}

impl Ours {
    fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    fn latency(&self, part: f64) -> Duration {
        self.latencies[((self.latencies.len() - 1) as f64 * part) as usize]
    }
}

fn ours(runtime: &Runtime, dir: &Path, time: Duration, writers: usize, payload: bool) -> Ours {
    let data = dir.join("data");
    let (log, _) = kit::open(&data);
    let drafts: Vec<Draft> = (0..writers as u64)
        .map(|n| {
            let run = kit::run(n);
            kit::append(&log, kit::opened(&run));
            decided(&run, payload)
        })
        .collect();
    let before = cpu_time();
    let began = Instant::now();
    let mut latencies = runtime.block_on(async {
        let tasks: Vec<_> = drafts
            .into_iter()
            .map(|draft| tokio::spawn(write(log.clone(), draft, began + time)))
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.unwrap());
        }
        latencies
    });
    let took = began.elapsed();
    let cpu = cpu_time() - before;
    latencies.sort_unstable();
    let batches = bare::batches(&data.join("wal"));
    log.close();
    Ours {
        latencies,
        took,
        cpu,
        batches,
    }
}

/// What this process has used of the processors so far, in clock ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2);
    Duration::from_millis(
        10 * ticks
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum::<u64>(),
    )
}

/// One writer: a record, its receipt, the next record.
async fn write(log: Log, draft: Draft, until: Instant) -> Vec<Duration> {
    let mut latencies = Vec::new();
    loop {
        let draft = draft.clone();
        let asked = Instant::now();
        if asked >= until {
            return latencies;
        }
        match log.append(draft).await {
            Ok(_) => latencies.push(asked.elapsed()),
            // The tree does not keep up; whoever is told so tries again.
            Err(AppendError::Behind) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A statement over two tables that was denied.
fn decided(run: &bailiwick_run::Run, payload: bool) -> Draft {
    let on = |table: &str| Resource::table("public", table);
    let event = Event::CallDecided {
        target: "tickets".to_owned(),
        protocol: "postgres",
        verb: "SELECT".to_owned(),
        actions: vec![
            Action::new(Verb::Select, on("tickets")).with_columns([
                "id",
                "subject",
                "priority",
                "created_at",
                "assignee",
            ]),
            Action::new(Verb::Select, on("customers")).with_columns(["id", "name", "email"]),
        ],
        fingerprint: kit::fingerprint("select"),
        decision: Decision::Deny(Denial {
            policies: vec!["guardrail/no-customers".to_owned()],
            reason: "select on public.customers is outside the scope of task triage-tickets: no \
                     grant covers this table"
                .to_owned(),
            remedy: "ask for [[read]] target = \"tickets\", tables = [\"public.customers\"]"
                .to_owned(),
        }),
        policy_digest: format!("sha256:{}", "0d1ce5ee".repeat(8)),
    };
    let draft = kit::draft(run, event);
    if payload {
        let text = "SELECT t.id, t.subject, t.priority, c.name, c.email FROM tickets t JOIN customers c \
                    ON c.id = t.customer WHERE t.priority > $1 ORDER BY t.created_at LIMIT 50";
        kit::with_payload(draft, &format!(r#"{{"text":"{text}","values":["3"]}}"#))
    } else {
        draft
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
