use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bailiwick_audit::Entry;

use super::*;
use crate::api::RunState;
use crate::notice::testing::{Receiver, plain};
use crate::notice::{NoticeSettings, Sink, Way};
use crate::testing::{House, LAUNCHER, Running, opening, person, soon};

fn rule(name: &str, when: When, does: Does) -> Rule {
    Rule {
        name: name.into(),
        when,
        after: 1,
        within: None,
        tasks: Vec::new(),
        launchers: Vec::new(),
        targets: Vec::new(),
        does,
    }
}

fn notify(sinks: &[&str]) -> Does {
    Does {
        notify: sinks.iter().map(|&sink| sink.to_owned()).collect(),
        ..Does::default()
    }
}

fn house(rules: Vec<Rule>, sinks: Vec<Sink>) -> House {
    let mut house = House::new();
    house.signals = SignalSettings {
        rules,
        witnessed: false,
    };
    house.notices = NoticeSettings {
        sinks,
        console: Some("https://console.example".into()),
    };
    house
}

/// All records of a type.
fn records(running: &Running, kind: &str) -> Vec<Entry> {
    let entries = running.log.reader().newest(1000).unwrap();
    let of_kind = entries.into_iter();
    of_kind
        .filter(|entry| entry.record.r#type == kind)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_call_suspends_its_run_within_a_second_and_people_are_told() {
    let hook = Receiver::new(204);
    let does = Does {
        suspend: true,
        ..notify(&["hook"])
    };
    let rules = vec![rule("first-denied", When::Denied, does)];
    let house = house(rules, vec![hook.sink("hook")]);
    let running = house.start().await;
    let registry = &running.registry;
    let opened = registry.open_run(opening("triage")).await.unwrap();
    let run = opened.run.id;
    running.decide(&opened.run).await;
    let live = registry.find(&run).unwrap();
    running.deny(&opened.run, "salaries").await;
    let denied = Instant::now();
    soon("it is cut", || live.ended.borrow().is_some()).await;
    assert!(denied.elapsed() < Duration::from_secs(10));
    let types = [
        "run.opened",
        "call.decided",
        "call.decided",
        "signal.raised",
        "run.suspended",
    ];
    soon("it is on record", || running.types(run) == types).await;
    assert!(registry.find(&run).is_none());
    soon("people are told", || hook.count() == 1).await;
    let got = hook.got.lock().unwrap()[0].clone();
    assert_eq!(got.field("webhook-id"), format!("first-denied_{run}_3"));
    let body: serde_json::Value = serde_json::from_str(&got.body).unwrap();
    let data = &body["data"];
    assert_eq!(data["record"], format!("{run}/3"));
    assert_eq!(data["actions"][0], "select public.salaries");
    assert_eq!(data["done"][0], "suspend");
    assert_eq!(
        data["url"],
        format!("https://console.example/records/{run}/3")
    );

    // A person has looked at it, and it does it again.
    registry.resume(&run, &person(LAUNCHER)).await.unwrap();
    running.deny(&opened.run, "salaries").await;
    soon("again", || hook.count() == 2).await;
    soon("it is suspended again", || registry.find(&run).is_none()).await;
    let summary = registry.summary(&run).await.unwrap().unwrap();
    assert_eq!(summary.state, RunState::Suspended);
    assert_eq!(records(&running, "signal.raised").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_revokes_ends_the_run_and_counts_to_its_number() {
    let does = Does {
        revoke: true,
        ..Does::default()
    };
    let mut third = rule("three", When::Denied, does);
    third.after = 3;
    let house = house(vec![third], Vec::new());
    let running = house.start().await;
    let registry = &running.registry;
    let other = registry.open_run(opening("sweep")).await.unwrap().run;
    let run = registry.open_run(opening("triage")).await.unwrap().run;
    for _ in 0..2 {
        running.deny(&run, "a").await;
        running.deny(&other, "a").await;
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(registry.open_runs(), 2);
    running.deny(&run, "a").await;
    soon("it has ended", || registry.open_runs() == 1).await;
    let summary = registry.summary(&run.id).await.unwrap().unwrap();
    assert_eq!(summary.ending, Some(bailiwick_run::Ending::Revoked));
    let types = running.types(run.id);
    assert_eq!(types[types.len() - 2..], ["signal.raised", "run.closed"]);
    let closed = records(&running, "run.closed").pop().unwrap();
    assert_eq!(closed.record.by.as_deref(), Some("signal:three"));
    assert!(registry.find(&other.id).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sink_did_not_take_it_gets_after_a_restart_and_by_the_same_name() {
    let (down, up) = (Receiver::new(503), Receiver::new(200));
    let dead = Sink {
        name: "dead".into(),
        way: Way::Slack {
            url: "http://127.0.0.1:1/x".into(),
            fetch: plain(),
        },
    };
    let rules = vec![rule("any", When::Denied, notify(&["dead", "down", "up"]))];
    let sinks = vec![dead, down.sink("down"), up.sink("up")];
    let house = house(rules, sinks);
    let running = house.start().await;
    let run = running
        .registry
        .open_run(opening("triage"))
        .await
        .unwrap()
        .run;
    running.deny(&run, "a").await;
    // One that is down holds up nobody else.
    soon("one has it", || up.count() == 1).await;
    soon("the other was asked", || down.count() >= 1).await;
    soon("it is on record", || {
        records(&running, "signal.raised").len() == 1
    })
    .await;
    running.crash();
    down.got.lock().unwrap().clear();
    down.status.store(200, Ordering::SeqCst);
    let running = house.start().await;
    soon("the other has it", || down.count() >= 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((up.count(), down.count()), (1, 1));
    let id = |receiver: &Receiver| {
        receiver.got.lock().unwrap()[0]
            .field("webhook-id")
            .to_owned()
    };
    assert_eq!(id(&up), id(&down));
    assert_eq!(records(&running, "signal.raised").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_just_before_a_crash_is_found_after_it_and_once() {
    let hook = Receiver::new(200);
    let does = Does {
        suspend: true,
        ..notify(&["hook"])
    };
    let house = house(
        vec![rule("any", When::Denied, does)],
        vec![hook.sink("hook")],
    );
    for round in 1..=4 {
        let running = house.start().await;
        let run = running
            .registry
            .open_run(opening("triage"))
            .await
            .unwrap()
            .run;
        running.deny(&run, "a").await;
        tokio::time::sleep(Duration::from_millis(40 * round)).await;
        running.crash();
    }
    let running = house.start().await;
    soon("all are told", || hook.count() >= 4).await;
    soon("all are on record", || {
        records(&running, "signal.raised").len() >= 4
    })
    .await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let raised = records(&running, "signal.raised");
    let of: std::collections::BTreeSet<_> = raised
        .iter()
        .map(|entry| entry.record.signal.as_ref().unwrap().of.clone())
        .collect();
    assert_eq!((raised.len(), of.len()), (4, 4));
    let got = hook.got.lock().unwrap();
    let ids: std::collections::BTreeSet<_> =
        got.iter().map(|got| got.field("webhook-id")).collect();
    assert_eq!(ids.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_the_first_rule_is_no_news() {
    let hook = Receiver::new(200);
    let mut house = house(Vec::new(), vec![hook.sink("hook")]);
    let running = house.start().await;
    let run = running
        .registry
        .open_run(opening("triage"))
        .await
        .unwrap()
        .run;
    running.deny(&run, "a").await;
    running.crash();
    let canary = Canary {
        target: "tickets".into(),
        resource: Glob::new("public.sal*"),
    };
    house.signals.rules = vec![
        rule("any", When::Denied, notify(&["hook"])),
        rule("canary", When::Canary(vec![canary]), notify(&["hook"])),
    ];
    let running = house.start().await;
    let run = running
        .registry
        .open_run(opening("triage"))
        .await
        .unwrap()
        .run;
    running.deny(&run, "salaries").await;
    soon("both are raised", || hook.count() == 2).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(hook.count(), 2);
    assert_eq!(records(&running, "signal.raised").len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_cut_also_where_nothing_can_be_stored() {
    let hook = Receiver::new(200);
    let does = Does {
        suspend: true,
        ..notify(&["hook"])
    };
    let house = house(
        vec![rule("any", When::Denied, does)],
        vec![hook.sink("hook")],
    );
    let running = house.start().await;
    let run = running
        .registry
        .open_run(opening("triage"))
        .await
        .unwrap()
        .run;
    let other = rusqlite::Connection::open(house.data().join("state.sqlite")).unwrap();
    other.execute_batch("DROP TABLE followed").unwrap();
    running.deny(&run, "a").await;
    let live = |registry: &Registry| registry.find(&run.id).is_some();
    soon("it is cut", || !live(&running.registry)).await;
    soon("people are told", || hook.count() == 1).await;
    let types = [
        "run.opened",
        "call.decided",
        "signal.raised",
        "run.suspended",
    ];
    soon("it is on record", || running.types(run.id) == types).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_sink_that_is_no_more_is_dropped_on_record() {
    let hook = Receiver::new(500);
    let mut house = house(
        vec![rule("any", When::Denied, notify(&["hook"]))],
        vec![hook.sink("hook")],
    );
    let running = house.start().await;
    let run = running
        .registry
        .open_run(opening("triage"))
        .await
        .unwrap()
        .run;
    running.deny(&run, "a").await;
    soon("it was tried", || hook.count() > 0).await;
    soon("it is on record", || {
        records(&running, "signal.raised").len() == 1
    })
    .await;
    running.crash();
    house.notices.sinks.clear();
    house.signals.rules.clear();
    let running = house.start().await;
    let raised = records(&running, "signal.raised");
    let dropped = raised.last().unwrap().record.signal.as_ref().unwrap();
    assert_eq!((&*dropped.name, &*dropped.rule), ("notify:hook", "dropped"));
    assert_eq!(dropped.of, format!("{}/2", run.id));
    running.crash();
    let running = house.start().await;
    assert_eq!(records(&running, "signal.raised").len(), 2);
}
