//! The tasks and guardrails in force, and how others take their place without ending a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bailiwick_audit::{AppendError, Draft, Event, Subject};
use bailiwick_policy::{Engine, ScopeError, Task};
use tokio::sync::{RwLock, RwLockReadGuard};

use super::{OpenRunError, Registry, blocking};
use crate::api::Reloaded;
use crate::live::{Slot, lock};

/// Loads the task files and guardrails and checks them all. The error names each thing that is wrong, with
/// its file and line.
pub type LoadPolicy = Arc<dyn Fn() -> Result<Engine, String> + Send + Sync>;

/// Why the tasks and guardrails were not loaded. Those of before stay in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// A file is wrong.
    #[error("nothing was loaded, and everything stays as it was:\n{0}")]
    Wrong(String),
    /// A run that is open cannot come under the guardrails.
    #[error(
        "nothing was loaded, and everything stays as it was: a run cannot come under the guardrails: {0}"
    )]
    Scope(#[from] ScopeError),
    /// It cannot be recorded.
    #[error("nothing was loaded, because that could not be recorded: {0}")]
    Record(#[from] AppendError),
    /// It failed in a way that should not be possible.
    #[error("loading failed unexpectedly, and the gateway's log says how")]
    Unexpected,
}

/// What is in force.
pub(super) struct InForce {
    engine: Mutex<Arc<Engine>>,
    /// Held by whoever loads: what is loaded later is in force later.
    loading: tokio::sync::Mutex<()>,
    /// Shared by those who open runs, until these are known; alone has it who puts something else in force.
    opening: RwLock<()>,
}

impl InForce {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine: Mutex::new(engine),
            loading: tokio::sync::Mutex::default(),
            opening: RwLock::default(),
        }
    }
}

impl Registry {
    /// The tasks and guardrails in force.
    pub fn engine(&self) -> Arc<Engine> {
        Arc::clone(&lock(&self.0.policy.engine))
    }

    /// The same, which stay in force until the guard is dropped.
    pub(super) async fn policy_to_open(&self) -> (Arc<Engine>, RwLockReadGuard<'_, ()>) {
        let opening = self.0.policy.opening.read().await;
        (self.engine(), opening)
    }

    /// That there is no such task.
    pub(crate) async fn no_task(&self, name: String) -> OpenRunError {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let file = self.0.settings.tasks.join(format!("{name}.toml"));
        let there = name.bytes().all(plain) && blocking(move || file.is_file()).await;
        OpenRunError::NoTask {
            nearest: self.engine().nearest_task(&name).map(str::to_owned),
            name,
            there,
        }
    }

    /// Loads the tasks and guardrails anew. All are right, or all stay as they were.
    ///
    /// Runs that are open keep what they were opened to do and what is masked for them; other guardrails hold for
    /// their next call. Runs that are opened from then on have the new tasks. That is on record before any of it is so.
    ///
    /// `by` is as the record has it: a person's name, or `SIGHUP`.
    ///
    /// # Errors
    /// If a file is wrong, or it cannot be recorded.
    pub async fn reload(&self, by: String) -> Result<Reloaded, ReloadError> {
        // On a task of its own: whoever asks may go away half way through.
        let registry = self.clone();
        let done = tokio::spawn(async move { registry.load(by).await });
        done.await.unwrap_or(Err(ReloadError::Unexpected))
    }

    async fn load(&self, by: String) -> Result<Reloaded, ReloadError> {
        let _loading = self.0.policy.loading.lock().await;
        let load = Arc::clone(&self.0.settings.load);
        let next = Arc::new(blocking(move || load()).await.map_err(ReloadError::Wrong)?);
        let _alone = self.0.policy.opening.write().await;
        let now = self.engine();
        let reloaded = difference(&now, &next);
        if now.digest() == next.digest() {
            return Ok(reloaded);
        }
        let open: Vec<Arc<Slot>> = lock(&self.0.slots).runs.values().cloned().collect();
        let scopes: Vec<_> = open
            .iter()
            .map(|slot| (slot.live.scope.borrow().clone(), slot.live.run.clone()))
            .collect();
        // Slicing the policies takes the processor a while.
        let engine = Arc::clone(&next);
        let guarded = blocking(move || engine.guarded(&scopes)).await?;
        let loaded = Draft {
            event: Event::PolicyLoaded {
                by,
                before: now.digest().to_owned(),
                after: next.digest().to_owned(),
            },
            subject: Subject::Gateway,
            payload: None,
        };
        self.0.log.append(loaded).await?;
        let mut runs = 0;
        for (slot, scope) in open.iter().zip(guarded) {
            if let Some(scope) = scope {
                slot.live.scope.send_replace(Arc::new(scope));
                runs += 1;
            }
        }
        *lock(&self.0.policy.engine) = next;
        Ok(Reloaded { runs, ..reloaded })
    }
}

/// What is different, but for the runs.
fn difference(now: &Engine, next: &Engine) -> Reloaded {
    let digests = |engine: &Engine| -> BTreeMap<String, String> {
        let digest = |task: &Task| (task.name.clone(), task.digest.clone());
        engine.tasks().map(digest).collect()
    };
    let (was, is) = (digests(now), digests(next));
    let only = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
        let only = one.keys().filter(|name| !other.contains_key(*name));
        only.cloned().collect::<BTreeSet<_>>()
    };
    let changed = is
        .iter()
        .filter(|(name, digest)| was.get(*name).is_some_and(|before| before != *digest));
    Reloaded {
        before: now.digest().to_owned(),
        after: next.digest().to_owned(),
        tasks: is.len() as u64,
        guardrails: next.guardrails().len() as u64,
        added: only(&is, &was),
        removed: only(&was, &is),
        changed: changed.map(|(name, _)| name.clone()).collect(),
        runs: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use bailiwick_action::{Action, Resource, Verb};

    use super::*;
    use crate::testing::{House, Running, opening};

    const TASK: &str = "[[read]]\ntarget = \"tickets\"\ntables = [\"public.TABLE\"]\n";
    const FORBID: &str = "@id(\"no-tickets\")\n\
        forbid (principal, action, resource == Bailiwick::Table::\"tickets/public/tickets\");";

    fn may(running: &Running, run: &bailiwick_run::RunId, table: &str) -> bool {
        let live = running.registry.find(run).unwrap();
        let read = Action::new(Verb::Select, Resource::table("public", table));
        live.scope.borrow().allows("tickets", &read)
    }

    /// What of the gateway's own chain says that something else is in force.
    fn loaded(running: &Running) -> Vec<(String, String, String)> {
        let entries = running.log.reader().gateway().unwrap();
        let loaded = entries.into_iter().filter_map(|entry| {
            let policy = entry.record.policy?;
            assert_eq!(entry.record.r#type, "policy.loaded");
            Some((entry.record.by?, policy.before, policy.after))
        });
        loaded.collect()
    }

    #[tokio::test]
    async fn runs_keep_their_task_and_come_under_other_guardrails() {
        let house = House::new();
        let running = house.start().await;
        let registry = &running.registry;
        let old = registry.open_run(opening("sweep")).await.unwrap().run.id;
        let reload = async || registry.reload("human:a@x".to_owned()).await.unwrap();
        let first = registry.engine().digest().to_owned();

        let same = reload().await;
        assert_eq!((&same.before, &same.after), (&first, &first));
        assert!(loaded(&running).is_empty());

        house.write_task("sweep", &TASK.replace("TABLE", "comments"));
        house.write_task("new", &TASK.replace("TABLE", "drafts"));
        let error = registry
            .open_run(opening("new"))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`tasks/new.toml` is there: `bailiwick reload`"),
            "{error}"
        );
        let changed = reload().await;
        assert_eq!(changed.added, ["new".to_owned()].into());
        assert_eq!(changed.changed, ["sweep".to_owned()].into());
        assert_eq!((changed.tasks, changed.runs), (3, 0));
        let new = registry.open_run(opening("sweep")).await.unwrap().run.id;
        assert!(may(&running, &old, "tickets") && !may(&running, &old, "comments"));
        assert!(may(&running, &new, "comments") && !may(&running, &new, "tickets"));

        house.write_guardrail("own", FORBID);
        let path = house.dir.path().join("tasks/sweep.toml");
        std::fs::remove_file(path).unwrap();
        let guarded = reload().await;
        assert_eq!(guarded.removed, ["sweep".to_owned()].into());
        assert_eq!((guarded.guardrails, guarded.runs), (1, 2));
        assert!(!may(&running, &old, "tickets") && may(&running, &new, "comments"));
        let error = registry.open_run(opening("sweep")).await.unwrap_err();
        assert!(
            matches!(error, OpenRunError::NoTask { there: false, .. }),
            "{error}"
        );
        // Its words are still there to be looked at.
        let live = registry.find(&old).unwrap();
        assert!(!live.scope.borrow().describe().is_empty());

        let by = || "human:a@x".to_owned();
        assert_eq!(
            loaded(&running),
            [
                (by(), first, changed.after.clone()),
                (by(), changed.after, guarded.after)
            ]
        );
    }

    #[tokio::test]
    async fn what_is_wrong_or_not_on_record_changes_nothing() {
        let house = House::new();
        let running = house.start().await;
        let registry = &running.registry;
        let run = registry.open_run(opening("sweep")).await.unwrap().run.id;
        let before = registry.engine().digest().to_owned();
        house.write_guardrail("own", FORBID);
        // As it is while somebody writes it.
        house.write_task("half", "[[read]]\ntarget = \"tick");
        let error = registry.reload("a".into()).await.unwrap_err();
        assert!(matches!(error, ReloadError::Wrong(_)), "{error}");
        assert!(
            error
                .to_string()
                .contains("tasks/half.toml:6:15: not valid TOML"),
            "{error}"
        );
        assert!(may(&running, &run, "tickets") && loaded(&running).is_empty());

        std::fs::remove_file(house.dir.path().join("tasks/half.toml")).unwrap();
        running.log.close();
        let error = registry.reload("a".into()).await.unwrap_err();
        assert!(matches!(error, ReloadError::Record(_)), "{error}");
        assert_eq!(registry.engine().digest(), before);
        assert!(may(&running, &run, "tickets"));
    }

    /// The record of a run's opening is on the side of `policy.loaded` that its scope is of, and no run is missed
    /// by guardrails.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn runs_that_are_opened_meanwhile_are_on_one_side_or_the_other() {
        let house = House::new();
        let running = house.start().await;
        let registry = &running.registry;
        let mut digests = vec![registry.engine().scope_digest("sweep").unwrap().to_owned()];
        let over = Arc::new(AtomicBool::new(false));
        let openers: Vec<_> = (0..4)
            .map(|_| {
                let (registry, over) = (registry.clone(), Arc::clone(&over));
                tokio::spawn(async move {
                    let mut runs = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        runs.push(registry.open_run(opening("sweep")).await.unwrap().run.id);
                    }
                    runs
                })
            })
            .collect();
        for number in 0..10 {
            let own = format!("{FORBID}\n// {number}");
            house.write_guardrail("own", &own);
            registry.reload("a".into()).await.unwrap();
            digests.push(registry.engine().scope_digest("sweep").unwrap().to_owned());
            // Some are opened under each.
            registry.open_run(opening("sweep")).await.unwrap();
        }
        over.store(true, Ordering::Relaxed);
        let mut runs = Vec::new();
        for opener in openers {
            runs.extend(opener.await.unwrap());
        }
        assert!(runs.iter().all(|run| !may(&running, run, "tickets")));

        let mut now = digests.into_iter();
        let mut in_force = now.next().unwrap();
        let mut opened = 0;
        let mut entries = running.log.reader().from(0);
        while let Some(entry) = entries.next().unwrap() {
            let record = entry.record;
            match record.r#type.as_str() {
                "policy.loaded" => in_force = now.next().unwrap(),
                "run.opened" => {
                    assert_eq!(record.scope_digest.as_deref(), Some(&*in_force));
                    opened += 1;
                }
                _ => {}
            }
        }
        assert_eq!(now.next(), None);
        assert_eq!(opened, runs.len() + 10);
    }
}
