//! Checking a log without trusting who wrote it. What is here and in the folder beside it reads the
//! bytes as `docs/log-format.md` describes them and shares no code with the writer, so that a
//! mistake there cannot hide here.

mod broken;
pub(crate) mod checkpoint;
mod fields;
pub(crate) mod key;
mod known;
pub(crate) mod note;
mod policy;
mod predecessors;
pub(crate) mod proof;
pub(crate) mod proof_file;
mod report;
mod resume;
mod said;
mod source;
mod tile;
pub(crate) mod trail;
mod trails;
mod tree;
mod wal;
mod walk;
mod witnesses;

use std::fmt;
use std::path::{Path, PathBuf};

use bailiwick_run::RunId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

pub use self::broken::Broken;
use self::checkpoint::{Checkpoint, Head};
use self::key::LogKey;
use self::known::Known;
use self::note::Note;
pub use self::policy::{
    Cosigned, Judgement, KnownLog, KnownWitness, NotTrusted, Policy, PolicyError,
};
pub use self::predecessors::verify_predecessors;
pub use self::proof_file::{NotProven, Proven, verify_receipt};
use self::report::Doubts;
pub use self::report::{Agreement, Report, Resumed, RunReport, RunState, Witnessed};
pub use self::said::{Predecessor, Successor};
pub use self::source::{DirSource, Source};
use self::source::{is_absence, read_if_there};
use self::tile::{CHECKPOINT, WITNESSED, get, tile_path};
pub use self::trail::{TrailBroken, TrailReport};
use self::trails::Trails;
use self::tree::TILE;
use self::wal::{read_pruned, read_wal};
use self::walk::Walk;
use self::witnesses::{Asked, ask};
use crate::limits;
use crate::transport::Transport;

/// What to check besides the published files.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// Report on this run by itself, too.
    pub run: Option<RunId>,
    /// The write-ahead log of the gateway: what is durable and not covered by a checkpoint yet.
    pub wal_dir: Option<PathBuf>,
    /// The checkpoint the gateway remembers to have signed last.
    pub last_checkpoint: Option<PathBuf>,
    /// A checkpoint of this log that was verified before: what it covers is not read again, but for
    /// the few records since the last full tile.
    pub since: Option<PathBuf>,
}

impl VerifyOptions {
    /// Everything that a data folder has to check.
    pub fn for_data_dir(dir: &Path, run: Option<RunId>) -> Self {
        Self {
            run,
            wal_dir: Some(dir.join("wal")),
            last_checkpoint: Some(dir.join("keys/last-checkpoint")),
            since: None,
        }
    }
}

/// How far a check has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Records read.
    pub done: u64,
    /// Records to be read.
    pub total: u64,
}

/// A check of a log: what is checked, and what with.
pub struct Verification<'a> {
    /// The published files.
    pub source: &'a dyn Source,
    /// Whom to trust. The log must be one of the policy's, and the policy's quorum must have seen it.
    pub policy: &'a Policy,
    /// What else to check.
    pub options: &'a VerifyOptions,
    /// Asks the policy's witnesses that have a URL for the newest checkpoint that they have seen. They
    /// stay unasked without it.
    pub transport: Option<&'a dyn Transport>,
    /// Is told how far it has come, a bundle of records at a time.
    pub progress: &'a dyn Fn(Progress),
}

/// Checks everything: the checkpoint's signature, every record's hash, every tile, the root, the
/// chain of every run, and, where given, the write-ahead log and the checkpoint signed last. A
/// gateway may be writing the log meanwhile.
///
/// The first broken thing ends it.
pub fn verify(source: &dyn Source, vkey: &str, options: &VerifyOptions) -> Result<Report, Broken> {
    let policy = Policy::of_log(vkey).map_err(|why| Broken::Key(why.to_string()))?;
    let check = Verification {
        source,
        policy: &policy,
        options,
        transport: None,
        progress: &|_| {},
    };
    check.run()
}

impl Verification<'_> {
    /// Does what [`verify`] does, and holds the log against its witnesses.
    ///
    /// # Errors
    /// The first broken thing.
    pub fn run(&self) -> Result<Report, Broken> {
        let mut tries = 0;
        loop {
            let first = self.checkpoint_note()?;
            match self.run_from(&first) {
                // A gateway may be pruning: what goes meanwhile goes under a newer checkpoint, whose
                // log says so.
                Err(Broken::Missing { file, .. })
                    if file.starts_with("tile/entries/")
                        && tries < limits::VERIFIED_AGAIN
                        && self.checkpoint_note()? != first =>
                {
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    fn run_from(&self, first: &[u8]) -> Result<Report, Broken> {
        let (source, options) = (self.source, self.options);
        // In this order, a running gateway can only make what is read later larger.
        let key = log_key(self.policy, first)?;
        let asked = match self.transport {
            Some(transport) => ask(self.policy, key, transport),
            None => Asked::default(),
        };
        // The note comes after the record of it, so it is read before.
        let noted = match &options.wal_dir {
            Some(dir) => read_pruned(dir)?,
            None => 0,
        };
        let wal = match &options.wal_dir {
            Some(dir) => Some(read_wal(dir)?),
            None => None,
        };
        let last = match &options.last_checkpoint {
            Some(path) => Checkpoint::read(key, path)?,
            None => None,
        };
        let since = match &options.since {
            Some(path) => Some(verified_before(key, path)?),
            None => None,
        };
        let witnessed_note = get(source, WITNESSED)?;
        let note = self.checkpoint_note()?;
        let checkpoint = Checkpoint::open(key, CHECKPOINT, &note)?;
        let judged = self.judge(CHECKPOINT, &note)?;
        let witnessed = match &witnessed_note {
            Some(note) => Some((
                Checkpoint::open(key, WITNESSED, note)?,
                self.judge(WITNESSED, note)?,
            )),
            None => None,
        };

        let has_last = last.is_some();
        let mut known: Vec<Known> = Vec::new();
        known.extend(last.map(Known::Last));
        known.extend(
            witnessed
                .as_ref()
                .map(|(checkpoint, _)| Known::Witnessed(checkpoint.clone())),
        );
        known.extend(since.clone().map(Known::Before));
        known.extend(asked.known.iter().cloned().map(Known::Witness));
        known.sort_by_key(|known| known.checkpoint().size);
        if let Some(ahead) = known.last()
            && ahead.checkpoint().size > checkpoint.size
        {
            return Err(ahead.is_ahead_of(checkpoint.size));
        }
        if let Some(base) = wal.as_ref().and_then(|wal| wal.base)
            && base > checkpoint.size
        {
            return Err(Broken::RolledBack {
                found: checkpoint.size,
                known: base,
                by: "the write-ahead log, which begins after records that are no longer needed \
                     there,"
                    .to_owned(),
            });
        }

        // All that is known must be compared, so reading starts before the smallest of it.
        let start = match (&since, known.first()) {
            (Some(_), Some(smallest)) => smallest.checkpoint().size / TILE as u64 * TILE as u64,
            _ => 0,
        };
        let edge = resume::edge(source, start, checkpoint.size)?;
        let mut walk = Walk {
            source,
            checkpoint: &checkpoint,
            known: &known,
            wal: wal.as_ref(),
            progress: self.progress,
            entries: edge.clone(),
            hashes: edge,
            trails: Trails::from(start),
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
        // Bundles go only once a checkpoint covers the record that says so: what stands in the
        // write-ahead log is not signed, and whoever can write there has no leave to give.
        let pruned = trails.said.pruned;
        let tail = trails.follow_tail(wal.as_ref(), checkpoint.size)?;
        if noted > trails.said.pruned && start == 0 {
            let dir = options.wal_dir.as_deref().unwrap_or(Path::new(""));
            return Err(Broken::PrunedNote {
                file: dir.join("pruned").display().to_string(),
                what: format!(
                    "has records before {noted} taken for pruned, and the log says that those before {} \
                     are",
                    trails.said.pruned
                ),
            });
        }
        if trails.first > pruned.max(start) {
            return Err(Broken::Missing {
                file: tile_path("entries", pruned / TILE as u64),
                expected: format!(
                    "the log says itself that records before {pruned} were pruned, and no others"
                ),
            });
        }
        let witnessed = self.quorum(&judged, witnessed.as_ref().map(|(_, judged)| judged))?;
        let doubts = Doubts {
            witnessed: witnessed.as_ref(),
            asked: &asked,
            has_last,
            wal: wal.as_ref(),
            records: checkpoint.size,
        };
        Ok(Report {
            origin: key.name().to_owned(),
            records: checkpoint.size,
            root: BASE64.encode(checkpoint.root),
            checkpoint: String::from_utf8_lossy(&note).into_owned(),
            unknown: doubts.in_words(),
            witnessed,
            asked: asked.agreements(),
            resumed: since.map(|_| Resumed {
                skipped: start,
                joined: trails.cut(),
            }),
            last_time,
            tail,
            torn_bytes: wal.as_ref().map_or(0, |wal| wal.torn),
            runs_open: trails.count(RunState::Open),
            runs_closed: trails.count(RunState::Closed),
            without_outcome: trails.without_outcome(),
            pruned: match trails.first {
                first if first > start => first,
                _ => 0,
            },
            runs_cut: match start {
                0 => trails.cut(),
                _ => 0,
            },
            erased: trails.said.erased.iter().map(RunId::to_string).collect(),
            continues: trails.said.continues.clone(),
            predecessors: Vec::new(),
            continued_by: trails.said.continued_by.clone(),
            run: options.run.and_then(|run| trails.report(run, covered)),
        })
    }

    fn checkpoint_note(&self) -> Result<Vec<u8>, Broken> {
        get(self.source, CHECKPOINT)?.ok_or_else(|| Broken::Missing {
            file: CHECKPOINT.to_owned(),
            expected: "every log has one, from its start".to_owned(),
        })
    }

    fn judge(&self, file: &str, note: &[u8]) -> Result<Judgement, Broken> {
        let judged = self.policy.judge(note);
        judged.map_err(|why| Broken::Checkpoint {
            file: file.to_owned(),
            reason: why.to_string(),
        })
    }

    /// Up to where enough witnesses have seen the log: that of the newest checkpoint that the policy
    /// accepts. Nothing if the policy asks for none and none has.
    fn quorum(
        &self,
        newest: &Judgement,
        witnessed: Option<&Judgement>,
    ) -> Result<Option<Witnessed>, Broken> {
        let both = [Some(newest), witnessed].into_iter().flatten();
        let mut enough = both.filter(|judged| judged.quorum && !judged.cosigned.is_empty());
        match enough.next() {
            Some(judged) => Ok(Some(Witnessed {
                records: judged.size,
                after: newest.size.saturating_sub(judged.size),
                by: judged.cosigned.clone(),
            })),
            None if self.policy.needs_no_witness() => Ok(None),
            None => Err(Broken::Unwitnessed {
                size: newest.size,
                by: names(newest),
                older: witnessed.map(|judged| {
                    format!(
                        " {WITNESSED}, of {} records, has {}.",
                        judged.size,
                        names(judged)
                    )
                }),
            }),
        }
    }
}

/// The key that has signed a log's checkpoint: the policy's only one, or that of the log it names.
fn log_key<'p>(policy: &'p Policy, note: &[u8]) -> Result<&'p LogKey, Broken> {
    let invalid = |reason: String| Broken::Checkpoint {
        file: CHECKPOINT.to_owned(),
        reason,
    };
    let note = Note::parse(note).map_err(|why| invalid(why.to_string()))?;
    let head = Head::parse(note.text()).map_err(|why| invalid(why.to_string()))?;
    if let [only] = policy.logs()
        && only.name() == head.origin
    {
        return Ok(&only.key);
    }
    let mut logs = policy.logs().iter();
    logs.find(|log| log.name() == head.origin && note.names(&log.key))
        .map(|log| &log.key)
        .ok_or_else(|| invalid(NotTrusted::UnknownLog(head.origin).to_string()))
}

fn verified_before(key: &LogKey, path: &Path) -> Result<Checkpoint, Broken> {
    Checkpoint::read(key, path)?.ok_or_else(|| Broken::Unreadable {
        file: path.display().to_string(),
        error: std::io::ErrorKind::NotFound.into(),
    })
}

fn names(judged: &Judgement) -> String {
    let names = judged.cosigned.iter().map(|seen| seen.witness.as_str());
    match names.collect::<Vec<_>>() {
        names if names.is_empty() => "no signature of a witness that the policy names".to_owned(),
        names => format!("those of {} alone", names.join(", ")),
    }
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
