//! The gateway's own keys, one file each, made at the first start.

use std::io;
use std::path::{Path, PathBuf};

use bailiwick_action::FingerprintKey;

use crate::disk;
use crate::payload::MasterKey;

/// The keys of one data folder, but for the one that signs the log: that may be elsewhere.
pub(crate) struct Keys {
    /// Wraps each run's payload key.
    pub(crate) payload: MasterKey,
    /// Keys the fingerprints of calls.
    pub(crate) fingerprint: FingerprintKey,
}

/// Why the keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Something signed that is there without its key: a new one would not go with it.
    #[error(
        "{} is missing, but this is not the first start; restore it from a backup, \
         or begin anew in an empty folder",
        .0.display()
    )]
    Missing(PathBuf),
    /// Not a key.
    #[error("{} is not a key: it must be exactly 32 bytes; restore it from a backup", .0.display())]
    Malformed(PathBuf),
    /// The file could not be read or made.
    #[error("cannot read or make the key {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// The system has no randomness.
    #[error("cannot make a key, the system gives no random bytes: {0}")]
    Random(String),
}

impl Keys {
    /// Reads the keys; makes them if the log is new.
    pub(crate) fn open(dir: &Path, new: bool) -> Result<Self, KeyError> {
        Ok(Self {
            payload: MasterKey::new(key(&dir.join("payload.key"), new)?),
            fingerprint: FingerprintKey::new(key(&dir.join("fingerprint.key"), new)?),
        })
    }
}

/// The key that wraps payload keys, for a reader.
pub(crate) fn master_key(dir: &Path) -> Result<MasterKey, KeyError> {
    key(&dir.join("payload.key"), false).map(MasterKey::new)
}

/// Reads a key; makes it if this is the first start.
pub(crate) fn key(path: &Path, new: bool) -> Result<[u8; 32], KeyError> {
    let io_error = |error| KeyError::Io {
        path: path.to_owned(),
        error,
    };
    match disk::read(path).map_err(io_error)? {
        Some(bytes) => bytes
            .try_into()
            .map_err(|_| KeyError::Malformed(path.to_owned())),
        None if new => {
            let key = random()?;
            disk::replace(path, &key, disk::PRIVATE).map_err(io_error)?;
            Ok(key)
        }
        None => Err(KeyError::Missing(path.to_owned())),
    }
}

fn random() -> Result<[u8; 32], KeyError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| KeyError::Random(error.to_string()))?;
    Ok(bytes)
}
