//! A log ends and another goes on: each names the other, and both are whole.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod kit;

use std::path::Path;

use bailiwick_audit::{
    Broken, Config, DirSource, Log, OpenError, Policy, Reader, Report, RotateError, Rotated,
    VerifyOptions, rotate, verify, verify_predecessors, verify_receipt,
};
use kit::*;

const NEXT: &str = "test.example/bailiwick/2027";

fn next(dir: &Path) -> Config {
    Config::new(dir, NEXT)
}

/// A log with a run in it, closed.
fn old(dir: &Path) -> bailiwick_run::Run {
    let (log, _) = open(dir);
    let run = whole_run(&log, 1, 3);
    log.close();
    run
}

fn check_all(dir: &Path) -> Result<(Report, Vec<Report>), Broken> {
    let report = check(dir)?;
    let before = verify_predecessors(dir, &report, &vkey(dir))?;
    Ok((report, before))
}

fn goes_on(dir: &Path, rotated: &Rotated) {
    let (log, _) = Log::open(next(dir)).unwrap();
    assert_eq!(log.vkey(), rotated.vkey);
    let first = log.reader().gateway().unwrap()[0].record.clone();
    assert_eq!(first.continues.as_ref(), Some(&rotated.continues));
    whole_run(&log, 2, 1);
    log.close();
    let (report, before) = check_all(dir).unwrap();
    assert_eq!((report.origin.as_str(), before.len()), (NEXT, 1));
    assert_eq!(report.continues.unwrap().size, before[0].records);
    assert_eq!(before[0].continued_by.as_ref().unwrap().vkey, rotated.vkey);
}

#[test]
fn each_names_the_other_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let run = old(dir.path());
    let key = std::fs::read(dir.path().join("keys/log.key")).unwrap();
    let old_vkey = vkey(dir.path());
    let rotated = rotate(&next(dir.path()), None).unwrap();
    assert_eq!(rotated.archive, dir.path().join("archive/0001"));
    assert_eq!(rotated.continues.vkey, old_vkey.trim_end());
    // Nobody can go on with the old log.
    for file in files(dir.path()) {
        let bytes = std::fs::read(&file).unwrap();
        let there = bytes.windows(32).any(|here| here == key);
        assert!(!there, "the old key is in {}", file.display());
    }
    goes_on(dir.path(), &rotated);

    // What was recorded before is read as ever, payloads too.
    let reader = Reader::open(dir.path()).unwrap();
    let trail = reader.run(&run.id).unwrap();
    assert_eq!(trail.len(), 9);
    assert!(reader.payload(&trail[1]).unwrap().is_some());
    let one = reader.record(&format!("{}/2", run.id)).unwrap().unwrap();
    assert_eq!(one.bytes, trail[1].bytes);
    let (log, _) = Log::open(next(dir.path())).unwrap();
    for number in 3..10 {
        whole_run(&log, number, 1);
    }
    log.close();
    // Proved by the log that it is in, though the new one has a record at that place, too.
    let receipt = reader.prove(&one).unwrap().unwrap();
    let trusted = Policy::of_log(old_vkey.trim_end()).unwrap();
    let proven = verify_receipt(receipt.text.as_bytes(), &trusted).unwrap();
    assert_eq!(proven.entry.bytes, one.bytes);

    // And once more.
    let third = Config::new(dir.path(), "test.example/bailiwick/2028");
    let again = rotate(&third, None).unwrap();
    assert_eq!(again.archive, dir.path().join("archive/0002"));
    let (log, _) = Log::open(third).unwrap();
    log.close();
    let (_, before) = check_all(dir.path()).unwrap();
    let names: Vec<_> = before.iter().map(|report| report.origin.as_str()).collect();
    assert_eq!(names, [NEXT, ORIGIN]);
    assert_eq!(reader.run(&run.id).unwrap().len(), 9);
}

#[test]
fn what_cannot_be_rotated_is_said() {
    let dir = tempfile::tempdir().unwrap();
    old(dir.path());
    let same = rotate(&config(dir.path()), None).unwrap_err();
    assert!(matches!(same, RotateError::SameName { .. }), "{same}");
    let wrong = Log::open(next(dir.path())).err().unwrap().to_string();
    assert!(wrong.contains("bailiwick rotate"), "{wrong}");
    let (log, _) = open(dir.path());
    let used = rotate(&next(dir.path()), None).unwrap_err();
    let in_use = matches!(used, RotateError::Open(OpenError::InUse(_)));
    assert!(in_use, "{used}");
    append(&log, opened(&run(7)));
    log.close();
    let open = rotate(&next(dir.path()), None).unwrap_err();
    assert!(matches!(open, RotateError::OpenRuns(1)), "{open}");
    let mut elsewhere = next(dir.path());
    elsewhere.signer = Some("socket".into());
    let signer = rotate(&elsewhere, None).unwrap_err();
    assert!(matches!(signer, RotateError::Signer { .. }), "{signer}");
}

/// Every state that a crash can leave: after each rename, the folder as it was then.
#[test]
fn a_rotation_that_was_cut_short_is_finished_by_the_next() {
    for step in 0..7 {
        let dir = tempfile::tempdir().unwrap();
        old(dir.path());
        let whole = tempfile::tempdir().unwrap();
        copy(dir.path(), whole.path());
        let rotated = rotate(&next(whole.path()), None).unwrap();
        // Back, move by move, from the end.
        let (archive, home) = (whole.path().join("archive/next"), whole.path());
        std::fs::rename(&rotated.archive, &archive).unwrap();
        let back = |name: &str| {
            std::fs::rename(archive.join(name), home.join(name)).unwrap();
        };
        if step >= 1 {
            std::fs::rename(home.join("keys/log.key"), home.join("keys/next.key")).unwrap();
        }
        if step >= 2 {
            std::fs::copy(dir.path().join("keys/log.key"), home.join("keys/log.key")).unwrap();
        }
        for (number, name) in ["log", "log.vkey", "keys/last-checkpoint", "wal"]
            .iter()
            .enumerate()
        {
            if step >= number + 2 {
                back(name);
            }
        }
        if step == 6 {
            std::fs::remove_dir_all(&archive).unwrap();
        }
        if step < 6 {
            let refused = Log::open(next(home)).err().unwrap();
            assert!(
                matches!(refused, OpenError::Rotating(_)),
                "{step}: {refused}"
            );
        }
        let finished = rotate(&next(home), None).unwrap();
        assert_eq!(finished.vkey, rotated.vkey, "{step}");
        goes_on(home, &finished);
    }
}

#[test]
fn a_log_that_does_not_end_where_the_next_begins_is_found() {
    let dir = tempfile::tempdir().unwrap();
    old(dir.path());
    let rotated = rotate(&next(dir.path()), None).unwrap();
    goes_on(dir.path(), &rotated);
    // Another log of the same key in its place: shorter, and whole by itself.
    let other = tempfile::tempdir().unwrap();
    old(other.path());
    let archived = rotated.archive.join("log");
    std::fs::remove_dir_all(&archived).unwrap();
    copy(&other.path().join("log"), &archived);
    std::fs::copy(
        other.path().join("log.vkey"),
        rotated.archive.join("log.vkey"),
    )
    .unwrap();
    let source = DirSource::new(archived);
    verify(&source, &vkey(other.path()), &VerifyOptions::default()).unwrap();
    // By another key it is not the one that is continued: nothing is there to check.
    let (_, before) = check_all(dir.path()).unwrap();
    assert!(before.is_empty());
    std::fs::write(rotated.archive.join("log.vkey"), &rotated.continues.vkey).unwrap();
    assert!(check_all(dir.path()).is_err());
}

#[test]
fn an_old_log_that_was_moved_away_is_not_in_the_way_of_the_next() {
    let dir = tempfile::tempdir().unwrap();
    old(dir.path());
    let names = ["2027", "2028", "2029"].map(|year| format!("{ORIGIN}/{year}"));
    for (number, name) in (1..).zip(names) {
        let config = Config::new(dir.path(), name);
        let rotated = rotate(&config, None).unwrap();
        let expected = dir.path().join(format!("archive/{number:04}"));
        assert_eq!(rotated.archive, expected);
        let (log, _) = Log::open(config).unwrap();
        log.close();
        if number == 2 {
            std::fs::remove_dir_all(dir.path().join("archive/0001")).unwrap();
        }
    }
    assert_eq!(check_all(dir.path()).unwrap().1.len(), 2);
}

#[test]
fn logs_that_come_before_each_other_in_a_circle_are_found() {
    let dir = tempfile::tempdir().unwrap();
    old(dir.path());
    let rotated = rotate(&next(dir.path()), None).unwrap();
    goes_on(dir.path(), &rotated);
    let (mut report, _) = check_all(dir.path()).unwrap();
    let here = vkey(dir.path());
    if let Some(continues) = &mut report.continues {
        continues.vkey = here.trim_end().to_owned();
    }
    let found = verify_predecessors(dir.path(), &report, &here).unwrap_err();
    let said = found.to_string();
    assert!(said.contains("came before it"), "{said}");
}

#[test]
fn the_first_start_after_a_rotation_may_be_inside_an_async_runtime() {
    let dir = tempfile::tempdir().unwrap();
    old(dir.path());
    rotate(&next(dir.path()), None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let (log, _) = (runtime.unwrap())
        .block_on(async { Log::open(next(dir.path())) })
        .unwrap();
    assert!(
        log.reader().gateway().unwrap()[0]
            .record
            .continues
            .is_some()
    );
    log.close();
    check_all(dir.path()).unwrap();
}

#[test]
fn a_rotated_log_goes_on_under_no_other_name() {
    let dir = tempfile::tempdir().unwrap();
    old(dir.path());
    rotate(&next(dir.path()), None).unwrap();
    let mistyped = Config::new(dir.path(), "test.example/bailiwick/2072");
    let refused = Log::open(mistyped.clone()).err().unwrap();
    assert!(matches!(refused, OpenError::OtherName { .. }), "{refused}");
    let again = rotate(&mistyped, None).unwrap_err();
    assert!(matches!(again, RotateError::NotStarted(_)), "{again}");
    let (log, _) = Log::open(next(dir.path())).unwrap();
    log.close();
    check_all(dir.path()).unwrap();
}

#[test]
fn a_log_that_was_rotated_away_is_pruned_whole_with_its_payloads() {
    let dir = tempfile::tempdir().unwrap();
    let run = old(dir.path());
    let rotated = rotate(&next(dir.path()), None).unwrap();
    goes_on(dir.path(), &rotated);
    let key = dir.path().join(format!("payloads/{}.key", run.id));
    assert!(key.exists());
    let (log, _) = Log::open(next(dir.path())).unwrap();
    // What a crash left of another is swept away.
    let gone = dir.path().join("archive/0000.gone");
    std::fs::create_dir(&gone).unwrap();
    // Nothing is old enough.
    let ago = bailiwick_run::Time::from_millis(1);
    assert_eq!(log.prune(ago, run.launcher.clone()).unwrap(), 0);
    assert!(rotated.archive.exists() && !gone.exists());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = bailiwick_run::Time::from_millis(now.unwrap().as_millis() as u64 + 1000);
    assert_eq!(log.prune(now, run.launcher.clone()).unwrap(), 0);
    assert!(!rotated.archive.exists() && !key.exists());
    let said = log.reader().gateway().unwrap();
    let pruned = said.last().unwrap().record.pruned.clone().unwrap();
    assert_eq!((pruned.before, pruned.logs), (0, vec![ORIGIN.to_owned()]));
    assert!(log.reader().run(&run.id).unwrap().is_empty());
    log.close();
    // And not again.
    let (log, _) = Log::open(next(dir.path())).unwrap();
    let records = log.reader().count().unwrap();
    log.prune(now, run.launcher).unwrap();
    assert_eq!(log.reader().count().unwrap(), records);
    log.close();
    let (report, before) = check_all(dir.path()).unwrap();
    assert!(before.is_empty());
    assert_eq!(report.continues.unwrap().origin, ORIGIN);
}
