//! Making receipts: a record and the proof that it is in the log, in one file (C2SP tlog-proof).
//! Checking them is the verifier's, in `verify/proof_file.rs`.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::disk;
use crate::entry::Entry;
use crate::prove::Prover;
use crate::reader::{ReadError, Reader};
use crate::verify::checkpoint::Head;
use crate::verify::note::Note;
use crate::verify::proof;
use crate::verify::proof_file::PROOF_FILE;

/// A receipt for one record, for anyone who has the log's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofFile {
    /// What to write into the file.
    pub text: String,
    /// How many records its checkpoint covers.
    pub size: u64,
    /// Whether its checkpoint met the quorum of the gateway's witnesses.
    pub is_witnessed: bool,
}

/// A published checkpoint, as it is read back.
struct Published {
    note: String,
    head: Head,
    is_witnessed: bool,
}

impl Reader {
    /// A receipt for a record, under the newest checkpoint that enough witnesses have seen, or if
    /// that does not cover it yet, under the newest; nothing if no checkpoint covers it yet. A record of
    /// a log that was rotated away is proved by that log.
    ///
    /// # Errors
    /// If a log cannot be read or does not prove it.
    pub fn prove(&self, entry: &Entry) -> Result<Option<ProofFile>, ReadError> {
        if !self.has(entry)? {
            for archived in self.archived()? {
                if archived.has(entry)? {
                    return archived.prove_here(entry);
                }
            }
        }
        self.prove_here(entry)
    }

    /// Whether this very record is in this log, at its place.
    fn has(&self, entry: &Entry) -> Result<bool, ReadError> {
        let there = self.from(entry.index).next()?;
        Ok(there.is_some_and(|there| there.index == entry.index && there.bytes == entry.bytes))
    }

    /// The checkpoint that a record at this index is proved by, as it is published; the newest if none covers it.
    pub(crate) fn checkpoint_over(&self, index: u64) -> Result<Option<String>, ReadError> {
        let witnessed = self.published(self.layout().witnessed(), true)?;
        if let Some(witnessed) = witnessed.filter(|witnessed| witnessed.head.size > index) {
            return Ok(Some(witnessed.note));
        }
        let newest = self.published(self.layout().checkpoint(), false)?;
        Ok(newest.map(|newest| newest.note))
    }

    fn prove_here(&self, entry: &Entry) -> Result<Option<ProofFile>, ReadError> {
        let witnessed = self.published(self.layout().witnessed(), true)?;
        let covers = |published: &Published| published.head.size > entry.index;
        if let Some(published) = witnessed.filter(covers) {
            return self.prove_under(entry, published).map(Some);
        }
        let newest = self.published(self.layout().checkpoint(), false)?;
        let newest = newest.filter(covers);
        newest
            .map(|published| self.prove_under(entry, published))
            .transpose()
    }

    /// Whether the gateway of this log asks witnesses, as far as its files tell.
    pub fn has_witnesses(&self) -> bool {
        self.layout().witnessed().exists()
    }

    fn prove_under(&self, entry: &Entry, published: Published) -> Result<ProofFile, ReadError> {
        let Head { size, root, .. } = published.head;
        let path = self.at(self.layout().log(), |log| {
            Prover::new(log, size).inclusion(entry.index)
        })?;
        // Whoever gets the receipt would find out; whoever makes it had better know.
        let leaf = crate::merkle::leaf(&entry.bytes);
        if !proof::includes(entry.index, size, &leaf, &path, &root) {
            return Err(ReadError::Record {
                index: entry.index,
                reason: "the tree does not prove it".to_owned(),
            });
        }
        let path = path.iter().map(|hash| BASE64.encode(hash) + "\n");
        let text = format!(
            "{PROOF_FILE}\nextra {}\nindex {}\n{}\n{}",
            BASE64.encode(&entry.bytes),
            entry.index,
            path.collect::<String>(),
            published.note
        );
        Ok(ProofFile {
            text,
            size,
            is_witnessed: published.is_witnessed,
        })
    }

    fn published(&self, path: PathBuf, is_witnessed: bool) -> Result<Option<Published>, ReadError> {
        self.at(path, |path| {
            let Some(bytes) = disk::read(path)? else {
                return Ok(None);
            };
            let malformed = || {
                let reason = "it is not a checkpoint";
                std::io::Error::new(std::io::ErrorKind::InvalidData, reason)
            };
            let note = Note::parse(&bytes).map_err(|_| malformed())?;
            let head = Head::parse(note.text()).map_err(|_| malformed())?;
            let note = String::from_utf8(bytes).map_err(|_| malformed())?;
            Ok(Some(Published {
                note,
                head,
                is_witnessed,
            }))
        })
    }
}
