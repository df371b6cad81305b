//! What is counted is what a fresh index counts, whatever was pruned or erased meanwhile.

use bailiwick_audit::{Draft, Event, Subject};
use bailiwick_run::ApprovalId;
use rusqlite::Connection;

use super::*;

/// Records of every sort that is counted, over two targets.
fn everything(folder: &Folder, run: &Run, rounds: u64) {
    folder.append(run, opened(run), None);
    for number in 0..rounds {
        let of = folder.call(run, "tickets", &format!("SELECT {number}"), true);
        folder.append(run, finished(of), None);
        if number % 3 == 0 {
            folder.call(run, "cards", "SELECT pin", false);
        }
        if number % 5 == 0 {
            folder.append(run, held(), None);
            let signal = Event::SignalRaised {
                signal: "noisy".into(),
                rule: "denials",
                of: format!("{}/2", run.id),
                actions: vec!["notify"],
            };
            folder.append(run, signal, None);
        }
    }
    let login = Event::LoginDenied {
        target: Some("billing".into()),
        reason: "it is not open".into(),
    };
    folder.append(run, login, None);
}

fn held() -> Event {
    let Event::CallDecided {
        target,
        protocol,
        verb,
        actions,
        fingerprint,
        policy_digest,
        ..
    } = decided("drafts", true)
    else {
        unreachable!("it is a decision")
    };
    Event::CallHeld {
        target,
        protocol,
        verb,
        actions,
        fingerprint,
        approval: ApprovalId::new(Time::from_millis(1), [1; 10]),
        approvers: ["group:owners".to_owned()].into(),
        expires: Time::from_millis(1_700_000_000_000),
        policy_digest,
    }
}

/// The first column of the rows.
fn numbers(path: &Path, query: &str) -> Vec<i64> {
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare(query).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn equals_a_fresh_one(folder: &Folder, path: &Path) {
    catch_up(path, folder.data());
    let (_dir, fresh) = fresh(folder.data());
    let (content, fresh) = (content(path), content(&fresh));
    for (own, other) in content.iter().zip(&fresh) {
        assert_eq!(own, other);
    }
    assert_eq!(content.len(), fresh.len());
}

#[test]
fn counts_are_those_of_the_records() {
    let folder = Folder::new();
    let path = Index::path(folder.data());
    let run = run(1, "triage");
    everything(&folder, &run, 10);
    folder.append(&run, closed(), None);
    catch_up(&path, folder.data());
    for (query, expected) in [
        // Opened and closed, ten calls with outcomes, four denials, two held, two signals, a login.
        ("SELECT records FROM chain", vec![31]),
        ("SELECT denied FROM chain", vec![5]),
        ("SELECT newest FROM chain", vec![29]),
        (
            "SELECT allowed FROM chain_target ORDER BY target",
            vec![0, 0, 10],
        ),
        (
            "SELECT denied FROM chain_target ORDER BY target",
            vec![0, 1, 4],
        ),
        (
            "SELECT held FROM chain_target ORDER BY target",
            vec![0, 0, 2],
        ),
        (
            "SELECT masked FROM chain_target ORDER BY target",
            vec![0, 0, 20],
        ),
        ("SELECT calls FROM used", vec![10]),
        (
            "SELECT sum(allowed) FROM activity GROUP BY span",
            vec![10; 3],
        ),
        ("SELECT sum(denied) FROM activity GROUP BY span", vec![5; 3]),
        ("SELECT sum(held) FROM activity GROUP BY span", vec![2; 3]),
        (
            "SELECT DISTINCT span FROM activity ORDER BY span",
            vec![1, 60, 3600],
        ),
        (
            "SELECT count(*) FROM activity WHERE start % span <> 0",
            vec![0],
        ),
    ] {
        assert_eq!(numbers(&path, query), expected, "{query}");
    }
    equals_a_fresh_one(&folder, &path);
}

#[test]
fn what_is_pruned_counts_no_more() {
    let later = Time::from_millis(4_000_000_000_000);
    // The index has all of it when it is pruned, or hears of some of it and of the pruning at once.
    for caught_up in [true, false] {
        let folder = Folder::new();
        let path = Index::path(folder.data());
        let (gone, between, kept) = (run(1, "triage"), run(2, "triage"), run(3, "sweep"));
        everything(&folder, &gone, 20);
        folder.append(&gone, closed(), None);
        let refused = Draft {
            event: Event::LoginDenied {
                target: None,
                reason: "nobody".into(),
            },
            subject: Subject::Gateway,
            payload: None,
        };
        let pending = folder.log.append(refused);
        on_a_thread(|| pending.wait()).unwrap();
        let words = Words::WithPayloads;
        let mut projection = Projection::open(&path, &folder.log.reader(), words).unwrap();
        let mut follow = || while projection.step().unwrap() == Step::On {};
        follow();
        everything(&folder, &between, 150);
        folder.append(&between, closed(), None);
        everything(&folder, &kept, 5);
        if caught_up {
            follow();
        }
        let before = folder.log.prune(later, gone.launcher.clone()).unwrap();
        assert_eq!(before, 256);
        follow();
        drop(projection);
        equals_a_fresh_one(&folder, &path);
        // One is gone, one has lost its beginning, and so has the gateway's chain.
        let runs = numbers(
            &path,
            "SELECT count(*) FROM chain WHERE run = 'gateway' OR task IS NOT NULL",
        );
        assert_eq!(runs, [3]);
        erase(&folder.log, &between);
        equals_a_fresh_one(&folder, &path);
    }
}

#[test]
fn a_newest_incident_that_is_pruned_is_followed_by_none() {
    let folder = Folder::new();
    let path = Index::path(folder.data());
    let run = run(1, "triage");
    folder.append(&run, opened(&run), None);
    folder.call(&run, "cards", "SELECT pin", false);
    for number in 0..300 {
        folder.call(&run, "tickets", &format!("SELECT {number}"), true);
    }
    folder.append(&run, closed(), None);
    catch_up(&path, folder.data());
    assert_eq!(numbers(&path, "SELECT newest FROM chain"), [1]);
    let later = Time::from_millis(4_000_000_000_000);
    folder.log.prune(later, run.launcher.clone()).unwrap();
    equals_a_fresh_one(&folder, &path);
    let none = "SELECT count(*) FROM chain WHERE newest IS NULL AND denied = 0 AND task = 'triage'";
    assert_eq!(numbers(&path, none), [1]);
}
