//! What happens when the disk fails: each durable write both ways it can fail, and a full disk.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bailiwick_run::{Confinement, Ending, Run, RunId, Time, TimeBox};

use crate::disk::{Disk, FileSystem};
use crate::{
    AppendError, Config, DirSource, Draft, Event, Log, Outcome, Recovered, Report, State, Subject,
    VerifyOptions, verify,
};

/// Small, so that a test reaches its end.
const SEGMENT: u64 = 64 * 1024;

/// A disk that fails on demand.
#[derive(Default)]
struct Faulty {
    /// No new segment fits.
    full: AtomicBool,
    /// Writes fail.
    write: AtomicBool,
    /// Syncs fail; what was written before is kept.
    sync: AtomicBool,
    /// Writes do nothing and say they did.
    lose: AtomicBool,
}

impl Disk for Faulty {
    fn prepare(&self, path: &Path, head: &[u8], size: u64) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        FileSystem.prepare(path, head, size)
    }

    fn write(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.write.load(Ordering::SeqCst) {
            return Err(io::Error::other("no such sector"));
        }
        if self.lose.load(Ordering::SeqCst) {
            return Ok(());
        }
        FileSystem.write(file, bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        if self.sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the drive is gone"));
        }
        FileSystem.sync(file)
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
        let config = Config {
            dir: self.dir.path().to_owned(),
            origin: "test.example/log".to_owned(),
            signer: None,
        };
        let disk: Arc<dyn Disk> = Arc::clone(&self.disk) as _;
        Log::open_on(config, disk, SEGMENT).unwrap()
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
        masked: 0,
        error: None,
        micros: 0,
    };
    let event = Event::CallFinished {
        of: 1,
        target: "t".to_owned(),
        outcome,
    };
    draft(run, event)
}

fn closed(run: &Run) -> Draft {
    let ending = Ending::Expired;
    draft(run, Event::RunClosed { ending })
}

/// After any failed write or sync: named error, nothing more taken, and a start that finds
/// everything that had a receipt.
fn stops(fail: impl Fn(&Faulty), kept: u64, said: &str) {
    let bench = Bench::new();
    let (log, _) = bench.open();
    let run = run(1);
    log.append(opened(&run)).wait().unwrap();
    log.append(login(&run)).wait().unwrap();
    fail(&bench.disk);
    let pending: Vec<_> = (0..3).map(|_| log.append(login(&run))).collect();
    for pending in pending {
        let error = pending.wait().unwrap_err();
        assert!(matches!(error, AppendError::Stopped { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
    for fine in [&bench.disk.write, &bench.disk.sync, &bench.disk.lose] {
        fine.store(false, Ordering::SeqCst);
    }
    // Even when the disk has recovered: what is on it is not known.
    let refused = log.append(login(&run)).wait();
    assert!(matches!(refused, Err(AppendError::Stopped { .. })));
    log.close();
    let (log, recovered) = bench.open();
    assert_eq!(recovered.open_runs, [run.id]);
    let next = log.append(closed(&run)).wait().unwrap();
    assert!(
        (kept + 1..=kept + 4).contains(&next.seq()),
        "{}",
        next.seq()
    );
    log.close();
    assert_eq!(bench.verify().records, next.seq());
}

#[test]
fn a_failed_write_stops_the_log() {
    stops(
        |disk| disk.write.store(true, Ordering::SeqCst),
        2,
        "no such sector",
    );
}

#[test]
fn a_failed_sync_that_kept_the_records_stops_the_log() {
    stops(
        |disk| disk.sync.store(true, Ordering::SeqCst),
        2,
        "the drive is gone",
    );
}

#[test]
fn a_failed_sync_that_lost_the_records_stops_the_log() {
    let fail = |disk: &Faulty| {
        disk.lose.store(true, Ordering::SeqCst);
        disk.sync.store(true, Ordering::SeqCst);
    };
    stops(fail, 2, "the drive is gone");
}

#[test]
fn a_full_disk_refuses_what_is_new_takes_what_closes_and_goes_on_by_itself() {
    let bench = Bench::new();
    let (log, _) = bench.open();
    let runs: Vec<_> = (0..10).map(run).collect();
    for run in &runs {
        log.append(opened(run)).wait().unwrap();
    }
    let (first, rest) = runs.split_first().unwrap();
    bench.disk.full.store(true, Ordering::SeqCst);
    let since = Instant::now();
    let refused = loop {
        match log.append(login(first)).wait() {
            Ok(_) => assert!(since.elapsed() < Duration::from_secs(20)),
            Err(error) => break error,
        }
    };
    assert_eq!(refused, AppendError::DiskFull);
    // Everything that is open can be closed.
    for run in rest {
        log.append(finished(run)).wait().unwrap();
        log.append(closed(run)).wait().unwrap();
    }
    assert_eq!(
        log.append(login(first)).wait().unwrap_err(),
        AppendError::DiskFull
    );

    bench.disk.full.store(false, Ordering::SeqCst);
    let since = Instant::now();
    let back = loop {
        match log.append(login(first)).wait() {
            Ok(receipt) => break receipt,
            Err(error) => {
                assert_eq!(error, AppendError::DiskFull);
                assert!(since.elapsed() < Duration::from_secs(20));
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    };
    log.append(opened(&run(99))).wait().unwrap();
    log.close();
    let report = bench.verify();
    assert_eq!((report.runs_open, report.runs_closed), (2, 9));
    let (log, _) = bench.open();
    assert_eq!(
        log.append(login(first)).wait().unwrap().seq(),
        back.seq() + 1
    );
}

#[test]
fn segments_come_into_use_and_are_freed() {
    let bench = Bench::new();
    let (log, _) = bench.open();
    let run = run(1);
    log.append(opened(&run)).wait().unwrap();
    for _ in 0..20 {
        let pending: Vec<_> = (0..40).map(|_| log.append(login(&run))).collect();
        for pending in pending {
            pending.wait().unwrap();
        }
    }
    log.checkpoint_now().unwrap();
    let wal = bench.dir.path().join("wal");
    let in_use = crate::wal::segment::list(&wal).unwrap();
    assert_eq!(in_use.len(), 1, "{in_use:?}");
    assert!(
        in_use.iter().all(|segment| segment.base > 700),
        "{in_use:?}"
    );
    assert_eq!(bench.verify().records, 801);
    drop(log);
    let (log, _) = bench.open();
    assert_eq!(log.append(login(&run)).wait().unwrap().seq(), 802);
    assert_eq!(log.reader().run(&run.id).unwrap().len(), 802);
}
