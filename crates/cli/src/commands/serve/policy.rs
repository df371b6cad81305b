//! The tasks and guardrails, at the start and whenever they are loaded anew.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_control::{LoadPolicy, Registry};
use bailiwick_policy::Engine;

use crate::commands::reload;
use crate::config::{Config, check_tasks};

/// How many of the things that are wrong are said at once.
const PROBLEMS_MAX: usize = 40;

/// Loads and checks them. The error names all that is wrong, a line each.
pub(super) fn load(config: &Config) -> Result<Engine, String> {
    let engine = config.engine().map_err(|errors| {
        let problems = errors.problems();
        let mut lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        if let Some(more @ 1..) = lines.len().checked_sub(PROBLEMS_MAX) {
            lines.truncate(PROBLEMS_MAX);
            lines.push(format!("and {more} more"));
        }
        lines.join("\n")
    })?;
    check_tasks(&config.signals, &engine).map_err(|failure| failure.to_string())?;
    for (_, warning) in config.people.empty_groups(engine.tasks()) {
        tracing::warn!("{warning}");
    }
    Ok(engine)
}

/// How they are loaded anew. They have to be in the folders that they were in: from those, and not from where a
/// link leads since, runs that are open are kept away.
pub(super) fn anew(config: &Arc<Config>) -> LoadPolicy {
    let config = Arc::clone(config);
    let at_start = places(&config);
    Arc::new(move || {
        for (now, (folder, before)) in places(&config).into_iter().zip(&at_start) {
            if now.1 != *before {
                return Err(format!(
                    "{}: it is another folder than when the gateway started, and nothing keeps the runs that are \
                     open from writing there; move the files instead, or restart the gateway",
                    folder.display()
                ));
            }
        }
        load(&config)
    })
}

/// The folders, and what they really are: where, and which on which file system. A folder that is moved to their place is
/// what runs may write that were open before.
fn places(config: &Config) -> Vec<(PathBuf, Option<(PathBuf, u64, u64)>)> {
    let folders = [&config.tasks, &config.policies];
    let place = |folder: &PathBuf| {
        let real = std::fs::canonicalize(folder).ok()?;
        let found = real.metadata().ok()?;
        Some((real, found.dev(), found.ino()))
    };
    folders
        .map(|folder| (folder.clone(), place(folder)))
        .to_vec()
}

/// Loads them anew because of a signal. What comes of it is said, and nobody waits for it.
pub(super) async fn hangup(registry: Registry) {
    match registry.reload("SIGHUP".to_owned()).await {
        Ok(reloaded) => tracing::info!("SIGHUP: {}", reload::said(&reloaded)),
        Err(error) => {
            for line in error.to_string().lines() {
                tracing::error!("SIGHUP: {line}");
            }
        }
    }
}
