use std::fmt;

use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::{Action, Call, Held};

/// Keys [`Fingerprint`]s. It stays at the gateway: without it nobody can guess a short statement's
/// text from the record.
#[derive(Clone)]
pub struct FingerprintKey([u8; 32]);

impl FingerprintKey {
    /// A key of 32 random bytes.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(..)")
    }
}

/// A keyed digest of a call's exact protocol, verb, text and values: two calls share it only if the
/// agent sent the same thing. 128 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of a call. Each part is preceded by its length, so no two calls run together.
    pub fn of(key: &FingerprintKey, call: &Call) -> Self {
        let mut hash = Sha256::new();
        hash.update(key.0);
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(call.protocol.as_bytes());
        part(call.verb.as_bytes());
        part(call.payload.text.as_bytes());
        for value in &call.payload.values {
            match value {
                Some(value) => {
                    part(b"v");
                    part(value.as_bytes());
                }
                None => part(b"n"),
            }
        }
        Self::short(hash)
    }

    /// The fingerprint of what people are asked about: the call and all else that decides what it does, its
    /// target and what it was understood to do. One text may mean two things, where names or settings have
    /// changed in between; then this differs.
    pub fn of_question(key: &FingerprintKey, target: &str, held: &Held) -> Self {
        let mut hash = Sha256::new();
        hash.update(key.0);
        // Neither a call nor a result begins so.
        hash.update((u64::MAX - 1).to_be_bytes());
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(&Self::of(key, &held.call).0);
        part(target.as_bytes());
        part(&held.sense);
        for action in &held.call.actions {
            // No two actions are written alike; facts are a part of what was sent.
            let Action {
                class,
                verb,
                resource,
                columns,
                exposed,
                looked_up,
                facts: _,
            } = action;
            part(class.as_str().as_bytes());
            part(verb.as_str().as_bytes());
            part(resource.kind.as_str().as_bytes());
            part(resource.schema.as_ref().map_or(b"-", |_| b"+"));
            part(resource.schema.as_deref().unwrap_or_default().as_bytes());
            part(resource.name.as_bytes());
            for names in [columns, exposed, looked_up] {
                part(&(names.len() as u64).to_be_bytes());
                for name in names {
                    part(name.as_bytes());
                }
            }
        }
        Self::short(hash)
    }

    /// The fingerprint of a call's result, from the SHA-256 digest of the bytes that the agent got. A
    /// short result cannot be guessed from it without the key.
    pub fn of_result(key: &FingerprintKey, digest: &[u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update(key.0);
        // No call begins so: its first part is a protocol's name, and shorter.
        hash.update(u64::MAX.to_be_bytes());
        hash.update(digest);
        Self::short(hash)
    }

    fn short(hash: Sha256) -> Self {
        // The key comes first and the output is truncated, so length extension gains nothing.
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(hash.finalize()) {
            *to = from;
        }
        Self(short)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every record of a call has one, so it is not left to the formatter, digit by digit.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Payload;

    fn call(text: &str, values: &[Option<&str>]) -> Call {
        Call {
            protocol: "postgres",
            verb: "SELECT".into(),
            actions: Vec::new(),
            refusal: None,
            payload: Payload {
                text: text.into(),
                values: values.iter().map(|v| v.map(Into::into)).collect(),
            },
        }
    }

    #[test]
    fn any_difference_shows() {
        let key = FingerprintKey::new([7; 32]);
        let one = Fingerprint::of(&key, &call("select $1", &[Some("a")]));
        assert_eq!(one, Fingerprint::of(&key, &call("select $1", &[Some("a")])));
        for other in [
            call("select $1", &[Some("b")]),
            call("select $1", &[None]),
            call("select $1", &[Some("a"), None]),
            call("select  $1", &[Some("a")]),
        ] {
            assert_ne!(one, Fingerprint::of(&key, &other));
        }
        assert_ne!(
            one,
            Fingerprint::of(
                &FingerprintKey::new([8; 32]),
                &call("select $1", &[Some("a")])
            )
        );
    }
}
