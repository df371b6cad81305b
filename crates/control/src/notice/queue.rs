//! Notices between whoever puts them and the threads that deliver them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::Instant;

use bailiwick_audit::{Draft, Event, Log, Subject};
use bailiwick_run::Time;
use tokio::runtime::Handle;

use super::deliver::Worker;
use super::{Notice, NoticeSettings};
use crate::limits::NOTICES_UNSTORED_MAX;
use crate::live::lock;
use crate::store::{Store, StoreError};

/// What is to be told, on its way. A cheap handle.
#[derive(Clone)]
pub(crate) struct Notices(Arc<Inner>);

/// What the handles and the threads share. The threads end with it.
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) log: Log,
    pub(super) console: Option<String>,
    /// All sinks.
    known: Vec<String>,
    /// What could not be stored, by sink.
    unstored: Mutex<HashMap<String, VecDeque<Notice>>>,
    threads: Mutex<Vec<Thread>>,
}

impl Notices {
    /// Starts a thread for each sink. Within a runtime.
    pub(crate) fn start(settings: NoticeSettings, store: Store, log: Log) -> Self {
        let inner = Arc::new(Inner {
            store,
            log,
            console: settings.console,
            known: settings
                .sinks
                .iter()
                .map(|sink| sink.name.clone())
                .collect(),
            unstored: Mutex::default(),
            threads: Mutex::default(),
        });
        for sink in settings.sinks {
            let name = sink.name.clone();
            let worker = Worker {
                sink,
                queue: Arc::downgrade(&inner),
                runtime: Handle::current(),
                tries: 0,
                next: Instant::now(),
                looked: None,
            };
            let started = std::thread::Builder::new()
                .name("control-notify".into())
                .spawn(move || worker.run());
            match started {
                Ok(thread) => lock(&inner.threads).push(thread.thread().clone()),
                Err(error) => {
                    tracing::error!(
                        "[notify.{name}] is told nothing until the next start: {error}"
                    );
                }
            }
        }
        Self(inner)
    }

    /// Drops what waits for sinks that are not configured any more: nobody will ever take it.
    ///
    /// # Errors
    /// If the database cannot be used.
    pub(crate) async fn drop_unknown(&self) -> Result<(), StoreError> {
        for sink in self.0.store.waiting_sinks().await? {
            if !self.0.known.contains(&sink) {
                self.0
                    .drop_old(&sink, Time::from_millis(u64::MAX), 0)
                    .await?;
            }
        }
        Ok(())
    }

    /// Puts a notice into the queues of these sinks; where there is none, nothing is done. Durable when this
    /// returns. One of the same id that still waits there stays as it is.
    ///
    /// # Errors
    /// If it cannot be stored. It is told even so, unless this process ends before.
    pub(crate) async fn put(&self, notice: Notice, sinks: Vec<String>) -> Result<(), StoreError> {
        if sinks.is_empty() {
            return Ok(());
        }
        let stored = self.0.store.queue(sinks.clone(), notice.clone()).await;
        if stored.is_err() {
            self.put_unstored(&sinks, &notice);
        }
        self.wake();
        stored
    }

    /// Tells the sinks what cannot be stored.
    pub(crate) fn put_unstored(&self, sinks: &[String], notice: &Notice) {
        let mut unstored = lock(&self.0.unstored);
        for sink in sinks {
            let of_sink = unstored.entry(sink.clone()).or_default();
            let known = of_sink.iter().any(|known| known.id == notice.id);
            if !known && of_sink.len() < NOTICES_UNSTORED_MAX {
                of_sink.push_back(notice.clone());
            }
        }
        drop(unstored);
        self.wake();
    }

    /// Has the sinks look at their queues.
    pub(crate) fn wake(&self) {
        self.0.wake();
    }
}

impl Inner {
    fn wake(&self) {
        for thread in &*lock(&self.threads) {
            thread.unpark();
        }
    }

    /// Drops a sink's notices of before a moment, and the oldest of what is more than `keep`. That is on record
    /// before they are gone.
    pub(super) async fn drop_old(
        &self,
        sink: &str,
        before: Time,
        keep: u32,
    ) -> Result<(), StoreError> {
        let Some(old) = self
            .store
            .old_notices(sink.to_owned(), before, keep)
            .await?
        else {
            return Ok(());
        };
        tracing::error!(
            "[notify.{sink}]: {} notices were not delivered in time and are dropped, the first about {}; what they \
             are about is in the log",
            old.count,
            old.first
        );
        let draft = Draft {
            event: Event::SignalRaised {
                signal: format!("notify:{sink}"),
                rule: "dropped",
                of: old.first,
                actions: Vec::new(),
            },
            subject: Subject::Gateway,
            payload: None,
        };
        if let Err(error) = self.log.append(draft).await {
            tracing::error!("[notify.{sink}]: they are kept, as that cannot be recorded: {error}");
            return Ok(());
        }
        self.store.drop_notices(sink.to_owned(), old.last).await
    }

    /// The next of a sink that could not be stored.
    pub(super) fn unstored(&self, sink: &str) -> Option<Notice> {
        lock(&self.unstored).get_mut(sink)?.pop_front()
    }

    /// It could not be delivered either.
    pub(super) fn put_back(&self, sink: &str, notice: Notice) {
        let mut unstored = lock(&self.unstored);
        unstored
            .entry(sink.to_owned())
            .or_default()
            .push_front(notice);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wake();
    }
}
