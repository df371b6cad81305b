//! `bailiwick task trim`: what a task grants and no run of it has used.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use bailiwick_control::api::Which;
use bailiwick_control::client::Client;
use bailiwick_policy::{Entry, Task};
use clap::Args;
use serde::Serialize;

use super::{find, load};
use crate::commands::gateway::{self, GatewayArg};
use crate::commands::open::duration;
use crate::failure::Failure;
use crate::render::{self, Table, for_long, note, now, style};

/// The most runs that are looked at, the newest of all tasks.
const RUNS_MAX: u32 = 1_000;

/// Show what a task grants and no run of it has used
///
/// Counts, over the runs of some time, how many calls each entry of the task's grants has let through, and names the
/// entries that let through none, with their places in the file. It changes nothing. Runs that were opened with
/// another version of the task are left out, for their entries may have been others; a call that was held and not
/// approved is no use. What is used is the entry, not each of its verbs and columns. That something was not
/// needed yet does not say that it is not: read before you take it out.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick task trim triage-tickets --since 7d")]
pub(super) struct Trim {
    /// The task
    task: String,
    /// Of runs that were opened in this time
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30d")]
    since: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArg,
}

/// What runs have used.
#[derive(Default)]
struct Use {
    runs: u64,
    /// Opened with another version of the task.
    other: u64,
    /// There may have been more than were looked at.
    more: bool,
    calls: BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Trimmed<'a> {
    task: &'a str,
    runs: u64,
    left_out: u64,
    unused: Vec<Unused<'a>>,
    used: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct Unused<'a> {
    entry: &'a str,
    file: String,
    line: usize,
    words: &'a [String],
}

impl Trim {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let (_, engine) = load(&self.gateway.config)?;
        let task = find(&engine, &self.task)?;
        let used = gateway::ask(&self.gateway, async |client| self.used(client).await)?;
        let parts: Vec<Entry<'_>> = task.parts().collect();
        let unused = parts
            .iter()
            .filter(|part| used.calls.get(&part.name).is_none_or(|calls| *calls == 0));
        let unused: Vec<&Entry<'_>> = unused.collect();
        if used.runs > 0
            && parts
                .iter()
                .any(|part| !used.calls.contains_key(&part.name))
        {
            return Err(Failure::new(format!(
                "the gateway has another version of task `{}` than its file is now",
                task.name
            ))
            .help("start the gateway anew, so that it reads the file"));
        }
        if self.json {
            let unused = unused.iter().map(|part| Unused {
                entry: &part.name,
                file: part.place.file.display().to_string(),
                line: part.place.line,
                words: &part.words,
            });
            render::print_json(&Trimmed {
                task: &task.name,
                runs: used.runs,
                left_out: used.other,
                unused: match used.runs {
                    0 => Vec::new(),
                    _ => unused.collect(),
                },
                used: &used.calls,
            })?;
        } else {
            self.print(task, &used, &parts, &unused)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What the runs of the task have used, added up.
    async fn used(&self, client: &Client) -> Result<Use, Failure> {
        let listed = client.runs(Which::All, RUNS_MAX).await?;
        let mut used = Use {
            more: listed.next.is_some(),
            ..Use::default()
        };
        let now = now();
        for run in listed.runs {
            if run.opened.until(now) > self.since {
                used.more = false;
                break;
            }
            if run.task != self.task {
                continue;
            }
            let scope = client.scope(&run.run).await?;
            if scope.changed {
                used.other += 1;
                continue;
            }
            used.runs += 1;
            for (entry, calls) in scope.used {
                *used.calls.entry(entry).or_default() += calls;
            }
        }
        Ok(used)
    }

    fn print(
        &self,
        task: &Task,
        used: &Use,
        parts: &[Entry<'_>],
        unused: &[&Entry<'_>],
    ) -> Result<(), Failure> {
        let runs = match used.runs {
            1 => "1 run".to_owned(),
            runs => format!("{runs} runs"),
        };
        let mut table = Table::new(1);
        let heading = format!("{}: {runs} in {}", task.name, for_long(self.since));
        table.text(0, &heading, style::HEADING);
        if used.runs == 0 {
            table.text(2, "nothing to go by", style::DIM);
        } else if unused.is_empty() {
            table.text(
                2,
                &format!("all of its {} entries were used", parts.len()),
                style::FINE,
            );
        }
        let shown: &[&Entry<'_>] = if used.runs == 0 { &[] } else { unused };
        for part in shown {
            table.text(
                2,
                &format!("{} was never used: {}", part.place, part.name),
                style::NOTE,
            );
            for words in &part.words {
                table.text(4, words, style::DIM);
            }
        }
        render::print(&table.render(render::columns()))?;
        if used.other > 0 {
            note(format!(
                "left out: {} that had another version of the task",
                used.other
            ));
        }
        if used.more {
            note(format!(
                "only the newest {RUNS_MAX} runs of all tasks were looked at"
            ));
        }
        if !shown.is_empty() {
            note(
                "what was not needed yet may be needed: read each before you take it out of the file",
            );
        }
        Ok(())
    }
}
