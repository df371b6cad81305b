//! `bailiwick reindex`: makes the index anew.

use std::process::ExitCode;

use bailiwick_control::api::Reindexed;
use bailiwick_control::client::{Client, ClientError};
use clap::Args;

use crate::commands::gateway;
use crate::config::ConfigArg;
use crate::failure::Failure;
use crate::render::{self, count, for_long, style};

/// Make the index that `search` uses anew, from the log alone
///
/// The gateway keeps it up by itself, and makes it anew when it is damaged or missing. This is for
/// those who do not want to trust it. Through the gateway if one runs; else on its data folder.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick reindex")]
pub(crate) struct Reindex {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

impl Reindex {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let config = self.config.load()?;
        let data = &config.data;
        let by_gateway = gateway::runtime()?.block_on(async {
            match Client::connect(data).await {
                Ok(client) => client.reindex().await.map(Some),
                Err(ClientError::NotListening(_)) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let done = match by_gateway? {
            Some(done) => done,
            None => bailiwick_control::reindex(data, config.payload_key()?, config.log.words)
                .map_err(Failure::new)?,
        };
        if self.json {
            render::print_json(&done)?;
        } else {
            render::print(&describe(&done))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(done: &Reindexed) -> String {
    let (fine, dim) = (style::FINE, style::DIM);
    let records = count(done.records, "record");
    let mut text = format!(
        "{fine}✓ indexed:{fine:#} {records} in {}\n",
        for_long(done.took)
    );
    if done.payloads_unread > 0 {
        let payloads = count(done.payloads_unread, "payload");
        text.push_str(&format!(
            "  {dim}without {payloads} that cannot be read: erased, or the keys are elsewhere{dim:#}\n"
        ));
    }
    text
}
