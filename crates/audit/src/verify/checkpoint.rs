//! Checkpoints: what a log signs (C2SP tlog-checkpoint).

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::broken::Broken;
use super::key::LogKey;
use super::note::{NotANote, Note};
use super::read_if_there;
use super::tree::Hash;

/// The text of a checkpoint: which log, how large its tree is, and the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// Why a note is not a checkpoint of a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotACheckpoint {
    #[error(transparent)]
    Note(#[from] NotANote),
    #[error("it is of the log {found}, not of {expected}")]
    Origin { found: String, expected: String },
    #[error("it names no log")]
    NoOrigin,
    #[error("its size is not a number")]
    Size,
    #[error("its root is not a hash")]
    Root,
    #[error("it has an empty line")]
    EmptyLine,
}

impl Head {
    /// Reads the text of a note.
    pub(crate) fn parse(text: &str) -> Result<Self, NotACheckpoint> {
        let mut lines = text.lines();
        let mut next = || lines.next().unwrap_or_default();
        let (origin, size, root) = (next(), next(), next());
        if origin.is_empty() {
            return Err(NotACheckpoint::NoOrigin);
        }
        let head = Self {
            origin: origin.to_owned(),
            size: decimal(size).ok_or(NotACheckpoint::Size)?,
            root: hash(root).ok_or(NotACheckpoint::Root)?,
        };
        match lines.any(str::is_empty) {
            true => Err(NotACheckpoint::EmptyLine),
            false => Ok(head),
        }
    }

    /// Reads a checkpoint that this log has signed.
    pub(crate) fn open(key: &LogKey, note: &[u8]) -> Result<Self, NotACheckpoint> {
        Self::of(key, &Note::parse(note)?)
    }

    /// Reads a note that this log has signed.
    pub(crate) fn of(key: &LogKey, note: &Note<'_>) -> Result<Self, NotACheckpoint> {
        if !note.is_signed_by(key)? {
            return Err(NotANote::NotSignedBy(key.name().to_owned()).into());
        }
        let head = Self::parse(note.text())?;
        if head.origin == key.name() {
            Ok(head)
        } else {
            Err(NotACheckpoint::Origin {
                found: head.origin,
                expected: key.name().to_owned(),
            })
        }
    }
}

/// A checkpoint whose signature was right, and the file it is in.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) file: String,
    pub(super) size: u64,
    pub(super) root: Hash,
}

impl Checkpoint {
    pub(super) fn open(key: &LogKey, file: &str, note: &[u8]) -> Result<Self, Broken> {
        let head = Head::open(key, note).map_err(|why| Broken::Checkpoint {
            file: file.to_owned(),
            reason: why.to_string(),
        })?;
        Ok(Self {
            file: file.to_owned(),
            size: head.size,
            root: head.root,
        })
    }

    /// The checkpoint in this file, if it is there.
    pub(super) fn read(key: &LogKey, path: &Path) -> Result<Option<Self>, Broken> {
        let file = path.display().to_string();
        match read_if_there(path) {
            Ok(Some(note)) => Self::open(key, &file, &note).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(Broken::Unreadable { file, error }),
        }
    }
}

/// A number as C2SP writes it: ASCII digits without a zero before them.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let plain = text == "0" || !text.starts_with(['0', '+']);
    plain.then(|| text.parse().ok()).flatten()
}

/// A hash in base64.
pub(crate) fn hash(text: &str) -> Option<Hash> {
    BASE64.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";

    #[test]
    fn reads_what_the_specification_shows() {
        let head = Head::parse(&format!("example.com/behind-the-sofa\n20852163\n{ROOT}\n"));
        let head = head.unwrap();
        assert_eq!(head.origin, "example.com/behind-the-sofa");
        assert_eq!(head.size, 20_852_163);
        assert_eq!(BASE64.encode(head.root), ROOT);
        // Lines after the third are the log's own affair.
        assert!(Head::parse(&format!("a\n0\n{ROOT}\nmore\n")).is_ok());
    }

    #[test]
    fn reads_nothing_else() {
        for (size, why) in [
            ("", NotACheckpoint::Size),
            ("07", NotACheckpoint::Size),
            ("+7", NotACheckpoint::Size),
            ("-7", NotACheckpoint::Size),
            ("7 ", NotACheckpoint::Size),
            ("18446744073709551616", NotACheckpoint::Size),
        ] {
            assert_eq!(Head::parse(&format!("a\n{size}\n{ROOT}\n")), Err(why));
        }
        assert!(Head::parse(&format!("a\n18446744073709551615\n{ROOT}\n")).is_ok());
        for (text, why) in [
            (format!("\n7\n{ROOT}\n"), NotACheckpoint::NoOrigin),
            (String::new(), NotACheckpoint::NoOrigin),
            ("a\n7\n".to_owned(), NotACheckpoint::Root),
            ("a\n7\nAAAA\n".to_owned(), NotACheckpoint::Root),
            (format!("a\n7\n{ROOT}\n\nb\n"), NotACheckpoint::EmptyLine),
        ] {
            assert_eq!(Head::parse(&text), Err(why), "{text:?}");
        }
    }
}
