//! The demo ends as it says, and leaves nothing behind, also when it is interrupted.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};

/// A folder for everything temporary, which PostgreSQL's user can enter, too.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::Builder::new()
        .prefix("bailiwick-test-")
        .tempdir()
        .unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

fn start(folder: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_bailiwick"))
        .arg("demo")
        .args(arguments)
        .env("TMPDIR", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn left_behind(folder: &Path) -> Vec<std::ffi::OsString> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn everything_is_as_the_demo_says_and_nothing_is_left() {
    let folder = folder();
    let output = start(folder.path(), &[]).wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n{said}\n{errors}",
        output.status
    );
    assert_eq!(errors, "");
    for words in [
        "[masked:card]",
        "42501: select on billing.cards is outside the scope",
        "42501: delete on billing.invoices is outside the scope",
        "✗ DENY",
        "/sign-in#code=bwl_",
        "canary",
        "told whoever is on call:",
        "✓ whole:",
        "✗ broken:",
        "README.md",
    ] {
        assert!(said.contains(words), "{words}:\n{said}");
    }
    assert!(!said.contains('\x1b'), "{said}");
    // A link that is broken into lines is none.
    let lines = said.lines().filter(|line| !line.starts_with("http://"));
    let widest = lines.map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{said}");
    assert_eq!(left_behind(folder.path()), [""; 0]);
}

#[test]
fn a_person_says_yes_and_no() {
    // Where the agent cannot be confined, what says yes might be the agent, so nobody does.
    if !common::can_confine() {
        return;
    }
    let folder = folder();
    let output = start(folder.path(), &[]).wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    for words in [
        "it waits until somebody of group:support says yes",
        "$ bailiwick approve apr_",
        "4097 closed, 1 row",
        "$ bailiwick deny apr_",
        "not asked for",
    ] {
        assert!(said.contains(words), "{words}:\n{said}");
    }
}

#[test]
fn it_stays_to_be_looked_at_until_it_is_interrupted() {
    let folder = folder();
    let mut child = start(folder.path(), &["--stay"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let config = lines.by_ref().map(Result::unwrap).find_map(|line| {
        let (_, config) = line.split_once("export BAILIWICK_CONFIG=")?;
        Some(config.to_owned())
    });
    let config = config.expect("it says where its configuration is");
    for (command, says) in [
        (&["trail", "last", "--denied"][..], "billing.cards"),
        (&["search", "billing.invoices", "--denied"], "DELETE"),
        (&["search", "signal.raised"], "canary"),
        (&["console"], "/sign-in#code="),
    ] {
        let mut asking = common::bailiwick();
        asking.args(command).env("BAILIWICK_CONFIG", &config);
        let ran = common::ran(&mut asking);
        assert_eq!(ran.status, Some(0), "{command:?}: {}", ran.stderr);
        assert!(ran.stdout.contains(says), "{command:?}: {}", ran.stdout);
    }
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:?}");
    assert!(
        rest.iter()
            .any(|line| line.contains("Nothing is left behind")),
        "{rest:?}"
    );
    assert_eq!(left_behind(folder.path()), [""; 0]);
}

#[test]
fn an_interrupt_leaves_nothing() {
    for after in [300, 1500] {
        let folder = folder();
        let child = start(folder.path(), &[]);
        std::thread::sleep(Duration::from_millis(after));
        rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let output = child.wait_with_output().unwrap();
        // A fast machine may be done by then.
        assert!(
            matches!(output.status.code(), Some(130 | 0)),
            "{}",
            output.status
        );
        assert_eq!(left_behind(folder.path()), [""; 0]);
    }
}
