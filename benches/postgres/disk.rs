//! How long the disk takes to make one record durable.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

const TIMES: u64 = 2_000;
const RECORD: [u8; 1024] = [0xa5; 1024];

/// The median of writing and syncing 1 KiB, one after the other, over a file that has its blocks.
pub(crate) fn sync_micros(dir: &Path) -> f64 {
    let file = tempfile::NamedTempFile::new_in(dir).expect("a file");
    let file: &File = file.as_file();
    file.write_all_at(&vec![0; RECORD.len() * TIMES as usize], 0)
        .and_then(|()| file.sync_all())
        .expect("its blocks");
    let times = (0..TIMES).map(|n| {
        let began = Instant::now();
        file.write_all_at(&RECORD, n * RECORD.len() as u64)
            .and_then(|()| file.sync_data())
            .expect("a sync");
        began.elapsed().as_secs_f64() * 1e6
    });
    crate::median(times.collect())
}
