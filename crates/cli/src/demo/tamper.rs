//! The forger of the demo: makes a denied call look allowed, in a copy of the record.

use std::fs;
use std::io;
use std::path::Path;

/// What the forger changes, and into what.
pub(super) const FROM: &str = r#""effect":"deny""#;
pub(super) const TO: &str = r#""effect":"allow""#;

/// Copies a folder with its folders and files. Sockets and the like stay behind.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Changes one record wherever the published log has it. Says in how many files that was.
pub(super) fn forge(entries: &Path, run: &str, seq: u64) -> io::Result<usize> {
    let mut forged = 0;
    for entry in fs::read_dir(entries)? {
        let path = entry?.path();
        if path.is_dir() {
            forged += forge(&path, run, seq)?;
            continue;
        }
        if let Some(bundle) = forge_bundle(&fs::read(&path)?, run, seq) {
            fs::write(&path, bundle)?;
            forged += 1;
        }
    }
    Ok(forged)
}

/// A bundle with the record changed, every length right; nothing if it does not have it.
fn forge_bundle(mut bundle: &[u8], run: &str, seq: u64) -> Option<Vec<u8>> {
    let mut made = Vec::with_capacity(bundle.len() + 1);
    let mut found = false;
    while let Some((length, rest)) = bundle.split_first_chunk::<2>() {
        let (record, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        bundle = rest;
        let forged = forge_record(record, run, seq);
        found |= forged.is_some();
        let record = forged.as_deref().unwrap_or(record);
        made.extend(u16::try_from(record.len()).ok()?.to_be_bytes());
        made.extend_from_slice(record);
    }
    found.then_some(made)
}

fn forge_record(record: &[u8], run: &str, seq: u64) -> Option<Vec<u8>> {
    let fields: serde_json::Value = serde_json::from_slice(record).ok()?;
    let text = std::str::from_utf8(record).ok()?;
    let is_it = fields.get("run")? == run && fields.get("seq")? == seq && text.contains(FROM);
    is_it.then(|| text.replace(FROM, TO).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(records: &[&str]) -> Vec<u8> {
        let mut bundle = Vec::new();
        for record in records {
            bundle.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
            bundle.extend(record.as_bytes());
        }
        bundle
    }

    #[test]
    fn one_record_is_changed_and_the_rest_is_as_it_was() {
        let before = r#"{"decision":{"effect":"deny"},"run":"r","seq":1}"#;
        let denied = r#"{"decision":{"effect":"deny"},"run":"r","seq":2}"#;
        let allowed = r#"{"decision":{"effect":"allow"},"run":"r","seq":2}"#;
        let folder = tempfile::tempdir().unwrap();
        let entries = folder.path().join("entries");
        fs::create_dir_all(entries.join("000.p")).unwrap();
        fs::write(entries.join("000.p/1"), bundle(&[before])).unwrap();
        fs::write(entries.join("000.p/2"), bundle(&[before, denied])).unwrap();
        let copied = folder.path().join("copy");
        copy(&entries, &copied).unwrap();
        assert_eq!(forge(&copied, "r", 2).unwrap(), 1);
        assert_eq!(fs::read(copied.join("000.p/1")).unwrap(), bundle(&[before]));
        assert_eq!(
            fs::read(copied.join("000.p/2")).unwrap(),
            bundle(&[before, allowed])
        );
        assert_eq!(
            fs::read(entries.join("000.p/2")).unwrap(),
            bundle(&[before, denied])
        );
    }
}
