//! The published part of the log, from a place to a place.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

mod kit;

use std::path::Path;
use std::time::Duration;

use bailiwick_audit::{Next, Place, Published, ReadError, Reader};
use bailiwick_run::Time;
use kit::*;
use serde_json::json;

fn published(dir: &Path) -> Published {
    Published::new(Reader::open(dir).unwrap()).unwrap()
}

fn since(dir: &Path, place: Place) -> Published {
    published(dir).since(place).unwrap()
}

/// The indices up to where nothing comes, and whether nothing ever will.
fn rest(published: &mut Published) -> (Vec<u64>, bool) {
    let mut indices = Vec::new();
    loop {
        match published.next().unwrap() {
            Next::Record(entry) => indices.push(entry.index),
            Next::Nothing => return (indices, false),
            Next::End => return (indices, true),
        }
    }
}

#[test]
fn what_no_checkpoint_covers_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    whole_run(&log, 1, 2);
    log.checkpoint_now().unwrap();
    // A copy of what is published will do.
    let folder = tempfile::tempdir().unwrap();
    let public = || copy(&dir.path().join("log"), &folder.path().join("log"));
    public();
    let mut reading = published(folder.path());
    assert_eq!(reading.origin(), ORIGIN);
    assert_eq!(rest(&mut reading), ((0..7).collect(), false));
    whole_run(&log, 2, 1);
    let mut beside = since(dir.path(), Place::Index(7));
    let early = rest(&mut beside).0;
    log.checkpoint_now().unwrap();
    public();
    assert_eq!(rest(&mut reading).0, [7, 8, 9, 10, 11]);
    let late = rest(&mut beside).0;
    assert_eq!([early, late].concat(), [7, 8, 9, 10, 11]);
}

#[test]
fn an_export_goes_on_where_it_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    for n in 0..4 {
        whole_run(&log, n, 50);
    }
    log.close();
    let all: Vec<_> = (0..412).collect();
    for from in [0, 1, 255, 256, 257, 411, 412] {
        let mut reading = since(dir.path(), Place::Index(from));
        assert_eq!(rest(&mut reading).0, all[from as usize..], "{from}");
    }
    let mut part = since(dir.path(), Place::Index(100)).until(Place::Index(300));
    assert_eq!(rest(&mut part), (all[100..300].to_vec(), true));
    let beyond = published(dir.path()).since(Place::Index(413)).unwrap_err();
    assert!(matches!(beyond, ReadError::Replaced { .. }), "{beyond}");
}

#[test]
fn a_run_ends_with_its_last_record() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    append(&log, started());
    let closed = whole_run(&log, 1, 1);
    let open = run(2);
    append(&log, opened(&open));
    append(&log, started());
    append(&log, decided(&open, false));
    log.checkpoint_now().unwrap();
    let mut of_closed = published(dir.path()).of_run(closed.id).unwrap();
    assert_eq!(rest(&mut of_closed), (vec![1, 2, 3, 4, 5], true));
    let mut of_open = published(dir.path()).of_run(open.id).unwrap();
    assert_eq!(rest(&mut of_open), (vec![6, 8], false));
    let mut of_gateway = published(dir.path()).of_gateway();
    assert_eq!(rest(&mut of_gateway), (vec![0, 7], false));
}

#[test]
fn what_was_pruned_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), ORIGIN, &(0..600).map(at).collect::<Vec<_>>());
    std::fs::create_dir(dir.path().join("wal")).unwrap();
    std::fs::write(dir.path().join("wal/pruned"), "512\n").unwrap();
    for gone in ["000", "001"] {
        std::fs::remove_file(dir.path().join("log/tile/entries").join(gone)).unwrap();
    }
    assert_eq!(published(dir.path()).first().unwrap(), 512);
    let all = |from: u64, to: u64| (from..to).collect::<Vec<_>>();
    assert_eq!(rest(&mut published(dir.path())).0, all(512, 600));
    let index = |index| since(dir.path(), Place::Index(index));
    assert_eq!(rest(&mut index(3)).0, all(512, 600));
    assert_eq!(rest(&mut index(530)).0, all(530, 600));
    assert_eq!(rest(&mut index(3).until(Place::Index(90))), (vec![], true));
    for (hour, first) in [(0, 512), (500, 512), (590, 590)] {
        let mut reading = since(dir.path(), Place::Time(at(hour)));
        assert_eq!(rest(&mut reading).0, all(first, 600), "{hour}");
    }
}

#[test]
fn a_log_that_was_replaced_is_not_read_on() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), ORIGIN, &[at(0), at(1), at(2)]);
    let mut reading = published(dir.path());
    assert_eq!(rest(&mut reading).0, [0, 1, 2]);
    for (origin, times) in [
        (ORIGIN, vec![at(0)]),
        ("other.example/log", vec![at(0), at(1), at(2), at(3)]),
    ] {
        write(dir.path(), origin, &times);
        let error = reading.next().unwrap_err();
        assert!(matches!(error, ReadError::Replaced { .. }), "{error}");
    }
}

/// Whatever the clock did, within a day.
#[test]
fn by_time_none_is_missed_and_none_comes_that_is_not_meant() {
    let dir = tempfile::tempdir().unwrap();
    let mut hours: Vec<u64> = (0..600).collect();
    for (index, hour) in hours.iter_mut().enumerate() {
        // The clock goes back 20 hours, twice; once it had been far ahead for a moment.
        *hour = match index {
            300 => *hour + 2,
            200..420 => *hour - 20,
            420.. => *hour - 40,
            _ => *hour,
        };
    }
    let times: Vec<_> = hours.iter().map(|hour| at(*hour)).collect();
    write(dir.path(), ORIGIN, &times);
    for hour in (0..640).step_by(7) {
        for length in [0, 1, 30, 1000] {
            let (start, end) = (at(hour), at(hour + length));
            let mut reading = since(dir.path(), Place::Time(start)).until(Place::Time(end));
            let meant: Vec<_> = (0..600_u64)
                .filter(|index| (start..end).contains(&times[*index as usize]))
                .collect();
            assert_eq!(rest(&mut reading).0, meant, "{hour} {length}");
        }
    }
}

fn at(hour: u64) -> Time {
    Time::from_millis(1_700_000_000_000).after(Duration::from_secs(hour * 3600))
}

/// A published log with a record of each of these times, as far as it is looked at.
fn write(dir: &Path, origin: &str, times: &[Time]) {
    let entries = dir.join("log/tile/entries");
    for (number, times) in times.chunks(256).enumerate() {
        let mut bundle = Vec::new();
        for time in times {
            let record = json!({
                "prev": "", "run": "gateway", "seq": 1, "time": time.to_string(),
                "type": "gateway.stopped", "v": 1,
            });
            let record = record.to_string().into_bytes();
            bundle.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
            bundle.extend(record);
        }
        let path = match times.len() {
            256 => entries.join(format!("{number:03}")),
            width => entries.join(format!("{number:03}.p/{width}")),
        };
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bundle).unwrap();
    }
    let checkpoint = format!("{origin}\n{}\n\n", times.len());
    std::fs::write(dir.join("log/checkpoint"), checkpoint).unwrap();
}
