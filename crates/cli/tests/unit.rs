//! The systemd unit, as systemd reads it.
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

use std::process::Command;

#[test]
fn systemd_understands_the_unit() {
    let unit = include_str!("../../../contrib/systemd/bailiwick.service");
    // Where it looks for the program there need be none yet.
    let unit = unit.replace("/usr/local/bin/bailiwick", env!("CARGO_BIN_EXE_bailiwick"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bailiwick.service");
    std::fs::write(&file, unit).unwrap();
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .arg(&file)
        .output();
    let Ok(verified) = verified else {
        eprintln!("skipped: there is no systemd-analyze");
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    let about = said
        .lines()
        .filter(|line| line.contains("bailiwick.service"));
    assert_eq!(about.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(verified.status.success(), "{said}");
}
