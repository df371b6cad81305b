//! The gateway's own keys, one file each, made at the first start.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bailiwick_action::FingerprintKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::digest::from_hex;
use crate::disk;
use crate::payload::MasterKey;

/// The file of the master key.
const MASTER: &str = "payload.key";

/// The keys of one data folder, but for the one that signs the log: that may be elsewhere.
pub(crate) struct Keys {
    /// Wraps each run's payload key.
    pub(crate) payload: MasterKey,
    /// Keys the fingerprints of calls.
    pub(crate) fingerprint: FingerprintKey,
}

/// The master key of the payloads, kept elsewhere than in the data folder: whoever has the folder
/// alone can read none of them.
#[derive(Clone)]
pub struct PayloadSecret(pub(crate) MasterKey);

impl fmt::Debug for PayloadSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PayloadSecret(..)")
    }
}

/// Text that is not a master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it has to be 32 random bytes, in base64 or as 64 hexadecimal digits; \
     `head -c 32 /dev/urandom | base64` makes one"
)]
pub struct InvalidSecret;

impl FromStr for PayloadSecret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let key = match from_hex(text) {
            Some(key) => key,
            None => {
                let bytes = BASE64.decode(text).map_err(|_| InvalidSecret)?;
                bytes.try_into().map_err(|_| InvalidSecret)?
            }
        };
        Ok(Self(MasterKey::new(key)))
    }
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
    /// Another master key than the payloads so far were kept under.
    #[error(
        "the key of the payloads is another one than {} was made with: earlier payloads could not be \
         read, or erased for good. Give back the one that `payload_key` named then",
        .0.display()
    )]
    OtherSecret(PathBuf),
    /// There are two master keys.
    #[error(
        "{} is here, but `payload_key` names another key: payloads so far are kept under the one that \
         is here. Put that one (its 32 bytes in base64) where `payload_key` looks, and it moves there; \
         or take `payload_key` out",
        .0.display()
    )]
    TwoSecrets(PathBuf),
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
    /// Reads the keys; makes them if the log is new. The master key is the one given, if there is one.
    pub(crate) fn open(
        dir: &Path,
        new: bool,
        secret: Option<&PayloadSecret>,
    ) -> Result<Self, KeyError> {
        let payload = match secret {
            None => MasterKey::new(key(&dir.join(MASTER), new)?),
            Some(PayloadSecret(master)) => {
                check_secret(dir, master, new)?;
                master.clone()
            }
        };
        Ok(Self {
            payload,
            fingerprint: FingerprintKey::new(key(&dir.join("fingerprint.key"), new)?),
        })
    }
}

/// The key that wraps payload keys, for a reader that was not given one.
pub(crate) fn master_key(dir: &Path) -> Result<MasterKey, KeyError> {
    key(&dir.join(MASTER), false).map(MasterKey::new)
}

/// Notes which master key is used, or checks that it is the same as before.
fn check_secret(dir: &Path, master: &MasterKey, new: bool) -> Result<(), KeyError> {
    let (file, path) = (dir.join(MASTER), dir.join("payload.id"));
    let io_error = |error| KeyError::Io {
        path: path.clone(),
        error,
    };
    let id = format!("{}\n", master.id()).into_bytes();
    if file.exists() {
        // The same key: it moves out.
        if key(&file, false).map(|key| MasterKey::new(key).id())? != master.id() {
            return Err(KeyError::TwoSecrets(file));
        }
        disk::replace(&path, &id, disk::PRIVATE).map_err(io_error)?;
        return disk::destroy(&file).map_err(|error| KeyError::Io { path: file, error });
    }
    match disk::read(&path).map_err(io_error)? {
        Some(known) if known == id => Ok(()),
        None if new => disk::replace(&path, &id, disk::PRIVATE).map_err(io_error),
        None => Err(KeyError::Missing(file)),
        Some(_) => Err(KeyError::OtherSecret(path)),
    }
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
