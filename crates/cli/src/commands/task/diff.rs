//! `bailiwick task diff`: what one task allows and another does not.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Words, find, load};
use crate::config::ConfigArg;
use crate::failure::Failure;
use crate::render::{self, Table, style};

/// Say in words what one task allows and another does not
///
/// Entries are compared one by one, with their verbs, columns, conditions and approvals; then what is masked, who may
/// open a run, for how long, and with what network. What the other task allows only by several entries together, or
/// by another pattern of requests or resources, is shown too. Guardrails hold for both and are not compared.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick task diff triage-tickets sweep-drafts")]
pub(super) struct Diff {
    /// A task
    #[arg(value_name = "A")]
    one: String,
    /// Another
    #[arg(value_name = "B")]
    other: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// What one of two tasks allows alone.
#[derive(Serialize)]
struct Alone<'a> {
    task: &'a str,
    not: &'a str,
    allows: Vec<Words>,
}

impl Diff {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let (_, engine) = load(&self.config)?;
        let (one, other) = (find(&engine, &self.one)?, find(&engine, &self.other)?);
        let both = [(one, other), (other, one)].map(|(task, not)| Alone {
            task: &task.name,
            not: &not.name,
            allows: task.beyond(not).into_iter().map(Words::from).collect(),
        });
        if self.json {
            for alone in &both {
                render::print_json(alone)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::new(1);
        for Alone { task, not, allows } in &both {
            let heading = match allows.is_empty() {
                true => format!("{task} allows nothing that {not} does not"),
                false => format!("{task} allows, and {not} does not:"),
            };
            table.text(0, &heading, style::HEADING);
            for Words { sort, text } in allows {
                let (mark, style) = match *sort {
                    "allowed" => ("✓", style::FINE),
                    "approval" => ("?", style::NOTE),
                    "masked" => ("◦", anstyle::Style::new()),
                    _ => ("+", anstyle::Style::new()),
                };
                table.text(2, &format!("{mark} {text}"), style);
            }
        }
        render::print(&table.render(render::columns()))?;
        Ok(ExitCode::SUCCESS)
    }
}
