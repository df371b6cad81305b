//! A disk that is full, and segments that come and go.

use super::*;

#[test]
fn a_full_disk_refuses_what_is_new_takes_what_closes_and_goes_on_by_itself() {
    let bench = Bench::new();
    let (log, _) = bench.open();
    let runs: Vec<_> = (0..10).map(run).collect();
    for run in &runs {
        log.append(opened(run)).wait().unwrap();
        log.append(allowed(run)).wait().unwrap();
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
fn no_segment_takes_the_room_that_the_tree_needs() {
    let bench = Bench::new();
    let (log, _) = bench.open();
    let wal = bench.dir.path().join("wal");
    let count = |part: &str| {
        let names = std::fs::read_dir(&wal).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_string_lossy().contains(part))
            .count()
    };
    let soon = |what: &str, holds: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !holds() {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    soon("reserve and spare", &|| count("prepared-") == 2);
    bench.disk.full_of_tiles.store(true, Ordering::SeqCst);
    log.append(opened(&run(1))).wait().unwrap();
    log.append(decided(&run(1), 0)).wait().unwrap();
    assert_eq!(log.checkpoint_now(), Err(AppendError::DiskFull));
    let mut number = 0;
    while count(".wal") < 2 {
        number += 1;
        log.append(decided(&run(1), number)).wait().unwrap();
    }
    std::thread::sleep(limits::RETRY_AFTER);
    assert_eq!(count("prepared-"), 1, "one was prepared ahead");
    bench.disk.full_of_tiles.store(false, Ordering::SeqCst);
    soon("it goes on", &|| {
        log.checkpoint_now().is_ok() && count("prepared-") == 2
    });
    log.close();
    assert_eq!(bench.verify().records, number + 2);
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
