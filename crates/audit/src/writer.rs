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
use std::sync::{Arc, PoisonError};
use std::time::Instant;
use std::vec::IntoIter;

use crate::disk::Disk;
use crate::limits;
use crate::queue::{Queue, Queued, Shared, lock, wait};
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
    /// Since when the first record waits that is not durable nor with the syncer.
    pub(crate) since: Option<Instant>,
}

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
                Next::Sync => (self.sync_beside(), false),
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

    fn next(&mut self) -> Next {
        let mut queue = lock(&self.shared.queue);
        loop {
            let over = queue.stopped.is_some() || queue.closing;
            if !queue.records.is_empty() {
                let since = *self.since.get_or_insert_with(Instant::now);
                if over || queue.awaited || since.elapsed() >= limits::SYNC_WITHIN {
                    return Next::Batch(taken(&mut queue));
                }
            }
            if over {
                return Next::End;
            }
            queue = match self.since {
                None => {
                    queue.writer_sleeps = true;
                    let mut queue = wait(&self.shared.writer, queue);
                    queue.writer_sleeps = false;
                    queue
                }
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
        if hurry {
            self.sync()?;
        } else if since.elapsed() >= limits::SYNC_WITHIN {
            self.sync_beside()?;
        }
        Ok(())
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
        self.since = None;
        self.syncer.wait()?;
        self.syncer.sync(&self.file, &mut self.unsynced)
    }

    /// Has everything that is written made durable, and goes on meanwhile.
    fn sync_beside(&mut self) -> Result<(), Failed> {
        self.since = None;
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

/// Everything in the queue.
fn taken(queue: &mut Queue) -> Vec<Queued> {
    queue.awaited = false;
    let as_many = Vec::with_capacity(queue.records.len());
    std::mem::replace(&mut queue.records, as_many)
}
