//! `bailiwick erase`: what a run wrote and got is to be forgotten.

use std::process::ExitCode;

use bailiwick_control::api::RunDetail;
use bailiwick_run::RunId;
use clap::Args;

use crate::commands::close;
use crate::commands::confirm::{Help, confirm};
use crate::commands::gateway::{self, GatewayArg};
use crate::failure::Failure;
use crate::render::{self, clean};

/// Erase what a run wrote and got
///
/// Destroys the key under which the run's payloads are encrypted: statements, values, results and the
/// launcher's reason. Its records stay, every proof still holds, and one more record says who erased
/// them. Nothing undoes this, except a backup of the data folder: see to those, too. So it asks first;
/// where nobody is at a terminal to be asked, it does nothing without --yes.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  bailiwick erase run_01JD5K3T9V8Z0W2Y4X6A7B8C9D\n  \
    bailiwick erase run_01JD5K3T9V8Z0W2Y4X6A7B8C9D --yes     # in a script"
)]
pub(crate) struct Erase {
    /// Its full id: the run has to have ended
    #[arg(value_name = "RUN")]
    run: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArg,
}

impl Erase {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        // Not `last`: what cannot be undone is named in full.
        let run: RunId = self.run.parse().map_err(|error| {
            Failure::new(format!("`{}` is {error}", self.run))
                .help("erasing wants the run's full id; `bailiwick runs` lists them")
        })?;
        let erased = gateway::ask(&self.gateway, async |client| {
            if !self.yes {
                confirm(
                    &at_stake(&client.run(&run).await?),
                    "Erase them?",
                    &Help {
                        nobody: "look at it with `bailiwick trail RUN`, and say --yes",
                        no: "its payloads are as they were",
                    },
                )?;
            }
            Ok(client.erase(&run).await?)
        })?;
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

/// Which run it is, and what will be gone.
fn at_stake(run: &RunDetail) -> String {
    let summary = &run.summary;
    let mut text = format!(
        "{}\n{} for {}\n",
        close::summary(summary),
        clean(&summary.task),
        clean(summary.launcher.as_str())
    );
    if let Some(reason) = &run.reason {
        text.push_str(&format!("“{}”\n", clean(reason)));
    }
    text.push_str(
        "Its statements, values, results and the reason of its launcher will be gone for good. Its records stay.\n",
    );
    text
}
