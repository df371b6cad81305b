//! The demo ends as it says, and leaves nothing behind, also when it is interrupted.
#![allow(clippy::unwrap_used, reason = "these are tests")]

use std::fs;
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

fn start(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_bailiwick"))
        .arg("demo")
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
    let output = start(folder.path()).wait_with_output().unwrap();
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
        "✓ whole:",
        "✗ broken:",
        "README.md",
    ] {
        assert!(said.contains(words), "{words}:\n{said}");
    }
    assert!(!said.contains('\x1b'), "{said}");
    let widest = said.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{said}");
    assert_eq!(left_behind(folder.path()), [""; 0]);
}

#[test]
fn an_interrupt_leaves_nothing() {
    for after in [300, 1500] {
        let folder = folder();
        let child = start(folder.path());
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
