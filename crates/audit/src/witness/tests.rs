use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::*;
use crate::memory::tests::grown;
use crate::note::{Checkpoint, Signer};

const ORIGIN: &str = "a.example/log";

fn now() -> Time {
    Time::from_millis(1_679_315_147_999)
}

fn log() -> Signer {
    Signer::new(ORIGIN.to_owned(), &[1; 32])
}

fn config(dir: &Path) -> WitnessConfig {
    WitnessConfig {
        dir: dir.to_owned(),
        name: Some("w.example/1".to_owned()),
        logs: vec![log().public().vkey()],
    }
}

/// What the log asks: to sign its tree of this size.
fn ask(old: u64, size: u64) -> String {
    let (root, proof) = grown(old, size);
    let note = log().sign(&Checkpoint { size, root });
    Submission::encode(old, &proof, &note)
}

#[test]
fn each_refusal_is_what_the_specification_says() {
    let dir = tempfile::tempdir().unwrap();
    let witness = Witness::open(config(dir.path())).unwrap();
    let told = |body: &str| witness.add_checkpoint(body.as_bytes(), now());
    let signed = told(&ask(0, 5)).unwrap();
    assert!(signed.starts_with("\u{2014} w.example/1 ") && signed.ends_with('\n'));

    assert!(matches!(told("old 5\n"), Err(Refusal::Malformed(_))));
    assert!(matches!(
        told("old 5\n\nno note"),
        Err(Refusal::Malformed(_))
    ));
    assert!(matches!(told(&ask(6, 5)), Err(Refusal::Malformed(_))));
    let other = Signer::new("b.example/log".to_owned(), &[1; 32]);
    let (root, proof) = grown(5, 7);
    let unknown = other.sign(&Checkpoint { size: 7, root });
    let unknown = told(&Submission::encode(5, &proof, &unknown));
    assert_eq!(
        unknown,
        Err(Refusal::UnknownLog("b.example/log".to_owned()))
    );
    let other = Signer::new(ORIGIN.to_owned(), &[2; 32]);
    let unsigned = other.sign(&Checkpoint { size: 7, root });
    let unsigned = told(&Submission::encode(5, &proof, &unsigned));
    assert!(matches!(unsigned, Err(Refusal::NotSigned(_))));
    let good = ask(5, 7);
    let forged = good.replace("\n7\n", "\n8\n");
    assert!(matches!(told(&forged), Err(Refusal::NotSigned(_))));
    assert_eq!(told(&ask(0, 7)), Err(Refusal::Conflict { size: 5 }));
    assert_eq!(told(&ask(4, 4)), Err(Refusal::Conflict { size: 5 }));
    let unproven = log().sign(&Checkpoint { size: 7, root });
    let unproven = told(&Submission::encode(5, &proof[1..], &unproven));
    assert_eq!(unproven, Err(Refusal::Inconsistent { old: 5, size: 7 }));
    assert!(matches!(
        witness.add_checkpoint(good.as_bytes(), Time::from_millis(999)),
        Err(Refusal::NotKept(_))
    ));
    // None of these has changed anything.
    assert!(told(&good).is_ok());
}

#[test]
fn signatures_of_others_are_passed_over_and_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    let second = Signer::new(ORIGIN.to_owned(), &[2; 32]);
    config.logs.push(second.public().vkey());
    let witness = Witness::open(config).unwrap();
    let hash = memory::hash_of(ORIGIN);
    assert_eq!(witness.checkpoint(&hash), None);
    let text = "a.example/log\n5\n".to_owned() + &BASE64.encode(grown(0, 5).0) + "\nextension\n";
    let stranger = Signer::new("stranger".to_owned(), &[3; 32]).sign_text(&text);
    let line = stranger.rsplit_once("\n\n").unwrap().1;
    let note = second.sign_text(&text);
    let body = format!("old 0\n\n{note}{line}");
    let cosignature = witness.add_checkpoint(body.as_bytes(), now()).unwrap();
    let served = String::from_utf8(witness.checkpoint(&hash).unwrap()).unwrap();
    assert_eq!(served, format!("{note}{cosignature}"));
    // One good signature does not make up for a wrong one by another known key.
    let wrong = log().sign_text("another\n");
    let line = wrong.rsplit_once("\n\n").unwrap().1;
    let forged = witness.add_checkpoint(format!("old 5\n\n{note}{line}").as_bytes(), now());
    assert!(matches!(forged, Err(Refusal::NotSigned(_))), "{forged:?}");
    assert_eq!(witness.checkpoint("nothing"), None);

    let key = CosignerKey::parse(&witness.vkey()).unwrap();
    let note = Note::parse(served.as_bytes()).unwrap();
    assert_eq!(note.cosigned_by(&key), Ok(Some(1_679_315_147)));
}

#[test]
fn a_restart_keeps_the_key_the_name_and_what_was_signed() {
    let dir = tempfile::tempdir().unwrap();
    let witness = Witness::open(config(dir.path())).unwrap();
    let vkey = witness.vkey();
    assert!(
        Witness::open(config(dir.path())).is_err_and(|error| error.to_string().contains("use"))
    );
    witness.add_checkpoint(ask(0, 5).as_bytes(), now()).unwrap();
    drop(witness);
    let unnamed = WitnessConfig {
        name: None,
        ..config(dir.path())
    };
    let witness = Witness::open(unnamed).unwrap();
    assert_eq!((witness.name(), witness.vkey()), ("w.example/1", vkey));
    let told = witness.add_checkpoint(ask(0, 7).as_bytes(), now());
    assert_eq!(told, Err(Refusal::Conflict { size: 5 }));
    assert!(witness.add_checkpoint(ask(5, 7).as_bytes(), now()).is_ok());
    drop(witness);

    use std::os::unix::fs::PermissionsExt;
    let key = std::fs::metadata(dir.path().join(KEY)).unwrap();
    assert_eq!((key.permissions().mode() & 0o777, key.len()), (0o600, 32));
    let renamed = WitnessConfig {
        name: Some("w.example/2".to_owned()),
        ..config(dir.path())
    };
    assert!(matches!(
        Witness::open(renamed),
        Err(WitnessError::Another { .. })
    ));
    // A checkpoint that it did not sign does not pass for its own.
    let stored = dir.path().join(memory::hash_of(ORIGIN)).join("checkpoint");
    let (root, _) = grown(0, 3);
    std::fs::write(&stored, log().sign(&Checkpoint { size: 3, root })).unwrap();
    assert!(matches!(
        Witness::open(config(dir.path())),
        Err(WitnessError::Memory(MemoryError::Damaged { .. }))
    ));
    std::fs::remove_file(dir.path().join(KEY)).unwrap();
    assert!(matches!(
        Witness::open(config(dir.path())),
        Err(WitnessError::Key(KeyError::Missing(_)))
    ));
}

#[test]
fn a_new_witness_needs_a_name_and_keys_of_logs() {
    let dir = tempfile::tempdir().unwrap();
    let open = |name: Option<&str>, log: &str| {
        let config = WitnessConfig {
            dir: dir.path().to_owned(),
            name: name.map(str::to_owned),
            logs: vec![log.to_owned()],
        };
        Witness::open(config).err().unwrap()
    };
    assert!(matches!(open(None, ""), WitnessError::NoName));
    assert!(matches!(open(Some("a b"), ""), WitnessError::Name(_)));
    assert!(matches!(
        open(Some("w.example"), "key"),
        WitnessError::Log { .. }
    ));
}
