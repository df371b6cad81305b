//! A sync that takes long while nobody waits for it.

use std::sync::mpsc;

use super::*;
use crate::Written;

/// A log with a sync under way that ends only when it is let go.
fn stuck() -> (Bench, Log, Run) {
    let bench = Bench::new();
    let (log, _) = bench.open();
    let run = run(1);
    log.append(opened(&run)).wait().unwrap();
    bench.disk.stuck.store(true, Ordering::SeqCst);
    log.note(login(&run)).unwrap();
    let since = Instant::now();
    while bench.disk.waiting.load(Ordering::SeqCst) == 0 {
        assert!(since.elapsed() < Duration::from_secs(10), "never synced");
        std::thread::sleep(Duration::from_millis(1));
    }
    (bench, log, run)
}

/// What a thread says, which must not take long.
fn soon<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (say, said) = mpsc::channel();
    std::thread::spawn(move || say.send(work()));
    said.recv_timeout(Duration::from_secs(10)).unwrap()
}

/// Says when a record is written, or never.
fn ask(log: &Log, run: &Run) -> mpsc::Receiver<Result<Written, AppendError>> {
    let (log, draft) = (log.clone(), login(run));
    // Whoever has other things to do is not held up, however the disk is.
    let written = soon(move || log.append_written(draft));
    let (say, said) = mpsc::channel();
    std::thread::spawn(move || say.send(written.wait()));
    said
}

#[test]
fn who_waits_for_a_write_does_not_wait_for_the_disk() {
    let not_late = |_| {
        let (bench, log, run) = stuck();
        if let Ok(written) = ask(&log, &run).recv_timeout(Duration::from_secs(1)) {
            written.unwrap();
            return Some((bench, log, run));
        }
        // The machine is so slow that the disk was taken for stuck by then.
        bench.disk.stuck.store(false, Ordering::SeqCst);
        None
    };
    let (bench, log, run) = (0..20).find_map(not_late).unwrap();
    // Who waits for the disk does.
    let durable = log.append(login(&run));
    let (say, said) = mpsc::channel();
    let waiting = std::thread::spawn(move || say.send(durable.wait()));
    let early = said.recv_timeout(Duration::from_millis(50));
    assert!(early.is_err(), "{early:?}");
    // The system says once that a sync failed, so there is never a second one beside it.
    assert_eq!(bench.disk.waiting.load(Ordering::SeqCst), 1);
    bench.disk.stuck.store(false, Ordering::SeqCst);
    let receipt = said.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
    waiting.join().unwrap().unwrap();
    log.close();
    assert_eq!(bench.verify().runs_open, 1);
    assert_eq!(
        log.reader().run(&run.id).unwrap().len() as u64,
        receipt.seq()
    );
}

#[test]
fn nothing_is_written_for_anybody_on_a_disk_that_is_stuck() {
    let (bench, log, run) = stuck();
    // The sync began before it was seen to wait, so now it has taken too long.
    std::thread::sleep(limits::SYNC_USUAL);
    let said = ask(&log, &run);
    let early = said.recv_timeout(Duration::from_millis(100));
    assert!(early.is_err(), "{early:?}");
    bench.disk.stuck.store(false, Ordering::SeqCst);
    said.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
    // It is well again, and goes on as before.
    soon(move || log.append_written(login(&run)).wait()).unwrap();
}

#[test]
fn nothing_written_meanwhile_is_durable_if_it_fails() {
    let (bench, log, run) = stuck();
    let durable = log.append(login(&run));
    bench.disk.once.store(true, Ordering::SeqCst);
    bench.disk.fail(Call::Sync, "/wal/", Kept::Yes);
    bench.disk.stuck.store(false, Ordering::SeqCst);
    let said = soon(|| durable.wait());
    assert!(matches!(said, Err(AppendError::Stopped { .. })), "{said:?}");
    // The disk is well again, and that changes nothing.
    let said = soon(move || log.append(login(&run)).wait());
    assert!(matches!(said, Err(AppendError::Stopped { .. })), "{said:?}");
}
