//! Whatever is done to the files of a log is found and named.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod kit;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bailiwick_audit::{Broken, DirSource, Log, OpenError, VerifyOptions, WalError, verify};
use kit::*;
use tempfile::TempDir;

/// A small log: a few checkpoints, more than one bundle, a tree of two levels. Made once.
fn log() -> TempDir {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let (log, _) = open(dir.path());
        append(&log, started());
        for n in 0..26 {
            whole_run(&log, n, 4);
            if n % 8 == 0 {
                log.checkpoint_now().unwrap();
            }
        }
        log.close();
        assert_eq!(check(dir.path()).unwrap().records, 1 + 26 * 11);
        dir
    });
    let copied = tempfile::tempdir().unwrap();
    copy(made.path(), copied.path());
    copied
}

/// Only what is published, with the key: what somebody else would have.
fn check_published(dir: &Path) -> Result<(), Broken> {
    let source = DirSource::new(dir.join("log"));
    verify(&source, &vkey(dir), &VerifyOptions::default()).map(drop)
}

fn bundle(dir: &Path, number: u64) -> PathBuf {
    let full = dir.join(format!("log/tile/entries/{number:03}"));
    if full.is_file() {
        full
    } else {
        newest_partial(&full)
    }
}

/// The widest partial tile.
fn newest_partial(full: &Path) -> PathBuf {
    let folder = full.with_extension("p");
    let widest = fs::read_dir(&folder).unwrap().map(|entry| {
        let name = entry.unwrap().file_name();
        name.to_str().unwrap().parse::<usize>().unwrap()
    });
    folder.join(widest.max().unwrap().to_string())
}

fn entries(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut entries = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at(u16::from_be_bytes(*length).into());
        entries.push(entry.to_vec());
        rest = after;
    }
    entries
}

fn bundle_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let with_length = |entry: &Vec<u8>| {
        let length = u16::try_from(entry.len()).unwrap().to_be_bytes();
        [&length[..], entry].concat()
    };
    entries.iter().flat_map(with_length).collect()
}

#[test]
fn every_changed_byte_is_found() {
    let dir = log();
    let published = files(&dir.path().join("log"));
    assert!(published.len() >= 7, "{published:?}");
    for file in published.iter().chain([&dir.path().join("log.vkey")]) {
        let bytes = fs::read(file).unwrap();
        // Every byte of the small files, and of the large ones every 397th, with its neighbour.
        let step = if bytes.len() < 1000 { 1 } else { 397 };
        for position in (0..bytes.len()).filter(|position| position % step < 2) {
            let mut altered = bytes.clone();
            altered[position] ^= 1 << (position % 7);
            fs::write(file, &altered).unwrap();
            let broken = check_published(dir.path());
            assert!(broken.is_err(), "{} at {position}", file.display());
        }
        fs::write(file, &bytes).unwrap();
    }
    check_published(dir.path()).unwrap();
}

#[test]
fn every_file_that_is_cut_or_added_to_is_found() {
    let dir = log();
    for file in files(&dir.path().join("log")) {
        let bytes = fs::read(&file).unwrap();
        for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            fs::write(&file, &bytes[..length]).unwrap();
            assert!(
                check_published(dir.path()).is_err(),
                "{} {length}",
                file.display()
            );
        }
        for more in [&[0][..], &[0; 32], b"\n"] {
            fs::write(&file, [&bytes, more].concat()).unwrap();
            assert!(
                check_published(dir.path()).is_err(),
                "{} {more:?}",
                file.display()
            );
        }
        fs::write(&file, &bytes).unwrap();
    }
}

#[test]
fn an_altered_record_is_named() {
    let dir = log();
    let file = bundle(dir.path(), 0);
    let mut all = entries(&fs::read(&file).unwrap());
    let text = String::from_utf8(all[40].clone()).unwrap();
    assert!(text.contains("\"rows\":3"), "{text}");
    all[40] = text.replace("\"rows\":3", "\"rows\":0").into_bytes();
    fs::write(&file, bundle_of(&all)).unwrap();
    let broken = check(dir.path()).unwrap_err();
    let said = broken.to_string();
    let Broken::Record {
        index, name, file, ..
    } = broken
    else {
        panic!("{said}");
    };
    assert_eq!((index, file.as_str()), (40, "tile/entries/000"));
    let run = run(3).id;
    assert_eq!(name, format!("{run}/7"));
    assert!(
        said.contains("record 40") && said.contains("Keep the folder as it is"),
        "{said}"
    );
}

#[test]
fn an_altered_hash_is_told_from_an_altered_record() {
    for (level, position) in [(0, 70), (1, 0)] {
        let dir = log();
        let full = dir.path().join(format!("log/tile/{level}/000"));
        let file = if full.is_file() {
            full
        } else {
            newest_partial(&full)
        };
        let mut bytes = fs::read(&file).unwrap();
        bytes[position * 32 + 3] ^= 4;
        fs::write(&file, bytes).unwrap();
        match check(dir.path()).unwrap_err() {
            Broken::Tile {
                file,
                position: named,
                ..
            } => {
                assert_eq!(named, position);
                assert!(file.starts_with(&format!("tile/{level}/000")), "{file}");
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_removed_a_moved_and_a_doubled_record_are_found() {
    type Change = fn(&mut Vec<Vec<u8>>);
    let changes: [(Change, u64); 3] = [
        (|all| drop(all.remove(30)), 30),
        (|all| all.swap(50, 51), 50),
        (|all| all.insert(9, all[8].clone()), 9),
    ];
    for (change, named) in changes {
        let dir = log();
        let file = bundle(dir.path(), 0);
        let mut all = entries(&fs::read(&file).unwrap());
        change(&mut all);
        fs::write(&file, bundle_of(&all)).unwrap();
        match check(dir.path()).unwrap_err() {
            Broken::Record { index, .. } => assert_eq!(index, named),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn a_cut_tail_is_found() {
    // Whole files.
    for path in ["entries", "0", "1"] {
        let dir = log();
        let number = if path == "1" { "000" } else { "001" };
        let full = dir.path().join("log/tile").join(path).join(number);
        fs::remove_dir_all(full.with_extension("p")).unwrap();
        let broken = check(dir.path()).unwrap_err();
        assert!(matches!(&broken, Broken::Missing { .. }), "{broken}");
    }
    // Records and their hashes, to the same length.
    let dir = log();
    let (bundle, hashes) = (
        bundle(dir.path(), 1),
        newest_partial(&dir.path().join("log/tile/0/001")),
    );
    let mut all = entries(&fs::read(&bundle).unwrap());
    let _ = all.pop();
    fs::write(&bundle, bundle_of(&all)).unwrap();
    let bytes = fs::read(&hashes).unwrap();
    fs::write(&hashes, &bytes[..bytes.len() - 32]).unwrap();
    let broken = check(dir.path()).unwrap_err();
    assert!(matches!(&broken, Broken::Length { .. }), "{broken}");
}

#[test]
fn a_log_that_was_rewritten_throughout_is_found() {
    // Another log with the same key and name, and so with checkpoints that are signed right.
    let dir = log();
    let other = tempfile::tempdir().unwrap();
    copy(&dir.path().join("keys"), &other.path().join("keys"));
    fs::remove_file(other.path().join("keys/last-checkpoint")).unwrap();
    let (log, _) = open(other.path());
    append(&log, started());
    for n in 0..40 {
        whole_run(&log, 500 + n, 4);
        if n == 25 {
            log.checkpoint_now().unwrap();
        }
    }
    log.close();
    check(other.path()).unwrap();
    assert_eq!(vkey(other.path()), vkey(dir.path()));

    // Its tiles under the old checkpoint.
    let checkpoint = fs::read(dir.path().join("log/checkpoint")).unwrap();
    let old_last = fs::read(dir.path().join("keys/last-checkpoint")).unwrap();
    let mixed = tempfile::tempdir().unwrap();
    copy(other.path(), mixed.path());
    fs::write(mixed.path().join("log/checkpoint"), checkpoint).unwrap();
    let broken = check_published(mixed.path()).unwrap_err();
    assert!(matches!(broken, Broken::Root { .. }), "{broken}");

    // All of it, but the gateway remembers what it signed.
    fs::write(other.path().join("keys/last-checkpoint"), old_last).unwrap();
    let broken = check(other.path()).unwrap_err();
    assert!(matches!(broken, Broken::Inconsistent { .. }), "{broken}");
}

#[test]
fn a_rolled_back_checkpoint_is_found_by_what_was_signed_last_and_refused_at_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    whole_run(&log, 1, 2);
    log.checkpoint_now().unwrap();
    let earlier = tempfile::tempdir().unwrap();
    copy(&dir.path().join("log"), earlier.path());
    whole_run(&log, 2, 2);
    log.close();
    let last = dir.path().join("keys/last-checkpoint");
    fs::remove_dir_all(dir.path().join("log")).unwrap();
    copy(earlier.path(), &dir.path().join("log"));
    check_published(dir.path()).unwrap();
    match check(dir.path()).unwrap_err() {
        Broken::RolledBack {
            found: 7,
            known: 14,
            by,
        } => {
            assert!(by.contains("last-checkpoint"), "{by}");
        }
        other => panic!("{other}"),
    }
    assert!(matches!(
        Log::open(config(dir.path())),
        Err(OpenError::RolledBack {
            found: 7,
            signed: 14,
            ..
        })
    ));

    // With the memory of it gone, the write-ahead log still has the records.
    fs::copy(dir.path().join("log/checkpoint"), &last).unwrap();
    let report = check(dir.path()).unwrap();
    assert_eq!((report.records, report.tail), (7, 7));
    assert!(
        report
            .unknown
            .iter()
            .any(|what| what.contains("no witness"))
    );
    let (log, _) = open(dir.path());
    log.close();
    assert_eq!(check(dir.path()).unwrap().records, 14);
}

#[test]
fn what_the_write_ahead_log_no_longer_has_must_be_in_the_tree() {
    let dir = log();
    // As if its earlier segments had been freed: it begins at 200.
    let wal = dir.path().join("wal");
    fs::rename(wal.join(format!("{:020}.wal", 0)), wal.join("prepared-99")).unwrap();
    fs::remove_file(wal.join("prepared-99")).unwrap();
    let mut head = b"BWWAL01\n".to_vec();
    head.extend(4096u64.to_be_bytes());
    head.resize(4096, 0);
    fs::write(wal.join(format!("{:020}.wal", 300)), head).unwrap();
    assert!(matches!(
        check(dir.path()).unwrap_err(),
        Broken::RolledBack {
            found: 287,
            known: 300,
            ..
        }
    ));
    assert!(matches!(
        Log::open(config(dir.path())),
        Err(OpenError::Wal(WalError::Gap {
            from: 287,
            to: 300,
            ..
        }))
    ));
}

#[test]
fn records_that_no_checkpoint_covers_are_checked_along_their_chains() {
    let dir = log();
    // Take the tree back to its empty beginning: all records are in the write-ahead log alone.
    let fresh = tempfile::tempdir().unwrap();
    copy(&dir.path().join("keys"), &fresh.path().join("keys"));
    fs::remove_file(fresh.path().join("keys/last-checkpoint")).unwrap();
    open(fresh.path()).0.close();
    let empty = fs::read(fresh.path().join("log/checkpoint")).unwrap();
    fs::write(dir.path().join("log/checkpoint"), &empty).unwrap();
    fs::write(dir.path().join("keys/last-checkpoint"), &empty).unwrap();
    let report = check(dir.path()).unwrap();
    assert_eq!(
        (report.records, report.tail, report.runs_closed),
        (0, 287, 26)
    );

    // The same records with one left out, in frames that are right in themselves.
    let segment = dir.path().join("wal").join(format!("{:020}.wal", 0));
    let mut bytes = fs::read(&segment).unwrap();
    let mut at = 16;
    for _ in 0..100 {
        at += 8 + u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    }
    // Give record 101 the place and index of record 100.
    let length = |at: usize, bytes: &[u8]| {
        8 + u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    };
    let next = at + length(at, &bytes);
    let mut frame = bytes[next..next + length(next, &bytes)].to_vec();
    frame[9..17].copy_from_slice(&100u64.to_be_bytes());
    frame[17..25].copy_from_slice(&100u64.to_be_bytes());
    let (head, body) = frame.split_at(8);
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&head[..4]), body);
    let frame = [&head[..4], &checksum.to_be_bytes(), body].concat();
    bytes[at..].fill(0);
    bytes[at..at + frame.len()].copy_from_slice(&frame);
    fs::write(&segment, bytes).unwrap();
    match check(dir.path()).unwrap_err() {
        Broken::Chain {
            index: 100, what, ..
        } => assert_eq!(what, "seq"),
        other => panic!("{other}"),
    }
    assert!(matches!(
        Log::open(config(dir.path())),
        Err(OpenError::Chain { index: 100 })
    ));
}

#[test]
fn a_start_refuses_tiles_that_are_not_the_signed_ones() {
    let dir = log();
    let file = newest_partial(&dir.path().join("log/tile/0/001"));
    let mut bytes = fs::read(&file).unwrap();
    bytes[5] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = Log::open(config(dir.path())).err().unwrap();
    assert!(
        matches!(error, OpenError::Tree { size: 287, .. }),
        "{error}"
    );
}

#[test]
fn another_gateways_key_does_not_verify() {
    let (dir, other) = (log(), tempfile::tempdir().unwrap());
    open(other.path()).0.close();
    let source = DirSource::new(dir.path().join("log"));
    let broken = verify(&source, &vkey(other.path()), &VerifyOptions::default()).unwrap_err();
    assert!(matches!(broken, Broken::Checkpoint { .. }), "{broken}");
}

#[test]
fn a_torn_end_of_the_write_ahead_log_is_repaired_and_damage_before_it_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let run = run(1);
    append(&log, opened(&run));
    for _ in 0..5 {
        append(&log, decided(&run, false));
    }
    let before_close = tempfile::tempdir().unwrap();
    let segment = Path::new("wal").join(format!("{:020}.wal", 0));
    log.close();
    copy(dir.path(), before_close.path());
    let clean = fs::read(dir.path().join(&segment)).unwrap();
    let end = clean.iter().rposition(|byte| *byte != 0).unwrap() + 1;

    // Half a frame that was being written when the power failed.
    let mut torn = clean.clone();
    let part: Vec<_> = clean[16..200].to_vec();
    torn[end..end + part.len()].copy_from_slice(&part);
    torn[end + 5] ^= 0xff;
    fs::write(dir.path().join(&segment), &torn).unwrap();
    assert!(check(dir.path()).unwrap().torn_bytes > 0);
    let (log, recovered) = open(dir.path());
    assert!(recovered.torn_bytes > 0);
    assert_eq!(recovered.open_runs, [run.id]);
    assert_eq!(append(&log, decided(&run, false)).seq(), 7);
    log.close();
    assert_eq!(check(dir.path()).unwrap().records, 7);

    // A byte of a record that others were written after.
    let mut damaged = clean;
    damaged[16 + 8 + 17 + 20] ^= 1;
    fs::write(before_close.path().join(&segment), damaged).unwrap();
    let error = Log::open(config(before_close.path())).err().unwrap();
    let named = matches!(
        &error,
        OpenError::Wal(WalError::Damaged {
            index: 0,
            offset: 16,
            ..
        })
    );
    assert!(named, "{error}");
    let broken = check(before_close.path()).unwrap_err();
    assert!(matches!(broken, Broken::Wal { index: 0, .. }), "{broken}");
}
