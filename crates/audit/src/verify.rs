//! Checking a log without trusting who wrote it. What is here and in the folder beside it reads the
//! bytes as `docs/log-format.md` describes them and shares no code with the writer, so that a
//! mistake there cannot hide here.

mod broken;
pub(crate) mod checkpoint;
mod fields;
pub(crate) mod key;
pub(crate) mod note;
mod policy;
pub(crate) mod proof;
mod said;
mod tile;
mod trails;
mod tree;
mod wal;
mod walk;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use bailiwick_run::RunId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

pub use self::broken::Broken;
use self::checkpoint::Checkpoint;
use self::key::LogKey;
pub use self::policy::{
    Cosigned, Judgement, KnownLog, KnownWitness, NotTrusted, Policy, PolicyError,
};
pub use self::said::{Predecessor, Successor};
use self::tile::{CHECKPOINT, get, tile_path};
use self::trails::Trails;
use self::tree::{TILE, Tree};
use self::wal::{Wal, read_wal};
use self::walk::Walk;

/// Where the published files of a log come from: `checkpoint`, `tile/…`.
pub trait Source {
    /// The file at this path, or nothing where there is none. An error is a failure to ask, not an
    /// answer.
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// The widths of the partial tiles kept for the tile at this path. A source that cannot list
    /// has none to check.
    fn partials(&self, _path: &str) -> io::Result<Vec<usize>> {
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
    /// Records at the beginning that were pruned, as the log says itself. Their hashes are whole, and
    /// what they said is gone.
    pub pruned: u64,
    /// Runs of which the first records are pruned.
    pub runs_cut: u64,
    /// Runs whose payloads were erased, in that order.
    pub erased: Vec<String>,
    /// The log that this one continues, and where that one ended.
    pub continues: Option<Predecessor>,
    /// The log that continues this one.
    pub continued_by: Option<Successor>,
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
    /// Its first records are pruned: it is followed from the first that is there.
    pub begins_before: bool,
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

/// Checks everything: the checkpoint's signature, every record's hash, every tile, the root, the
/// chain of every run, and, where given, the write-ahead log and the checkpoint signed last. A
/// gateway may be writing the log meanwhile.
///
/// The first broken thing ends it.
pub fn verify(source: &dyn Source, vkey: &str, options: &VerifyOptions) -> Result<Report, Broken> {
    let key = LogKey::parse(vkey).map_err(|why| Broken::Key(why.to_string()))?;
    // In this order, a running gateway can only make what is read later larger.
    let wal = match &options.wal_dir {
        Some(dir) => Some(read_wal(dir)?),
        None => None,
    };
    let last = match &options.last_checkpoint {
        Some(path) => Checkpoint::read(&key, path)?,
        None => None,
    };
    let checkpoint = get(source, CHECKPOINT)?.ok_or_else(|| Broken::Missing {
        file: CHECKPOINT.to_owned(),
        expected: "every log has one, from its start".to_owned(),
    })?;
    let checkpoint = Checkpoint::open(&key, CHECKPOINT, &checkpoint)?;
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
    if trails.first > trails.said.pruned {
        return Err(Broken::Missing {
            file: tile_path("entries", trails.said.pruned / TILE as u64),
            expected: format!(
                "the log says itself that records before {} were pruned, and no others",
                trails.said.pruned
            ),
        });
    }
    Ok(Report {
        origin: key.name().to_owned(),
        records: checkpoint.size,
        root: BASE64.encode(checkpoint.root),
        last_time,
        tail,
        torn_bytes: wal.as_ref().map_or(0, |wal| wal.torn),
        runs_open: trails.count(RunState::Open),
        runs_closed: trails.count(RunState::Closed),
        without_outcome: trails.without_outcome(),
        pruned: trails.first,
        runs_cut: trails.cut(),
        erased: trails.said.erased.iter().map(RunId::to_string).collect(),
        continues: trails.said.continues.clone(),
        continued_by: trails.said.continued_by.clone(),
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

fn read_if_there(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Reads the lower-case hexadecimal digits of a hash.
fn from_hex(text: &str) -> Option<tree::Hash> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut hash = [0; 32];
    if text.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(hash)
}

fn lower_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}
