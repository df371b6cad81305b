//! What the tests of the index share.

mod counting;
mod crashes;
mod erasing;
mod making;
mod rate;
mod searching;

use crate::Words;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_action::{
    Action, Call, Decision, Denial, Fingerprint, FingerprintKey, Payload, Resource, Verb,
};
use bailiwick_audit::{Config, Draft, Event, Log, Outcome, Reader, State, Subject};
use bailiwick_run::{Confinement, Ending, Run, RunId, Time, TimeBox};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

use super::projection::{Projection, Step};
use super::query::{NotAQuery, Query};
use super::{Index, SearchError, file};
use crate::api::{Hit, Search};

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
        Index::start(self.data(), self.log.reader(), Words::WithPayloads)
    }

    fn append(&self, run: &Run, event: Event, payload: Option<serde_json::Value>) -> u64 {
        append(&self.log, run, event, payload)
    }

    /// A statement that was let through or not; its number.
    fn call(&self, run: &Run, table: &str, text: &str, allow: bool) -> u64 {
        call(&self.log, run, table, text, allow)
    }
}

fn open(dir: &Path) -> Log {
    Log::open(Config::new(dir, "test.example/log")).unwrap().0
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
        protocol: "postgres".into(),
        verb: "SELECT".into(),
        outcome: Outcome {
            state: State::Error,
            rows: 3,
            bytes: 9,
            masked: 2,
            error: Some("23505".into()),
            micros: 5,
            digest: None,
        },
    }
}

fn closed() -> Event {
    Event::RunClosed {
        ending: Ending::Closed,
        by: None,
    }
}

fn erase(log: &Log, run: &Run) {
    on_a_thread(|| log.erase(run.id, run.launcher.clone())).unwrap();
}

/// On a thread of its own: some tests are async, and there nobody may wait.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join()).unwrap()
}

fn append(log: &Log, run: &Run, event: Event, payload: Option<serde_json::Value>) -> u64 {
    let draft = Draft {
        event,
        subject: Subject::Run(run.clone()),
        payload: payload.map(|payload| payload.to_string().into_bytes()),
    };
    let pending = log.append(draft);
    on_a_thread(|| pending.wait()).unwrap().seq()
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
        true => Decision::Allow {
            policies: vec![
                format!("task:triage/read-1/public.{table}"),
                "task:triage/session/tickets".into(),
            ],
            approval: None,
        },
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

/// By all words.
fn asked(search: Search) -> Result<Query, NotAQuery> {
    Query::new(search).map(Query::with_payloads)
}

fn words(words: &str) -> Search {
    Search {
        words: Some(words.into()),
        ..Search::default()
    }
}

async fn found(index: &Index, search: Search) -> Vec<Hit> {
    settled(index, asked(search).unwrap()).await
}

/// Asks until the index has all that was recorded, however slow the machine is.
async fn settled(index: &Index, query: Query) -> Vec<Hit> {
    for _ in 0..60 {
        match index.search(query.clone()).await {
            Ok(answer) if answer.complete => return answer.hits,
            // Found by whoever searched; the next one is answered.
            Ok(_) | Err(SearchError::Damaged) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the index does not come up with the log");
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
        "SELECT * FROM chain ORDER BY run",
        "SELECT * FROM chain_target ORDER BY run, target",
        "SELECT * FROM used ORDER BY run, policy",
        "SELECT * FROM activity ORDER BY span, start",
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
    let mut projection =
        Projection::open(path, &Reader::open(data).unwrap(), Words::WithPayloads).unwrap();
    while projection.step().unwrap() == Step::On {}
    projection.scrub().unwrap();
}

/// The index's files, to look for words in.
fn bytes(path: &Path) -> String {
    let suffixes = ["", "-wal", "-shm", "-journal"];
    let files = suffixes.map(|suffix| fs::read(format!("{}{suffix}", path.display())));
    let files: Vec<u8> = files.into_iter().flatten().flatten().collect();
    // What is no text becomes another text; the words that are looked for stay what they are.
    String::from_utf8_lossy(&files).into_owned()
}

/// A word that is nowhere else. Its first half is the run's alone.
fn secret(run: u64, number: u64) -> String {
    let mix = |number: u64| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("s{:016x}{:016x}t", mix(run), mix(run << 32 | number))
}

/// Parts of a word that nothing else has: words are stored without what they share with the one
/// before, and the beginnings of some a second time.
fn parts(word: &str) -> [&str; 3] {
    [word, word.split_at(12).0, word.split_at(20).1]
}
