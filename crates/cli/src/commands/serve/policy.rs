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
    let at_start = folders(&config);
    Arc::new(move || {
        for (now, before) in folders(&config).iter().zip(&at_start) {
            if now != before {
                return Err(format!(
                    "{}: it is another folder than when the gateway started, and nothing keeps the runs that are \
                     open from writing there; move the files instead, or restart the gateway",
                    now.path.display()
                ));
            }
        }
        load(&config)
    })
}

/// A folder that tasks or guardrails are loaded from.
#[derive(PartialEq, Eq)]
struct Folder {
    path: PathBuf,
    /// Where it really is.
    real: Option<PathBuf>,
    /// Which one it is, of which file system. One that was moved there may be what runs can write that were open before.
    identity: Option<(u64, u64)>,
}

/// The folders as they are now.
fn folders(config: &Config) -> Vec<Folder> {
    let folder = |path: &PathBuf| Folder {
        path: path.clone(),
        real: path.canonicalize().ok(),
        identity: path.metadata().ok().map(|found| (found.dev(), found.ino())),
    };
    [&config.tasks, &config.policies].map(folder).into()
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
