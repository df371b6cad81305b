use std::fs;
use std::time::Duration;

use bailiwick_audit::Event;
use bailiwick_run::Ending;

use super::*;

#[tokio::test]
async fn records_are_found_by_words_and_by_what_they_are() {
    let folder = Folder::new();
    let index = folder.index();
    let (one, two) = (run(1, "triage"), run(2, "sweep"));
    folder.append(
        &one,
        opened(&one),
        Some(serde_json::json!({"reason": "nightly Überprüfung"})),
    );
    folder.append(&two, opened(&two), None);
    let selected = folder.call(&one, "tickets", "SELECT subject FROM tickets", true);
    folder.append(
        &one,
        finished(selected),
        Some(serde_json::json!({"rows": [["masked-answer"]]})),
    );
    folder.call(
        &one,
        "cards",
        "SELECT number FROM cards WHERE name = 'O''Brien'",
        false,
    );
    folder.call(&two, "cards", "SELECT pin FROM cards", false);
    let ended = Event::RunClosed {
        ending: Ending::Revoked,
        by: Some("human:grace@acme.com".into()),
    };
    folder.append(&one, ended, None);

    let of = async |search: &str| {
        let hits = found(&index, words(search)).await;
        hits.into_iter().map(|hit| hit.index).collect::<Vec<_>>()
    };
    // From the record, from the statement, from a bound value, from what the launcher said.
    assert_eq!(of("outside scope").await, [5, 4]);
    assert_eq!(of("o'brien").await, [4]);
    assert_eq!(of("\"value of\" pin").await, [5]);
    assert_eq!(of("uberprufung").await, [0]);
    assert_eq!(of("revoked").await, [6]);
    assert_eq!(of("\"by human:grace@acme.com\"").await, [6]);
    assert_eq!(of("23505").await, [3]);
    assert_eq!(of("public.cards").await, [5, 4]);
    // All words have to be there, and whole ones, unless they are marked.
    assert_eq!(of("cards number").await, [4]);
    assert_eq!(of("numb").await, [0; 0]);
    assert_eq!(of("numb*").await, [4]);
    assert_eq!(of("number cards tickets nothing").await, [0; 0]);
    // What a target answered is not what the agent wrote.
    assert_eq!(of("masked-answer").await, [0; 0]);

    let hit = &found(&index, words("pin")).await[0];
    assert_eq!(hit.id, format!("{}/2", two.id));
    assert_eq!(hit.launcher.as_deref(), Some(two.launcher.as_str()));
    assert_eq!(
        (hit.task.as_deref(), hit.target.as_deref()),
        (Some("sweep"), Some("tickets"))
    );
    assert_eq!(
        (hit.verb.as_deref(), &*hit.actions[0]),
        (Some("SELECT"), "select public.cards")
    );
    assert_eq!(hit.effect.as_deref(), Some("deny"));
    assert_eq!(hit.remedy.as_deref(), Some("ask for it"));
    let hit = &found(&index, words("23505")).await[0];
    assert_eq!(
        (hit.state.as_deref(), hit.rows, hit.masked),
        (Some("error"), Some(3), Some(2))
    );

    let filtered = async |search: Search| seqs(&found(&index, search).await);
    let all = Search::default();
    let with = |change: fn(&mut Search)| {
        let mut search = all.clone();
        change(&mut search);
        search
    };
    assert_eq!(filtered(all.clone()).await, [5, 2, 4, 3, 2, 1, 1]);
    assert_eq!(filtered(with(|s| s.denied = true)).await, [2, 4]);
    assert_eq!(
        filtered(with(|s| s.task = Some("sweep".into()))).await,
        [2, 1]
    );
    assert_eq!(
        filtered(with(|s| s.target = Some("tickets".into()))).await,
        [2, 4, 3, 2]
    );
    assert_eq!(
        filtered(with(|s| s.target = Some("ticket".into()))).await,
        [0; 0]
    );
    let by = Search {
        launcher: Some(one.launcher.to_string()),
        ..words("cards")
    };
    assert_eq!(filtered(by).await, [4]);
    let of_run = Search {
        run: Some(two.id.to_string()),
        ..all.clone()
    };
    assert_eq!(filtered(of_run).await, [2, 1]);
    assert_eq!(
        filtered(with(|s| s.run = Some("gateway".into()))).await,
        [0; 0]
    );

    let times: Vec<_> = found(&index, all.clone())
        .await
        .into_iter()
        .map(|hit| hit.time)
        .collect();
    let (newest, oldest) = (times[0], times[times.len() - 1]);
    let between = |since, until| Search {
        since,
        until,
        ..all.clone()
    };
    assert_eq!(filtered(between(Some(oldest), None)).await.len(), 7);
    assert_eq!(filtered(between(None, Some(oldest))).await, [0; 0]);
    let later = newest.after(Duration::from_millis(1));
    assert_eq!(filtered(between(Some(later), None)).await, [0; 0]);
    assert_eq!(filtered(between(None, Some(later))).await.len(), 7);

    let few = asked(with(|s| s.limit = Some(2))).unwrap();
    let answer = index.search(few).await.unwrap();
    assert_eq!((seqs(&answer.hits), answer.more), (vec![5, 2], true));
    assert_eq!(answer.records, 7);
    let exactly = asked(with(|s| s.limit = Some(7))).unwrap();
    assert!(!index.search(exactly).await.unwrap().more);
    let beyond = asked(with(|s| s.limit = Some(u32::MAX))).unwrap();
    assert_eq!(index.search(beyond).await.unwrap().hits.len(), 7);
    assert!(asked(with(|s| s.run = Some("last".into()))).is_err());
}

#[tokio::test]
async fn nothing_in_the_words_is_more_than_a_word() {
    let folder = Folder::new();
    let index = folder.index();
    let run = run(1, "triage");
    folder.append(&run, opened(&run), None);
    folder.call(&run, "tickets", "SELECT 'x' -- AND OR NOT NEAR", true);
    for hostile in [
        "\"",
        "\"\"",
        "'",
        "';DROP TABLE record;--",
        "a\"b",
        "record:select",
        "- a",
        "^select",
        "NEAR(a b)",
        "NEAR/2",
        "AND",
        "OR",
        "NOT",
        "NOT NOT x",
        "a OR",
        "(",
        ")",
        "((((a",
        "{record payload}:x",
        "payload : x",
        "a + b",
        "a\0b",
        "\0a",
        "a*b",
        "*a",
        "**",
        "a **",
        "\u{301}a",
        "\u{fffd}x",
        "\u{202e}x",
        "x\u{0}*",
        "%",
        "_",
        "a%",
        "?1",
        ":x",
        "@x",
        "$x",
        "😀 a",
        "ﬀ",
        "𝒳",
        "ⅷ",
        "表",
        "\u{e000}a",
    ] {
        match asked(words(hostile)) {
            Ok(query) => drop(index.search(query).await.unwrap()),
            Err(error) => assert!(!error.to_string().is_empty(), "{hostile:?}"),
        }
    }
    let many = vec!["a*"; 32].join(" ");
    assert!(!found(&index, words(&many)).await.is_empty());
    // They are words like others.
    assert_eq!(found(&index, words("AND OR NOT NEAR")).await.len(), 1);
    let record = Search {
        task: Some("' OR 1=1 --".into()),
        ..Search::default()
    };
    assert!(found(&index, record).await.is_empty());
}

#[tokio::test]
async fn what_is_durable_is_found() {
    let folder = Folder::new();
    let index = folder.index();
    let run = run(1, "triage");
    folder.append(&run, opened(&run), None);
    for number in 0..50 {
        folder.call(&run, "tickets", &format!("SELECT {number}000"), true);
        let hits = found(&index, words(&format!("{number}000"))).await;
        assert_eq!(hits.len(), 1, "{number}");
    }
    // Where that cannot be, the answer says up to where it speaks.
    let checkpoint = folder.data().join("log/checkpoint");
    folder.log.checkpoint_now().unwrap();
    fs::rename(&checkpoint, folder.data().join("away")).unwrap();
    let query = asked(words("select")).unwrap();
    let answer = index.search(query.clone()).await.unwrap();
    assert_eq!((answer.complete, answer.records), (false, 51));
    assert_eq!(answer.hits.len(), 50);
    assert!(index.state().failure.is_some());
    // A new one is made again in time.
    folder.call(&run, "tickets", "SELECT 1", true);
    folder.log.checkpoint_now().unwrap();
    tokio::time::sleep(crate::limits::INDEX_RETRY_AFTER).await;
    let answer = index.search(query).await.unwrap();
    assert_eq!((answer.complete, answer.records), (true, 52));
    assert!(index.state().failure.is_none());
}
