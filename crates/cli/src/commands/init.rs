//! `bailiwick init`: a first configuration, task and place for guardrails.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::failure::Failure;
use crate::render::{self, Cell, Table, style};

const CONFIG: &str = include_str!("init/bailiwick.toml");
const TASK: &str = include_str!("init/triage-tickets.toml");
const POLICIES: &str = include_str!("init/policies.md");

/// Write a commented bailiwick.toml, a first task and a folder for guardrails
///
/// Nothing that is there already is changed.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick init gateway && cd gateway && bailiwick task check")]
pub(crate) struct Init {
    /// The folder; made if it is not there. Best one in which no agent works
    #[arg(default_value = ".", value_name = "DIR")]
    folder: PathBuf,
}

impl Init {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let name = format!("{}/bailiwick", host_name());
        let files = [
            ("bailiwick.toml", CONFIG.replace("{{name}}", &name)),
            ("tasks/triage-tickets.toml", TASK.to_owned()),
            ("policies/README.md", POLICIES.to_owned()),
        ];
        let mut table = Table::new(1);
        for (file, text) in &files {
            let path = self.folder.join(file);
            let (word, style) = match write(&path, text) {
                Ok(true) => ("wrote", style::FINE),
                Ok(false) => ("kept", style::DIM),
                Err(error) => {
                    let message = format!("cannot write `{}`: {error}", path.display());
                    return Err(Failure::new(message)
                        .help("choose a folder that you may write to: `bailiwick init DIR`"));
                }
            };
            table.row([
                Cell::new(word).style(style),
                Cell::new(path.to_string_lossy()),
            ]);
        }
        render::print(&table.render(render::columns()))?;
        self.warn();
        let go = match self.folder == Path::new(".") {
            true => String::new(),
            false => format!("cd {} && ", self.folder.display()),
        };
        render::print(&format!(
            "\nNext:\n  \
             1. name your database in bailiwick.toml, and put its password into TICKETS_PASSWORD\n  \
             2. say in tasks/triage-tickets.toml what such a run needs\n  \
             3. {go}bailiwick task check\n  \
             4. {go}bailiwick serve\n  \
             5. in another terminal: {go}bailiwick run --task triage-tickets -- CMD\n"
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Init {
    /// A confined agent can neither list a folder that leads to this one, nor add anything to it.
    fn warn(&self) {
        let home = std::env::home_dir().map(|home| ("your home directory", home));
        let temporary = ("the folder for temporary files", std::env::temp_dir());
        let Ok(folder) = self.folder.canonicalize() else {
            return;
        };
        for (what, place) in home.into_iter().chain([temporary]) {
            if place
                .canonicalize()
                .is_ok_and(|place| folder.starts_with(place))
            {
                render::note(format!(
                    "this is in {what}, which agents then cannot list, nor add anything to it: many need \
                     that. Move the folder elsewhere, such as to `/srv/bailiwick`"
                ));
            }
        }
    }
}

/// Says whether the file was written; one that is there is left as it is.
fn write(path: &Path, text: &str) -> std::io::Result<bool> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // A configuration comes to hold secrets sooner or later.
    let opened = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match opened {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// This machine's name, as far as it fits a log's.
pub(super) fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let fits: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c))
        .collect();
    if fits.is_empty() {
        "localhost".into()
    } else {
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn what_it_writes_loads_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let init = || Init {
            folder: folder.path().join("new"),
        };
        init().execute().unwrap();
        let file = folder.path().join("new/bailiwick.toml");
        let config = Config::load(&file)
            .map_err(|problems| problems.to_string())
            .unwrap();
        assert!(config.tasks.join("triage-tickets.toml").exists());
        assert!(config.policies.is_dir());
        fs::write(&file, "mine").unwrap();
        init().execute().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
}
