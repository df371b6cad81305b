//! What happens when the disk fails: each durable write both ways it can fail, and a full disk.

mod beside;
mod forgetting;
mod full;

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bailiwick_action::{Decision, Denial, Fingerprint, FingerprintKey};
use bailiwick_run::{Confinement, Ending, Run, RunId, Time, TimeBox};

use crate::disk::{Disk, FileSystem};
use crate::limits;
use crate::queue::lock;
use crate::{
    AppendError, Config, DirSource, Draft, Event, Log, OpenError, Outcome, Receipt, Recovered,
    Report, State, Subject, VerifyOptions, verify,
};

/// Small, so that a test reaches its end.
const SEGMENT: u64 = 64 * 1024;

/// A disk that fails on demand.
#[derive(Default)]
struct Faulty {
    /// No new segment fits.
    full: AtomicBool,
    /// No tile fits.
    full_of_tiles: AtomicBool,
    /// Writes to the write-ahead log do nothing and say they did.
    lose: AtomicBool,
    /// What fails, and how.
    fault: Mutex<Option<Fault>>,
    /// It fails once.
    once: AtomicBool,
    /// How far the clock was set back, in seconds.
    back: AtomicU64,
    /// No sync of the write-ahead log ends.
    stuck: AtomicBool,
    /// How many are waiting for their end.
    waiting: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Fault {
    call: Call,
    /// Only where the path has this in it.
    path: &'static str,
    kept: Kept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Prepare,
    Write,
    Sync,
    Put,
    Replace,
    SyncPath,
    Rename,
    Remove,
}

/// What is there after a call that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    /// What it should have done.
    Yes,
    /// Nothing of it; for a sync, nothing of what it should have kept either.
    No,
}

impl Faulty {
    fn fail(&self, call: Call, path: &'static str, kept: Kept) {
        *lock(&self.fault) = Some(Fault { call, path, kept });
    }

    fn mend(&self) {
        *lock(&self.fault) = None;
        self.lose.store(false, Ordering::SeqCst);
    }

    /// Does it, or fails as demanded.
    fn call(
        &self,
        call: Call,
        path: &Path,
        work: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let fault = *lock(&self.fault);
        let text = path.to_string_lossy();
        match fault.filter(|fault| fault.call == call && text.contains(fault.path)) {
            None => work(),
            Some(fault) => {
                if self.once.load(Ordering::SeqCst) {
                    self.mend();
                }
                if fault.kept == Kept::Yes {
                    work()?;
                } else if call == Call::SyncPath && path.is_file() {
                    std::fs::remove_file(path)?;
                }
                Err(io::Error::other("the drive is gone"))
            }
        }
    }
}

fn path_of(file: &File) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap()
}

impl Disk for Faulty {
    fn prepare(&self, path: &Path, head: &[u8], size: u64) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.call(Call::Prepare, path, || FileSystem.prepare(path, head, size))
    }

    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.lose.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.call(Call::Write, &path_of(file), || {
            FileSystem.write(file, bytes, offset)
        })
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        // Not for ever: a test that fails is to come to its end.
        let since = Instant::now();
        while self.stuck.load(Ordering::SeqCst) && since.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        self.call(Call::Sync, &path_of(file), || FileSystem.sync(file))
    }

    fn put(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        if self.full_of_tiles.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.call(Call::Put, path, || FileSystem.put(path, bytes, mode))
    }

    fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        self.call(Call::Replace, path, || {
            FileSystem.replace(path, bytes, mode)
        })
    }

    fn sync_path(&self, path: &Path) -> io::Result<()> {
        self.call(Call::SyncPath, path, || FileSystem.sync_path(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Call::Rename, to, || FileSystem.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Remove, path, || FileSystem.remove(path))
    }

    fn now(&self) -> SystemTime {
        let back = Duration::from_secs(self.back.load(Ordering::SeqCst));
        FileSystem.now() - back
    }
}

struct Bench {
    dir: tempfile::TempDir,
    disk: Arc<Faulty>,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            disk: Arc::new(Faulty::default()),
        }
    }

    fn open(&self) -> (Log, Recovered) {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<(Log, Recovered), OpenError> {
        let config = Config::new(self.dir.path().to_owned(), "test.example/log");
        let disk: Arc<dyn Disk> = Arc::clone(&self.disk) as _;
        Log::open_on(config, disk, SEGMENT)
    }

    /// A file of the data folder that has these bytes in it.
    fn holds(&self, bytes: &[u8]) -> Option<PathBuf> {
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if std::fs::read(&path)
                    .is_ok_and(|all| all.windows(bytes.len()).any(|here| here == bytes))
                {
                    return Some(path);
                }
            }
        }
        None
    }

    fn verify(&self) -> Report {
        let dir = self.dir.path();
        let vkey = std::fs::read_to_string(dir.join("log.vkey")).unwrap();
        let options = VerifyOptions::for_data_dir(dir, None);
        verify(&DirSource::new(dir.join("log")), &vkey, &options).unwrap()
    }
}

fn run(n: u8) -> Run {
    let opened = Time::from_millis(1);
    Run {
        id: RunId::new(opened, [n; 10]),
        launcher: "human:a".parse().unwrap(),
        task: "t".to_owned(),
        time_box: TimeBox {
            opened,
            expires: opened,
        },
        confinement: Confinement::Landlock,
        reason: None,
    }
}

fn draft(run: &Run, event: Event) -> Draft {
    Draft {
        event,
        subject: Subject::Run(run.clone()),
        payload: None,
    }
}

fn opened(run: &Run) -> Draft {
    let event = Event::RunOpened {
        confinement: run.confinement,
        expires: run.time_box.expires,
        scope_digest: String::new(),
    };
    draft(run, event)
}

fn login(run: &Run) -> Draft {
    let event = Event::LoginDenied {
        target: None,
        reason: "x".repeat(700),
    };
    draft(run, event)
}

fn finished(run: &Run) -> Draft {
    let outcome = Outcome {
        state: State::Cut,
        rows: 0,
        bytes: 0,
        digest: None,
        masked: 0,
        error: None,
        micros: 0,
    };
    let event = Event::CallFinished {
        of: 2,
        target: "t".to_owned(),
        protocol: "postgres".into(),
        verb: "SELECT".into(),
        outcome,
    };
    draft(run, event)
}

fn allowed(run: &Run) -> Draft {
    let mut draft = decided(run, 0);
    if let Event::CallDecided { decision, .. } = &mut draft.event {
        *decision = Decision::Allow {
            policies: Vec::new(),
            approval: None,
        };
    }
    draft
}

fn closed(run: &Run) -> Draft {
    let ending = Ending::Expired;
    draft(run, Event::RunClosed { ending, by: None })
}

fn decided(run: &Run, number: u64) -> Draft {
    let call = bailiwick_action::Call {
        protocol: "postgres",
        verb: "SELECT".into(),
        actions: Vec::new(),
        refusal: None,
        payload: bailiwick_action::Payload::default(),
    };
    let key = FingerprintKey::new([1; 32]);
    let event = Event::CallDecided {
        target: "t".to_owned(),
        protocol: "postgres",
        verb: "SELECT".to_owned(),
        actions: Vec::new(),
        fingerprint: Fingerprint::of(&key, &call),
        decision: Decision::Deny(Denial {
            reason: "r".into(),
            remedy: String::new(),
            policies: Vec::new(),
        }),
        policy_digest: String::new(),
    };
    Draft {
        payload: Some(format!("{{\"text\":\"select {number}\"}}").into_bytes()),
        ..draft(run, event)
    }
}

/// Works until the fault is met: records with payloads, over several segments, with checkpoints.
/// Returns the receipts, and what was said when it failed.
fn work(log: &Log, run: &Run) -> (Vec<Receipt>, AppendError) {
    let mut receipts = Vec::new();
    let since = Instant::now();
    loop {
        let pending: Vec<_> = (0..40).map(|n| log.append(decided(run, n))).collect();
        for pending in pending {
            match pending.wait() {
                Ok(receipt) => receipts.push(receipt),
                Err(error) => return (receipts, error),
            }
        }
        if let Err(error) = log.checkpoint_now() {
            return (receipts, error);
        }
        assert!(since.elapsed() < Duration::from_secs(20), "it never failed");
    }
}

/// After any failed step: a named error, nothing more taken, and a start that finds everything that
/// had a receipt, in a log that is whole, and goes on.
fn stops(call: Call, path: &'static str, kept: Kept, prepare: impl Fn(&Faulty)) {
    let what = format!("{call:?} {path} {kept:?}");
    let bench = Bench::new();
    let (log, _) = bench.open();
    let run = run(1);
    let mut receipts = vec![log.append(opened(&run)).wait().unwrap()];
    receipts.push(log.append(decided(&run, 0)).wait().unwrap());
    prepare(&bench.disk);
    bench.disk.fail(call, path, kept);
    let (more, error) = work(&log, &run);
    receipts.extend(more);
    assert!(
        matches!(error, AppendError::Stopped { .. }),
        "{what}: {error}"
    );
    assert!(
        error.to_string().contains("the drive is gone"),
        "{what}: {error}"
    );
    bench.disk.mend();
    // Even when the disk has recovered: what is on it is not known.
    let refused = log.append(login(&run)).wait();
    assert!(
        matches!(refused, Err(AppendError::Stopped { .. })),
        "{what}: {refused:?}"
    );
    log.close();

    let (log, recovered) = bench.open();
    assert_eq!(recovered.open_runs, [run.id], "{what}");
    receipts.push(log.append(decided(&run, 1)).wait().unwrap());
    receipts.push(log.append(closed(&run)).wait().unwrap());
    log.close();
    let report = bench.verify();
    assert_eq!((report.runs_closed, report.tail), (1, 0), "{what}");
    let trail = log.reader().run(&run.id).unwrap();
    for receipt in &receipts {
        let entry = &trail[receipt.seq() as usize - 1];
        assert_eq!(entry.digest(), receipt.digest(), "{what}");
        if entry.record.payload.is_some() {
            let payload = log.reader().payload(entry).unwrap().unwrap();
            assert!(payload.starts_with(b"{\"text\":\"select "), "{what}");
        }
    }
}

/// Every step that has to be durable, failed and lost, failed and kept.
#[test]
fn whichever_step_fails_the_log_stops_and_the_next_start_has_every_receipt() {
    let steps = [
        (Call::Write, "/wal/"),
        (Call::Sync, "/wal/"),
        (Call::Prepare, "/wal/prepared-"),
        (Call::Rename, ".wal"),
        (Call::Remove, ".wal"),
        (Call::Write, "/payloads/run_"),
        (Call::SyncPath, "/payloads/run_"),
        (Call::SyncPath, "/payloads"),
        (Call::Put, "/tile/entries/"),
        (Call::Put, "/tile/0/"),
        (Call::SyncPath, "/tile/entries/000"),
        (Call::SyncPath, "/tile/0/000"),
        (Call::SyncPath, "/tile/0"),
        (Call::Replace, "/log/checkpoint"),
        (Call::Replace, "/keys/last-checkpoint"),
    ];
    for (call, path) in steps {
        for kept in [Kept::Yes, Kept::No] {
            stops(call, path, kept, |_| {});
        }
    }
}

#[test]
fn a_first_start_that_did_not_come_to_its_end_is_made_again() {
    let steps = [
        (Call::Prepare, "/wal/prepared-0"),
        (Call::Rename, "/00000000000000000000.wal"),
        (Call::Replace, "/log/checkpoint"),
        (Call::Replace, "/keys/last-checkpoint"),
        (Call::Prepare, "/wal/prepared-1"),
    ];
    for (call, path) in steps {
        for kept in [Kept::Yes, Kept::No] {
            let bench = Bench::new();
            bench.disk.fail(call, path, kept);
            assert!(bench.try_open().is_err(), "{call:?} {path}");
            bench.disk.mend();
            let (log, recovered) = bench.open();
            assert_eq!(recovered, Recovered::default());
            log.append(opened(&run(1))).wait().unwrap();
            log.close();
            assert_eq!(bench.verify().runs_open, 1, "{call:?} {path} {kept:?}");
        }
    }
}

#[test]
fn a_log_that_has_records_is_not_new_without_its_checkpoints() {
    let bench = Bench::new();
    let (log, _) = bench.open();
    log.append(opened(&run(1))).wait().unwrap();
    log.close();
    for checkpoint in ["log/checkpoint", "keys/last-checkpoint"] {
        std::fs::remove_file(bench.dir.path().join(checkpoint)).unwrap();
    }
    let refused = bench.try_open().err();
    assert!(
        matches!(refused, Some(OpenError::Checkpoint { .. })),
        "{refused:?}"
    );
}

#[test]
fn what_a_start_takes_for_durable_is_made_so() {
    let bench = Bench::new();
    let (log, _) = bench.open();
    log.append(opened(&run(1))).wait().unwrap();
    log.close();
    // As it is after a kill between a write and its sync: nobody knows.
    bench.disk.fail(Call::Sync, "/wal/", Kept::Yes);
    assert!(bench.try_open().is_err());
    bench.disk.mend();
    assert_eq!(bench.open().1.open_runs, [run(1).id]);
}

#[test]
fn without_the_note_of_the_chains_a_start_reads_more() {
    for kept in [Kept::Yes, Kept::No] {
        let bench = Bench::new();
        let (log, _) = bench.open();
        let run = run(1);
        log.append(opened(&run)).wait().unwrap();
        let before = log.append(login(&run)).wait().unwrap();
        bench.disk.fail(Call::Replace, "/wal/chains", kept);
        log.close();
        bench.disk.mend();
        let (log, recovered) = bench.open();
        assert_eq!(recovered.open_runs, [run.id]);
        let after = log.append(closed(&run)).wait().unwrap();
        assert_eq!(after.seq(), before.seq() + 1);
        log.close();
        assert_eq!(bench.verify().runs_closed, 1);
    }
}

#[test]
fn a_failed_sync_that_lost_what_was_written_stops_the_log() {
    stops(Call::Sync, "/wal/", Kept::No, |disk| {
        disk.lose.store(true, Ordering::SeqCst);
    });
}

#[test]
fn a_payload_key_that_could_not_be_stored_stops_the_log() {
    for kept in [Kept::Yes, Kept::No] {
        let bench = Bench::new();
        let (log, _) = bench.open();
        let run = run(1);
        bench.disk.fail(Call::Replace, ".key", kept);
        log.append(opened(&run)).wait().unwrap();
        log.append(decided(&run, 0)).wait().unwrap();
        let error = log.checkpoint_now().unwrap_err();
        assert!(matches!(error, AppendError::Stopped { .. }), "{error}");
        bench.disk.mend();
        log.close();
        let (log, _) = bench.open();
        let entry = log.reader().record(&format!("{}/2", run.id)).unwrap();
        let payload = log.reader().payload(&entry.unwrap()).unwrap();
        assert_eq!(payload.as_deref(), Some(&b"{\"text\":\"select 0\"}"[..]));
    }
}

#[test]
fn a_clock_that_is_set_back_does_no_harm() {
    let bench = Bench::new();
    let (log, _) = bench.open();
    let run = run(1);
    log.append(opened(&run)).wait().unwrap();
    let before = log.append(login(&run)).wait().unwrap();
    bench.disk.back.store(100_000_000, Ordering::SeqCst);
    let after = log.append(login(&run)).wait().unwrap();
    log.close();
    let (log, _) = bench.open();
    log.append(closed(&run)).wait().unwrap();
    log.close();
    let trail = log.reader().run(&run.id).unwrap();
    let time = |receipt: &Receipt| trail[receipt.seq() as usize - 1].record.time.clone();
    assert!(time(&after) < time(&before), "the clock was not set back");
    assert_eq!((trail.len(), bench.verify().runs_closed), (4, 1));
}

#[test]
fn what_nobody_waits_for_is_durable_soon_and_what_is_waited_for_at_once() {
    let bench = Bench::new();
    let (log, _) = bench.open();
    let run = run(1);
    log.append(opened(&run)).wait().unwrap();
    // A sync that fails shows when there is one.
    bench.disk.fail(Call::Sync, "/wal/", Kept::Yes);
    log.append_written(login(&run)).wait().unwrap();
    log.note(login(&run)).unwrap();
    let since = Instant::now();
    let error = loop {
        match log.note(login(&run)) {
            Ok(_) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => break error,
        }
        assert!(since.elapsed() < Duration::from_secs(10), "never synced");
    };
    assert!(matches!(error, AppendError::Stopped { .. }), "{error}");
}

#[test]
fn a_call_has_one_outcome() {
    let bench = Bench::new();
    let (log, _) = bench.open();
    log.append(opened(&run(1))).wait().unwrap();
    let undecided = log.append(finished(&run(1))).wait();
    assert!(matches!(undecided, Err(AppendError::Unrecordable(_))));
    log.append(allowed(&run(1))).wait().unwrap();
    log.note(finished(&run(1))).unwrap();
    let again = log.append(finished(&run(1))).wait();
    assert!(matches!(again, Err(AppendError::Unrecordable(_))));
    assert_eq!(log.append(closed(&run(1))).wait().unwrap().seq(), 4);
}
