//! The runs: opened, found, ended. Every one of them ends: when its launcher says so or goes away,
//! when its time box ends, when it is revoked, when the gateway stops, and at the latest when the
//! gateway starts again.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use bailiwick_audit::{Log, Policy, Reader, Recovered};
use bailiwick_policy::{Engine, Task};
use bailiwick_run::{BearerDigest, Ending, RunId, Secret};
use tokio::runtime::Handle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::api::RunState;
use crate::approvals::{ApprovalSettings, Approvals, Moment};
use crate::clock;
use crate::index::{Index, Words};
use crate::limits::{END_TIME_MAX, TICK};
use crate::live::{Live, Slot, Suspended, lock};
use crate::metrics::RunMeters;
use crate::notice::{NoticeSettings, Notices};
use crate::signals::{self, SignalSettings};
use crate::store::Store;

mod approvals;
mod attach;
mod end;
mod erase;
mod leftover;
mod lookup;
mod open;
mod people;
mod policy;
mod prune;
mod signal;
mod suspend;
mod verify;

pub use approvals::WordsError;
pub use attach::{AttachError, Attachment};
pub use end::EndError;
pub use erase::EraseError;
pub use leftover::StartError;
pub(crate) use leftover::from_record;
pub use lookup::LookupError;
pub use open::{OpenRunError, Opened, Opening};
use policy::InForce;
pub use policy::{LoadPolicy, ReloadError};
pub use prune::PruneRunsError;
pub(crate) use signal::WeakRegistry;
pub use suspend::SuspendError;
pub(crate) use verify::VerifyError;

/// Makes the value of a task's `[env]` entry: the URL by which this run reaches the gateway. Gets
/// what the task says (`tickets`, `jdbc:tickets`); nothing if there is no such way in.
pub type AgentUrl = Arc<dyn Fn(&str, &RunId, &Secret) -> Option<String> + Send + Sync>;

/// Makes what a run's process is handed beside what its task's `[env]` says.
pub type AgentKit = Arc<dyn Fn(&Task, &RunId, &Secret) -> Kit + Send + Sync>;

/// What a run's process is handed without its task's asking, by what the task's targets are.
#[derive(Clone, Default)]
pub struct Kit {
    /// Environment variables. Those of the task's `[env]` win.
    pub env: BTreeMap<String, String>,
    /// The configuration by which an MCP client reaches the run's MCP targets, with the run's credential
    /// in it.
    pub mcp: Option<serde_json::Value>,
    /// The gateway's own authority, as PEM, for a process that takes the gateway for a proxy.
    pub ca: Option<String>,
}

/// What the registry has to know of the configuration.
#[derive(Clone)]
pub struct Settings {
    /// The data folder; `state.sqlite` is in it.
    pub data: PathBuf,
    /// The folder of the task files.
    pub tasks: PathBuf,
    /// Loads them, and the guardrails.
    pub load: LoadPolicy,
    /// How agents reach the gateway.
    pub agent_url: AgentUrl,
    /// What agents are handed beside.
    pub agent_kit: AgentKit,
    /// What of the log can be searched for.
    pub words: Words,
    /// The environment variables that hold the gateway's own secrets. No run's process may inherit
    /// them.
    pub withhold: Vec<String>,
    /// What is looked for in the record, and what is done about it.
    pub signals: SignalSettings,
    /// Who is told.
    pub notices: NoticeSettings,
    /// The ports of the gateway's listeners.
    pub gateway_ports: Vec<u16>,
    /// What no run's process may see: the data folder, the shared socket with its token, and files with secrets.
    pub hidden: Vec<PathBuf>,
    /// What no run's process may change: the configuration, the tasks and the guardrails.
    pub read_only: Vec<PathBuf>,
    /// How calls are held for an approval.
    pub approvals: ApprovalSettings,
    /// The trust policy by which the log's witnesses are known, if it has one.
    pub policy: Option<Policy>,
}

/// All runs. A cheap handle.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    settings: Settings,
    policy: InForce,
    log: Log,
    store: Store,
    index: Index,
    approvals: Approvals,
    notices: Notices,
    meters: RunMeters,
    slots: Mutex<Slots>,
    /// Held by whoever verifies a trail.
    verifying: tokio::sync::Mutex<()>,
    /// The last run whose trail was found not to be whole, and what is wrong.
    unverified: Mutex<Option<(RunId, String)>>,
    runtime: Handle,
}

#[derive(Default)]
struct Slots {
    /// The runs whose closing record is not durable yet.
    runs: HashMap<RunId, Arc<Slot>>,
    /// And by what tells their secrets.
    bearers: HashMap<BearerDigest, RunId>,
    /// No more runs are opened.
    stopping: bool,
}

impl Slots {
    fn remove(&mut self, run: &RunId) {
        if let Some(slot) = self.runs.remove(run) {
            self.bearers.remove(slot.live.verifier.bearer());
        }
    }
}

impl Registry {
    /// Opens the registry of a data folder whose log was just opened, closes the runs that the last
    /// gateway left open, and starts watching the time boxes.
    ///
    /// # Errors
    /// If the database cannot be used, or those runs cannot be closed.
    pub async fn start(
        mut settings: Settings,
        engine: Arc<Engine>,
        log: Log,
        recovered: &Recovered,
    ) -> Result<Self, StartError> {
        // Runs are told these paths, and their launchers work elsewhere.
        settings.data = absolute(&settings.data)?;
        for path in settings.hidden.iter_mut().chain(&mut settings.read_only) {
            *path = absolute(path)?;
        }
        let path = settings.data.join("state.sqlite");
        let store = blocking(move || Store::open(&path)).await?;
        leftover::close(&log, &store, recovered).await?;
        let notices = Notices::start(settings.notices.clone(), store.clone(), log.clone());
        let signals = settings.signals.clone();
        let approvals = Approvals::new(settings.approvals.clone(), log.clone(), notices.clone());
        let registry = Self(Arc::new(Inner {
            index: Index::start(&settings.data, log.reader(), settings.words),
            approvals,
            notices,
            settings,
            policy: InForce::new(engine),
            log,
            store,
            meters: RunMeters::default(),
            slots: Mutex::default(),
            verifying: tokio::sync::Mutex::default(),
            unverified: Mutex::default(),
            runtime: Handle::current(),
        }));
        tokio::spawn(watch_time_boxes(Arc::downgrade(&registry.0)));
        tokio::spawn(watch_approvals(
            registry.0.approvals.clone(),
            Arc::downgrade(&registry.0),
        ));
        let weak = WeakRegistry(Arc::downgrade(&registry.0));
        let (store, notices) = (&registry.0.store, registry.notices());
        notices.take_up().await?;
        signals::start(&registry, weak, signals, store, notices).await?;
        Ok(registry)
    }

    /// The run of this id, if it may act now.
    pub fn find(&self, id: &RunId) -> Option<Live> {
        self.slot(id)?.admit(clock::now())
    }

    /// The run whose secret this is the digest of, if it may act now.
    pub fn find_bearer(&self, secret: &BearerDigest) -> Option<Live> {
        let id = lock(&self.0.slots).bearers.get(secret).copied()?;
        self.find(&id)
    }

    /// The run of this id, if it is suspended now.
    pub fn find_suspended(&self, id: &RunId) -> Option<Suspended> {
        self.slot(id)?.suspended(clock::now())
    }

    /// The run whose secret this is the digest of, if it is suspended now.
    pub fn find_suspended_bearer(&self, secret: &BearerDigest) -> Option<Suspended> {
        let id = lock(&self.0.slots).bearers.get(secret).copied()?;
        self.find_suspended(&id)
    }

    /// How many runs have not ended.
    pub fn open_runs(&self) -> usize {
        lock(&self.0.slots).runs.len()
    }

    /// How many runs are how far, of those that have not ended.
    pub(crate) fn run_states(&self) -> [(RunState, u64); 3] {
        let slots: Vec<_> = lock(&self.0.slots).runs.values().cloned().collect();
        [RunState::Open, RunState::Suspended, RunState::Ending].map(|state| {
            let of_state = slots.iter().filter(|slot| slot.state() == state);
            (state, of_state.count() as u64)
        })
    }

    /// How many calls wait for somebody's yes.
    pub(crate) fn approvals_waiting(&self) -> usize {
        self.0.approvals.waiting()
    }

    /// What is counted of runs.
    pub(crate) fn meters(&self) -> &RunMeters {
        &self.0.meters
    }

    /// Opens no more runs, because the gateway is about to stop. Those that are open go on.
    pub fn begin_to_stop(&self) {
        lock(&self.0.slots).stopping = true;
    }

    /// Whether no more runs are opened.
    pub(crate) fn is_stopping(&self) -> bool {
        lock(&self.0.slots).stopping
    }

    /// Reads the record.
    pub fn reader(&self) -> Reader {
        self.0.log.reader()
    }

    /// The record itself.
    pub(crate) fn log(&self) -> &Log {
        &self.0.log
    }

    /// The list of runs.
    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// Whether what agents wrote is searched, too.
    pub(crate) fn has_words_of_payloads(&self) -> bool {
        self.0.settings.words == Words::WithPayloads
    }

    /// The index of the record.
    pub(crate) fn index(&self) -> &Index {
        &self.0.index
    }

    /// What is told to people elsewhere.
    pub(crate) fn notices(&self) -> Notices {
        self.0.notices.clone()
    }

    /// The key that checks the log.
    pub fn vkey(&self) -> String {
        self.0.log.vkey()
    }

    /// Opens no more runs and ends all there are, because the gateway stops. Returns when their
    /// closing records are durable, or it has been waiting long enough; the next start closes what
    /// is left.
    pub async fn stop(&self) {
        let slots: Vec<_> = {
            let mut slots = lock(&self.0.slots);
            slots.stopping = true;
            slots.runs.values().cloned().collect()
        };
        for slot in &slots {
            self.cut(slot, Ending::GatewayStopped, None);
        }
        let until = Instant::now() + END_TIME_MAX;
        for slot in &slots {
            if let Err(error) = self.wait_closed(slot, until).await {
                tracing::error!(%error, "a run could not be closed");
            }
        }
    }

    /// The run, until its closing record is durable.
    pub(crate) fn slot(&self, id: &RunId) -> Option<Arc<Slot>> {
        lock(&self.0.slots).runs.get(id).cloned()
    }

    /// Ends every run that is due.
    fn tick(&self) {
        let now = clock::now();
        let slots: Vec<_> = lock(&self.0.slots).runs.values().cloned().collect();
        for slot in slots.iter().filter(|slot| slot.ending().is_none()) {
            if let Some(ending) = slot.is_due(now) {
                self.cut(slot, ending, None);
            }
        }
    }
}

/// Lasts as long as the registry.
async fn watch_time_boxes(registry: Weak<Inner>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(registry) = registry.upgrade() else {
            return;
        };
        Registry(registry).tick();
    }
}

/// Lasts as long as the registry. Not part of the other watch: what waits for the disk must not hold that up.
async fn watch_approvals(approvals: Approvals, registry: Weak<Inner>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while registry.strong_count() > 0 {
        ticks.tick().await;
        approvals.lapse_due(Moment::now()).await;
    }
}

fn absolute(path: &Path) -> Result<PathBuf, StartError> {
    std::fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .map_err(|error| StartError::Path {
            path: path.to_owned(),
            error,
        })
}

/// Does something that waits for the disk or the processor away from the async threads.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down; nobody waits for anything any more.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests;
