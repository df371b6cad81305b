//! Keeps the child of `bailiwick run` away from the record, the keys and the controls, though it
//! runs as the same local user. Landlock does most of it: files, signals, abstract sockets, debugging
//! of processes outside, and, where the task asks for it, TCP. A small seccomp filter closes what
//! Landlock does not cover ([`filter`]), and privileges that reach around both are given up.
//!
//! What it does not do: the files that the child may write are still read by programs outside (a
//! shell's start-up file, a cron table), and a program outside that takes orders over a Unix socket
//! (a container daemon, a terminal multiplexer) carries them out unconfined. Metadata (`stat`,
//! `chmod`) is not covered either. Where that matters, run the gateway as another user or on another
//! machine.
//!
//! Everything here runs in a process of its own that becomes the child (`bailiwick confined`),
//! because it cannot be undone and applies to the calling thread.

mod filter;
mod inherited;
mod mounts;
mod places;
mod plan;
mod privileges;
mod ruleset;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) use plan::Standing;
use plan::{Access, Plan};

/// What a confined process must not reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spec {
    /// Out of reach altogether, with all beneath.
    pub(crate) hidden: Vec<PathBuf>,
    /// Can be read and executed, not changed.
    pub(crate) read_only: Vec<PathBuf>,
    /// Can be read though it is in a hidden place: what is for this process alone.
    pub(crate) own: Option<PathBuf>,
    /// If given, the only TCP ports it may connect to, and no other network.
    pub(crate) connect: Option<BTreeSet<u16>>,
}

/// Why a process could not be confined. It must not be started then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    #[error(
        "this kernel ({kernel}) cannot confine the agent: that takes Landlock ABI 6, which is \
         Linux 6.12 or later with `landlock` among its security modules"
    )]
    Unsupported {
        kernel: String,
        #[source]
        error: landlock::RulesetError,
    },
    #[error("cannot look at `{}`: {error}", path.display())]
    Path { path: PathBuf, error: io::Error },
    #[error(
        "`{}` changed while its surroundings were looked at; try again when nothing moves it",
        .0.display()
    )]
    Changed(PathBuf),
    #[error(
        "there are more than {max} entries beside what is to be kept out of reach, the last of them in \
         `{}`; keep the data folder where there are fewer",
        path.display()
    )]
    TooMany { path: PathBuf, max: usize },
    #[error(
        "file descriptor {fd} is open on `{}`, which is to be kept out of reach; close it, as in \
         `{fd}>&-`",
        path.display()
    )]
    Inherited { fd: u32, path: PathBuf },
    #[error("Landlock: {0}")]
    Landlock(#[from] landlock::RulesetError),
    #[error("Landlock was not enforced")]
    NotEnforced,
    #[error("seccomp: {0}")]
    Filter(#[from] seccompiler::Error),
    #[error("seccomp: {0}")]
    FilterProgram(#[from] seccompiler::BackendError),
    #[error("privileges could not be given up: {0}")]
    Privileges(io::Error),
}

/// Whether this kernel can confine a process as asked.
pub(crate) fn supported(connect_only: bool) -> Result<(), ConfineError> {
    ruleset::create(connect_only).map(drop)
}

/// Confines this thread, and with it whatever program it becomes. There is no way back.
pub(crate) fn confine(spec: &Spec) -> Result<(), ConfineError> {
    let plan = plan(spec)?;
    inherited::check(&plan)?;
    privileges::give_up()?;
    ruleset::restrict(&plan, spec.connect.as_ref())?;
    filter::install(spec.connect.is_some())
}

/// What the confined process can do with a folder itself: its list of names, new entries.
pub(crate) fn standing(spec: &Spec, folder: &Path) -> Result<Standing, ConfineError> {
    Ok(plan(spec)?.standing(folder))
}

fn plan(spec: &Spec) -> Result<Plan, ConfineError> {
    let mounts = mounts::read()?;
    let mut plan = Plan::default();
    let wanted = spec
        .hidden
        .iter()
        .map(|path| (path.clone(), Access::None))
        .chain(
            spec.read_only
                .iter()
                .map(|path| (path.clone(), Access::Read)),
        )
        .chain(privileges::places());
    for (path, access) in wanted {
        let found = places::find(&path).map_err(|error| ConfineError::Path { path, error })?;
        for link in &found.links {
            // No rights are needed to follow a link, and none are given to replace it.
            plan.insert(link, Access::None);
        }
        plan.insert(&found.place, access);
        for alias in mounts::aliases(&mounts, &found.place) {
            plan.insert(&alias, access);
        }
    }
    if let Some(path) = &spec.own {
        let found = places::find(path).map_err(|error| ConfineError::Path {
            path: path.clone(),
            error,
        })?;
        plan.reopen(&found.place);
    }
    Ok(plan)
}
