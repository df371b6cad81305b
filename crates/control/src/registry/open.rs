use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_action::Denial;
use bailiwick_audit::{AppendError, Draft, Event, Subject};
use bailiwick_policy::{Confine as TaskConfine, ScopeError, Task, TooLong};
use bailiwick_run::{Confinement, Ending, Launcher, Run, RunId, Secret, TimeBox, Verifier};

use super::{Kit, Registry, blocking};
use crate::api::{Confine, OpenedRun, Protect};
use crate::clock;
use crate::limits::{ATTACH_TIME_MAX, REASON_BYTES_MAX, RUNS_OPEN_MAX};
use crate::live::{Attach, Slot, lock};
use crate::store::StoreError;

/// A run that somebody wants to open.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Its task.
    pub task: String,
    /// Who wants it. Proved, not claimed.
    pub launcher: Launcher,
    /// The time box; the task's own if nothing is asked for.
    pub ttl: Option<Duration>,
    /// What it is for.
    pub reason: Option<String>,
    /// The strictest confinement that the launcher can give the run's process.
    pub confinement: Confinement,
    /// Whether the run lasts only while its launcher is attached.
    pub attach: bool,
}

/// A run that was opened. Its `run.opened` is durable.
#[derive(Clone)]
pub struct Opened {
    /// The run. Its confinement is the one that its process has to have.
    pub run: Run,
    /// Its credential, which nobody can ask for again.
    pub secret: Secret,
    /// The environment variables that its process gets, and what else it is handed.
    pub kit: Kit,
    /// The environment variables that its process must not inherit.
    pub withhold: Vec<String>,
    /// How its process has to be confined.
    pub confine: Confine,
    /// What its process must not reach.
    pub protect: Protect,
}

/// Without the credential, which is in the environment too.
impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

impl From<Opened> for OpenedRun {
    fn from(opened: Opened) -> Self {
        Self {
            run: opened.run.id,
            task: opened.run.task,
            launcher: opened.run.launcher,
            expires: opened.run.time_box.expires,
            env: opened.kit.env,
            mcp: opened.kit.mcp,
            ca: opened.kit.ca,
            withhold: opened.withhold,
            confine: opened.confine,
            protect: opened.protect,
        }
    }
}

/// Why a run was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenRunError {
    /// There is no such task.
    #[error("no task is called `{name}`{}", instead(name, .nearest.as_deref(), *.there))]
    NoTask {
        /// The name that was given.
        name: String,
        /// The one that was probably meant.
        nearest: Option<String>,
        /// There is a file for it, which was not there when the tasks were loaded.
        there: bool,
    },
    /// The launcher may not open it. The refusal is in the record.
    #[error("{}", .0.reason)]
    Denied(Denial),
    /// The time box is not one that the task gives.
    #[error(transparent)]
    TimeBox(#[from] TooLong),
    /// The reason is too long.
    #[error("the reason is {0} bytes long; at most {REASON_BYTES_MAX} are kept")]
    Reason(usize),
    /// The gateway has no way in for a target that the task's `[env]` names.
    #[error(
        "task {task} sets {variable} to `{value}`, but the gateway has no listener for that target: \
         add one to [listen] in bailiwick.toml, or correct [env] in the task's file"
    )]
    NoWayIn {
        /// The task.
        task: String,
        /// The environment variable.
        variable: String,
        /// What the task sets it to.
        value: String,
    },
    /// Too many runs are open.
    #[error("{RUNS_OPEN_MAX} runs are open already; close some (`bailiwick runs` lists them)")]
    TooMany,
    /// The gateway is stopping.
    #[error("the gateway is stopping and opens no more runs")]
    Stopping,
    /// The policy engine did not make a scope.
    #[error("the run could not be given a scope: {0}")]
    Scope(#[from] ScopeError),
    /// The record cannot be written.
    #[error("the run was not opened, because that could not be recorded: {0}")]
    Record(#[from] AppendError),
    /// The registry cannot be written.
    #[error("the run was not opened: {0}")]
    Store(#[from] StoreError),
    /// The operating system has no randomness.
    #[error("the run was not opened: the operating system gave no random bytes ({0})")]
    Random(getrandom::Error),
    /// It failed in a way that should not be possible.
    #[error(
        "the run was not opened: opening it failed unexpectedly, and the gateway's log says how"
    )]
    Unexpected,
}

fn instead(name: &str, nearest: Option<&str>, there: bool) -> String {
    match nearest {
        _ if there => format!(
            " among those that the gateway has loaded; `tasks/{name}.toml` is there: `bailiwick reload` loads it"
        ),
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None => "; tasks are the files `tasks/NAME.toml`".to_owned(),
    }
}

impl Registry {
    /// Opens a run. Its record is durable before anybody sees its secret.
    ///
    /// # Errors
    /// If there is no such task, the launcher may not open it, what was asked for is not what it
    /// gives, or it cannot be recorded. A refused launcher is recorded in the gateway's own chain.
    pub async fn open_run(&self, opening: Opening) -> Result<Opened, OpenRunError> {
        // On a task of its own: whoever asks may go away half way through, and a run that is half
        // open would never end.
        let registry = self.clone();
        let opened = tokio::spawn(async move { registry.open(opening).await });
        let opened = opened.await.unwrap_or(Err(OpenRunError::Unexpected));
        match &opened {
            Ok(opened) => self.0.meters.opened(&opened.run.task),
            Err(_) => self.0.meters.refused(),
        }
        opened
    }

    async fn open(&self, opening: Opening) -> Result<Opened, OpenRunError> {
        // Until it is open and known: whatever takes effect for all finds it, or comes before it.
        let (engine, _opening) = self.policy_to_open().await;
        let Some(task) = engine.task(&opening.task) else {
            return Err(self.no_task(opening.task).await);
        };
        if let Err(denial) = engine.may_open(&task.name, &opening.launcher) {
            self.0.log.append(refusal(&opening, &denial)).await?;
            return Err(OpenRunError::Denied(denial));
        }
        let lifetime = task.time_box(opening.ttl)?;
        if let Some(reason) = &opening.reason
            && reason.len() > REASON_BYTES_MAX
        {
            return Err(OpenRunError::Reason(reason.len()));
        }
        self.room()?;

        let opened = clock::now();
        let (mut id, mut secret, mut salt) = ([0; 10], [0; 32], [0; 16]);
        for random in [&mut id[..], &mut secret[..], &mut salt[..]] {
            getrandom::fill(random).map_err(OpenRunError::Random)?;
        }
        let secret = Secret::new(secret);
        let run = Run {
            id: RunId::new(opened, id),
            launcher: opening.launcher,
            task: task.name.clone(),
            time_box: TimeBox {
                opened,
                expires: opened.after(lifetime),
            },
            confinement: confinement(task.confine, opening.confinement),
            reason: opening.reason,
        };
        let kit = self.kit(task, &run.id, &secret)?;
        let attach = match opening.attach {
            true => Attach::Awaited(Instant::now() + ATTACH_TIME_MAX),
            false => Attach::No,
        };
        let slot = {
            // Deriving the verifier and slicing the policies takes the processor a while.
            let (engine, run, secret) = (Arc::clone(&engine), run.clone(), secret.clone());
            blocking(move || {
                let verifier = Verifier::new(run.id, &secret, salt);
                let scope = engine.scope(&run)?;
                Ok::<_, ScopeError>(Slot::new(run, verifier, scope, lifetime, attach))
            })
            .await?
        };

        self.0.log.append(opened_record(&slot)).await?;
        if let Err(error) = self.enter(slot).await {
            let closed = Draft {
                event: Event::RunClosed {
                    ending: Ending::Closed,
                    by: None,
                },
                subject: Subject::Run(run),
                payload: None,
            };
            self.0.log.append(closed).await?;
            return Err(error);
        }
        let settings = &self.0.settings;
        Ok(Opened {
            secret,
            kit,
            withhold: settings.withhold.clone(),
            confine: Confine {
                mode: run.confinement,
                gateway_ports: settings.gateway_ports.clone(),
            },
            protect: Protect {
                hidden: settings.hidden.clone(),
                read_only: settings.read_only.clone(),
            },
            run,
        })
    }

    /// Whether one more run may be opened.
    fn room(&self) -> Result<(), OpenRunError> {
        let slots = lock(&self.0.slots);
        if slots.stopping {
            return Err(OpenRunError::Stopping);
        }
        if slots.runs.len() >= RUNS_OPEN_MAX {
            return Err(OpenRunError::TooMany);
        }
        Ok(())
    }

    async fn enter(&self, slot: Slot) -> Result<(), OpenRunError> {
        self.0.store.opened(&slot.live.run).await?;
        let mut slots = lock(&self.0.slots);
        if slots.stopping {
            return Err(OpenRunError::Stopping);
        }
        let id = slot.live.run.id;
        slots.bearers.insert(*slot.live.verifier.bearer(), id);
        slots.runs.insert(id, Arc::new(slot));
        Ok(())
    }

    fn kit(&self, task: &Task, run: &RunId, secret: &Secret) -> Result<Kit, OpenRunError> {
        let mut kit = (self.0.settings.agent_kit)(task, run, secret);
        for (variable, value) in &task.env {
            let Some(url) = (self.0.settings.agent_url)(value, run, secret) else {
                return Err(OpenRunError::NoWayIn {
                    task: task.name.clone(),
                    variable: variable.clone(),
                    value: value.clone(),
                });
            };
            kit.env.insert(variable.clone(), url);
        }
        Ok(kit)
    }
}

/// What the process gets: what the task wants, where the launcher can give it. A task that does not
/// ask for `gateway-only` does not get it.
fn confinement(task: TaskConfine, launcher: Confinement) -> Confinement {
    match (task, launcher) {
        (TaskConfine::Default, Confinement::GatewayOnly) => Confinement::Landlock,
        (_, launcher) => launcher,
    }
}

fn opened_record(slot: &Slot) -> Draft {
    let run = &slot.live.run;
    Draft {
        event: Event::RunOpened {
            confinement: run.confinement,
            expires: run.time_box.expires,
            scope_digest: slot.live.scope.borrow().digest().to_owned(),
        },
        subject: Subject::Run(run.clone()),
        payload: (run.reason.as_ref()).map(|reason| {
            serde_json::json!({ "reason": reason })
                .to_string()
                .into_bytes()
        }),
    }
}

/// A launcher was refused. There is no run, so it goes into the gateway's own chain; the record holds
/// who and why, its payload the rest.
fn refusal(opening: &Opening, denial: &Denial) -> Draft {
    let details = serde_json::json!({
        "launcher": opening.launcher,
        "task": opening.task,
        "denial": denial,
    });
    Draft {
        event: Event::LoginDenied {
            target: None,
            reason: format!("{} may not open a run: {}", opening.launcher, denial.reason),
        },
        subject: Subject::Gateway,
        payload: Some(details.to_string().into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_confined_as_its_task_wants_and_its_launcher_can() {
        use Confinement::{Elsewhere, GatewayOnly, Landlock, Unconfined};
        for (task, launcher, expected) in [
            (TaskConfine::Default, GatewayOnly, Landlock),
            (TaskConfine::Default, Landlock, Landlock),
            (TaskConfine::GatewayOnly, GatewayOnly, GatewayOnly),
            (TaskConfine::GatewayOnly, Landlock, Landlock),
            (TaskConfine::GatewayOnly, Unconfined, Unconfined),
            (TaskConfine::Default, Elsewhere, Elsewhere),
        ] {
            assert_eq!(confinement(task, launcher), expected);
        }
    }
}
