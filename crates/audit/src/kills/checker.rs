//! What must hold of a log after each of its lives.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tempfile::TempDir;

use super::Random;
use crate::entry::Entry;
use crate::kit::{check, vkey};
use crate::merkle::Hash;
use crate::prove::Prover;
use crate::{DirSource, Reader, VerifyOptions, verify};

/// How many payloads are read after each life, apart from the last.
const PAYLOADS: u64 = 20;

/// One log through all its lives, and what those who wrote it said.
pub(super) struct History {
    dir: TempDir,
    pub(super) segment: u64,
    /// How many children there have been.
    pub(super) lives: u64,
    /// How long the last opening took.
    pub(super) opening: Duration,
    /// Whether the log was ever open: from then on it has a checkpoint.
    was_open: bool,
    submitted: HashSet<u64>,
    proven: HashMap<u64, Proof>,
    /// What the next start has to find: runs left open, and their calls without an outcome.
    unfinished: String,
    checkpoints: Vec<Note>,
}

/// The name and digest in a receipt; nothing is said of a record that is only written.
type Proof = Option<(String, String)>;

/// A checkpoint that was published once.
struct Note {
    size: u64,
    root: Hash,
    bytes: Vec<u8>,
}

impl History {
    pub(super) fn new(dir: TempDir, segment: u64) -> Self {
        Self {
            dir,
            segment,
            lives: 0,
            opening: Duration::from_millis(20),
            was_open: false,
            submitted: HashSet::new(),
            proven: HashMap::new(),
            unfinished: "recovered".to_owned(),
            checkpoints: Vec::new(),
        }
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The log was opened.
    pub(super) fn opened(&mut self, took: Duration) {
        self.was_open = true;
        self.opening = took;
    }

    /// Something that a child said.
    pub(super) fn hears(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        match *words {
            ["submits", n] => {
                assert!(self.submitted.insert(n.parse().unwrap()), "{line} twice");
            }
            ["proven", n, ref proof @ ..] => {
                let proof = match proof {
                    [id, digest] => Some(((*id).to_owned(), (*digest).to_owned())),
                    _ => None,
                };
                self.proven.insert(n.parse().unwrap(), proof);
            }
            ["recovered", ..] => assert_eq!(line, self.unfinished),
            _ => {}
        }
    }

    /// Looks at what a life has left.
    pub(super) fn check(&mut self, random: &mut Random) {
        self.lives += 1;
        if !self.was_open && !self.dir().join("log/checkpoint").exists() {
            assert!(self.proven.is_empty());
            return;
        }
        let report = check(self.dir()).unwrap();
        let entries = self.entries();
        assert_eq!(report.records + report.tail, entries.len() as u64);
        self.checks_records(&entries);
        self.unfinished = unfinished(&entries);
        self.checks_checkpoint();
        let with_payload: Vec<_> = with_payload(&entries).collect();
        for _ in 0..PAYLOADS.min(with_payload.len() as u64) {
            let one = random.below(with_payload.len() as u64);
            self.checks_payload(with_payload[usize::try_from(one).unwrap()]);
        }
    }

    /// Looks at everything once more. Returns how many records there are.
    pub(super) fn finish(&self) -> usize {
        if !self.was_open {
            return 0;
        }
        for checkpoint in &self.checkpoints {
            // By the verifier, which shares nothing with the writer.
            let file = self.dir().join("older-checkpoint");
            std::fs::write(&file, &checkpoint.bytes).unwrap();
            let options = VerifyOptions {
                last_checkpoint: Some(file),
                ..VerifyOptions::default()
            };
            let source = DirSource::new(self.dir().join("log"));
            verify(&source, &vkey(self.dir()), &options).unwrap();
        }
        let entries = self.entries();
        for entry in with_payload(&entries) {
            self.checks_payload(entry);
        }
        entries.len()
    }

    fn entries(&self) -> Vec<Entry> {
        let reader = Reader::open(self.dir()).unwrap();
        reader.newest(usize::MAX).unwrap()
    }

    /// Nothing that was proven is missing or another; nothing is there that was not submitted; and
    /// no chain has a gap.
    fn checks_records(&self, entries: &[Entry]) {
        let mut found = HashMap::new();
        let mut last = HashMap::new();
        for entry in entries {
            let last = last.entry(&*entry.record.run).or_insert(0);
            *last += 1;
            assert_eq!(entry.record.seq, *last, "{}", entry.id());
            let n = self.number(entry);
            assert!(self.submitted.contains(&n), "invented: {entry:?}");
            let twin = found.insert(n, entry);
            assert!(twin.is_none(), "twice: {entry:?}");
        }
        for (n, proof) in &self.proven {
            let entry = found
                .get(n)
                .unwrap_or_else(|| panic!("lost: {n} {proof:?}"));
            if let Some((id, digest)) = proof {
                assert_eq!((&entry.id(), &entry.digest().to_string()), (id, digest));
            }
        }
    }

    /// The number that a record was announced by.
    fn number(&self, entry: &Entry) -> u64 {
        let record = &entry.record;
        let name = [&record.target, &record.scope_digest, &record.version];
        match name.into_iter().flatten().next() {
            Some(name) => name.strip_prefix('n').unwrap().parse().unwrap(),
            None => self.payload(entry),
        }
    }

    fn checks_payload(&self, entry: &Entry) {
        assert_eq!(self.payload(entry), self.number(entry), "{entry:?}");
    }

    /// The number in a record's payload.
    fn payload(&self, entry: &Entry) -> u64 {
        let reader = Reader::open(self.dir()).unwrap();
        let payload = reader.payload(entry).unwrap().unwrap();
        let json: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        json["n"].as_u64().unwrap()
    }

    /// The tree at the size of the last checkpoint seen is still what that one signed. As each is
    /// held against the one before, all of them are of one tree.
    fn checks_checkpoint(&mut self) {
        let bytes = std::fs::read(self.dir().join("log/checkpoint")).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let mut lines = text.lines().skip(1);
        let size = lines.next().unwrap().parse().unwrap();
        let root = BASE64.decode(lines.next().unwrap()).unwrap();
        let note = Note {
            size,
            root: root.try_into().unwrap(),
            bytes,
        };
        if let Some(before) = self.checkpoints.last() {
            assert!(before.size <= note.size, "{} to {size}", before.size);
            let log = self.dir().join("log");
            let root = Prover::new(log, before.size).root().unwrap();
            assert_eq!(root, before.root, "the tree of {} records", before.size);
        }
        self.checkpoints.push(note);
    }
}

fn with_payload(entries: &[Entry]) -> impl Iterator<Item = &Entry> {
    let has_payload = |entry: &&Entry| entry.record.payload.is_some();
    entries.iter().filter(has_payload)
}

/// What a start after these records says it recovered, as the child prints it.
fn unfinished(entries: &[Entry]) -> String {
    let mut found = BTreeSet::new();
    for entry in entries {
        let (record, run) = (&entry.record, &entry.record.run);
        let allowed = (record.decision.as_ref()).is_some_and(|made| made.effect == "allow");
        match &*record.r#type {
            "run.opened" => drop(found.insert(run.clone())),
            "run.closed" => found.retain(|name| !name.starts_with(run)),
            "call.finished" => drop(found.remove(&format!("{run}/{}", record.of.unwrap()))),
            _ if allowed => drop(found.insert(entry.id())),
            _ => {}
        }
    }
    let found: Vec<_> = found.into_iter().collect();
    format!("recovered {}", found.join(" "))
        .trim_end()
        .to_owned()
}
