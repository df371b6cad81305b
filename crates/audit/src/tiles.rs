//! The published log: tiles and entry bundles as C2SP tlog-tiles lays them out, and the checkpoint.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{self, Disk};
use crate::merkle::{Edge, Hash, TILE};

/// Which of the log's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Entries.
    Bundle,
    /// Hashes of this level.
    Level(usize),
}

/// The path of a tile below the log's folder. A width is given for one that is not full.
pub(crate) fn path(kind: Kind, number: u64, width: Option<usize>) -> String {
    let mut path = match kind {
        Kind::Bundle => "tile/entries".to_owned(),
        Kind::Level(level) => format!("tile/{level}"),
    };
    let mut groups = vec![format!("{:03}", number % 1000)];
    let mut above = number / 1000;
    while above > 0 {
        groups.push(format!("x{:03}", above % 1000));
        above /= 1000;
    }
    for group in groups.iter().rev() {
        path.push('/');
        path.push_str(group);
    }
    if let Some(width) = width {
        path.push_str(&format!(".p/{width}"));
    }
    path
}

/// Adds an entry to a bundle.
pub(crate) fn push_entry(bundle: &mut Vec<u8>, record: &[u8]) {
    // A record is far shorter than the 65,535 bytes the format allows.
    let length = u16::try_from(record.len()).unwrap_or(u16::MAX);
    bundle.extend(length.to_be_bytes());
    bundle.extend_from_slice(record);
}

/// The first `count` entries of a bundle; nothing if it has fewer.
pub(crate) fn entries(mut bundle: &[u8], count: usize) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        entries.push(entry);
        bundle = rest;
    }
    Some(entries)
}

/// The folder `log/`. What is written survives a crash only after [`Tiles::sync`], and is looked at
/// by nobody before a checkpoint covers it.
pub(crate) struct Tiles {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    unsynced: BTreeSet<PathBuf>,
    /// Folders of partial tiles whose full tile has been written.
    superseded: Vec<PathBuf>,
}

impl Tiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, root: PathBuf) -> Self {
        Self {
            disk,
            root,
            unsynced: BTreeSet::new(),
            superseded: Vec::new(),
        }
    }

    /// Writes a tile that is full, once and for all.
    pub(crate) fn write_full(&mut self, kind: Kind, number: u64, bytes: &[u8]) -> io::Result<()> {
        let path = path(kind, number, None);
        self.write(&path, bytes)?;
        self.superseded.push(self.root.join(format!("{path}.p")));
        Ok(())
    }

    /// Writes a tile as far as it goes.
    pub(crate) fn write_partial(
        &mut self,
        kind: Kind,
        number: u64,
        width: usize,
        bytes: &[u8],
    ) -> io::Result<()> {
        self.write(&path(kind, number, Some(width)), bytes)
    }

    /// Makes all that was written durable, names included.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let mut dirs = BTreeSet::new();
        for path in &self.unsynced {
            self.disk.sync_path(path)?;
            let above = path.ancestors().skip(1);
            dirs.extend(above.take_while(|dir| dir.starts_with(&self.root)));
        }
        for dir in dirs {
            self.disk.sync_path(dir)?;
        }
        self.unsynced.clear();
        Ok(())
    }

    /// Removes the partial tiles of those that are full, once a checkpoint covers these.
    pub(crate) fn remove_superseded(&mut self) -> io::Result<()> {
        for dir in self.superseded.drain(..) {
            match std::fs::remove_dir_all(dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.root.join(path);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        self.disk.put(&path, bytes, disk::PUBLIC)?;
        self.unsynced.insert(path);
        Ok(())
    }
}

/// Reads a tile of a log that has at least `width` in it: the partial one, or the full one that
/// took its place.
pub(crate) fn read(root: &Path, kind: Kind, number: u64, width: usize) -> io::Result<Vec<u8>> {
    let full = root.join(path(kind, number, None));
    if width < TILE
        && let Some(bytes) = disk::read(&root.join(path(kind, number, Some(width))))?
    {
        return Ok(bytes);
    }
    disk::read(&full)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The entries of one bundle of a log of `size` records.
pub(crate) fn read_entries(root: &Path, number: u64, size: u64) -> io::Result<Vec<Vec<u8>>> {
    let before = number.saturating_mul(TILE as u64);
    let width = size.saturating_sub(before).min(TILE as u64) as usize;
    let bundle = read(root, Kind::Bundle, number, width)?;
    let entries =
        entries(&bundle, width).ok_or_else(|| malformed(&path(Kind::Bundle, number, None)))?;
    Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
}

/// The right edge of the tree of the first `size` records.
pub(crate) fn read_edge(root: &Path, size: u64) -> io::Result<Edge> {
    let mut levels = Vec::new();
    for level in 0..Edge::depth(size) {
        let width = Edge::width(size, level);
        let number = size >> (8 * level) >> 8;
        let hashes: Vec<Hash> = match width {
            0 => Vec::new(),
            _ => {
                let bytes = read(root, Kind::Level(level), number, width)?;
                let hashes = bytes.chunks_exact(32).take(width);
                hashes.filter_map(|hash| hash.try_into().ok()).collect()
            }
        };
        levels.push(hashes);
    }
    Edge::new(size, levels).ok_or_else(|| malformed("tile"))
}

/// A tile that does not hold what it must.
pub(crate) fn malformed(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{path} is too short"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let level = Kind::Level;
        assert_eq!(path(level(0), 1_234_067, None), "tile/0/x001/x234/067");
        assert_eq!(path(level(3), 0, Some(1)), "tile/3/000.p/1");
        assert_eq!(path(Kind::Bundle, 999, None), "tile/entries/999");
        assert_eq!(
            path(Kind::Bundle, 1000, Some(255)),
            "tile/entries/x001/000.p/255"
        );
    }

    #[test]
    fn bundles_are_read_back() {
        let mut bundle = Vec::new();
        for entry in [&b"one"[..], b"", b"three"] {
            push_entry(&mut bundle, entry);
        }
        assert_eq!(entries(&bundle, 3), Some(vec![&b"one"[..], b"", b"three"]));
        assert_eq!(entries(&bundle, 2), Some(vec![&b"one"[..], b""]));
        assert_eq!(entries(&bundle, 4), None);
        assert_eq!(entries(&bundle[..4], 1), None);
    }
}
