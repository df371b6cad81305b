//! `bailiwick prune`: what is old goes.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bailiwick_run::Time;
use clap::Args;

use crate::commands::gateway::{self, GatewayArg};
use crate::failure::Failure;
use crate::render::{self, count};

/// Remove records that are older than your retention asks for
///
/// Records go by whole bundles of 256, with the payloads of the runs that were closed in them. Their
/// hashes stay, so every later record and every receipt is still proved, and a record says who
/// removed what. Nothing of an open run goes.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick prune --older-than 90d")]
pub(crate) struct Prune {
    /// How old a record may become, such as 90d or 2years
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArg,
}

impl Prune {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let until = since.unwrap_or_default().saturating_sub(self.older_than);
        let until = Time::from_millis(u64::try_from(until.as_millis()).unwrap_or(u64::MAX));
        let pruned = gateway::ask(&self.gateway, async |client| {
            Ok(client.prune(until).await?)
        })?;
        if self.json {
            render::print_json(&pruned)?;
        } else {
            render::print(&format!(
                "the log begins with record {} now; {} left the list of runs\n",
                pruned.before,
                count(pruned.runs, "run")
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn age(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "write an age such as 90d or 2years".to_owned())
}
