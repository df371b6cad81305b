//! The writer: makes records durable, in the order of the queue.
//!
//! A batch is everything that queued while the last one was being written and synced. A sync follows
//! at once where somebody waits for it. Where nobody does, records wait for company, and are synced by
//! the [syncer](crate::syncer) within [`SYNC_WITHIN`](limits::SYNC_WITHIN), so that whoever waits for a
//! write alone does not wait for the disk.

use std::fs::File;
use std::io;
use std::iter::Peekable;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Instant;
use std::vec::IntoIter;

use crate::disk::Disk;
use crate::limits;
use crate::queue::{Queued, Shared, lock, wait};
use crate::syncer::{Failed, Syncer};
use crate::threads::open_segment;
use crate::wal::frame;
use crate::wal::segment::{self, HEAD_LEN};

/// Writes batches, and has them synced.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) wal: PathBuf,
    /// The segment in use.
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    /// The index of the next record.
    pub(crate) next: u64,
    /// What is written, or being written, and not durable nor with the syncer.
    pub(crate) unsynced: Vec<Queued>,
    /// Where a batch is put together. Kept, so that its memory is not asked for and given back for
    /// each.
    pub(crate) bytes: Vec<u8>,
    pub(crate) syncer: Syncer,
}

enum Next {
    /// What is in the queue.
    Batch,
    /// What is unsynced has waited long enough.
    Sync,
    End,
}

/// The writer's thread. Runs until the log is closed and everything queued is durable, or until a write
/// fails.
pub(crate) fn run(place: &Mutex<Option<Writer>>, shared: &Shared) {
    loop {
        let next = next(shared);
        let mut place = lock(place);
        let Some(writer) = place.as_mut() else { break };
        let done = match next {
            Next::Batch => {
                let batch = lock(&shared.queue).take();
                writer.with(batch, Writer::write)
            }
            Next::Sync => writer.with(Vec::new(), |writer, _| writer.sync_beside()),
            Next::End => writer.with(Vec::new(), |writer, _| writer.sync()),
        };
        if done.is_err() || matches!(next, Next::End) {
            break;
        }
    }
    // The threads that work for it end with it.
    *lock(place) = None;
    lock(&shared.queue).written = true;
    shared.preparer.notify_all();
}

fn next(shared: &Shared) -> Next {
    let mut queue = lock(&shared.queue);
    loop {
        let over = queue.stopped.is_some() || queue.closing;
        if !queue.records.is_empty() {
            let since = *queue.since.get_or_insert_with(Instant::now);
            if over || queue.awaited || since.elapsed() >= limits::SYNC_WITHIN {
                return Next::Batch;
            }
        }
        if over {
            return Next::End;
        }
        queue = match queue.since {
            None => {
                queue.writer_sleeps = true;
                let mut queue = wait(&shared.writer, queue);
                queue.writer_sleeps = false;
                queue
            }
            Some(since) => {
                let left = limits::SYNC_WITHIN.saturating_sub(since.elapsed());
                if left.is_zero() {
                    return Next::Sync;
                }
                let waited = shared.writer.wait_timeout(queue, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

/// Writes what is in the queue on the thread of whoever put it there, where that is all it takes: a write
/// into the system's memory is shorter than to wake another thread for it and to be woken by that. What is
/// more is the writer's own thread's: to wait for the disk, to begin a segment, and everything while the
/// disk is slow.
pub(crate) fn write_here(place: &Mutex<Option<Writer>>, shared: &Shared) {
    loop {
        // Whoever has it looks into the queue again when it is done.
        let mut place = match place.try_lock() {
            Ok(place) => place,
            Err(TryLockError::Poisoned(place)) => place.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let Some(writer) = place.as_mut() else { return };
        let mut queue = lock(&shared.queue);
        if queue.records.is_empty() {
            return;
        }
        let over = queue.stopped.is_some() || queue.closing;
        if over || queue.hurried || queue.turns || writer.syncer.is_late() {
            drop(queue);
            shared.writer.notify_one();
            return;
        }
        queue.since.get_or_insert_with(Instant::now);
        let wake = queue.writer_sleeps;
        let batch = queue.take();
        drop(queue);
        if wake {
            // It has to see to the sync.
            shared.writer.notify_one();
        }
        let done = writer.with(batch, Writer::write_on);
        drop(place);
        if done.is_err() || !lock(&shared.queue).awaited {
            return;
        }
    }
}

impl Writer {
    /// Does something with a batch. Should that fail, nothing can be written any more, and everybody who
    /// waits is told.
    fn with(
        &mut self,
        batch: Vec<Queued>,
        what: impl FnOnce(&mut Self, &mut Peekable<IntoIter<Queued>>) -> Result<(), Failed>,
    ) -> Result<(), ()> {
        let mut batch = batch.into_iter().peekable();
        what(self, &mut batch).map_err(|(what, error)| {
            let stopped = self.shared.stop(what, &error);
            for record in self.unsynced.drain(..).chain(batch) {
                record.waiter.refuse(&stopped);
            }
        })
    }

    /// Writes a batch, and syncs it if it is time. A batch ends where a segment does: when a segment
    /// comes into use, all before it is durable.
    fn write(&mut self, batch: &mut Peekable<IntoIter<Queued>>) -> Result<(), Failed> {
        if self.syncer.is_late() {
            // On a disk that is stuck, who waits for a write waits, too: it would not be durable soon.
            self.syncer.wait()?;
        }
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
        if hurry {
            self.sync()?;
        } else if !self.unsynced.is_empty() && self.has_waited() {
            self.sync_beside()?;
        }
        Ok(())
    }

    /// Writes a batch that begins no segment, and leaves it to be synced.
    fn write_on(&mut self, batch: &mut Peekable<IntoIter<Queued>>) -> Result<(), Failed> {
        let begin = self.unsynced.len();
        self.unsynced.extend(batch);
        self.write_from(begin)
    }

    /// Whether something has waited long enough to be synced.
    fn has_waited(&self) -> bool {
        let since = *lock(&self.shared.queue)
            .since
            .get_or_insert_with(Instant::now);
        since.elapsed() >= limits::SYNC_WITHIN
    }

    /// Writes what is unsynced from `begin` on.
    fn write_from(&mut self, begin: usize) -> Result<(), Failed> {
        self.syncer.look()?;
        let new = self.unsynced.get_mut(begin..).unwrap_or_default();
        self.bytes.clear();
        self.bytes.shrink_to(limits::BATCH_KEPT);
        let durable = self.next - begin as u64 - self.syncer.has();
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
        lock(&self.shared.queue).since = None;
        self.syncer.wait()?;
        self.syncer.sync(&self.file, &mut self.unsynced)
    }

    /// Has everything that is written made durable, and goes on meanwhile.
    fn sync_beside(&mut self) -> Result<(), Failed> {
        lock(&self.shared.queue).since = None;
        self.syncer.wait()?;
        self.syncer
            .sync_beside(&self.file, std::mem::take(&mut self.unsynced))
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
        self.file = Arc::new(open_segment(&taken.path)?);
        self.offset = HEAD_LEN;
        Ok(())
    }
}
