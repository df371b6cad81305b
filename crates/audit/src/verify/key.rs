//! Keys that signatures of notes are checked with: those of logs and those of cosigners (C2SP
//! signed-note and tlog-cosignature).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::lower_hex;
use super::tree::Hash;

/// Ed25519 over the text of a note: what logs sign with.
const ED25519: u8 = 0x01;
/// Ed25519 over the text and a time: what witnesses sign with.
const COSIGNATURE: u8 = 0x04;
/// ML-DSA-44, in its forms for logs and witnesses alike.
const ML_DSA: u8 = 0x06;

/// The key of a log, which signs its checkpoints.
#[derive(Clone, Debug)]
pub(crate) struct LogKey(Key);

/// The key of a witness, which cosigns checkpoints with the time at which it did.
#[derive(Clone, Debug)]
pub(crate) struct CosignerKey(Key);

/// What the two have in common.
#[derive(Clone, Debug)]
struct Key {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

/// Why a text is not the key that is needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAKey {
    #[error("it has no three parts")]
    Parts,
    #[error("its name is not one")]
    Name,
    #[error("its key is not base64")]
    Base64,
    #[error("its id is not that of its name and key")]
    Id,
    #[error("it is not an Ed25519 key")]
    Material,
    #[error("it is an ML-DSA-44 key, which this version does not support; take the Ed25519 key")]
    MlDsa,
    #[error("it is the key of a witness (type 4), where that of a log (type 1) is needed")]
    OfAWitness,
    #[error("it is the key of a log (type 1), where that of a witness (type 4) is needed")]
    OfALog,
}

impl LogKey {
    /// Reads `NAME+ID+base64(1, key)`.
    pub(crate) fn parse(vkey: &str) -> Result<Self, NotAKey> {
        match Key::parse(vkey)? {
            (ED25519, key) => Ok(Self(key)),
            (COSIGNATURE, _) => Err(NotAKey::OfAWitness),
            _ => Err(NotAKey::Material),
        }
    }

    /// The log's name: the origin of its checkpoints.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether a signature line of this name and id is this key's.
    pub(super) fn is(&self, name: &str, id: [u8; 4]) -> bool {
        self.0.is(name, id)
    }

    /// Whether these 64 bytes are this key's signature of the text.
    pub(super) fn has_signed(&self, text: &str, signature: &[u8]) -> bool {
        self.0.has_signed(text.as_bytes(), signature)
    }

    /// Whether it is the same public key, under whatever name.
    pub(super) fn is_duplicate_of(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }

    /// Whether signature lines cannot tell the two apart.
    pub(super) fn is_confused_with(&self, other: &Self) -> bool {
        self.is(&other.0.name, other.0.id)
    }
}

impl CosignerKey {
    /// Reads `NAME+ID+base64(4, key)`.
    pub(crate) fn parse(vkey: &str) -> Result<Self, NotAKey> {
        match Key::parse(vkey)? {
            (COSIGNATURE, key) => Ok(Self(key)),
            (ED25519, _) => Err(NotAKey::OfALog),
            _ => Err(NotAKey::Material),
        }
    }

    /// The name it cosigns under.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether a signature line of this name and id is this key's.
    pub(super) fn is(&self, name: &str, id: [u8; 4]) -> bool {
        self.0.is(name, id)
    }

    /// When this key cosigned the text, in seconds since the Unix epoch; nothing if these bytes, the
    /// time and the signature, are not its cosignature.
    pub(super) fn cosigned_at(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let (time, signature) = signature.split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        let message = format!("cosignature/v1\ntime {time}\n{text}");
        let fits = i64::try_from(time).is_ok() && self.0.has_signed(message.as_bytes(), signature);
        fits.then_some(time)
    }

    /// Whether it is the same public key, under whatever name.
    pub(super) fn is_duplicate_of(&self, other: &Self) -> bool {
        self.0.key == other.0.key
    }

    /// Whether signature lines cannot tell the two apart.
    pub(super) fn is_confused_with(&self, other: &Self) -> bool {
        self.is(&other.0.name, other.0.id)
    }
}

impl Key {
    /// The key and its type.
    fn parse(vkey: &str) -> Result<(u8, Self), NotAKey> {
        let vkey = vkey.strip_suffix('\n').unwrap_or(vkey);
        let mut parts = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAKey::Parts);
        };
        if !is_name(name) || name.chars().any(char::is_control) {
            return Err(NotAKey::Name);
        }
        let material = BASE64.decode(material).map_err(|_| NotAKey::Base64)?;
        let mut hash = Sha256::new();
        hash.update(name.as_bytes());
        hash.update(b"\n");
        hash.update(&material);
        let digest: Hash = hash.finalize().into();
        let [a, b, c, d, ..] = digest;
        let computed = [a, b, c, d];
        if id != lower_hex(&computed) {
            return Err(NotAKey::Id);
        }
        let (kind, key) = material.split_first().ok_or(NotAKey::Material)?;
        if *kind == ML_DSA {
            return Err(NotAKey::MlDsa);
        }
        let key = key.try_into().map_err(|_| NotAKey::Material)?;
        let key = Self {
            name: name.to_owned(),
            id: computed,
            key: VerifyingKey::from_bytes(&key).map_err(|_| NotAKey::Material)?,
        };
        Ok((*kind, key))
    }

    fn is(&self, name: &str, id: [u8; 4]) -> bool {
        self.name == name && self.id == id
    }

    fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature)
            .is_ok_and(|signature| self.key.verify_strict(message, &signature).is_ok())
    }
}

/// Whether a key can have this name.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c == '+')
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const VKEY: &str =
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    // A witness of the public network.
    const REMORA: &str = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";

    /// A verifier key of this type.
    pub(crate) fn vkey(name: &str, kind: u8, material: &[u8]) -> String {
        let material = [&[kind], material].concat();
        let id = Sha256::digest([name.as_bytes(), b"\n", &material].concat());
        format!("{name}+{}+{}", lower_hex(&id[..4]), BASE64.encode(material))
    }

    #[test]
    fn every_change_to_a_key_shows() {
        let log = |text: &str| LogKey::parse(text).map(drop);
        let cosigner = |text: &str| CosignerKey::parse(text).map(drop);
        type Parse<'a> = &'a dyn Fn(&str) -> Result<(), NotAKey>;
        for (vkey, parse) in [(VKEY, &log as Parse<'_>), (REMORA, &cosigner)] {
            assert_eq!(parse(vkey), Ok(()));
            for position in 0..vkey.len() {
                for bit in 0..7 {
                    let mut altered = vkey.as_bytes().to_vec();
                    altered[position] ^= 1 << bit;
                    let altered = String::from_utf8(altered).unwrap();
                    assert!(parse(&altered).is_err(), "{altered}");
                }
            }
        }
    }

    #[test]
    fn a_key_is_for_what_its_type_says() {
        assert_eq!(LogKey::parse(VKEY).unwrap().name(), "example.com/foo");
        assert_eq!(CosignerKey::parse(REMORA).unwrap().name(), "remora.n621.de");
        assert_eq!(CosignerKey::parse(VKEY).unwrap_err(), NotAKey::OfALog);
        assert_eq!(LogKey::parse(REMORA).unwrap_err(), NotAKey::OfAWitness);
        let quantum = vkey("w.example", ML_DSA, &[7; 1312]);
        assert_eq!(CosignerKey::parse(&quantum).unwrap_err(), NotAKey::MlDsa);
        assert_eq!(LogKey::parse(&quantum).unwrap_err(), NotAKey::MlDsa);
        for (kind, length) in [(1, 31), (1, 33), (2, 32), (4, 0), (255, 32)] {
            let odd = vkey("w.example", kind, &vec![7; length]);
            assert!(LogKey::parse(&odd).is_err() && CosignerKey::parse(&odd).is_err());
        }
        for name in ["", "a b", "a\u{2003}b", "a\tb", "a\u{7f}b"] {
            let named = vkey(name, ED25519, &[7; 32]);
            assert_eq!(LogKey::parse(&named).unwrap_err(), NotAKey::Name);
        }
    }
}
