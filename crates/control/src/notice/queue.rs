//! Notices between whoever puts them and the threads that deliver them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::thread::Thread;
use std::time::Instant;

use bailiwick_audit::{AppendError, Draft, Event, Log, Subject};
use bailiwick_run::Time;
use tokio::runtime::Handle;

use super::deliver::Worker;
use super::meters::Meters;
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
    pub(super) meters: Meters,
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
            meters: Meters::default(),
        });
        for sink in settings.sinks {
            let name = sink.name.clone();
            let worker = Worker {
                meter: inner.meters.of(&name),
                sink,
                queue: Arc::downgrade(&inner),
                runtime: Handle::current(),
                tries: 0,
                next: Instant::now(),
                tried: 0,
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

    /// Takes up what is left of before. What was refused is offered once more: what was wrong may have been mended.
    /// What is for sinks that are not configured any more is dropped: nobody will ever take it.
    ///
    /// # Errors
    /// If the database cannot be used.
    pub(crate) async fn take_up(&self) -> Result<(), StoreError> {
        self.0.store.offer_again().await?;
        self.wake();
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

    /// Looks up how things stand, for whoever reads what is measured.
    pub(crate) async fn look(&self) {
        // What cannot be looked up is not measured, rather than as it was.
        self.0.meters.stand(Vec::new());
        if let Ok(mut standing) = self.0.store.notices_standing(self.0.known.clone()).await {
            let unstored = lock(&self.0.unstored);
            for of in &mut standing {
                let more = unstored.get(&of.sink).map_or(0, VecDeque::len);
                of.waiting += more as u64;
            }
            drop(unstored);
            self.0.meters.stand(standing);
        }
    }

    pub(super) fn meters(&self) -> &Meters {
        &self.0.meters
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
        if let Err(error) = self.record(sink, "dropped", old.first).await {
            tracing::error!("[notify.{sink}]: they are kept, as that cannot be recorded: {error}");
            return Ok(());
        }
        self.store.drop_notices(sink.to_owned(), old.last).await?;
        self.meters.dropped(sink, old.count);
        Ok(())
    }

    /// Records what became of notices that a sink is not told.
    pub(super) async fn record(
        &self,
        sink: &str,
        rule: &'static str,
        of: String,
    ) -> Result<(), AppendError> {
        let event = Event::SignalRaised {
            signal: format!("notify:{sink}"),
            rule,
            of,
            actions: Vec::new(),
        };
        let draft = Draft {
            event,
            subject: Subject::Gateway,
            payload: None,
        };
        self.log.append(draft).await.map(drop)
    }

    /// Stores a sink's notices that could not be stored.
    pub(super) async fn store_again(&self, sink: &str) -> Result<(), StoreError> {
        while let Some(notice) = self.unstored(sink) {
            let stored = self.store.queue(vec![sink.to_owned()], notice.clone());
            if let Err(error) = stored.await {
                lock(&self.unstored)
                    .entry(sink.to_owned())
                    .or_default()
                    .push_front(notice);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The next of a sink that could not be stored.
    pub(super) fn unstored(&self, sink: &str) -> Option<Notice> {
        lock(&self.unstored).get_mut(sink)?.pop_front()
    }

    /// It could not be delivered either; it comes after the others, as it may be what is wrong.
    pub(super) fn put_back(&self, sink: &str, notice: Notice) {
        let mut unstored = lock(&self.unstored);
        unstored
            .entry(sink.to_owned())
            .or_default()
            .push_back(notice);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wake();
    }
}
