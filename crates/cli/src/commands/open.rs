//! `bailiwick open`: a run for a process that is started elsewhere.

use std::process::ExitCode;
use std::time::Duration;

use bailiwick_control::api::{OpenRequest, OpenedRun};
use bailiwick_run::Confinement;
use clap::Args;

use crate::commands::gateway::{self, Asker, GatewayArg, Reached};
use crate::commands::run::far;
use crate::failure::Failure;
use crate::render::{self, style};

/// What a run is opened with.
#[derive(Args)]
pub(crate) struct RunArgs {
    /// The task
    #[arg(long, short)]
    pub(crate) task: String,
    /// The time box, such as 10m; at most the task's own, which it is if nothing is said
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) ttl: Option<Duration>,
    /// What the run is for; kept with its record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// Open a run by hand and print what its process needs
///
/// The process is started elsewhere, and is not confined by this command. Close the run when it is
/// done; it ends by itself when its time box does.
#[derive(Args)]
#[command(after_help = "Example:\n  \
    run=$(bailiwick open --task triage-tickets --json)\n  \
    DATABASE_URL=$(jq -r .env.DATABASE_URL <<<$run) agent; bailiwick close $(jq -r .run <<<$run)")]
pub(crate) struct Open {
    #[command(flatten)]
    run: RunArgs,
    /// Print JSON: run, expires, env and more
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArg,
}

impl Open {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let request = self.run.request(Confinement::Elsewhere, false);
        let (opened, asker) = gateway::runtime()?.block_on(async {
            let Reached { client, asker } = self.gateway.reach().await?;
            Ok::<_, Failure>((client.open(&request).await?, asker))
        })?;
        if let Asker::Elsewhere { is_near: false, .. } = asker
            && let Some(why) = far::sent_home(&opened)
        {
            render::note(why);
        }
        if self.json {
            render::print_json(&opened)?;
        } else {
            render::print(&describe(&opened))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl RunArgs {
    pub(crate) fn request(&self, confinement: Confinement, attach: bool) -> OpenRequest {
        OpenRequest {
            task: self.task.clone(),
            ttl: self.ttl,
            reason: self.reason.clone(),
            confinement,
            attach,
        }
    }
}

/// In a form that a shell can read: comments and exports.
fn describe(opened: &OpenedRun) -> String {
    let dim = style::DIM;
    let mut text = format!(
        "{dim}# {} of task {}, until {}; `bailiwick close {}` ends it{dim:#}\n",
        opened.run,
        render::clean(&opened.task),
        opened.expires,
        opened.run,
    );
    for (name, value) in &opened.env {
        text.push_str(&format!("export {name}={}\n", quoted(value)));
    }
    text
}

/// As a shell reads it back.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "write a time such as 90s, 10m or 2h".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_it_back() {
        assert_eq!(quoted("a'b $c"), r"'a'\''b $c'");
        assert_eq!(duration("10m"), Ok(Duration::from_secs(600)));
        assert!(duration("soon").is_err());
    }
}
