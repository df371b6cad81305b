//! `bailiwick approve` and `bailiwick deny`: what becomes of a call that waits.

use std::process::ExitCode;

use bailiwick_control::api::{Approval, ApprovalState, ApproveRequest, DenyRequest};
use clap::Args;

use crate::commands::approvals;
use crate::commands::confirm::{Help, confirm};
use crate::commands::gateway::{self, GatewayArg};
use crate::failure::Failure;
use crate::render;

/// Approve a call that waits
///
/// Shows what is decided and asks. The call can be made once, by this run alone, exactly as it was made, for as
/// long as the configuration says. Where a task names several who have to approve, each has to.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick approve apr_01JD5K3T9V8Z0W2Y4X6A7B8C9D")]
pub(crate) struct Approve {
    /// Its full id: `bailiwick approvals` lists them
    #[arg(value_name = "ID")]
    id: String,
    /// What to remember about it; the agent does not see it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArg,
}

/// Deny a call that waits
///
/// The agent is told the reason. The same call gets the same answer for a while, and nobody is asked again.
#[derive(Args)]
#[command(
    after_help = "Example:\n  bailiwick deny apr_01JD5K3T9V8Z0W2Y4X6A7B8C9D --reason \"still needed\""
)]
pub(crate) struct Deny {
    /// Its full id: `bailiwick approvals` lists them
    #[arg(value_name = "ID")]
    id: String,
    /// Why, for the agent
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArg,
}

impl Approve {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let id = approvals::id(&self.id)?;
        let decided = gateway::ask(&self.gateway, async |client| {
            let approval = client.approval(&id).await?;
            if approval.state == ApprovalState::Open && !self.yes {
                confirm(
                    &approvals::describe(&approval, None),
                    "Approve this call?",
                    &Help {
                        nobody: "look at it with `bailiwick approvals ID`, and say --yes",
                        no: "the call still waits; `bailiwick deny ID --reason TEXT` says no, and tells the agent why",
                    },
                )?;
            }
            let request = ApproveRequest {
                note: self.note.clone(),
            };
            Ok(client.approve(&id, &request).await?)
        })?;
        report(&decided, self.json)
    }
}

impl Deny {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let id = approvals::id(&self.id)?;
        let decided = gateway::ask(&self.gateway, async |client| {
            let request = DenyRequest {
                reason: self.reason.clone(),
            };
            Ok(client.deny(&id, &request).await?)
        })?;
        report(&decided, self.json)
    }
}

fn report(decided: &Approval, json: bool) -> Result<ExitCode, Failure> {
    if json {
        render::print_json(decided)?;
    } else {
        let outcome = approvals::outcome(decided);
        let state = match decided.state {
            ApprovalState::Open => "has your yes",
            // The agent was waiting for it.
            ApprovalState::Used => "approved and made",
            state => state.as_str(),
        };
        render::print(&render::clean(&format!(
            "{} {state}: {outcome}",
            decided.id
        )))?;
        render::print("\n")?;
    }
    Ok(ExitCode::SUCCESS)
}
