//! The file: made, refused, made anew.

use crate::Words;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use super::*;
use crate::index::reindex;
use crate::testing::mode;

#[tokio::test]
async fn the_file_is_for_its_owner_alone() {
    let folder = Folder::new();
    let path = Index::path(folder.data());
    fs::write(&path, "").unwrap();
    let index = folder.index();
    found(&index, Search::default()).await;
    for suffix in ["", "-wal", "-shm"] {
        let file = PathBuf::from(format!("{}{suffix}", path.display()));
        assert_eq!(mode(&file), 0o600, "{suffix}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_made_anew() {
    let folder = Folder::new();
    let one = run(1, "triage");
    folder.append(&one, opened(&one), None);
    for number in 0..300 {
        folder.call(
            &one,
            "tickets",
            &format!("SELECT {number} FROM tickets"),
            true,
        );
    }
    let path = Index::path(folder.data());
    reindex_while_open(&folder, &path);
    let whole = content(&path);
    let image = fs::read(&path).unwrap();

    let other = Folder::new();
    let stranger = run(2, "sweep");
    other.append(&stranger, opened(&stranger), None);
    let of_other = Index::path(other.data());
    reindex_while_open(&other, &of_other);

    let sql = |sql: &'static str| {
        move |path: &Path| Connection::open(path).unwrap().execute_batch(sql).unwrap()
    };
    let bytes = |at: usize, length: usize| {
        move |path: &Path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[at..at + length].fill(0xa5);
            fs::write(path, bytes).unwrap();
        }
    };
    type Harm<'a> = Box<dyn Fn(&Path) + 'a>;
    let harms: Vec<(&str, Harm<'_>)> = vec![
        ("empty", Box::new(|path| fs::write(path, "").unwrap())),
        (
            "text",
            Box::new(|path| fs::write(path, "not a database".repeat(99)).unwrap()),
        ),
        (
            "cut",
            Box::new(|path| fs::write(path, &image[..image.len() / 2]).unwrap()),
        ),
        ("header", Box::new(bytes(0, 100))),
        ("first page", Box::new(bytes(100, 3000))),
        ("older", Box::new(sql("PRAGMA user_version = 0"))),
        ("newer", Box::new(sql("PRAGMA user_version = 99"))),
        ("foreign", Box::new(sql("PRAGMA application_id = 5"))),
        ("no table", Box::new(sql("DROP TABLE record"))),
        ("no words", Box::new(sql("DROP TABLE words"))),
        ("no position", Box::new(sql("DELETE FROM position"))),
        ("ahead", Box::new(sql("UPDATE position SET records = 9999"))),
        (
            "behind",
            Box::new(sql("UPDATE position SET records = records - 1")),
        ),
        (
            "other digest",
            Box::new(sql("UPDATE position SET digest = x'00'")),
        ),
        (
            "other log",
            Box::new(|path| _ = fs::copy(&of_other, path).unwrap()),
        ),
    ];
    for (name, harm) in harms {
        file::remove(&path).unwrap();
        fs::write(&path, &image).unwrap();
        harm(&path);
        let index = folder.index();
        let hits = settled(&index, asked(words("299")).unwrap()).await;
        assert_eq!(hits.len(), 1, "{name}");
        drop(index);
        assert!(content(&path) == whole, "{name}");
    }
}

/// An index as the gateway has it, closed.
fn reindex_while_open(folder: &Folder, path: &Path) {
    folder.log.checkpoint_now().unwrap();
    file::remove(path).unwrap();
    catch_up(path, folder.data());
}

#[tokio::test]
async fn it_is_made_anew_when_somebody_asks() {
    let folder = Folder::new();
    let index = folder.index();
    let run = run(1, "triage");
    folder.append(&run, opened(&run), None);
    folder.call(&run, "tickets", "SELECT 1", true);
    found(&index, Search::default()).await;
    // Something that is not in the log.
    let path = Index::path(folder.data());
    let writer = Connection::open(&path).unwrap();
    writer
        .execute("UPDATE record SET task = 'forged'", [])
        .unwrap();
    drop(writer);
    let forged = Search {
        task: Some("forged".into()),
        ..Search::default()
    };
    assert_eq!(found(&index, forged.clone()).await.len(), 2);
    let number = index.rebuild();
    while index.state().rebuilds < number {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let rebuilt = index.state().rebuilt.unwrap();
    assert_eq!((rebuilt.records, rebuilt.payloads_unread), (2, 0));
    assert!(found(&index, forged.clone()).await.is_empty());
    assert_eq!(found(&index, words("triage")).await.len(), 2);
}

#[test]
fn it_is_made_anew_without_a_gateway() {
    let folder = Folder::new();
    let run = run(1, "triage");
    folder.append(&run, opened(&run), None);
    for number in 0..600 {
        folder.call(&run, "tickets", &format!("SELECT {number}"), true);
    }
    let error = reindex(folder.data(), None, Words::WithPayloads)
        .unwrap_err()
        .to_string();
    assert!(error.contains("in use by a gateway"), "{error}");
    folder.log.close();
    let path = Index::path(folder.data());
    fs::write(&path, "anything").unwrap();
    let done = reindex(folder.data(), None, Words::WithPayloads).unwrap();
    assert_eq!((done.records, done.payloads_unread), (601, 0));
    let (_dir, fresh) = fresh(folder.data());
    assert!(content(&path) == content(&fresh));
    assert_eq!(mode(&path), 0o600);

    // Without their keys the records are still found.
    let log = open(folder.data());
    append(&log, &run, closed(), None);
    erase(&log, &run);
    log.close();
    let done = reindex(folder.data(), None, Words::WithPayloads).unwrap();
    assert_eq!((done.records, done.payloads_unread), (603, 600));
    assert!(reindex(&folder.data().join("nowhere"), None, Words::WithPayloads).is_err());
}

#[test]
fn logs_that_were_rotated_away_are_searched_with_the_one_that_goes_on() {
    let folder = Folder::new();
    let (first, second, third) = (run(1, "one"), run(2, "two"), run(3, "three"));
    folder.append(&first, opened(&first), None);
    folder.call(&first, "tickets", &secret(1, 1), true);
    folder.append(&first, closed(), None);
    let path = Index::path(folder.data());
    catch_up(&path, folder.data());
    let mut log = folder.log.clone();
    for (name, run) in [("next", &second), ("last", &third)] {
        log.close();
        let config = Config::new(folder.data(), format!("test.example/{name}"));
        bailiwick_audit::rotate(&config, None).unwrap();
        log = Log::open(config).unwrap().0;
        append(&log, run, opened(run), None);
        call(&log, run, "tickets", &secret(2, 1), true);
        append(&log, run, closed(), None);
    }
    // It goes on where it was, and is the same as one that is made anew.
    catch_up(&path, folder.data());
    {
        let (_dir, fresh) = fresh(folder.data());
        assert!(content(&path) == content(&fresh));
    }
    let find = |search: Search| asked(search).unwrap().run(&path).unwrap().hits;
    let tasks: Vec<_> = find(words("select"))
        .into_iter()
        .map(|hit| hit.task)
        .collect();
    assert_eq!(
        tasks,
        ["three", "two", "one"].map(|task| Some(task.to_owned()))
    );
    // Each has its place in its own log.
    assert_eq!(find(words(&secret(1, 1)))[0].index, 1);
    assert!(find(words("three"))[0].index < 5);
    // A payload of an old log is erased by the new one.
    erase(&log, &first);
    catch_up(&path, folder.data());
    assert!(!bytes(&path).contains(&secret(1, 1)));
    // Nothing is found any more of a log that somebody took away.
    std::fs::remove_dir_all(folder.data().join("archive/0001")).unwrap();
    let opened = Projection::open(&path, &log.reader(), Words::WithPayloads);
    assert!(opened.is_err_and(|error| error.is_damage()));
    let (_dir, fresh) = fresh(folder.data());
    assert!(!content(&fresh).is_empty());
}
