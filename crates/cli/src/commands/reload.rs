//! `bailiwick reload`: other tasks and guardrails, and no run ends.

use std::collections::BTreeSet;
use std::process::ExitCode;

use bailiwick_control::api::Reloaded;
use clap::Args;

use crate::commands::gateway::{self, GatewayArg};
use crate::failure::Failure;
use crate::render::{self, count};

/// Load the tasks, pins and guardrails anew, while runs go on
///
/// All files are checked first: if anything is wrong, it is said where, and everything stays as it was. Runs that
/// are open keep the task that they were opened with; guardrails hold for their next call. SIGHUP to the gateway does
/// the same. The configuration is not read again.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick task check triage-tickets && bailiwick reload")]
pub(crate) struct Reload {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArg,
}

impl Reload {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let reloaded = gateway::ask(&self.gateway, async |client| Ok(client.reload().await?))?;
        if self.json {
            render::print_json(&reloaded)?;
        } else {
            render::print(&format!("{}\n", said(&reloaded)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What became of it, in one line.
pub(crate) fn said(reloaded: &Reloaded) -> String {
    let in_force = format!(
        "{} and {}",
        count(reloaded.tasks, "task"),
        count(reloaded.guardrails, "guardrail")
    );
    if reloaded.before == reloaded.after {
        return format!("nothing is different: {in_force} stay in force");
    }
    let mut said = format!("{in_force} are in force");
    let sorts = [
        ("new", &reloaded.added),
        ("changed", &reloaded.changed),
        ("gone", &reloaded.removed),
    ];
    for (sort, tasks) in sorts.into_iter().filter(|(_, tasks)| !tasks.is_empty()) {
        said.push_str(&format!("; {sort}: {}", names(tasks)));
    }
    if reloaded.runs > 0 {
        let runs = count(reloaded.runs, "open run");
        said.push_str(&format!("; the guardrails hold for {runs} from now on"));
    }
    said
}

fn names(tasks: &BTreeSet<String>) -> String {
    let names: Vec<&str> = tasks.iter().map(String::as_str).collect();
    names.join(", ")
}
