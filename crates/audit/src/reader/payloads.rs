use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{ReadError, Reader};
use crate::chain::ChainId;
use crate::digest::hex;
use crate::disk;
use crate::limits;
use crate::payload::{self, MasterKey, PayloadKey, Sealed};

/// Length and checksum, before each stored payload.
const HEAD: usize = 8;
/// The payload's name, at its beginning.
const NONCE: usize = 24;

/// Reads payloads in the order of their records: remembers keys, and how far it has come in each
/// file. Whatever it has forgotten can be had again.
pub(super) struct Payloads {
    reader: Reader,
    master: Option<MasterKey>,
    keys: HashMap<ChainId, PayloadKey>,
    /// Keys that came with records, wrapped, before anybody asked for them.
    wrapped: HashMap<ChainId, Vec<u8>>,
    offsets: HashMap<ChainId, u64>,
}

/// Without the keys.
impl fmt::Debug for Payloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payloads").finish_non_exhaustive()
    }
}

impl Payloads {
    pub(super) fn new(reader: Reader) -> Self {
        Self {
            reader,
            master: None,
            keys: HashMap::new(),
            wrapped: HashMap::new(),
            offsets: HashMap::new(),
        }
    }

    /// A chain's key came with one of its records.
    pub(super) fn learn(&mut self, chain: ChainId, wrapped: &[u8]) {
        remember(&mut self.wrapped, chain, wrapped.to_vec());
    }

    /// Some key has been destroyed.
    pub(super) fn forget_keys(&mut self) {
        self.keys.clear();
        self.wrapped.clear();
    }

    /// A chain's key, if it is known or in its file.
    pub(super) fn key(&mut self, chain: ChainId) -> Result<Option<PayloadKey>, ReadError> {
        if let Some(key) = self.keys.get(&chain) {
            return Ok(Some(key.clone()));
        }
        let wrapped = match self.wrapped.remove(&chain) {
            Some(wrapped) => Some(wrapped),
            None => self.reader.at(self.reader.layout.payloads(), |dir| {
                payload::stored_key(dir, chain)
            })?,
        };
        let Some(wrapped) = wrapped else {
            return Ok(None);
        };
        let key = self.master(chain)?.unwrap(chain, &wrapped).ok();
        if let Some(key) = &key {
            remember(&mut self.keys, chain, key.clone());
        }
        Ok(key)
    }

    /// The payload of this name, if it is the next in its chain's file or stands further on there.
    pub(super) fn sealed(&mut self, chain: ChainId, id: &str) -> Result<Option<Sealed>, ReadError> {
        let offset = self.offsets.get(&chain).copied().unwrap_or(0);
        let path = self.reader.layout.payloads().join(chain.to_string());
        let found = self.reader.at(path, |path| find(path, id, offset))?;
        Ok(found.map(|(sealed, end)| {
            remember(&mut self.offsets, chain, end);
            sealed
        }))
    }

    fn master(&mut self, chain: ChainId) -> Result<MasterKey, ReadError> {
        if let Some(master) = &self.master {
            return Ok(master.clone());
        }
        let master = self.reader.master_key(chain)?;
        Ok(self.master.insert(master).clone())
    }
}

fn remember<T>(map: &mut HashMap<ChainId, T>, chain: ChainId, value: T) {
    if map.len() >= limits::CHAINS_REMEMBERED {
        map.clear();
    }
    map.insert(chain, value);
}

/// Looks for a payload in a chain's file from a place on; the place after it comes with it.
fn find(path: &Path, id: &str, mut at: u64) -> io::Result<Option<(Sealed, u64)>> {
    let Some(file) = disk::open(path)? else {
        return Ok(None);
    };
    let mut head = [0; HEAD + NONCE];
    loop {
        match file.read_exact_at(&mut head, at) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let (length, rest) = head.split_at(4);
        let length = length
            .try_into()
            .map_or(0, |length| u32::from_be_bytes(length) as usize);
        let start = at + HEAD as u64;
        let end = start + length as u64;
        if !(NONCE..=limits::FRAME).contains(&length) {
            return Ok(None);
        }
        if rest.get(4..).is_some_and(|nonce| hex(nonce) == id) {
            let mut sealed = vec![0; length];
            return match file.read_exact_at(&mut sealed, start) {
                Ok(()) => Ok(Sealed::from_stored(sealed).map(|sealed| (sealed, end))),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                Err(error) => Err(error),
            };
        }
        at = end;
    }
}
