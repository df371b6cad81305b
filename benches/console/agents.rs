//! Runs that make calls.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bailiwick_tests::World;
use hyper::{Method, StatusCode};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::peer::{Control, Peer};

/// How many runs act at once while the record is filled.
const AT_ONCE: usize = 32;
/// One call in so many is outside the scope.
const DENIED: u64 = 50;
/// What calls are about: so many customers, and as many invoices.
const THINGS: u64 = 100;

/// A run that is open.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) id: String,
    token: String,
}

/// Opens so many runs.
pub(crate) async fn open(control: &Control, runs: usize) -> Vec<Run> {
    let mut opened = Vec::with_capacity(runs);
    for number in 0..runs {
        let task = if number % 4 == 0 { "sweep" } else { "triage" };
        let body = format!(
            r#"{{"task":"{task}","confinement":"elsewhere","reason":"run {number} of a benchmark"}}"#
        );
        let run = control.json(Method::POST, "/v1/runs", &body).await;
        let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
        opened.push(Run {
            id: text(&run["run"]),
            token: text(&run["env"]["BAILIWICK_TOKEN"]),
        });
    }
    opened
}

/// Has runs make calls as fast as they can until there are so many records; says how many calls it were.
pub(crate) async fn fill(world: &World, control: &Control, records: u64, calls: u64) -> u64 {
    // A call is two records, one in fifty is one; opening and closing are one each.
    let of_a_run = calls * 2 - calls / DENIED + 2;
    let runs = records.div_ceil(of_a_run);
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut acting = JoinSet::new();
    for number in 0..runs {
        let place = Arc::clone(&places).acquire_owned().await.expect("a place");
        let run = open(control, 1).await.remove(0);
        let port = port(world);
        acting.spawn(async move {
            let mut peer = Peer::at(port, &run.token).await;
            for call in 0..calls {
                make(&mut peer, number * calls + call).await;
            }
            drop(place);
            run
        });
        while let Some(done) = acting.try_join_next() {
            close(control, &done.expect("a run")).await;
        }
    }
    while let Some(done) = acting.join_next().await {
        close(control, &done.expect("a run")).await;
    }
    runs * calls
}

async fn close(control: &Control, run: &Run) {
    let path = format!("/v1/runs/{}/close", run.id);
    control.json(Method::POST, &path, "").await;
}

/// Some calls of each run, so that there is something to see of it.
pub(crate) async fn some_calls(world: &World, runs: &[Run]) {
    for run in runs {
        let mut peer = Peer::at(port(world), &run.token).await;
        for call in 0..5 {
            make(&mut peer, call * 49).await;
        }
    }
}

/// One call, whether it was denied.
async fn make(peer: &mut Peer, number: u64) -> bool {
    let denied = number % DENIED == DENIED - 1;
    let thing = number % THINGS;
    let path = match (denied, number % 3) {
        (true, _) => format!("/crm/secrets/{thing}"),
        (false, 0) => format!("/crm/invoices/{thing}"),
        (false, _) => format!("/crm/customers/{thing}"),
    };
    let (status, body) = peer.get(&path).await;
    let expected = match denied {
        true => StatusCode::FORBIDDEN,
        false => StatusCode::OK,
    };
    assert_eq!(status, expected, "{path}: {body:?}");
    denied
}

/// Runs that go on making calls until this is dropped.
pub(crate) struct Load {
    counts: Arc<Counts>,
    begun: Instant,
    rate: u64,
    _acting: JoinSet<()>,
}

#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    denied: AtomicU64,
    /// The time of all calls together, in microseconds.
    micros: AtomicU64,
}

impl Load {
    pub(crate) fn calls(&self) -> u64 {
        self.counts.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn denied(&self) -> u64 {
        self.counts.denied.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = self.calls();
        let mean = self.counts.micros.load(Ordering::Relaxed) as f64 / calls.max(1) as f64;
        let rate = calls as f64 / self.begun.elapsed().as_secs_f64();
        write!(
            f,
            "\n{calls} calls, {rate:.0}/s of the {} wanted, {:.2} ms each in the mean",
            self.rate,
            mean / 1000.0
        )
    }
}

/// Has these runs make so many calls a second between them.
pub(crate) fn load(world: &World, runs: Vec<Run>, rate: u64) -> Load {
    let counts = Arc::new(Counts::default());
    let mut acting = JoinSet::new();
    let between = Duration::from_secs_f64(runs.len() as f64 / rate as f64);
    for (number, run) in runs.into_iter().enumerate() {
        let (counts, port) = (Arc::clone(&counts), port(world));
        acting.spawn(async move {
            // Not all at the same moment.
            tokio::time::sleep(between.mul_f64(number as f64 / 200.0 % 1.0)).await;
            let mut peer = Peer::at(port, &run.token).await;
            let mut ticks = tokio::time::interval(between);
            for call in 0.. {
                ticks.tick().await;
                let begun = Instant::now();
                let denied = make(&mut peer, number as u64 * 7 + call).await;
                let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
                counts.calls.fetch_add(1, Ordering::Relaxed);
                counts
                    .denied
                    .fetch_add(u64::from(denied), Ordering::Relaxed);
                counts.micros.fetch_add(micros, Ordering::Relaxed);
            }
        });
    }
    Load {
        counts,
        begun: Instant::now(),
        rate,
        _acting: acting,
    }
}

fn port(world: &World) -> u16 {
    let url = world.http("");
    let port = url.trim_end_matches('/').rsplit(':').next();
    port.and_then(|port| port.parse().ok()).expect("a port")
}
