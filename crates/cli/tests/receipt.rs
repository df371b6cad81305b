//! Receipts: written beside a gateway and without one, checked with the public key alone.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use common::{Gateway, bailiwick, ran};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn a_receipt_is_checked_with_the_public_key_alone() {
    let mut gateway = Gateway::start();
    let opened = ran(&mut gateway.ask(&["open", "--task", "look", "--json"]));
    assert_eq!(opened.status, Some(0), "{}", opened.stderr);
    let run = gateway.runs()[0]["run"].as_str().unwrap().to_owned();

    // At once: the record may be covered by a checkpoint only in a second.
    let folder = tempfile::tempdir().unwrap();
    let written = ran(gateway.ask(&["receipt", "last/1"]).current_dir(&folder));
    assert_eq!(written.status, Some(0), "{}", written.stderr);
    let file = folder.path().join(format!("{run}-1.tlog-proof"));
    let receipt = std::fs::read_to_string(&file).unwrap();
    assert!(receipt.starts_with("c2sp.org/tlog-proof@v1\nextra "));

    // Elsewhere, with no configuration, folder or gateway.
    let key = std::fs::read_to_string(gateway.path("data/log.vkey")).unwrap();
    let check = |options: &[&str]| {
        let file = file.to_str().unwrap();
        ran(bailiwick()
            .args(["verify-receipt", file])
            .args(options)
            .current_dir(&folder))
    };
    let whole = check(&["--key", &key]);
    assert_eq!(whole.status, Some(0), "{}{}", whole.stdout, whole.stderr);
    for said in [&run, "run.opened", "look", "whole:", "No witness"] {
        assert!(whole.stdout.contains(said), "{said}: {}", whole.stdout);
    }
    let json = check(&["--key", &key, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["verdict"], "whole");
    assert_eq!(json["record"]["run"], run.as_str());
    assert_eq!(json["id"], format!("{run}/1"));
    assert_eq!(json["quorum"], serde_json::Value::Null);

    // The same by its digest, to the output.
    let digest = json["digest"].as_str().unwrap();
    let again = ran(&mut gateway.ask(&["receipt", digest, "-o", "-"]));
    assert_eq!(again.status, Some(0), "{}", again.stderr);
    assert_eq!(
        again.stdout.lines().nth(1),
        receipt.lines().nth(1),
        "the same record"
    );

    // With no gateway.
    let pid = Pid::from_child(&gateway.process);
    kill_process(pid, Signal::TERM).unwrap();
    gateway.process.wait().unwrap();
    let data = gateway.path("data");
    let offline = ["receipt", "last/1", "-o", "-", "--data"];
    let offline = ran(bailiwick().args(offline).arg(data));
    assert_eq!(offline.status, Some(0), "{}", offline.stderr);
    let unknown = ran(&mut gateway.ask(&["receipt", "last/99"]));
    assert_eq!(unknown.status, Some(2));
    assert!(unknown.stderr.contains("no record"), "{}", unknown.stderr);

    // What cannot be checked is not called broken, and the other way round.
    let policy = folder.path().join("policy");
    let with_policy = |text: &str| {
        std::fs::write(&policy, text).unwrap();
        check(&["--policy", policy.to_str().unwrap()])
    };
    assert_eq!(check(&[]).status, Some(2));
    assert_eq!(check(&["--key", "nothing"]).status, Some(2));
    assert_eq!(with_policy("quorum\n").status, Some(2));
    assert_eq!(with_policy("quorum none\n").status, Some(2));
    let good = format!("log {}\nquorum none\n", key.trim());
    assert_eq!(with_policy(&good).status, Some(0));
    let witness = "witness w remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    let unseen = with_policy(&format!("log {}\n{witness}\nquorum w\n", key.trim()));
    assert_eq!(unseen.status, Some(1), "{}", unseen.stderr);
    assert!(
        unseen.stdout.contains("too few witnesses"),
        "{}",
        unseen.stdout
    );
    std::fs::write(&file, receipt.replace("index ", "index 1")).unwrap();
    let broken = check(&["--key", &key]);
    assert_eq!(broken.status, Some(1), "{}", broken.stderr);
    assert!(broken.stdout.contains("broken:"), "{}", broken.stdout);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(check(&["--key", &key]).status, Some(2));
}
