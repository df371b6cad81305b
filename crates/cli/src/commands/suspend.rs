//! `bailiwick suspend` and `bailiwick resume`: a run is stopped, and goes on when a person says so.

use std::process::ExitCode;

use bailiwick_control::api::Summary;
use clap::Args;

use crate::commands::gateway::{self, GatewayArg};
use crate::failure::Failure;
use crate::render;

/// Suspend a run: it may do nothing until somebody resumes it
///
/// Its connections are cut within a second, also in the middle of a statement, and its credential opens
/// nothing. Its process is left alone, and its time goes on: `bailiwick resume` lets it act again, `bailiwick
/// revoke` ends it.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick suspend last")]
pub(crate) struct Suspend {
    #[command(flatten)]
    which: Which,
}

/// Resume a suspended run: it may act again
///
/// What was cut stays cut: its agent has to connect again, with the same credential.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick resume last")]
pub(crate) struct Resume {
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
struct Which {
    /// Its id, or `last` for the newest
    run: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArg,
}

impl Suspend {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let name = &self.which.run;
        let suspended = gateway::ask(&self.which.gateway, async |client| {
            let run = gateway::find(client, name).await?;
            Ok(client.suspend(&run).await?)
        })?;
        let run = suspended.run;
        self.which.report(
            &suspended,
            &format!("{run} is suspended: `bailiwick resume {run}` lets it act again"),
        )
    }
}

impl Resume {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let name = &self.which.run;
        let resumed = gateway::ask(&self.which.gateway, async |client| {
            let run = gateway::find(client, name).await?;
            Ok(client.resume(&run).await?)
        })?;
        let run = resumed.run;
        self.which.report(
            &resumed,
            &format!("{run} may act again, until {}", resumed.expires),
        )
    }
}

impl Which {
    fn report(&self, run: &Summary, words: &str) -> Result<ExitCode, Failure> {
        if self.json {
            render::print_json(run)?;
        } else {
            render::print(&format!("{words}\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
