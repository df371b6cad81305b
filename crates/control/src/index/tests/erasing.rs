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
    let dir = folder.closed();
    let data = dir.path();
    let path = Index::path(data);
    catch_up(&path, data);
    let before = bytes(&path);
    assert!((0..CALLS).all(|number| before.contains(&secret(1, number))));

    erase(data, &gone);
    let mut projection = Projection::open(&path, &Reader::open(data).unwrap()).unwrap();
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
    let query = Query::new(Search {
        run: Some(gone.id.to_string()),
        limit: Some(1_000),
        ..Search::default()
    });
    assert_eq!(
        query.unwrap().run(&path).unwrap().hits.len() as u64,
        CALLS + 1
    );
    let count = |word: &str| {
        Query::new(words(word))
            .unwrap()
            .run(&path)
            .unwrap()
            .hits
            .len()
    };
    assert_eq!(count(&secret(1, 3)), 0);
    assert_eq!(count(&secret(2, 3)), 1);
}
