//! Looking at what has been recorded, while a gateway runs or after.

mod forward;
mod in_order;
mod payloads;
mod tail;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bailiwick_run::RunId;

use crate::chain::ChainId;
use crate::digest::Digest;
use crate::disk;
use crate::entry::{Entry, Record};
use crate::keys::{self, KeyError, PayloadSecret};
use crate::layout::Layout;
use crate::merkle::TILE;
use crate::payload::{self, MasterKey, Sealed};
use crate::prune;
use crate::rotate;
use crate::tiles;
use crate::wal::frame::Frame;
use crate::wal::scan::{self, WalError};

pub use forward::Forward;
pub use in_order::InOrder;

/// Why something cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no log in the folder.
    #[error(
        "{} is not a data folder with a log; give the folder that `data` names in bailiwick.toml, or a copy \
         of it or of its `log` folder. After a rotation, the next `bailiwick serve` begins the new log",
        .0.display()
    )]
    NoLog(PathBuf),
    /// A file of the log could not be read.
    #[error("cannot read the log: {}: {error}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// The write-ahead log is damaged.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// A stored record is not one.
    #[error(
        "record {index} cannot be read ({reason}); `bailiwick verify` says whether it was altered"
    )]
    Record {
        /// Which.
        index: u64,
        /// Why not.
        reason: String,
    },
    /// The log is not the one that it was before, or is shorter.
    #[error("the log is {is}, with {size} records; it was {was}, with {before} at least")]
    Replaced {
        /// Its origin before.
        was: String,
        /// How many records it had at least.
        before: u64,
        /// Its origin now.
        is: String,
        /// How many records its checkpoint covers now.
        size: u64,
    },
    /// The master key is missing or is not one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key that opens payloads is not here, or not for this user.
    #[error(
        "the payload of {0} is sealed: the key that opens payloads is not in this folder, or may not be read"
    )]
    Sealed(String),
    /// The payload's key is gone.
    #[error("the payload key of {0} is gone: its payloads were erased, or are not in this folder")]
    Erased(String),
    /// The payload is gone.
    #[error("the payload of {0} is missing from the data folder")]
    PayloadMissing(String),
    /// The payload is not the one that was recorded.
    #[error(
        "the payload of {0} is not the one that was recorded: it was altered, or its key is another"
    )]
    PayloadAltered(String),
}

/// Reads the records and payloads of a data folder. It checks nothing that `verify` checks.
#[derive(Clone, Debug)]
pub struct Reader {
    layout: Layout,
    /// The master key of the payloads; nothing if it is in the data folder, or not to be had.
    master: Option<MasterKey>,
}

impl Reader {
    /// Reads the log of this data folder, whether or not a gateway has it open. A copy will do, also one of its
    /// `log` folder alone.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, ReadError> {
        let dir = dir.into();
        let layouts = [Layout::new(dir.clone()), Layout::published(dir.clone())];
        let mut layouts = layouts.into_iter();
        match layouts.find(|layout| layout.checkpoint().is_file()) {
            Some(layout) => Ok(Self::new(layout, None)),
            None => Err(ReadError::NoLog(dir)),
        }
    }

    pub(crate) fn new(layout: Layout, master: Option<MasterKey>) -> Self {
        Self { layout, master }
    }

    /// The same, with the master key of the payloads where that is not in the data folder.
    #[must_use]
    pub fn with_payload_key(self, key: Option<PayloadSecret>) -> Self {
        let master = key.map(|PayloadSecret(master)| master);
        Self { master, ..self }
    }

    fn master_key(&self, chain: ChainId) -> Result<MasterKey, ReadError> {
        match &self.master {
            Some(master) => Ok(master.clone()),
            None => match keys::master_key(&self.layout.keys()) {
                Err(KeyError::Missing(_)) => Err(ReadError::Sealed(chain.to_string())),
                Err(KeyError::Io { error, .. })
                    if error.kind() == io::ErrorKind::PermissionDenied =>
                {
                    Err(ReadError::Sealed(chain.to_string()))
                }
                key => Ok(key?),
            },
        }
    }

    /// Reads the log forward from the record of this index, or from the first that is not pruned, and
    /// on as more is recorded.
    pub fn from(&self, index: u64) -> Forward {
        Forward::new(self.clone(), index)
    }

    /// How many records there are now: the index that the next one gets.
    ///
    /// # Errors
    /// If the log cannot be read or is not whole.
    pub fn count(&self) -> Result<u64, ReadError> {
        let frames = self.frames()?;
        let covered = self.covered()?;
        Ok((frames.last_key_value()).map_or(covered, |(last, _)| covered.max(last + 1)))
    }

    /// The records of a run, in order; none if there is no such run. Also those of a log that was
    /// rotated away. Reads back from the newest record of the log until it has met the run's first.
    pub fn run(&self, run: &RunId) -> Result<Vec<Entry>, ReadError> {
        self.newest_with(
            |reader| reader.chain(ChainId::Run(*run)),
            |entries| !entries.is_empty(),
        )
    }

    /// The records of the gateway itself, in order.
    pub fn gateway(&self) -> Result<Vec<Entry>, ReadError> {
        self.chain(ChainId::Gateway)
    }

    /// The record of this name: `RUN/SEQ`, or the digest of its bytes.
    pub fn record(&self, digest_or_id: &str) -> Result<Option<Entry>, ReadError> {
        self.newest_with(|reader| reader.find(digest_or_id), Option::is_some)
    }

    /// The logs that this one continues, the oldest first.
    ///
    /// # Errors
    /// If the archive cannot be read.
    pub fn archived(&self) -> Result<Vec<Reader>, ReadError> {
        let archives = self.at(self.layout.archive(), |_| rotate::archives(&self.layout))?;
        let reader = |layout| Reader::new(layout, self.master.clone());
        Ok(archives.into_iter().map(reader).collect())
    }

    /// Looks in this log and then in those that it continues, the newest first.
    fn newest_with<T>(
        &self,
        look: impl Fn(&Reader) -> Result<T, ReadError>,
        found: impl Fn(&T) -> bool,
    ) -> Result<T, ReadError> {
        let here = look(self)?;
        if found(&here) {
            return Ok(here);
        }
        for archived in self.archived()?.into_iter().rev() {
            let there = look(&archived)?;
            if found(&there) {
                return Ok(there);
            }
        }
        Ok(here)
    }

    fn find(&self, digest_or_id: &str) -> Result<Option<Entry>, ReadError> {
        if let Some(digest) = Digest::parse(digest_or_id) {
            return self.last(|_, bytes| Digest::of(bytes) == digest);
        }
        let name = digest_or_id.rsplit_once('/').and_then(|(chain, seq)| {
            Some((
                chain.parse::<ChainId>().ok()?.to_string(),
                seq.parse::<u64>().ok()?,
            ))
        });
        let Some((chain, seq)) = name else {
            return Ok(None);
        };
        let mention = mention(&chain);
        self.last(|_, bytes| {
            contains(bytes, &mention)
                && Record::parse(bytes).is_ok_and(|record| record.run == chain && record.seq == seq)
        })
    }

    /// The run that was opened last, as far as records are left; nothing if none was yet. Also one of a
    /// log that was rotated away.
    pub fn newest_run(&self) -> Result<Option<RunId>, ReadError> {
        self.newest_with(Self::newest_run_here, Option::is_some)
    }

    /// Before which record the log says itself that it was pruned; zero where it does not.
    pub(crate) fn last_pruned(&self) -> Result<u64, ReadError> {
        let said = self.last(|_, bytes| {
            contains(bytes, b"\"type\":\"log.pruned\"")
                && Record::parse(bytes).is_ok_and(|record| record.pruned.is_some())
        })?;
        let said = said.and_then(|said| said.record.pruned);
        Ok(said.map_or(0, |pruned| pruned.before))
    }

    fn newest_run_here(&self) -> Result<Option<RunId>, ReadError> {
        let opening = self.last(|_, bytes| {
            contains(bytes, b"\"type\":\"run.opened\"")
                && Record::parse(bytes).is_ok_and(|record| record.r#type == "run.opened")
        })?;
        let newest = match opening {
            Some(opening) => Some(opening),
            // Its opening may be pruned, and the rest not.
            None => self.last(|_, bytes| {
                Record::parse(bytes).is_ok_and(|record| record.run.parse::<RunId>().is_ok())
            })?,
        };
        Ok(newest.and_then(|entry| entry.record.run.parse().ok()))
    }

    /// Every record, the newest first, until `visit` says no more: then also those of the logs that this one
    /// continues.
    ///
    /// # Errors
    /// If the log cannot be read, or `visit` fails.
    pub fn back(
        &self,
        mut visit: impl FnMut(&Entry) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        let mut goes_on = true;
        for log in std::iter::once(self.clone()).chain(self.archived()?.into_iter().rev()) {
            log.walk_back(|index, bytes| {
                goes_on = visit(&entry(index, bytes)?)?;
                Ok(goes_on)
            })?;
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// The newest records of the log, oldest of them first, at most `count`.
    pub fn newest(&self, count: usize) -> Result<Vec<Entry>, ReadError> {
        let mut entries = Vec::new();
        self.walk_back(|index, bytes| {
            if entries.len() < count {
                entries.push(entry(index, bytes)?);
            }
            Ok(entries.len() < count)
        })?;
        entries.reverse();
        Ok(entries)
    }

    /// Reads the payloads of many records, in the order of the log.
    ///
    /// # Errors
    /// If there is no log.
    pub fn payloads(&self) -> Result<InOrder, ReadError> {
        InOrder::new(self)
    }

    /// The payload that goes with a record, decrypted; nothing if it has none.
    pub fn payload(&self, entry: &Entry) -> Result<Option<Vec<u8>>, ReadError> {
        let Some(reference) = &entry.record.payload else {
            return Ok(None);
        };
        let id = entry.id();
        let chain: ChainId = (entry.record.run.parse()).map_err(|_| ReadError::Record {
            index: entry.index,
            reason: "its run is not one".to_owned(),
        })?;
        let (sealed, key) = self.sealed(entry.index, chain, &reference.id)?;
        let key = key.ok_or_else(|| ReadError::Erased(chain.to_string()))?;
        let sealed = sealed.ok_or_else(|| ReadError::PayloadMissing(id.clone()))?;
        if Digest::of(sealed.as_bytes()).to_string() != reference.digest {
            return Err(ReadError::PayloadAltered(id));
        }
        let opened = (self.master_key(chain)?)
            .unwrap(chain, &key)
            .and_then(|key| key.open(chain, &sealed));
        opened.map(Some).map_err(|_| ReadError::PayloadAltered(id))
    }

    /// An encrypted payload and its wrapped key, as far as they are there.
    fn sealed(
        &self,
        index: u64,
        chain: ChainId,
        id: &str,
    ) -> Result<(Option<Sealed>, Option<Vec<u8>>), ReadError> {
        let stored = || {
            let sealed = self.at(self.layout.payloads(), |dir| {
                payload::stored(dir, chain, id)
            })?;
            let key = self.at(self.layout.payloads(), |dir| {
                payload::stored_key(dir, chain)
            })?;
            Ok::<_, ReadError>((sealed, key))
        };
        let (sealed, key) = stored()?;
        if sealed.is_some() && key.is_some() {
            return Ok((sealed, key));
        }
        // Perhaps still in the write-ahead log. What leaves it from here on is in its file by then.
        let frames = self.frames()?;
        let (sealed, key) = stored()?;
        let in_wal = frames.get(&index).and_then(|frame| frame.body.payload());
        let mention = mention(&chain.to_string());
        let key_in_wal = frames.values().find_map(|frame| {
            let key = frame.body.key()?;
            contains(frame.body.record(), &mention).then(|| key.to_vec())
        });
        Ok((
            sealed.or_else(|| Sealed::from_stored(in_wal?.to_vec())),
            key.or(key_in_wal),
        ))
    }

    fn chain(&self, chain: ChainId) -> Result<Vec<Entry>, ReadError> {
        let chain = chain.to_string();
        let mention = mention(&chain);
        let mut entries = Vec::new();
        self.walk_back(|index, bytes| {
            if contains(bytes, &mention) {
                let entry = entry(index, bytes)?;
                if entry.record.run == chain {
                    entries.push(entry);
                }
            }
            Ok(entries.last().is_none_or(|entry| entry.record.seq > 1))
        })?;
        entries.reverse();
        Ok(entries)
    }

    fn last(&self, wanted: impl Fn(u64, &[u8]) -> bool) -> Result<Option<Entry>, ReadError> {
        let mut found = None;
        self.walk_back(|index, bytes| {
            if wanted(index, bytes) {
                found = Some(entry(index, bytes)?);
            }
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    /// Shows every record, the newest first, until `visit` says no more.
    ///
    /// The write-ahead log is read before the checkpoint: what is freed from it in between is
    /// covered by the checkpoint that is read then.
    fn walk_back(
        &self,
        mut visit: impl FnMut(u64, &[u8]) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        let frames = self.frames()?;
        let covered = self.covered()?;
        for (index, frame) in frames.range(covered..).rev() {
            if !visit(*index, frame.body.record())? {
                return Ok(());
            }
        }
        let tile = TILE as u64;
        let pruned = self.pruned()?;
        for number in (pruned / tile..covered.div_ceil(tile)).rev() {
            let entries = self.at(self.layout.log(), |log| {
                tiles::read_entries(log, number, covered)
            })?;
            for (position, record) in entries.iter().enumerate().rev() {
                if !visit(number * tile + position as u64, record)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// What is in the write-ahead log, by index. A gateway may be writing it: what looks damaged or
    /// is gone may be so only for a moment.
    fn frames(&self) -> Result<BTreeMap<u64, Frame>, ReadError> {
        let mut tries = 0;
        loop {
            match scan::scan(&self.layout.wal()) {
                Ok(scan) => {
                    let frames = scan.frames.into_iter();
                    return Ok(frames.map(|frame| (frame.index, frame)).collect());
                }
                Err(error) if tries >= 5 => return Err(error.into()),
                Err(_) => {
                    tries += 1;
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
    }

    /// The index of the first record that was not pruned.
    pub(crate) fn pruned(&self) -> Result<u64, ReadError> {
        self.at(self.layout.pruned(), |_| prune::noted(&self.layout))
    }

    /// How many records the checkpoint covers.
    pub(crate) fn covered(&self) -> Result<u64, ReadError> {
        self.checkpoint().map(|(_, size)| size)
    }

    /// The log's origin, and how many records the checkpoint covers.
    pub(crate) fn checkpoint(&self) -> Result<(String, u64), ReadError> {
        let path = self.layout.checkpoint();
        let note = self.at(path.clone(), disk::read)?;
        let note = note.ok_or_else(|| ReadError::NoLog(self.layout.dir()))?;
        let text = String::from_utf8_lossy(&note);
        let mut lines = text.lines();
        let origin = lines.next().map(str::to_owned);
        let size = lines.next().and_then(|size| size.parse().ok());
        origin.zip(size).ok_or_else(|| ReadError::Io {
            path,
            error: io::Error::new(io::ErrorKind::InvalidData, "it is not a checkpoint"),
        })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn at<T>(
        &self,
        path: PathBuf,
        work: impl FnOnce(&std::path::Path) -> io::Result<T>,
    ) -> Result<T, ReadError> {
        work(&path).map_err(|error| ReadError::Io { path, error })
    }
}

/// How a record of this chain says so. Looking for the bytes is much faster than reading each
/// record; agents cannot fake it in a text, where quotes are escaped, and it is checked after.
fn mention(chain: &str) -> Vec<u8> {
    format!("\"run\":\"{chain}\"").into_bytes()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn entry(index: u64, bytes: &[u8]) -> Result<Entry, ReadError> {
    let (record, bytes) = (record(index, bytes)?, bytes.to_vec());
    Ok(Entry {
        index,
        bytes,
        record,
    })
}

fn record(index: u64, bytes: &[u8]) -> Result<Record, ReadError> {
    Record::parse(bytes).map_err(|error| ReadError::Record {
        index,
        reason: error.to_string(),
    })
}
