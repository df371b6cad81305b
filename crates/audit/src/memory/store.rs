use std::io;
use std::path::{Path, PathBuf};

use crate::disk;

/// Where the note signed last is kept. There is one real implementation; the tests have one that
/// fails on demand.
pub(crate) trait Store: Send + Sync {
    /// What was stored last; nothing if nothing was.
    fn read(&self) -> io::Result<Option<Vec<u8>>>;
    /// Returns only when the note has taken the place of the last one and survives a crash. After an
    /// error, either may be found; after a crash at any moment, one of the two is.
    fn replace(&self, note: &[u8]) -> io::Result<()>;
    /// For errors: which file it is.
    fn place(&self) -> PathBuf;
}

/// A file.
pub(crate) struct NoteFile(PathBuf);

impl NoteFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl Store for NoteFile {
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        disk::read(&self.0)
    }

    fn replace(&self, note: &[u8]) -> io::Result<()> {
        disk::replace(&self.0, note, disk::PUBLIC)
    }

    fn place(&self) -> PathBuf {
        self.0.clone()
    }
}
