use std::path::PathBuf;
use std::sync::atomic::AtomicU16;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bailiwick_run::Time;

use super::*;
use crate::transport::{Answer, Bounds, TransportError};
use crate::verify;
use crate::{
    Config, DirSource, Draft, Log, Refusal, Subject, VerifyOptions, Witness, WitnessConfig,
};

/// Witnesses that are asked without a network: `http://w1/…` is the first.
struct Near {
    witnesses: Mutex<Vec<Witness>>,
    /// What a witness answers instead; zero for its own answer, one for nothing.
    instead: AtomicU16,
    asked: Mutex<Vec<Instant>>,
}

impl Transport for Near {
    fn get(&self, url: &str, _: Bounds) -> Result<Answer, TransportError> {
        panic!("{url} is not asked for")
    }

    fn post(&self, url: &str, body: &[u8], _: Bounds) -> Result<Answer, TransportError> {
        lock(&self.asked).push(Instant::now());
        let number: usize = url
            .strip_prefix("http://w")
            .and_then(|rest| rest.strip_suffix("/add-checkpoint"))
            .and_then(|number| number.parse().ok())
            .unwrap();
        let answer = |status, content_type: &str, body: String| {
            Ok(Answer {
                status,
                content_type: Some(content_type.to_owned()),
                retry_after: None,
                body: body.into_bytes(),
            })
        };
        match self.instead.load(Ordering::SeqCst) {
            0 => {}
            1 => {
                return Err(TransportError::Unreachable {
                    url: url.to_owned(),
                    reason: "it is down".to_owned(),
                });
            }
            status => return answer(status, "text/plain", "no".to_owned()),
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = Time::from_millis(since.as_millis() as u64);
        let witnesses = lock(&self.witnesses);
        match witnesses[number - 1].add_checkpoint(body, now) {
            Ok(lines) => answer(200, "text/plain", lines),
            Err(Refusal::Conflict { size }) => answer(409, "text/x.tlog.size", format!("{size}\n")),
            Err(Refusal::Inconsistent { .. }) => answer(422, "text/plain", String::new()),
            Err(refusal) => panic!("{refusal}"),
        }
    }
}

/// A log and its witnesses.
struct Bench {
    dir: tempfile::TempDir,
    near: Arc<Near>,
    policy: String,
}

impl Bench {
    /// So many witnesses, all of them needed.
    fn new(count: usize) -> (Self, Log) {
        let dir = tempfile::tempdir().unwrap();
        let log = open(&dir.path().join("data"));
        let mut policy = format!("log {}\n", log.vkey());
        let mut witnesses = Vec::new();
        for number in 1..=count {
            let witness = Witness::open(WitnessConfig {
                dir: dir.path().join(format!("w{number}")),
                name: Some(format!("w.example/{number}")),
                logs: vec![log.vkey()],
            });
            let witness = witness.unwrap();
            policy += &format!("witness w{number} {} http://w{number}/\n", witness.vkey());
            witnesses.push(witness);
        }
        let names: Vec<_> = (1..=count).map(|number| format!("w{number}")).collect();
        policy += &format!("group all all {}\nquorum all\n", names.join(" "));
        let near = Arc::new(Near {
            witnesses: Mutex::new(witnesses),
            instead: AtomicU16::new(0),
            asked: Mutex::default(),
        });
        (Self { dir, near, policy }, log)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn ask(&self, log: &Log) {
        let policy = Policy::parse(self.policy.as_bytes()).unwrap();
        log.ask_witnesses(policy, Arc::clone(&self.near) as _)
            .unwrap();
    }

    /// What the policy makes of a file of the log: its size, who has cosigned, and whether that is
    /// enough.
    fn judge(&self, file: &str) -> Option<(u64, usize, bool)> {
        let note = std::fs::read(self.data().join("log").join(file)).ok()?;
        let policy = Policy::parse(self.policy.as_bytes()).unwrap();
        let judgement = policy.judge(&note).unwrap();
        Some((judgement.size, judgement.cosigned.len(), judgement.quorum))
    }
}

fn open(data: &std::path::Path) -> Log {
    let config = Config::new(data.to_owned(), "a.example/log");
    Log::open(config).unwrap().0
}

fn grow(log: &Log) {
    let draft = Draft {
        event: Event::GatewayStopped,
        subject: Subject::Gateway,
        payload: None,
    };
    log.append(draft).wait().unwrap();
}

#[track_caller]
fn eventually(what: impl Fn() -> bool) {
    let since = Instant::now();
    while !what() {
        assert!(since.elapsed() < Duration::from_secs(20));
        thread::sleep(Duration::from_millis(10));
    }
}

fn disagreements(log: &Log) -> Vec<String> {
    let entries = log.reader().gateway().unwrap();
    let records = entries.into_iter().filter_map(|entry| entry.record.witness);
    records
        .map(|witness| format!("{} {} {}", witness.name, witness.problem, witness.size))
        .collect()
}

#[test]
fn each_checkpoint_gets_every_signature_and_the_last_one_before_the_end() {
    let (bench, log) = Bench::new(2);
    bench.ask(&log);
    for size in 1..=3 {
        grow(&log);
        eventually(|| bench.judge("checkpoint") == Some((size, 2, true)));
        eventually(|| bench.judge("witnessed") == Some((size, 2, true)));
    }
    grow(&log);
    log.close();
    assert_eq!(bench.judge("checkpoint"), Some((4, 2, true)));
    assert_eq!(bench.judge("witnessed"), Some((4, 2, true)));
    // No witness was asked more often than once a second, but for the questions that a 409 asks for.
    let asked = lock(&bench.near.asked).len();
    assert!(asked <= 2 * 6, "{asked}");

    let vkey = log.vkey();
    let options = VerifyOptions::for_data_dir(&bench.data(), None);
    let source = DirSource::new(bench.data().join("log"));
    assert_eq!(verify::verify(&source, &vkey, &options).unwrap().records, 4);
    // A start goes on from a checkpoint that others have signed.
    let log = open(&bench.data());
    bench.ask(&log);
    grow(&log);
    eventually(|| bench.judge("checkpoint") == Some((5, 2, true)));
}

#[test]
fn a_witness_that_is_down_delays_nothing_and_is_asked_again() {
    let (bench, log) = Bench::new(1);
    for instead in [1, 404, 500, 200, 409] {
        bench.near.instead.store(instead, Ordering::SeqCst);
        bench.ask(&log);
        grow(&log);
        log.checkpoint_now().unwrap();
    }
    eventually(|| lock(&bench.near.asked).len() >= 2);
    let asked = lock(&bench.near.asked).clone();
    assert!(asked[1] - asked[0] >= limits::WITNESS_EVERY);
    assert_eq!(bench.judge("checkpoint"), Some((5, 0, false)));
    assert_eq!(bench.judge("witnessed"), None);
    bench.near.instead.store(0, Ordering::SeqCst);
    eventually(|| bench.judge("witnessed") == Some((5, 1, true)));
    assert_eq!(disagreements(&log), Vec::<String>::new());
}

#[test]
fn a_log_that_was_rolled_back_is_recorded_once() {
    let (bench, log) = Bench::new(1);
    let copy = bench.dir.path().join("copy");
    grow(&log);
    log.close();
    copy_dir(&bench.data(), &copy);
    let log = open(&bench.data());
    bench.ask(&log);
    for _ in 0..3 {
        grow(&log);
    }
    eventually(|| bench.judge("witnessed") == Some((4, 1, true)));
    log.close();
    drop(log);

    std::fs::remove_dir_all(bench.data()).unwrap();
    copy_dir(&copy, &bench.data());
    let log = open(&bench.data());
    bench.ask(&log);
    grow(&log);
    eventually(|| disagreements(&log) == ["w1 larger 4"]);
    // It grows past what the witness has seen, and is another log then.
    for _ in 0..5 {
        grow(&log);
    }
    log.close();
    let log = open(&bench.data());
    bench.ask(&log);
    eventually(|| {
        disagreements(&log)
            .last()
            .is_some_and(|last| last == "w1 inconsistent 4")
    });
    assert_eq!(disagreements(&log).len(), 2);
    assert_eq!(bench.judge("checkpoint").unwrap().1, 0);
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}
