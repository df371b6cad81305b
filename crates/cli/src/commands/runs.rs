//! `bailiwick runs`: the runs, the newest first.

use std::process::ExitCode;

use bailiwick_control::api::{RunState, Summary, Which};
use clap::Args;

use crate::commands::source::SourceArgs;
use crate::failure::Failure;
use crate::render::{self, Cell, Table, ago, style};

/// List runs, the newest first
#[derive(Args)]
#[command(
    after_help = "Examples:\n  bailiwick runs --open\n  bailiwick runs --data /backup/bailiwick/data"
)]
pub(crate) struct Runs {
    /// Only those that have not ended
    #[arg(long, conflicts_with = "ended")]
    open: bool,
    /// Only those that have
    #[arg(long)]
    ended: bool,
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
    /// Print JSON, a run a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: SourceArgs,
}

impl Runs {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let which = match (self.open, self.ended) {
            (true, _) => Which::Open,
            (_, true) => Which::Ended,
            _ => Which::All,
        };
        self.source.ask(async |source| {
            let runs = source.runs(which, self.limit).await?;
            if self.json {
                runs.iter().try_for_each(render::print_json)
            } else if runs.is_empty() {
                render::note("there are none");
                Ok(())
            } else {
                render::print(&table(&runs).render(render::columns()))
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

fn table(runs: &[Summary]) -> Table {
    let mut table = Table::new(2);
    let heads = [
        "RUN", "TASK", "LAUNCHER", "STATE", "OPENED", "ALLOWED", "DENIED", "MASKED",
    ];
    table.row(heads.into_iter().enumerate().map(|(index, head)| {
        let cell = Cell::new(head).style(style::DIM);
        if index > 4 { cell.right() } else { cell }
    }));
    for run in runs {
        let open = run.state == RunState::Open;
        let number = |number: u64| Cell::new(number.to_string()).right();
        let denied = number(run.counts.denied);
        table.row([
            Cell::new(run.run.to_string()),
            Cell::new(&run.task),
            Cell::new(run.launcher.as_str()),
            Cell::new(state(run)).style(if open { style::FINE } else { style::DIM }),
            Cell::new(ago(run.opened)),
            number(run.counts.allowed),
            if run.counts.denied > 0 {
                denied.style(style::DENIED)
            } else {
                denied
            },
            number(run.counts.masked),
        ]);
    }
    table
}

/// How far a run is, in a word.
pub(crate) fn state(run: &Summary) -> &'static str {
    match (run.state, run.ending) {
        (RunState::Open, _) => "open",
        (RunState::Suspended, _) => "suspended",
        (RunState::Ending, _) => "ending",
        (RunState::Ended, Some(ending)) => ending.as_str(),
        (RunState::Ended, None) => "ended",
    }
}
