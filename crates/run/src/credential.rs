use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::RunId;

/// A run's own credential: `bwk_`, 256 random bits and a CRC-32C, in hexadecimal. It is recognisable
/// (a scanner can find a leaked one), shown once, and opens nothing but this gateway, for this run.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    const PREFIX: &'static str = "bwk_";

    /// A secret from 256 random bits.
    pub fn new(random: [u8; 32]) -> Self {
        let crc = crc32c::crc32c(&random);
        Self(format!("{}{}{crc:08x}", Self::PREFIX, hex(&random)))
    }

    /// The secret itself, to hand to the run's process. Keep it out of logs and records.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// What tells which secret an agent sent, for protocols that send it: its SHA-256. A secret has 256
/// random bits, so the digest gives nothing away.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BearerDigest([u8; 32]);

impl BearerDigest {
    /// Of what an agent sent as its secret.
    pub fn of(sent: &[u8]) -> Self {
        Self(Sha256::digest(sent).into())
    }
}

impl fmt::Debug for BearerDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerDigest(..)")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// PBKDF2 rounds of a [`Verifier`]. The secret has 256 random bits, so rounds only cost time; 4096
/// is what clients expect.
pub type Iterations = u32;

/// StoredKey and ServerKey of RFC 5802, section 3.
#[derive(Clone)]
pub struct ScramKeys {
    stored: [u8; 32],
    server: [u8; 32],
}

/// What the gateway keeps of a run's secret: enough to check it, not enough to use it. SCRAM-SHA-256
/// (RFC 5802, RFC 7677), so that the secret never crosses the wire.
#[derive(Clone)]
pub struct Verifier {
    run: Option<RunId>,
    salt: [u8; 16],
    keys: ScramKeys,
    bearer: BearerDigest,
}

/// The server's proof that it knows the verifier: ServerSignature of RFC 5802.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof(pub [u8; 32]);

/// The connection has proved that it holds the credential of this run. Made only by
/// [`Verifier::verify`] and [`Verifier::verify_bearer`].
#[derive(Debug)]
pub struct Verified {
    run: RunId,
}

impl Verified {
    /// The run that was proved.
    pub fn run(&self) -> RunId {
        self.run
    }
}

impl Verifier {
    /// Rounds of every verifier.
    pub const ITERATIONS: Iterations = 4096;

    /// The verifier of a run's secret, with a random salt.
    pub fn new(run: RunId, secret: &Secret, salt: [u8; 16]) -> Self {
        Self {
            run: Some(run),
            salt,
            keys: ScramKeys::derive(secret.reveal().as_bytes(), &salt, Self::ITERATIONS),
            bearer: BearerDigest::of(secret.reveal().as_bytes()),
        }
    }

    /// A verifier for a run that does not exist, which nothing matches, so that a failed login looks
    /// the same whether the run exists or not. The salt is derived from `key` and `name`: the same
    /// name always meets the same salt.
    pub fn of_nobody(key: &[u8; 32], name: &str) -> Self {
        let digest = hmac(key, &[name.as_bytes()]);
        let mut salt = [0; 16];
        for (to, from) in salt.iter_mut().zip(digest) {
            *to = from;
        }
        Self {
            run: None,
            salt,
            keys: ScramKeys {
                stored: hmac(key, &[b"stored", &digest]),
                server: hmac(key, &[b"server", &digest]),
            },
            bearer: BearerDigest(hmac(key, &[b"bearer", &digest])),
        }
    }

    /// Checks the secret itself, for protocols that send it, in constant time.
    pub fn verify_bearer(&self, sent: &BearerDigest) -> Option<Verified> {
        let same: bool = self.bearer.0.ct_eq(&sent.0).into();
        let run = self.run.filter(|_| same)?;
        Some(Verified { run })
    }

    /// What tells the secret that this checks.
    pub fn bearer(&self) -> &BearerDigest {
        &self.bearer
    }

    /// The salt to send to the client.
    pub fn salt(&self) -> &[u8; 16] {
        &self.salt
    }

    /// Checks a client's proof over `auth_message` (RFC 5802, section 3) in constant time. Returns
    /// who it is and the proof for the client that we are who it thinks.
    pub fn verify(
        &self,
        auth_message: &[u8],
        client_proof: &[u8; 32],
    ) -> Option<(Verified, Proof)> {
        let signature = hmac(&self.keys.stored, &[auth_message]);
        let mut client_key = [0; 32];
        for ((key, proof), signature) in client_key.iter_mut().zip(client_proof).zip(signature) {
            *key = proof ^ signature;
        }
        let same: bool = Sha256::digest(client_key)
            .as_slice()
            .ct_eq(&self.keys.stored)
            .into();
        match self.run {
            Some(run) if same => {
                let proof = Proof(hmac(&self.keys.server, &[auth_message]));
                Some((Verified { run }, proof))
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({:?})", self.run)
    }
}

impl ScramKeys {
    /// The keys of a password.
    pub fn derive(password: &[u8], salt: &[u8], iterations: Iterations) -> Self {
        let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations);
        let client = hmac(&salted, &[b"Client Key"]);
        Self {
            stored: Sha256::digest(client).into(),
            server: hmac(&salted, &[b"Server Key"]),
        }
    }

    /// What checks a client's proof.
    pub fn stored(&self) -> &[u8; 32] {
        &self.stored
    }

    /// What the server's own proof is made with.
    pub fn server(&self) -> &[u8; 32] {
        &self.server
    }
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // RFC 2104: a key shorter than the block is padded with zeros.
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;

    fn client_proof(secret: &Secret, verifier: &Verifier, message: &[u8]) -> [u8; 32] {
        let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(
            secret.reveal().as_bytes(),
            verifier.salt(),
            Verifier::ITERATIONS,
        );
        let client = hmac(&salted, &[b"Client Key"]);
        let stored: [u8; 32] = Sha256::digest(client).into();
        let signature = hmac(&stored, &[message]);
        let mut proof = client;
        proof.iter_mut().zip(signature).for_each(|(p, s)| *p ^= s);
        proof
    }

    #[test]
    fn only_the_right_secret_over_the_right_message_is_verified() {
        let run = RunId::new(Time::from_millis(1), [0; 10]);
        let secret = Secret::new([7; 32]);
        let verifier = Verifier::new(run, &secret, [9; 16]);
        let proof = client_proof(&secret, &verifier, b"message");
        let (verified, _) = verifier.verify(b"message", &proof).unwrap();
        assert_eq!(verified.run(), run);
        assert!(verifier.verify(b"another", &proof).is_none());
        let wrong = client_proof(&Secret::new([8; 32]), &verifier, b"message");
        assert!(verifier.verify(b"message", &wrong).is_none());
    }

    #[test]
    fn a_secret_that_was_sent_is_the_right_one_or_none() {
        let run = RunId::new(Time::from_millis(1), [0; 10]);
        let secret = Secret::new([7; 32]);
        let verifier = Verifier::new(run, &secret, [9; 16]);
        let sent = BearerDigest::of(secret.reveal().as_bytes());
        assert_eq!(verifier.verify_bearer(&sent).unwrap().run(), run);
        let other = BearerDigest::of(Secret::new([8; 32]).reveal().as_bytes());
        assert!(verifier.verify_bearer(&other).is_none());
        let nobody = Verifier::of_nobody(&[1; 32], "x");
        assert!(nobody.verify_bearer(nobody.bearer()).is_none());
    }

    #[test]
    fn nobody_is_never_verified_and_keeps_its_salt() {
        let nobody = Verifier::of_nobody(&[1; 32], "run_x");
        assert_eq!(nobody.salt(), Verifier::of_nobody(&[1; 32], "run_x").salt());
        assert_ne!(nobody.salt(), Verifier::of_nobody(&[1; 32], "run_y").salt());
        let proof = client_proof(&Secret::new([7; 32]), &nobody, b"m");
        assert!(nobody.verify(b"m", &proof).is_none());
    }

    #[test]
    fn a_secret_is_recognisable_and_does_not_show_itself() {
        let secret = Secret::new([0xab; 32]);
        assert_eq!(secret.reveal().len(), 76);
        assert!(secret.reveal().starts_with("bwk_abab"));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
