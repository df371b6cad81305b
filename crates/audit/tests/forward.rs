//! Reading the log forward, while it grows and after.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod kit;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bailiwick_audit::{Forward, Reader};
use kit::*;

/// What is shown from here to the end.
fn rest(forward: &mut Forward) -> Vec<(u64, Vec<u8>)> {
    let mut shown = Vec::new();
    while let Some(entry) = forward.next().unwrap() {
        shown.push((entry.index, entry.bytes));
    }
    shown
}

#[test]
fn an_empty_log_has_nothing_to_show_yet() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let mut forward = log.reader().from(0);
    assert!(forward.next().unwrap().is_none());
    append(&log, started());
    assert_eq!(forward.next().unwrap().unwrap().index, 0);
    assert!(forward.next().unwrap().is_none());
}

#[test]
fn every_record_is_shown_once_from_wherever_it_begins() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    // More than one bundle in the tree, and some records that only the write-ahead log has.
    for n in 0..6 {
        whole_run(&log, n, 30);
    }
    log.checkpoint_now().unwrap();
    whole_run(&log, 6, 5);
    for closed in [false, true] {
        if closed {
            log.close();
        }
        let reader = Reader::open(dir.path()).unwrap();
        let all = reader.newest(usize::MAX).unwrap();
        let all: Vec<_> = all
            .into_iter()
            .map(|entry| (entry.index, entry.bytes))
            .collect();
        assert_eq!(all.len() as u64, reader.count().unwrap());
        assert!(all.len() > 390, "{}", all.len());
        for from in 0..=all.len() {
            let mut forward = reader.from(from as u64);
            assert_eq!(rest(&mut forward), all[from..], "from {from}");
            assert_eq!(forward.position(), all.len() as u64);
        }
        let mut beyond = reader.from(all.len() as u64 + 1);
        assert!(beyond.next().unwrap().is_none());
    }
}

/// The write-ahead log goes through several segments meanwhile, and each is removed.
#[test]
fn follows_a_log_that_grows() {
    const RECORDS: u64 = 900;
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let run = run(1);
    append(&log, opened(&run));
    let filler = "x".repeat(70_000);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for pause in [0, 3] {
            let reader = log.reader();
            let (ended, filler) = (&ended, &filler);
            scope.spawn(move || {
                let mut forward = reader.from(0);
                let mut expected = 0;
                loop {
                    let over = ended.load(Ordering::Acquire);
                    while let Some(entry) = forward.next().unwrap() {
                        assert_eq!(entry.index, expected);
                        // Decrypting all of them takes a debug build too long.
                        if expected % 10 == 1 {
                            let payload = forward.payload(&entry).unwrap().unwrap();
                            assert_eq!(payload, format!("\"{expected} {filler}\"").into_bytes());
                        }
                        expected += 1;
                        if expected % 50 == 0 {
                            std::thread::sleep(Duration::from_millis(20 * pause));
                        }
                    }
                    if over {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                assert_eq!(expected, RECORDS);
            });
        }
        for number in 1..RECORDS {
            let payload = format!("\"{number} {filler}\"");
            append(&log, with_payload(decided(&run, false), &payload));
        }
        ended.store(true, Ordering::Release);
    });
    log.close();
    // The same afterwards, when all of it is in the tree.
    let reader = Reader::open(dir.path()).unwrap();
    let mut forward = reader.from(500);
    let mut shown = 0;
    while let Some(entry) = forward.next().unwrap() {
        if shown % 50 == 0 {
            let payload = forward.payload(&entry).unwrap();
            assert_eq!(payload, reader.payload(&entry).unwrap());
        }
        shown += 1;
    }
    assert_eq!(shown, RECORDS - 500);
}

#[test]
fn payloads_of_runs_that_interleave_are_each_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let runs: Vec<_> = (0..5).map(run).collect();
    for run in &runs {
        append(&log, opened(run));
    }
    for number in 0..20 {
        for run in &runs {
            let payload = format!("\"{} {number}\"", run.id);
            append(&log, with_payload(decided(run, true), &payload));
        }
    }
    for closed in [false, true] {
        if closed {
            log.close();
        }
        let reader = Reader::open(dir.path()).unwrap();
        let mut forward = reader.from(3);
        while let Some(entry) = forward.next().unwrap() {
            let payload = forward.payload(&entry).unwrap();
            assert_eq!(payload, reader.payload(&entry).unwrap());
            // And again, out of order.
            assert_eq!(forward.payload(&entry).unwrap(), payload);
            if entry.record.seq > 1 {
                let text = String::from_utf8(payload.unwrap()).unwrap();
                assert!(text.starts_with(&format!("\"{} ", entry.record.run)));
            }
        }
    }
}

#[test]
fn a_payload_without_its_key_is_erased_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let (gone, kept) = (whole_run(&log, 1, 3), whole_run(&log, 2, 3));
    log.close();
    std::fs::remove_file(dir.path().join(format!("payloads/{}.key", gone.id))).unwrap();
    for segment in files(&dir.path().join("wal")) {
        std::fs::remove_file(segment).unwrap();
    }
    let reader = Reader::open(dir.path()).unwrap();
    let mut forward = reader.from(0);
    let (mut erased, mut read) = (0, 0);
    while let Some(entry) = forward.next().unwrap() {
        match forward.payload(&entry) {
            Ok(Some(_)) => {
                assert_eq!(entry.record.run, kept.id.to_string());
                read += 1;
            }
            Ok(None) => {}
            Err(error) => {
                assert_eq!(entry.record.run, gone.id.to_string());
                assert!(error.to_string().contains("erased"), "{error}");
                erased += 1;
            }
        }
    }
    assert_eq!((erased, read), (3, 3));
}
