//! Starting: takes the folder, checks that what is there fits together, and brings what was durable
//! and not yet in the tree there, by the same code that does it while running.

mod key;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_run::RunId;

use crate::chain::{ChainId, Chains, Step};
use crate::digest::Digest;
use crate::disk::{self, Disk};
use crate::error::AppendError;
use crate::integrator::{Covered, Durable, Integrator};
use crate::keys::{KeyError, Keys};
use crate::layout::Layout;
use crate::log::Config;
use crate::merkle::{Edge, TILE};
use crate::note::{self, Checkpoint, Public};
use crate::payload::{self, MasterKey, PayloadKey};
use crate::prune::{self, Pruner};
use crate::publication::{Publication, Published};
use crate::reader::Reader;
use crate::record::{ContinuedBy, Continues};
use crate::rotate;
use crate::sign::{SignError, Unsigned};
use crate::threads;
use crate::tiles;
use crate::wal::frame::Frame;
use crate::wal::scan::{self, End, Scan, WalError};
use crate::wal::segment::{self, HEAD_LEN};
use key::Key;

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The log's name cannot be one.
    #[error("`{0}` cannot name a log: {rule}, such as `acme.example/bailiwick`", rule = note::NAME_RULE)]
    Origin(String),
    /// Another gateway has the folder.
    #[error(
        "the data folder {} is in use by another gateway; stop that one, or use another folder",
        .0.display()
    )]
    InUse(PathBuf),
    /// A key is missing or is not one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The write-ahead log is damaged.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// A checkpoint is missing or is not this log's.
    #[error("the checkpoint {} cannot be used: {reason}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The published checkpoint is older than the last one that was signed.
    #[error(
        "{} is over {found} records, but a checkpoint over {signed} was signed: the log was rolled \
         back. Restore it, or keep the data folder for examination and start with a new one",
        path.display()
    )]
    RolledBack {
        /// The file.
        path: PathBuf,
        /// How many records it covers.
        found: u64,
        /// How many the last one covers.
        signed: u64,
    },
    /// The tiles are not those that were signed.
    #[error(
        "the tree of the first {size} records in {} is not the one that was signed; \
         `bailiwick verify` says where. Restore it, or keep the data folder for examination and \
         start with a new one",
        path.display()
    )]
    Tree {
        /// The log's folder.
        path: PathBuf,
        /// How many records the signed tree has.
        size: u64,
    },
    /// A stored record does not follow the one before it.
    #[error(
        "record {index} does not follow the one before it in its chain; `bailiwick verify` says \
         more. Restore the log, or keep the data folder for examination and start with a new one"
    )]
    Chain {
        /// Which record.
        index: u64,
    },
    /// The key of an open run's payloads does not open.
    #[error(
        "the payload key of {0} does not open with keys/payload.key; restore both from the same \
         backup"
    )]
    PayloadKey(String),
    /// The first record of a log that continues another cannot be made.
    #[error("the log cannot say which one it continues: {0}")]
    Continues(AppendError),
    /// The note of how far the log is pruned is not what the log says.
    #[error(
        "{} has records before {noted} taken for pruned, but the log says that those before {said} \
         are; restore the file, or write {said} into it",
        path.display()
    )]
    Pruned {
        /// The note.
        path: PathBuf,
        /// What it says.
        noted: u64,
        /// What the log says.
        said: u64,
    },
    /// The log before it says that another one continues it.
    #[error(
        "the log before this one was rotated to go on as {said}, and {name} is not that: give `name` \
         in bailiwick.toml that value"
    )]
    OtherName {
        /// The name that it is to have.
        said: String,
        /// The name that was given.
        name: String,
    },
    /// A rotation was to another key.
    #[error(
        "the log before this one was rotated to go on under the key {said}, and this one's is {is}: give back that \
         key, or the signer that has it"
    )]
    OtherKey {
        /// The key that it is to have.
        said: String,
        /// The key that there is.
        is: String,
    },
    /// A rotation was begun.
    #[error(
        "the log in {} is being rotated, and that was not finished: run `bailiwick rotate` again",
        .0.display()
    )]
    Rotating(PathBuf),
    /// A signer is to sign the log, and its key is here, too.
    #[error(
        "{} is here, but a signer is configured; the point of one is that the gateway does not have \
         the key. Give the signer this key (`bailiwick signer --key FILE`) and remove it here, or \
         take `signer` out of the configuration",
        .0.display()
    )]
    TwoKeys(PathBuf),
    /// The signer refuses: it has signed another history of this log.
    #[error(
        "the signer at {} refuses to sign this log: {reason}. If the data folder was restored from \
         an older copy, restore the newest one; if not, keep it for examination and start with a \
         new one, under another name",
        socket.display()
    )]
    SignerRefuses {
        /// The socket.
        socket: PathBuf,
        /// Why.
        reason: String,
    },
    /// The signer cannot be had, or is not this log's.
    #[error(
        "the signer at {} cannot be used: {reason}. `bailiwick signer` has to run before the first \
         start, for this log's name",
        socket.display()
    )]
    Signer {
        /// The socket.
        socket: PathBuf,
        /// Why not.
        reason: String,
    },
    /// There is no room for the reserve, without which closing records could not be sure of theirs.
    #[error(
        "the disk of the data folder {} is full, and the log needs {} MiB more to start; make room, \
         and start it again",
        dir.display(), needs >> 20
    )]
    DiskFull {
        /// The folder.
        dir: PathBuf,
        /// How many bytes it needs.
        needs: u64,
    },
    /// A file or folder could not be read or written.
    #[error("cannot use {}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
}

/// What a start found unfinished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Runs that were opened and not closed.
    pub open_runs: Vec<RunId>,
    /// Calls of those that were allowed and have no outcome: the run, and the `seq` of the decision.
    pub unfinished: Vec<(RunId, u64)>,
    /// How many bytes of a batch that never became durable were cleared away. Nobody had a receipt
    /// for what they were.
    pub torn_bytes: u64,
}

/// Everything the threads start from.
pub(crate) struct Opened {
    pub(crate) lock: File,
    pub(crate) keys: Keys,
    pub(crate) vkey: String,
    pub(crate) chains: Chains,
    pub(crate) payload_keys: HashMap<ChainId, PayloadKey>,
    pub(crate) integrator: Integrator,
    pub(crate) unsigned: Unsigned,
    pub(crate) publication: Arc<Publication>,
    pub(crate) recovered: Recovered,
    /// The log that this one, which is empty, continues.
    pub(crate) continues: Option<Continues>,
    /// The segment in use, where to go on in it, and how much of it is left.
    pub(crate) segment: File,
    pub(crate) offset: u64,
    pub(crate) left: u64,
    /// The index of the next record.
    pub(crate) next: u64,
    pub(crate) reserve: PathBuf,
    pub(crate) spare: Option<PathBuf>,
    /// The highest number a prepared segment has.
    pub(crate) prepared: u64,
}

/// Opens the log in a data folder.
pub(crate) fn open(
    layout: &Layout,
    config: Config,
    disk: &Arc<dyn Disk>,
    segment_size: u64,
) -> Result<Opened, OpenError> {
    let Config {
        dir: _,
        origin,
        signer,
        payload_key,
    } = config;
    if !note::is_name(&origin) {
        return Err(OpenError::Origin(origin));
    }
    // Before anything is made that the rotation would find in its way.
    if layout.archive_next().exists() {
        return Err(OpenError::Rotating(layout.dir()));
    }
    make_folders(layout)?;
    let lock = take_lock(layout)?;
    let scan = scan::scan(&layout.wal())?;
    let published = at(layout.checkpoint(), disk::read)?;
    let last = at(layout.last_checkpoint(), disk::read)?;
    let new = published.is_none() && last.is_none() && scan.is_new();
    let keys = Keys::open(&layout.keys(), new, payload_key.as_ref())?;
    let said = match new {
        true => at(layout.archive(), |_| rotate::successor(layout))?,
        false => None,
    };
    if let Some(ContinuedBy { origin: said, .. }) = &said
        && *said != origin
    {
        let said = said.clone();
        return Err(OpenError::OtherName { said, name: origin });
    }
    let key = Key::find(layout, origin, signer.clone(), new)?;
    let vkey = key.public().vkey();
    if let Some(ContinuedBy { vkey: said, .. }) = said
        && said != vkey
    {
        return Err(OpenError::OtherKey { said, is: vkey });
    }
    let found = if new {
        None
    } else {
        Some(check_signed(layout, key.public(), published, last)?)
    };
    let signed = found.as_ref().map(|found| found.checkpoint);
    let publication = Arc::new(Publication::new(Arc::clone(disk), layout.clone(), found));
    write_vkey(layout, &vkey)?;

    let covered = signed.map_or(0, |signed| signed.size);
    let edge = read_edge(layout, signed)?;
    let partial = match Edge::width(covered, 0) {
        0 => Vec::new(),
        _ => read_entries(layout, covered / TILE as u64, covered)?,
    };
    let at_checkpoint = read_chains(layout, covered)?;
    let (in_use, replayed) = repair(layout, disk, &scan, covered, segment_size)?;

    let mut chains = at_checkpoint.clone();
    let mut records = Vec::with_capacity(replayed.len());
    let mut wrapped_keys = HashMap::new();
    for Frame { index, body, .. } in replayed {
        let step = follow(&mut chains, index, body.record())?;
        if let Some(key) = body.key() {
            wrapped_keys.insert(step.chain, key.to_vec());
        }
        records.push(Durable { step, body });
    }
    let next = covered + records.len() as u64;

    let pruner = at(layout.pruned(), |_| {
        Pruner::new(Arc::clone(disk), layout.clone())
    })?;
    check_pruned(layout, &pruner)?;
    let mut integrator = Integrator::new(
        layout.clone(),
        Arc::clone(disk),
        pruner,
        key.into_signer(covered),
        Arc::clone(&publication),
        Covered {
            signed,
            edge,
            entries: partial,
            chains: at_checkpoint,
        },
    );
    integrator.add(records);
    let mut unsigned = Unsigned::default();
    let started = integrator.start();
    if signed.is_some() {
        unsigned.note(&started);
    }
    match started {
        Ok(()) => {}
        // In both cases the integrator's thread goes on trying.
        Err(SignError::Io(error)) if signed.is_some() && disk::is_full(&error) => {}
        Err(SignError::Unavailable { .. }) if signed.is_some() => {}
        Err(SignError::Io(error)) => {
            let path = layout.log();
            return Err(OpenError::Io { path, error });
        }
        Err(SignError::Unavailable { reason, .. }) => {
            let socket = signer.unwrap_or_default();
            return Err(OpenError::Signer { socket, reason });
        }
        Err(SignError::Refused { reason, .. }) => {
            let socket = signer.unwrap_or_default();
            return Err(OpenError::SignerRefuses { socket, reason });
        }
    }

    let recovered = Recovered {
        torn_bytes: in_use.torn,
        ..unfinished(&chains)
    };
    let payload_keys = payload_keys(layout, &keys.payload, &chains, wrapped_keys)?;
    let (reserve, spare, prepared) =
        prepared(layout, disk.as_ref(), segment_size).map_err(|error| match error {
            OpenError::Io { error, .. } if disk::is_full(&error) => OpenError::DiskFull {
                dir: layout.dir(),
                needs: segment_size,
            },
            error => error,
        })?;
    Ok(Opened {
        lock,
        keys,
        vkey,
        chains,
        payload_keys,
        integrator,
        unsigned,
        publication,
        recovered,
        continues: match next {
            0 => at(layout.archive(), |_| rotate::predecessor(layout))?,
            _ => None,
        },
        segment: at(in_use.path, threads::open_segment)?,
        offset: in_use.offset,
        left: in_use.left,
        next,
        reserve,
        spare,
        prepared,
    })
}

/// What is still to be removed, by the note of it, must be what the log says itself: nothing is removed
/// because of a damaged note.
fn check_pruned(layout: &Layout, pruner: &Pruner) -> Result<(), OpenError> {
    if !pruner.is_behind() {
        return Ok(());
    }
    let path = layout.pruned();
    let said = Reader::new(layout.clone(), None).last_pruned();
    let said = said.map_err(|error| OpenError::Io {
        path: path.clone(),
        error: io::Error::other(error),
    })?;
    match pruner.before() <= said {
        true => Ok(()),
        false => Err(OpenError::Pruned {
            path,
            noted: pruner.before(),
            said,
        }),
    }
}

/// The segment in which to go on.
struct InUse {
    path: PathBuf,
    offset: u64,
    left: u64,
    torn: u64,
}

fn make_folders(layout: &Layout) -> Result<(), OpenError> {
    at(layout.dir(), |dir| {
        // Its mode is the operator's to change: it is set only when the folder is made.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
    })?;
    for private in [layout.keys(), layout.payloads(), layout.wal()] {
        at(private, |dir| disk::make_dir(dir, 0o700))?;
    }
    at(layout.log(), |dir| disk::make_dir(dir, 0o755))
}

pub(crate) fn take_lock(layout: &Layout) -> Result<File, OpenError> {
    let lock = at(layout.lock(), |path| {
        let mut options = OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(false)
            .mode(disk::PRIVATE);
        options.open(path)
    })?;
    match at(layout.lock(), |_| disk::lock(&lock))? {
        true => Ok(lock),
        false => Err(OpenError::InUse(layout.dir())),
    }
}

/// The checkpoint to go on from: the published one, if it is not older than the last one signed.
fn check_signed(
    layout: &Layout,
    public: &Public,
    published: Option<Vec<u8>>,
    last: Option<Vec<u8>>,
) -> Result<Published, OpenError> {
    let open = |path: PathBuf, note: &[u8]| {
        public.open(note).map_err(|error| OpenError::Checkpoint {
            path,
            reason: error.to_string(),
        })
    };
    let Some(published) = published else {
        return Err(OpenError::Checkpoint {
            path: layout.checkpoint(),
            reason: "it is missing, but the log is not new; restore it, or keep the data folder \
                     for examination and start with a new one"
                .to_owned(),
        });
    };
    let checkpoint = open(layout.checkpoint(), &published)?;
    // Opened, it is text.
    let note = public.only_ours(&String::from_utf8_lossy(&published));
    let published = Published { checkpoint, note };
    let Some(last) = last else {
        return Ok(published);
    };
    let last = open(layout.last_checkpoint(), &last)?;
    if checkpoint.size < last.size {
        return Err(OpenError::RolledBack {
            path: layout.checkpoint(),
            found: checkpoint.size,
            signed: last.size,
        });
    }
    // The published one is newer if a crash came between the two writes.
    read_edge(layout, Some(last))?;
    if checkpoint.size == last.size && checkpoint.root != last.root {
        return Err(OpenError::Tree {
            path: layout.log(),
            size: last.size,
        });
    }
    Ok(published)
}

/// The edge of the tree that was signed, after checking that it is that tree.
fn read_edge(layout: &Layout, signed: Option<Checkpoint>) -> Result<Edge, OpenError> {
    let Some(signed) = signed else {
        return Ok(Edge::default());
    };
    let edge = at(layout.log(), |log| tiles::read_edge(log, signed.size))?;
    if edge.root() == signed.root {
        Ok(edge)
    } else {
        Err(OpenError::Tree {
            path: layout.log(),
            size: signed.size,
        })
    }
}

fn read_entries(layout: &Layout, number: u64, size: u64) -> Result<Vec<Vec<u8>>, OpenError> {
    let file = tiles::path(tiles::Kind::Bundle, number, None);
    at(layout.log().join(file), |_| {
        tiles::read_entries(&layout.log(), number, size)
    })
}

/// Where the chains stand after `covered` records: from the snapshot, and what came after it.
fn read_chains(layout: &Layout, covered: u64) -> Result<Chains, OpenError> {
    let snapshot = at(layout.snapshot(), disk::read)?;
    let snapshot = snapshot.as_deref().and_then(Chains::from_snapshot);
    let pruned = at(layout.pruned(), |_| prune::noted(layout))?;
    // Without the snapshot, what is pruned can be read no more: its chains begin where they are met.
    let snapshot = snapshot.filter(|(size, _)| (pruned..=covered).contains(size));
    let follow = match snapshot {
        None if pruned > 0 => follow_pruned,
        _ => follow,
    };
    let (from, mut chains) = snapshot.unwrap_or((pruned, Chains::default()));
    let tile = TILE as u64;
    for number in from / tile..covered.div_ceil(tile) {
        let first = number * tile;
        for (index, record) in (first..).zip(read_entries(layout, number, covered)?) {
            if index >= from {
                follow(&mut chains, index, &record)?;
            }
        }
    }
    Ok(chains)
}

fn follow(chains: &mut Chains, index: u64, record: &[u8]) -> Result<Step, OpenError> {
    follow_as(Chains::follows, chains, index, record)
}

fn follow_pruned(chains: &mut Chains, index: u64, record: &[u8]) -> Result<Step, OpenError> {
    follow_as(Chains::follows_pruned, chains, index, record)
}

fn follow_as(
    follows: fn(&Chains, &Step, Digest) -> bool,
    chains: &mut Chains,
    index: u64,
    record: &[u8],
) -> Result<Step, OpenError> {
    match Step::of_stored(record) {
        Ok((step, prev)) if follows(chains, &step, prev) => {
            chains.apply(&step);
            Ok(step)
        }
        _ => Err(OpenError::Chain { index }),
    }
}

/// Clears away what a crash left torn and returns where to go on, and the records that no
/// checkpoint covers.
fn repair(
    layout: &Layout,
    disk: &Arc<dyn Disk>,
    scan: &Scan,
    covered: u64,
    segment_size: u64,
) -> Result<(InUse, Vec<Frame>), OpenError> {
    let wal = layout.wal();
    if let Some(first) = scan.segments.first()
        && first.base > covered
    {
        return Err(OpenError::Wal(WalError::Gap {
            from: covered,
            to: first.base,
            next: first.path.clone(),
        }));
    }
    let end = scan.segments.first().map_or(0, |first| first.base) + scan.frames.len() as u64;
    match (scan.segments.last(), &scan.end) {
        (Some(last), Some(End { offset, size, torn })) if end >= covered => {
            at(last.path.clone(), |path| {
                let file = threads::open_segment(path)?;
                if *torn > 0 {
                    let zeros = vec![0; usize::try_from(*torn).unwrap_or(usize::MAX)];
                    disk.write(&file, &zeros, *offset)?;
                }
                // What was found may be with the operating system alone: a kill comes between a
                // write and its sync. From here on it is said to be durable.
                disk.sync(&file)
            })?;
            let in_use = InUse {
                path: last.path.clone(),
                offset: *offset,
                left: size.saturating_sub(*offset),
                torn: *torn,
            };
            let replayed = scan.frames.iter().filter(|frame| frame.index >= covered);
            Ok((in_use, replayed.cloned().collect()))
        }
        // Nothing there that the tree does not have: begin anew where the tree ends.
        (_, end) => {
            for segment in &scan.segments {
                at(segment.path.clone(), |path| std::fs::remove_file(path))?;
            }
            let begin = |wal: &Path| {
                let prepared = segment::prepare(disk.as_ref(), wal, 0, segment_size)?;
                segment::take(disk.as_ref(), wal, &prepared, covered)
            };
            let in_use = InUse {
                path: at(wal, begin)?.path,
                offset: HEAD_LEN,
                left: segment_size.saturating_sub(HEAD_LEN),
                torn: end.as_ref().map_or(0, |end| end.torn),
            };
            Ok((in_use, Vec::new()))
        }
    }
}

/// The reserve and perhaps a spare, from an earlier start or made now.
fn prepared(
    layout: &Layout,
    disk: &dyn Disk,
    size: u64,
) -> Result<(PathBuf, Option<PathBuf>, u64), OpenError> {
    at(layout.wal(), |wal| {
        let mut found = segment::prepared(wal, size)?.into_iter();
        let reserve = match found.next() {
            Some(reserve) => reserve,
            None => segment::prepare(disk, wal, 1, size)?,
        };
        let spare = found.next();
        for more in found {
            std::fs::remove_file(more)?;
        }
        let number = |path: &PathBuf| segment::prepared_number(path).unwrap_or(0);
        let highest = number(&reserve).max(spare.as_ref().map_or(0, number));
        Ok((reserve, spare, highest))
    })
}

fn unfinished(chains: &Chains) -> Recovered {
    let mut recovered = Recovered::default();
    for (chain, links) in &chains.0 {
        if let ChainId::Run(run) = chain {
            recovered.open_runs.push(*run);
            let unfinished = links.unfinished.iter().map(|seq| (*run, *seq));
            recovered.unfinished.extend(unfinished);
        }
    }
    recovered
}

/// The payload keys of the chains that go on.
fn payload_keys(
    layout: &Layout,
    master: &MasterKey,
    chains: &Chains,
    mut wrapped: HashMap<ChainId, Vec<u8>>,
) -> Result<HashMap<ChainId, PayloadKey>, OpenError> {
    let mut keys = HashMap::new();
    for chain in chains.0.keys() {
        let stored = match wrapped.remove(chain) {
            Some(key) => Some(key),
            None => at(layout.payloads(), |dir| payload::stored_key(dir, *chain))?,
        };
        if let Some(stored) = stored {
            let key = master
                .unwrap(*chain, &stored)
                .map_err(|_| OpenError::PayloadKey(chain.to_string()))?;
            keys.insert(*chain, key);
        }
    }
    Ok(keys)
}

fn write_vkey(layout: &Layout, vkey: &str) -> Result<(), OpenError> {
    at(layout.vkey(), |path| {
        let line = format!("{vkey}\n").into_bytes();
        if disk::read(path)?.as_ref() == Some(&line) {
            return Ok(());
        }
        disk::replace(path, &line, disk::PUBLIC)
    })
}

/// Does something with a path; an error names it.
fn at<T>(path: PathBuf, work: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, OpenError> {
    work(&path).map_err(|error| OpenError::Io { path, error })
}
