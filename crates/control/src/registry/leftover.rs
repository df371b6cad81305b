//! What the last gateway left open. No run outlives its gateway: those runs are closed before a new
//! one is opened.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;

use bailiwick_audit::{
    AppendError, Draft, Entry, Event, Log, ReadError, Recovered, Ruling, Subject,
};
use bailiwick_run::{ApprovalId, Ending, Run, RunId, TimeBox};

use super::blocking;
use super::end::indeterminate;
use crate::store::{Store, StoreError, Stored};
use crate::{clock, names, trail};

/// Why the registry could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record cannot be read.
    #[error("the runs that were left open cannot be closed: {0}")]
    Read(#[from] ReadError),
    /// The record cannot be written.
    #[error("the runs that were left open cannot be closed: {0}")]
    Record(#[from] AppendError),
    /// A run's first record cannot be read.
    #[error(
        "{0} was left open, and its first record does not say enough to close it; `bailiwick verify` \
         says whether it was altered"
    )]
    NotARun(RunId),
    /// A path cannot be made absolute.
    #[error("cannot find {}: {error}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

/// Closes every run that is open in the record, and brings the registry in line with it.
pub(super) async fn close(
    log: &Log,
    store: &Store,
    recovered: &Recovered,
) -> Result<(), StartError> {
    let mut stored: HashMap<RunId, Stored> = store
        .not_closed()
        .await?
        .into_iter()
        .map(|stored| (stored.run.id, stored))
        .collect();
    for id in &recovered.open_runs {
        close_one(log, store, *id, stored.remove(id)).await?;
    }
    // The rest was closed in the record, or never made it there.
    for (id, stored) in stored {
        let entries = entries(log, id).await?;
        let last = entries.last().map(|entry| &entry.record);
        let ending = last.and_then(|record| names::ending(record.ending.as_deref()?));
        let ended = last.and_then(|record| clock::read(&record.time));
        let (known, at) = stored
            .ended
            .unwrap_or((Ending::GatewayStopped, clock::now()));
        store
            .closed(
                &stored.run,
                ending.unwrap_or(known),
                ended.unwrap_or(at),
                trail::counts(&entries),
            )
            .await?;
    }
    Ok(())
}

async fn close_one(
    log: &Log,
    store: &Store,
    id: RunId,
    stored: Option<Stored>,
) -> Result<(), StartError> {
    let entries = entries(log, id).await?;
    let run = match &stored {
        Some(stored) => stored.run.clone(),
        None => from_record(id, &entries).ok_or(StartError::NotARun(id))?,
    };
    for call in trail::unfinished(&entries) {
        log.append(indeterminate(&run, call)).await?;
    }
    for (approval, of) in trail::unanswered(&entries) {
        log.append(lapsed(&run, approval, of)).await?;
    }
    // It may have ended before the gateway did, without its closing record.
    let (known, by) = stored.map_or((None, None), |stored| (stored.ended, stored.ended_by));
    let (ending, ended) = known.unwrap_or((Ending::GatewayStopped, clock::now()));
    log.append(Draft {
        event: Event::RunClosed { ending, by },
        subject: Subject::Run(run.clone()),
        payload: None,
    })
    .await?;
    store
        .closed(&run, ending, ended, trail::counts(&entries))
        .await?;
    tracing::info!(run = %id, ending = ending.as_str(), "closed a run that was left open");
    Ok(())
}

/// Nobody can answer this any more.
fn lapsed(run: &Run, approval: ApprovalId, of: u64) -> Draft {
    Draft {
        event: Event::ApprovalDecided {
            approval,
            of,
            ruling: Ruling::Lapse,
            by: None,
            expires: None,
        },
        subject: Subject::Run(run.clone()),
        payload: None,
    }
}

/// The records of a run, in order; none if there is no such run.
pub(super) async fn entries(log: &Log, id: RunId) -> Result<Vec<Entry>, ReadError> {
    let reader = log.reader();
    blocking(move || reader.run(&id)).await
}

/// The run as its first record has it, where the registry has lost it.
pub(crate) fn from_record(id: RunId, entries: &[Entry]) -> Option<Run> {
    let opened = &entries.first()?.record;
    Some(Run {
        id,
        launcher: opened.launcher.as_deref()?.parse().ok()?,
        task: opened.task.clone()?,
        time_box: TimeBox {
            opened: clock::read(&opened.time)?,
            expires: clock::read(opened.expires.as_deref()?)?,
        },
        confinement: names::confinement(opened.confinement.as_deref()?)?,
        reason: None,
    })
}
