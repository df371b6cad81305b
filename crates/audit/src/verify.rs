//! Checking a log without trusting who wrote it. This file reads the bytes as `docs/log-format.md`
//! describes them and shares no code with the writer, so that a mistake there cannot hide here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bailiwick_run::RunId;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Where the published files of a log come from: `checkpoint`, `tile/…`.
pub trait Source {
    /// The file at this path, or nothing where there is none. An error is a failure to ask, not an
    /// answer.
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// The widths of the partial tiles kept for the tile at this path. A source that cannot list
    /// has none to check.
    fn partials(&self, path: &str) -> io::Result<Vec<usize>> {
        let _ = path;
        Ok(Vec::new())
    }
}

/// A log in a folder: `data/log`, or a copy of it.
#[derive(Clone, Debug)]
pub struct DirSource(PathBuf);

impl DirSource {
    /// The folder that holds `checkpoint` and `tile/`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self(dir.into())
    }
}

impl Source for DirSource {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        read_if_there(&self.0.join(path))
    }

    fn partials(&self, path: &str) -> io::Result<Vec<usize>> {
        let listed = match std::fs::read_dir(self.0.join(format!("{path}.p"))) {
            Ok(listed) => listed,
            Err(error) if is_absence(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut widths = Vec::new();
        for entry in listed {
            let name = entry?.file_name();
            widths.extend(name.to_str().and_then(|name| name.parse::<usize>().ok()));
        }
        widths.sort_unstable();
        Ok(widths)
    }
}

/// What to check besides the published files.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Report on this run by itself, too.
    pub run: Option<RunId>,
    /// The write-ahead log of the gateway: what is durable and not covered by a checkpoint yet.
    pub wal_dir: Option<PathBuf>,
    /// The checkpoint the gateway remembers to have signed last.
    pub last_checkpoint: Option<PathBuf>,
}

impl VerifyOptions {
    /// Everything that a data folder has to check.
    pub fn for_data_dir(dir: &Path, run: Option<RunId>) -> Self {
        Self {
            run,
            wal_dir: Some(dir.join("wal")),
            last_checkpoint: Some(dir.join("keys/last-checkpoint")),
        }
    }
}

/// What was checked and found whole.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The log's name.
    pub origin: String,
    /// How many records the signed checkpoint covers.
    pub records: u64,
    /// The root it signs, in base64.
    pub root: String,
    /// When the last record it covers was made, by the gateway's clock. (A checkpoint has no time
    /// of its own.)
    pub last_time: Option<String>,
    /// Records that are durable and not covered by a checkpoint yet. Their chains are whole.
    pub tail: u64,
    /// Bytes at the end of the write-ahead log of a batch that is being written, or never became
    /// durable. Nobody has a receipt for those.
    pub torn_bytes: u64,
    /// Runs that are open.
    pub runs_open: u64,
    /// Runs that are closed, with as many records as their last one says.
    pub runs_closed: u64,
    /// Allowed calls of closed runs of which no outcome is recorded.
    pub without_outcome: u64,
    /// The run that was asked about, if the log has it.
    pub run: Option<RunReport>,
    /// What no check of these files can know, in words.
    pub unknown: Vec<String>,
}

/// What was found of one run.
#[derive(Clone, Debug, Serialize)]
pub struct RunReport {
    /// Its id.
    pub run: String,
    /// How many records it has, gapless from 1.
    pub records: u64,
    /// How many of them no checkpoint covers yet.
    pub tail: u64,
    /// Whether it is closed.
    pub state: RunState,
    /// Allowed calls of which no outcome is recorded.
    pub without_outcome: u64,
}

/// Whether a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Its last record is `run.closed`, and agrees with the chain.
    Closed,
    /// It has none.
    Open,
}

const ADVICE: &str = "Keep the folder as it is, for examination, and compare it with a backup or \
                      with a copy that somebody else has";

/// The first thing that is broken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    /// The key is not one.
    #[error(
        "the key to verify with is not right: {0}. It is one line, NAME+ID+KEY, as in `log.vkey`; \
         take it from somebody who got it when the log was started"
    )]
    Key(String),
    /// A file could not be asked for; the log may be whole.
    #[error("cannot read {file}: {error}. Nothing is known to be broken; try again")]
    Unreadable {
        /// Which.
        file: String,
        /// What happened.
        error: io::Error,
    },
    /// A file is missing.
    #[error("{file} is missing: {expected}. The log was cut, or the file removed. {ADVICE}")]
    Missing {
        /// Which.
        file: String,
        /// Why it must be there.
        expected: String,
    },
    /// A checkpoint is not what the key has signed.
    #[error("the checkpoint {file} is not valid: {reason}. {ADVICE}")]
    Checkpoint {
        /// Which file.
        file: String,
        /// Why not.
        reason: String,
    },
    /// The checkpoint is older than what is known to have been signed.
    #[error(
        "the log was rolled back: its checkpoint covers {found} records, but {by} shows that \
         {known} were covered. {ADVICE}"
    )]
    RolledBack {
        /// How many the checkpoint covers.
        found: u64,
        /// How many must have been covered.
        known: u64,
        /// What shows it.
        by: String,
    },
    /// Two signed checkpoints do not belong to one log.
    #[error(
        "{file} signs another tree of the first {size} records than the log has: the log was \
         rewritten, although both were signed with its key. {ADVICE}"
    )]
    Inconsistent {
        /// The other checkpoint.
        file: String,
        /// How many records it covers.
        size: u64,
    },
    /// A record is not the one that was signed.
    #[error(
        "record {index} ({name}) in {file} was altered, or stands where another was: its hash is \
         {found}, the signed tree has {expected}. {ADVICE}"
    )]
    Record {
        /// Its place in the log.
        index: u64,
        /// What it calls itself: run and seq, if it can be read.
        name: String,
        /// The bundle it is in.
        file: String,
        /// The hash of what is there.
        found: String,
        /// The hash that was signed.
        expected: String,
    },
    /// A bundle of entries is not one.
    #[error(
        "{file} is damaged at record {index}: {reason}. The log was cut, or the file altered. \
         {ADVICE}"
    )]
    Bundle {
        /// Which.
        file: String,
        /// The first record that cannot be read.
        index: u64,
        /// Why not.
        reason: String,
    },
    /// A tile of hashes is not what the records make.
    #[error(
        "{file} was altered at hash {position}: it is {found}, the records, which agree with the \
         checkpoint, make it {expected}. {ADVICE}"
    )]
    Tile {
        /// Which.
        file: String,
        /// The first hash that differs, from 0.
        position: usize,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// A file is longer or shorter than it must be.
    #[error("{file} has {found} bytes, it must have {expected}: it was cut or added to. {ADVICE}")]
    Length {
        /// Which.
        file: String,
        /// How long it is.
        found: usize,
        /// How long it must be.
        expected: usize,
    },
    /// A tile kept from when it was smaller is not the beginning of what it has become.
    #[error(
        "{file} was altered at byte {position}: it is not the beginning of the tile it has become, \
         which agrees with the checkpoint. {ADVICE}"
    )]
    Older {
        /// Which.
        file: String,
        /// The first byte that differs, from 0.
        position: usize,
    },
    /// Records and tiles agree with each other, and not with the checkpoint.
    #[error(
        "the {size} records make the root {found}, the checkpoint signs {expected}: the log was \
         rewritten, or the checkpoint belongs to another. {ADVICE}"
    )]
    Root {
        /// How many records there are.
        size: u64,
        /// What they make.
        found: String,
        /// What was signed.
        expected: String,
    },
    /// Signed bytes that are not a record.
    #[error(
        "record {index} in {file} is not a record: {reason}. It is the one that was signed, so \
         whoever wrote the log wrote it wrong. {ADVICE}"
    )]
    NotARecord {
        /// Its place in the log.
        index: u64,
        /// The file it is in.
        file: String,
        /// Why not.
        reason: String,
    },
    /// The chain of a run is broken: a record was left out, put in or moved before it was signed.
    #[error(
        "the chain of records is broken at record {index} ({name}) in {file}: {what} is {found}, \
         expected {expected}. A record was left out, put in or moved before the log was signed. \
         {ADVICE}"
    )]
    Chain {
        /// Its place in the log.
        index: u64,
        /// What it calls itself: run and seq.
        name: String,
        /// The file it is in.
        file: String,
        /// What is wrong.
        what: &'static str,
        /// What is there.
        found: String,
        /// What should be.
        expected: String,
    },
    /// The write-ahead log has another record than the tree.
    #[error(
        "record {index} is another in the write-ahead log than in {file}: one of them was altered. \
         {ADVICE}"
    )]
    Differs {
        /// Its place in the log.
        index: u64,
        /// The bundle it is in.
        file: String,
    },
    /// The write-ahead log is damaged where it cannot be by a crash.
    #[error("the write-ahead log is damaged: {file} at record {index}: {reason}. {ADVICE}")]
    Wal {
        /// Which file.
        file: String,
        /// The first record that cannot be read.
        index: u64,
        /// Why not.
        reason: String,
    },
}

/// Checks everything: the checkpoint's signature, every record's hash, every tile, the root, the
/// chain of every run, and, where given, the write-ahead log and the checkpoint signed last. A
/// gateway may be writing the log meanwhile.
///
/// The first broken thing ends it.
pub fn verify(
    source: &dyn Source,
    vkey: &str,
    options: &VerifyOptions,
) -> Result<Report, Broken> {
    let key = Key::parse(vkey)?;
    // In this order, a running gateway can only make what is read later larger.
    let wal = match &options.wal_dir {
        Some(dir) => Some(read_wal(dir)?),
        None => None,
    };
    let last = match &options.last_checkpoint {
        Some(path) => read_last(path, &key)?,
        None => None,
    };
    let checkpoint = get(source, CHECKPOINT)?.ok_or_else(|| Broken::Missing {
        file: CHECKPOINT.to_owned(),
        expected: "every log has one, from its start".to_owned(),
    })?;
    let checkpoint = key.open(CHECKPOINT, &checkpoint)?;
    if let Some(last) = &last
        && last.size > checkpoint.size
    {
        return Err(Broken::RolledBack {
            found: checkpoint.size,
            known: last.size,
            by: format!("the checkpoint signed last, in {}", last.file),
        });
    }
    if let Some(base) = wal.as_ref().and_then(|wal| wal.base)
        && base > checkpoint.size
    {
        return Err(Broken::RolledBack {
            found: checkpoint.size,
            known: base,
            by: "the write-ahead log, which begins after records that are no longer needed there,"
                .to_owned(),
        });
    }

    let mut walk = Walk {
        source,
        checkpoint: &checkpoint,
        last: last.as_ref(),
        wal: wal.as_ref(),
        entries: Tree::default(),
        hashes: Tree::default(),
        trails: Trails::default(),
        difference: None,
        upper: None,
        later: None,
        last_time: None,
    };
    walk.run()?;
    let Walk {
        mut trails,
        last_time,
        ..
    } = walk;

    let covered = trails.records_of(options.run);
    let tail = trails.follow_tail(wal.as_ref(), checkpoint.size)?;
    Ok(Report {
        origin: key.name.clone(),
        records: checkpoint.size,
        root: BASE64.encode(checkpoint.root),
        last_time,
        tail,
        torn_bytes: wal.as_ref().map_or(0, |wal| wal.torn),
        runs_open: trails.count(RunState::Open),
        runs_closed: trails.count(RunState::Closed),
        without_outcome: trails.without_outcome(),
        run: options.run.and_then(|run| trails.report(run, covered)),
        unknown: unknown(options, wal.as_ref(), &checkpoint, last.is_some()),
    })
}

fn unknown(
    options: &VerifyOptions,
    wal: Option<&Wal>,
    checkpoint: &Checkpoint,
    has_last: bool,
) -> Vec<String> {
    let mut unknown = vec![
        "No witness has signed this log. Whoever holds its signing key and can write all of its \
         files could have replaced it, or its end, as a whole; only a checkpoint that somebody \
         else kept would show that."
            .to_owned(),
    ];
    if options.last_checkpoint.is_none() || !has_last {
        unknown.push(
            "Whether a later checkpoint was signed: the one the gateway remembers was not there \
             to compare with."
                .to_owned(),
        );
    }
    match wal {
        None => unknown.push(
            "Whether there are records after this checkpoint: the write-ahead log was not there \
             to look at."
                .to_owned(),
        ),
        Some(wal) if wal.base.is_none() && checkpoint.size > 0 => unknown.push(
            "Whether there were records after this checkpoint: the write-ahead log is empty."
                .to_owned(),
        ),
        Some(_) => {}
    }
    unknown
}

// The published files.

const CHECKPOINT: &str = "checkpoint";
const TILE: usize = 256;
type Hash = [u8; 32];

/// The key of a log: `name+id+base64(1, key)`.
struct Key {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

/// A checkpoint whose signature was right.
struct Checkpoint {
    file: String,
    size: u64,
    root: Hash,
}

impl Key {
    fn parse(vkey: &str) -> Result<Self, Broken> {
        let wrong = |why: &str| Broken::Key(why.to_owned());
        let vkey = vkey.strip_suffix('\n').unwrap_or(vkey);
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong("it has no three parts"));
        };
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(wrong("its name is not one"));
        }
        let material = BASE64.decode(material).map_err(|_| wrong("its key is not base64"))?;
        let mut hash = Sha256::new();
        hash.update(name.as_bytes());
        hash.update(b"\n");
        hash.update(&material);
        let digest: Hash = hash.finalize().into();
        let [a, b, c, d, ..] = digest;
        let computed = [a, b, c, d];
        if id != lower_hex(&computed) {
            return Err(wrong("its id is not that of its name and key"));
        }
        let key = match material.split_first() {
            Some((1, key)) => key.try_into().ok(),
            _ => None,
        };
        let key = key.ok_or_else(|| wrong("it is not an Ed25519 key"))?;
        Ok(Self {
            name: name.to_owned(),
            id: computed,
            key: VerifyingKey::from_bytes(&key).map_err(|_| wrong("it is not an Ed25519 key"))?,
        })
    }

    /// The text of a note that this key has signed.
    fn open_note<'a>(&self, note: &'a [u8]) -> Result<&'a str, String> {
        let note = std::str::from_utf8(note).map_err(|_| "it is not UTF-8".to_owned())?;
        if note.chars().any(|c| c.is_control() && c != '\n') {
            return Err("it has control characters".to_owned());
        }
        let split = note.rfind("\n\n").ok_or("it has no signatures")?;
        let (text, signatures) = note.split_at_checked(split + 1).ok_or("it has no signatures")?;
        let signatures = signatures.strip_prefix('\n').unwrap_or(signatures);
        let lines = signatures.strip_suffix('\n').ok_or("its last line has no end")?;
        let mut signed = false;
        for line in lines.split('\n') {
            let parts = line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' '));
            let (name, signature) = parts.ok_or("a signature line is malformed")?;
            let signature = BASE64
                .decode(signature)
                .map_err(|_| "a signature is not base64".to_owned())?;
            let (id, signature) = signature
                .split_first_chunk::<4>()
                .ok_or("a signature is too short")?;
            if name != self.name || *id != self.id {
                continue;
            }
            let signature = Signature::from_slice(signature)
                .map_err(|_| "its signature has the wrong length".to_owned())?;
            self.key
                .verify_strict(text.as_bytes(), &signature)
                .map_err(|_| "its signature does not fit its text".to_owned())?;
            signed = true;
        }
        if signed {
            Ok(text)
        } else {
            Err(format!("the key of {} has not signed it", self.name))
        }
    }

    fn open(&self, file: &str, note: &[u8]) -> Result<Checkpoint, Broken> {
        let invalid = |reason: String| Broken::Checkpoint {
            file: file.to_owned(),
            reason,
        };
        let text = self.open_note(note).map_err(invalid)?;
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next(), lines.next(), lines.next());
        if origin != Some(self.name.as_str()) {
            let origin = origin.unwrap_or_default();
            return Err(invalid(format!("it is of the log {origin}, not of {}", self.name)));
        }
        let size = size
            .filter(|size| *size == "0" || !size.starts_with(['0', '+']))
            .and_then(|size| size.parse().ok())
            .ok_or_else(|| invalid("its size is not a number".to_owned()))?;
        let root = root
            .and_then(|root| BASE64.decode(root).ok())
            .and_then(|root| root.try_into().ok())
            .ok_or_else(|| invalid("its root is not a hash".to_owned()))?;
        Ok(Checkpoint {
            file: file.to_owned(),
            size,
            root,
        })
    }
}

fn read_last(path: &Path, key: &Key) -> Result<Option<Checkpoint>, Broken> {
    let file = path.display().to_string();
    match read_if_there(path) {
        Ok(Some(note)) => key.open(&file, &note).map(Some),
        Ok(None) => Ok(None),
        Err(error) => Err(Broken::Unreadable { file, error }),
    }
}

fn get(source: &dyn Source, file: &str) -> Result<Option<Vec<u8>>, Broken> {
    source.get(file).map_err(|error| Broken::Unreadable {
        file: file.to_owned(),
        error,
    })
}

/// `tile/LEVEL/N`, N in groups of three digits.
fn tile_path(level: &str, number: u64) -> String {
    let digits = number.to_string();
    let padded = format!("{digits:0>width$}", width = digits.len().div_ceil(3) * 3);
    let mut path = format!("tile/{level}");
    for (position, digit) in padded.chars().enumerate() {
        if position % 3 == 0 {
            path.push('/');
            if position + 3 < padded.len() {
                path.push('x');
            }
        }
        path.push(digit);
    }
    path
}

/// A tile of the checkpoint's tree.
struct Tile {
    file: String,
    bytes: Vec<u8>,
    /// Nothing but what was asked for is in it.
    exact: bool,
}

/// The first `width` of a tile: its own file if it is partial, or else the full tile's.
fn get_tile(
    source: &dyn Source,
    path: &str,
    width: usize,
    why: impl FnOnce() -> String,
) -> Result<Tile, Broken> {
    let mut file = path.to_owned();
    if width < TILE {
        file = format!("{path}.p/{width}");
        if let Some(bytes) = get(source, &file)? {
            return Ok(Tile {
                file,
                bytes,
                exact: true,
            });
        }
    }
    match get(source, path)? {
        Some(bytes) => Ok(Tile {
            file: path.to_owned(),
            bytes,
            exact: width == TILE,
        }),
        None => Err(Broken::Missing {
            file,
            expected: why(),
        }),
    }
}

/// The hashes of a tile, as many as asked for.
fn hashes(tile: &Tile, width: usize) -> Result<Vec<Hash>, Broken> {
    let expected = if tile.exact { width * 32 } else { TILE * 32 };
    if tile.bytes.len() != expected {
        return Err(Broken::Length {
            file: tile.file.clone(),
            found: tile.bytes.len(),
            expected,
        });
    }
    let hashes = tile.bytes.chunks_exact(32).take(width);
    Ok(hashes.filter_map(|hash| hash.try_into().ok()).collect())
}

/// Entries of a bundle up to the first that cannot be read, and why that one cannot.
fn entries(tile: &Tile, width: usize) -> (Vec<&[u8]>, Option<String>) {
    let mut rest = tile.bytes.as_slice();
    let mut entries = Vec::new();
    while entries.len() < width {
        let Some((length, after)) = rest.split_first_chunk::<2>() else {
            return (entries, Some("it ends before it".to_owned()));
        };
        let length = u16::from_be_bytes(*length);
        let Some((entry, after)) = after.split_at_checked(length.into()) else {
            let why = format!("it ends within it, which has {length} bytes");
            return (entries, Some(why));
        };
        entries.push(entry);
        rest = after;
    }
    let surplus = tile.exact && !rest.is_empty();
    let why = surplus.then(|| format!("{} bytes follow the last record", rest.len()));
    (entries, why)
}

// The tree: RFC 6962 over SHA-256.

fn leaf_hash(record: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(record).finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new()
        .chain_update([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

/// The root of a tree over these hashes, split at the largest power of two below their number.
fn root_of(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Sha256::digest([]).into(),
        [hash] => *hash,
        _ => {
            let half = hashes.len().next_power_of_two() / 2;
            let (left, right) = hashes.split_at(half);
            node_hash(&root_of(left), &root_of(right))
        }
    }
}

/// A tree that grows leaf by leaf and keeps, per level of tiles, the hashes of the newest tile.
#[derive(Default)]
struct Tree {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Adds a leaf, and shows each tile above the leaves that this completes.
    fn push(
        &mut self,
        leaf: Hash,
        mut completed: impl FnMut(usize, u64, &[Hash]) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.size += 1;
        let (mut level, mut hash) = (0, leaf);
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(level) else {
                return Ok(());
            };
            hashes.push(hash);
            if hashes.len() < TILE {
                return Ok(());
            }
            let full = std::mem::take(hashes);
            if level > 0 {
                let number = (self.size >> (8 * (level + 1))).saturating_sub(1);
                completed(level, number, &full)?;
            }
            hash = root_of(&full);
            level += 1;
        }
    }

    fn root(&self) -> Hash {
        // Each level's hashes are a run of perfect subtrees of one size, all of them left of what
        // the levels below hold.
        let mut right: Option<Hash> = None;
        for hashes in self.levels.iter().filter(|hashes| !hashes.is_empty()) {
            right = Some(match right {
                None => root_of(hashes),
                Some(right) => join(hashes, right),
            });
        }
        right.unwrap_or_else(|| root_of(&[]))
    }
}

/// The root over perfect subtrees followed by something smaller.
fn join(subtrees: &[Hash], right: Hash) -> Hash {
    match subtrees {
        [] => right,
        _ => {
            // One more than the subtrees counts the smaller thing.
            let half = (subtrees.len() + 1).next_power_of_two() / 2;
            let (left, rest) = subtrees.split_at(half);
            node_hash(&root_of(left), &join(rest, right))
        }
    }
}

/// The walk over everything that the checkpoint covers.
struct Walk<'a> {
    source: &'a dyn Source,
    checkpoint: &'a Checkpoint,
    last: Option<&'a Checkpoint>,
    wal: Option<&'a Wal>,
    /// The tree that the records make.
    entries: Tree,
    /// The tree that the lowest tiles make.
    hashes: Tree,
    trails: Trails,
    /// The first place where records and lowest tiles differ.
    difference: Option<Difference>,
    /// The first tile above the lowest that differs from these.
    upper: Option<Broken>,
    /// The first thing that matters only once all hashes are right.
    later: Option<Broken>,
    last_time: Option<String>,
}

/// A record that does not have the hash that its tile says.
struct Difference {
    record: Broken,
    tile: Option<Broken>,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), Broken> {
        let size = self.checkpoint.size;
        let mut number = 0;
        while number * (TILE as u64) < size {
            let first = number * TILE as u64;
            let width = (size - first).min(TILE as u64) as usize;
            if let Err(broken) = self.tile(number, first, width) {
                // What differs already comes before what is missing now.
                let before = self.difference.take();
                return Err(before.map_or(broken, |difference| difference.record));
            }
            number += 1;
        }
        self.upper_partials()?;
        self.judge()
    }

    /// One bundle of records and its tile of hashes.
    fn tile(&mut self, number: u64, first: u64, width: usize) -> Result<(), Broken> {
        let size = self.checkpoint.size;
        let why = || format!("the checkpoint covers {size} records, and it holds those from {first}");
        let bundle_path = tile_path("entries", number);
        let tile_path = tile_path("0", number);
        let bundle = get_tile(self.source, &bundle_path, width, why)?;
        let tile = get_tile(self.source, &tile_path, width, why)?;
        let expected = hashes(&tile, width)?;
        let (records, trouble) = entries(&bundle, width);
        for ((index, position), expected) in (first..).zip(0..).zip(&expected) {
            self.note_last()?;
            match records.get(position) {
                Some(record) => {
                    let found = leaf_hash(record);
                    if found != *expected && self.difference.is_none() {
                        let [found, expected] = [found, *expected].map(|hash| lower_hex(&hash));
                        self.difference = Some(Difference {
                            record: Broken::Record {
                                index,
                                name: name_of(record),
                                file: bundle.file.clone(),
                                found: found.clone(),
                                expected: expected.clone(),
                            },
                            tile: Some(Broken::Tile {
                                file: tile.file.clone(),
                                position,
                                found: expected,
                                expected: found,
                            }),
                        });
                    }
                    self.entries.push(found, |_, _, _| Ok(()))?;
                    self.record(index, record, &bundle.file);
                }
                None if self.difference.is_none() => {
                    self.difference = Some(Difference {
                        record: Broken::Bundle {
                            file: bundle.file.clone(),
                            index,
                            reason: trouble.clone().unwrap_or_default(),
                        },
                        tile: None,
                    });
                }
                None => {}
            }
            let (source, upper) = (self.source, &mut self.upper);
            let later = &mut self.later;
            self.hashes.push(*expected, |level, number, made| {
                check_upper(source, level, number, made, upper, later)
            })?;
        }
        if let Some(reason) = trouble
            && self.difference.is_none()
        {
            return Err(Broken::Bundle {
                file: bundle.file,
                index: first + width as u64,
                reason,
            });
        }
        let prefix = |count: usize| {
            let lengths = records.iter().take(count).map(|record| 2 + record.len());
            lengths.sum::<usize>()
        };
        self.older(&bundle_path, &bundle, width, prefix)?;
        self.older(&tile_path, &tile, width, |count| count * 32)
    }

    /// Checks what is kept of a tile from when it was smaller, which older checkpoints need.
    fn older(
        &mut self,
        path: &str,
        tile: &Tile,
        width: usize,
        prefix: impl Fn(usize) -> usize,
    ) -> Result<(), Broken> {
        older(self.source, path, &tile.bytes, width, prefix, &mut self.later)
    }

    /// At the size of the checkpoint signed last: whether it signs this tree.
    fn note_last(&mut self) -> Result<(), Broken> {
        if let Some(last) = self.last
            && last.size == self.entries.size
            && self.later.is_none()
            && self.difference.is_none()
            && last.root != self.entries.root()
        {
            self.later = Some(Broken::Inconsistent {
                file: last.file.clone(),
                size: last.size,
            });
        }
        Ok(())
    }

    /// Follows a record along its chain, as long as nothing is wrong.
    fn record(&mut self, index: u64, record: &[u8], file: &str) {
        if self.later.is_some() || self.difference.is_some() {
            return;
        }
        let in_wal = self.wal.and_then(|wal| wal.records.get(&index));
        if in_wal.is_some_and(|in_wal| in_wal != record) {
            self.later = Some(Broken::Differs {
                index,
                file: file.to_owned(),
            });
            return;
        }
        match self.trails.follow(index, record, file) {
            Ok(time) => self.last_time = Some(time),
            Err(broken) => self.later = Some(broken),
        }
    }

    /// The tiles above the lowest that are not full.
    fn upper_partials(&mut self) -> Result<(), Broken> {
        let size = self.checkpoint.size;
        for (level, made) in self.hashes.levels.iter().enumerate().skip(1) {
            if !made.is_empty() {
                let number = size >> (8 * level) >> 8;
                let (upper, later) = (&mut self.upper, &mut self.later);
                check_upper(self.source, level, number, made, upper, later)?;
            }
        }
        Ok(())
    }

    /// What is wrong, if anything is: the checkpoint says which of two things that differ is right.
    fn judge(&mut self) -> Result<(), Broken> {
        self.note_last()?;
        let root = self.checkpoint.root;
        if let Some(Difference { record, tile }) = self.difference.take() {
            let records_are_right =
                self.entries.size == self.checkpoint.size && self.entries.root() == root;
            return Err(match tile {
                Some(tile) if records_are_right => tile,
                _ => record,
            });
        }
        let found = self.hashes.root();
        if found != root {
            return Err(Broken::Root {
                size: self.checkpoint.size,
                found: BASE64.encode(found),
                expected: BASE64.encode(root),
            });
        }
        let broken = self.upper.take().or_else(|| self.later.take());
        broken.map_or(Ok(()), Err)
    }
}

/// Compares a tile above the lowest with what the lowest make.
fn check_upper(
    source: &dyn Source,
    level: usize,
    number: u64,
    made: &[Hash],
    upper: &mut Option<Broken>,
    later: &mut Option<Broken>,
) -> Result<(), Broken> {
    let path = tile_path(&level.to_string(), number);
    let tile = get_tile(source, &path, made.len(), || {
        "the tree that the checkpoint signs has it".to_owned()
    })?;
    let found = hashes(&tile, made.len())?;
    let different = found.iter().zip(made).position(|(found, made)| found != made);
    if let Some(position) = different
        && upper.is_none()
    {
        let text = |hashes: &[Hash]| hashes.get(position).map(|hash| lower_hex(hash));
        *upper = Some(Broken::Tile {
            file: tile.file.clone(),
            position,
            found: text(&found).unwrap_or_default(),
            expected: text(made).unwrap_or_default(),
        });
    }
    older(source, &path, &tile.bytes, made.len(), |count| count * 32, later)
}

fn older(
    source: &dyn Source,
    path: &str,
    bytes: &[u8],
    width: usize,
    prefix: impl Fn(usize) -> usize,
    later: &mut Option<Broken>,
) -> Result<(), Broken> {
    let widths = source.partials(path).map_err(|error| Broken::Unreadable {
        file: format!("{path}.p"),
        error,
    })?;
    for older in widths.into_iter().filter(|older| *older < width) {
        let file = format!("{path}.p/{older}");
        // A gateway removes them once the tile is full.
        let Some(found) = get(source, &file)? else {
            continue;
        };
        let expected = bytes.get(..prefix(older)).unwrap_or_default();
        if found != expected && later.is_none() {
            let position = found.iter().zip(expected).position(|(found, made)| found != made);
            *later = Some(match position {
                None => Broken::Length {
                    file,
                    found: found.len(),
                    expected: expected.len(),
                },
                Some(position) => Broken::Older { file, position },
            });
        }
    }
    Ok(())
}

// The chains.

/// Every chain, as far as it has been followed.
#[derive(Default)]
struct Trails(HashMap<String, Trail>);

#[derive(Default)]
struct Trail {
    seq: u64,
    last: Hash,
    closed: bool,
    unfinished: BTreeSet<u64>,
}

impl Trails {
    /// Checks that a record is the next of its chain; returns its time.
    fn follow(&mut self, index: u64, bytes: &[u8], file: &str) -> Result<String, Broken> {
        let not_a_record = |reason: &str| Broken::NotARecord {
            index,
            file: file.to_owned(),
            reason: reason.to_owned(),
        };
        let record: Value =
            serde_json::from_slice(bytes).map_err(|error| not_a_record(&error.to_string()))?;
        let text = |name: &str| record.get(name).and_then(Value::as_str);
        let number = |name: &str| record.get(name).and_then(Value::as_u64);
        let (Some(run), Some(seq), Some(prev), Some(kind), Some(time)) =
            (text("run"), number("seq"), text("prev"), text("type"), text("time"))
        else {
            return Err(not_a_record("one of run, seq, prev, type and time is missing"));
        };
        if number("v") != Some(1) {
            return Err(not_a_record("it is of a version other than 1"));
        }
        if run != "gateway" && run.parse::<RunId>().is_err() {
            return Err(not_a_record("its run is neither a run's id nor `gateway`"));
        }
        let trail = self.0.entry(run.to_owned()).or_default();
        let check = |what: &'static str, found: String, expected: String| {
            if found == expected {
                return Ok(());
            }
            Err(Broken::Chain {
                index,
                name: format!("{run}/{seq}"),
                file: file.to_owned(),
                what,
                found,
                expected,
            })
        };
        if trail.closed {
            check("a record after run.closed", kind.to_owned(), "none".to_owned())?;
        }
        check("seq", seq.to_string(), (trail.seq + 1).to_string())?;
        check("prev", prev.to_owned(), lower_hex(&trail.last))?;
        if run != "gateway" {
            let opened = (kind == "run.opened").to_string();
            check("being a run.opened", opened, (seq == 1).to_string())?;
        }
        let of = number("of");
        match kind {
            "call.decided" => {
                let effect = record.get("decision").and_then(|decision| decision.get("effect"));
                if effect.and_then(Value::as_str) == Some("allow") {
                    trail.unfinished.insert(seq);
                }
            }
            "call.finished" => {
                let of = of.filter(|of| (1..seq).contains(of));
                let of = of.ok_or_else(|| not_a_record("its `of` is no earlier record"))?;
                trail.unfinished.remove(&of);
            }
            "run.closed" => {
                let count = number("count").map_or("missing".to_owned(), |count| count.to_string());
                check("count", count, seq.to_string())?;
                let last = text("last").unwrap_or("missing").to_owned();
                check("last", last, lower_hex(&trail.last))?;
                trail.closed = true;
            }
            _ => {}
        }
        trail.seq = seq;
        trail.last = Sha256::digest(bytes).into();
        Ok(time.to_owned())
    }

    /// Follows what the write-ahead log has beyond the checkpoint; returns how much that is.
    fn follow_tail(&mut self, wal: Option<&Wal>, covered: u64) -> Result<u64, Broken> {
        let Some(wal) = wal else {
            return Ok(0);
        };
        let mut tail = 0;
        for (index, record) in wal.records.range(covered..) {
            self.follow(*index, record, "the write-ahead log")?;
            tail += 1;
        }
        Ok(tail)
    }

    fn records_of(&self, run: Option<RunId>) -> u64 {
        let trail = run.and_then(|run| self.0.get(&run.to_string()));
        trail.map_or(0, |trail| trail.seq)
    }

    fn report(&self, run: RunId, covered: u64) -> Option<RunReport> {
        let run = run.to_string();
        let trail = self.0.get(&run)?;
        Some(RunReport {
            run,
            records: trail.seq,
            tail: trail.seq.saturating_sub(covered),
            state: if trail.closed { RunState::Closed } else { RunState::Open },
            without_outcome: trail.unfinished.len() as u64,
        })
    }

    fn count(&self, state: RunState) -> u64 {
        let runs = self.0.iter().filter(|(run, _)| *run != "gateway");
        runs.filter(|(_, trail)| trail.closed == (state == RunState::Closed)).count() as u64
    }

    fn without_outcome(&self) -> u64 {
        let closed = self.0.values().filter(|trail| trail.closed);
        closed.map(|trail| trail.unfinished.len() as u64).sum()
    }
}

/// What a record calls itself.
fn name_of(record: &[u8]) -> String {
    let value: Value = serde_json::from_slice(record).unwrap_or_default();
    match (value.get("run").and_then(Value::as_str), value.get("seq").and_then(Value::as_u64)) {
        (Some(run), Some(seq)) if run == "gateway" || run.parse::<RunId>().is_ok() => {
            format!("{run}/{seq}")
        }
        _ => "no longer readable".to_owned(),
    }
}

// The write-ahead log.

/// What the write-ahead log holds.
struct Wal {
    /// The index of the first record; nothing if there is none.
    base: Option<u64>,
    records: BTreeMap<u64, Vec<u8>>,
    torn: u64,
}

const SEGMENT_MAGIC: &[u8] = b"BWWAL01\n";
/// Magic and size.
const SEGMENT_HEAD: usize = 16;
/// Length and checksum; kind, index and durable.
const FRAME_HEAD: usize = 8;
const FRAME_FIXED: usize = 17;

/// A gateway may be writing it: what looks broken or gone may be so only for a moment.
fn read_wal(dir: &Path) -> Result<Wal, Broken> {
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

fn read_wal_once(dir: &Path) -> Result<Wal, Broken> {
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
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(base) = name.strip_suffix(".wal").and_then(|base| base.parse::<u64>().ok()) {
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
            return Err(broken(next, format!("records {next} to {} are missing", base - 1)));
        }
        let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, error))?;
        let size = bytes.get(SEGMENT_MAGIC.len()..SEGMENT_HEAD).unwrap_or_default();
        if !bytes.starts_with(SEGMENT_MAGIC) || size != (bytes.len() as u64).to_be_bytes() {
            return Err(broken(next, "the file was cut or its beginning altered".to_owned()));
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
        let torn = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if torn > 0 {
            // A batch that was being written is torn; one that is known to have been durable, by
            // what was written after it, is damaged.
            let durable = |at: usize| {
                let frame = rest.get(at..).and_then(read_frame);
                frame.is_some_and(|frame| frame.durable > next)
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

struct Frame<'a> {
    index: u64,
    durable: u64,
    record: &'a [u8],
    length: usize,
}

fn read_frame(bytes: &[u8]) -> Option<Frame<'_>> {
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

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn lower_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
        Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    #[test]
    fn opens_the_note_of_the_specification() {
        let key = Key::parse(VKEY).ok().unwrap();
        assert_eq!(key.open_note(NOTE.as_bytes()), Ok("This is an example message.\n"));
        for position in 0..NOTE.len() {
            let mut altered = NOTE.as_bytes().to_vec();
            altered[position] ^= 1;
            assert!(key.open_note(&altered).is_err(), "{position}");
        }
        // A line by a key that is not known is passed over.
        let more = format!("{NOTE}\u{2014} other.example/w AAAAAAAA\n");
        assert!(key.open_note(more.as_bytes()).is_ok());
    }

    #[test]
    fn every_change_to_a_key_shows() {
        for position in 0..VKEY.len() {
            for bit in 0..7 {
                let mut altered = VKEY.as_bytes().to_vec();
                altered[position] ^= 1 << bit;
                let altered = String::from_utf8(altered).unwrap();
                assert!(Key::parse(&altered).is_err(), "{altered}");
            }
        }
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        assert_eq!(tile_path("0", 1_234_067), "tile/0/x001/x234/067");
        assert_eq!(tile_path("entries", 5), "tile/entries/005");
        assert_eq!(tile_path("2", 1000), "tile/2/x001/000");
    }

    #[test]
    fn roots_are_those_of_an_independent_implementation() {
        let mut tree = Tree::default();
        let mut other = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
        for size in 0..1200u64 {
            assert_eq!(tree.root().as_slice(), other.root().as_bytes().as_slice(), "{size}");
            let record = size.to_be_bytes().to_vec();
            tree.push(leaf_hash(&record), |_, _, _| Ok(())).ok().unwrap();
            other.push(record);
        }
    }
}
