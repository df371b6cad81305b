//! The thread that follows the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use bailiwick_audit::{Entry, Event, ReadError};
use bailiwick_run::{Ending, RunId};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::count::Count;
use super::trouble::{Trouble, Troubles};
use super::{Rule, SignalSettings, When};
use crate::clock;
use crate::index::logs::{Logs, Numbered};
use crate::limits::{
    NOTICE_ACTIONS_MAX, SIGNALS_BATCH_RECORDS_MAX, SIGNALS_POLL, SIGNALS_STORED_EVERY,
    SIGNALS_UNRECORDED_MAX,
};
use crate::notice::{Notice, NoticeKind, Notices};
use crate::registry::{Registry, WeakRegistry, blocking};
use crate::store::{Place, Step, Store, StoreError};

/// The chain of what is about the gateway itself.
const GATEWAY: &str = "gateway";

pub(super) struct Follower {
    registry: WeakRegistry,
    store: Store,
    notices: Notices,
    runtime: Handle,
    rules: Vec<Rule>,
    log: Logs,
    /// By rule and chain.
    counts: HashMap<(String, String), Count>,
    /// Those of the counts that are not stored as they are.
    changed: BTreeSet<(String, String)>,
    /// What was raised and has not been seen in the log, by rule and record.
    raised: BTreeMap<(String, String), Raised>,
    /// What is to be stored, besides the counts.
    step: Step,
    stored: Instant,
    /// The log was read to its end at least once, so whatever was recorded before has been seen.
    caught_up: bool,
    troubles: Troubles,
    /// What went wrong last, and has been said.
    said: Option<String>,
}

/// A signal whose record has not been seen in the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Raised {
    rule: String,
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<String>,
    actions: Vec<String>,
    /// The record was made, and is on its way through the log.
    #[serde(skip)]
    recorded: bool,
    /// The registry knows of it.
    #[serde(skip)]
    done: bool,
}

/// Why it cannot go on for now.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the record cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error("what came of it cannot be stored: {0}")]
    Store(#[from] StoreError),
    #[error("signals cannot be recorded: {0}")]
    Record(#[from] bailiwick_audit::AppendError),
}

impl Follower {
    /// Goes on where the last one was; without one, at the end of the log as it is now.
    pub(super) async fn new(
        registry: &Registry,
        weak: WeakRegistry,
        settings: SignalSettings,
        store: Store,
        notices: Notices,
    ) -> Result<Self, StoreError> {
        let followed = store.followed().await?;
        let reader = registry.reader();
        let (log, place) = blocking(move || begin(&reader, followed.place)).await?;
        let read = |json: &str| serde_json::from_str(json).ok();
        let counts = followed.counts.into_iter();
        let raised = followed.raised.into_iter();
        let mut follower = Self {
            registry: weak,
            store,
            notices,
            runtime: Handle::current(),
            rules: settings.rules,
            log,
            counts: counts
                .filter_map(|(signal, chain, count)| Some(((signal, chain), read(&count)?)))
                .collect(),
            changed: BTreeSet::new(),
            raised: raised
                .filter_map(|(signal, of, raised)| {
                    Some(((signal, of), serde_json::from_str(&raised).ok()?))
                })
                .collect(),
            step: Step {
                place,
                ..Step::default()
            },
            stored: Instant::now(),
            caught_up: false,
            troubles: Troubles::new(registry.data().to_owned(), settings.witnessed),
            said: None,
        };
        // Where a first one begins has to be known should it end at once.
        let step = std::mem::take(&mut follower.step);
        follower.store.follow(step).await?;
        Ok(follower)
    }

    /// Follows the log as long as there is a registry. What goes wrong is said, and tried again.
    pub(super) fn run(mut self) {
        while let Some(registry) = self.registry.get() {
            let more = self.go(&registry);
            drop(registry);
            match more {
                Ok(more) => {
                    if self.said.take().is_some() {
                        tracing::info!("signals are looked for, stored and recorded again");
                    }
                    if more {
                        continue;
                    }
                }
                Err(fault) => {
                    let fault = fault.to_string();
                    if self.said.as_ref() != Some(&fault) {
                        tracing::error!("signals: {fault}; it is tried again");
                        self.said = Some(fault);
                    }
                }
            }
            std::thread::park_timeout(SIGNALS_POLL);
        }
    }

    /// Reads on, and sees to what comes of it; whether there may be more at once.
    fn go(&mut self, registry: &Registry) -> Result<bool, Fault> {
        let read = self.read(registry);
        for trouble in self.troubles.look(registry) {
            self.in_trouble(registry, &trouble);
        }
        // Whatever the log is like, and whatever becomes of the database: runs are cut by now.
        let stored = self.store();
        let recorded = match self.caught_up {
            true => self.record(registry),
            false => Ok(()),
        };
        let more = read?;
        stored?;
        recorded?;
        Ok(more)
    }

    fn read(&mut self, registry: &Registry) -> Result<bool, Fault> {
        for _ in 0..SIGNALS_BATCH_RECORDS_MAX {
            let Some(Numbered { number, entry }) = self.log.next()? else {
                self.caught_up = true;
                return Ok(false);
            };
            self.take(registry, &entry);
            self.step.place = Some(Place {
                records: number + 1,
                digest: entry.digest().as_bytes().to_vec(),
            });
        }
        Ok(true)
    }

    /// Looks at one record.
    fn take(&mut self, registry: &Registry, entry: &Entry) {
        let record = &entry.record;
        match &*record.r#type {
            "signal.raised" => {
                if let Some(signal) = &record.signal {
                    let key = (signal.name.clone(), signal.of.clone());
                    if self.raised.remove(&key).is_some() {
                        self.step.seen.push(key);
                    }
                }
            }
            // A person has looked at it: what comes now is new. Of one that is over, nothing comes.
            "run.resumed" | "run.closed" => self.forget(&record.run),
            _ => {}
        }
        let hits: Vec<Rule> = (self.rules.iter())
            .filter(|rule| rule.is_about(record))
            .cloned()
            .collect();
        for rule in hits {
            let run = record.run.parse::<RunId>().ok();
            let time = clock::read(&record.time).unwrap_or_else(clock::now);
            let key = (rule.name.clone(), record.run.clone());
            let count = self.counts.entry(key.clone()).or_default();
            let raised = count.hit(&rule, run.is_some(), time);
            self.changed.insert(key);
            if raised {
                let notice = notice(&rule, entry, run);
                self.raise(registry, &rule, run, entry.id(), notice);
            }
        }
    }

    fn forget(&mut self, chain: &str) {
        let of_chain = |key: &&(String, String)| key.1 == chain;
        let keys: Vec<_> = self.counts.keys().filter(of_chain).cloned().collect();
        for key in keys {
            self.counts.remove(&key);
            self.changed.insert(key);
        }
    }

    fn in_trouble(&mut self, registry: &Registry, trouble: &Trouble) {
        let rules = self.rules.iter();
        let hits: Vec<Rule> = rules
            .filter(|rule| rule.when.as_str() == trouble.when)
            .cloned()
            .collect();
        for rule in hits {
            let now = clock::now();
            let key = (rule.name.clone(), format!("{GATEWAY}/{}", trouble.key));
            let count = self.counts.entry(key.clone()).or_default();
            let raised = count.hit(&rule, false, now);
            self.changed.insert(key);
            if raised {
                let id = format!("{}_{}_{}", rule.name, trouble.key, now.millis());
                let title = format!("{}: {}", rule.name, rule.when.words(1));
                let mut notice = Notice::new(id, NoticeKind::SignalRaised, now, title);
                notice.signal = Some(rule.name.clone());
                notice.reason = Some(trouble.words.clone());
                self.raise(registry, &rule, None, GATEWAY.to_owned(), notice);
            }
        }
    }

    /// Cuts the run at once; the rest follows once it is stored.
    fn raise(
        &mut self,
        registry: &Registry,
        rule: &Rule,
        run: Option<RunId>,
        of: String,
        notice: Notice,
    ) {
        let does = &rule.does;
        if let Some(run) = run.filter(|_| does.suspend || does.revoke) {
            registry.hold(&run);
        }
        registry.meters().raised(&rule.name);
        let about = run.map(tracing::field::display);
        tracing::warn!(run = about, signal = rule.name, of, "a signal was raised");
        let actions = does.names().into_iter().map(str::to_owned).collect();
        if !does.notify.is_empty() {
            self.step.notices.push((does.notify.clone(), notice));
        }
        if self.raised.len() >= SIGNALS_UNRECORDED_MAX && !(does.suspend || does.revoke) {
            tracing::error!(
                run = about,
                signal = rule.name,
                of,
                "a signal is not recorded: too many wait for that"
            );
            return;
        }
        let raised = Raised {
            rule: rule.when.as_str().to_owned(),
            run: run.map(|run| run.to_string()),
            actions,
            recorded: false,
            done: false,
        };
        let key = (rule.name.clone(), of);
        let json = serde_json::to_string(&raised).unwrap_or_default();
        self.step.raised.push((key.0.clone(), key.1.clone(), json));
        self.raised.insert(key, raised);
    }

    /// Stores what came of the records, at once where there is more than that they were read.
    fn store(&mut self) -> Result<(), StoreError> {
        let step = &self.step;
        let nothing = step.raised.is_empty() && step.seen.is_empty() && step.notices.is_empty();
        let later = step.place.is_none() || self.stored.elapsed() < SIGNALS_STORED_EVERY;
        if nothing && later {
            return Ok(());
        }
        let mut step = step.clone();
        for key in &self.changed {
            let count = self.counts.get(key);
            let json = count.and_then(|count| serde_json::to_string(count).ok());
            step.counts.push((key.0.clone(), key.1.clone(), json));
        }
        match self.runtime.block_on(self.store.follow(step)) {
            Ok(()) => {
                self.step = Step::default();
                self.changed.clear();
                self.stored = Instant::now();
                self.notices.wake();
                Ok(())
            }
            Err(error) => {
                // People hear of it even so. After a restart they may hear of it twice, by the same name.
                for (sinks, notice) in std::mem::take(&mut self.step.notices) {
                    self.notices.put_unstored(&sinks, &notice);
                }
                Err(error)
            }
        }
    }

    /// Records what was raised and is not on record, then has the registry do the rest.
    fn record(&mut self, registry: &Registry) -> Result<(), Fault> {
        for ((signal, of), raised) in &mut self.raised {
            if raised.recorded {
                continue;
            }
            let run = raised.run.as_deref().and_then(|run| run.parse().ok());
            let does = |what: &str| raised.actions.iter().any(|action| action == what);
            let (suspend, revoke) = (does("suspend"), does("revoke"));
            let known = ["notify", "revoke", "suspend"];
            let actions: Vec<_> = known.into_iter().filter(|known| does(known)).collect();
            let event = || Event::SignalRaised {
                signal: signal.clone(),
                rule: When::named(&raised.rule),
                of: of.clone(),
                actions: actions.clone(),
            };
            let recorded = self
                .runtime
                .block_on(registry.record_about(run.as_ref(), event));
            // A run is ended or suspended in the registry, too, whether or not this could be recorded.
            if let Some(run) = run.filter(|_| (suspend || revoke) && !raised.done) {
                raised.done = true;
                see_to_it(&self.runtime, registry, run, signal, revoke);
            }
            recorded?;
            raised.recorded = true;
        }
        Ok(())
    }
}

/// Where to go on in the log, and where that is, unless it is stored already.
fn begin(
    reader: &bailiwick_audit::Reader,
    place: Option<Place>,
) -> Result<(Logs, Option<Place>), ReadError> {
    let last = match &place {
        Some(place) => place.records.checked_sub(1),
        // Nobody was looking before: what is there now is no news.
        None => Logs::count(reader)?.checked_sub(1),
    };
    let Some(last) = last else {
        let start = Place {
            records: 0,
            digest: Vec::new(),
        };
        return Ok((Logs::from(reader, 0)?, Some(start)));
    };
    let mut log = Logs::from(reader, last)?;
    let at = log.next()?;
    match (at, place) {
        (Some(at), None) => {
            let place = Place {
                records: at.number + 1,
                digest: at.entry.digest().as_bytes().to_vec(),
            };
            Ok((log, Some(place)))
        }
        (Some(at), Some(place)) if at.entry.digest().as_bytes()[..] == place.digest => {
            Ok((log, None))
        }
        (Some(_), Some(_)) => {
            tracing::warn!(
                "the record is not the one that was looked at for signals: it was lost with the machine's power, or \
                 the data folder is another copy; signals are looked for from record {last} on"
            );
            Ok((Logs::from(reader, last)?, None))
        }
        (None, _) => {
            let count = Logs::count(reader)?;
            Ok((Logs::from(reader, count)?, None))
        }
    }
}

/// Has a run that was cut suspended or revoked in good order.
fn see_to_it(runtime: &Handle, registry: &Registry, run: RunId, signal: &str, revoke: bool) {
    let (registry, by) = (registry.clone(), format!("signal:{signal}"));
    runtime.spawn(async move {
        let done = match revoke {
            true => (registry.end_by(&run, Ending::Revoked, Some(by)).await)
                .map(drop)
                .map_err(|error| error.to_string()),
            false => (registry.suspend(&run, by).await)
                .map(drop)
                .map_err(|error| error.to_string()),
        };
        if let Err(error) = done {
            // It ended meanwhile; or the registry tries on, and says so itself.
            tracing::debug!(%run, "{error}");
        }
    });
}

/// What people are told of a record that raised a rule.
fn notice(rule: &Rule, entry: &Entry, run: Option<RunId>) -> Notice {
    let record = &entry.record;
    let id = format!("{}_{}_{}", rule.name, record.run, record.seq);
    let time = clock::read(&record.time).unwrap_or_else(clock::now);
    let title = format!("{}: {}", rule.name, rule.when.words(rule.after));
    let call = record.call.as_ref();
    let decision = record.decision.as_ref();
    let login = record.login.as_ref();
    let witness = record.witness.as_ref();
    let actions = call.map_or(&[][..], |call| &call.actions);
    let about = login.and_then(|login| login.run.as_deref()?.parse().ok());
    let done = [("suspend", rule.does.suspend), ("revoke", rule.does.revoke)];
    Notice {
        signal: Some(rule.name.clone()),
        run: run.or(about),
        task: record.task.clone(),
        launcher: record
            .launcher
            .as_deref()
            .and_then(|name| name.parse().ok()),
        target: record.target.clone(),
        verb: call.map(|call| call.verb.clone()),
        actions: actions
            .iter()
            .take(NOTICE_ACTIONS_MAX)
            .map(ToString::to_string)
            .collect(),
        reason: decision
            .and_then(|decision| decision.reason.clone())
            .or_else(|| login.map(|login| login.reason.clone()))
            .or_else(|| {
                witness.map(|witness| {
                    format!("the witness {} has signed another history", witness.name)
                })
            }),
        done: done
            .into_iter()
            .filter(|(_, does)| *does && run.is_some())
            .map(|(name, _)| name.to_owned())
            .collect(),
        page: format!("/records/{}", entry.id()),
        record: Some(entry.id()),
        ..Notice::new(id, NoticeKind::SignalRaised, time, title)
    }
}
