//! Signed notes and checkpoints, as the writer makes and reads them (C2SP signed-note and
//! tlog-checkpoint). The verifier has its own reading code.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::merkle::Hash;

/// Ed25519 over the text of a note: what logs sign with.
const ED25519: u8 = 1;
/// Ed25519 over the text and a time: what witnesses sign with (C2SP tlog-cosignature).
const COSIGNATURE: u8 = 4;

/// The public half of a key, and the name it signs under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Public {
    name: String,
    kind: u8,
    id: [u8; 4],
    key: VerifyingKey,
}

/// Signs the log's checkpoints, with a key in this process.
pub(crate) struct Signer {
    public: Public,
    key: SigningKey,
}

/// Cosigns the checkpoints of logs.
pub(crate) struct Cosigner {
    public: Public,
    key: SigningKey,
}

impl Signer {
    pub(crate) fn new(name: String, seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let public = Public::new(name, ED25519, key.verifying_key());
        Self { public, key }
    }

    pub(crate) fn public(&self) -> &Public {
        &self.public
    }

    /// The signed checkpoint.
    pub(crate) fn sign(&self, checkpoint: &Checkpoint) -> String {
        self.sign_text(&checkpoint.text(&self.public.name))
    }

    /// The text as a note that this key has signed.
    pub(crate) fn sign_text(&self, text: &str) -> String {
        format!("{text}\n{}", self.signature(text))
    }

    /// The signature line of a text.
    pub(crate) fn signature(&self, text: &str) -> String {
        self.public.line(&self.key.sign(text.as_bytes()).to_bytes())
    }
}

impl Cosigner {
    pub(crate) fn new(name: String, seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let public = Public::new(name, COSIGNATURE, key.verifying_key());
        Self { public, key }
    }

    pub(crate) fn public(&self) -> &Public {
        &self.public
    }

    /// The signature line that says that this text, a checkpoint's, was seen at this time: seconds
    /// since the Unix epoch.
    pub(crate) fn cosign(&self, text: &str, time: u64) -> String {
        let message = format!("cosignature/v1\ntime {time}\n{text}");
        let signature = self.key.sign(message.as_bytes()).to_bytes();
        let signature = [&time.to_be_bytes()[..], &signature].concat();
        self.public.line(&signature)
    }
}

impl Public {
    fn new(name: String, kind: u8, key: VerifyingKey) -> Self {
        let mut hash = Sha256::new();
        hash.update(name.as_bytes());
        hash.update([b'\n', kind]);
        hash.update(key.as_bytes());
        let mut id = [0; 4];
        id.iter_mut()
            .zip(hash.finalize())
            .for_each(|(to, from)| *to = from);
        Self {
            name,
            kind,
            id,
            key,
        }
    }

    /// Reads the verifier key of a log, `NAME+ID+KEY`, as [`vkey`](Self::vkey) writes it.
    pub(crate) fn parse(vkey: &str) -> Option<Self> {
        // Base64 has a plus, too; names have none.
        let mut parts = vkey.splitn(3, '+');
        let (name, _, material) = (parts.next()?, parts.next()?, parts.next()?);
        let material = BASE64.decode(material).ok()?;
        let (kind, key) = material.split_first()?;
        let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
        let public = Self::new(name.to_owned(), *kind, key);
        (*kind == ED25519 && public.vkey() == vkey).then_some(public)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The key a verifier needs: `name+id+key`.
    pub(crate) fn vkey(&self) -> String {
        let mut key = vec![self.kind];
        key.extend_from_slice(self.key.as_bytes());
        let id = crate::digest::hex(&self.id);
        format!("{}+{id}+{}", self.name, BASE64.encode(key))
    }

    /// The note without the signatures of others.
    pub(crate) fn only_ours(&self, note: &str) -> String {
        let ours = format!("\u{2014} {} ", self.name);
        let (text, signatures) = note.rsplit_once("\n\n").unwrap_or((note, ""));
        let signatures = signatures.lines().filter(|line| line.starts_with(&ours));
        signatures.fold(format!("{text}\n\n"), |note, line| note + line + "\n")
    }

    /// The signature line with this signature.
    fn line(&self, signature: &[u8]) -> String {
        let signature = [&self.id[..], signature].concat();
        format!("\u{2014} {} {}\n", self.name, BASE64.encode(signature))
    }

    /// Reads a checkpoint that this key has signed, whoever has signed it besides.
    pub(crate) fn open(&self, note: &[u8]) -> Result<Checkpoint, NotOurs> {
        let note = std::str::from_utf8(note).map_err(|_| NotOurs::Malformed)?;
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(NotOurs::Malformed)?;
        let text = format!("{text}\n");
        let mut lines = text.lines();
        let mut next = || lines.next().ok_or(NotOurs::Malformed);
        let (origin, size, root) = (next()?, next()?, next()?);
        if origin != self.name {
            return Err(NotOurs::Origin(origin.to_owned()));
        }
        let ours = format!("\u{2014} {} ", self.name);
        let signed = signatures
            .lines()
            .filter_map(|line| line.strip_prefix(&ours))
            .any(|signature| {
                let signature = BASE64.decode(signature).unwrap_or_default();
                match signature.split_first_chunk::<4>() {
                    Some((id, signature)) if *id == self.id => Signature::from_slice(signature)
                        .is_ok_and(|signature| {
                            self.key.verify_strict(text.as_bytes(), &signature).is_ok()
                        }),
                    _ => false,
                }
            });
        if !signed {
            return Err(NotOurs::Signature);
        }
        let root = BASE64.decode(root).map_err(|_| NotOurs::Malformed)?;
        Ok(Checkpoint {
            size: size.parse().map_err(|_| NotOurs::Malformed)?,
            root: root.try_into().map_err(|_| NotOurs::Malformed)?,
        })
    }
}

/// Why a note is not a checkpoint of this log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotOurs {
    #[error("it is not a checkpoint")]
    Malformed,
    #[error(
        "it is of another log, `{0}`; the `name` in the configuration may have changed; \
             `bailiwick rotate` begins a log of the new name that continues this one"
    )]
    Origin(String),
    #[error("its signature is not by this log's key")]
    Signature,
}

/// What is signed: how large the tree is, and its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

impl Checkpoint {
    /// What is signed, for a log of this name.
    pub(crate) fn text(&self, origin: &str) -> String {
        format!("{origin}\n{}\n{}\n", self.size, BASE64.encode(self.root))
    }
}

/// What [`is_name`] asks for, in the words of an error.
pub(crate) const NAME_RULE: &str =
    "it needs 1 to 255 bytes without spaces, control characters or `+`";

/// Whether this can be a log's name.
pub(crate) fn is_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
    !name.is_empty() && name.len() <= crate::limits::ORIGIN && !name.chars().any(forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_what_the_go_implementation_signs() {
        // golang.org/x/mod/sumdb/note: PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyN…
        let seed = BASE64
            .decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")
            .unwrap();
        let signer = Signer::new("PeterNeumann".into(), seed[1..].try_into().unwrap());
        assert_eq!(
            signer.public().vkey(),
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
        );
        let text = "If you think cryptography is the answer to your problem,\n\
                    then you don't know what your problem is.\n";
        assert_eq!(
            signer.sign_text(text),
            format!(
                "{text}\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2p\
                 ZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
            )
        );
    }

    #[test]
    fn opens_only_what_it_has_signed() {
        let signer = Signer::new("a.example/log".into(), &[1; 32]);
        let checkpoint = Checkpoint {
            size: 7,
            root: [9; 32],
        };
        let note = signer.sign(&checkpoint);
        assert_eq!(signer.public().open(note.as_bytes()), Ok(checkpoint));
        let other = Signer::new("a.example/log".into(), &[2; 32]);
        assert_eq!(
            other.public().open(note.as_bytes()),
            Err(NotOurs::Signature)
        );
        let renamed = Signer::new("b.example/log".into(), &[1; 32]);
        assert!(matches!(
            renamed.public().open(note.as_bytes()),
            Err(NotOurs::Origin(_))
        ));
        for position in 0..note.len() {
            let mut altered = note.clone().into_bytes();
            altered[position] ^= 1;
            assert!(signer.public().open(&altered).is_err(), "{position}");
        }
    }

    #[test]
    fn names_are_what_the_note_format_allows() {
        assert!(is_name("acme.example/bailiwick"));
        for wrong in ["", "a b", "a+b", "a\nb", &"a".repeat(256)] {
            assert!(!is_name(wrong), "{wrong:?}");
        }
    }
}
