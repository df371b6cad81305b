//! A witness that cosigns whatever it is asked to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

pub(crate) struct Witness {
    name: &'static str,
    key: SigningKey,
}

impl Witness {
    pub(crate) fn new(name: &'static str, seed: u8) -> Self {
        Self {
            name,
            key: SigningKey::from_bytes(&[seed; 32]),
        }
    }

    pub(crate) fn vkey(&self) -> String {
        let id = u32::from_be_bytes(self.id());
        format!("{}+{id:08x}+{}", self.name, BASE64.encode(self.material()))
    }

    /// The note with this witness's line at its end.
    pub(crate) fn cosign(&self, note: &str, time: u64) -> String {
        let (text, _) = note.rsplit_once("\n\n").unwrap();
        let message = format!("cosignature/v1\ntime {time}\n{text}\n");
        let signature = self.key.sign(message.as_bytes()).to_bytes();
        let line = [&self.id()[..], &time.to_be_bytes(), &signature].concat();
        format!("{note}\u{2014} {} {}\n", self.name, BASE64.encode(line))
    }

    fn material(&self) -> Vec<u8> {
        [&[4], &self.key.verifying_key().as_bytes()[..]].concat()
    }

    fn id(&self) -> [u8; 4] {
        let named = [self.name.as_bytes(), b"\n", &self.material()].concat();
        let digest: [u8; 32] = Sha256::digest(named).into();
        *digest.first_chunk().unwrap()
    }
}
