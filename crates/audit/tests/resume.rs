//! A check that goes on from a checkpoint verified before reads only what is new, and trusts nothing
//! else than that checkpoint.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod kit;

use std::cell::RefCell;
use std::fs;
use std::io;
use std::path::Path;

use bailiwick_audit::{
    Broken, DirSource, Policy, Progress, Report, Source, Verification, VerifyOptions,
};
use kit::*;
use tempfile::TempDir;

/// Remembers what it was asked for.
struct Watched {
    source: DirSource,
    asked: RefCell<Vec<String>>,
}

impl Watched {
    fn new(dir: &Path) -> Self {
        Self {
            source: DirSource::new(dir.join("log")),
            asked: RefCell::default(),
        }
    }

    fn bundles(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let bundles = asked
            .iter()
            .filter(|path| path.starts_with("tile/entries/"));
        bundles.cloned().collect()
    }
}

impl Source for Watched {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.asked.borrow_mut().push(path.to_owned());
        self.source.get(path)
    }
}

fn go_on(dir: &Path, since: &Path, source: &dyn Source) -> Result<Report, Broken> {
    let read = RefCell::new(None);
    let report = Verification {
        source,
        policy: &Policy::of_log(vkey(dir).trim()).unwrap(),
        options: &VerifyOptions {
            since: Some(since.to_owned()),
            ..VerifyOptions::for_data_dir(dir, None)
        },
        transport: None,
        progress: &|Progress { done, total }| {
            assert!(done <= total);
            *read.borrow_mut() = Some((done, total));
        },
    }
    .run()?;
    if let Some((done, total)) = read.into_inner() {
        let skipped = report.resumed.unwrap().skipped;
        assert_eq!(
            (done, total),
            (report.records - skipped, report.records - skipped)
        );
    }
    Ok(report)
}

/// A log that was checked when it had 700 records and a run still open, and has grown since.
fn log() -> (TempDir, TempDir) {
    let (dir, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (writer, _) = open(dir.path());
    append(&writer, started());
    let long = run(500);
    append(&writer, opened(&long));
    for _ in 0..349 {
        let receipt = append(&writer, decided(&long, true));
        append(&writer, finished(&long, receipt.seq()));
    }
    writer.checkpoint_now().unwrap();
    let report = check(dir.path()).unwrap();
    assert_eq!((report.records, report.resumed.is_none()), (700, true));
    fs::write(kept.path().join("checked"), &report.checkpoint).unwrap();
    let unfinished = append(&writer, decided(&long, true));
    for n in 0..20 {
        whole_run(&writer, n, 8);
    }
    append(&writer, finished(&long, unfinished.seq()));
    append(&writer, closed(&long));
    writer.close();
    (dir, kept)
}

#[test]
fn only_what_is_new_is_read() {
    let (dir, kept) = log();
    let whole = check(dir.path()).unwrap();
    assert_eq!(whole.records, 1083);
    let since = kept.path().join("checked");
    let source = Watched::new(dir.path());
    let report = go_on(dir.path(), &since, &source).unwrap();
    assert_eq!((report.records, &report.root), (whole.records, &whole.root));
    assert_eq!(report.last_time, whole.last_time);
    let resumed = report.resumed.unwrap();
    // The long run began before; the gateway's chain has no record since.
    assert_eq!((resumed.skipped, resumed.joined), (512, 1));
    assert_eq!((report.runs_closed, report.runs_open), (21, 0));
    assert_eq!(report.without_outcome, 0);
    let bundles = source.bundles();
    assert!(!bundles.is_empty());
    for older in ["000", "001"] {
        let older = format!("tile/entries/{older}");
        assert!(
            !bundles.iter().any(|path| path.starts_with(&older)),
            "{bundles:?}"
        );
    }
    // And again from there, with nothing new.
    fs::write(&since, &report.checkpoint).unwrap();
    let report = go_on(dir.path(), &since, &source).unwrap();
    assert_eq!(report.resumed.unwrap().skipped, 1024);
    assert_eq!(report.records, whole.records);
}

#[test]
fn at_whole_tiles_there_is_nothing_to_read_again() {
    let (dir, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (writer, _) = open(dir.path());
    for _ in 0..512 {
        append(&writer, started());
    }
    writer.close();
    let since = kept.path().join("checked");
    fs::write(&since, check(dir.path()).unwrap().checkpoint).unwrap();
    let source = Watched::new(dir.path());
    let report = go_on(dir.path(), &since, &source).unwrap();
    assert_eq!(
        (report.records, report.resumed.unwrap().skipped),
        (512, 512)
    );
    assert_eq!(source.bundles(), Vec::<String>::new());
}

#[test]
fn what_is_not_read_again_is_held_to_the_earlier_checkpoint() {
    let (dir, kept) = log();
    let since = kept.path().join("checked");
    let altered = |file: &str, position: usize| {
        let file = dir.path().join("log").join(file);
        let bytes = fs::read(&file).unwrap();
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        fs::write(&file, changed).unwrap();
        let result = go_on(dir.path(), &since, &Watched::new(dir.path()));
        fs::write(&file, bytes).unwrap();
        result
    };
    // The hashes that stand for what is not read, and records that are.
    assert!(altered("tile/1/000.p/4", 40).is_err());
    assert!(altered("tile/0/002", 40).is_err());
    assert!(altered("tile/entries/002", 400).is_err());
    // A record that was checked before is not looked at; a check of all of it does.
    assert!(altered("tile/entries/000", 400).is_ok());
}

#[test]
fn it_goes_on_from_a_checkpoint_of_this_very_log_only() {
    let (dir, kept) = log();
    let since = kept.path().join("checked");
    let source = Watched::new(dir.path());
    let result = || go_on(dir.path(), &since, &source);
    // Of a larger log.
    let older = tempfile::tempdir().unwrap();
    copy(dir.path(), older.path());
    let (writer, _) = open(dir.path());
    append(&writer, started());
    writer.close();
    fs::copy(dir.path().join("log/checkpoint"), &since).unwrap();
    let rolled_back = go_on(older.path(), &since, &Watched::new(older.path())).unwrap_err();
    assert!(
        matches!(
            rolled_back,
            Broken::RolledBack {
                found: 1083,
                known: 1084,
                ..
            }
        ),
        "{rolled_back}"
    );
    // Of another with the same key.
    let fork = tempfile::tempdir().unwrap();
    fs::create_dir(fork.path().join("keys")).unwrap();
    let key = "keys/log.key";
    fs::copy(dir.path().join(key), fork.path().join(key)).unwrap();
    let (writer, _) = open(fork.path());
    for _ in 0..300 {
        append(&writer, started());
    }
    writer.close();
    fs::copy(fork.path().join("log/checkpoint"), &since).unwrap();
    let forked = result().unwrap_err();
    assert!(
        matches!(forked, Broken::Inconsistent { size: 300, .. }),
        "{forked}"
    );
    // Of another key, of nothing, and none.
    let (other, _) = log();
    fs::copy(other.path().join("log/checkpoint"), &since).unwrap();
    assert!(matches!(result().unwrap_err(), Broken::Checkpoint { .. }));
    fs::write(&since, "").unwrap();
    assert!(matches!(result().unwrap_err(), Broken::Checkpoint { .. }));
    fs::remove_file(&since).unwrap();
    assert!(matches!(result().unwrap_err(), Broken::Unreadable { .. }));
}

#[test]
fn what_was_pruned_since_is_not_missed() {
    let (dir, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (writer, _) = open(dir.path());
    for n in 0..100 {
        whole_run(&writer, n, 4);
    }
    let early = kept.path().join("early");
    writer.checkpoint_now().unwrap();
    fs::write(&early, check(dir.path()).unwrap().checkpoint).unwrap();
    for n in 100..200 {
        whole_run(&writer, n, 4);
    }
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
    let later = later.duration_since(std::time::UNIX_EPOCH).unwrap();
    let later = bailiwick_run::Time::from_millis(later.as_millis() as u64);
    let before = writer.prune(later, run(0).launcher).unwrap();
    assert_eq!(before, 2048, "of 2,200 records");
    writer.close();
    // Those that it would read again are gone since, and the log says so.
    let source = Watched::new(dir.path());
    let report = go_on(dir.path(), &early, &source).unwrap();
    assert_eq!((report.records, report.pruned), (2201, 2048));
    assert_eq!(report.resumed.unwrap().skipped, 1024);
    // Where it goes on after them, they do not come up.
    let late = kept.path().join("late");
    fs::write(&late, &report.checkpoint).unwrap();
    let report = go_on(dir.path(), &late, &source).unwrap();
    assert_eq!(report.pruned, 0);
    assert_eq!(report.resumed.unwrap().skipped, 2048);
    // One bundle more than the log says.
    fs::remove_file(dir.path().join("log/tile/entries/008.p/153")).unwrap();
    let missing = go_on(dir.path(), &early, &source).unwrap_err();
    assert!(matches!(missing, Broken::Missing { .. }), "{missing}");
}
