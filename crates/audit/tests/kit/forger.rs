//! Whoever holds the signing key and can write all files: makes any records into a log.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use super::ORIGIN;

type Hash = [u8; 32];

/// Replaces the log of a data folder by one of these records, signed with the folder's own key, and
/// makes the gateway's memory fit it.
pub(crate) fn forge(dir: &Path, records: &[Vec<u8>]) {
    let log = dir.join("log");
    fs::remove_dir_all(&log).unwrap();
    for wal in fs::read_dir(dir.join("wal")).unwrap() {
        fs::remove_file(wal.unwrap().path()).unwrap();
    }
    let put = |path: String, bytes: Vec<u8>| {
        let path = log.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    let leaves: Vec<Hash> = records.iter().map(|record| hash(&[&[0], record])).collect();
    let name = |level: &str, number: usize, width: usize| match width {
        256 => format!("tile/{level}/{number:03}"),
        _ => format!("tile/{level}/{number:03}.p/{width}"),
    };
    let mut upper = Vec::new();
    for (number, (hashes, records)) in leaves.chunks(256).zip(records.chunks(256)).enumerate() {
        put(name("0", number, hashes.len()), hashes.concat());
        let bundle = records.iter().flat_map(|record| {
            let length = u16::try_from(record.len()).unwrap().to_be_bytes();
            [&length[..], record].concat()
        });
        put(name("entries", number, hashes.len()), bundle.collect());
        if hashes.len() == 256 {
            upper.push(root(hashes));
        }
    }
    if !upper.is_empty() {
        put(name("1", 0, upper.len()), upper.concat());
    }
    let note = checkpoint(dir, records.len(), &root(&leaves));
    put("checkpoint".to_owned(), note.clone().into_bytes());
    fs::write(dir.join("keys/last-checkpoint"), note).unwrap();
}

/// A checkpoint signed with the folder's key.
fn checkpoint(dir: &Path, size: usize, root: &Hash) -> String {
    let seed = fs::read(dir.join("keys/log.key")).unwrap();
    let key = SigningKey::from_bytes(&seed.try_into().unwrap());
    let public = key.verifying_key();
    let id = hash(&[ORIGIN.as_bytes(), b"\n\x01", public.as_bytes()]);
    let text = format!("{ORIGIN}\n{size}\n{}\n", BASE64.encode(root));
    let signature = key.sign(text.as_bytes()).to_bytes();
    let signature = BASE64.encode([&id[..4], &signature].concat());
    format!("{text}\n\u{2014} {ORIGIN} {signature}\n")
}

fn root(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => hash(&[]),
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
            hash(&[&[1], &root(left), &root(right)])
        }
    }
}

fn hash(parts: &[&[u8]]) -> Hash {
    Sha256::digest(parts.concat()).into()
}
