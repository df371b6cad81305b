//! Retention: the oldest records go, in whole bundles, and everything after them is still proved.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod kit;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bailiwick_audit::{
    Broken, DirSource, Draft, Event, Log, OpenError, Reader, RunState, Source, Subject,
    VerifyOptions, verify,
};
use bailiwick_run::{Run, RunId, Time};
use kit::*;

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time::from_millis(since.as_millis() as u64)
}

/// Whole runs of ten records each, in parallel.
fn runs(log: &Log, numbers: std::ops::Range<u64>) -> Vec<Run> {
    let runs: Vec<_> = numbers.map(run).collect();
    std::thread::scope(|scope| {
        for part in runs.chunks(runs.len().div_ceil(16)) {
            scope.spawn(move || {
                for run in part {
                    append(log, opened(run));
                    for _ in 0..4 {
                        let draft = with_payload(decided(run, true), r#"{"text":"select 1"}"#);
                        let of = append(log, draft).seq();
                        append(log, finished(run, of));
                    }
                    append(log, closed(run));
                }
            });
        }
    });
    runs
}

/// 100 old runs, then 30 that stay. Returns them, and the moment between.
fn filled(dir: &Path) -> (Log, Vec<Run>, Vec<Run>, Time) {
    let (log, _) = open(dir);
    append(&log, started());
    let old = runs(&log, 1..101);
    std::thread::sleep(Duration::from_millis(5));
    let between = now();
    std::thread::sleep(Duration::from_millis(5));
    let kept = runs(&log, 1001..1031);
    log.checkpoint_now().unwrap();
    (log, old, kept, between)
}

/// Prunes, and waits until everything is removed.
fn prune(log: &Log, dir: &Path, until: Time) -> u64 {
    let before = log.prune(until, by()).unwrap();
    let since = std::time::Instant::now();
    while before >= 256 && bundle(dir, before / 256 - 1).exists() {
        assert!(since.elapsed() < Duration::from_secs(20), "not removed");
        std::thread::sleep(Duration::from_millis(5));
    }
    before
}

fn by() -> bailiwick_run::Launcher {
    run(0).launcher
}

fn payloads_of(dir: &Path, id: &RunId) -> bool {
    dir.join(format!("payloads/{id}")).exists() || dir.join(format!("payloads/{id}.key")).exists()
}

fn bundle(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("log/tile/entries/{number:03}"))
}

#[test]
fn what_is_pruned_is_gone_and_the_rest_is_proved() {
    let dir = tempfile::tempdir().unwrap();
    let (log, old, kept, between) = filled(dir.path());
    let before = prune(&log, dir.path(), between);
    assert_eq!(before, 768, "the last whole bundle of the old records");
    for number in 0..3 {
        assert!(!bundle(dir.path(), number).exists());
    }
    assert!(bundle(dir.path(), 3).exists());

    let report = check(dir.path()).unwrap();
    assert_eq!((report.pruned, report.records), (768, 1302));
    assert_eq!(report.runs_open, 0);
    let cut = report.runs_cut;
    assert!((1..=16).contains(&cut), "{cut}");
    // Payloads go with the record that closes their run.
    assert!(!payloads_of(dir.path(), &old[0].id));
    assert!(kept.iter().all(|run| payloads_of(dir.path(), &run.id)));
    let left = old.iter().filter(|run| payloads_of(dir.path(), &run.id));
    assert_eq!(left.count() as u64 + 30, report.runs_closed);

    // Of a run whose beginning is gone, only what is there counts.
    let reader = log.reader();
    let trails = old.iter().map(|run| reader.run(&run.id).unwrap());
    let trail = trails
        .into_iter()
        .find(|trail| (1..10).contains(&trail.len()))
        .unwrap();
    let id = trail[0].record.run.parse().unwrap();
    let partly = check_run(dir.path(), Some(id)).unwrap().run.unwrap();
    assert_eq!(partly.records, trail.len() as u64);
    assert_eq!((partly.first, partly.tail), (trail[0].record.seq, 0));

    assert!(reader.run(&old[0].id).unwrap().is_empty());
    assert_eq!(reader.run(&kept[0].id).unwrap().len(), 10);
    assert_eq!(reader.newest(usize::MAX).unwrap().len(), 1302 - 768);
    let mut forward = reader.from(0);
    assert_eq!(forward.next().unwrap().unwrap().index, 768);
    let said = reader.gateway().unwrap();
    let pruned = said.last().unwrap().record.pruned.clone().unwrap();
    assert_eq!((pruned.before, pruned.by), (768, by().to_string()));

    // Not again, and on with the log, with and without the note of the chains.
    assert_eq!(prune(&log, dir.path(), between), 768);
    log.close();
    for lost in [false, true] {
        if lost {
            std::fs::remove_file(dir.path().join("wal/chains")).unwrap();
        }
        let (log, recovered) = open(dir.path());
        assert!(recovered.open_runs.is_empty());
        append(&log, started());
        whole_run(&log, 5000 + u64::from(lost), 1);
        log.close();
        assert_eq!(check(dir.path()).unwrap().pruned, 768);
    }
    let last = kept.last().unwrap().id;
    let report = check_run(dir.path(), Some(last)).unwrap().run.unwrap();
    assert_eq!((report.state, report.records), (RunState::Closed, 10));
    assert_eq!(report.first, 1);
}

#[test]
fn the_newest_run_is_known_when_its_beginning_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let long = run(7);
    append(&log, opened(&long));
    for _ in 0..300 {
        append(&log, decided(&long, false));
    }
    append(&log, closed(&long));
    assert_eq!(prune(&log, dir.path(), now()), 256);
    assert_eq!(log.reader().newest_run().unwrap(), Some(long.id));
}

#[test]
fn nothing_of_an_open_run_is_pruned() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    runs(&log, 1..31);
    let open = run(500);
    append(&log, opened(&open));
    runs(&log, 31..101);
    assert_eq!(prune(&log, dir.path(), now()), 256);
    assert_eq!(check(dir.path()).unwrap().runs_open, 1);
    append(&log, closed(&open));
    assert!(prune(&log, dir.path(), now()) > 256);
}

#[test]
fn only_what_the_log_says_is_pruned_may_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let (log, ..) = filled(dir.path());
    log.close();
    let missing = |dir: &Path| match check(dir).unwrap_err() {
        Broken::Missing { file, .. } => file,
        other => panic!("{other}"),
    };
    std::fs::rename(bundle(dir.path(), 0), dir.path().join("aside")).unwrap();
    assert_eq!(missing(dir.path()), "tile/entries/000");
    std::fs::rename(dir.path().join("aside"), bundle(dir.path(), 0)).unwrap();

    let (log, _) = open(dir.path());
    let mut records = log.reader().from(600);
    let time = records.next().unwrap().unwrap().record.time;
    let time = humantime::parse_rfc3339(&time).unwrap();
    let millis = time.duration_since(UNIX_EPOCH).unwrap().as_millis();
    let before = prune(&log, dir.path(), Time::from_millis(millis as u64));
    assert_eq!(before, 512);
    log.close();
    std::fs::remove_file(bundle(dir.path(), 2)).unwrap();
    assert_eq!(missing(dir.path()), "tile/entries/002");
}

/// Whoever can write the folder and has no key can write into the write-ahead log.
#[test]
fn what_no_checkpoint_covers_gives_no_leave_to_remove_anything() {
    let dir = tempfile::tempdir().unwrap();
    let (log, ..) = filled(dir.path());
    let taken = tempfile::tempdir().unwrap();
    for name in ["log", "keys"] {
        copy(&dir.path().join(name), &taken.path().join(name));
    }
    std::fs::copy(dir.path().join("log.vkey"), taken.path().join("log.vkey")).unwrap();
    let said = Draft {
        event: Event::LogPruned {
            logs: Vec::new(),
            before: 256,
            by: by(),
        },
        subject: Subject::Gateway,
        payload: None,
    };
    append(&log, said);
    copy(&dir.path().join("wal"), &taken.path().join("wal"));
    assert_eq!(check(taken.path()).unwrap().tail, 1);
    std::fs::remove_file(bundle(taken.path(), 0)).unwrap();
    let found = check(taken.path()).unwrap_err();
    assert!(matches!(found, Broken::Missing { .. }), "{found}");
}

/// A log that is pruned after some of it was read.
struct Pruned {
    before: DirSource,
    after: DirSource,
    left: Cell<u32>,
}

impl Source for Pruned {
    fn get(&self, path: &str) -> std::io::Result<Option<Vec<u8>>> {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        match left {
            0 => self.after.get(path),
            _ => self.before.get(path),
        }
    }
}

#[test]
fn pruning_while_somebody_verifies_breaks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _, _, between) = filled(dir.path());
    let before = tempfile::tempdir().unwrap();
    copy(&dir.path().join("log"), before.path());
    prune(&log, dir.path(), between);
    log.close();
    for left in 1..16 {
        let source = Pruned {
            before: DirSource::new(before.path()),
            after: DirSource::new(dir.path().join("log")),
            left: Cell::new(left),
        };
        let report = verify(&source, &vkey(dir.path()), &VerifyOptions::default());
        assert_eq!(report.unwrap().origin, ORIGIN, "{left}");
    }
}

#[test]
fn what_a_crash_left_behind_is_removed_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _, _, between) = filled(dir.path());
    let aside = std::fs::read(bundle(dir.path(), 2)).unwrap();
    prune(&log, dir.path(), between);
    log.close();
    // As if it had not come so far.
    std::fs::write(bundle(dir.path(), 2), aside).unwrap();
    check(dir.path()).unwrap();
    let (log, _) = open(dir.path());
    log.close();
    assert!(!bundle(dir.path(), 2).exists());
    assert_eq!(check(dir.path()).unwrap().pruned, 768);
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.from(0).next().unwrap().unwrap().index, 768);
}

/// Whoever can write the folder could hide the log's beginning from all who read it, or have the gateway
/// itself remove it.
#[test]
fn a_note_of_pruning_that_the_log_does_not_bear_out_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _, _, between) = filled(dir.path());
    let bundles = tempfile::tempdir().unwrap();
    copy(&dir.path().join("log"), bundles.path());
    log.close();
    let note = dir.path().join("wal/pruned");
    let refused = |said: u64| {
        let broken = check(dir.path()).unwrap_err();
        assert!(matches!(broken, Broken::PrunedNote { .. }), "{broken}");
        match Log::open(config(dir.path())).err().unwrap() {
            OpenError::Pruned { said: found, .. } => assert_eq!(found, said),
            other => panic!("{other}"),
        }
        assert!(bundle(dir.path(), 3).exists());
    };
    std::fs::write(&note, "512\n").unwrap();
    refused(0);
    std::fs::remove_file(&note).unwrap();
    let (log, _) = open(dir.path());
    assert_eq!(prune(&log, dir.path(), between), 768);
    log.close();
    std::fs::write(&note, "1024\n").unwrap();
    refused(768);
    std::fs::write(&note, "768\n").unwrap();
    assert_eq!(check(dir.path()).unwrap().pruned, 768);
    open(dir.path()).0.close();
}
