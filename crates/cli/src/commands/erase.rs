//! `bailiwick erase`: what a run wrote and got is to be forgotten.

use std::process::ExitCode;

use bailiwick_run::RunId;
use clap::Args;

use crate::commands::gateway;
use crate::config::ConfigArg;
use crate::failure::Failure;
use crate::render;

/// Erase what a run wrote and got
///
/// Destroys the key under which the run's payloads are encrypted: statements, values, results and the
/// launcher's reason. Its records stay, every proof still holds, and one more record says who erased
/// them. Nothing undoes this, except a backup of the data folder: see to those, too.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick erase run_01JD5K3T9V8Z0W2Y4X6A7B8C9D")]
pub(crate) struct Erase {
    /// Its full id: the run has to have ended
    #[arg(value_name = "RUN")]
    run: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

impl Erase {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        // Not `last`: what cannot be undone is named in full.
        let run: RunId = self.run.parse().map_err(|error| {
            Failure::new(format!("`{}` is {error}", self.run))
                .help("erasing wants the run's full id; `bailiwick runs` lists them")
        })?;
        let erased = gateway::ask(&self.config, async |client| Ok(client.erase(&run).await?))?;
        if self.json {
            render::print_json(&erased)?;
        } else {
            render::print(&format!(
                "the payloads of {} are erased; record {} says so\n",
                erased.run, erased.record
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
