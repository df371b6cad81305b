use crate::Words;
use rusqlite::Connection;

use super::*;

#[test]
fn words_of_erased_payloads_are_nowhere() {
    const CALLS: u64 = 400;
    let folder = Folder::new();
    let (gone, kept) = (run(1, "triage"), run(2, "triage"));
    for run in [&gone, &kept] {
        folder.append(run, opened(run), None);
    }
    for number in 0..CALLS {
        folder.call(&gone, "tickets", &secret(1, number), number % 2 == 0);
        folder.call(&kept, "tickets", &secret(2, number), true);
    }
    folder.append(&gone, closed(), None);
    let data = folder.data();
    let path = Index::path(data);
    catch_up(&path, data);
    let before = bytes(&path);
    assert!((0..CALLS).all(|number| before.contains(&secret(1, number))));

    erase(&folder.log, &gone);
    let mut projection =
        Projection::open(&path, &Reader::open(data).unwrap(), Words::WithPayloads).unwrap();
    assert_eq!(projection.step().unwrap(), Step::End);
    // The words themselves are gone at once.
    assert!(file::truncate(&Connection::open(&path).unwrap()).unwrap());
    let at_once = bytes(&path);
    for number in 0..CALLS {
        let word = secret(1, number);
        let [whole, _, end] = parts(&word);
        assert!(!at_once.contains(whole) && !at_once.contains(end), "{word}");
    }
    // Somebody who searches meanwhile keeps the traces from going; they go later.
    let mut reading = Connection::open(&path).unwrap();
    let transaction = reading.transaction().unwrap();
    let query = "SELECT records FROM position";
    transaction
        .query_row(query, [], |row| row.get::<_, i64>(0))
        .unwrap();
    projection.scrub().unwrap();
    drop(transaction);
    drop(reading);
    drop(projection);
    catch_up(&path, data);

    let after = bytes(&path);
    for number in 0..CALLS {
        let word = secret(1, number);
        for part in parts(&word) {
            assert!(!after.contains(part), "{word}: {part}");
        }
        assert!(after.contains(&secret(2, number)));
    }
    let (_dir, fresh) = fresh(data);
    assert!(content(&path) == content(&fresh));
    assert!(!bytes(&fresh).contains(&secret(1, 7)));
    // The record itself stays.
    let query = asked(Search {
        run: Some(gone.id.to_string()),
        limit: Some(1_000),
        ..Search::default()
    });
    assert_eq!(
        query.unwrap().run(&path).unwrap().hits.len() as u64,
        CALLS + 2
    );
    let count = |word: &str| asked(words(word)).unwrap().run(&path).unwrap().hits.len();
    assert_eq!(count(&secret(1, 3)), 0);
    assert_eq!(count(&secret(2, 3)), 1);
}

#[test]
fn what_is_pruned_is_nowhere() {
    let folder = Folder::new();
    let (gone, kept) = (run(1, "triage"), run(2, "triage"));
    folder.append(&gone, opened(&gone), None);
    for number in 0..300 {
        folder.call(&gone, "tickets", &secret(1, number), true);
    }
    folder.append(&gone, closed(), None);
    let path = Index::path(folder.data());
    catch_up(&path, folder.data());
    assert!(bytes(&path).contains(&secret(1, 0)));
    folder.append(&kept, opened(&kept), None);
    folder.call(&kept, "tickets", &secret(2, 1), true);
    let later = Time::from_millis(4_000_000_000_000);
    let before = folder.log.prune(later, gone.launcher.clone()).unwrap();
    assert_eq!(before, 256);
    catch_up(&path, folder.data());
    let after = bytes(&path);
    // One before it is the record of its opening.
    for number in 0..255 {
        for part in [&*secret(1, number), secret(1, number).split_at(20).1] {
            assert!(!after.contains(part), "{number}: {part}");
        }
    }
    assert!(after.contains(&secret(1, 255)) && after.contains(&secret(2, 1)));
    // The bundles go in the background; what is made anew begins where the log does.
    for _ in 0..100 {
        if !folder.data().join("log/tile/entries/000").exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(!folder.data().join("log/tile/entries/000").exists());
    let (_dir, fresh) = fresh(folder.data());
    assert!(content(&path) == content(&fresh));
    let query = asked(words("select")).unwrap();
    let found = query.run(&path).unwrap();
    assert_eq!(found.hits.last().map(|hit| hit.index), Some(256));
}
