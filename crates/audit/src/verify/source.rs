//! Where the files of a log come from.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::limits;

/// Where the published files of a log come from: `checkpoint`, `tile/…`.
pub trait Source {
    /// The file at this path, or nothing where there is none. An error is a failure to ask, not an
    /// answer.
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// The widths of the partial tiles kept for the tile at this path. A source that cannot list
    /// has none to check.
    fn partials(&self, _path: &str) -> io::Result<Vec<usize>> {
        Ok(Vec::new())
    }
}

/// A log in a folder: `data/log`, or a copy of it.
#[derive(Clone, Debug)]
pub struct DirSource(PathBuf);

impl DirSource {
    /// The folder that holds `checkpoint` and `tile/`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }
}

impl Source for DirSource {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        read_if_there(&self.0.join(path))
    }

    fn partials(&self, path: &str) -> io::Result<Vec<usize>> {
        let listed = match std::fs::read_dir(self.0.join(format!("{path}.p"))) {
            Ok(listed) => listed,
            Err(error) if is_absence(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut widths = Vec::new();
        for entry in listed {
            let name = entry?.file_name();
            widths.extend(name.to_str().and_then(|name| name.parse::<usize>().ok()));
        }
        widths.sort_unstable();
        Ok(widths)
    }
}

/// Reads a file of a log, or of what is kept beside it, if it is there. Nothing but a file is read, nor
/// more than any such file may have: a folder from somebody else can hold a pipe, a device, or a link
/// to one, which never ends.
///
/// # Errors
/// If it is not a file, is too long, or cannot be read.
pub(super) fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let no_file = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what);
    // Before it is opened: opening a pipe waits for its other end.
    if !std::fs::metadata(path)?.is_file() {
        return Err(no_file("it is not a file"));
    }
    let mut bytes = Vec::new();
    let limit = limits::VERIFIED_FILE;
    (File::open(path)?.take(limit + 1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(no_file("it is longer than any file of a log")),
        false => Ok(bytes),
    }
}

pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use rustix::fs::FileType;

    use super::*;

    #[test]
    fn only_files_of_a_size_that_a_log_has_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let source = DirSource::new(dir.path());
        let path = |name: &str| dir.path().join(name);
        assert_eq!(source.get("none").unwrap(), None);
        std::fs::write(path("whole"), b"whole").unwrap();
        assert_eq!(source.get("whole").unwrap(), Some(b"whole".to_vec()));
        std::os::unix::fs::symlink(path("whole"), path("link")).unwrap();
        assert_eq!(source.get("link").unwrap(), Some(b"whole".to_vec()));
        std::os::unix::fs::symlink("/dev/zero", path("endless")).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        let owner = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), FileType::Fifo, owner, 0).unwrap();
        let long = File::create(path("long")).unwrap();
        long.set_len(1 << 40).unwrap();
        for name in ["endless", "folder", "pipe", "long"] {
            assert!(source.get(name).is_err(), "{name}");
        }
    }
}
