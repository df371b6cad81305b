//! `bailiwick confined`: confines itself and becomes the command. `run` starts its child through it.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Args;

use crate::confine::{self, Spec};
use crate::failure::Failure;

/// The exit status if confining fails, as of `env` and its like: the command was not started.
pub(crate) const NOT_STARTED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Confine this process, then become a command.
#[derive(Args)]
pub(crate) struct Confined {
    /// Keep this out of reach, with all beneath
    #[arg(long, value_name = "PATH")]
    hide: Vec<PathBuf>,
    /// Keep this from being changed, with all beneath
    #[arg(long, value_name = "PATH")]
    read_only: Vec<PathBuf>,
    /// Let this be read, with all beneath, though it is in a hidden place
    #[arg(long, value_name = "PATH")]
    own: Option<PathBuf>,
    /// No network but TCP connections to the ports given by --port
    #[arg(long)]
    connect_only: bool,
    /// A port for --connect-only
    #[arg(long, value_name = "PORT", requires = "connect_only")]
    port: Vec<u16>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Confined {
    /// Comes back only if it failed.
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let spec = Spec {
            hidden: self.hide,
            read_only: self.read_only,
            own: self.own,
            connect: self.connect_only.then(|| self.port.into_iter().collect()),
        };
        confine::confine(&spec).map_err(|error| {
            Failure::new(format!("the agent was not started: {error}")).status(NOT_STARTED)
        })?;
        Err(become_command(&self.command))
    }
}

/// The arguments that make `confined` do what `spec` says and then become `command`.
pub(crate) fn arguments(spec: &Spec, command: &[OsString]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["confined".into()];
    let paths = |flag: &'static str, paths: &[PathBuf]| {
        paths
            .iter()
            .flat_map(move |path| [flag.into(), path.clone().into_os_string()])
            .collect::<Vec<OsString>>()
    };
    arguments.extend(paths("--hide", &spec.hidden));
    arguments.extend(paths("--read-only", &spec.read_only));
    if let Some(own) = &spec.own {
        arguments.extend(["--own".into(), own.clone().into_os_string()]);
    }
    if let Some(ports) = &spec.connect {
        arguments.push("--connect-only".into());
        for port in ports {
            arguments.extend(["--port".into(), port.to_string().into()]);
        }
    }
    arguments.push("--".into());
    arguments.extend_from_slice(command);
    arguments
}

/// The program, and what it is called with.
pub(crate) fn split(command: &[OsString]) -> Result<(&OsString, &[OsString]), Failure> {
    command
        .split_first()
        .ok_or_else(|| Failure::new("no command to start").status(NOT_STARTED))
}

/// Why a command was not started, with the exit status that shells have for it.
pub(crate) fn not_started(command: &[OsString], error: &io::Error) -> Failure {
    let program = command
        .first()
        .map(|program| program.to_string_lossy())
        .unwrap_or_default();
    let (status, help) = match error.kind() {
        ErrorKind::NotFound => (NOT_FOUND, "check its name and PATH"),
        _ => (
            NOT_EXECUTABLE,
            "check that it is a program and may be executed",
        ),
    };
    Failure::new(format!("cannot start `{program}`: {error}"))
        .help(help)
        .status(status)
}

fn become_command(command: &[OsString]) -> Failure {
    match split(command) {
        Ok((program, arguments)) => {
            let error = Command::new(program).args(arguments).exec();
            not_started(command, &error)
        }
        Err(failure) => failure,
    }
}
