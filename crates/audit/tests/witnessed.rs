//! An operator who holds the signing key and rewrites every file passes every check of these files.
//! A witness finds it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod kit;

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_audit::{
    Answer, Bounds, Broken, DirSource, Policy, Reader, Report, Transport, TransportError,
    Verification, VerifyOptions, Witness, WitnessConfig,
};
use bailiwick_run::Time;
use kit::forger::forge;
use kit::witness::Witness as Signer;
use kit::*;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// A witness, asked as if over HTTP.
struct Witnessing {
    witness: Witness,
    _folder: TempDir,
}

impl Witnessing {
    /// One that has seen this log as it is now.
    fn of(dir: &Path) -> Self {
        let new = Self::new(dir);
        let submission = format!("old 0\n\n{}", checkpoint(dir));
        let now = Time::from_millis(SEEN_AT * 1000);
        let seen = new.witness.add_checkpoint(submission.as_bytes(), now);
        seen.unwrap();
        new
    }

    /// One that knows this log's key and has seen nothing.
    fn new(dir: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let witness = Witness::open(WitnessConfig {
            dir: folder.path().to_owned(),
            name: Some("w.example".to_owned()),
            logs: vec![vkey(dir).trim().to_owned()],
        });
        Self {
            witness: witness.unwrap(),
            _folder: folder,
        }
    }

    /// The checkpoint that it keeps; empty if it has seen none.
    fn kept(&self) -> String {
        let kept = self.witness.checkpoint(&origin_hash());
        String::from_utf8(kept.unwrap_or_default()).unwrap()
    }

    /// Waits until it has seen so many records.
    fn has_seen(&self, size: u64) {
        let line = size.to_string();
        let start = Instant::now();
        while self.kept().lines().nth(1) != Some(&line) {
            assert!(start.elapsed() < Duration::from_secs(20), "{}", self.kept());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn policy(&self, dir: &Path) -> Policy {
        policy(dir, &self.witness.vkey())
    }
}

impl Transport for Witnessing {
    fn get(&self, url: &str, _: Bounds) -> Result<Answer, TransportError> {
        let hash = url.strip_prefix(URL).unwrap().strip_prefix('/').unwrap();
        let kept = self
            .witness
            .checkpoint(hash.strip_suffix("/checkpoint").unwrap());
        Ok(Answer {
            status: if kept.is_some() { 200 } else { 404 },
            content_type: None,
            retry_after: None,
            body: kept.unwrap_or_default(),
        })
    }

    fn post(&self, url: &str, body: &[u8], _: Bounds) -> Result<Answer, TransportError> {
        assert_eq!(url, format!("{URL}/add-checkpoint"));
        let now = Time::from_millis(SEEN_AT * 1000);
        let seen = self.witness.add_checkpoint(body, now);
        Ok(Answer {
            status: if seen.is_ok() { 200 } else { 422 },
            content_type: None,
            retry_after: None,
            body: seen.unwrap_or_default().into_bytes(),
        })
    }
}

fn origin_hash() -> String {
    let digest = Sha256::digest(ORIGIN);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What witnesses keep, by URL.
#[derive(Default)]
struct Kept(HashMap<String, Answer>);

impl Kept {
    /// One that keeps this note of the log.
    fn note(url: &str, note: &str) -> Self {
        let mut kept = Self::default();
        kept.put(url, 200, note);
        kept
    }

    fn put(&mut self, url: &str, status: u16, body: &str) {
        self.0.insert(
            format!("{url}/{}/checkpoint", origin_hash()),
            Answer {
                status,
                content_type: None,
                retry_after: None,
                body: body.as_bytes().to_vec(),
            },
        );
    }
}

impl Transport for Kept {
    fn get(&self, url: &str, _: Bounds) -> Result<Answer, TransportError> {
        let kept = self.0.get(url).cloned();
        kept.ok_or_else(|| TransportError::Unreachable {
            url: url.to_owned(),
            reason: "nobody is there".to_owned(),
        })
    }

    fn post(&self, url: &str, _: &[u8], _: Bounds) -> Result<Answer, TransportError> {
        panic!("a check only looks: {url}");
    }
}

const URL: &str = "https://w.example/witness";
const SEEN_AT: u64 = 1_700_000_000;

fn witness() -> Signer {
    Signer::new("w.example", 1)
}

/// A policy of the folder's log and a witness.
fn policy(dir: &Path, witness: &str) -> Policy {
    let log = vkey(dir);
    let file = format!("log {}\nwitness w {witness} {URL}/\nquorum w\n", log.trim());
    Policy::parse(file.as_bytes()).unwrap()
}

fn verify_with(
    dir: &Path,
    policy: &Policy,
    transport: Option<&dyn Transport>,
) -> Result<Report, Broken> {
    Verification {
        source: &DirSource::new(dir.join("log")),
        policy,
        options: &VerifyOptions::for_data_dir(dir, None),
        transport,
        progress: &|_| {},
    }
    .run()
}

fn checkpoint(dir: &Path) -> String {
    fs::read_to_string(dir.join("log/checkpoint")).unwrap()
}

/// A closed log of three runs, some of its calls denied.
fn log() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    append(&log, started());
    for n in 0..3 {
        whole_run(&log, n, 4);
    }
    log.close();
    dir
}

fn records(dir: &Path) -> Vec<Vec<u8>> {
    let entries = Reader::open(dir).unwrap().newest(usize::MAX).unwrap();
    entries.into_iter().map(|entry| entry.bytes).collect()
}

/// Without a witness it passes, and the report says what that is worth.
fn passes_without_a_witness(dir: &Path) {
    let report = check(dir).unwrap();
    assert!(report.witnessed.is_none());
    let said = report.unknown.join("\n");
    assert!(said.contains("no witness's word was heard"), "{said}");
    assert!(said.contains("could have replaced"), "{said}");
}

/// Shows the note that the witness keeps, for others to see.
fn holds_evidence(broken: &Broken, kept: &str) {
    assert_eq!(broken.evidence(), Some(kept));
    assert!(broken.to_string().contains("witness w "), "{broken}");
    assert!(broken.to_string().contains("2023-11-14T22:13:20.000Z"));
}

#[test]
fn a_truncated_log_is_found() {
    let dir = log();
    let witness = Witnessing::of(dir.path());
    let policy = witness.policy(dir.path());
    let all = records(dir.path());
    assert_eq!(all.len(), 34);
    forge(dir.path(), &all[..29]);
    passes_without_a_witness(dir.path());
    let broken = verify_with(dir.path(), &policy, Some(&witness)).unwrap_err();
    assert!(
        matches!(
            broken,
            Broken::Behind {
                found: 29,
                known: 34,
                ..
            }
        ),
        "{broken}"
    );
    holds_evidence(&broken, &witness.kept());
    // So is it where what the witnesses signed is still beside it.
    fs::write(dir.path().join("log/witnessed"), witness.kept()).unwrap();
    let broken = verify_with(dir.path(), &policy, None).unwrap_err();
    assert!(
        matches!(broken, Broken::RolledBack { known: 34, .. }),
        "{broken}"
    );
}

#[test]
fn a_log_that_was_rolled_back_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (writer, _) = open(dir.path());
    let witness = Arc::new(Witnessing::new(dir.path()));
    let policy = witness.policy(dir.path());
    let asked: Arc<dyn Transport> = witness.clone();
    writer.ask_witnesses(policy.clone(), asked).unwrap();
    whole_run(&writer, 1, 2);
    writer.checkpoint_now().unwrap();
    witness.has_seen(7);
    let first = dir.path().join("log/witnessed");
    let start = Instant::now();
    while !first.exists() {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    let earlier = tempfile::tempdir().unwrap();
    copy(dir.path(), earlier.path());
    whole_run(&writer, 2, 2);
    writer.checkpoint_now().unwrap();
    witness.has_seen(14);
    writer.close();
    // Every file is as it once was, with what the witness signed then.
    passes_without_a_witness(earlier.path());
    let report = verify_with(earlier.path(), &policy, None).unwrap();
    let said = report.unknown.join("\n");
    assert!(
        said.contains("was cut back to what witnesses saw earlier"),
        "{said}"
    );
    let broken = verify_with(earlier.path(), &policy, Some(&*witness)).unwrap_err();
    assert!(
        matches!(
            broken,
            Broken::Behind {
                found: 7,
                known: 14,
                ..
            }
        ),
        "{broken}"
    );
    holds_evidence(&broken, &witness.kept());
}

#[test]
fn a_forked_log_is_found() {
    let dir = log();
    let witness = Witnessing::of(dir.path());
    let policy = witness.policy(dir.path());
    let seen = witness.kept();
    // The same key, other records, and more of them.
    let fork = tempfile::tempdir().unwrap();
    fs::create_dir(fork.path().join("keys")).unwrap();
    fs::copy(
        dir.path().join("keys/log.key"),
        fork.path().join("keys/log.key"),
    )
    .unwrap();
    let (writer, _) = open(fork.path());
    append(&writer, started());
    for n in 0..4 {
        whole_run(&writer, n, 4);
    }
    writer.close();
    passes_without_a_witness(fork.path());
    let broken = verify_with(fork.path(), &policy, Some(&witness)).unwrap_err();
    assert!(
        matches!(broken, Broken::Forked { size: 34, .. }),
        "{broken}"
    );
    holds_evidence(&broken, &seen);
    // Of the same size, and with one record altered.
    let forged = tempfile::tempdir().unwrap();
    copy(dir.path(), forged.path());
    let mut altered = records(dir.path());
    let last = altered.last_mut().unwrap();
    let text = String::from_utf8(last.clone()).unwrap();
    *last = text
        .replace("\"ending\":\"closed\"", "\"ending\":\"lapsed\"")
        .into_bytes();
    forge(forged.path(), &altered);
    passes_without_a_witness(forged.path());
    let broken = verify_with(forged.path(), &policy, Some(&witness)).unwrap_err();
    assert!(
        matches!(broken, Broken::Forked { size: 34, .. }),
        "{broken}"
    );
    // With what the witness signed left beside it, or put there, it needs no asking.
    fs::write(forged.path().join("log/witnessed"), &seen).unwrap();
    let broken = verify_with(forged.path(), &policy, None).unwrap_err();
    assert!(
        matches!(broken, Broken::Inconsistent { size: 34, .. }),
        "{broken}"
    );
    // Without it the log has nobody's signature but its own.
    fs::remove_file(forged.path().join("log/witnessed")).unwrap();
    let broken = verify_with(forged.path(), &policy, None).unwrap_err();
    assert!(
        matches!(broken, Broken::Unwitnessed { size: 34, .. }),
        "{broken}"
    );
    assert!(
        broken.to_string().contains("no signature of a witness"),
        "{broken}"
    );
}

#[test]
fn the_report_says_up_to_where_witnesses_have_seen_the_log() {
    let dir = log();
    let policy = policy(dir.path(), &witness().vkey());
    let none = verify_with(dir.path(), &policy, None).unwrap_err();
    assert!(matches!(none, Broken::Unwitnessed { .. }), "{none}");
    // In the checkpoint itself.
    let plain = checkpoint(dir.path());
    let cosigned = witness().cosign(&plain, SEEN_AT);
    fs::write(dir.path().join("log/checkpoint"), &cosigned).unwrap();
    let report = verify_with(dir.path(), &policy, None).unwrap();
    let witnessed = report.witnessed.unwrap();
    assert_eq!((witnessed.records, witnessed.after), (34, 0));
    assert_eq!(witnessed.by[0].witness, "w");
    assert_eq!(witnessed.by[0].time.millis(), SEEN_AT * 1000);
    assert_eq!(report.checkpoint, cosigned);
    // Beside it, and the log has grown since.
    fs::write(dir.path().join("log/checkpoint"), &plain).unwrap();
    fs::write(dir.path().join("log/witnessed"), &cosigned).unwrap();
    let (writer, _) = open(dir.path());
    whole_run(&writer, 7, 1);
    writer.close();
    let asked = Kept::note(URL, &cosigned);
    let report = verify_with(dir.path(), &policy, Some(&asked)).unwrap();
    let witnessed = report.witnessed.unwrap();
    assert_eq!(
        (report.records, witnessed.records, witnessed.after),
        (39, 34, 5)
    );
    assert_eq!((report.asked.len(), report.asked[0].records), (1, 34));
    let said = report.unknown.join("\n");
    assert!(said.contains("the same last 5 records"), "{said}");
    assert!(!said.contains("no witness's word"), "{said}");
    // Every byte of it counts, but for what nobody here can check.
    let file = dir.path().join("log/witnessed");
    for position in 0..cosigned.len() {
        let mut altered = cosigned.clone().into_bytes();
        altered[position] ^= 1;
        fs::write(&file, &altered).unwrap();
        let check = Verification {
            source: &DirSource::new(dir.path().join("log")),
            policy: &policy,
            options: &VerifyOptions::default(),
            transport: None,
            progress: &|_| {},
        };
        assert!(check.run().is_err(), "{position}");
    }
    // With the log's own key alone, what is beside it must be of this log all the same.
    fs::write(&file, &cosigned).unwrap();
    assert!(check(dir.path()).unwrap().witnessed.is_none());
    let other = log();
    fs::write(&file, checkpoint(other.path())).unwrap();
    assert!(check(dir.path()).is_err());
}

#[test]
fn a_witness_that_cannot_be_asked_is_a_caveat() {
    let dir = log();
    let cosigned = witness().cosign(&checkpoint(dir.path()), SEEN_AT);
    fs::write(dir.path().join("log/checkpoint"), &cosigned).unwrap();
    let policy = policy(dir.path(), &witness().vkey());
    let said = |kept: &Kept| {
        let report = verify_with(dir.path(), &policy, Some(kept)).unwrap();
        assert!(report.asked.is_empty());
        let about = report.unknown.into_iter();
        let about = about.filter(|words| words.starts_with("What the witness w has seen"));
        about.collect::<Vec<_>>().join("")
    };
    let answer = |status, body: &str| {
        let mut kept = Kept::default();
        kept.put(URL, status, body);
        kept
    };
    assert!(said(&Kept::default()).contains("nobody is there"));
    assert!(said(&answer(404, "")).contains("no checkpoint of this log"));
    assert!(said(&answer(503, "")).contains("status 503"));
    assert!(said(&answer(200, "nonsense")).contains("no signatures"));
    // One without its own signature, one of another log, and one that it has not made.
    let plain = cosigned.replace(cosigned.lines().last().unwrap(), "");
    let plain = plain.trim_end().to_owned() + "\n";
    assert!(said(&answer(200, &plain)).contains("has not signed that itself"));
    let other = log();
    let other = witness().cosign(&checkpoint(other.path()), SEEN_AT);
    assert!(said(&answer(200, &other)).contains("has not signed it"));
    let forged = Signer::new("w.example", 2).cosign(&plain, SEEN_AT);
    assert!(said(&answer(200, &forged)).contains("has not signed that itself"));
}

#[test]
fn the_log_is_found_among_those_of_the_policy() {
    let (dir, other) = (log(), log());
    let both = Policy::of_log(vkey(other.path()).trim())
        .unwrap()
        .with_log(vkey(dir.path()).trim())
        .unwrap();
    for dir in [&dir, &other] {
        assert_eq!(verify_with(dir.path(), &both, None).unwrap().records, 34);
    }
    let third = log();
    let broken = verify_with(third.path(), &both, None).unwrap_err();
    assert!(matches!(broken, Broken::Checkpoint { .. }), "{broken}");
}
