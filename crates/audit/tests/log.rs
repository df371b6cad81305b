//! The log as its users see it: records, receipts, chains, reopening.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test"
)]

mod kit;

use bailiwick_audit::{
    AppendError, Draft, Event, Log, OpenError, ReadError, Reader, RunState, Subject,
};
use kit::*;
use serde_json::Value;

#[test]
fn records_form_a_chain_that_can_be_read_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let (log, recovered) = open(dir.path());
    assert_eq!(recovered, Default::default());
    let started = append(&log, started());
    assert_eq!((started.run(), started.seq()), (None, 1));
    let run = whole_run(&log, 1, 3);

    // Read while they are perhaps only in the write-ahead log, and again from the tree.
    for _ in 0..2 {
        let trail = log.reader().run(&run.id).unwrap();
        let types: Vec<_> = trail
            .iter()
            .map(|entry| entry.record.r#type.as_str())
            .collect();
        assert_eq!(types.len(), 9);
        assert_eq!((types[0], types[8]), ("run.opened", "run.closed"));
        for pair in trail.windows(2) {
            assert_eq!(pair[1].record.prev, pair[0].digest().to_string());
            assert_eq!(pair[1].record.seq, pair[0].record.seq + 1);
        }
        let last = &trail[8].record;
        assert_eq!(last.count, Some(9));
        assert_eq!(
            last.last.as_deref(),
            Some(trail[7].digest().to_string().as_str())
        );
        assert_eq!(log.reader().gateway().unwrap().len(), 1);
        let denied = log
            .reader()
            .record(&format!("{}/8", run.id))
            .unwrap()
            .unwrap();
        assert_eq!(denied.record.decision.as_ref().unwrap().effect, "deny");
        let same = log
            .reader()
            .record(&denied.digest().to_string())
            .unwrap()
            .unwrap();
        assert_eq!(same.bytes, denied.bytes);
        assert!(log.reader().record("run_nobody/1").unwrap().is_none());
        assert_eq!(
            log.reader().newest(2).unwrap()[1].record.r#type,
            "run.closed"
        );
        log.checkpoint_now().unwrap();
    }
    let report = check_run(dir.path(), Some(run.id)).unwrap();
    assert_eq!((report.records, report.tail), (10, 0));
    assert_eq!((report.runs_open, report.runs_closed), (0, 1));
    let of_run = report.run.unwrap();
    assert_eq!((of_run.records, of_run.state), (9, RunState::Closed));
    assert_eq!(report.origin, ORIGIN);
    assert!(report.last_time.is_some());
}

#[test]
fn a_receipt_says_which_record_it_is_for() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let run = run(1);
    let pending = log.append(opened(&run));
    assert_eq!(pending.seq(), 1);
    assert_eq!(pending.wait().unwrap().fingerprint(), None);
    let receipt = append(&log, decided(&run, true));
    assert_eq!(receipt.fingerprint(), Some(fingerprint("select")));
    assert_eq!((receipt.run(), receipt.seq()), (Some(run.id), 2));
    let entry = Reader::open(dir.path())
        .unwrap()
        .record(&receipt.id())
        .unwrap()
        .unwrap();
    assert_eq!(entry.digest(), receipt.digest());
}

#[test]
fn chains_go_on_after_a_restart_and_open_runs_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (run(1), run(2));
    {
        let (log, _) = open(dir.path());
        append(&log, started());
        append(&log, opened(&one));
        append(&log, opened(&two));
        append(&log, with_payload(decided(&one, true), "{}"));
        append(&log, decided(&one, false));
        let done = append(&log, decided(&two, true));
        append(&log, finished(&two, done.seq()));
    }
    let (log, recovered) = open(dir.path());
    assert_eq!(recovered.open_runs, [one.id, two.id]);
    assert_eq!(recovered.unfinished, [(one.id, 2)]);
    assert_eq!(append(&log, started()).seq(), 2);
    assert_eq!(
        append(&log, with_payload(finished(&one, 2), "{\"a\":1}")).seq(),
        4
    );
    append(&log, closed(&one));
    append(&log, closed(&two));
    log.close();
    let (log, recovered) = open(dir.path());
    assert_eq!(recovered, Default::default());
    // A payload from before the restart and one from after it open with the same key.
    let trail = log.reader().run(&one.id).unwrap();
    assert_eq!(
        log.reader().payload(&trail[1]).unwrap().as_deref(),
        Some(&b"{}"[..])
    );
    assert_eq!(
        log.reader().payload(&trail[3]).unwrap().as_deref(),
        Some(&b"{\"a\":1}"[..])
    );
    assert_eq!(check(dir.path()).unwrap().records, 11);
}

#[test]
fn a_run_takes_records_only_while_it_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let run = run(1);
    let not_open = AppendError::NotOpen(run.id.to_string());
    let refused = log.append(decided(&run, true));
    assert_eq!(refused.seq(), 0);
    assert_eq!(refused.wait().unwrap_err(), not_open);
    append(&log, opened(&run));
    let again = log.append(opened(&run)).wait().unwrap_err();
    assert_eq!(again, AppendError::AlreadyOpen(run.id.to_string()));
    append(&log, closed(&run));
    assert_eq!(
        log.append(decided(&run, true)).wait().unwrap_err(),
        not_open
    );
    // A login to a run that is over is recorded, in the gateway's chain.
    let login = Event::LoginDenied {
        target: Some("tickets".to_owned()),
        reason: "the run is over".to_owned(),
    };
    let receipt = append(&log, draft(&run, login));
    assert_eq!(receipt.run(), None);
    let entry = log.reader().record(&receipt.id()).unwrap().unwrap();
    assert_eq!(entry.record.login.unwrap().run, Some(run.id.to_string()));
    log.close();
    assert_eq!(
        log.append(started()).wait().unwrap_err(),
        AppendError::Closed
    );
    assert_eq!(log.checkpoint_now(), Err(AppendError::Closed));
    check(dir.path()).unwrap();
}

#[test]
fn two_gateways_cannot_have_one_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    assert!(matches!(
        Log::open(config(dir.path())),
        Err(OpenError::InUse(_))
    ));
    log.close();
    assert!(Log::open(config(dir.path())).is_ok());
}

#[test]
fn the_name_of_a_log_does_not_change() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    for (origin, said) in [
        ("other.example/log", ORIGIN),
        ("two words", "cannot name a log"),
    ] {
        let mut config = config(dir.path());
        config.origin = origin.to_owned();
        let error = Log::open(config).err().unwrap().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_missing_key_is_never_replaced() {
    for key in ["log.key", "payload.key", "fingerprint.key"] {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        std::fs::remove_file(dir.path().join("keys").join(key)).unwrap();
        let error = Log::open(config(dir.path())).err().unwrap();
        assert!(matches!(error, OpenError::Key(_)), "{error}");
        assert!(error.to_string().contains(key), "{error}");
    }
}

#[test]
fn only_the_owner_reads_keys_records_on_their_way_and_payloads() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    whole_run(&log, 1, 1);
    log.close();
    for private in ["keys", "wal", "payloads"] {
        let folder = dir.path().join(private);
        assert_eq!(
            folder.metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
        for file in files(&folder) {
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
    }
}

#[test]
fn payloads_are_encrypted_and_open_only_with_their_key() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let run = run(1);
    append(&log, opened(&run));
    let secret = r#"{"text":"select * from tickets where email = 'someone@example.com'"}"#;
    let receipt = append(&log, with_payload(decided(&run, true), secret));
    let entry = log.reader().record(&receipt.id()).unwrap().unwrap();
    // From the write-ahead log, from its own file, and from there after a restart.
    assert_eq!(
        log.reader().payload(&entry).unwrap().as_deref(),
        Some(secret.as_bytes())
    );
    log.checkpoint_now().unwrap();
    log.close();
    for segment in std::fs::read_dir(dir.path().join("wal")).unwrap() {
        std::fs::remove_file(segment.unwrap().path()).unwrap();
    }
    let (log, _) = open(dir.path());
    let reader = log.reader();
    assert_eq!(
        reader.payload(&entry).unwrap().as_deref(),
        Some(secret.as_bytes())
    );
    let first = reader.record(&format!("{}/1", run.id)).unwrap().unwrap();
    assert_eq!(reader.payload(&first).unwrap(), None);
    log.close();
    for file in files(dir.path()) {
        let bytes = std::fs::read(&file).unwrap();
        let clear = bytes
            .windows(19)
            .any(|window| window == b"someone@example.com");
        assert!(!clear, "{}", file.display());
    }

    let payload = dir.path().join("payloads").join(run.id.to_string());
    let mut bytes = std::fs::read(&payload).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&payload, &bytes).unwrap();
    assert!(matches!(
        reader.payload(&entry),
        Err(ReadError::PayloadAltered(_))
    ));
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&payload, &bytes).unwrap();
    assert!(reader.payload(&entry).is_ok());

    let reader = Reader::open(dir.path()).unwrap();
    let master = dir.path().join("keys/payload.key");
    let right = std::fs::read(&master).unwrap();
    std::fs::write(&master, [9; 32]).unwrap();
    assert!(matches!(
        reader.payload(&entry),
        Err(ReadError::PayloadAltered(_))
    ));
    std::fs::write(&master, right).unwrap();

    std::fs::remove_file(&payload).unwrap();
    assert!(matches!(
        reader.payload(&entry),
        Err(ReadError::PayloadMissing(_))
    ));
    std::fs::remove_file(dir.path().join("payloads").join(format!("{}.key", run.id))).unwrap();
    assert!(matches!(reader.payload(&entry), Err(ReadError::Erased(_))));
    // No proof needs them.
    check(dir.path()).unwrap();
}

#[test]
fn the_master_key_can_be_kept_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let with = |key: &str| {
        let mut config = config(dir.path());
        config.payload_key = Some(key.parse().unwrap());
        Log::open(config)
    };
    let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let (log, _) = with(key).unwrap();
    let run = whole_run(&log, 1, 1);
    let entry = log
        .reader()
        .record(&format!("{}/2", run.id))
        .unwrap()
        .unwrap();
    assert!(log.reader().payload(&entry).unwrap().is_some());
    log.close();
    assert!(!dir.path().join("keys/payload.key").exists());
    let alone = Reader::open(dir.path()).unwrap();
    assert!(matches!(alone.payload(&entry), Err(ReadError::Sealed(_))));
    // The same key, in its other form.
    let base64 = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";
    let reader = alone.with_payload_key(Some(base64.parse().unwrap()));
    assert!(reader.payload(&entry).unwrap().is_some());
    let (log, _) = with(base64).unwrap();
    log.close();

    let other = key.replace("00", "01");
    let refused = with(&other).err().unwrap().to_string();
    assert!(refused.contains("another one"), "{refused}");
    let refused = Log::open(config(dir.path())).err().unwrap().to_string();
    assert!(refused.contains("payload.key"), "{refused}");
    // A key that was in the folder moves out.
    let moved = tempfile::tempdir().unwrap();
    let (log, _) = open(moved.path());
    log.close();
    let here = moved.path().join("keys/payload.key");
    let bytes = std::fs::read(&here).unwrap();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut settings = config(moved.path());
    settings.payload_key = Some(hex.parse().unwrap());
    Log::open(settings.clone()).unwrap().0.close();
    assert!(!here.exists());
    Log::open(settings).unwrap().0.close();

    std::fs::write(dir.path().join("keys/payload.key"), [7; 32]).unwrap();
    let refused = with(key).err().unwrap().to_string();
    assert!(
        refused.contains("`payload_key` names another key"),
        "{refused}"
    );
    for not in ["", "abc", "zz", &key[2..]] {
        assert!(not.parse::<bailiwick_audit::PayloadSecret>().is_err());
    }
}

#[test]
fn a_payload_that_is_too_long_is_refused_and_leaves_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let run = run(1);
    append(&log, opened(&run));
    let long = "x".repeat(4 * 1024 * 1024 + 1);
    let refused = log.append(with_payload(decided(&run, true), &long)).wait();
    assert!(matches!(refused, Err(AppendError::PayloadTooLong { .. })));
    let longest = "x".repeat(4 * 1024 * 1024);
    for seq in 2..8 {
        assert_eq!(
            append(&log, with_payload(decided(&run, true), &longest)).seq(),
            seq
        );
    }
    log.close();
    assert_eq!(check(dir.path()).unwrap().records, 7);
    let (log, _) = open(dir.path());
    let last = log
        .reader()
        .record(&format!("{}/7", run.id))
        .unwrap()
        .unwrap();
    assert_eq!(
        log.reader().payload(&last).unwrap().unwrap().len(),
        longest.len()
    );
}

#[test]
fn many_tasks_append_at_once_and_every_chain_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    let shared = run(1000);
    append(&log, opened(&shared));
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for n in 0..64 {
            let (log, shared) = (log.clone(), shared.clone());
            tasks.push(tokio::spawn(async move {
                let own = run(n);
                log.append(opened(&own)).await.unwrap();
                for _ in 0..40 {
                    let decision = log.append(decided(&own, true));
                    let seq = decision.seq();
                    let receipt = decision.await.unwrap();
                    assert_eq!(receipt.seq(), seq);
                    log.append(finished(&own, seq)).await.unwrap();
                    log.append(with_payload(decided(&shared, false), "{}"))
                        .await
                        .unwrap();
                }
                log.append(closed(&own)).await.unwrap();
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    let total = 1 + 64 * (2 + 40 * 3);
    // While it runs, a verifier sees a whole log, perhaps not all of it covered.
    let report = check(dir.path()).unwrap();
    assert_eq!(report.records + report.tail, total);
    log.close();
    let report = check_run(dir.path(), Some(shared.id)).unwrap();
    assert_eq!((report.records, report.tail), (total, 0));
    assert_eq!((report.runs_open, report.runs_closed), (1, 64));
    assert_eq!(report.without_outcome, 0);
    assert_eq!(report.run.unwrap().records, 1 + 64 * 40);
}

#[test]
fn verifies_and_reads_while_it_is_being_written() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let writing = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        for n in 0..2 {
            let (log, writing) = (&log, &writing);
            scope.spawn(move || {
                let mut run_number = n * 1_000_000;
                while writing.load(std::sync::atomic::Ordering::Relaxed) {
                    whole_run(log, run_number, 20);
                    run_number += 1;
                }
            });
        }
        let mut before = 0;
        let since = std::time::Instant::now();
        while since.elapsed() < std::time::Duration::from_secs(4) {
            let report = check(dir.path()).unwrap();
            assert!(report.records >= before);
            before = report.records;
            log.reader().newest(5).unwrap();
        }
        writing.store(false, std::sync::atomic::Ordering::Relaxed);
        assert!(before > 300, "{before}");
    });
    log.close();
    check(dir.path()).unwrap();
}

#[test]
fn checkpoints_come_by_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    assert_eq!(check(dir.path()).unwrap().records, 0);
    append(&log, started());
    let since = std::time::Instant::now();
    while check(dir.path()).unwrap().records == 0 {
        assert!(since.elapsed() < std::time::Duration::from_secs(5));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn records_are_one_canonical_json_object_each() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    let run = whole_run(&log, 1, 1);
    let trail = log.reader().run(&run.id).unwrap();
    let decided: Value = serde_json::from_slice(&trail[1].bytes).unwrap();
    assert_eq!(decided["v"], 1);
    assert_eq!(decided["type"], "call.decided");
    assert_eq!(decided["launcher"], "human:alice@acme.com");
    assert_eq!(decided["task"], "triage-tickets");
    assert_eq!(decided["call"]["actions"][0]["resource"]["name"], "tickets");
    assert_eq!(
        trail[1].record.call.as_ref().unwrap().actions[0].to_string(),
        "select public.tickets (id, subject)"
    );
    assert_eq!(trail[0].record.prev, "0".repeat(64));
    let gateway = Draft {
        event: Event::GatewayStopped,
        subject: Subject::Gateway,
        payload: None,
    };
    append(&log, gateway);
    assert_eq!(log.reader().gateway().unwrap()[0].record.run, "gateway");
}
