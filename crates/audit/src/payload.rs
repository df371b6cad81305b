//! Payloads: what an agent wrote and what it got, encrypted under a key of the run's own and kept
//! apart from the records, so that it can be erased by erasing that key.
//!
//! A run's file in `payloads/` is a sequence of frames, `length u32 | crc32c u32 | nonce | sealed`;
//! its key, wrapped by the master key, is the file beside it. Both ride in the write-ahead log
//! first, in the frame of their record, and move here before that segment is freed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, AeadInOut, KeyInit, Payload as Sealing};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::chain::ChainId;
use crate::digest::{Digest, hex};
use crate::disk::{self, Disk};
use crate::limits;
use crate::record::PayloadReference;

const NONCE: usize = 24;
const TAG: usize = 16;
/// Length and checksum before each frame.
const HEAD: usize = 8;

/// How long a wrapped key is: nonce, key, tag.
pub(crate) const WRAPPED_KEY: usize = NONCE + 32 + TAG;

/// Wraps the keys of the runs.
#[derive(Clone)]
pub(crate) struct MasterKey([u8; 32]);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// The key of one run's payloads, with its wrapped form.
#[derive(Clone)]
pub(crate) struct PayloadKey {
    key: [u8; 32],
    wrapped: Arc<[u8]>,
}

/// An encrypted payload: nonce and sealed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed(Vec<u8>);

/// The system has no randomness, or the cipher refused.
#[derive(Debug)]
pub(crate) struct CannotSeal(pub(crate) String);

/// The key does not open it: another key, or altered bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CannotOpen;

impl MasterKey {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// What tells one master key from another, and says nothing of it.
    pub(crate) fn id(&self) -> Digest {
        Digest::of(&[b"bailiwick payload master key v1\n", &self.0[..]].concat())
    }

    /// A new key for a chain.
    pub(crate) fn new_key(&self, chain: ChainId) -> Result<PayloadKey, CannotSeal> {
        let mut key = [0; 32];
        fill(&mut key)?;
        let Sealed(wrapped) = seal(&self.0, &wrapping(chain), &key)?;
        Ok(PayloadKey {
            key,
            wrapped: wrapped.into(),
        })
    }

    /// A chain's key from its wrapped form.
    pub(crate) fn unwrap(&self, chain: ChainId, wrapped: &[u8]) -> Result<PayloadKey, CannotOpen> {
        let key = open(&self.0, &wrapping(chain), wrapped)?;
        Ok(PayloadKey {
            key: key.try_into().map_err(|_| CannotOpen)?,
            wrapped: wrapped.into(),
        })
    }
}

impl PayloadKey {
    /// What is stored of it.
    pub(crate) fn wrapped(&self) -> &[u8] {
        &self.wrapped
    }

    /// Encrypts a payload for this chain.
    pub(crate) fn seal(&self, chain: ChainId, clear: &[u8]) -> Result<Sealed, CannotSeal> {
        seal(&self.key, &content(chain), clear)
    }

    /// Decrypts a payload of this chain.
    pub(crate) fn open(&self, chain: ChainId, sealed: &Sealed) -> Result<Vec<u8>, CannotOpen> {
        open(&self.key, &content(chain), &sealed.0)
    }
}

impl Sealed {
    /// From the bytes that were stored.
    pub(crate) fn from_stored(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() >= NONCE + TAG).then_some(Self(bytes))
    }

    /// The bytes to store.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its name within its chain: the nonce, in hexadecimal.
    pub(crate) fn id(&self) -> String {
        hex(self.0.get(..NONCE).unwrap_or_default())
    }

    /// What the record says of it.
    pub(crate) fn reference(&self) -> PayloadReference {
        PayloadReference {
            digest: Digest::of(&self.0),
            id: self.id(),
            size: self.0.len() as u64,
        }
    }
}

/// The payload files, for the one thread that writes them. Nothing is lost when a write fails: it
/// is kept and written again, over the same place.
pub(crate) struct PayloadFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// How much of each file is good. Only files of chains that are still open.
    lengths: HashMap<ChainId, u64>,
    waiting: BTreeMap<ChainId, Waiting>,
    closed: Vec<ChainId>,
    erased: Vec<ChainId>,
    unsynced: BTreeSet<PathBuf>,
    /// Files were removed, and the folder is not synced.
    removed: bool,
}

#[derive(Default)]
struct Waiting {
    key: Option<Vec<u8>>,
    frames: Vec<u8>,
}

impl PayloadFiles {
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self {
            disk,
            dir,
            lengths: HashMap::new(),
            waiting: BTreeMap::new(),
            closed: Vec::new(),
            erased: Vec::new(),
            unsynced: BTreeSet::new(),
            removed: false,
        }
    }

    /// Takes what came with a record.
    pub(crate) fn add(&mut self, chain: ChainId, key: Option<&[u8]>, sealed: Option<&[u8]>) {
        if key.is_none() && sealed.is_none() {
            return;
        }
        let waiting = self.waiting.entry(chain).or_default();
        if let Some(key) = key {
            waiting.key = Some(key.to_owned());
        }
        if let Some(sealed) = sealed {
            let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
            waiting.frames.extend(length.to_be_bytes());
            waiting.frames.extend(crc32c::crc32c(sealed).to_be_bytes());
            waiting.frames.extend_from_slice(sealed);
        }
    }

    /// A chain that will have no more payloads after those that wait.
    pub(crate) fn close(&mut self, chain: ChainId) {
        self.closed.push(chain);
    }

    /// A chain whose payloads go, those that wait included.
    pub(crate) fn erase(&mut self, chain: ChainId) {
        self.waiting.remove(&chain);
        self.erased.push(chain);
    }

    /// Writes what is waiting; durable only after [`PayloadFiles::sync`].
    pub(crate) fn write(&mut self) -> io::Result<()> {
        while let Some(entry) = self.waiting.first_entry() {
            let chain = *entry.key();
            let waiting = entry.get();
            if let Some(key) = &waiting.key {
                let path = key_path(&self.dir, chain);
                self.disk.replace(&path, key, disk::PRIVATE)?;
            }
            if !waiting.frames.is_empty() {
                let path = data_path(&self.dir, chain);
                let file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .mode(disk::PRIVATE)
                    .open(&path)?;
                let length = match self.lengths.get(&chain) {
                    Some(length) => *length,
                    None => good_length(&file)?,
                };
                self.disk.write(&file, &waiting.frames, length)?;
                self.lengths
                    .insert(chain, length + waiting.frames.len() as u64);
                self.unsynced.insert(path);
            }
            entry.remove();
        }
        for chain in self.closed.drain(..) {
            self.lengths.remove(&chain);
        }
        while let Some(chain) = self.erased.last() {
            self.destroy(*chain)?;
            self.erased.pop();
        }
        Ok(())
    }

    /// Removes the payloads of a closed chain and their key; durable only after [`PayloadFiles::sync`].
    pub(crate) fn remove(&mut self, chain: ChainId) -> io::Result<()> {
        let (key, data) = (key_path(&self.dir, chain), data_path(&self.dir, chain));
        self.disk.remove(&key)?;
        self.disk.remove(&data)?;
        self.unsynced.remove(&data);
        self.removed = true;
        Ok(())
    }

    /// Overwrites and removes the key, then removes what only it could open. Doing it again, after a
    /// crash in between, does no harm.
    fn destroy(&mut self, chain: ChainId) -> io::Result<()> {
        let (key, data) = (key_path(&self.dir, chain), data_path(&self.dir, chain));
        match OpenOptions::new().write(true).open(&key) {
            Ok(file) => {
                self.disk.write(&file, &[0; WRAPPED_KEY], 0)?;
                self.disk.sync(&file)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.disk.remove(&key)?;
        self.disk.remove(&data)?;
        self.unsynced.remove(&data);
        self.disk.sync_path(&self.dir)
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced.is_empty() && !self.removed {
            return Ok(());
        }
        for path in &self.unsynced {
            self.disk.sync_path(path)?;
        }
        self.disk.sync_path(&self.dir)?;
        self.unsynced.clear();
        self.removed = false;
        Ok(())
    }
}

/// The wrapped key of a chain, if it is in its file.
pub(crate) fn stored_key(dir: &Path, chain: ChainId) -> io::Result<Option<Vec<u8>>> {
    disk::read(&key_path(dir, chain))
}

/// The sealed payload of this name, if it is in the chain's file.
pub(crate) fn stored(dir: &Path, chain: ChainId, id: &str) -> io::Result<Option<Sealed>> {
    let Some(file) = disk::open(&data_path(dir, chain))? else {
        return Ok(None);
    };
    let mut found = None;
    walk(&file, |file, start, length| {
        let mut nonce = [0; NONCE];
        file.read_exact_at(&mut nonce, start)?;
        if hex(&nonce) != id {
            return Ok(true);
        }
        let mut sealed = vec![0; length];
        file.read_exact_at(&mut sealed, start)?;
        found = Sealed::from_stored(sealed);
        Ok(false)
    })?;
    Ok(found)
}

fn data_path(dir: &Path, chain: ChainId) -> PathBuf {
    dir.join(chain.to_string())
}

fn key_path(dir: &Path, chain: ChainId) -> PathBuf {
    dir.join(format!("{chain}.key"))
}

/// Up to where the file's frames are whole. A crash can leave any bytes after that; they are
/// overwritten, because what they should have been comes again from the write-ahead log.
fn good_length(file: &File) -> io::Result<u64> {
    let mut good = 0;
    walk(file, |file, start, length| {
        let mut sealed = vec![0; length];
        file.read_exact_at(&mut sealed, start)?;
        let mut checksum = [0; 4];
        file.read_exact_at(&mut checksum, start - 4)?;
        if crc32c::crc32c(&sealed) != u32::from_be_bytes(checksum) {
            return Ok(false);
        }
        good = start + length as u64;
        Ok(true)
    })?;
    Ok(good)
}

/// Calls `visit` with the place and length of each frame, until it says no more.
fn walk(
    file: &File,
    mut visit: impl FnMut(&File, u64, usize) -> io::Result<bool>,
) -> io::Result<()> {
    let size = file.metadata()?.len();
    let mut at = 0;
    while at + HEAD as u64 <= size {
        let mut length = [0; 4];
        file.read_exact_at(&mut length, at)?;
        let length = u32::from_be_bytes(length) as usize;
        let start = at + HEAD as u64;
        let fits = (NONCE + TAG..=limits::FRAME).contains(&length) && start + length as u64 <= size;
        if !fits || !visit(file, start, length)? {
            break;
        }
        at = start + length as u64;
    }
    Ok(())
}

fn wrapping(chain: ChainId) -> Vec<u8> {
    format!("bailiwick payload key v1\n{chain}").into_bytes()
}

fn content(chain: ChainId) -> Vec<u8> {
    format!("bailiwick payload v1\n{chain}").into_bytes()
}

fn seal(key: &[u8; 32], purpose: &[u8], clear: &[u8]) -> Result<Sealed, CannotSeal> {
    let nonce = nonce()?;
    // Where the clear text is copied to is where it is encrypted.
    let mut bytes = Vec::with_capacity(NONCE + clear.len() + TAG);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(clear);
    let text = bytes.get_mut(NONCE..).unwrap_or_default();
    let tag = XChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(&XNonce::from(nonce), purpose, text.into())
        .map_err(|_| CannotSeal("the cipher refused it".to_owned()))?;
    bytes.extend_from_slice(&tag);
    Ok(Sealed(bytes))
}

fn open(key: &[u8; 32], purpose: &[u8], bytes: &[u8]) -> Result<Vec<u8>, CannotOpen> {
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE>().ok_or(CannotOpen)?;
    let sealing = Sealing {
        msg: sealed,
        aad: purpose,
    };
    XChaCha20Poly1305::new(key.into())
        .decrypt(&XNonce::from(*nonce), sealing)
        .map_err(|_| CannotOpen)
}

/// Random bytes of the system's, many nonces' worth at a time: a call of it costs as much as the
/// encryption of what most agents send.
fn nonce() -> Result<[u8; NONCE], CannotSeal> {
    const AT_ONCE: usize = 32;
    thread_local! {
        static NONCES: RefCell<Vec<[u8; NONCE]>> = const { RefCell::new(Vec::new()) };
    }
    NONCES.with_borrow_mut(|nonces| {
        if let Some(nonce) = nonces.pop() {
            return Ok(nonce);
        }
        let mut fresh = [[0; NONCE]; AT_ONCE];
        fill(fresh.as_flattened_mut())?;
        let [first, rest @ ..] = fresh;
        nonces.extend_from_slice(&rest);
        Ok(first)
    })
}

fn fill(bytes: &mut [u8]) -> Result<(), CannotSeal> {
    getrandom::fill(bytes)
        .map_err(|error| CannotSeal(format!("the system gives no random bytes: {error}")))
}

#[cfg(test)]
mod tests {
    use bailiwick_run::{RunId, Time};

    use super::*;
    use crate::disk::FileSystem;

    fn chain(n: u8) -> ChainId {
        ChainId::Run(RunId::new(Time::from_millis(1), [n; 10]))
    }

    #[test]
    fn only_its_own_key_and_run_open_a_payload() {
        let master = MasterKey::new([1; 32]);
        let key = master.new_key(chain(1)).unwrap();
        let sealed = key.seal(chain(1), b"select 1").unwrap();
        assert_eq!(key.open(chain(1), &sealed), Ok(b"select 1".to_vec()));
        assert_eq!(key.open(chain(2), &sealed), Err(CannotOpen));
        let other = master.new_key(chain(1)).unwrap();
        assert_eq!(other.open(chain(1), &sealed), Err(CannotOpen));
        let again = master.unwrap(chain(1), key.wrapped()).unwrap();
        assert_eq!(again.open(chain(1), &sealed), Ok(b"select 1".to_vec()));
        assert_eq!(key.wrapped().len(), WRAPPED_KEY);
        assert!(master.unwrap(chain(2), key.wrapped()).is_err());
        assert!(
            MasterKey::new([2; 32])
                .unwrap(chain(1), key.wrapped())
                .is_err()
        );
        for position in 0..sealed.as_bytes().len() {
            let mut altered = sealed.clone();
            altered.0[position] ^= 1;
            assert_eq!(key.open(chain(1), &altered), Err(CannotOpen));
        }
    }

    #[test]
    fn what_is_erased_is_gone_whether_it_was_written_or_waits() {
        let dir = tempfile::tempdir().unwrap();
        let master = MasterKey::new([1; 32]);
        let mut files = PayloadFiles::new(Arc::new(FileSystem), dir.path().to_owned());
        for written in [true, false] {
            let key = master.new_key(chain(1)).unwrap();
            let sealed = key.seal(chain(1), b"{}").unwrap();
            files.add(chain(1), Some(key.wrapped()), Some(sealed.as_bytes()));
            if written {
                files.write().unwrap();
                assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
            }
            files.erase(chain(1));
            files.write().unwrap();
            files.sync().unwrap();
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_file_cut_in_a_frame_is_written_over_from_its_last_whole_one() {
        let dir = tempfile::tempdir().unwrap();
        let key = MasterKey::new([1; 32]).new_key(chain(1)).unwrap();
        let sealed: Vec<_> = (0..3)
            .map(|n| key.seal(chain(1), &[n; 100]).unwrap())
            .collect();
        let mut files = PayloadFiles::new(Arc::new(FileSystem), dir.path().to_owned());
        for sealed in &sealed[..2] {
            files.add(chain(1), Some(key.wrapped()), Some(sealed.as_bytes()));
        }
        files.write().unwrap();
        files.sync().unwrap();
        let path = data_path(dir.path(), chain(1));
        let whole = std::fs::metadata(&path).unwrap().len();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(whole - 5)
            .unwrap();

        let mut files = PayloadFiles::new(Arc::new(FileSystem), dir.path().to_owned());
        for sealed in &sealed[1..] {
            files.add(chain(1), None, Some(sealed.as_bytes()));
        }
        files.write().unwrap();
        for sealed in &sealed {
            let found = stored(dir.path(), chain(1), &sealed.id()).unwrap();
            assert_eq!(found.as_ref(), Some(sealed));
        }
        assert_eq!(stored(dir.path(), chain(1), "00").unwrap(), None);
        assert_eq!(
            stored_key(dir.path(), chain(1)).unwrap().as_deref(),
            Some(key.wrapped())
        );
        assert_eq!(stored_key(dir.path(), chain(2)).unwrap(), None);
    }
}
