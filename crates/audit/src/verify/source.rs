//! Where the files of a log come from.

use std::io;
use std::path::{Path, PathBuf};

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

pub(super) fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
