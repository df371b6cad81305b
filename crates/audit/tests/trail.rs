//! A run's trail is verified by itself, and whatever was done to it shows.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod kit;

use std::fs;
use std::path::Path;

use bailiwick_audit::{Entry, Policy, Reader, RunState, TrailBroken, TrailReport};
use bailiwick_run::RunId;
use kit::witness::Witness;
use kit::*;
use tempfile::TempDir;

/// A log of several tiles, with one run that has ended and one that has not.
fn log() -> (TempDir, RunId, RunId) {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    append(&log, started());
    let ended = whole_run(&log, 1, 150).id;
    let other = run(2);
    append(&log, opened(&other));
    let decided = append(&log, decided(&other, true));
    append(&log, finished(&other, decided.seq()));
    log.checkpoint_now().unwrap();
    log.close();
    (dir, ended, other.id)
}

/// The records of a run as a check of it gets them.
fn entries(dir: &Path, run: RunId) -> Vec<Entry> {
    Reader::open(dir).unwrap().run(&run).unwrap()
}

fn policy(dir: &Path) -> Policy {
    Policy::of_log(vkey(dir).trim()).unwrap()
}

fn verified(
    dir: &Path,
    run: RunId,
    entries: &[Entry],
    policy: &Policy,
    ended: bool,
) -> Result<TrailReport, TrailBroken> {
    let last = entries.last().map_or(0, |entry| entry.index);
    let mut proof = Reader::open(dir).unwrap().prove_trail(run, last, policy)?;
    for entry in entries {
        proof.follow(entry)?;
    }
    proof.end(ended)
}

#[test]
fn a_whole_trail_is_under_the_checkpoint_to_its_last_record() {
    let (dir, ended, open) = log();
    let dir = dir.path();
    let report = verified(dir, ended, &entries(dir, ended), &policy(dir), true).unwrap();
    let run = &report.run;
    assert_eq!((run.records, run.tail, run.first), (303, 0, 1));
    assert_eq!(run.state, RunState::Closed);
    assert_eq!(report.checkpoint.size, 1 + 303 + 3);
    assert!(report.checkpoint.cosigned.is_empty());
    let report = verified(dir, open, &entries(dir, open), &policy(dir), false).unwrap();
    assert_eq!((report.run.records, report.run.state), (3, RunState::Open));
}

#[test]
fn whoever_cosigned_the_checkpoint_is_named() {
    let (dir, ended, _) = log();
    let dir = dir.path();
    let witness = Witness::new("w.example", 1);
    let note = fs::read_to_string(dir.join("log/checkpoint")).unwrap();
    let cosigned = witness.cosign(&note, 1_700_000_000);
    fs::write(dir.join("log/witnessed"), cosigned).unwrap();
    let text = format!(
        "log {}\nwitness w {}\nquorum w\n",
        vkey(dir).trim(),
        witness.vkey()
    );
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let report = verified(dir, ended, &entries(dir, ended), &policy, true).unwrap();
    assert_eq!(report.checkpoint.cosigned[0].witness, "w");
    assert!(report.checkpoint.quorum);
}

#[test]
fn what_is_missing_or_moved_is_found() {
    let (dir, ended, open) = log();
    let dir = dir.path();
    let policy = policy(dir);
    let whole = entries(dir, ended);
    let check = |entries: &[Entry]| verified(dir, ended, entries, &policy, true).unwrap_err();
    // Without its last records, its first, one in the middle, and with two that have changed places.
    let cut = check(&whole[..whole.len() - 1]);
    assert!(matches!(cut, TrailBroken::Endless(_)), "{cut}");
    let headless = check(&whole[1..]);
    assert!(matches!(headless, TrailBroken::Chain(_)), "{headless}");
    let mut gap = whole.clone();
    gap.remove(100);
    let gap = check(&gap);
    assert!(matches!(gap, TrailBroken::Chain(_)), "{gap}");
    let mut moved = whole.clone();
    moved.swap(100, 101);
    let moved = check(&moved);
    assert!(matches!(moved, TrailBroken::Chain(_)), "{moved}");
    let nothing = check(&[]);
    assert!(matches!(nothing, TrailBroken::Nothing(_)), "{nothing}");
    let foreign = check(&entries(dir, open));
    assert!(matches!(foreign, TrailBroken::Foreign(..)), "{foreign}");
}

#[test]
fn a_record_that_was_altered_is_found_however_its_chain_looks() {
    let (dir, ended, _) = log();
    let dir = dir.path();
    let mut altered = entries(dir, ended);
    // The last record is nobody's `prev`, so the chain does not show it.
    let last = altered.last_mut().unwrap();
    let text = String::from_utf8(last.bytes.clone()).unwrap();
    let text = text.replacen("\"ending\":\"closed\"", "\"ending\":\"reproof\"", 1);
    assert_ne!(text.as_bytes(), last.bytes);
    last.bytes = text.into_bytes();
    let found = verified(dir, ended, &altered, &policy(dir), true).unwrap_err();
    assert!(matches!(found, TrailBroken::NotIncluded { .. }), "{found}");
    // A tile that was altered proves nothing.
    let tile = dir.join("log/tile/0/000");
    let mut hashes = fs::read(&tile).unwrap();
    hashes[40] ^= 1;
    fs::write(&tile, hashes).unwrap();
    let found = verified(dir, ended, &entries(dir, ended), &policy(dir), true).unwrap_err();
    assert!(matches!(found, TrailBroken::NotIncluded { .. }), "{found}");
}

#[test]
fn a_checkpoint_of_another_key_is_none() {
    let (dir, ended, _) = log();
    let (other, ..) = log();
    let records = entries(dir.path(), ended);
    let policy = policy(other.path());
    let found = verified(dir.path(), ended, &records, &policy, true).unwrap_err();
    assert!(matches!(found, TrailBroken::Checkpoint(_)), "{found}");
}
