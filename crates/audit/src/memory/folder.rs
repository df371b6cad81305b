use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{MemoryError, NoteFile};
use crate::digest::Digest;
use crate::disk;

/// A folder with what one process has signed, held by it: for each log
/// `HASH/checkpoint`, where `HASH` is the SHA-256 digest of the log's origin in hexadecimal.
pub(crate) struct Folder {
    dir: PathBuf,
    /// Released when dropped.
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, and takes it for this process.
    pub(crate) fn open(dir: &Path) -> Result<Self, MemoryError> {
        let mut folder = DirBuilder::new();
        at(dir, |dir| folder.recursive(true).mode(0o700).create(dir))?;
        let path = dir.join("lock");
        let lock = at(&path, |path| {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false);
            options.mode(disk::PRIVATE).open(path)
        })?;
        match at(&path, |_| disk::lock(&lock))? {
            true => Ok(Self {
                dir: dir.to_owned(),
                _lock: lock,
            }),
            false => Err(MemoryError::InUse(dir.to_owned())),
        }
    }

    /// Where the note signed last of a log is kept.
    pub(crate) fn of_log(&self, origin: &str) -> Result<NoteFile, MemoryError> {
        let dir = self.dir.join(hash_of(origin));
        at(&dir, |dir| disk::make_dir(dir, 0o755))?;
        Ok(NoteFile::new(&dir.join("checkpoint")))
    }
}

/// The SHA-256 digest of an origin, in hexadecimal.
pub(crate) fn hash_of(origin: &str) -> String {
    Digest::of(origin.as_bytes()).to_string()
}

fn at<T>(path: &Path, work: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, MemoryError> {
    work(path).map_err(|error| MemoryError::Io {
        path: path.to_owned(),
        error,
    })
}
