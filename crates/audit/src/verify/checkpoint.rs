//! The key of a log, and the checkpoints it has signed (C2SP signed-note and tlog-checkpoint).

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::broken::Broken;
use super::tree::Hash;
use super::{lower_hex, read_if_there};

/// The key of a log: `name+id+base64(1, key)`.
pub(super) struct Key {
    pub(super) name: String,
    pub(super) id: [u8; 4],
    pub(super) key: VerifyingKey,
}

/// A checkpoint whose signature was right.
pub(super) struct Checkpoint {
    pub(super) file: String,
    pub(super) size: u64,
    pub(super) root: Hash,
}

impl Key {
    pub(super) fn parse(vkey: &str) -> Result<Self, Broken> {
        let wrong = |why: &str| Broken::Key(why.to_owned());
        let vkey = vkey.strip_suffix('\n').unwrap_or(vkey);
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong("it has no three parts"));
        };
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(wrong("its name is not one"));
        }
        let material = BASE64
            .decode(material)
            .map_err(|_| wrong("its key is not base64"))?;
        let mut hash = Sha256::new();
        hash.update(name.as_bytes());
        hash.update(b"\n");
        hash.update(&material);
        let digest: Hash = hash.finalize().into();
        let [a, b, c, d, ..] = digest;
        let computed = [a, b, c, d];
        if id != lower_hex(&computed) {
            return Err(wrong("its id is not that of its name and key"));
        }
        let key = match material.split_first() {
            Some((1, key)) => key.try_into().ok(),
            _ => None,
        };
        let key = key.ok_or_else(|| wrong("it is not an Ed25519 key"))?;
        Ok(Self {
            name: name.to_owned(),
            id: computed,
            key: VerifyingKey::from_bytes(&key).map_err(|_| wrong("it is not an Ed25519 key"))?,
        })
    }

    /// The text of a note that this key has signed.
    pub(super) fn open_note<'a>(&self, note: &'a [u8]) -> Result<&'a str, String> {
        let note = std::str::from_utf8(note).map_err(|_| "it is not UTF-8".to_owned())?;
        if note.chars().any(|c| c.is_control() && c != '\n') {
            return Err("it has control characters".to_owned());
        }
        let split = note.rfind("\n\n").ok_or("it has no signatures")?;
        let (text, signatures) = note
            .split_at_checked(split + 1)
            .ok_or("it has no signatures")?;
        let signatures = signatures.strip_prefix('\n').unwrap_or(signatures);
        let lines = signatures
            .strip_suffix('\n')
            .ok_or("its last line has no end")?;
        let mut signed = false;
        for line in lines.split('\n') {
            let parts = line
                .strip_prefix("\u{2014} ")
                .and_then(|line| line.split_once(' '));
            let (name, signature) = parts.ok_or("a signature line is malformed")?;
            let signature = BASE64
                .decode(signature)
                .map_err(|_| "a signature is not base64".to_owned())?;
            let (id, signature) = signature
                .split_first_chunk::<4>()
                .ok_or("a signature is too short")?;
            if name != self.name || *id != self.id {
                continue;
            }
            let signature = Signature::from_slice(signature)
                .map_err(|_| "its signature has the wrong length".to_owned())?;
            self.key
                .verify_strict(text.as_bytes(), &signature)
                .map_err(|_| "its signature does not fit its text".to_owned())?;
            signed = true;
        }
        if signed {
            Ok(text)
        } else {
            Err(format!("the key of {} has not signed it", self.name))
        }
    }

    pub(super) fn open(&self, file: &str, note: &[u8]) -> Result<Checkpoint, Broken> {
        let invalid = |reason: String| Broken::Checkpoint {
            file: file.to_owned(),
            reason,
        };
        let text = self.open_note(note).map_err(invalid)?;
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next(), lines.next(), lines.next());
        if origin != Some(self.name.as_str()) {
            let origin = origin.unwrap_or_default();
            return Err(invalid(format!(
                "it is of the log {origin}, not of {}",
                self.name
            )));
        }
        let size = size
            .filter(|size| *size == "0" || !size.starts_with(['0', '+']))
            .and_then(|size| size.parse().ok())
            .ok_or_else(|| invalid("its size is not a number".to_owned()))?;
        let root = root
            .and_then(|root| BASE64.decode(root).ok())
            .and_then(|root| root.try_into().ok())
            .ok_or_else(|| invalid("its root is not a hash".to_owned()))?;
        Ok(Checkpoint {
            file: file.to_owned(),
            size,
            root,
        })
    }
}

pub(super) fn read_last(path: &Path, key: &Key) -> Result<Option<Checkpoint>, Broken> {
    let file = path.display().to_string();
    match read_if_there(path) {
        Ok(Some(note)) => key.open(&file, &note).map(Some),
        Ok(None) => Ok(None),
        Err(error) => Err(Broken::Unreadable { file, error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
        Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    #[test]
    fn opens_the_note_of_the_specification() {
        let key = Key::parse(VKEY).ok().unwrap();
        assert_eq!(
            key.open_note(NOTE.as_bytes()),
            Ok("This is an example message.\n")
        );
        for position in 0..NOTE.len() {
            let mut altered = NOTE.as_bytes().to_vec();
            altered[position] ^= 1;
            assert!(key.open_note(&altered).is_err(), "{position}");
        }
        // A line by a key that is not known is passed over.
        let more = format!("{NOTE}\u{2014} other.example/w AAAAAAAA\n");
        assert!(key.open_note(more.as_bytes()).is_ok());
    }

    #[test]
    fn every_change_to_a_key_shows() {
        for position in 0..VKEY.len() {
            for bit in 0..7 {
                let mut altered = VKEY.as_bytes().to_vec();
                altered[position] ^= 1 << bit;
                let altered = String::from_utf8(altered).unwrap();
                assert!(Key::parse(&altered).is_err(), "{altered}");
            }
        }
    }
}
