use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bailiwick_action::{
    Action, Call, Decision, Denial, Fingerprint, FingerprintKey, Payload, Resource, Verb,
};
use bailiwick_audit::{Config, Draft, Event, Log, Outcome, Reader, State, Subject};
use bailiwick_run::{Confinement, Ending, Run, RunId, Time, TimeBox};
use rusqlite::types::Value;
use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::file;
use super::projection::{Projection, Step};
use super::query::Query;
use super::{Index, SearchError, reindex};
use crate::api::{Hit, Search};
use crate::testing::mode;

/// A data folder with a log that is open.
struct Folder {
    dir: TempDir,
    log: Log,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        Self { dir, log }
    }

    fn data(&self) -> &Path {
        self.dir.path()
    }

    fn index(&self) -> Index {
        Index::start(self.data(), self.log.reader())
    }

    fn append(&self, run: &Run, event: Event, payload: Option<serde_json::Value>) -> u64 {
        append(&self.log, run, event, payload)
    }

    /// A statement that was let through or not; its number.
    fn call(&self, run: &Run, table: &str, text: &str, allow: bool) -> u64 {
        call(&self.log, run, table, text, allow)
    }

    /// Brings everything into the tree, and takes the write-ahead log away, so that the log can be
    /// written by hand.
    fn closed(self) -> TempDir {
        self.log.close();
        for file in fs::read_dir(self.dir.path().join("wal")).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        self.dir
    }
}

fn open(dir: &Path) -> Log {
    let config = Config {
        dir: dir.to_owned(),
        origin: "test.example/log".into(),
    };
    Log::open(config).unwrap().0
}

fn run(number: u64, task: &str) -> Run {
    let opened = Time::from_millis(1_700_000_000_000);
    let mut random = [0; 10];
    random[..8].copy_from_slice(&number.to_be_bytes());
    Run {
        id: RunId::new(opened, random),
        launcher: format!("human:user{number}@localhost").parse().unwrap(),
        task: task.into(),
        time_box: TimeBox {
            opened,
            expires: opened.after(Duration::from_secs(60)),
        },
        confinement: Confinement::Landlock,
        reason: None,
    }
}

fn opened(run: &Run) -> Event {
    Event::RunOpened {
        confinement: run.confinement,
        expires: run.time_box.expires,
        scope_digest: "sha256:0".into(),
    }
}

fn finished(of: u64) -> Event {
    Event::CallFinished {
        of,
        target: "tickets".into(),
        outcome: Outcome {
            state: State::Error,
            rows: 3,
            bytes: 9,
            masked: 2,
            error: Some("23505".into()),
            micros: 5,
        },
    }
}

fn append(log: &Log, run: &Run, event: Event, payload: Option<serde_json::Value>) -> u64 {
    let draft = Draft {
        event,
        subject: Subject::Run(run.clone()),
        payload: payload.map(|payload| payload.to_string().into_bytes()),
    };
    let pending = log.append(draft);
    // On a thread of its own: the tests are async, and there nobody may wait.
    std::thread::scope(|scope| scope.spawn(|| pending.wait()).join())
        .unwrap()
        .unwrap()
        .seq()
}

fn decided(table: &str, allow: bool) -> Event {
    let call = Call {
        protocol: "postgres",
        verb: "SELECT".into(),
        actions: vec![Action::new(Verb::Select, Resource::table("public", table))],
        refusal: None,
        payload: Payload::default(),
    };
    let decision = match allow {
        true => Decision::Allow { policies: vec![] },
        false => Decision::Deny(Denial {
            policies: vec![],
            reason: format!("select on public.{table} is outside the scope"),
            remedy: "ask for it".into(),
        }),
    };
    Event::CallDecided {
        target: "tickets".into(),
        protocol: call.protocol,
        verb: call.verb.clone(),
        fingerprint: Fingerprint::of(&FingerprintKey::new([1; 32]), &call),
        actions: call.actions,
        decision,
        policy_digest: "sha256:0".into(),
    }
}

fn call(log: &Log, run: &Run, table: &str, text: &str, allow: bool) -> u64 {
    let payload = serde_json::json!({ "text": text, "values": [format!("value of {text}"), null] });
    append(log, run, decided(table, allow), Some(payload))
}

fn words(words: &str) -> Search {
    Search {
        words: Some(words.into()),
        ..Search::default()
    }
}

async fn found(index: &Index, search: Search) -> Vec<Hit> {
    let answer = index.search(Query::new(search).unwrap()).await.unwrap();
    assert!(answer.complete);
    answer.hits
}

fn seqs(hits: &[Hit]) -> Vec<u64> {
    hits.iter().map(|hit| hit.seq).collect()
}

/// Everything that an index holds, row by row, and every word with its places.
fn content(path: &Path) -> Vec<Vec<Value>> {
    let connection = Connection::open(path).unwrap();
    let check = "INSERT INTO words (words, rank) VALUES ('integrity-check', 1)";
    connection.execute(check, []).unwrap();
    let vocabulary = "CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab (main, words, instance)";
    connection.execute(vocabulary, []).unwrap();
    let mut rows = Vec::new();
    for query in [
        "SELECT * FROM position",
        "SELECT * FROM record ORDER BY id",
        "SELECT rowid, record, payload FROM words ORDER BY rowid",
        "SELECT * FROM vocabulary ORDER BY term, doc, col, offset",
    ] {
        let mut statement = connection.prepare(query).unwrap();
        let columns = statement.column_count();
        let all = statement.query_map([], |row| (0..columns).map(|at| row.get(at)).collect());
        rows.extend(all.unwrap().map(Result::unwrap));
    }
    rows
}

/// An index that is made at once from the log of this folder, elsewhere.
fn fresh(data: &Path) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fresh.sqlite");
    catch_up(&path, data);
    (dir, path)
}

fn catch_up(path: &Path, data: &Path) {
    let mut projection = Projection::open(path, &Reader::open(data).unwrap()).unwrap();
    while projection.step().unwrap() == Step::On {}
    projection.scrub().unwrap();
}

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

    let few = Query::new(with(|s| s.limit = Some(2))).unwrap();
    let answer = index.search(few).await.unwrap();
    assert_eq!((seqs(&answer.hits), answer.more), (vec![5, 2], true));
    assert_eq!(answer.records, 7);
    let exactly = Query::new(with(|s| s.limit = Some(7))).unwrap();
    assert!(!index.search(exactly).await.unwrap().more);
    let beyond = Query::new(with(|s| s.limit = Some(u32::MAX))).unwrap();
    assert_eq!(index.search(beyond).await.unwrap().hits.len(), 7);
    assert!(Query::new(with(|s| s.run = Some("last".into()))).is_err());
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
        match Query::new(words(hostile)) {
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
    let query = Query::new(words("select")).unwrap();
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
        let query = Query::new(words("299")).unwrap();
        let answer = match index.search(query.clone()).await {
            // Found by whoever searched; the next one is answered.
            Err(SearchError::Damaged) => index.search(query).await,
            answer => answer,
        };
        assert_eq!(answer.unwrap().hits.len(), 1, "{name}");
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
    let error = reindex(folder.data()).unwrap_err().to_string();
    assert!(error.contains("in use by a gateway"), "{error}");
    folder.log.close();
    let path = Index::path(folder.data());
    fs::write(&path, "anything").unwrap();
    let done = reindex(folder.data()).unwrap();
    assert_eq!((done.records, done.payloads_unread), (601, 0));
    let (_dir, fresh) = fresh(folder.data());
    assert!(content(&path) == content(&fresh));
    assert_eq!(mode(&path), 0o600);

    // Without the keys the records are still found.
    fs::remove_file(folder.data().join(format!("payloads/{}.key", run.id))).unwrap();
    let dir = folder.closed();
    let done = reindex(dir.path()).unwrap();
    assert_eq!((done.records, done.payloads_unread), (601, 600));
    assert!(reindex(&dir.path().join("nowhere")).is_err());
}

/// Adds a record to a log that is closed, as a gateway does that erases a run's payloads.
fn erase(data: &Path, run: &Run) {
    let entries: Vec<_> = Reader::open(data).unwrap().newest(usize::MAX).unwrap();
    let record = serde_json::json!({
        "erased": {"run": run.id.to_string()}, "prev": "0".repeat(64), "run": "gateway",
        "seq": entries.len(), "time": "2026-01-01T00:00:00.000Z", "type": "payloads.erased", "v": 1,
    });
    let mut all: Vec<Vec<u8>> = entries.into_iter().map(|entry| entry.bytes).collect();
    all.push(record.to_string().into_bytes());
    let size = all.len();
    for (number, bundle) in all.chunks(256).enumerate() {
        let mut bytes = Vec::new();
        for record in bundle {
            bytes.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
            bytes.extend(record);
        }
        let full = data.join(format!("log/tile/entries/{number:03}"));
        let path = match bundle.len() {
            256 => full,
            width => PathBuf::from(format!("{}.p/{width}", full.display())),
        };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    fs::write(
        data.join("log/checkpoint"),
        format!("test.example/log\n{size}\n"),
    )
    .unwrap();
    fs::remove_file(data.join(format!("payloads/{}.key", run.id))).unwrap();
}

/// The index's files, to look for words in.
fn bytes(path: &Path) -> String {
    let suffixes = ["", "-wal", "-shm", "-journal"];
    let files = suffixes.map(|suffix| fs::read(format!("{}{suffix}", path.display())));
    let files: Vec<u8> = files.into_iter().flatten().flatten().collect();
    // What is no text becomes another text; the words that are looked for stay what they are.
    String::from_utf8_lossy(&files).into_owned()
}

/// A word that is nowhere else, with a middle that no other word shares.
fn secret(run: u64, number: u64) -> String {
    let mix = (run * 1_000_003 + number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("s{mix:016x}t")
}

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
        // Words are stored without what they share with the one before, and the beginnings of some
        // a second time.
        for part in [&word, &word[6..], &word[..12]] {
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

const CHILD: &str = "BAILIWICK_CONTROL_TEST_INDEX";

/// Not a test by itself: the child's part, to follow the log until it is killed.
#[test]
fn child_that_indexes_until_it_is_killed() {
    let Some(data) = std::env::var_os(CHILD) else {
        return;
    };
    let data = Path::new(&data);
    let index = Index::start(data, Reader::open(data).unwrap());
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
            "index::tests::child_that_indexes_until_it_is_killed",
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
    connection
        .query_row(position, params![], |row| row.get(0))
        .ok()
}

#[test]
fn it_equals_the_log_after_kill_nine_at_any_moment() {
    let folder = Folder::new();
    let data = folder.data().to_owned();
    let path = Index::path(&data);
    let log = folder.log.clone();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut positions = std::collections::BTreeSet::new();
    let runs = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut runs = Vec::new();
            for number in 0.. {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
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
                runs.push(run);
                std::thread::sleep(Duration::from_millis(8));
            }
            runs
        });
        for round in 0..40 {
            let_index_and_kill(&data, round % 8 == 7);
            positions.extend(position(&path));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writer.join().unwrap()
    });
    // It was killed while there was something to kill.
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
    let dir = folder.closed();
    for (round, run) in runs.iter().take(12).enumerate() {
        erase(&data, run);
        let_index_and_kill(&data, round % 4 == 3);
    }
    catch_up(&path, &data);
    let (_fresh, fresh) = fresh(&data);
    assert!(content(&path) == content(&fresh));
    let bytes = bytes(&path);
    for number in 0..12 {
        for at in 0..20 {
            let word = secret(number, at);
            for part in [&word, &word[6..], &word[..12]] {
                assert!(!bytes.contains(part), "{word}: {part}");
            }
        }
    }
    assert!(bytes.contains(&secret(12, 0)));
    drop(dir);
}

/// Prints how many records a second go into the index, and how large it gets.
#[test]
#[ignore = "a measurement, for a release build with --nocapture"]
fn the_rate_of_indexing() {
    const CALLS: u64 = 100_000;
    let folder = Folder::new();
    let append = |run: &Run, event: Event, text: Option<String>| {
        let payload = text.map(|text| serde_json::json!({"text": text, "values": ["7"]}));
        folder.log.append(Draft {
            event,
            subject: Subject::Run(run.clone()),
            payload: payload.map(|payload| payload.to_string().into_bytes()),
        })
    };
    for number in 0..CALLS / 100 {
        let run = run(number, "triage-tickets");
        let mut last = append(&run, opened(&run), None);
        for call in 0..100 {
            let text = format!(
                "SELECT t.id, t.subject, t.priority FROM public.tickets t JOIN public.comments c \
                 ON c.ticket = t.id WHERE t.id = {} AND c.text LIKE '{}' ORDER BY t.id LIMIT $1",
                number * 100 + call,
                secret(number, call),
            );
            let decided = append(&run, decided("tickets", true), Some(text));
            last = append(&run, finished(decided.seq()), None);
        }
        last.wait().unwrap();
    }
    folder.log.close();
    let usage = || {
        let spent = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        spent.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let before = usage();
    let done = reindex(folder.data()).unwrap();
    let processor = usage() - before;
    let rate = |seconds: f64| done.records as f64 / seconds;
    let size = fs::metadata(Index::path(folder.data())).unwrap().len();
    println!(
        "{} records in {:.1?}: {:.0} records/s, {:.0} records/s per core, {} bytes per record",
        done.records,
        done.took,
        rate(done.took.as_secs_f64()),
        rate(processor as f64 / 1e9),
        size / done.records,
    );
}
