//! How a log is, in numbers, for whoever watches over it. They are counted where things happen, by threads
//! that have them in hand anyway, and put together when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_run::Time;

use crate::error::AppendError;

/// How a log is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Vitals {
    /// Why no new call could be recorded now, if that is so.
    pub trouble: Option<AppendError>,
    /// Records that are durable, pruned ones included.
    pub records: u64,
    /// Records that wait to be durable.
    pub queued: u64,
    /// Bytes that are durable and wait to be in the tree.
    pub backlog: u64,
    /// How many records the published checkpoint covers.
    pub signed: u64,
    /// When it was published; nothing if that was before the log was opened.
    pub signed_at: Option<Time>,
    /// How long records took to be durable that somebody waited for.
    pub appends: Latencies,
    /// The witnesses that are asked, in the order of the trust policy.
    pub witnesses: Vec<WitnessVitals>,
}

/// How a witness is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessVitals {
    /// Its name, as the trust policy has it.
    pub name: String,
    /// How many records the last checkpoint covers that it has signed since the log was opened.
    pub signed: u64,
    /// What it last said.
    pub standing: WitnessStanding,
}

/// What a witness last said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WitnessStanding {
    /// Nothing yet.
    Unasked,
    /// It has signed.
    Signs,
    /// It could not be asked, or did not sign.
    Fails,
    /// It has signed another history of the log.
    Disagrees,
}

/// How long things took, counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Latencies {
    /// The longest time of each sort, in seconds, and how many took no longer but longer than those of the
    /// sort before; the last sort has no end.
    pub counts: Vec<(f64, u64)>,
    /// All of them together, in seconds.
    pub seconds: f64,
}

/// The longest time of each sort, in microseconds.
const BOUNDS: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 5_000_000,
];

/// Counts how long things take, without a lock.
#[derive(Debug, Default)]
pub(crate) struct Stopwatch {
    counts: [AtomicU64; BOUNDS.len()],
    longer: AtomicU64,
    micros: AtomicU64,
}

impl Stopwatch {
    pub(crate) fn took(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let sort = BOUNDS.partition_point(|bound| *bound < micros);
        let count = self.counts.get(sort).unwrap_or(&self.longer);
        count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Latencies {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let bounded = BOUNDS.iter().zip(&self.counts);
        let mut counts: Vec<_> = bounded
            .map(|(bound, count)| (*bound as f64 / 1e6, read(count)))
            .collect();
        counts.push((f64::INFINITY, read(&self.longer)));
        Latencies {
            counts,
            seconds: read(&self.micros) as f64 / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Draft, Event, Log, Subject};

    #[test]
    fn a_log_says_how_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(Config::new(dir.path(), "test.example/log")).unwrap();
        let draft = Draft {
            event: Event::GatewayStopped,
            subject: Subject::Gateway,
            payload: None,
        };
        log.append(draft).wait().unwrap();
        log.checkpoint_now().unwrap();
        let vitals = log.vitals();
        assert_eq!(vitals.trouble, None);
        assert_eq!((vitals.records, vitals.queued, vitals.signed), (1, 0, 1));
        assert!(vitals.signed_at.is_some());
        let waited: u64 = vitals.appends.counts.iter().map(|(_, count)| count).sum();
        assert_eq!(waited, 1);
        assert!(vitals.appends.seconds > 0.0);
        log.close();
        assert_eq!(log.vitals().trouble, Some(AppendError::Closed));
        drop(log);
        let (log, _) = Log::open(Config::new(dir.path(), "test.example/log")).unwrap();
        let vitals = log.vitals();
        assert_eq!(
            (vitals.records, vitals.signed, vitals.signed_at),
            (1, 1, None)
        );
    }

    #[test]
    fn each_time_is_of_the_sort_that_it_fits() {
        let stopwatch = Stopwatch::default();
        for micros in [0, 100, 101, 5_000_000, 5_000_001] {
            stopwatch.took(Duration::from_micros(micros));
        }
        let read = stopwatch.read();
        let some: Vec<_> = read.counts.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(
            some,
            [&(0.0001, 2), &(0.00025, 1), &(5.0, 1), &(f64::INFINITY, 1)]
        );
        assert_eq!(read.seconds, 10.000_202);
    }
}
