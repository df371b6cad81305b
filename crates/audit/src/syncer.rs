//! Syncs what the writer has written: on the writer's own thread where somebody waits for the disk, on
//! another one where nobody does. Never two at a time: the system reports a failed sync once, and
//! whoever comes second would be told that all is well.

use std::fs::File;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::disk::Disk;
use crate::limits;
use crate::queue::{Queued, Shared, lock};
use crate::receipt::Receipt;
use crate::tell::{self, Tell};

/// What went wrong, and at what.
pub(crate) type Failed = (&'static str, io::Error);

/// The writer's hold on syncing.
pub(crate) struct Syncer {
    desk: Desk,
    orders: mpsc::Sender<Order>,
    done: mpsc::Receiver<Result<(), Failed>>,
    /// How many records are being synced by the other thread.
    has: u64,
    /// Since when.
    since: Option<Instant>,
    /// How it failed.
    failed: Option<Failed>,
}

/// Records that are written to a file, to be synced.
struct Order {
    file: Arc<File>,
    records: Vec<Queued>,
}

/// What it takes to sync.
#[derive(Clone)]
struct Desk {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    /// Tells those who wait, where there is no time for it here.
    teller: mpsc::Sender<Vec<Tell>>,
}

impl Syncer {
    /// With a thread of its own, which ends when this is dropped.
    pub(crate) fn start(
        shared: Arc<Shared>,
        disk: Arc<dyn Disk>,
        teller: mpsc::Sender<Vec<Tell>>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let desk = Desk {
            shared,
            disk,
            teller,
        };
        let (orders, ordered) = mpsc::channel::<Order>();
        let (finished, done) = mpsc::channel();
        let own = desk.clone();
        let thread = std::thread::Builder::new()
            .name("audit-syncer".to_owned())
            .spawn(move || {
                for Order { file, mut records } in ordered {
                    let synced = own.sync(&file, &mut records);
                    if let Err((what, error)) = &synced {
                        let stopped = own.shared.stop(what, error);
                        for record in records {
                            record.waiter.refuse(&stopped);
                        }
                    }
                    // The writer may have ended, and then nobody asks.
                    drop(finished.send(synced));
                }
            })?;
        let syncer = Self {
            desk,
            orders,
            done,
            has: 0,
            since: None,
            failed: None,
        };
        Ok((syncer, thread))
    }

    /// How many records are with the other thread, as far as was looked.
    pub(crate) fn has(&self) -> u64 {
        self.has
    }

    /// Looks whether the other thread is done.
    pub(crate) fn look(&mut self) -> Result<(), Failed> {
        self.glance();
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Whether the other thread has been at it for so long that the disk may be stuck.
    pub(crate) fn is_late(&mut self) -> bool {
        self.glance();
        (self.since).is_some_and(|since| since.elapsed() >= limits::SYNC_USUAL)
    }

    /// Waits until the other thread is done.
    pub(crate) fn wait(&mut self) -> Result<(), Failed> {
        if self.has > 0 {
            let gone = |_| Err(("cannot sync", io::Error::other("the thread has ended")));
            let done = self.done.recv().unwrap_or_else(gone);
            self.is_done(done);
        }
        self.look()
    }

    /// Makes records durable that are written to this file. They are left where it fails.
    pub(crate) fn sync(&self, file: &File, records: &mut Vec<Queued>) -> Result<(), Failed> {
        self.desk.sync(file, records)
    }

    /// The same on the other thread, which must be done with what it had.
    pub(crate) fn sync_beside(
        &mut self,
        file: &Arc<File>,
        records: Vec<Queued>,
    ) -> Result<(), Failed> {
        if records.is_empty() {
            return Ok(());
        }
        self.has = records.len() as u64;
        self.since = Some(Instant::now());
        let order = Order {
            file: Arc::clone(file),
            records,
        };
        let gone = |_| ("cannot sync", io::Error::other("the thread has ended"));
        self.orders.send(order).map_err(gone)
    }

    fn glance(&mut self) {
        if let Ok(done) = self.done.try_recv() {
            self.is_done(done);
        }
    }

    fn is_done(&mut self, done: Result<(), Failed>) {
        self.has = 0;
        self.since = None;
        self.failed = done.err();
    }
}

impl Desk {
    fn sync(&self, file: &File, records: &mut Vec<Queued>) -> Result<(), Failed> {
        if records.is_empty() {
            return Ok(());
        }
        self.disk
            .sync(file)
            .map_err(|error| ("cannot make what was written durable", error))?;
        let length = (records.iter()).map(|record| record.durable.body.frame_len());
        self.shared
            .backlog
            .fetch_add(length.sum(), Ordering::Relaxed);

        let now = Instant::now();
        for record in records
            .iter()
            .filter(|record| record.waiter.wants_durable())
        {
            let took = now.saturating_duration_since(record.since);
            self.shared.appends.took(took);
        }
        self.shared
            .records
            .fetch_add(records.len() as u64, Ordering::Relaxed);

        // The integrator has them before anybody has a receipt: a checkpoint that is asked for
        // with a receipt in hand covers its record.
        let mut told = Vec::with_capacity(records.len());
        let mut durable = lock(&self.shared.durable);
        let wake = durable.records.is_empty();
        for record in records.drain(..) {
            let receipt = || Receipt::of_durable(&record.durable.step, record.fingerprint);
            told.extend(record.waiter.durable(receipt));
            durable.records.push(record.durable);
        }
        drop(durable);
        if wake {
            self.shared.integrator.notify_all();
        }
        let more = !lock(&self.shared.queue).records.is_empty();
        tell::tell(told, more, &self.teller);
        Ok(())
    }
}
