//! The loop with its writers: as many tasks hand finished bytes to one thread and wait until they are synced.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::bare::{self, Batch, FILE, SEGMENT_HEAD};

/// What waits for the thread.
#[derive(Default)]
struct Hatch {
    handed: Mutex<Handed>,
    more: Condvar,
}

#[derive(Default)]
struct Handed {
    records: Vec<(Arc<[u8]>, oneshot::Sender<()>)>,
    over: bool,
}

/// How many records a second this many writers have made durable so, each of the mean length of those in the
/// batches.
pub(crate) fn run(
    runtime: &Runtime,
    dir: &Path,
    batches: &[Batch],
    writers: usize,
    time: Duration,
) -> f64 {
    let file = bare::file(&dir.join("handed"));
    let (records, bytes) = batches.iter().fold((0, 0), |(records, bytes), batch| {
        (records + batch.records, bytes + batch.bytes)
    });
    let record: Arc<[u8]> = vec![0xa5; (bytes / records) as usize].into();
    let hatch = Arc::new(Hatch::default());
    let began = Instant::now();
    let thread = std::thread::spawn({
        let hatch = Arc::clone(&hatch);
        move || serve(&hatch, &file)
    });
    let records: u64 = runtime.block_on(async {
        let write = || write(Arc::clone(&hatch), Arc::clone(&record), began + time);
        let tasks: Vec<_> = (0..writers).map(|_| tokio::spawn(write())).collect();
        let mut records = 0;
        for task in tasks {
            records += task.await.unwrap();
        }
        records
    });
    let took = began.elapsed();
    hatch.handed.lock().unwrap().over = true;
    hatch.more.notify_one();
    thread.join().unwrap();
    records as f64 / took.as_secs_f64()
}

/// One writer: hands its bytes over, waits, and hands them over again.
async fn write(hatch: Arc<Hatch>, record: Arc<[u8]>, until: Instant) -> u64 {
    let mut records = 0;
    while Instant::now() < until {
        hatch.hand(Arc::clone(&record)).await.unwrap();
        records += 1;
    }
    records
}

impl Hatch {
    fn hand(&self, record: Arc<[u8]>) -> oneshot::Receiver<()> {
        let (sender, durable) = oneshot::channel();
        let mut handed = self.handed.lock().unwrap();
        handed.records.push((record, sender));
        let first = handed.records.len() == 1;
        drop(handed);
        if first {
            self.more.notify_one();
        }
        durable
    }
}

/// The thread: writes and syncs all that is there, and tells those who wait.
fn serve(hatch: &Hatch, file: &File) {
    let mut bytes = Vec::new();
    let mut at = SEGMENT_HEAD as u64;
    loop {
        let mut handed = hatch.handed.lock().unwrap();
        while handed.records.is_empty() && !handed.over {
            handed = hatch.more.wait(handed).unwrap();
        }
        let records = std::mem::take(&mut handed.records);
        drop(handed);
        if records.is_empty() {
            return;
        }
        bytes.clear();
        for (record, _) in &records {
            bytes.extend_from_slice(record);
        }
        if at + bytes.len() as u64 > FILE {
            at = SEGMENT_HEAD as u64;
        }
        file.write_all_at(&bytes, at).unwrap();
        file.sync_data().unwrap();
        at += bytes.len() as u64;
        for (_, waits) in records {
            waits.send(()).unwrap();
        }
    }
}
