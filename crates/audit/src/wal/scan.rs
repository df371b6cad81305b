//! Reading the write-ahead log: what is whole, what a crash left torn, and what is damaged.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk;
use crate::wal::frame::{self, Frame};
use crate::wal::segment::{self, HEAD_LEN, Segment};

/// What the write-ahead log holds.
#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) segments: Vec<Segment>,
    pub(crate) frames: Vec<Frame>,
    /// Where the next frame goes; nothing if there is no segment.
    pub(crate) end: Option<End>,
}

impl Scan {
    /// Whether no record was ever written. A first start that did not come to its end leaves the
    /// first segment, and nothing in it.
    pub(crate) fn is_new(&self) -> bool {
        self.frames.is_empty()
            && self.segments.iter().all(|segment| segment.base == 0)
            && self.end.as_ref().is_none_or(|end| end.torn == 0)
    }
}

/// The end of the write-ahead log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Where in the last segment.
    pub(crate) offset: u64,
    /// The last segment's size.
    pub(crate) size: u64,
    /// How many bytes of a batch that never became durable follow.
    pub(crate) torn: u64,
}

/// Why it cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// A segment is not what it was made as.
    #[error(
        "{} is not a whole segment of the write-ahead log: it was cut, or overwritten; \
         restore it, or keep the data folder for examination and start with a new one",
        .0.display()
    )]
    NotASegment(PathBuf),
    /// Records are gone.
    #[error(
        "records {from} to {} are missing before {}: a segment of the write-ahead log was removed; \
         restore it, or keep the data folder for examination and start with a new one",
        .to.saturating_sub(1), .next.display()
    )]
    Gap {
        /// The first missing record.
        from: u64,
        /// The first record that is there again.
        to: u64,
        /// The file that has it.
        next: PathBuf,
    },
    /// A record that was durable is damaged.
    #[error(
        "record {index} is damaged in {} at byte {offset}, and it was durable: this is no torn write. \
         Restore the file, or keep the data folder for examination and start with a new one",
        .path.display()
    )]
    Damaged {
        /// Which record.
        index: u64,
        /// In which file.
        path: PathBuf,
        /// Where.
        offset: u64,
    },
    /// A file could not be read.
    #[error("cannot read the write-ahead log {}: {error}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

/// Reads everything in `dir`.
pub(crate) fn scan(dir: &Path) -> Result<Scan, WalError> {
    let io_error = |path: &Path, error| WalError::Io {
        path: path.to_owned(),
        error,
    };
    let segments = segment::list(dir).map_err(|error| io_error(dir, error))?;
    let mut frames: Vec<Frame> = Vec::new();
    let mut end = None;
    let mut next = segments.first().map_or(0, |segment| segment.base);
    for (position, segment) in segments.iter().enumerate() {
        let is_last = position + 1 == segments.len();
        if segment.base != next {
            return Err(WalError::Gap {
                from: next,
                to: segment.base,
                next: segment.path.clone(),
            });
        }
        let bytes = disk::read(&segment.path)
            .and_then(|bytes| bytes.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(|error| io_error(&segment.path, error))?;
        let content =
            segment::content(&bytes).ok_or_else(|| WalError::NotASegment(segment.path.clone()))?;
        let mut at = 0;
        let mut rest = content;
        while let Some((frame, length)) = frame::decode(rest) {
            if frame.index != next || frame.durable > next {
                break;
            }
            frames.push(frame);
            next += 1;
            at += length;
            rest = rest.get(length..).unwrap_or_default();
        }
        let torn = content_length(rest);
        let torn_part = rest.get(..torn as usize).unwrap_or(rest);
        // Only what nothing durable follows can be a torn write. A later segment came into use
        // when all of this one was durable; a later frame says itself what was.
        if torn > 0 && (!is_last || knows_durable(torn_part, next)) {
            return Err(WalError::Damaged {
                index: next,
                path: segment.path.clone(),
                offset: HEAD_LEN + at as u64,
            });
        }
        end = Some(End {
            offset: HEAD_LEN + at as u64,
            size: bytes.len() as u64,
            torn,
        });
    }
    Ok(Scan {
        segments,
        frames,
        end,
    })
}

/// How many bytes there are up to the last one that is not zero.
fn content_length(bytes: &[u8]) -> u64 {
    // Whole blocks are compared first: most of a segment is zeros.
    static ZEROS: [u8; 4096] = [0; 4096];
    let mut end = bytes.len();
    for block in bytes.rchunks(ZEROS.len()) {
        if ZEROS.get(..block.len()) != Some(block) {
            let last = block.iter().rposition(|byte| *byte != 0);
            return (end - block.len() + last.map_or(0, |last| last + 1)) as u64;
        }
        end -= block.len();
    }
    0
}

/// Whether any frame in these bytes, wherever it begins, was written when the record `index` was
/// durable.
fn knows_durable(bytes: &[u8], index: u64) -> bool {
    let possible = index + 1..index.saturating_add(bytes.len() as u64);
    (0..bytes.len()).any(|at| {
        let here = bytes.get(at..).unwrap_or_default();
        // Looking at the number first saves the checksum nearly everywhere.
        let claimed = frame::durable(here);
        claimed.is_some_and(|durable| possible.contains(&durable)) && frame::decode(here).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FileSystem;
    use crate::wal::frame::Body;

    const SIZE: u64 = 4096;

    /// A segment with these batches, each a number of records.
    fn write(dir: &Path, base: u64, batches: &[u64]) -> Vec<(u64, usize)> {
        write_while(dir, base, batches, 0)
    }

    /// The same, each written while so many before it were being synced.
    fn write_while(dir: &Path, base: u64, batches: &[u64], synced: usize) -> Vec<(u64, usize)> {
        let prepared = segment::prepare(&FileSystem, dir, base, SIZE).unwrap();
        let segment = segment::take(&FileSystem, dir, &prepared, base).unwrap();
        let mut bytes = std::fs::read(&segment.path).unwrap();
        let (mut at, mut index, mut places) = (HEAD_LEN as usize, base, Vec::new());
        for (before, batch) in batches.iter().enumerate() {
            let durable = batches.iter().take(before.saturating_sub(synced));
            let durable = base + durable.sum::<u64>();
            for _ in 0..*batch {
                let mut frame = Vec::new();
                let record = format!("record {index}");
                frame::encode(
                    index,
                    durable,
                    &Body::new(record.into_bytes(), None, None),
                    &mut frame,
                );
                places.push((index, at));
                bytes[at..at + frame.len()].copy_from_slice(&frame);
                at += frame.len();
                index += 1;
            }
        }
        std::fs::write(&segment.path, bytes).unwrap();
        places
    }

    fn alter(dir: &Path, base: u64, at: usize) {
        let path = dir.join(format!("{base:020}.wal"));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }

    #[test]
    fn nothing_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let scan = scan(dir.path()).unwrap();
        assert!(scan.end.is_none() && scan.frames.is_empty());
    }

    #[test]
    fn reads_on_over_segments() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 5, &[2, 1]);
        write(dir.path(), 8, &[2]);
        let scan = scan(dir.path()).unwrap();
        let indexes: Vec<_> = scan.frames.iter().map(|frame| frame.index).collect();
        assert_eq!(indexes, [5, 6, 7, 8, 9]);
        assert_eq!(scan.end.unwrap().torn, 0);
        std::fs::remove_file(dir.path().join(format!("{:020}.wal", 5))).unwrap();
        write(dir.path(), 12, &[1]);
        assert!(matches!(
            super::scan(dir.path()),
            Err(WalError::Gap {
                from: 10,
                to: 12,
                ..
            })
        ));
    }

    #[test]
    fn damage_in_the_last_batch_is_a_torn_write_and_elsewhere_is_not() {
        for (batches, damaged) in [(&[2, 3][..], 2..5), (&[1, 1, 1], 2..3), (&[4], 0..4)] {
            let total: u64 = batches.iter().sum();
            for index in 0..total {
                let dir = tempfile::tempdir().unwrap();
                let places = write(dir.path(), 0, batches);
                let at = places[index as usize].1;
                alter(dir.path(), 0, at + 30);
                match scan(dir.path()) {
                    Ok(scan) => {
                        assert!(damaged.contains(&index), "{batches:?} {index}");
                        assert_eq!(scan.frames.len() as u64, index);
                        let end = scan.end.unwrap();
                        assert_eq!(end.offset, at as u64);
                        assert!(end.torn > 0);
                    }
                    Err(WalError::Damaged {
                        index: named,
                        offset,
                        ..
                    }) => {
                        assert!(!damaged.contains(&index), "{batches:?} {index}");
                        assert_eq!((named, offset), (index, at as u64));
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }

    #[test]
    fn what_was_written_while_a_batch_was_synced_may_be_torn_with_it() {
        for index in 0..5 {
            let dir = tempfile::tempdir().unwrap();
            let places = write_while(dir.path(), 0, &[1, 2, 2], 1);
            let path = dir.path().join(format!("{:020}.wal", 0));
            let mut bytes = std::fs::read(&path).unwrap();
            // The pages of the first did not reach the disk, and those of the second did.
            let at = places[index].1;
            let end = places
                .get(3)
                .map_or(bytes.len(), |(_, end)| *end)
                .max(at + 40);
            bytes[at..end].fill(0);
            std::fs::write(&path, bytes).unwrap();
            match scan(dir.path()) {
                Ok(scan) => {
                    assert!(index > 0);
                    assert_eq!(scan.frames.len(), index);
                    assert_eq!(scan.end.unwrap().torn > 0, index < 4);
                }
                Err(WalError::Damaged { index: 0, .. }) => assert_eq!(index, 0),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn damage_before_another_segment_is_never_a_torn_write() {
        let dir = tempfile::tempdir().unwrap();
        let places = write(dir.path(), 0, &[2]);
        write(dir.path(), 2, &[]);
        alter(dir.path(), 0, places[1].1);
        assert!(matches!(
            scan(dir.path()),
            Err(WalError::Damaged { index: 1, .. })
        ));
    }

    #[test]
    fn a_cut_or_overwritten_segment_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 0, &[2]);
        let path = dir.path().join(format!("{:020}.wal", 0));
        alter(dir.path(), 0, 0);
        assert!(matches!(scan(dir.path()), Err(WalError::NotASegment(_))));
        alter(dir.path(), 0, 0);
        assert!(scan(dir.path()).is_ok());
        std::fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_len(SIZE - 1)
            .unwrap();
        assert!(matches!(scan(dir.path()), Err(WalError::NotASegment(_))));
    }
}
