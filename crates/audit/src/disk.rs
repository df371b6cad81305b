//! What makes a write durable: the order of the system calls, in one place.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use rustix::fs::{FallocateFlags, fallocate};

use crate::limits;

/// Only the gateway's own user reads it.
pub(crate) const PRIVATE: u32 = 0o600;
/// Anybody may read it.
pub(crate) const PUBLIC: u32 = 0o644;

/// The system calls that the log's promises depend on, and the clock. There is one real
/// implementation; the tests have one that fails on demand, each call both ways: not done and said
/// so, done and said it was not.
pub(crate) trait Disk: Send + Sync + 'static {
    /// Makes a file of `size` bytes, `head` and then zeros, that survives a crash once this
    /// returns. No space is claimed if it fails.
    fn prepare(&self, path: &Path, head: &[u8], size: u64) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Returns only when everything written to the file survives a crash. After an error nothing
    /// is known about what was written, and trying again would hide that.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Writes a file under a temporary name and renames it, so that a reader sees all of it or none;
    /// whether it survives a crash is up to a later [`Disk::sync_path`].
    fn put(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()>;
    /// Replaces a file: afterwards, and after a crash at any moment, it holds either the old bytes or
    /// the new ones.
    fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()>;
    /// Makes what was written to this file, or the names in this folder, durable.
    fn sync_path(&self, path: &Path) -> io::Result<()>;
    /// Renames within a folder and makes the new name durable.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; that there is none is as good.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The wall clock, which may be set back.
    fn now(&self) -> SystemTime;
}

/// The file system.
pub(crate) struct FileSystem;

impl Disk for FileSystem {
    fn prepare(&self, path: &Path, head: &[u8], size: u64) -> io::Result<()> {
        let unfinished = temporary(path);
        let made =
            zeroed_file(&unfinished, head, size).and_then(|()| self.rename(&unfinished, path));
        if made.is_err() {
            // The error that matters is the first one.
            drop(std::fs::remove_file(&unfinished));
        }
        made
    }

    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn put(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let unfinished = temporary(path);
        create(&unfinished, mode)?.write_all(bytes)?;
        std::fs::rename(&unfinished, path)
    }

    fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        replace(path, bytes, mode)
    }

    fn sync_path(&self, path: &Path) -> io::Result<()> {
        sync_path(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)?;
        to.parent().map_or(Ok(()), sync_path)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Takes a lock for this process; false if another has it. Waits for one that is just ending: until it
/// has started another program, a process that was forked holds what its parent held.
pub(crate) fn lock(file: &File) -> io::Result<bool> {
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if since.elapsed() >= limits::LOCK_WAIT => {
                return Ok(false);
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(limits::LOCK_WAIT / 20),
        }
    }
}

/// Whether the error says that the disk, or the user's share of it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Makes a directory (and those above it) with this mode, or sets the mode of the one that is there.
pub(crate) fn make_dir(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_path(parent),
        _ => Ok(()),
    }
}

/// As [`Disk::replace`], for what is done before the log is open.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let unfinished = temporary(path);
    let mut file = create(&unfinished, mode)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    path.parent().map_or(Ok(()), sync_path)
}

/// Overwrites a file with zeros and removes it; that there is none is as good. Durable when it returns.
pub(crate) fn destroy(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    file.write_all(&vec![0; length.min(KEY_FILE_MAX)])?;
    file.sync_all()?;
    std::fs::remove_file(path)?;
    path.parent().map_or(Ok(()), sync_path)
}

/// No file that is destroyed is longer.
const KEY_FILE_MAX: usize = 4096;

/// As [`Disk::sync_path`].
pub(crate) fn sync_path(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A file to read, or nothing where there is none. A copy that somebody else has made can hold a pipe or a device in
/// its place, which never ends.
///
/// # Errors
/// If it is not a file, or cannot be opened.
pub(crate) fn open(path: &Path) -> io::Result<Option<File>> {
    // Before it is opened: opening a pipe waits for its other end.
    let found = std::fs::metadata(path).and_then(|found| match found.is_file() {
        true => File::open(path),
        false => Err(unfit("it is not a file")),
    });
    match found {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The whole of a file as [`open`] finds it.
///
/// # Errors
/// If it is longer than any of a data folder as well.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open(path)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(limits::FILE + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limits::FILE {
        true => Err(unfit("it is longer than any file of a log")),
        false => Ok(bytes.into()),
    }
}

fn unfit(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The name a file has until it is complete.
pub(crate) const TEMPORARY: &str = "tmp";

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(TEMPORARY);
    PathBuf::from(name)
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)
}

fn zeroed_file(path: &Path, head: &[u8], size: u64) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let mut file = create(path, PRIVATE)?;
    // Ask for the space first: a full disk then shows before anything is written. Not every file
    // system can, and then the zeros below find out.
    match fallocate(&file, FallocateFlags::empty(), 0, size) {
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
        Err(error) => return Err(error.into()),
    }
    file.write_all(head)?;
    let mut left = size.saturating_sub(head.len() as u64);
    let mut unsynced = 0;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
        file.write_all(ZEROS.get(..now).unwrap_or(&ZEROS))?;
        left -= now as u64;
        unsynced += now;
        // Not all at once: the records that are synced meanwhile would wait behind it.
        if unsynced >= limits::ZEROED_AT_ONCE {
            file.sync_data()?;
            unsynced = 0;
        }
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn what_has_no_end_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        assert_eq!(read(&path("none")).unwrap(), None);
        std::fs::write(path("whole"), b"whole").unwrap();
        assert_eq!(read(&path("whole")).unwrap(), Some(b"whole".to_vec()));
        std::os::unix::fs::symlink("/dev/zero", path("endless")).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        mknodat(CWD, path("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let long = File::create(path("long")).unwrap();
        long.set_len(1 << 40).unwrap();
        for name in ["endless", "folder", "pipe", "long"] {
            assert!(read(&path(name)).is_err(), "{name}");
            assert_eq!(open(&path(name)).is_err(), name != "long", "{name}");
        }
    }
}
