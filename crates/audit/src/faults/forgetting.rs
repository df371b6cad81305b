//! Erasing and pruning when the disk fails half way.

use super::*;

#[test]
fn an_erasure_that_fails_half_way_is_done_by_the_next_start() {
    let steps = [
        (Call::Write, ".key"),
        (Call::Sync, ".key"),
        (Call::Remove, ".key"),
        (Call::Remove, "/payloads/run_"),
        (Call::SyncPath, "/payloads"),
        (Call::Replace, "/log/checkpoint"),
        (Call::Remove, ".wal"),
    ];
    for (call, path) in steps {
        for kept in [Kept::Yes, Kept::No] {
            let what = format!("{call:?} {path} {kept:?}");
            let bench = Bench::new();
            let (log, _) = bench.open();
            let run = run(1);
            log.append(opened(&run)).wait().unwrap();
            log.append(decided(&run, 0)).wait().unwrap();
            log.append(closed(&run)).wait().unwrap();
            log.checkpoint_now().unwrap();
            let key = bench.dir.path().join(format!("payloads/{}.key", run.id));
            let wrapped = std::fs::read(&key).unwrap();
            bench.disk.fail(call, path, kept);
            let error = log.erase(run.id, run.launcher.clone()).unwrap_err();
            assert!(
                matches!(error, AppendError::Stopped { .. }),
                "{what}: {error}"
            );
            bench.disk.mend();
            log.close();
            let (log, _) = bench.open();
            log.close();
            assert!(bench.holds(&wrapped).is_none(), "{what}");
            assert!(
                !bench
                    .dir
                    .path()
                    .join(format!("payloads/{}", run.id))
                    .exists()
            );
            let entry = log.reader().record(&format!("{}/2", run.id)).unwrap();
            let gone = log.reader().payload(&entry.unwrap());
            assert!(matches!(gone, Err(crate::ReadError::Erased(_))), "{what}");
            assert_eq!(bench.verify().runs_closed, 1, "{what}");
        }
    }
}

#[test]
fn a_pruning_that_fails_half_way_is_done_by_the_next_start() {
    let steps = [
        (Call::Replace, "/wal/pruned"),
        (Call::Replace, "/wal/chains"),
        (Call::Remove, ".key"),
        (Call::Remove, "/payloads/run_"),
        (Call::SyncPath, "/payloads"),
        (Call::Remove, "/tile/entries/"),
    ];
    for (call, path) in steps {
        for kept in [Kept::Yes, Kept::No] {
            let what = format!("{call:?} {path} {kept:?}");
            let bench = Bench::new();
            let (log, _) = bench.open();
            let old = run(1);
            log.append(opened(&old)).wait().unwrap();
            log.append(decided(&old, 0)).wait().unwrap();
            log.append(closed(&old)).wait().unwrap();
            let kept_run = run(2);
            let until = Time::from_millis(u64::MAX);
            for _ in 0..20 {
                let started = |_| Draft {
                    event: Event::GatewayStopped,
                    subject: Subject::Gateway,
                    payload: None,
                };
                let pending: Vec<_> = (0..30)
                    .map(started)
                    .map(|draft| log.append(draft))
                    .collect();
                for pending in pending {
                    pending.wait().unwrap();
                }
            }
            log.append(opened(&kept_run)).wait().unwrap();
            log.checkpoint_now().unwrap();
            bench.disk.fail(call, path, kept);
            let error = log.prune(until, old.launcher.clone()).unwrap_err();
            assert!(
                error.to_string().contains("the drive is gone"),
                "{what}: {error}"
            );
            bench.disk.mend();
            log.close();
            let (log, recovered) = bench.open();
            assert_eq!(recovered.open_runs, [kept_run.id], "{what}");
            log.append(closed(&kept_run)).wait().unwrap();
            log.close();
            assert_eq!(bench.verify().pruned, 512, "{what}");
            let payloads = std::fs::read_dir(bench.dir.path().join("payloads")).unwrap();
            assert_eq!(payloads.count(), 0, "{what}");
        }
    }
}

#[test]
fn erasing_leaves_no_copy_of_the_key() {
    let bench = Bench::new();
    let (log, _) = bench.open();
    let (run, other) = (self::run(1), self::run(2));
    for run in [&run, &other] {
        log.append(opened(run)).wait().unwrap();
        log.append(decided(run, 0)).wait().unwrap();
    }
    log.checkpoint_now().unwrap();
    let by = || run.launcher.clone();
    let open = log.erase(run.id, by()).unwrap_err();
    assert!(matches!(open, AppendError::StillOpen(_)), "{open}");
    log.append(closed(&run)).wait().unwrap();
    let key = bench.dir.path().join(format!("payloads/{}.key", run.id));
    let wrapped = std::fs::read(&key).unwrap();
    assert!(bench.holds(&wrapped).is_some());
    let erased = log.erase(run.id, by()).unwrap();
    assert_eq!(erased.run(), None);
    // While the gateway runs, not only after the next start.
    assert_eq!(bench.holds(&wrapped), None);
    let payload = |run: &Run| {
        let entry = log.reader().record(&format!("{}/2", run.id)).unwrap();
        log.reader().payload(&entry.unwrap())
    };
    assert!(matches!(payload(&run), Err(crate::ReadError::Erased(_))));
    assert!(payload(&other).unwrap().is_some());
    // Once more does no harm.
    log.erase(run.id, by()).unwrap();
    log.append(decided(&other, 1)).wait().unwrap();
    log.close();
    assert_eq!(bench.verify().records, 8);
}
