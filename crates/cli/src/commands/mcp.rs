//! `bailiwick mcp`: the stdio face of an MCP target, for clients that start a command.

mod gateway;
mod message;
mod relay;

use std::process::ExitCode;

use clap::Args;

use self::gateway::Gateway;
use crate::commands::lasting::Signals;
use crate::failure::Failure;

/// Reach an MCP target over standard input and output
///
/// For MCP clients that start a command instead of asking a URL. Goes by BAILIWICK_URL and BAILIWICK_TOKEN,
/// which a run's process has: it needs no configuration, and does nothing that its run may not.
#[derive(Args)]
#[command(after_help = "Example, as MCP clients are configured:\n  \
    {\"mcpServers\": {\"helpdesk\": {\"command\": \"bailiwick\", \"args\": [\"mcp\", \"helpdesk\"]}}}")]
pub(crate) struct Mcp {
    /// The target
    target: String,
}

impl Mcp {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let variable = |name: &str| {
            std::env::var(name).map_err(|_| {
                Failure::new(format!("{name} is not set"))
                    .help("start the client inside of a run: `bailiwick run --task TASK -- CLIENT`")
            })
        };
        let gateway = Gateway::new(
            &variable("BAILIWICK_URL")?,
            &variable("BAILIWICK_TOKEN")?,
            &self.target,
        )?;
        let runtime = super::gateway::runtime()?;
        runtime.block_on(async {
            let mut signals = Signals::listen()?;
            relay::run(gateway, signals.told_to_stop()).await
        })?;
        // A read of standard input that is still waited for must not hold up the end.
        runtime.shutdown_background();
        Ok(ExitCode::SUCCESS)
    }
}
