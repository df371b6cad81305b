//! A witness: signs that it saw a log, and saw nothing of it but growth (C2SP tlog-witness and
//! tlog-cosignature). Here is what it decides and keeps; HTTP is for whoever holds one.

pub(crate) mod submission;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bailiwick_run::Time;

use crate::disk;
use crate::keys::{self, KeyError};
use crate::memory::{self, Claim, Folder, Memory, MemoryError, Refusal};
use crate::note::{self, Cosigner};
use crate::verify::checkpoint::Head;
use crate::verify::key::{CosignerKey, LogKey};
use crate::verify::note::Note;
use submission::Submission;

/// The witness's key: the 32-byte seed of an Ed25519 key.
const KEY: &str = "witness.key";
/// The key that checks its cosignatures: one line.
const VKEY: &str = "witness.vkey";

/// Where a witness keeps what it signed, what it is called, and which logs it signs for.
#[derive(Clone, Debug)]
pub struct WitnessConfig {
    /// The folder. Made if it is not there.
    pub dir: PathBuf,
    /// The name it signs under; it stays what it was at the first start. Needed then only.
    pub name: Option<String>,
    /// The verifier keys of the logs; a log may have several.
    pub logs: Vec<String>,
}

/// Why there can be no witness.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// Its name cannot be one.
    #[error("`{0}` cannot name a witness: {rule}, such as `witness.example/w1`", rule = note::NAME_RULE)]
    Name(String),
    /// It has no name yet.
    #[error("a new witness needs a name, such as `witness.example/w1`")]
    NoName,
    /// It is another one.
    #[error(
        "the witness in {} is {known}, and stays it; a witness of another name or key needs another \
         folder",
        dir.display()
    )]
    Another {
        /// The folder.
        dir: PathBuf,
        /// The verifier key of the witness that is there.
        known: String,
    },
    /// The key of a log is not one.
    #[error("`{vkey}` is not the key of a log: {reason}")]
    Log {
        /// The key.
        vkey: String,
        /// Why not.
        reason: String,
    },
    /// Its own key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What it signed cannot be known.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// A witness of some logs. It has its folder to itself.
pub struct Witness {
    cosigner: Cosigner,
    logs: HashMap<String, Watched>,
    /// Origins, by the digest that requests name them with.
    by_hash: HashMap<String, String>,
    _folder: Folder,
}

/// A log whose growth is watched.
struct Watched {
    keys: Vec<LogKey>,
    memory: Memory,
}

impl Witness {
    /// Takes the folder, and reads what was signed before. Makes the key at the first start.
    ///
    /// # Errors
    /// If the folder is in use, or anything in it is missing or not what was written there.
    pub fn open(config: WitnessConfig) -> Result<Self, WitnessError> {
        let folder = Folder::open(&config.dir)?;
        let cosigner = identity(&config.dir, config.name)?;
        let own = CosignerKey::parse(&cosigner.public().vkey());
        let own = own.map_err(|_| WitnessError::Name(cosigner.public().name().to_owned()))?;
        let mut keys: HashMap<String, Vec<LogKey>> = HashMap::new();
        for vkey in config.logs {
            let key = LogKey::parse(&vkey).map_err(|reason| WitnessError::Log {
                vkey,
                reason: reason.to_string(),
            })?;
            keys.entry(key.name().to_owned()).or_default().push(key);
        }
        let mut logs = HashMap::new();
        for (origin, keys) in keys {
            let memory = Memory::open(Box::new(folder.of_log(&origin)?), |stored| {
                cosigned_head(&origin, &own, stored)
            })?;
            logs.insert(origin, Watched { keys, memory });
        }
        let by_hash = logs
            .keys()
            .map(|origin| (memory::hash_of(origin), origin.clone()));
        Ok(Self {
            by_hash: by_hash.collect(),
            cosigner,
            logs,
            _folder: folder,
        })
    }

    /// The key that checks its cosignatures, also in the file `witness.vkey`.
    pub fn vkey(&self) -> String {
        self.cosigner.public().vkey()
    }

    /// The name it signs under.
    pub fn name(&self) -> &str {
        self.cosigner.public().name()
    }

    /// The logs it signs for.
    pub fn origins(&self) -> impl Iterator<Item = &str> {
        self.logs.keys().map(String::as_str)
    }

    /// Answers `add-checkpoint`: the signature lines of a checkpoint that grew from the last one
    /// signed here. That it was signed is durable when this returns. Waits for the disk.
    ///
    /// # Errors
    /// As the specification has it; nothing was signed.
    pub fn add_checkpoint(&self, body: &[u8], now: Time) -> Result<String, Refusal> {
        let malformed = |why: &dyn std::fmt::Display| Refusal::Malformed(why.to_string());
        let submission = Submission::parse(body).map_err(|why| malformed(&why))?;
        let note = Note::parse(submission.checkpoint).map_err(|why| malformed(&why))?;
        let head = Head::parse(note.text()).map_err(|why| malformed(&why))?;
        let log = self.logs.get(&head.origin);
        let log = log.ok_or_else(|| Refusal::UnknownLog(head.origin.clone()))?;
        let signatures = log.signatures(&note)?;
        let time = now.millis() / 1000;
        if time == 0 {
            // A cosignature without a time says something else.
            return Err(Refusal::NotKept(
                "this machine's clock is not set".to_owned(),
            ));
        }
        let claim = Claim {
            old: submission.old,
            proof: &submission.proof,
            size: head.size,
            root: head.root,
        };
        log.memory.advance(&claim, || {
            let cosignature = self.cosigner.cosign(note.text(), time);
            let kept = format!("{}\n{signatures}{cosignature}", note.text());
            (kept.into_bytes(), cosignature)
        })
    }

    /// The last checkpoint signed of a log, which is named by the SHA-256 digest of its origin in
    /// hexadecimal, with the signatures of the log and of this witness.
    pub fn checkpoint(&self, origin_hash: &str) -> Option<Vec<u8>> {
        let origin = self.by_hash.get(origin_hash)?;
        self.logs.get(origin)?.memory.note()
    }
}

impl Watched {
    /// The signature lines by this log's known keys, all of them checked.
    fn signatures(&self, note: &Note<'_>) -> Result<String, Refusal> {
        let mut lines = String::new();
        for key in &self.keys {
            if note
                .is_signed_by(key)
                .map_err(|why| Refusal::NotSigned(why.to_string()))?
            {
                for line in note.lines_of_log(key) {
                    lines.push_str(line);
                    lines.push('\n');
                }
            }
        }
        match lines.is_empty() {
            true => Err(Refusal::NotSigned(
                "none of the keys that are known for this log has signed it".to_owned(),
            )),
            false => Ok(lines),
        }
    }
}

/// The key and the name: those of the first start.
fn identity(dir: &Path, name: Option<String>) -> Result<Cosigner, WitnessError> {
    let path = dir.join(VKEY);
    let io_error = |path: &Path| {
        let path = path.to_owned();
        |error| MemoryError::Io { path, error }
    };
    let known = disk::read(&path).map_err(io_error(&path))?;
    let known = known.map(|known| String::from_utf8_lossy(&known).trim_end().to_owned());
    let known_name = known.as_deref().and_then(|known| known.split('+').next());
    let name = name.or_else(|| known_name.map(str::to_owned));
    let name = name.ok_or(WitnessError::NoName)?;
    if !note::is_name(&name) {
        return Err(WitnessError::Name(name));
    }
    let seed = keys::key(&dir.join(KEY), known.is_none())?;
    let cosigner = Cosigner::new(name, &seed);
    let vkey = cosigner.public().vkey();
    match known {
        Some(known) if known != vkey => Err(WitnessError::Another {
            dir: dir.to_owned(),
            known,
        }),
        Some(_) => Ok(cosigner),
        None => {
            let line = format!("{vkey}\n");
            disk::replace(&path, line.as_bytes(), disk::PUBLIC).map_err(io_error(&path))?;
            Ok(cosigner)
        }
    }
}

/// What a stored note says, if this witness signed it.
fn cosigned_head(origin: &str, own: &CosignerKey, stored: &[u8]) -> Result<Head, String> {
    let note = Note::parse(stored).map_err(|why| why.to_string())?;
    let cosigned = note.cosigned_by(own).map_err(|why| why.to_string())?;
    cosigned.ok_or("this witness has not signed it")?;
    let head = Head::parse(note.text()).map_err(|why| why.to_string())?;
    match head.origin == origin {
        true => Ok(head),
        false => Err(format!("it is of the log {}", head.origin)),
    }
}

#[cfg(test)]
mod tests;
