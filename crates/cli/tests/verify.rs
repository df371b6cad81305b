//! Checking a log with a policy, and going on from an earlier check.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use common::{Gateway, Ran, bailiwick, ran, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const WITNESS: &str =
    "witness far remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";

/// A gateway that has been and gone.
fn log() -> Gateway {
    let mut gateway = Gateway::start();
    for _ in 0..2 {
        let opened = ran(&mut gateway.ask(&["open", "--task", "look", "--json"]));
        assert_eq!(opened.status, Some(0), "{}", opened.stderr);
    }
    let pid = Pid::from_child(&gateway.process);
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(gateway.process.wait().unwrap().code(), Some(0));
    gateway
}

fn verdict(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}{}", ran.stdout, ran.stderr))
}

#[test]
fn a_policy_says_whom_to_trust() {
    let gateway = log();
    let key = std::fs::read_to_string(gateway.path("data/log.vkey")).unwrap();
    let file = gateway.path("trust.policy");
    let verify = |policy: &str, options: &[&str]| {
        std::fs::write(&file, policy).unwrap();
        let mut command = gateway.ask(&["verify", "--policy", file.to_str().unwrap()]);
        ran(command.args(options))
    };
    let log = format!("log {}\n", key.trim());

    let alone = verify(&format!("{log}quorum none\n"), &[]);
    assert_eq!(alone.status, Some(0), "{}{}", alone.stdout, alone.stderr);
    assert!(alone.stdout.contains("no witness's word was heard"));
    assert!(!alone.stdout.contains("lies beside the log"));
    // The policy knows no log: the key beside the log is taken, and that is said.
    let unnamed = verify("quorum none\n", &[]);
    assert_eq!(unnamed.status, Some(0), "{}", unnamed.stderr);
    assert!(unnamed.stdout.contains("lies beside the log"));

    let unseen = verify(&format!("{log}{WITNESS}\nquorum far\n"), &["--json"]);
    assert_eq!(unseen.status, Some(1), "{}", unseen.stderr);
    assert_eq!(verdict(&unseen)["verdict"], "broken");
    let message = verdict(&unseen)["message"].to_string();
    assert!(message.contains("too few witnesses"), "{message}");

    // Nobody listens there; that is no finding, and is not tried when it need not be.
    let deaf = format!("{log}{WITNESS} http://127.0.0.1:1/\nquorum none\n");
    let asked = verify(&deaf, &[]);
    assert_eq!(asked.status, Some(0), "{}", asked.stderr);
    assert!(
        asked.stdout.contains("What the witness far has seen"),
        "{}",
        asked.stdout
    );
    let offline = verify(&deaf, &["--offline"]);
    assert_eq!(offline.status, Some(0), "{}", offline.stderr);
    assert!(!offline.stdout.contains("What the witness far has seen"));

    let wrong = verify(&format!("{log}{log}quorum none\n"), &[]);
    assert_eq!(wrong.status, Some(2), "{}", wrong.stdout);
    assert!(wrong.stderr.contains("line 2"), "{}", wrong.stderr);
    std::fs::remove_file(&file).unwrap();
    let missing = ran(&mut gateway.ask(&["verify", "--policy", file.to_str().unwrap()]));
    assert_eq!(missing.status, Some(2), "{}", missing.stdout);
}

#[test]
fn a_check_goes_on_from_one_before() {
    let gateway = log();
    let kept = gateway.path("checked");
    let kept = kept.to_str().unwrap();
    let since = ["verify", "--json", "--since-checkpoint", kept];
    let first = ran(&mut gateway.ask(&since));
    assert_eq!(first.status, Some(2), "{}", first.stdout);
    let saved = ran(&mut gateway.ask(&["verify", "--json", "--save-checkpoint", kept]));
    assert_eq!(saved.status, Some(0), "{}", saved.stderr);
    let note = std::fs::read_to_string(kept).unwrap();
    assert_eq!(verdict(&saved)["checkpoint"], note.as_str());
    assert_eq!(verdict(&saved)["resumed"], Value::Null);
    let again = ran(gateway.ask(&since).args(["--save-checkpoint", kept]));
    assert_eq!(again.status, Some(0), "{}", again.stderr);
    assert_eq!(verdict(&again)["resumed"]["skipped"], 0);
    assert_eq!(verdict(&again)["records"], verdict(&saved)["records"]);
    assert_eq!(std::fs::read_to_string(kept).unwrap(), note);

    // What is broken is not kept.
    std::fs::write(kept, "nonsense\n").unwrap();
    let broken = ran(gateway.ask(&since).args(["--save-checkpoint", kept]));
    assert_eq!(broken.status, Some(1), "{}", broken.stderr);
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "nonsense\n");
}

/// A witness of a log, as a process of its own.
struct Witness {
    process: Child,
    /// Its line of a policy.
    line: String,
    _folder: tempfile::TempDir,
}

impl Witness {
    fn of(log: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = bailiwick()
            .args(["witness", "--listen", "127.0.0.1:0", "--name", "w.example"])
            .args(["--log", log, "--data"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = said.find_map(|line| {
            let line = line.unwrap();
            let place = line.find("witness NAME")?;
            Some(line.get(place..)?.replace("NAME", "near"))
        });
        Self {
            process,
            line: line.unwrap(),
            _folder: folder,
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Copies a folder, but for what is no file.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_witness_sees_the_log_and_finds_it_rolled_back() {
    let mut gateway = log();
    let key = std::fs::read_to_string(gateway.path("data/log.vkey")).unwrap();
    let witness = Witness::of(key.trim());
    let policy = format!("log {}\n{}\nquorum near\n", key.trim(), witness.line);
    let file = gateway.path("trust.policy");
    std::fs::write(&file, policy).unwrap();
    let config = gateway.path("bailiwick.toml");
    let with_policy =
        std::fs::read_to_string(&config).unwrap() + "[log]\npolicy = \"trust.policy\"\n";
    std::fs::write(&config, with_policy).unwrap();
    gateway.serve();

    // All of it is witnessed in a moment; while it runs nothing looks broken.
    let verify = |gateway: &Gateway, options: &[&str]| {
        let mut command = gateway.ask(&["verify", "--json", "--policy", file.to_str().unwrap()]);
        ran(command.args(options))
    };
    until("the witness has seen all of it", || {
        let report = verdict(&verify(&gateway, &[]));
        report["witnessed"]["after"] == 0 && report["asked"][0]["records"] == report["records"]
    });
    let folder = tempfile::tempdir().unwrap();
    let earlier = folder.path().join("earlier");
    copy(&gateway.path("data"), &earlier);

    // A receipt of what happens now waits for the witness.
    let opened = ran(&mut gateway.ask(&["open", "--task", "look", "--json"]));
    assert_eq!(opened.status, Some(0), "{}", opened.stderr);
    let proof = folder.path().join("proof");
    let written = ran(gateway.ask(&["receipt", "last/1", "-o"]).arg(&proof));
    assert_eq!(written.status, Some(0), "{}", written.stderr);
    assert!(!written.stderr.contains("note:"), "{}", written.stderr);
    let check = ran(bailiwick()
        .args(["verify-receipt", "--json", "--policy"])
        .args([&file, &proof]));
    assert_eq!(check.status, Some(0), "{}{}", check.stdout, check.stderr);
    assert_eq!(verdict(&check)["witnesses"][0]["witness"], "near");
    assert_eq!(verdict(&check)["quorum"], true);

    // What the data folder was before passes by itself, and not beside what the witness has seen.
    let earlier = ["--data", earlier.to_str().unwrap()];
    let offline = verify(&gateway, &[&earlier[..], &["--offline"]].concat());
    assert_eq!(offline.status, Some(0), "{}", offline.stdout);
    let found = verify(&gateway, &earlier);
    assert_eq!(found.status, Some(1), "{}{}", found.stdout, found.stderr);
    let evidence = verdict(&found)["evidence"].as_str().unwrap().to_owned();
    assert!(evidence.starts_with("test/bailiwick\n"), "{evidence}");
    let message = verdict(&found)["message"].to_string();
    assert!(message.contains("rolled back"), "{message}");
    assert!(message.contains("witness near"), "{message}");
}
