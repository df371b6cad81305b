use std::time::{Duration, Instant};

use bailiwick_run::{Confinement, Cut, Ending, Launcher, RunId, Time};
use serde_json::Value;

use super::{AttachError, EndError, EraseError, LookupError, OpenRunError, Opening, blocking};
use crate::api::{Counts, RunQuery, RunState, Which};
use crate::live::{Attach, lock};
use crate::testing::{House, LAUNCHER, mode, opening, soon};

#[tokio::test]
async fn a_run_is_opened_recorded_found_and_closed_once() {
    let house = House::new();
    let running = house.start().await;
    let registry = &running.registry;
    let opened = registry
        .open_run(Opening {
            reason: Some("because".into()),
            ..opening("triage")
        })
        .await
        .unwrap();
    let run = opened.run.id;
    assert_eq!(
        opened.kit.env["DATABASE_URL"],
        format!(
            "postgres://{run}:{}@localhost:7432/tickets",
            opened.secret.reveal()
        )
    );
    assert_eq!(opened.run.confinement, Confinement::GatewayOnly);
    assert_eq!(opened.withhold, ["TICKETS_PASSWORD"]);
    assert_eq!(
        opened.protect.hidden,
        [house.data().canonicalize().unwrap()]
    );
    assert_eq!(running.types(run), ["run.opened"]);
    assert_eq!(running.last(run).payload.unwrap()["reason"], "because");
    assert!(!running.last(run).record.get().contains("because"));

    let live = registry.find(&run).unwrap();
    assert_eq!(live.run, opened.run);
    live.tally.allow();
    live.tally.deny();
    live.tally.mask(7);

    let by = Some(LAUNCHER.to_owned());
    let summary = registry.end_by(&run, Ending::Closed, by).await.unwrap();
    let counts = Counts {
        allowed: 1,
        denied: 1,
        masked: 7,
    };
    assert_eq!(
        (summary.state, summary.ending),
        (RunState::Ended, Some(Ending::Closed))
    );
    assert_eq!(summary.counts, counts);
    assert!(registry.find(&run).is_none());
    assert_eq!(running.types(run), ["run.opened", "run.closed"]);
    // In the record itself, where it outlives the run's payloads.
    let closed: Value = serde_json::from_str(running.last(run).record.get()).unwrap();
    assert_eq!(closed["by"], LAUNCHER);
    assert!(running.last(run).payload.is_none());

    // It stays as it ended.
    assert_eq!(registry.end(&run, Ending::Revoked).await.unwrap(), summary);
    assert_eq!(running.types(run), ["run.opened", "run.closed"]);
    assert_eq!(registry.summary(&run).await.unwrap(), Some(summary));
    let nobody = RunId::new(Time::from_millis(1), [0; 10]);
    let error = registry.end(&nobody, Ending::Closed).await.unwrap_err();
    assert!(matches!(error, EndError::NoRun(_)));
    assert_eq!(mode(&house.data().join("state.sqlite")), 0o600);
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let house = House::new();
    let running = house.start().await;
    let open = async |opening| {
        running
            .registry
            .open_run(opening)
            .await
            .unwrap_err()
            .to_string()
    };

    let error = open(opening("triaeg")).await;
    assert!(error.contains("did you mean `triage`?"), "{error}");
    let error = open(Opening {
        ttl: Some(Duration::from_secs(3600)),
        ..opening("triage")
    })
    .await;
    assert!(error.contains("at most 30m"), "{error}");
    let error = open(Opening {
        reason: Some("r".repeat(1025)),
        ..opening("triage")
    })
    .await;
    assert!(error.contains("1025"), "{error}");
    assert_eq!(running.registry.open_runs(), 0);
}

#[tokio::test]
async fn a_refused_launcher_is_on_the_record() {
    let house = House::new();
    let running = house.start().await;
    let refused = Opening {
        launcher: "human:mallory@elsewhere".parse().unwrap(),
        ..opening("triage")
    };
    let error = running.registry.open_run(refused).await.unwrap_err();
    assert!(matches!(error, OpenRunError::Denied(_)), "{error}");
    let reader = running.log.reader();
    let gateway = reader.gateway().unwrap();
    let opened = &mut reader.payloads().unwrap();
    let (record, _) = crate::trail::show(
        opened,
        gateway.last().unwrap(),
        &crate::trail::Payloads::All,
    )
    .unwrap();
    for part in ["human:mallory@elsewhere", "triage"] {
        assert!(record.record.get().contains(part), "{record:?}");
    }
    assert_eq!(record.payload.unwrap()["task"], "triage");
}

#[tokio::test]
async fn a_time_box_ends_within_a_second_of_its_end() {
    let house = House::new();
    let running = house.start().await;
    let begun = Instant::now();
    let opened = running.registry.open_run(Opening {
        ttl: Some(Duration::from_millis(600)),
        ..opening("triage")
    });
    let run = opened.await.unwrap().run.id;
    let mut ended = running.registry.find(&run).unwrap().ended;
    let ending = *ended.wait_for(Option::is_some).await.unwrap();
    let took = begun.elapsed();
    assert_eq!(ending, Some(Cut::Ended(Ending::Expired)));
    assert!(
        took >= Duration::from_millis(600) && took < Duration::from_millis(1600),
        "{took:?}"
    );
    let summary = running.registry.end(&run, Ending::Closed).await.unwrap();
    assert_eq!(summary.ending, Some(Ending::Expired));
    let closed: Value = serde_json::from_str(running.last(run).record.get()).unwrap();
    assert_eq!(closed["ending"], "expired");
}

#[tokio::test]
async fn a_clock_that_is_set_gives_no_run_more_time() {
    let house = House::new();
    let running = house.start().await;
    let opened = running.registry.open_run(Opening {
        ttl: Some(Duration::from_secs(1)),
        ..opening("triage")
    });
    let run = opened.await.unwrap().run;
    let slot = running.registry.slot(&run.id).unwrap();
    let (long_ago, far_off) = (
        Time::from_millis(0),
        run.time_box.expires.after(Duration::from_secs(9)),
    );
    assert_eq!(slot.is_due(long_ago), None);
    assert_eq!(slot.is_due(far_off), Some(Ending::Expired));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(slot.is_due(long_ago), Some(Ending::Expired));
}

#[tokio::test]
async fn a_revoked_run_is_cut_at_once_and_closed_after_its_last_outcome() {
    let house = House::new();
    let running = house.start().await;
    let opened = running.registry.open_run(opening("triage")).await.unwrap();
    let run = opened.run.id;
    let mut live = running.registry.find(&run).unwrap();
    assert!(live.tally.open_session(1));
    let call = running.decide(&opened.run).await;

    let session = async {
        let ending = *live.ended.wait_for(Option::is_some).await.unwrap();
        assert_eq!(ending, Some(Cut::Ended(Ending::Revoked)));
        assert!(running.registry.find(&run).is_none());
        let summary = running.registry.summary(&run).await.unwrap().unwrap();
        assert_eq!((summary.state, summary.sessions), (RunState::Ending, 1));
        tokio::time::sleep(Duration::from_millis(100)).await;
        running.finish(&opened.run, call).await;
        live.tally.close_session();
    };
    let (summary, ()) = tokio::join!(running.registry.end(&run, Ending::Revoked), session);
    assert_eq!(summary.unwrap().ending, Some(Ending::Revoked));
    assert_eq!(
        running.types(run),
        ["run.opened", "call.decided", "call.finished", "run.closed"]
    );
}

#[tokio::test]
async fn a_session_that_does_not_end_leaves_an_indeterminate_outcome() {
    let house = House::new();
    let running = house.start().await;
    let opened = running.registry.open_run(opening("triage")).await.unwrap();
    let run = opened.run.id;
    assert!(running.registry.find(&run).unwrap().tally.open_session(1));
    running.decide(&opened.run).await;
    let begun = Instant::now();
    running.registry.end(&run, Ending::Closed).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20));
    let types = running.types(run);
    assert_eq!(
        types,
        ["run.opened", "call.decided", "call.finished", "run.closed"]
    );
    let finished = running
        .log
        .reader()
        .record(&format!("{run}/3"))
        .unwrap()
        .unwrap();
    assert_eq!(finished.record.outcome.unwrap().state, "indeterminate");
}

#[tokio::test]
async fn a_stop_ends_every_run_and_opens_no_more() {
    let house = House::new();
    let running = house.start().await;
    let one = running
        .registry
        .open_run(opening("triage"))
        .await
        .unwrap()
        .run
        .id;
    let two = running
        .registry
        .open_run(opening("sweep"))
        .await
        .unwrap()
        .run
        .id;
    running.registry.stop().await;
    for run in [one, two] {
        let summary = running.registry.summary(&run).await.unwrap().unwrap();
        assert_eq!(summary.ending, Some(Ending::GatewayStopped));
        assert_eq!(summary.state, RunState::Ended);
    }
    let error = running
        .registry
        .open_run(opening("triage"))
        .await
        .unwrap_err();
    assert!(matches!(error, OpenRunError::Stopping));
}

#[tokio::test]
async fn a_start_closes_what_the_last_gateway_left_open() {
    let house = House::new();
    let running = house.start().await;
    let open = async |task| running.registry.open_run(opening(task)).await.unwrap().run;
    let (left, lost, revoked) = (
        open("triage").await,
        open("sweep").await,
        open("sweep").await,
    );
    let call = running.decide(&left).await;
    running.finish(&left, call).await;
    running.decide(&left).await;
    running.crash();
    // One run the registry does not know, one had ended without its closing record.
    let database = rusqlite::Connection::open(house.data().join("state.sqlite")).unwrap();
    database
        .execute("DELETE FROM run WHERE id = ?1", [lost.id.to_string()])
        .unwrap();
    database
        .execute(
            "UPDATE run SET ending = 'revoked', ended = 1700000000000, ended_by = 'human:eve@acme.com'
             WHERE id = ?1",
            [revoked.id.to_string()],
        )
        .unwrap();
    drop(database);

    let running = house.start().await;
    assert_eq!(
        running.types(left.id),
        [
            "run.opened",
            "call.decided",
            "call.finished",
            "call.decided",
            "call.finished",
            "run.closed"
        ]
    );
    let summary = async |id| running.registry.summary(id).await.unwrap().unwrap();
    let of_left = summary(&left.id).await;
    assert_eq!(of_left.ending, Some(Ending::GatewayStopped));
    assert_eq!((of_left.counts.allowed, of_left.counts.masked), (2, 2));
    let of_lost = summary(&lost.id).await;
    assert_eq!(
        (of_lost.task.as_str(), of_lost.state),
        ("sweep", RunState::Ended)
    );
    assert_eq!(
        (of_lost.launcher, of_lost.expires),
        (lost.launcher, lost.time_box.expires)
    );
    assert_eq!(summary(&revoked.id).await.ending, Some(Ending::Revoked));
    let closed: Value = serde_json::from_str(running.last(revoked.id).record.get()).unwrap();
    assert_eq!(closed["ending"], "revoked");
    assert_eq!(closed["by"], "human:eve@acme.com");

    // And once only.
    running.crash();
    let running = house.start().await;
    assert_eq!(running.types(left.id).len(), 6);
    let listed = async |state| {
        let query = RunQuery {
            state,
            ..RunQuery::default()
        };
        running.registry.runs(query).await.unwrap().runs.len()
    };
    assert_eq!(listed(Which::Open).await, 0);
    assert_eq!(listed(Which::Ended).await, 3);
}

#[tokio::test]
async fn the_registry_follows_the_record_where_they_differ() {
    let house = House::new();
    let running = house.start().await;
    let run = running
        .registry
        .open_run(opening("triage"))
        .await
        .unwrap()
        .run;
    running
        .registry
        .end(&run.id, Ending::Revoked)
        .await
        .unwrap();
    running.crash();
    let database = rusqlite::Connection::open(house.data().join("state.sqlite")).unwrap();
    database
        .execute("UPDATE run SET ending = NULL, ended = NULL, closed = 0", [])
        .unwrap();
    drop(database);
    let running = house.start().await;
    let summary = running.registry.summary(&run.id).await.unwrap().unwrap();
    assert_eq!(
        (summary.state, summary.ending),
        (RunState::Ended, Some(Ending::Revoked))
    );
    assert_eq!(running.types(run.id).len(), 2);
}

#[tokio::test]
async fn a_run_that_wants_a_launcher_attached_ends_without_one() {
    let house = House::new();
    let running = house.start().await;
    let registry = &running.registry;
    let attach = Opening {
        attach: true,
        ..opening("triage")
    };
    let left = registry.open_run(attach.clone()).await.unwrap().run.id;
    // As if its launcher had been away for long enough.
    *lock(&registry.slot(&left).unwrap().attach) = Attach::Awaited(Instant::now());
    soon("nobody came", || registry.open_runs() == 0).await;

    let held = registry.open_run(attach).await.unwrap().run.id;
    let launcher = opening("sweep").launcher;
    let other = "human:mallory@localhost".parse().unwrap();
    assert!(matches!(
        registry.attach(&held, &other),
        Err(AttachError::NotTheirs(..))
    ));
    let attachment = registry.attach(&held, &launcher).unwrap();
    assert!(matches!(
        registry.attach(&held, &launcher),
        Err(AttachError::Taken(_))
    ));
    assert!(registry.find(&held).is_some());
    drop(attachment);
    assert!(registry.find(&held).is_none());
    soon("its launcher went", || registry.open_runs() == 0).await;
    for run in [left, held] {
        let summary = registry.summary(&run).await.unwrap().unwrap();
        assert_eq!(summary.ending, Some(Ending::Closed));
    }
    assert!(matches!(
        registry.attach(&held, &launcher),
        Err(AttachError::NotOpen(_))
    ));
    let free = registry.open_run(opening("triage")).await.unwrap().run.id;
    assert!(matches!(
        registry.attach(&free, &launcher),
        Err(AttachError::NotWanted(_))
    ));
}

#[tokio::test]
async fn what_is_not_listed_any_more_is_found_in_the_record_and_can_be_erased() {
    let house = House::new();
    let running = house.start().await;
    let opened = running.registry.open_run(opening("triage")).await.unwrap();
    let run = opened.run.id;
    let by: Launcher = LAUNCHER.parse().unwrap();
    let ended = running
        .registry
        .end_by(&run, Ending::Closed, Some(LAUNCHER.to_owned()));
    ended.await.unwrap();
    running
        .registry
        .0
        .store
        .forget(Time::from_millis(u64::MAX >> 1))
        .await
        .unwrap();
    let found = running.registry.summary(&run).await.unwrap().unwrap();
    assert_eq!(
        (found.state, found.ending, found.task.as_str()),
        (RunState::Ended, Some(Ending::Closed), "triage")
    );
    let again = running.registry.end(&run, Ending::Revoked).await.unwrap();
    assert_eq!(again, found);
    let erased = running.registry.erase(&run, by.clone()).await.unwrap();
    assert_eq!(erased.run, run);
    let never = RunId::new(Time::from_millis(1), [7; 10]);
    let refused = running.registry.erase(&never, by).await.unwrap_err();
    assert!(matches!(refused, EraseError::NoRun(_)), "{refused}");
}

/// That it cannot be found is not that it is not there.
#[tokio::test]
async fn where_neither_the_list_nor_the_record_can_tell_nobody_says_that_there_is_no_such_run() {
    let house = House::new();
    let running = house.start().await;
    let by: Launcher = LAUNCHER.parse().unwrap();
    let (log, away) = (house.data().join("log"), house.data().join("away"));
    std::fs::rename(&log, &away).unwrap();
    let run = RunId::new(Time::from_millis(1), [7; 10]);
    let unknown = running.registry.summary(&run).await.unwrap_err();
    assert!(matches!(unknown, LookupError::Read { .. }), "{unknown}");
    let unknown = running.registry.erase(&run, by).await.unwrap_err();
    assert!(matches!(unknown, EraseError::Lookup(_)), "{unknown}");
    let unknown = running.registry.end(&run, Ending::Revoked).await;
    assert!(matches!(unknown, Err(EndError::Lookup(_))), "{unknown:?}");
    std::fs::rename(&away, &log).unwrap();
    assert_eq!(running.registry.summary(&run).await.unwrap(), None);
}

#[tokio::test]
async fn runs_of_a_log_that_was_rotated_away_stay_listed_until_it_is_pruned() {
    let house = House::new();
    let by: Launcher = LAUNCHER.parse().unwrap();
    let running = house.start().await;
    let opened = running.registry.open_run(opening("triage")).await.unwrap();
    let run = opened.run.id;
    let ended = running
        .registry
        .end_by(&run, Ending::Closed, Some(LAUNCHER.to_owned()));
    ended.await.unwrap();
    running.log.close();
    drop(running);
    let next = bailiwick_audit::Config::new(house.data(), "test.example/log/2");
    let rotated = blocking(move || bailiwick_audit::rotate(&next, None)).await;
    rotated.unwrap();
    let running = house.start_as("test.example/log/2").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let long_ago = Time::from_millis(1);
    let pruned = running.registry.prune(long_ago, by.clone()).await.unwrap();
    assert_eq!((pruned.before, pruned.runs), (0, 0));
    assert!(running.registry.summary(&run).await.unwrap().is_some());
    let now = crate::clock::now();
    let pruned = running.registry.prune(now, by).await.unwrap();
    assert_eq!((pruned.before, pruned.runs), (0, 1));
    assert!(running.registry.summary(&run).await.unwrap().is_none());
}
