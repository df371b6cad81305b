//! The threads behind the [writer](crate::writer): the preparer keeps a zero-filled segment ready for
//! it; the integrator brings what is durable into the tree.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use crate::disk::{self, Disk};
use crate::error::AppendError;
use crate::integrator::{Durable, Integrator};
use crate::limits;
use crate::queue::{Shared, lock, wait};
use crate::sign::{SignError, Unsigned};
use crate::wal::room::Wanted;
use crate::wal::segment;

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
