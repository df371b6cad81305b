//! The thread that keeps the index up with the log.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use bailiwick_audit::Reader;

use super::file::{self, IndexError};
use super::projection::{Projection, Step, Touched};
use super::{Shared, Words};
use crate::api::Reindexed;
use crate::limits::{INDEX_POLL, INDEX_RETRY_AFTER};
use crate::live::lock;
use crate::view::Change;

/// How much less of the processor the thread gets than those that serve calls, as `nice` counts it.
const NICE: i32 = 19;

pub(super) struct Follower {
    path: PathBuf,
    reader: Reader,
    words: Words,
    shared: Arc<Shared>,
    /// How many of the rebuilds that were asked for have begun.
    begun: u64,
    /// When the index was thrown away that is not whole again yet.
    anew_since: Option<Instant>,
    /// It was thrown away because it was damaged.
    damaged: bool,
    /// Everything has changed, and nobody was told.
    untold: bool,
}

impl Follower {
    pub(super) fn new(path: PathBuf, reader: Reader, words: Words, shared: Arc<Shared>) -> Self {
        Self {
            path,
            reader,
            words,
            shared,
            begun: 0,
            anew_since: None,
            damaged: false,
            untold: false,
        }
    }

    /// Follows the log until told to stop. What goes wrong is said, and tried again after a while.
    pub(super) fn run(mut self) {
        let thread = rustix::thread::gettid();
        if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
            tracing::debug!(%error, "the index is made at the priority of everything else");
        }
        while !self.stopped() {
            let Err(error) = self.follow() else { break };
            if self.stopped() {
                break;
            }
            tracing::error!(
                "the index of the record cannot be kept up, and searches find nothing newer: {error}"
            );
            self.shared.progress.send_modify(|progress| {
                progress.failure = Some(error.to_string());
            });
            let until = Instant::now() + INDEX_RETRY_AFTER;
            while !self.stopped() && Instant::now() < until {
                std::thread::park_timeout(INDEX_POLL);
            }
            self.damaged = false;
        }
    }

    fn follow(&mut self) -> Result<(), IndexError> {
        let mut projection = match self.open() {
            Err(error) if error.is_damage() => self.anew(None, &error.to_string())?,
            opened => opened?,
        };
        (self.shared.progress).send_modify(|progress| progress.ready = true);
        while !self.stopped() {
            let asked_for = self.shared.rebuilds.load(Ordering::Acquire);
            if self.begun < asked_for {
                projection = self.anew(Some(projection), "it was asked for")?;
                self.begun = asked_for;
            }
            let begun = Instant::now();
            match self.step(&mut projection, begun) {
                Ok(Step::On) => {}
                Ok(Step::End) => std::thread::park_timeout(INDEX_POLL),
                // Should the new one be damaged as well, the disk is given some time.
                Err(error) if error.is_damage() && !self.damaged => {
                    self.damaged = true;
                    projection = self.anew(Some(projection), &error.to_string())?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn step(&mut self, projection: &mut Projection, begun: Instant) -> Result<Step, IndexError> {
        let step = projection.step()?;
        self.report(projection, step, begun);
        self.tell(projection.touched());
        if step == Step::End && !self.stopped() {
            projection.scrub()?;
        }
        Ok(step)
    }

    /// Throws the index away and begins another.
    fn anew(&mut self, old: Option<Projection>, why: &str) -> Result<Projection, IndexError> {
        tracing::warn!("the index of the record is made anew: {why}");
        self.anew_since = Some(Instant::now());
        self.untold = true;
        // SQLite must not find another file under the name of one that it has open.
        let _alone = (self.shared.file.write()).unwrap_or_else(PoisonError::into_inner);
        drop(old);
        file::remove(&self.path)?;
        self.open()
    }

    fn open(&self) -> Result<Projection, IndexError> {
        let projection = Projection::open(&self.path, &self.reader, self.words)?;
        *lock(&self.shared.interrupt) = Some(projection.interrupt_handle());
        Ok(projection)
    }

    fn report(&mut self, projection: &Projection, step: Step, begun: Instant) {
        let records = projection.records();
        let rebuilt = match step {
            Step::End => self.anew_since.take().map(|since| Reindexed {
                records,
                payloads_unread: projection.unread(),
                took: since.elapsed(),
            }),
            Step::On => None,
        };
        if let Some(rebuilt) = &rebuilt {
            tracing::info!(
                records,
                "the index of the record is whole after {} ms",
                rebuilt.took.as_millis()
            );
        }
        self.damaged &= step == Step::On;
        let done = self.begun;
        self.shared.progress.send_modify(|progress| {
            progress.records = records;
            progress.failure = None;
            if step == Step::End {
                progress.caught_up = Some(begun);
                progress.rebuilds = done;
            }
            if let Some(rebuilt) = rebuilt {
                progress.rebuilt = Some(rebuilt);
            }
        });
    }

    /// Tells whoever listens what has changed, or nothing while the index is being made anew: then it is all of
    /// it, in the end.
    fn tell(
        &mut self,
        Touched {
            runs,
            gateway,
            removed,
        }: Touched,
    ) {
        self.untold |= removed;
        let change = match self.untold {
            true if self.anew_since.is_some() => return,
            true => Change::Everything,
            false if runs.is_empty() && !gateway => return,
            false => Change::Some { runs, gateway },
        };
        self.untold = false;
        // There may be nobody who listens.
        drop(self.shared.changes.send(Arc::new(change)));
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Acquire)
    }
}
