//! `bailiwick close` and `bailiwick revoke`: the end of a run, by hand.

use std::process::ExitCode;
use std::time::Duration;

use bailiwick_control::api::Summary;
use clap::Args;

use crate::commands::gateway::{self, GatewayArg};
use crate::commands::runs;
use crate::failure::Failure;
use crate::render::{self, count, for_long, style};

/// Close a run: its work is done
///
/// Whatever it still has open is cut, and its record is closed.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick close last")]
pub(crate) struct Close {
    #[command(flatten)]
    end: End,
}

/// Revoke a run: it must not go on
///
/// Its connections are cut within a second, also in the middle of a statement, and its credential
/// opens nothing any more. The record says that it was revoked.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick revoke last")]
pub(crate) struct Revoke {
    #[command(flatten)]
    end: End,
}

#[derive(Args)]
struct End {
    /// Its id, or `last` for the newest
    run: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArg,
}

impl Close {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let name = &self.end.run;
        let ended = gateway::ask(&self.end.gateway, async |client| {
            let run = gateway::find(client, name).await?;
            Ok(client.close(&run).await?)
        })?;
        self.end.report(&ended)
    }
}

impl Revoke {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let name = &self.end.run;
        let ended = gateway::ask(&self.end.gateway, async |client| {
            let run = gateway::find(client, name).await?;
            Ok(client.revoke(&run).await?)
        })?;
        self.end.report(&ended)
    }
}

impl End {
    fn report(&self, ended: &Summary) -> Result<ExitCode, Failure> {
        if self.json {
            render::print_json(ended)?;
        } else {
            render::print(&format!("{}\n", summary(ended)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What became of a run, on one line: `run_… closed after 4.2 s: 12 allowed, 2 denied, 4 masked`.
pub(crate) fn summary(run: &Summary) -> String {
    let lasted = run
        .ended
        .map_or(Duration::ZERO, |ended| run.opened.until(ended));
    let denied = match run.counts.denied {
        0 => "0 denied".to_owned(),
        number => format!("{}{number} denied{:#}", style::DENIED, style::DENIED),
    };
    format!(
        "{} {} after {}: {} allowed, {denied}, {} masked",
        run.run,
        runs::state(run),
        for_long(lasted),
        run.counts.allowed,
        count(run.counts.masked, "value"),
    )
}
