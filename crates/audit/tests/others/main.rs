//! Code that others wrote, in two languages, verifies what the log publishes: every record is in the
//! signed tree, and every checkpoint that was kept is of that tree as it grew. One flipped bit
//! anywhere in it is found.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod go;
#[path = "../kit/mod.rs"]
mod kit;
mod rust;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bailiwick_audit::{Event, Log, Pending};
use bailiwick_run::Run;
use kit::*;
use tempfile::TempDir;

/// What was checked and found whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    records: u64,
    /// That of the log and those that were kept.
    checkpoints: usize,
    /// Of checkpoints, of which one is of the other's tree as it grew.
    pairs: usize,
}

type Verifier = fn(&Path, &Path, &[PathBuf]) -> Result<Verified, String>;

/// The sizes at which a checkpoint is published and kept: around where tiles of every level become
/// full, and where the newest tiles of three levels are not.
const SIZES: [u64; 11] = [
    1, 2, 255, 256, 257, 1000, 65_535, 65_536, 65_537, 65_793, 70_000,
];

#[test]
fn go_verifies_every_record_and_every_checkpoint() {
    whole(go::verify);
}

#[test]
fn rust_verifies_every_record_and_every_checkpoint() {
    whole(rust::verify);
}

#[test]
fn go_finds_one_flipped_bit() {
    flipped(go::verify);
}

#[test]
fn rust_finds_one_flipped_bit() {
    flipped(rust::verify);
}

#[test]
fn go_finds_another_history_with_the_same_key() {
    forked(go::verify);
}

#[test]
fn rust_finds_another_history_with_the_same_key() {
    forked(rust::verify);
}

#[track_caller]
fn whole(verify: Verifier) {
    let log = written();
    let checkpoints = SIZES.len() + 1;
    let whole = Verified {
        records: 70_000,
        checkpoints,
        pairs: checkpoints * (checkpoints - 1) / 2,
    };
    assert_eq!(log.verify(verify), Ok(whole));
    // Whoever got the log long ago has another checkpoint and other tiles.
    for size in [1, 257, 1000] {
        let log = log.copy();
        fs::copy(log.kept(size), log.path("log/checkpoint")).unwrap();
        let older: Vec<_> = SIZES.into_iter().filter(|older| *older <= size).collect();
        let older: Vec<_> = older.into_iter().map(|older| log.kept(older)).collect();
        let verified = verify(&log.path("log.vkey"), &log.path("log"), &older).unwrap();
        assert_eq!(verified.records, size);
    }
}

/// Every kind of file, what the verifier says of it, and by which check: the one of tiles against the
/// root, the one of proofs, which shows also what the first does not look at, or the one of
/// signatures. Both verifiers find each, because one is a port of the other.
#[track_caller]
fn flipped(verify: Verifier) {
    let log = written().copy();
    let proof = "invalid transparency proof";
    let tile = "downloaded inconsistent tile";
    let signature = "invalid signature";
    let flips = [
        // A record, in a full bundle and in the last one.
        ("log/tile/entries/100", 2000, "record 25605", proof),
        ("log/tile/entries/273.p/112", 2000, "record 69893", proof),
        // A hash of the lowest tiles: a full one's first and last, and one of the last.
        ("log/tile/0/000", 0, "record 1", proof),
        ("log/tile/0/100", 8191, "record 25600", proof),
        ("log/tile/0/273.p/112", 40, "tiles for the records", tile),
        // One of the tiles above, full and not full, and of the highest.
        ("log/tile/1/000", 3200, "record 0", proof),
        ("log/tile/1/001.p/17", 512, "tiles for the records", tile),
        ("log/tile/2/000.p/1", 31, "tiles for the records", tile),
        // One of a tile that only an older checkpoint needs.
        ("log/tile/1/001.p/1", 5, "from ", tile),
        // Name, size, root or signature of a checkpoint, the newest or an older one.
        ("log/checkpoint", 3, "log/checkpoint", signature),
        ("log/checkpoint", 24, "log/checkpoint", signature),
        ("kept/1", 23, "kept/1:", signature),
        ("kept/1000", 32, "kept/1000:", signature),
        ("kept/65536", 160, "kept/65536:", signature),
        // The name or the key in the key's line.
        ("log.vkey", 3, "", "invalid verifier"),
        ("log.vkey", 42, "", "invalid verifier"),
    ];
    for (file, position, place, why) in flips {
        let path = log.path(file);
        let whole = fs::read(&path).unwrap();
        let mut altered = whole.clone();
        altered[position] ^= flip(&whole, position);
        fs::write(&path, altered).unwrap();
        let broken = log.verify(verify);
        let said = broken.expect_err(&format!("{file} at {position}"));
        let named = said.contains(place) && said.contains(why);
        assert!(named, "{file} at {position}: {said}");
        fs::write(&path, whole).unwrap();
    }
    assert!(log.verify(verify).is_ok());
}

/// The lowest bit; in text the lowest that leaves a digit of base64 one, so that it is the signature
/// that is wrong, whatever its digits are, and not its form.
fn flip(bytes: &[u8], position: usize) -> u8 {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let bits = (0..8).map(|bit| 1 << bit);
    let mut kept = bits.filter(|bit| is_digit(bytes[position] ^ bit));
    match std::str::from_utf8(bytes) {
        Ok(_) => kept.next().unwrap(),
        Err(_) => 1,
    }
}

/// Two histories from one beginning, each signed by the log's own key: whole each by itself, and
/// found as soon as a checkpoint of the other is at hand.
#[track_caller]
fn forked(verify: Verifier) {
    let one = tempfile::tempdir().unwrap();
    let two = tempfile::tempdir().unwrap();
    let write = |dir: &TempDir, runs: std::ops::Range<u64>| {
        let (log, _) = open(dir.path());
        for n in runs {
            whole_run(&log, n, 4);
        }
        log.close();
        fs::read(dir.path().join("log/checkpoint")).unwrap()
    };
    let before = write(&one, 0..30);
    copy(one.path(), two.path());
    write(&one, 30..60);
    let other = write(&two, 60..80);

    let verify_with = |checkpoint: &[u8]| {
        let kept = one.path().join("kept");
        fs::write(&kept, checkpoint).unwrap();
        verify(
            &one.path().join("log.vkey"),
            &one.path().join("log"),
            &[kept],
        )
    };
    assert_eq!(verify_with(&before).unwrap().records, 60 * 11);
    let said = verify_with(&other).unwrap_err();
    assert!(said.contains("from "), "{said}");
    assert!(said.contains("invalid transparency proof"), "{said}");
}

/// A published log, its key, and the checkpoints that somebody kept.
struct Published(TempDir);

impl Published {
    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn kept(&self, size: u64) -> PathBuf {
        self.path(&format!("kept/{size}"))
    }

    fn copy(&self) -> Self {
        let to = tempfile::tempdir().unwrap();
        copy(self.0.path(), to.path());
        Self(to)
    }

    fn verify(&self, verify: Verifier) -> Result<Verified, String> {
        let kept: Vec<_> = SIZES.into_iter().map(|size| self.kept(size)).collect();
        verify(&self.path("log.vkey"), &self.path("log"), &kept)
    }
}

/// A log of 70,000 records, which are three levels of tiles, written once.
fn written() -> &'static Published {
    static WRITTEN: OnceLock<Published> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let published = Published(tempfile::tempdir().unwrap());
        fs::create_dir(published.path("kept")).unwrap();
        let (log, _) = open(dir.path());
        let run = run(1);
        let mut size = 0;
        for wanted in SIZES {
            write(&log, &run, size, wanted);
            size = wanted;
            log.checkpoint_now().unwrap();
            let checkpoint = fs::read_to_string(dir.path().join("log/checkpoint")).unwrap();
            let signed = checkpoint.lines().nth(1).unwrap();
            assert_eq!(signed, size.to_string());
            fs::write(published.kept(size), checkpoint).unwrap();
        }
        log.close();
        copy(&dir.path().join("log"), &published.path("log"));
        fs::copy(dir.path().join("log.vkey"), published.path("log.vkey")).unwrap();
        published
    })
}

/// Adds records, many at a time, until there are as many as wanted. Most are short, to be quick.
fn write(log: &Log, run: &Run, size: u64, wanted: u64) {
    let mut waiting = Vec::new();
    for index in size..wanted {
        let record = match index {
            0 => opened(run),
            _ if index.is_multiple_of(16) => {
                with_payload(decided(run, false), r#"{"text":"select 1"}"#)
            }
            _ => draft(
                run,
                Event::LoginDenied {
                    target: None,
                    reason: format!("number {index}"),
                },
            ),
        };
        waiting.push(log.append(record));
        if waiting.len() == 1000 {
            waiting.drain(..).for_each(durable);
        }
    }
    waiting.drain(..).for_each(durable);
}

fn durable(pending: Pending) {
    pending.wait().unwrap();
}
