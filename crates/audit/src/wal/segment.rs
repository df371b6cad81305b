//! The files of the write-ahead log.
//!
//! A segment is `magic | size u64 | frames | zeros`, `size` bytes long from the day it is made. It
//! is prepared as `prepared-N` and, when it comes into use, renamed to the index of the first record
//! it will hold: twenty digits and `.wal`. Its name therefore says that every record before that
//! index was durable when it came into use.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;

const MAGIC: &[u8; 8] = b"BWWAL01\n";
const SUFFIX: &str = ".wal";
const PREPARED: &str = "prepared-";

/// Magic and size.
pub(crate) const HEAD_LEN: u64 = 16;

/// A segment in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The index of its first record.
    pub(crate) base: u64,
    pub(crate) path: PathBuf,
}

/// Makes a segment that is not in use yet.
pub(crate) fn prepare(disk: &dyn Disk, dir: &Path, number: u64, size: u64) -> io::Result<PathBuf> {
    let path = dir.join(format!("{PREPARED}{number}"));
    disk.prepare(&path, &head(size), size)?;
    Ok(path)
}

/// Brings a prepared segment into use.
pub(crate) fn take(disk: &dyn Disk, dir: &Path, prepared: &Path, base: u64) -> io::Result<Segment> {
    let path = dir.join(format!("{base:020}{SUFFIX}"));
    disk.rename(prepared, &path)?;
    Ok(Segment { base, path })
}

/// The segments in use, in order.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        // A copy of the published part has none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(segments),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        if let Some(base) = digits.and_then(|digits| digits.parse().ok()) {
            segments.push(Segment {
                base,
                path: entry.path(),
            });
        }
    }
    segments.sort_by_key(|segment| segment.base);
    Ok(segments)
}

/// What an earlier start has prepared, of this size; the rest of its leavings are removed.
pub(crate) fn prepared(dir: &Path, size: u64) -> io::Result<Vec<PathBuf>> {
    let mut prepared = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREPARED) {
            continue;
        }
        let path = entry.path();
        if prepared_number(&path).is_some() && entry.metadata()?.len() == size {
            prepared.push(path);
        } else {
            std::fs::remove_file(path)?;
        }
    }
    Ok(prepared)
}

/// The number of a prepared segment.
pub(crate) fn prepared_number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    name.strip_prefix(PREPARED)?.parse().ok()
}

/// The frames and zeros after the head; nothing if the head is not right or the file is not as long
/// as it was made.
pub(crate) fn content(bytes: &[u8]) -> Option<&[u8]> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (size, rest) = rest.split_first_chunk::<8>()?;
    let whole = magic == MAGIC && u64::from_be_bytes(*size) == bytes.len() as u64;
    whole.then_some(rest)
}

fn head(size: u64) -> Vec<u8> {
    [*MAGIC, size.to_be_bytes()].concat()
}
