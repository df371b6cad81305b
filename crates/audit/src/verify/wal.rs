//! The write-ahead log, as far as a verifier needs it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use super::broken::Broken;
use super::{is_absence, read_if_there};

/// What the write-ahead log holds.
pub(super) struct Wal {
    /// The index of the first record; nothing if there is none.
    pub(super) base: Option<u64>,
    pub(super) records: BTreeMap<u64, Vec<u8>>,
    pub(super) torn: u64,
}

pub(super) const SEGMENT_MAGIC: &[u8] = b"BWWAL01\n";
/// Magic and size.
pub(super) const SEGMENT_HEAD: usize = 16;
/// Length and checksum; kind, index and durable.
pub(super) const FRAME_HEAD: usize = 8;
pub(super) const FRAME_FIXED: usize = 17;

/// Before which record a reader takes the log to be pruned, by the note beside the write-ahead log.
pub(super) fn read_pruned(dir: &Path) -> Result<u64, Broken> {
    let path = dir.join("pruned");
    let unreadable = |error| Broken::Unreadable {
        file: path.display().to_string(),
        error,
    };
    let Some(note) = read_if_there(&path).map_err(unreadable)? else {
        return Ok(0);
    };
    let text = std::str::from_utf8(&note).ok();
    let before = text.and_then(|text| text.trim_end().parse().ok());
    before.ok_or_else(|| Broken::PrunedNote {
        file: path.display().to_string(),
        what: "is not the index of a record".to_owned(),
    })
}

/// A gateway may be writing it: what looks broken or gone may be so only for a moment.
pub(super) fn read_wal(dir: &Path) -> Result<Wal, Broken> {
    let mut tries = 0;
    loop {
        match read_wal_once(dir) {
            Err(_) if tries < 10 => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(30));
            }
            done => return done,
        }
    }
}

pub(super) fn read_wal_once(dir: &Path) -> Result<Wal, Broken> {
    let unreadable = |path: &Path, error| Broken::Unreadable {
        file: path.display().to_string(),
        error,
    };
    let mut segments = BTreeMap::new();
    let listed = match std::fs::read_dir(dir) {
        Ok(listed) => Some(listed),
        Err(error) if is_absence(&error) => None,
        Err(error) => return Err(unreadable(dir, error)),
    };
    for entry in listed.into_iter().flatten() {
        let path = entry.map_err(|error| unreadable(dir, error))?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if let Some(base) = name
            .strip_suffix(".wal")
            .and_then(|base| base.parse::<u64>().ok())
        {
            segments.insert(base, path);
        }
    }
    let mut wal = Wal {
        base: segments.keys().next().copied(),
        records: BTreeMap::new(),
        torn: 0,
    };
    let mut next = wal.base.unwrap_or(0);
    let last = segments.keys().next_back().copied();
    for (base, path) in segments {
        let broken = |index, reason: String| Broken::Wal {
            file: path.display().to_string(),
            index,
            reason,
        };
        if base != next {
            return Err(broken(
                next,
                format!("records {next} to {} are missing", base - 1),
            ));
        }
        let gone = || unreadable(&path, ErrorKind::NotFound.into());
        let bytes = read_if_there(&path).map_err(|error| unreadable(&path, error))?;
        let bytes = bytes.ok_or_else(gone)?;
        let size = bytes
            .get(SEGMENT_MAGIC.len()..SEGMENT_HEAD)
            .unwrap_or_default();
        if !bytes.starts_with(SEGMENT_MAGIC) || size != (bytes.len() as u64).to_be_bytes() {
            return Err(broken(
                next,
                "the file was cut or its beginning altered".to_owned(),
            ));
        }
        let mut rest = bytes.get(SEGMENT_HEAD..).unwrap_or_default();
        while let Some(frame) = read_frame(rest) {
            if frame.index != next || frame.durable > next {
                break;
            }
            wal.records.insert(next, frame.record.to_vec());
            next += 1;
            rest = rest.get(frame.length..).unwrap_or_default();
        }
        let torn = without_end_zeros(rest);
        if torn > 0 {
            // A batch that was being written is torn; one that is known to have been durable, by
            // what was written after it, is damaged.
            let possible = next + 1..next.saturating_add(torn as u64);
            let durable = |at: usize| {
                let here = rest.get(at..).unwrap_or_default();
                // Looking at the number first saves the checksum nearly everywhere.
                let claimed = here.get(17..25).and_then(|bytes| bytes.try_into().ok());
                claimed.is_some_and(|claimed| possible.contains(&u64::from_be_bytes(claimed)))
                    && read_frame(here).is_some()
            };
            if Some(base) != last || (0..torn).any(durable) {
                let reason = "it was durable, and what is there is not a record".to_owned();
                return Err(broken(next, reason));
            }
            wal.torn = torn as u64;
        }
    }
    Ok(wal)
}

/// How long the bytes are without the zeros at their end.
pub(super) fn without_end_zeros(bytes: &[u8]) -> usize {
    let mut end = bytes.len();
    for block in bytes.rchunks(8192) {
        // Eight bytes at a time: nearly all of it is zeros.
        let words = block.chunks_exact(8);
        let zero = words.remainder().iter().all(|byte| *byte == 0)
            && words.into_iter().all(|word| word == [0; 8]);
        if !zero {
            let last = block.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            return end - block.len() + last + 1;
        }
        end -= block.len();
    }
    0
}

pub(super) struct Frame<'a> {
    pub(super) index: u64,
    pub(super) durable: u64,
    pub(super) record: &'a [u8],
    pub(super) length: usize,
}

pub(super) fn read_frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let length = u32::from_be_bytes(*bytes.first_chunk::<4>()?) as usize;
    let checksum = u32::from_be_bytes(bytes.get(4..FRAME_HEAD)?.try_into().ok()?);
    let frame = bytes.get(FRAME_HEAD..FRAME_HEAD.checked_add(length)?)?;
    let fixed = frame.get(..FRAME_FIXED)?;
    let number = |range| -> Option<u64> {
        let bytes: &[u8] = fixed.get(range)?;
        Some(u64::from_be_bytes(bytes.try_into().ok()?))
    };
    let record = frame.get(FRAME_FIXED..)?;
    let record_length = u32::from_be_bytes(*record.first_chunk::<4>()?) as usize;
    let record = record.get(4..record_length.checked_add(4)?)?;
    let computed = crc32c::crc32c_append(crc32c::crc32c(bytes.first_chunk::<4>()?), frame);
    (computed == checksum).then_some(Frame {
        index: number(1..9)?,
        durable: number(9..17)?,
        record,
        length: FRAME_HEAD + length,
    })
}
