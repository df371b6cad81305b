//! As whom the gateway enters a target for a run: as itself, or by a login of the run's own, which is
//! made when the run first needs it and gone soon after the run's end. Its password is in memory alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bailiwick_run::RunId;
use bailiwick_wire::{Did, Endpoint, Errand, Login, PerRun};
use tokio::sync::{Notify, Semaphore, watch};

use crate::calls::ended_because;
use crate::directory::Admission;
use crate::errand::run_errand;
use crate::fence::Fence;
use crate::gateway::Gateway;
use crate::limits::{ERRANDS_MAX, LOGIN_SESSIONS_MAX, PROVIDE_TIME_MAX, TEMPLATE_KEPT};
use crate::target::{Credentials, OpenError, Target};

/// As whom a target is entered.
#[derive(Clone)]
pub(crate) struct Entrance {
    /// Where it is, and how to log in.
    pub(crate) endpoint: Endpoint,
    /// What the login may see there, where it is not the gateway's own: what is learned of the target
    /// holds for logins that see the same.
    pub(crate) view: Option<String>,
}

/// The logins of runs, by run and target, and what keeps them in order.
pub(crate) struct Entrances {
    of: Mutex<HashMap<(RunId, String), Making>>,
    /// When a run last used a template.
    used: Mutex<HashMap<String, Instant>>,
    /// Wakes a target's sweeper.
    sweepers: HashMap<String, Arc<Notify>>,
    /// Errands at once.
    places: Semaphore,
}

/// A login that is being made, or is there. Those who want it meanwhile wait for the same.
type Making = watch::Receiver<Option<Result<Entrance, String>>>;

impl Entrances {
    pub(crate) fn new<'t>(targets: impl Iterator<Item = &'t Target>) -> Self {
        Self {
            of: Mutex::default(),
            used: Mutex::default(),
            sweepers: targets
                .map(|target| (target.name.clone(), Arc::default()))
                .collect(),
            places: Semaphore::new(ERRANDS_MAX),
        }
    }

    /// What wakes a target's sweeper.
    pub(crate) fn sweeper(&self, target: &str) -> Arc<Notify> {
        self.sweepers.get(target).cloned().unwrap_or_default()
    }

    /// Whether a run used a template not long ago, so that the next may want it, too.
    pub(crate) fn used_lately(&self, template: &str) -> bool {
        let used = lock(&self.used);
        let used = used.get(template);
        used.is_some_and(|used| used.elapsed() < TEMPLATE_KEPT)
    }

    /// Waits for a place among the errands.
    pub(crate) async fn place(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.places.acquire().await.ok()
    }

    fn use_template(&self, entrance: &Entrance) {
        if let Some(template) = &entrance.view {
            let mut used = lock(&self.used);
            used.retain(|_, used| used.elapsed() < TEMPLATE_KEPT);
            used.insert(template.clone(), Instant::now());
        }
    }
}

impl Gateway {
    /// As whom to enter a target for a run.
    pub(crate) async fn entrance(
        self: &Arc<Self>,
        admission: &Admission,
        target: &Target,
    ) -> Result<Entrance, OpenError> {
        let per_run = match (target.credentials, &target.protocol.per_run) {
            (Credentials::Shared, _) => return Ok(target.own_entrance()),
            (Credentials::PerRun, Some(per_run)) => per_run,
            (Credentials::PerRun, None) => {
                let why = format!("{} has no logins of runs", target.protocol.name);
                return Err(OpenError::NoLogin(why));
            }
        };
        let key = (admission.run.id, target.name.clone());
        let mut making = {
            let mut of = lock(&self.entrances.of);
            of.entry(key)
                .or_insert_with(|| self.make_entrance(per_run, admission, target))
                .clone()
        };
        let made = making.wait_for(Option::is_some).await;
        match made.as_ref().map(|made| made.as_ref()) {
            Ok(Some(made)) => made.clone().map_err(OpenError::NoLogin),
            _ => Err(OpenError::NoLogin("making it failed unexpectedly".into())),
        }
    }

    /// Makes a login on a task of its own: whoever asked first may go away half way through, and others
    /// may wait for it. The same task sees to its end.
    fn make_entrance(
        self: &Arc<Self>,
        per_run: &'static PerRun,
        admission: &Admission,
        target: &Target,
    ) -> Making {
        let (made, making) = watch::channel(None);
        let (gateway, admission, target) = (Arc::clone(self), admission.clone(), target.clone());
        tokio::spawn(async move {
            let entrances = &gateway.entrances;
            let entrance = gateway.provide(per_run, &admission, &target).await;
            let key = (admission.run.id, target.name.clone());
            match entrance {
                Ok(entrance) => {
                    entrances.use_template(&entrance);
                    made.send_replace(Some(Ok(entrance.clone())));
                    ended_because(&mut admission.ended.clone()).await;
                    entrances.use_template(&entrance);
                    lock(&entrances.of).remove(&key);
                }
                Err(why) => {
                    // The next session tries again.
                    lock(&entrances.of).remove(&key);
                    made.send_replace(Some(Err(why)));
                }
            }
            entrances.sweeper(&target.name).notify_one();
        });
        making
    }

    /// Has the target make a login for a run.
    async fn provide(
        &self,
        per_run: &PerRun,
        admission: &Admission,
        target: &Target,
    ) -> Result<Entrance, String> {
        let run = &admission.run;
        let (mut password, mut salt) = ([0; 32], [0; 16]);
        for random in [&mut password[..], &mut salt[..]] {
            getrandom::fill(random).map_err(|error| error.to_string())?;
        }
        let password: String = password.iter().map(|byte| format!("{byte:02x}")).collect();
        let login = Login {
            run: run.id,
            gateway: self.name.clone(),
            expires: run.time_box.expires,
            sessions: LOGIN_SESSIONS_MAX,
            password: password.clone(),
            salt,
            fence: Arc::new(Fence::new(&target.name, admission.scope())),
        };
        let _place = self.entrances.place().await;
        let label = format!("bailiwick for {}", run.id);
        let session = (per_run.errand)(Errand::Provide(login));
        let did = run_errand(session, target, &label, PROVIDE_TIME_MAX).await;
        let did = did.map_err(|error| error.to_string())?;
        let Did::Provided { user, template } = did else {
            return Err("the errand for it did something else".into());
        };
        tracing::debug!(run = %run.id, target = target.name, user, template, "a login was made");
        Ok(Entrance {
            endpoint: Endpoint {
                user,
                password: Some(password),
                ..target.endpoint.clone()
            },
            view: Some(template),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Entries go in and out whole, so a panic elsewhere leaves nothing half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
