use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::protocol::{KEY_OF, Reply};
use crate::keys::{self, KeyError};
use crate::memory::{Claim, Folder, Memory, MemoryError, Refusal};
use crate::note::{self, Signer};
use crate::verify::checkpoint::Head;
use crate::verify::key::LogKey;
use crate::witness::submission::Submission;

/// The key of a signer, the logs it signs, and where it keeps what it signed.
#[derive(Clone, Debug)]
pub struct SignerConfig {
    /// The file with the key: the 32-byte seed of an Ed25519 key, as `keys/log.key` is.
    pub key: PathBuf,
    /// Whether to make that file. It must not be there then.
    pub new: bool,
    /// The folder with what it signed. Made if it is not there.
    pub dir: PathBuf,
    /// The names of the logs.
    pub logs: Vec<String>,
}

/// Why there can be no signer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// A log's name cannot be one.
    #[error("`{0}` cannot name a log: {rule}, such as `acme.example/bailiwick`", rule = note::NAME_RULE)]
    Name(String),
    /// The key cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What it signed cannot be known.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// Holds the key, and answers who asks for signatures. It has its folder to itself.
pub struct SigningDesk {
    logs: HashMap<String, Signed>,
    _folder: Folder,
}

/// A log, and what was signed of it.
struct Signed {
    signer: Signer,
    memory: Memory,
}

impl SigningDesk {
    /// Takes the folder and reads the key, and what was signed before.
    ///
    /// # Errors
    /// If the folder is in use, or anything is missing or not what was written there.
    pub fn open(config: &SignerConfig) -> Result<Self, SignerError> {
        if let Some(wrong) = config.logs.iter().find(|name| !note::is_name(name)) {
            return Err(SignerError::Name(wrong.clone()));
        }
        let folder = Folder::open(&config.dir)?;
        let seed = seed(&config.key, config.new)?;
        let mut logs = HashMap::new();
        for name in &config.logs {
            let signer = Signer::new(name.clone(), &seed);
            let vkey = signer.public().vkey();
            let key = LogKey::parse(&vkey).map_err(|_| SignerError::Name(name.clone()))?;
            let memory = Memory::open(Box::new(folder.of_log(name)?), |stored| {
                Head::open(&key, stored).map_err(|why| why.to_string())
            })?;
            logs.insert(name.clone(), Signed { signer, memory });
        }
        let _folder = folder;
        Ok(Self { logs, _folder })
    }

    /// The verifier keys of the logs it signs.
    pub fn vkeys(&self) -> Vec<String> {
        let vkeys = self.logs.values();
        let mut vkeys: Vec<_> = vkeys.map(|log| log.signer.public().vkey()).collect();
        vkeys.sort();
        vkeys
    }

    /// Answers one request. What is signed is durable as such before. Waits for the disk.
    pub fn answer(&self, request: &[u8]) -> String {
        self.reply(request).encode()
    }

    fn reply(&self, request: &[u8]) -> Reply {
        let refused = |why: &dyn std::fmt::Display| Reply::Refused(why.to_string());
        let Ok(request) = std::str::from_utf8(request) else {
            return refused(&"the request is not text");
        };
        if let Some(name) = request.strip_prefix(KEY_OF) {
            return match self.find(name.trim_end_matches('\n')) {
                Ok(log) => Reply::Key(log.signer.public().vkey()),
                Err(refusal) => refused(&refusal),
            };
        }
        match self.sign(request) {
            Ok(line) => Reply::Signed(line),
            Err(Refusal::Conflict { size }) => Reply::Size(size),
            Err(refusal @ Refusal::NotKept(_)) => Reply::Failed(refusal.to_string()),
            Err(refusal) => refused(&refusal),
        }
    }

    /// Signs the text of a checkpoint, which comes as to a witness but without signatures.
    fn sign(&self, request: &str) -> Result<String, Refusal> {
        let malformed = |why: &dyn std::fmt::Display| Refusal::Malformed(why.to_string());
        let submission = Submission::parse(request.as_bytes()).map_err(|why| malformed(&why))?;
        let text = String::from_utf8_lossy(submission.checkpoint).into_owned();
        let head = Head::parse(&text).map_err(|why| malformed(&why))?;
        if text.lines().count() != 3 || !text.ends_with('\n') {
            return Err(malformed(&"a checkpoint of this log has three lines"));
        }
        let log = self.find(&head.origin)?;
        let claim = Claim {
            old: submission.old,
            proof: &submission.proof,
            size: head.size,
            root: head.root,
        };
        log.memory.advance(&claim, || {
            let line = log.signer.signature(&text);
            (format!("{text}\n{line}").into_bytes(), line)
        })
    }

    fn find(&self, name: &str) -> Result<&Signed, Refusal> {
        let unknown = || Refusal::UnknownLog(name.to_owned());
        self.logs.get(name).ok_or_else(unknown)
    }
}

/// The key: read, or made where there must be none.
fn seed(path: &Path, new: bool) -> Result<[u8; 32], KeyError> {
    if new && path.exists() {
        let there = std::io::ErrorKind::AlreadyExists.into();
        return Err(KeyError::Io {
            path: path.to_owned(),
            error: there,
        });
    }
    keys::key(path, new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::tests::grown;
    use crate::note::Checkpoint;

    const NAME: &str = "a.example/log";

    fn config(dir: &Path, new: bool) -> SignerConfig {
        SignerConfig {
            key: dir.join("key"),
            new,
            dir: dir.join("signed"),
            logs: vec![NAME.to_owned()],
        }
    }

    fn request(name: &str, old: u64, size: u64) -> String {
        let (root, proof) = grown(old, size);
        Submission::encode(old, &proof, &Checkpoint { size, root }.text(name))
    }

    #[test]
    fn it_signs_what_grew_and_remembers_it() {
        let dir = tempfile::tempdir().unwrap();
        let missing = SigningDesk::open(&config(dir.path(), false));
        assert!(matches!(
            missing,
            Err(SignerError::Key(KeyError::Missing(_)))
        ));
        let desk = SigningDesk::open(&config(dir.path(), true)).unwrap();
        let again = SigningDesk::open(&config(dir.path(), true));
        assert!(matches!(
            again,
            Err(SignerError::Memory(MemoryError::InUse(_)))
        ));
        let vkeys = desk.vkeys();
        assert_eq!(
            desk.answer(b"key a.example/log\n"),
            format!("key\n{}\n", vkeys[0])
        );
        let signed = desk.answer(request(NAME, 0, 5).as_bytes());
        assert!(
            signed.starts_with("signed\n\u{2014} a.example/log "),
            "{signed}"
        );
        let (root, _) = grown(0, 5);
        let text = Checkpoint { size: 5, root }.text(NAME);
        let note = format!("{text}\n{}", signed.strip_prefix("signed\n").unwrap());
        let key = LogKey::parse(&vkeys[0]).unwrap();
        assert_eq!(Head::open(&key, note.as_bytes()).unwrap().size, 5);
        drop(desk);

        let again = SigningDesk::open(&config(dir.path(), true));
        assert!(matches!(again, Err(SignerError::Key(KeyError::Io { .. }))));
        let desk = SigningDesk::open(&config(dir.path(), false)).unwrap();
        assert_eq!(desk.vkeys(), vkeys);
        assert_eq!(desk.answer(request(NAME, 0, 9).as_bytes()), "size\n5\n");
        assert_eq!(desk.answer(request(NAME, 4, 4).as_bytes()), "size\n5\n");
        let refused = |request: String| {
            let answer = desk.answer(request.as_bytes());
            assert!(answer.starts_with("refused\n"), "{answer}");
        };
        let (proof, (root, _)) = (grown(5, 9).1, grown(0, 8));
        let other = Checkpoint { size: 9, root }.text(NAME);
        refused(Submission::encode(5, &proof, &other));
        refused(request("b.example/log", 5, 9));
        refused(request(NAME, 5, 9) + "extension\n");
        refused(request(NAME, 5, 9).trim_end().to_owned());
        refused("key b.example/log\n".to_owned());
        refused("sign this".to_owned());
        let answer = desk.answer(request(NAME, 5, 9).as_bytes());
        assert!(answer.starts_with("signed\n"), "{answer}");
    }
}
