//! `bailiwick api`: what can be asked of the gateway over HTTP.

use std::process::ExitCode;

use clap::Args;

use crate::failure::Failure;
use crate::render;

/// Print the API's description, an OpenAPI 3.1 document
///
/// A running gateway has the same at `/v1/openapi.json`.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick api > bailiwick-openapi.json")]
pub(crate) struct Api {}

impl Api {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        render::print(&bailiwick_control::openapi(env!("CARGO_PKG_VERSION")))?;
        Ok(ExitCode::SUCCESS)
    }
}
