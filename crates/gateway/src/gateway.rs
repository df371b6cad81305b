//! What all connections share.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_action::FingerprintKey;
use bailiwick_audit::{Draft, Event, Log, Subject};
use bailiwick_mask::Detectors;
use bailiwick_run::Run;
use bailiwick_wire::{CancelKey, Seed, TlsMode};
use tokio::sync::Notify;

use crate::desk::Desk;
use crate::directory::Directory;
use crate::discreet;
use crate::entrance::Entrances;
use crate::meters::Meters;
use crate::target::{Target, Targets};
use crate::terminate::{Authority, Togethers};
use crate::tls::{AgentTls, TlsError};

/// The gateway: what every connection needs to decide, record and mask its calls.
pub struct Gateway {
    /// Its own name, the log's, by which it knows at a target what it made there.
    pub(crate) name: String,
    pub(crate) directory: Arc<dyn Directory>,
    /// Who puts held calls before people; without, they are denied.
    pub(crate) desk: Option<Arc<dyn Desk>>,
    pub(crate) log: Log,
    pub(crate) key: FingerprintKey,
    pub(crate) targets: Targets,
    pub(crate) entrances: Entrances,
    pub(crate) togethers: Togethers,
    pub(crate) tls: AgentTls,
    /// Whose certificates agents are shown that take the gateway for a proxy; without, it is none.
    pub(crate) authority: Option<Authority>,
    pub(crate) meters: Meters,
    pub(crate) detectors: Arc<Detectors>,
    /// Makes a failed login look the same whether its run exists or not.
    pub(crate) decoy: [u8; 32],
    /// Wakes the session that a cancel key belongs to.
    cancels: Mutex<HashMap<CancelKey, Arc<Notify>>>,
}

impl Gateway {
    /// A gateway of this name to these targets.
    ///
    /// # Errors
    /// If the operating system has no randomness.
    pub fn new(
        name: String,
        directory: Arc<dyn Directory>,
        log: Log,
        targets: impl IntoIterator<Item = Target>,
        tls: AgentTls,
    ) -> Result<Self, getrandom::Error> {
        let mut decoy = [0; 32];
        getrandom::fill(&mut decoy)?;
        let targets = Targets::new(targets);
        prepare_detectors();
        Ok(Self {
            name,
            key: log.fingerprint_key(),
            directory,
            desk: None,
            log,
            entrances: Entrances::new(targets.all()),
            togethers: Togethers::default(),
            meters: Meters::new(targets.all()),
            targets,
            tls,
            authority: None,
            detectors: Arc::new(Detectors::new()),
            decoy,
            cancels: Mutex::default(),
        })
    }

    /// Has people asked about the calls that grants hold.
    pub fn asking(self, desk: Arc<dyn Desk>) -> Self {
        Self {
            desk: Some(desk),
            ..self
        }
    }

    /// Lets agents take the gateway for a proxy to its HTTP targets. The key of its certificate authority
    /// is kept in the folder.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn proxying(mut self, folder: &Path) -> Result<Self, TlsError> {
        let hosts = self
            .targets
            .all()
            .filter(|target| target.has_address() && target.endpoint.tls != TlsMode::Disable)
            .map(|target| &*target.endpoint.host);
        self.authority = Some(Authority::open(folder, &self.name, hosts)?);
        Ok(self)
    }

    /// The certificate, as PEM, that an agent has to trust to take the gateway for a proxy to its targets'
    /// `https` URLs. It is good for their hosts alone.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_ref().map(Authority::certificate)
    }

    /// Puts what is counted here where it is read: as `calls`, `sessions`, ….
    pub fn register(&self, registry: &mut prometheus_client::registry::Registry) {
        self.meters.register(registry);
    }

    /// How many listeners take connections.
    pub fn listeners(&self) -> u64 {
        self.meters.listeners()
    }

    /// How many calls are let through and have not ended.
    pub fn running_calls(&self) -> u64 {
        self.meters.running()
    }

    /// Randomness for one session.
    pub(crate) fn seed() -> Result<Seed, getrandom::Error> {
        // At once: a call of the system's for each would take longer than much else of a short session.
        let mut random = [0; 34];
        getrandom::fill(&mut random)?;
        let mut seed = Seed {
            nonce: [0; 18],
            cancel: CancelKey([0; 8]),
            token: [0; 8],
        };
        let parts = [&mut seed.nonce[..], &mut seed.cancel.0, &mut seed.token];
        let mut random = random.into_iter();
        for byte in parts.into_iter().flatten() {
            *byte = random.next().unwrap_or_default();
        }
        Ok(seed)
    }

    /// Lets a session be cancelled by its key, until the answer is dropped.
    pub(crate) fn cancellable(self: &Arc<Self>, key: CancelKey) -> Cancellable {
        let wake = Arc::new(Notify::new());
        self.cancels().insert(key, Arc::clone(&wake));
        Cancellable {
            gateway: Arc::clone(self),
            key,
            wake,
        }
    }

    /// Cancels whatever session has this key. Nobody is told whether there was one.
    pub(crate) fn cancel(&self, key: CancelKey) {
        if let Some(wake) = self.cancels().get(&key) {
            wake.notify_one();
        }
    }

    fn cancels(&self) -> std::sync::MutexGuard<'_, HashMap<CancelKey, Arc<Notify>>> {
        self.cancels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a login that failed, under the run if it is known whose it was.
    pub(crate) async fn login_denied(
        &self,
        run: Option<&Run>,
        target: Option<String>,
        reason: String,
    ) {
        self.meters.logins_denied.inc();
        let subject = match run {
            Some(run) => Subject::Run(run.clone()),
            None => Subject::Gateway,
        };
        let recorded = self
            .log
            .append(Draft {
                subject,
                event: Event::LoginDenied {
                    target,
                    reason: discreet::said(&self.detectors, reason),
                },
                payload: None,
            })
            .await;
        if let Err(error) = recorded {
            tracing::error!(%error, "a failed login could not be recorded");
        }
    }
}

/// A session that can be cancelled.
pub(crate) struct Cancellable {
    gateway: Arc<Gateway>,
    key: CancelKey,
    pub(crate) wake: Arc<Notify>,
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        self.gateway.cancels().remove(&self.key);
    }
}

/// Beside everything else that a start has to do. A call that comes before it is done waits for the rest.
fn prepare_detectors() {
    let thread = std::thread::Builder::new().name("mask-prepare".to_owned());
    if let Err(error) = thread.spawn(Detectors::prepare) {
        tracing::debug!(%error, "the first call has the detectors prepared");
    }
}
