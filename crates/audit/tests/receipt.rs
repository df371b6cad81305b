//! A receipt proves its record to whoever has the log's key, and nothing else passes for one.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod kit;

use std::path::Path;

use bailiwick_audit::{NotProven, Policy, ProofFile, Proven, Reader, verify_receipt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kit::witness::Witness;
use kit::*;
use tempfile::TempDir;

/// A log of several tiles with a run whose records are asked about.
fn log(calls: u64) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    append(&log, started());
    let run = whole_run(&log, 1, calls);
    whole_run(&log, 2, 3);
    log.close();
    (dir, run.id.to_string())
}

fn prove(dir: &Path, name: &str) -> ProofFile {
    let reader = Reader::open(dir).unwrap();
    let entry = reader.record(name).unwrap().unwrap();
    reader.prove(&entry).unwrap().unwrap()
}

/// All that a check of a receipt tells.
fn told(proven: &Proven) -> String {
    format!("{proven:?}")
}

#[test]
fn every_record_has_a_receipt_that_names_it() {
    let (dir, run) = log(200);
    let policy = Policy::of_log(vkey(dir.path()).trim()).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    let entries = reader.newest(usize::MAX).unwrap();
    assert_eq!(entries.len(), 1 + 403 + 9);
    for entry in entries {
        let receipt = reader.prove(&entry).unwrap().unwrap();
        assert!(!receipt.is_witnessed);
        let proven = verify_receipt(receipt.text.as_bytes(), &policy).unwrap();
        assert_eq!(proven.entry.bytes, entry.bytes);
        assert_eq!(proven.entry.id(), entry.id());
        assert_eq!(proven.entry.index, entry.index);
        assert_eq!(proven.checkpoint.size, 413);
    }
    let by_digest = reader.record(&format!("{run}/5")).unwrap().unwrap();
    let digest = by_digest.digest().to_string();
    assert_eq!(reader.record(&digest).unwrap().unwrap().index, 5);
    assert!(reader.newest_run().unwrap().unwrap().to_string() > run);
}

/// Reads the file as tlog-proof describes it, and checks it with what others wrote.
#[test]
fn others_check_it_with_their_code() {
    use signed_note::{Note, StandardVerifier, VerifierList};
    use tlog_tiles::{Checkpoint, Hash, check_record, record_hash};

    let (dir, _) = log(200);
    let vkey = vkey(dir.path());
    for index in [0, 1, 200, 255, 256, 411, 412] {
        let entries = Reader::open(dir.path()).unwrap().newest(usize::MAX);
        let entry = &entries.unwrap()[index];
        let receipt = prove(dir.path(), &entry.id()).text;
        let (head, checkpoint) = receipt.split_once("\n\n").unwrap();
        let lines: Vec<&str> = head.lines().collect();
        assert_eq!(lines[0], "c2sp.org/tlog-proof@v1");
        let record = lines[1].strip_prefix("extra ").unwrap();
        let record = BASE64.decode(record).unwrap();
        assert_eq!(record, entry.bytes);
        assert_eq!(lines[2], format!("index {index}"));
        let path = lines[3..].iter().map(|line| BASE64.decode(line).unwrap());
        let path: Vec<Hash> = path.map(|hash| Hash(hash.try_into().unwrap())).collect();

        let note = Note::from_bytes(checkpoint.as_bytes()).unwrap();
        let key = StandardVerifier::new(vkey.trim()).unwrap();
        note.verify(&VerifierList::new(vec![Box::new(key)]))
            .unwrap();
        let checkpoint = Checkpoint::from_bytes(note.text()).unwrap();
        check_record(
            &path,
            checkpoint.size(),
            *checkpoint.hash(),
            index as u64,
            record_hash(&record),
        )
        .unwrap();
    }
}

#[test]
fn every_flipped_bit_shows() {
    let (dir, run) = log(3);
    let (known, stranger) = (Witness::new("w.example", 1), Witness::new("v.example", 2));
    let note = std::fs::read_to_string(dir.path().join("log/checkpoint")).unwrap();
    let cosigned = stranger.cosign(&known.cosign(&note, 1_700_000_000), 1_700_000_001);
    std::fs::write(dir.path().join("log/witnessed"), cosigned).unwrap();
    let policy = format!(
        "log {}\nwitness w {}\nquorum w\n",
        vkey(dir.path()).trim(),
        known.vkey()
    );
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let receipt = prove(dir.path(), &format!("{run}/4"));
    assert!(receipt.is_witnessed);
    let receipt = receipt.text.into_bytes();
    let proven = verify_receipt(&receipt, &policy).unwrap();
    let seen = &proven.checkpoint.cosigned;
    assert_eq!((seen.len(), seen[0].witness.as_str()), (1, "w"));
    assert_eq!(seen[0].time.to_string(), "2023-11-14T22:13:20.000Z");
    let whole = told(&proven);
    let mut unnoticed = 0;
    for position in 0..receipt.len() {
        for bit in 0..8 {
            let mut altered = receipt.clone();
            altered[position] ^= 1 << bit;
            if let Ok(proven) = verify_receipt(&altered, &policy) {
                // Only the line of the witness that nobody here knows, which is not spoken of.
                assert_eq!(told(&proven), whole, "byte {position}, bit {bit}");
                let line = receipt[..position].iter().rposition(|byte| *byte == b'\n');
                let line = &receipt[line.unwrap() + 1..];
                let stranger = "\u{2014} v.example ".as_bytes();
                assert!(line.starts_with(stranger), "byte {position}, bit {bit}");
                unnoticed += 1;
            }
        }
    }
    assert!(unnoticed > 0, "the line of the stranger can be altered");
    for length in 0..receipt.len() {
        match verify_receipt(&receipt[..length], &policy) {
            // Without the stranger's line it is whole, too.
            Ok(proven) => assert_eq!(told(&proven), whole, "{length}"),
            Err(_) => continue,
        }
    }
    for more in [&b"\n"[..], b"x", b"\n\n", b"index 1\n"] {
        let longer = [&receipt[..], more].concat();
        assert!(verify_receipt(&longer, &policy).is_err(), "{more:?}");
    }
}

#[test]
fn a_receipt_for_another_record_or_log_is_none() {
    let (dir, run) = log(3);
    let policy = Policy::of_log(vkey(dir.path()).trim()).unwrap();
    let receipt = prove(dir.path(), &format!("{run}/4")).text;
    let check = |text: &str| verify_receipt(text.as_bytes(), &policy);
    let other = prove(dir.path(), &format!("{run}/2")).text;
    let lines: Vec<&str> = receipt.lines().collect();
    let with = |from: &str, to: &str| receipt.replacen(from, to, 1);
    // The record of one receipt in the other.
    let swapped = with(lines[1], other.lines().nth(1).unwrap());
    assert!(matches!(
        check(&swapped),
        Err(NotProven::NotIncluded { index: 4, .. })
    ));
    // One byte more of the record, in whatever form a record of it could have.
    let encoded = lines[1].strip_prefix("extra ").unwrap();
    let record = BASE64.decode(encoded).unwrap();
    for more in [&b" "[..], b"\n", b"\0"] {
        let longer = BASE64.encode([&record[..], more].concat());
        let wrong = check(&with(encoded, &longer)).unwrap_err();
        assert!(matches!(wrong, NotProven::NotIncluded { .. }), "{wrong}");
    }
    for (from, to) in [
        ("index 4", "index 5"),
        ("index 4", "index 04"),
        ("index 4", "index 18446744073709551615"),
        ("index 4\n", ""),
        ("index 4\n", "index 4\nindex 4\n"),
        ("tlog-proof@v1", "tlog-proof@v2"),
        ("extra ", "extra  "),
        ("extra ", "Extra "),
        ("\n\u{2014}", "\nextension\n\u{2014}"),
        (lines[3], ""),
        (lines[3], lines[4]),
    ] {
        assert!(check(&with(from, to)).is_err(), "{from:?} to {to:?}");
    }
    let without = format!("{}\n{}\n", lines[0], lines[2..].join("\n"));
    let why = check(&without).unwrap_err().to_string();
    assert!(why.contains("no `extra` line"), "{why}");
    let long = with(lines[3], &vec![lines[3]; 64].join("\n"));
    let why = check(&long).unwrap_err().to_string();
    assert!(why.contains("path is too long"), "{why}");
    let huge = format!("{receipt}{}", "x".repeat(1 << 20));
    assert!(check(&huge).is_err());
    // Another log's key, and another log of the same name.
    let (elsewhere, _) = log(3);
    let theirs = Policy::of_log(vkey(elsewhere.path()).trim()).unwrap();
    assert!(matches!(
        verify_receipt(receipt.as_bytes(), &theirs),
        Err(NotProven::Checkpoint(_))
    ));
}

#[test]
fn the_checkpoint_with_witnesses_goes_first_where_it_covers_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let run = whole_run(&log, 1, 2);
    log.checkpoint_now().unwrap();
    let witness = Witness::new("w.example", 1);
    let seen = std::fs::read_to_string(dir.path().join("log/checkpoint")).unwrap();
    let reader = Reader::open(dir.path()).unwrap();
    assert!(!reader.has_witnesses());
    std::fs::write(
        dir.path().join("log/witnessed"),
        witness.cosign(&seen, 1_700_000_000),
    )
    .unwrap();
    let later = whole_run(&log, 2, 2);
    let policy = format!(
        "log {}\nwitness w {}\nquorum w\n",
        vkey(dir.path()).trim(),
        witness.vkey()
    );
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let early = prove(dir.path(), &format!("{}/1", run.id));
    assert!(reader.has_witnesses() && early.is_witnessed && early.size == 7);
    let proven = verify_receipt(early.text.as_bytes(), &policy).unwrap();
    assert_eq!(proven.checkpoint.cosigned[0].witness, "w");
    // Not covered by any, then by the plain one only.
    let entry = reader.record(&format!("{}/7", later.id)).unwrap().unwrap();
    log.close();
    let late = reader.prove(&entry).unwrap().unwrap();
    assert!(!late.is_witnessed && late.size == 14);
    assert!(matches!(
        verify_receipt(late.text.as_bytes(), &policy),
        Err(NotProven::Quorum(_))
    ));
    let alone = Policy::of_log(vkey(dir.path()).trim()).unwrap();
    verify_receipt(late.text.as_bytes(), &alone).unwrap();
}

#[test]
fn what_no_checkpoint_covers_has_no_receipt_yet() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    append(&log, started());
    log.close();
    let reader = Reader::open(dir.path()).unwrap();
    let mut entry = reader.record("gateway/1").unwrap().unwrap();
    assert!(reader.prove(&entry).unwrap().is_some());
    entry.index = 1;
    assert_eq!(reader.prove(&entry).unwrap(), None);
    // Nor is there one for a record that is not the log's.
    entry.index = 0;
    entry.bytes.push(b' ');
    assert!(reader.prove(&entry).is_err());
}
