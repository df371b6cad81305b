//! Which fences are up on the targets of a task: the gateway's own always, and the target's own
//! privileges where each run has a login of its own.

use std::sync::Arc;

use bailiwick_gateway::{Credentials, Target, beyond, inspect};
use bailiwick_policy::{Engine, Scope, Task};
use bailiwick_run::{Confinement, Run, RunId, Time, TimeBox};
use serde::Serialize;

use crate::config::Config;
use crate::render::{Table, style};

/// The fences on one target.
#[derive(Serialize)]
pub(super) struct Fences {
    target: String,
    credentials: &'static str,
    /// What holds the privileges of the task's runs there.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// Why no run gets a login there.
    missing: Vec<String>,
    /// What everybody may do there.
    unfenced: Vec<String>,
    /// Whether the task masks something there, which is the gateway's alone to do.
    masks: bool,
    /// What is not wrong but not wise either.
    advice: Vec<String>,
}

impl Fences {
    /// Those on each target of a task; the targets are asked where they are given.
    pub(super) fn of(
        config: &Config,
        engine: &Engine,
        task: &Task,
        asked: Option<(&[Target], &tokio::runtime::Runtime)>,
    ) -> Vec<Self> {
        let named = task.targets();
        let targets = config.targets.iter();
        let targets = targets.filter(|target| named.contains(&*target.name));
        targets
            .map(|target| {
                let mut fences = Self {
                    target: target.name.clone(),
                    credentials: match target.credentials {
                        Credentials::Shared => "shared",
                        Credentials::PerRun => "per-run",
                    },
                    role: None,
                    missing: Vec::new(),
                    unfenced: Vec::new(),
                    masks: task.masks.iter().any(|mask| mask.target == target.name),
                    advice: Vec::new(),
                };
                if target.credentials == Credentials::PerRun {
                    let reached = asked.and_then(|(targets, runtime)| {
                        let found = targets.iter().find(|known| known.name == target.name)?;
                        Some((found, runtime, scope(engine, task)?))
                    });
                    match reached {
                        Some((found, runtime, scope)) => {
                            let looked = runtime.block_on(inspect(found, &config.name, scope));
                            fences.looked(looked);
                        }
                        None => fences.missing = beyond(target.protocol, &target.name, task),
                    }
                }
                fences
            })
            .collect()
    }

    fn looked(&mut self, looked: Result<bailiwick_wire::Inspection, String>) {
        match looked {
            Ok(inspection) => {
                self.role = Some(inspection.template).filter(|role| !role.is_empty());
                self.missing = inspection.missing;
                self.unfenced = inspection.unfenced;
                self.advice = inspection.advice;
            }
            Err(why) => self.missing = vec![why],
        }
    }

    /// In words.
    pub(super) fn describe(&self, table: &mut Table) {
        let target = &self.target;
        if self.credentials == "shared" {
            let words = format!(
                "one fence on {target}, the gateway's: it logs in as itself for every run \
                 (credentials = \"shared\")"
            );
            table.text(2, &format!("◦ {words}"), anstyle::Style::new());
            return;
        }
        let by = self.role.as_ref().map_or_else(
            || "by a login of its own".to_owned(),
            |role| format!("by a login of its own in role {role}"),
        );
        let words = format!("two fences on {target}: it holds each run to its grants itself, {by}");
        match self.missing.as_slice() {
            [] if self.role.is_some() => table.text(2, &format!("✓ {words}"), style::FINE),
            [] => table.text(
                2,
                &format!("◦ {words} (it was not asked)"),
                anstyle::Style::new(),
            ),
            missing => {
                table.text(2, &format!("✗ {words}"), style::DENIED);
                for why in missing {
                    table.text(4, &format!("no run gets one: {why}"), style::NOTE);
                }
            }
        }
        if !self.unfenced.is_empty() {
            let everybody = self.unfenced.join("; ");
            let words = format!("not fenced by it, because everybody there may: {everybody}");
            table.text(4, &words, anstyle::Style::new());
        }
        if self.masks {
            let words = "not fenced by it: masked values, which the gateway alone masks";
            table.text(4, words, anstyle::Style::new());
        }
        for advice in &self.advice {
            table.text(4, advice, style::NOTE);
        }
    }
}

/// The scope of a run of the task, as it would be.
fn scope(engine: &Engine, task: &Task) -> Option<Arc<Scope>> {
    let now = Time::from_millis(0);
    let run = Run {
        id: RunId::new(now, [0; 10]),
        launcher: "human:check@localhost".parse().ok()?,
        task: task.name.clone(),
        time_box: TimeBox {
            opened: now,
            expires: now,
        },
        confinement: Confinement::Landlock,
        reason: None,
    };
    engine.scope(&run).ok().map(Arc::new)
}
