//! The index: what the log says, arranged so that it can be searched. It follows the log, is never
//! ahead of it, and never the truth: whatever is wrong with it, it is made anew from the log alone.
//!
//! One thread writes it, behind everything that serves calls. It remembers how many records it has
//! taken and the digest of the last, in the same transaction as those records, so that after a crash
//! it goes on where it was, and notices when it is next to another log.
//!
//! Where that is asked for it also holds words of payloads, in clear: the file is for its owner alone,
//! beside the keys that open the payloads. Where a run's payloads are erased their words go from here,
//! too.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bailiwick_audit::Reader;
use rusqlite::{InterruptHandle, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, watch};
use tokio::time::timeout;

use crate::api::{Answer, IndexState, Reindexed};
use crate::limits::{
    CHANGES_KEPT_MAX, INDEX_GLANCE_MAX, INDEX_WAIT_MAX, SEARCH_TIME_MAX, SEARCHES_AT_ONCE_MAX,
    VIEWS_AT_ONCE_MAX,
};
use crate::live::lock;
use crate::registry::blocking;
use crate::view::Change;

mod counts;
mod file;
mod follow;
pub(crate) mod logs;
mod offline;
mod projection;
mod query;
mod row;
#[cfg(test)]
mod tests;
mod views;

use file::IndexError;
pub(crate) use logs::{Logs, Numbered};
pub use query::NotAQuery;
pub(crate) use query::Query;
use query::QueryError;
pub(crate) use views::{ChainIncidents, Place, Spans};

pub(crate) use offline::search as search_once;
pub use offline::{ReindexError, reindex};

/// What can be searched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Words {
    /// Words of records. What agents wrote and got stays encrypted.
    #[default]
    OfRecords,
    /// Words of statements, values and results, too, which are then in the index in clear.
    WithPayloads,
}

/// The index of a log that a gateway has open.
pub(crate) struct Index {
    path: PathBuf,
    shared: Arc<Shared>,
    progress: watch::Receiver<Progress>,
    searches: Arc<Semaphore>,
    views: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and those who ask share.
struct Shared {
    stop: AtomicBool,
    /// How many times the index was to be made anew.
    rebuilds: AtomicU64,
    /// Held by those who search, and alone by whoever removes the file.
    file: RwLock<()>,
    /// Breaks off whatever SQLite is doing in the thread.
    interrupt: Mutex<Option<InterruptHandle>>,
    progress: watch::Sender<Progress>,
    changes: broadcast::Sender<Arc<Change>>,
}

/// How far the index is.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// There is a file with tables in it.
    ready: bool,
    records: u64,
    /// Everything that was recorded before this moment is in the index.
    caught_up: Option<Instant>,
    /// How many of the rebuilds that were asked for are done.
    rebuilds: u64,
    rebuilt: Option<Reindexed>,
    failure: Option<String>,
}

/// Why a search has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// It cannot be searched so.
    #[error(transparent)]
    Query(#[from] NotAQuery),
    /// It was given up.
    #[error(
        "the search took longer than {seconds} s and was given up; say more words, or narrow it by \
         run, task or time", seconds = SEARCH_TIME_MAX.as_secs()
    )]
    TooSlow,
    /// Others search.
    #[error("{SEARCHES_AT_ONCE_MAX} searches are going on already; try again in a moment")]
    TooMany,
    /// It is being made.
    #[error("there is no index yet; try again in a moment")]
    NotReady,
    /// It is being made anew.
    #[error("the index was damaged and is being made anew from the record; try again in a while")]
    Damaged,
    /// There is none, and it cannot be made for this search.
    #[error(transparent)]
    NotMade(#[from] ReindexError),
    /// It cannot be made or read.
    #[error("the index cannot be used: {0}; the gateway goes on without it, and its log says more")]
    Failed(String),
}

impl Index {
    /// Where a data folder has it.
    pub(crate) fn path(data: &Path) -> PathBuf {
        data.join("index.sqlite")
    }

    /// Begins to follow the log of a data folder. Nothing that goes wrong with the index keeps the
    /// gateway from its work.
    pub(crate) fn start(data: &Path, reader: Reader, words: Words) -> Self {
        let (sender, progress) = watch::channel(Progress::default());
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            rebuilds: AtomicU64::new(0),
            file: RwLock::new(()),
            interrupt: Mutex::new(None),
            progress: sender,
            changes: broadcast::Sender::new(CHANGES_KEPT_MAX),
        });
        let path = Self::path(data);
        let follower = follow::Follower::new(path.clone(), reader, words, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("control-index".into())
            .spawn(move || follower.run())
            .inspect_err(|error| tracing::error!(%error, "there is no index of the record"));
        Self {
            path,
            shared,
            progress,
            searches: Arc::new(Semaphore::new(SEARCHES_AT_ONCE_MAX)),
            views: Arc::new(Semaphore::new(VIEWS_AT_ONCE_MAX)),
            thread: thread.ok(),
        }
    }

    /// Searches. Waits a little until everything is in the index that is in the log now; the answer
    /// says if that was not enough.
    pub(crate) async fn search(&self, query: Query) -> Result<Answer, SearchError> {
        let place = Arc::clone(&self.searches).try_acquire_owned();
        let place = place.map_err(|_| SearchError::TooMany)?;
        let complete = self.catch_up(INDEX_WAIT_MAX).await?;
        let path = self.path.clone();
        let found = self.read(place, move || query.run(&path)).await?;
        Ok(Answer {
            hits: found.hits,
            more: found.more,
            records: found.records,
            complete,
        })
    }

    /// Asks something that costs little, out of one state of the index. Waits a moment for what was just
    /// recorded, and no longer: pages are asked for again when there is more.
    async fn look<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Transaction<'_>) -> Result<T, IndexError> + Send + 'static,
    ) -> Result<T, SearchError> {
        let place = Arc::clone(&self.views).acquire_owned().await;
        let place = place.map_err(|_| SearchError::TooMany)?;
        self.catch_up(INDEX_GLANCE_MAX).await?;
        let path = self.path.clone();
        let answer = move || {
            let mut connection = file::open_to_read(&path)?;
            query::limit(&connection)?;
            let transaction = connection.transaction().map_err(IndexError::from)?;
            question(&transaction).map_err(QueryError::from)
        };
        self.read(place, answer).await
    }

    /// Reads the file, which nobody removes meanwhile.
    async fn read<T: Send + 'static>(
        &self,
        place: OwnedSemaphorePermit,
        work: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, SearchError> {
        let shared = Arc::clone(&self.shared);
        let done = blocking(move || {
            let _not_removed = (shared.file.read()).unwrap_or_else(PoisonError::into_inner);
            let done = work();
            drop(place);
            done
        });
        match done.await {
            Ok(done) => Ok(done),
            Err(QueryError::TooSlow) => Err(SearchError::TooSlow),
            Err(QueryError::Index(error)) if error.is_damage() => {
                tracing::warn!("a search found the index of the record damaged: {error}");
                self.rebuild();
                Err(SearchError::Damaged)
            }
            Err(QueryError::Index(error)) => Err(SearchError::Failed(error.to_string())),
        }
    }

    /// Hears of everything that is taken in from here on.
    pub(crate) fn changes(&self) -> broadcast::Receiver<Arc<Change>> {
        self.shared.changes.subscribe()
    }

    /// Has the index made anew. [`state`](Self::state) says when that is done: when it counts as
    /// many rebuilds as this returns.
    pub(crate) fn rebuild(&self) -> u64 {
        let number = self.shared.rebuilds.fetch_add(1, Ordering::AcqRel) + 1;
        self.wake();
        number
    }

    /// How far the index is.
    pub(crate) fn state(&self) -> IndexState {
        let progress = self.progress.borrow().clone();
        IndexState {
            records: progress.records,
            rebuilds: progress.rebuilds,
            rebuilt: progress.rebuilt,
            failure: progress.failure,
        }
    }

    /// Waits until everything that is recorded now is in the index, but not for longer than this once there is
    /// one; whether it is.
    async fn catch_up(&self, at_most: Duration) -> Result<bool, SearchError> {
        let asked = Instant::now();
        self.wake();
        let mut progress = self.progress.clone();
        // What is borrowed keeps the thread from going on, and is given back at once.
        let opened = async {
            let opened = |progress: &Progress| progress.ready || progress.failure.is_some();
            progress.wait_for(opened).await.is_ok()
        };
        // Right after a start there is nothing to look into, however old.
        let _ = timeout(INDEX_WAIT_MAX, opened).await;
        let caught_up = async {
            let caught_up = |progress: &Progress| progress.caught_up >= Some(asked);
            progress.wait_for(caught_up).await.is_ok()
        };
        let complete = timeout(at_most, caught_up).await.unwrap_or(false);
        let progress = self.progress.borrow();
        match (&progress.failure, progress.ready) {
            (_, true) => Ok(complete),
            (Some(failure), false) => Err(SearchError::Failed(failure.clone())),
            (None, false) => Err(SearchError::NotReady),
        }
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Index {
    /// Waits for the thread: what comes next may be another index over the same file.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(interrupt) = &*lock(&self.shared.interrupt) {
            interrupt.interrupt();
        }
        self.wake();
        if let Some(thread) = self.thread.take() {
            // One that panicked has nothing more to say; the next start finds the file as it is.
            drop(thread.join());
        }
    }
}
