//! What the handles of a log and its threads share.

use std::collections::{HashMap, VecDeque};
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bailiwick_action::Fingerprint;

use crate::chain::{ChainId, Links};
use crate::error::AppendError;
use crate::integrator::Durable;
use crate::payload::PayloadKey;
use crate::receipt::Waiter;
use crate::vitals::Stopwatch;
use crate::wal::room::Room;

/// The state behind every handle. Locks are taken in the order of the fields, and none is held for
/// IO.
pub(crate) struct Shared {
    /// The chains that records may be appended to. Held only to find one.
    pub(crate) chains: Mutex<HashMap<ChainId, Arc<Mutex<Chain>>>>,
    /// From append to the writer.
    pub(crate) queue: Mutex<Queue>,
    /// Something is in the queue for the writer: records, a segment, or the end.
    pub(crate) writer: Condvar,
    /// Something is in the queue for the preparer: a segment is wanted, or the end.
    pub(crate) preparer: Condvar,
    /// From the writer to the integrator.
    pub(crate) durable: Mutex<DurableQueue>,
    /// Something is there for the integrator.
    pub(crate) integrator: Condvar,
    /// How many bytes are durable and not written to the tree.
    pub(crate) backlog: AtomicUsize,
    /// How many records are durable.
    pub(crate) records: AtomicU64,
    /// How long that took for those that somebody waited for.
    pub(crate) appends: Stopwatch,
}

/// A chain that records may be appended to. Its lock is held from the moment a record gets its
/// number until it is in the queue: that is what makes their orders the same.
#[derive(Default)]
pub(crate) struct Chain {
    pub(crate) links: Links,
    pub(crate) closed: bool,
    /// Its payload key, and whether a frame of the write-ahead log has carried it yet.
    pub(crate) key: Option<(PayloadKey, bool)>,
}

/// Records on their way to the disk.
pub(crate) struct Queue {
    pub(crate) records: Vec<Queued>,
    /// Somebody waits for one of them.
    pub(crate) awaited: bool,
    /// Somebody waits until one of them is durable.
    pub(crate) hurried: bool,
    /// One of them begins a segment.
    pub(crate) turns: bool,
    /// Since when the first record waits that is not durable nor with the syncer, as far as was noticed.
    pub(crate) since: Option<Instant>,
    /// The writer has nothing to do, not even later.
    pub(crate) writer_sleeps: bool,
    pub(crate) room: Room,
    /// Prepared segments in the order in which they come into use.
    pub(crate) segments: VecDeque<PathBuf>,
    pub(crate) spare: Option<PathBuf>,
    pub(crate) reserve: Option<PathBuf>,
    /// The tree cannot be written on a full disk.
    pub(crate) short: bool,
    /// No more records are taken.
    pub(crate) closing: bool,
    /// The writer has ended; so may the preparer.
    pub(crate) written: bool,
    /// Why nothing can be written any more.
    pub(crate) stopped: Option<AppendError>,
}

/// One record on its way to the disk.
pub(crate) struct Queued {
    pub(crate) durable: Durable,
    /// It is the first of a new segment.
    pub(crate) next_segment: bool,
    /// For its receipt.
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) waiter: Waiter,
    /// When it was put in the queue.
    pub(crate) since: Instant,
}

/// Records on their way into the tree.
#[derive(Default)]
pub(crate) struct DurableQueue {
    pub(crate) records: Vec<Durable>,
    /// Who waits for a checkpoint over everything before.
    pub(crate) requests: Vec<mpsc::Sender<Result<(), AppendError>>>,
    pub(crate) closing: bool,
    /// The integrator has ended, and answers no requests.
    pub(crate) ended: bool,
}

impl Queue {
    /// Everything that is in it.
    pub(crate) fn take(&mut self) -> Vec<Queued> {
        self.awaited = false;
        self.hurried = false;
        self.turns = false;
        let as_many = Vec::with_capacity(self.records.len());
        std::mem::replace(&mut self.records, as_many)
    }
}

impl Shared {
    /// Whether the tree is short of room: as long as it is, no segment is prepared ahead.
    pub(crate) fn short(&self, short: bool) {
        let mut queue = lock(&self.queue);
        if std::mem::replace(&mut queue.short, short) && !short {
            self.preparer.notify_all();
        }
    }

    /// Nothing can be written any more: tells everybody who waits, and everybody who comes. Returns
    /// what they are told.
    pub(crate) fn stop(&self, what: &str, error: &dyn Display) -> AppendError {
        let stopped = AppendError::Stopped {
            reason: format!("{what}: {error}").into(),
        };
        let mut queue = lock(&self.queue);
        let first = queue.stopped.get_or_insert(stopped).clone();
        for record in queue.records.drain(..) {
            record.waiter.refuse(&first);
        }
        drop(queue);
        self.writer.notify_all();
        self.preparer.notify_all();
        first
    }
}

/// Takes a lock. A thread that panicked while holding it has left nothing half done: no code under
/// these locks can fail between two changes that belong together.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits on a condition, as [`lock`] locks.
pub(crate) fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition
        .wait(guard)
        .unwrap_or_else(PoisonError::into_inner)
}
