//! Pruning: the oldest records are removed, in whole bundles, once a record says so (C2SP tlog-tiles,
//! section "Pruning"). The tiles of hashes stay.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_run::{RunId, Time};

use crate::chain::{ChainId, Effect, Step};
use crate::disk::{self, Disk};
use crate::error::AppendError;
use crate::layout::Layout;
use crate::limits;
use crate::merkle::TILE;
use crate::payload::PayloadFiles;
use crate::reader::{ReadError, Reader};
use crate::rotate;
use crate::tiles::{self, Kind};

/// Why the log was not pruned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// The log cannot be read, to find out how far.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The record of it cannot be made.
    #[error(transparent)]
    Record(#[from] AppendError),
}

/// Where the log begins now, and where it would if what is older than `until` were removed: before
/// the first record that is not older, or that belongs to an open run.
pub(crate) fn boundary(
    reader: &Reader,
    until: Time,
    open: &[RunId],
) -> Result<(u64, u64), ReadError> {
    let pruned = reader.pruned()?;
    // RFC 3339 in UTC with milliseconds sorts as it passes.
    let until = until.to_string();
    let open: Vec<String> = open.iter().map(RunId::to_string).collect();
    let mut records = reader.from(pruned);
    let mut before = pruned;
    while let Some(entry) = records.next()? {
        if entry.record.time >= until || open.contains(&entry.record.run) {
            break;
        }
        before = entry.index + 1;
    }
    // Only what a checkpoint covers is in a bundle, and only whole bundles go.
    let before = before.min(reader.covered()?);
    Ok((pruned, before - before % TILE as u64))
}

/// The logs that were rotated away and end before a moment, the oldest first, with their names.
pub(crate) fn old_logs(layout: &Layout, until: Time) -> Result<Vec<(Layout, String)>, ReadError> {
    let archives = at(layout.archive(), rotate::archives(layout))?;
    let mut old = Vec::new();
    for archived in archives {
        let last = Reader::new(archived.clone(), None).newest(1)?.pop();
        if last.is_none_or(|last| last.record.time >= until.to_string()) {
            break;
        }
        let name = at(archived.vkey(), rotate::name(&archived))?;
        old.push((archived, name));
    }
    Ok(old)
}

/// Removes a log that was rotated away, after the payloads of the runs that were closed in it.
pub(crate) fn remove_log(disk: &Arc<dyn Disk>, layout: &Layout) -> Result<(), ReadError> {
    let mut payloads = PayloadFiles::new(Arc::clone(disk), layout.payloads());
    let mut records = Reader::new(layout.clone(), None).from(0);
    while let Some(entry) = records.next()? {
        if let Some(run) = closed(&entry.bytes) {
            at(layout.payloads(), payloads.remove(ChainId::Run(run)))?;
        }
    }
    at(layout.payloads(), payloads.sync())?;
    // Under this name it is no log any more, however much of it a crash leaves.
    let gone = layout.dir().with_extension(GONE);
    at(layout.dir(), disk.rename(&layout.dir(), &gone))?;
    at(gone.clone(), std::fs::remove_dir_all(gone))
}

/// Removes what a crash has left of logs that were removed.
pub(crate) fn sweep(layout: &Layout) -> Result<(), ReadError> {
    let listed = match std::fs::read_dir(layout.archive()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => at(layout.archive(), listed)?,
    };
    for entry in listed {
        let path = at(layout.archive(), entry)?.path();
        if path.extension().is_some_and(|extension| extension == GONE) {
            at(path.clone(), std::fs::remove_dir_all(path))?;
        }
    }
    Ok(())
}

/// What the folder of a log is called while it is being removed.
const GONE: &str = "gone";

fn at<T>(path: PathBuf, done: io::Result<T>) -> Result<T, ReadError> {
    done.map_err(|error| ReadError::Io { path, error })
}

/// Before which record the log is pruned, by the note of it; zero where there is none.
pub(crate) fn noted(layout: &Layout) -> io::Result<u64> {
    let path = layout.pruned();
    let Some(bytes) = disk::read(&path)? else {
        return Ok(0);
    };
    let text = std::str::from_utf8(&bytes).ok();
    let before = text.and_then(|text| text.trim_end().parse().ok());
    before.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not the index of a record",
        )
    })
}

/// Removes bundles, some at a time, for the one thread that writes the tree.
pub(crate) struct Pruner {
    disk: Arc<dyn Disk>,
    layout: Layout,
    /// Before which record bundles go.
    before: u64,
    /// What the note of it says.
    noted: u64,
    /// What a published checkpoint covers the record of: so far bundles may go.
    published: u64,
    /// The first bundle that may still be there.
    next: u64,
}

impl Pruner {
    /// Goes on where the last gateway was.
    pub(crate) fn new(disk: Arc<dyn Disk>, layout: Layout) -> io::Result<Self> {
        let before = noted(&layout)?;
        let mut pruner = Self {
            disk,
            layout,
            before,
            noted: before,
            published: before,
            next: before / TILE as u64,
        };
        // They go in order, so what is left are the last ones.
        while pruner.next > 0 && pruner.bundle(pruner.next - 1).exists() {
            pruner.next -= 1;
        }
        Ok(pruner)
    }

    /// Before which record bundles go.
    pub(crate) fn before(&self) -> u64 {
        self.before
    }

    /// A record says that everything before this index goes.
    pub(crate) fn add(&mut self, before: u64) {
        self.before = self.before.max(before);
    }

    /// Notes how far the log is pruned, before a checkpoint covers the record that says so.
    pub(crate) fn note(&mut self) -> io::Result<()> {
        if self.before > self.noted {
            let text = format!("{}\n", self.before);
            let path = self.layout.pruned();
            self.disk.replace(&path, text.as_bytes(), disk::PRIVATE)?;
            self.noted = self.before;
        }
        Ok(())
    }

    /// The checkpoint is published.
    pub(crate) fn published(&mut self) {
        self.published = self.noted;
    }

    /// Whether there is more to remove.
    pub(crate) fn is_behind(&self) -> bool {
        self.next < self.published / TILE as u64
    }

    /// Removes some bundles, each after the payloads of the runs that were closed in it.
    pub(crate) fn remove_some(&mut self, payloads: &mut PayloadFiles) -> io::Result<()> {
        for _ in 0..limits::PRUNED_AT_ONCE {
            if !self.is_behind() {
                break;
            }
            let bundle = self.bundle(self.next);
            if let Some(bytes) = disk::read(&bundle)? {
                let entries = tiles::entries(&bytes, TILE);
                let entries = entries.ok_or_else(|| tiles::malformed("a bundle to be pruned"))?;
                for run in entries.into_iter().filter_map(closed) {
                    payloads.remove(ChainId::Run(run))?;
                }
                payloads.sync()?;
                self.disk.remove(&bundle)?;
            }
            self.next += 1;
        }
        Ok(())
    }

    fn bundle(&self, number: u64) -> PathBuf {
        self.layout
            .log()
            .join(tiles::path(Kind::Bundle, number, None))
    }
}

/// The run that a record closes.
fn closed(record: &[u8]) -> Option<RunId> {
    match Step::of_stored(record) {
        Ok((step, _)) if step.effect == Effect::Closes => step.chain.run(),
        _ => None,
    }
}
