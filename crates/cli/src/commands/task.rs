//! `bailiwick task`: what tasks there are, and what they allow, in words. Needs no gateway, but for what runs did.

mod diff;
mod difference;
mod fences;
mod pin;
mod suggest;
mod tools;
mod trim;

use std::collections::BTreeMap;
use std::process::ExitCode;

use bailiwick_gateway::{Target, survey};
use bailiwick_policy::{Confine, Engine, Line, Sort, Task as TaskFile};
use bailiwick_wire::{Knowledge, Named};
use clap::{Args, Subcommand};
use serde::Serialize;

use self::fences::Fences;
use super::{gateway, serve};
use crate::config::{Config, ConfigArg};
use crate::failure::Failure;
use crate::render::{self, Cell, Table, for_long, style};

/// Look at tasks, compare them, and see what they grant too much or too little
#[derive(Args)]
pub(crate) struct Task {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(Check),
    Diff(diff::Diff),
    List(List),
    Pin(pin::Pin),
    Suggest(suggest::Suggest),
    Trim(trim::Trim),
}

/// Check task files and guardrails, and say in words what a task allows
///
/// Also asks the targets whether they have what the tasks name, and warns of what they have not; and
/// says which fences are up on each: the gateway's alone, or the target's own privileges as well.
/// Exits with 0 if all are valid, and with 1 and every problem if not.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick task check triage-tickets")]
struct Check {
    /// The task to describe; all of them if none is named
    task: Option<String>,
    /// Do not ask the targets
    #[arg(long)]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// List the tasks
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick task list")]
struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// The exit status for task files that are not valid.
const INVALID: u8 = 1;

impl Task {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        match self.command {
            Command::Check(check) => check.execute(),
            Command::Diff(diff) => diff.execute(),
            Command::List(list) => list.execute(),
            Command::Pin(pin) => pin.execute(),
            Command::Suggest(suggest) => suggest.execute(),
            Command::Trim(trim) => trim.execute(),
        }
    }
}

impl Check {
    fn execute(self) -> Result<ExitCode, Failure> {
        let (config, engine) = load(&self.config)?;
        let tasks: Vec<&TaskFile> = match &self.task {
            Some(name) => vec![find(&engine, name)?],
            None => engine.tasks().collect(),
        };
        let runtime = gateway::runtime()?;
        let unanswered = config.people.empty_groups(tasks.iter().copied());
        let mut warnings: Vec<(String, String)> = unanswered
            .into_iter()
            .map(|(task, warning)| (task.name.clone(), warning))
            .collect();
        let targets = if self.offline {
            None
        } else {
            match serve::targets(&config) {
                Ok(targets) => Some(targets),
                // A password that only the gateway has, say.
                Err(why) => {
                    let text = format!(
                        "the targets were not asked whether they have what is named: {why}"
                    );
                    warnings.push((String::new(), text));
                    None
                }
            }
        };
        if let Some(targets) = &targets {
            warnings.extend(ask_targets(targets, &runtime, &tasks));
        }
        let asked = targets.as_deref().map(|targets| (targets, &runtime));
        let fences = |task: &TaskFile| Fences::of(&config, &engine, task, asked);
        if self.json {
            for task in tasks {
                let mut described = Described::new(&engine, task);
                let own = warnings
                    .iter()
                    .filter(|(of, _)| of.is_empty() || *of == task.name);
                described.warnings = own.map(|(_, text)| text.clone()).collect();
                described.fences = fences(task);
                render::print_json(&described)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        if tasks.is_empty() {
            render::note("there are no tasks, so no run can be opened");
        }
        for (index, task) in tasks.into_iter().enumerate() {
            if index > 0 {
                render::print("\n")?;
            }
            render::print(&describe(&engine, task, &fences(task)))?;
        }
        for (_, warning) in &warnings {
            render::note(warning);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What the tasks name and the targets do not have, by task; what concerns all, under no name.
fn ask_targets(
    targets: &[Target],
    runtime: &tokio::runtime::Runtime,
    tasks: &[&TaskFile],
) -> Vec<(String, String)> {
    let mut known: BTreeMap<&str, Result<(&Target, Knowledge), String>> = BTreeMap::new();
    let mut warnings = Vec::new();
    for task in tasks {
        for reference in task.references() {
            let Some(target) = targets
                .iter()
                .find(|target| target.name == reference.target)
            else {
                continue;
            };
            let answer = known.entry(&target.name).or_insert_with(|| {
                let knowledge = runtime.block_on(survey(target)).map_err(|why| {
                    format!(
                        "target {} could not be asked whether it has what the tasks name: {why}",
                        target.name
                    )
                });
                if let Err(why) = &knowledge {
                    warnings.push((task.name.clone(), why.clone()));
                }
                knowledge.map(|knowledge| (target, knowledge))
            });
            let (Ok((target, knowledge)), Some(schema)) = (answer, reference.schema) else {
                continue;
            };
            let named = Named {
                kind: reference.kind,
                schema,
                name: reference.name,
                columns: &reference.columns,
            };
            for lack in (target.protocol.lacks)(knowledge, &named) {
                let text = format!("{}: {lack} on target {}", reference.place, target.name);
                warnings.push((task.name.clone(), text));
            }
        }
        for target in tools::targets(targets, task) {
            let lacks = match runtime.block_on(tools::ask(target)) {
                Ok(offered) => tools::lacks(task, &target.name, &offered),
                Err(why) => vec![format!(
                    "target {} could not be asked whether its tools are those that are pinned: {why}",
                    target.name
                )],
            };
            warnings.extend(lacks.into_iter().map(|lack| (task.name.clone(), lack)));
        }
    }
    warnings
}

impl List {
    fn execute(self) -> Result<ExitCode, Failure> {
        let (_, engine) = load(&self.config)?;
        if self.json {
            for task in engine.tasks() {
                render::print_json(&Described::new(&engine, task))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::new(2);
        table.row(["TASK", "TIME BOX", "PURPOSE"].map(|head| Cell::new(head).style(style::DIM)));
        for task in engine.tasks() {
            let ttl = for_long(task.ttl);
            table.row([
                Cell::new(&task.name),
                Cell::new(ttl),
                Cell::new(&task.purpose),
            ]);
        }
        render::print(&table.render(render::columns()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A task and what it allows, for programs.
#[derive(Serialize)]
struct Described<'a> {
    task: &'a str,
    purpose: &'a str,
    launchers: &'a [String],
    ttl_seconds: u64,
    env: &'a std::collections::BTreeMap<String, String>,
    gateway_only: bool,
    digest: &'a str,
    words: Vec<Words>,
    /// What its targets do not have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    /// Which fences are up on its targets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fences: Vec<Fences>,
}

#[derive(Serialize)]
struct Words {
    sort: &'static str,
    text: String,
}

impl From<Line> for Words {
    fn from(line: Line) -> Self {
        Self {
            sort: match line.sort {
                Sort::Allowed => "allowed",
                Sort::Approval => "approval",
                Sort::Masked => "masked",
                Sort::Guardrail => "guardrail",
                Sort::Rest => "rest",
            },
            text: line.text,
        }
    }
}

impl<'a> Described<'a> {
    fn new(engine: &Engine, task: &'a TaskFile) -> Self {
        let words = engine.describe(&task.name).unwrap_or_default();
        Self {
            task: &task.name,
            purpose: &task.purpose,
            launchers: &task.launchers,
            ttl_seconds: task.ttl.as_secs(),
            env: &task.env,
            gateway_only: task.confine == Confine::GatewayOnly,
            digest: &task.digest,
            warnings: Vec::new(),
            fences: Vec::new(),
            words: words.into_iter().map(Words::from).collect(),
        }
    }
}

fn load(config: &ConfigArg) -> Result<(Config, Engine), Failure> {
    let config = config.load().map_err(|failure| failure.status(INVALID))?;
    let engine = config.engine();
    let engine = engine.map_err(|errors| Failure::new(errors).status(INVALID))?;
    Ok((config, engine))
}

fn find<'a>(engine: &'a Engine, name: &str) -> Result<&'a TaskFile, Failure> {
    engine.task(name).ok_or_else(|| {
        let failure = Failure::new(format!("no task is called `{name}`"));
        match engine.nearest_task(name) {
            Some(nearest) => failure.help(format!("did you mean `{nearest}`?")),
            None => failure.help("`bailiwick task list` names those there are"),
        }
    })
}

fn describe(engine: &Engine, task: &TaskFile, fences: &[Fences]) -> String {
    let mut table = Table::new(1);
    table.text(
        0,
        &format!("{}: {}", task.name, task.purpose),
        style::HEADING,
    );
    let mut fact = |name: &str, value: String| {
        table.text(2, &format!("{name} {value}"), style::DIM);
    };
    fact("opened by", task.launchers.join(", "));
    fact("for at most", for_long(task.ttl));
    for (variable, target) in &task.env {
        fact("gets", format!("{variable} for {target}"));
    }
    if task.confine == Confine::GatewayOnly {
        fact("network:", "the gateway alone".into());
    }
    for line in engine.describe(&task.name).unwrap_or_default() {
        let (mark, style) = match line.sort {
            Sort::Allowed => ("✓", style::FINE),
            Sort::Approval => ("?", style::NOTE),
            Sort::Masked => ("◦", anstyle::Style::new()),
            Sort::Guardrail => ("!", anstyle::Style::new()),
            Sort::Rest => ("✗", style::DENIED),
        };
        table.text(2, &format!("{mark} {}", line.text), style);
    }
    for fences in fences {
        fences.describe(&mut table);
    }
    table.render(render::columns())
}
