//! Files that are open already stay open through all confinement, so none may be on what is to be
//! kept out of reach.

use std::fs;
use std::path::{Path, PathBuf};

use super::ConfineError;
use super::plan::{Access, Plan};

const TABLE: &str = "/proc/self/fdinfo";

/// open(2) flags, as `fdinfo` shows them.
const ACCESS_MODE: u32 = 0o3;
const READ_ONLY: u32 = 0o0;
const PATH: u32 = 0o10_000_000;
const CLOSE_ON_EXEC: u32 = 0o2_000_000;

/// Refuses if the program that this process becomes would inherit such a file.
pub(super) fn check(plan: &Plan) -> Result<(), ConfineError> {
    let failed = |error| ConfineError::Path {
        path: TABLE.into(),
        error,
    };
    for entry in fs::read_dir(TABLE).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // The one that this very list is read through is gone by the time it is looked at.
        if let Some(open) = Open::read(&entry.path())
            && open.reaches_beyond(plan)
        {
            return Err(ConfineError::Inherited {
                fd: open.fd,
                path: open.path,
            });
        }
    }
    Ok(())
}

struct Open {
    fd: u32,
    flags: u32,
    path: PathBuf,
}

impl Open {
    fn read(info: &Path) -> Option<Self> {
        let fd = info.file_name()?.to_str()?.parse().ok()?;
        let text = fs::read_to_string(info).ok()?;
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
        Some(Self {
            fd,
            flags: u32::from_str_radix(flags.trim(), 8).ok()?,
            path: fs::read_link(format!("/proc/self/fd/{fd}")).ok()?,
        })
    }

    fn reaches_beyond(&self, plan: &Plan) -> bool {
        if self.flags & (CLOSE_ON_EXEC | PATH) != 0 || !self.path.is_absolute() {
            return false;
        }
        // Reading a folder that is open gives its names; what they name is still checked.
        match plan.access(&self.path) {
            Access::None => true,
            Access::Read => self.flags & ACCESS_MODE != READ_ONLY,
            Access::Full => false,
        }
    }
}
