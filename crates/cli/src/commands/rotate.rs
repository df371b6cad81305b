//! `bailiwick rotate`: a log ends, and another goes on.

use std::path::PathBuf;
use std::process::ExitCode;

use bailiwick_audit::{RotateError, rotate};
use clap::Args;
use serde_json::json;

use crate::commands::serve;
use crate::config::ConfigArg;
use crate::failure::Failure;
use crate::render::{self, clean, count};

/// End the log and begin another, under a new name and a new key
///
/// For a new key, or a log of manageable size. Give `name` in bailiwick.toml its new value and stop
/// the gateway first. The old log records which one continues it, signs that, and moves to
/// `archive/` in the data folder, where `trail`, `show` and `verify` still find it; its signing key
/// is destroyed. The first record of the new log says where the old one ended. Tell your auditors and
/// witnesses the new key. Where a signer has the key, start another one with a new key under the new
/// name, name its socket as `signer` in bailiwick.toml, and the old one's with --old-signer.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    bailiwick rotate     # after name = \"acme.example/bailiwick/2027\" in bailiwick.toml\n  \
    bailiwick rotate --old-signer /run/bailiwick/signer.sock")]
pub(crate) struct Rotate {
    /// The socket of the signer that has the old log's key; that of bailiwick.toml if not given
    #[arg(long, value_name = "SOCKET")]
    old_signer: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

impl Rotate {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let config = self.config.load()?;
        let settings = serve::log_settings(&config)?;
        let rotated =
            rotate(&settings, self.old_signer.as_deref()).map_err(|error| match error {
                error @ RotateError::Open(_) => Failure::new(error).help(
                    "stop the gateway first; `bailiwick verify` says whether the log is whole",
                ),
                error => Failure::new(error),
            })?;
        let archive = rotated.archive.display().to_string();
        if self.json {
            render::print_json(&json!({
                "archive": archive,
                "continues": rotated.continues,
                "vkey": rotated.vkey,
            }))?;
        } else {
            render::print(&format!(
                "{} ended with {} and is kept in {}\n{} goes on with the next start, under the key\n{}\n",
                clean(&rotated.continues.origin),
                count(rotated.continues.size, "record"),
                clean(&archive),
                clean(&config.name),
                clean(&rotated.vkey)
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
