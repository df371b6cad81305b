//! Whenever the indexer dies, what it goes on to make is what the log says.

use crate::Words;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bailiwick_audit::Reader;

use super::*;

/// The files of an index as they are at this moment, as a crash leaves them.
fn snapshot(path: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for suffix in ["", "-wal"] {
        let name = format!("{}{suffix}", path.display());
        fs::copy(name, to.join(format!("index.sqlite{suffix}"))).unwrap();
    }
}

#[test]
fn it_equals_the_log_from_wherever_a_crash_left_it() {
    let folder = Folder::new();
    let path = Index::path(folder.data());
    let snapshots = tempfile::tempdir().unwrap();
    let mut projection =
        Projection::open(&path, &folder.log.reader(), Words::WithPayloads).unwrap();
    let mut taken = 0;
    let (from, to) = (path.clone(), snapshots.path().to_owned());
    let take = move || {
        snapshot(&from, &to.join(taken.to_string()));
        taken += 1;
        false
    };
    // In the middle of whatever SQLite is doing.
    projection
        .connection()
        .progress_handler(7, Some(take))
        .unwrap();
    let run = run(1, "triage");
    folder.append(&run, opened(&run), None);
    for number in 0..10 {
        let of = folder.call(&run, "tickets", &secret(1, number), true);
        folder.append(&run, finished(of), None);
        assert_eq!(projection.step().unwrap(), Step::End);
    }
    drop(projection);
    let whole = content(&path);
    let mut places = BTreeSet::new();
    let mut compared = 0;
    for snapshot in fs::read_dir(snapshots.path()).unwrap() {
        let path = snapshot.unwrap().path().join("index.sqlite");
        places.extend(position(&path));
        catch_up(&path, folder.data());
        assert!(content(&path) == whole, "{}", path.display());
        compared += 1;
    }
    assert!(
        compared > 200 && places.len() >= 10,
        "{compared}, {places:?}"
    );
}

const CHILD: &str = "BAILIWICK_CONTROL_TEST_INDEX";

/// Not a test by itself: the child's part, to follow the log until it is killed.
#[test]
fn child_that_indexes_until_it_is_killed() {
    let Some(data) = std::env::var_os(CHILD) else {
        return;
    };
    let data = Path::new(&data);
    let index = Index::start(data, Reader::open(data).unwrap(), Words::WithPayloads);
    if std::env::var_os("ANEW").is_some() {
        index.rebuild();
    }
    loop {
        std::thread::sleep(Duration::from_millis(1));
        index.wake();
    }
}

fn child(data: &Path, anew: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "index::tests::crashes::child_that_indexes_until_it_is_killed",
        ])
        .env(CHILD, data)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if anew {
        command.env("ANEW", "1");
    }
    command.spawn().unwrap()
}

/// Lets an indexer work for a while that nobody can foresee, and kills it.
fn let_index_and_kill(data: &Path, anew: bool) {
    let mut random = [0; 2];
    getrandom::fill(&mut random).unwrap();
    let mut child = child(data, anew);
    let micros = u64::from(u16::from_be_bytes(random)) * 3;
    std::thread::sleep(Duration::from_millis(5) + Duration::from_micros(micros));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// How far the index on disk is.
fn position(path: &Path) -> Option<i64> {
    let connection = file::open_to_read(path).ok()?;
    let position = "SELECT records FROM position";
    connection.query_row(position, [], |row| row.get(0)).ok()
}

/// What was not met in so many kills will not be.
const KILLS_MAX: u64 = 400;

#[test]
fn it_equals_the_log_after_kill_nine_at_any_moment() {
    let folder = Folder::new();
    let data = folder.data().to_owned();
    let path = Index::path(&data);
    let log = folder.log.clone();
    let stop = AtomicBool::new(false);
    let mut positions = BTreeSet::new();
    let runs = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut runs = Vec::new();
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let run = run(number, "triage");
                append(&log, &run, opened(&run), None);
                for at in 0..20 {
                    let of = call(&log, &run, "tickets", &secret(number, at), at % 3 > 0);
                    if at % 3 > 0 {
                        append(&log, &run, finished(of), None);
                    }
                }
                append(&log, &run, closed(), None);
                runs.push(run);
                std::thread::sleep(Duration::from_millis(8));
            }
            runs
        });
        // A slow machine is killed more often until it has been killed while there was something to kill.
        let mut round = 0;
        while round < 40 || positions.len() <= 8 && round < KILLS_MAX {
            let_index_and_kill(&data, round % 8 == 7);
            positions.extend(position(&path));
            round += 1;
        }
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(positions.len() > 8, "{positions:?}");
    assert!(runs.len() > 20, "{}", runs.len());
    drop(log);
    folder.log.checkpoint_now().unwrap();
    catch_up(&path, &data);
    {
        let (_dir, fresh) = fresh(&data);
        assert!(content(&path) == content(&fresh));
    }

    // The same while payloads are erased.
    for (round, run) in runs.iter().take(12).enumerate() {
        erase(&folder.log, run);
        let_index_and_kill(&data, round % 4 == 3);
    }
    catch_up(&path, &data);
    let (_fresh, fresh) = fresh(&data);
    assert!(content(&path) == content(&fresh));
    let bytes = bytes(&path);
    for number in 0..12 {
        for at in 0..20 {
            let word = secret(number, at);
            for part in parts(&word) {
                assert!(!bytes.contains(part), "{word}: {part}");
            }
        }
    }
    assert!(bytes.contains(&secret(12, 0)));
}
