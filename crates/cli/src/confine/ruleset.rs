//! A plan as Landlock rules. Landlock allows, it does not forbid: a folder's rights hold for
//! everything beneath it. So each folder on the way to a limited place gets no rule, and every other
//! entry of it gets one of its own.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use super::ConfineError;
use super::plan::{Access, Plan};

/// What must be there: truncation of files is covered since ABI 3, device files since 5, signals and
/// abstract sockets since 6.
const NEEDED: ABI = ABI::V6;

/// What is used if it is there: connecting to sockets in the file system (9), UDP (10).
const KNOWN: ABI = ABI::V10;

/// Entries that may get a rule of their own.
const MAX_ENTRIES: usize = 65_536;

/// Restricts this thread to the plan and, if given, to TCP connections to these ports.
pub(super) fn restrict(plan: &Plan, connect: Option<&BTreeSet<u16>>) -> Result<(), ConfineError> {
    let mut rules = Rules {
        ruleset: create(connect.is_some())?,
        full: AccessFs::from_all(KNOWN) & !(AccessFs::MakeBlock | AccessFs::MakeChar),
        entries: 0,
    };
    if connect.is_some() {
        rules.full &= !BitFlags::from(AccessFs::ResolveUnix);
    }
    for port in connect.into_iter().flatten() {
        (&mut rules.ruleset).add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    let root = PathBuf::from("/");
    let fd = rustix::fs::open(&root, PLACE, Mode::empty()).map_err(|error| failed(&root, error))?;
    rules.cover(&fd, &root, plan)?;
    match rules.ruleset.restrict_self()?.ruleset {
        RulesetStatus::NotEnforced => Err(ConfineError::NotEnforced),
        // Partial means that rights beyond those needed are not known here.
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

/// A ruleset without rules: everything it handles is denied.
pub(super) fn create(connect_only: bool) -> Result<RulesetCreated, ConfineError> {
    let create = || -> Result<RulesetCreated, RulesetError> {
        let mut ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(NEEDED))?
            .scope(Scope::from_all(NEEDED))?;
        if connect_only {
            ruleset = ruleset.handle_access(AccessNet::from_all(NEEDED))?;
        }
        ruleset = ruleset
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(KNOWN))?;
        if connect_only {
            ruleset = ruleset.handle_access(AccessNet::from_all(KNOWN))?;
        }
        ruleset.create()
    };
    create().map_err(|error| ConfineError::Unsupported {
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
        error,
    })
}

const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

const LIST: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

struct Rules {
    ruleset: RulesetCreated,
    full: BitFlags<AccessFs>,
    entries: usize,
}

impl Rules {
    /// Grants what the plan says about an open place and all beneath it. Names are looked up one by
    /// one and links not followed, so that nobody can lead it elsewhere meanwhile.
    fn cover(&mut self, fd: &OwnedFd, path: &Path, plan: &Plan) -> Result<(), ConfineError> {
        if plan.beneath.is_empty() {
            return self.grant(fd, path, plan.access);
        }
        if kind(fd, path)? != FileType::Directory {
            return Err(ConfineError::Changed(path.to_owned()));
        }
        if plan.access != Access::None {
            self.cover_others(fd, path, plan)?;
        }
        for (name, child) in &plan.beneath {
            let path = path.join(name);
            if let Some(fd) = open(fd, name, &path)? {
                self.cover(&fd, &path, child)?;
            }
        }
        Ok(())
    }

    /// Grants every entry of a folder that the plan does not name.
    fn cover_others(&mut self, fd: &OwnedFd, path: &Path, plan: &Plan) -> Result<(), ConfineError> {
        let list = match openat(fd, ".", LIST, Mode::empty()) {
            Ok(list) => list,
            // A folder that the user cannot list: what it holds stays out of reach.
            Err(Errno::ACCESS | Errno::PERM) => return Ok(()),
            Err(error) => return Err(failed(path, error)),
        };
        for entry in Dir::read_from(list).map_err(|error| failed(path, error))? {
            let entry = entry.map_err(|error| failed(path, error))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." || plan.beneath.contains_key(name) {
                continue;
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(ConfineError::TooMany {
                    path: path.to_owned(),
                    max: MAX_ENTRIES,
                });
            }
            let path = path.join(name);
            if let Some(fd) = open(fd, name, &path)? {
                self.grant(&fd, &path, plan.access)?;
            }
        }
        Ok(())
    }

    fn grant(&mut self, fd: &OwnedFd, path: &Path, access: Access) -> Result<(), ConfineError> {
        let rights = match access {
            Access::None => return Ok(()),
            Access::Read => AccessFs::from_read(KNOWN),
            Access::Full => self.full,
        };
        let rights = match kind(fd, path)? {
            FileType::Directory => rights,
            // What a link leads to has its own rights; following it needs none.
            FileType::Symlink => return Ok(()),
            _ => rights & AccessFs::from_file(KNOWN),
        };
        (&mut self.ruleset).add_rule(PathBeneath::new(fd.as_fd(), rights))?;
        Ok(())
    }
}

/// Opens an entry as a place; nothing if it is gone or the user cannot reach it anyway.
fn open(folder: &OwnedFd, name: &OsStr, path: &Path) -> Result<Option<OwnedFd>, ConfineError> {
    match openat(folder, name, PLACE, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        // A mount whose server is gone answers in many ways; it is out of reach as it is.
        Err(
            Errno::NOENT
            | Errno::ACCESS
            | Errno::PERM
            | Errno::NOTCONN
            | Errno::STALE
            | Errno::IO
            | Errno::HOSTDOWN,
        ) => Ok(None),
        Err(error) => Err(failed(path, error)),
    }
}

fn kind(fd: &OwnedFd, path: &Path) -> Result<FileType, ConfineError> {
    let stat = fstat(fd).map_err(|error| failed(path, error))?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

fn failed(path: &Path, error: Errno) -> ConfineError {
    ConfineError::Path {
        path: path.to_owned(),
        error: error.into(),
    }
}
