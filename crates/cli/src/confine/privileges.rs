//! Privileges that reach around Landlock: raw disks and memory, kernel modules, the kernel's own
//! settings. Root has them, and agents are run as root in many a container.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set,
    set_capabilities,
};

use super::ConfineError;
use super::plan::Access;

/// What a confined process keeps if it has it: what package managers and servers need within files
/// and processes that they can reach anyway.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SYS_CHROOT);

/// How deep `/dev` is searched for disks (`/dev/mapper/…`).
const MAX_DEPTH: usize = 3;

/// Gives up every other capability, for this thread and what it becomes.
pub(super) fn give_up() -> Result<(), ConfineError> {
    let failed = |error: Errno| ConfineError::Privileges(error.into());
    let has = capabilities(None).map_err(failed)?;
    if has.permitted.contains(CapabilitySet::SETPCAP) {
        for capability in CapabilitySet::all().difference(KEPT).iter() {
            match remove_capability_from_bounding_set(capability) {
                // One that this kernel does not know.
                Ok(()) | Err(Errno::INVAL) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
    set_capabilities(
        None,
        CapabilitySets {
            effective: has.effective & KEPT,
            permitted: has.permitted & KEPT,
            inheritable: has.inheritable & KEPT,
        },
    )
    .map_err(failed)
}

/// The files through which root could reach around Landlock; for anyone else the kernel sees to it.
pub(super) fn places() -> Vec<(PathBuf, Access)> {
    if !rustix::process::geteuid().is_root() {
        return Vec::new();
    }
    let mut places = vec![
        (PathBuf::from("/proc"), Access::Read),
        (PathBuf::from("/sys"), Access::Read),
    ];
    for memory in ["/dev/kmem", "/dev/mem", "/dev/port"] {
        places.push((memory.into(), Access::None));
    }
    // A folder that cannot be read has nothing to show to the child either.
    let _ = disks(Path::new("/dev"), MAX_DEPTH, &mut places);
    places
}

fn disks(folder: &Path, depth: usize, found: &mut Vec<(PathBuf, Access)>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_block_device() {
            found.push((entry.path(), Access::None));
        } else if kind.is_dir() && depth > 0 {
            disks(&entry.path(), depth - 1, found)?;
        }
    }
    Ok(())
}
