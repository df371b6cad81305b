//! The log's threads. The writer makes records durable; the preparer keeps a zero-filled
//! segment ready for it; the integrator brings what is durable into the tree.

use std::fs::{File, OpenOptions};
use std::io;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, mpsc};
use std::time::Instant;
use std::vec::IntoIter;

use crate::disk::{self, Disk};
use crate::error::AppendError;
use crate::integrator::{Durable, Integrator};
use crate::limits;
use crate::queue::{Queued, Shared, lock, wait};
use crate::receipt::Receipt;
use crate::sign::{SignError, Unsigned};
use crate::tell::{self, Tell};
use crate::wal::frame;
use crate::wal::room::Wanted;
use crate::wal::segment::{self, HEAD_LEN};

/// Makes records durable, in the order of the queue: everything that queued while the last batch
/// was being written and synced is the next batch. A sync follows at once where somebody waits for
/// it, and soon where nobody does.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) wal: PathBuf,
    /// The segment in use.
    pub(crate) file: File,
    pub(crate) offset: u64,
    /// The index of the next record.
    pub(crate) next: u64,
    /// What is written, or being written, and not durable.
    pub(crate) unsynced: Vec<Queued>,
    /// Where a batch is put together. Kept, so that its memory is not asked for and given back for
    /// each.
    pub(crate) bytes: Vec<u8>,
    /// Tells those who wait, where there is no time for it here.
    pub(crate) teller: mpsc::Sender<Vec<Tell>>,
    /// Since when the first of these waits.
    pub(crate) since: Option<Instant>,
}

/// What went wrong, and at what.
type Failed = (&'static str, io::Error);

enum Next {
    Batch(Vec<Queued>),
    /// What is unsynced has waited long enough.
    Sync,
    End,
}

impl Writer {
    /// Runs until the log is closed and everything queued is durable, or until a write fails.
    pub(crate) fn run(mut self) {
        loop {
            let mut waiting = Vec::new().into_iter().peekable();
            let (done, last) = match self.next() {
                Next::Batch(batch) => {
                    waiting = batch.into_iter().peekable();
                    (self.write(&mut waiting), false)
                }
                Next::Sync => (self.sync(), false),
                Next::End => (self.sync(), true),
            };
            if let Err((what, error)) = done {
                let stopped = self.shared.stop(what, &error);
                for record in self.unsynced.drain(..).chain(waiting) {
                    record.waiter.refuse(&stopped);
                }
                break;
            }
            if last {
                break;
            }
        }
        lock(&self.shared.queue).written = true;
        self.shared.preparer.notify_all();
    }

    fn next(&self) -> Next {
        let mut queue = lock(&self.shared.queue);
        loop {
            if !queue.records.is_empty() {
                let as_many = Vec::with_capacity(queue.records.len());
                return Next::Batch(std::mem::replace(&mut queue.records, as_many));
            }
            if queue.stopped.is_some() || queue.closing {
                return Next::End;
            }
            queue = match self.since {
                None => wait(&self.shared.writer, queue),
                Some(since) => {
                    let left = limits::SYNC_WITHIN.saturating_sub(since.elapsed());
                    if left.is_zero() {
                        return Next::Sync;
                    }
                    let waited = self.shared.writer.wait_timeout(queue, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Writes a batch, and syncs it if it is time. A batch ends where a segment does: when a segment
    /// comes into use, all before it is durable.
    fn write(&mut self, batch: &mut Peekable<IntoIter<Queued>>) -> Result<(), Failed> {
        while let Some(first) = batch.next() {
            if first.next_segment {
                self.sync()?;
            }
            let next_segment = first.next_segment;
            let begin = self.unsynced.len();
            self.unsynced.push(first);
            if next_segment {
                self.next_segment()
                    .map_err(|error| ("cannot begin a segment", error))?;
            }
            while let Some(record) = batch.next_if(|record| !record.next_segment) {
                self.unsynced.push(record);
            }
            self.write_from(begin)?;
        }
        let hurry = (self.unsynced.iter()).any(|record| record.waiter.wants_durable());
        let since = *self.since.get_or_insert_with(Instant::now);
        if hurry || since.elapsed() >= limits::SYNC_WITHIN {
            self.sync()?;
        }
        Ok(())
    }

    /// Writes what is unsynced from `begin` on.
    fn write_from(&mut self, begin: usize) -> Result<(), Failed> {
        let new = self.unsynced.get_mut(begin..).unwrap_or_default();
        self.bytes.clear();
        self.bytes.shrink_to(limits::BATCH_KEPT);
        let durable = self.next - begin as u64;
        for (index, record) in (self.next..).zip(&*new) {
            frame::encode(index, durable, &record.durable.body, &mut self.bytes);
        }
        self.disk
            .write(&self.file, &self.bytes, self.offset)
            .map_err(|error| ("cannot write", error))?;
        for record in &mut *new {
            record.waiter.written();
        }
        self.offset += self.bytes.len() as u64;
        self.next += new.len() as u64;
        Ok(())
    }

    /// Makes everything that is written durable.
    fn sync(&mut self) -> Result<(), Failed> {
        self.since = None;
        if self.unsynced.is_empty() {
            return Ok(());
        }
        self.disk
            .sync(&self.file)
            .map_err(|error| ("cannot make what was written durable", error))?;
        let length = (self.unsynced.iter()).map(|record| record.durable.body.frame_len());
        self.shared
            .backlog
            .fetch_add(length.sum(), Ordering::Relaxed);

        // The integrator has them before anybody has a receipt: a checkpoint that is asked for
        // with a receipt in hand covers its record.
        let mut told = Vec::with_capacity(self.unsynced.len());
        let mut durable = lock(&self.shared.durable);
        let wake = durable.records.is_empty();
        for record in self.unsynced.drain(..) {
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

    fn next_segment(&mut self) -> io::Result<()> {
        let mut queue = lock(&self.shared.queue);
        let prepared = loop {
            if let Some(prepared) = queue.segments.pop_front() {
                break prepared;
            }
            if queue.stopped.is_some() {
                return Err(io::Error::other("no segment could be prepared"));
            }
            self.shared.preparer.notify_all();
            queue = wait(&self.shared.writer, queue);
        };
        drop(queue);
        let taken = segment::take(self.disk.as_ref(), &self.wal, &prepared, self.next)?;
        self.file = open_segment(&taken.path)?;
        self.offset = HEAD_LEN;
        Ok(())
    }
}

/// Opens a segment to write in it.
pub(crate) fn open_segment(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Prepares segments: zero-filled, so that syncing a batch changes nothing but data.
pub(crate) struct Preparer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) wal: PathBuf,
    pub(crate) size: u64,
    /// The number of the next prepared file.
    pub(crate) number: u64,
}

impl Preparer {
    /// Runs until the writer has ended.
    pub(crate) fn run(mut self) {
        while let Some(wanted) = self.next_wanted() {
            self.number += 1;
            match segment::prepare(self.disk.as_ref(), &self.wal, self.number, self.size) {
                Ok(path) => self.deliver(wanted, path),
                Err(error) if disk::is_full(&error) => self.full(),
                Err(error) => drop(self.shared.stop("cannot prepare a segment", &error)),
            }
        }
    }

    fn next_wanted(&self) -> Option<Wanted> {
        let mut queue = lock(&self.shared.queue);
        loop {
            if queue.written || queue.stopped.is_some() {
                return None;
            }
            // Nothing is prepared for a log that is closing, nor is the room taken that the tree needs
            // before it can free what it has; unless a segment is waited for.
            let idle = queue.closing || queue.short;
            match queue.room.wanted() {
                Some(wanted) if !idle || queue.room.is_waiting() => return Some(wanted),
                _ => queue = wait(&self.shared.preparer, queue),
            }
        }
    }

    fn deliver(&self, wanted: Wanted, path: PathBuf) {
        let mut queue = lock(&self.shared.queue);
        match wanted {
            Wanted::Reserve => {
                queue.room.reserve_prepared();
                queue.reserve = Some(path);
            }
            Wanted::Segment if queue.room.prepared() => queue.segments.push_back(path),
            Wanted::Segment => queue.spare = Some(path),
        }
        drop(queue);
        self.shared.writer.notify_all();
    }

    /// Gives the reserve to whoever waits, and tries again after a while.
    fn full(&self) {
        let mut queue = lock(&self.shared.queue);
        if queue.room.disk_full()
            && let Some(reserve) = queue.reserve.take()
        {
            queue.segments.push_back(reserve);
        }
        self.shared.writer.notify_all();
        let since = Instant::now();
        while since.elapsed() < limits::RETRY_AFTER && !queue.written {
            let left = limits::RETRY_AFTER.saturating_sub(since.elapsed());
            let waited = self.shared.preparer.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Brings durable records into the tree and signs it, until the log is closed or the tree cannot be
/// written. On a full disk it keeps trying: nothing is lost, the write-ahead log has it.
pub(crate) fn integrate(shared: &Shared, mut integrator: Integrator, mut unsigned: Unsigned) {
    let mut published = Instant::now();
    let mut unwritten = 0;
    loop {
        let (records, requests, closing) = gathered(shared, integrator.is_behind());
        unwritten += records
            .iter()
            .map(|record| record.body.frame_len())
            .sum::<usize>();
        integrator.add(records);
        let due = published.elapsed() >= limits::CHECKPOINT_EVERY;
        let publishes = closing || !requests.is_empty() || due && integrator.is_behind();
        let writes = publishes || unwritten >= limits::WRITE_FROM;
        let done = if publishes {
            published = Instant::now();
            let keep = if closing { 1 } else { limits::SNAPSHOT_EVERY };
            integrator
                .publish()
                .and_then(|()| Ok(integrator.snapshot(keep)?))
        } else if writes {
            integrator.write().map_err(SignError::from)
        } else {
            Ok(())
        };
        let done = done.and_then(|()| Ok(integrator.prune()?));
        if publishes {
            unsigned.note(&done);
        }
        let answer = match done {
            // It keeps its place in the write-ahead log, and counts there, until it is signed.
            Ok(()) if !writes || unsigned.is_said() => Ok(()),
            Ok(()) => {
                shared
                    .backlog
                    .fetch_sub(std::mem::take(&mut unwritten), Ordering::Relaxed);
                Ok(())
            }
            Err(SignError::Io(error)) if disk::is_full(&error) => Err(AppendError::DiskFull),
            Err(error @ SignError::Unavailable { .. }) => Err(AppendError::Unsigned {
                reason: error.to_string().into(),
            }),
            Err(error @ SignError::Refused { .. }) => {
                tracing::error!("the log stops: {error}");
                Err(shared.stop("cannot sign the tree", &error))
            }
            // What to sign next is no longer known; the next start finds out.
            Err(error) => Err(shared.stop("cannot write the tree", &error)),
        };
        match &answer {
            Err(AppendError::DiskFull) => shared.short(true),
            // Until then nothing is freed.
            Ok(()) if publishes => shared.short(false),
            _ => {}
        }
        for request in requests {
            // Whoever asked may have gone.
            drop(request.send(answer.clone()));
        }
        if closing || matches!(answer, Err(AppendError::Stopped { .. })) {
            break;
        }
    }
    let mut durable = lock(&shared.durable);
    durable.ended = true;
    durable.requests.clear();
}

type Gathered = (
    Vec<Durable>,
    Vec<std::sync::mpsc::Sender<Result<(), AppendError>>>,
    bool,
);

/// Waits for records, then lets more of them gather for a while.
fn gathered(shared: &Shared, behind: bool) -> Gathered {
    let mut durable = lock(&shared.durable);
    if !behind {
        while durable.records.is_empty() && durable.requests.is_empty() && !durable.closing {
            durable = wait(&shared.integrator, durable);
        }
    }
    let since = Instant::now();
    while since.elapsed() < limits::INTEGRATE_EVERY
        && durable.requests.is_empty()
        && !durable.closing
    {
        let left = limits::INTEGRATE_EVERY.saturating_sub(since.elapsed());
        let waited = shared.integrator.wait_timeout(durable, left);
        durable = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    (
        std::mem::take(&mut durable.records),
        std::mem::take(&mut durable.requests),
        durable.closing,
    )
}
