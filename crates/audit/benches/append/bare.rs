//! The bare loop: writes and syncs, and nothing else. Reads from the write-ahead log which batches.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Records that were synced together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// The size of the log's own segments.
pub(crate) const FILE: u64 = 16 << 20;
/// Magic and size of a segment; length and checksum of a frame, and what stands before its body.
pub(crate) const SEGMENT_HEAD: usize = 16;
const FRAME_HEAD: usize = 8;

/// Waits until nothing is left to be written on the disk of this folder.
pub(crate) fn settle(dir: &Path) {
    rustix::fs::syncfs(File::open(dir).unwrap()).unwrap();
}

/// A file like a segment of the log: full of zeros that are on the disk.
pub(crate) fn file(path: &Path) -> File {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .unwrap();
    let zeros = vec![0; 1 << 16];
    for _ in 0..FILE / zeros.len() as u64 {
        file.write_all(&zeros).unwrap();
    }
    file.sync_all().unwrap();
    file
}

/// How many records a second these batches are, written over and over for a while.
pub(crate) fn run(dir: &Path, batches: &[Batch], time: Duration) -> f64 {
    let file = file(&dir.join("bare"));
    let longest = batches.iter().map(|batch| batch.bytes).max().unwrap();
    let bytes = vec![0xa5; longest as usize];
    let (mut records, mut at) = (0, SEGMENT_HEAD as u64);
    let began = Instant::now();
    for batch in batches.iter().cycle() {
        if at + batch.bytes > FILE {
            at = SEGMENT_HEAD as u64;
        }
        file.write_all_at(&bytes[..batch.bytes as usize], at)
            .unwrap();
        file.sync_data().unwrap();
        at += batch.bytes;
        records += batch.records;
        if began.elapsed() >= time {
            break;
        }
    }
    records as f64 / began.elapsed().as_secs_f64()
}

/// How many records a batch has on average.
pub(crate) fn mean(batches: &[Batch]) -> f64 {
    let records: u64 = batches.iter().map(|batch| batch.records).sum();
    records as f64 / batches.len() as f64
}

/// The batches that are in the write-ahead log: the frames of one say that the same number of records
/// was durable before them.
pub(crate) fn batches(wal: &Path) -> Vec<Batch> {
    let mut segments: Vec<_> = fs::read_dir(wal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wal"))
        .collect();
    segments.sort();
    let mut batches = Vec::new();
    for segment in segments {
        match fs::read(segment) {
            Ok(segment) => add(&segment[SEGMENT_HEAD..], &mut batches),
            // Every record in it is in the tree by now.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => panic!("{error}"),
        }
    }
    batches
}

fn add(mut frames: &[u8], batches: &mut Vec<Batch>) {
    let mut last = None;
    while let Some((length, _)) = frames.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 {
            return;
        }
        let (frame, rest) = frames.split_at(FRAME_HEAD + length);
        let durable = &frame[FRAME_HEAD + 9..FRAME_HEAD + 17];
        if last != Some(durable) {
            last = Some(durable);
            batches.push(Batch {
                records: 0,
                bytes: 0,
            });
        }
        let batch = batches.last_mut().unwrap();
        batch.records += 1;
        batch.bytes += frame.len() as u64;
        frames = rest;
    }
}
