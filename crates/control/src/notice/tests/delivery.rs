//! What becomes of a notice that a sink does not take.

use std::time::Instant;

use prometheus_client::registry::Registry as Metrics;

use super::super::testing::{Receiver, plain};
use super::*;
use crate::testing::{House, Running};

/// Attempts have pauses between them.
const LONG: Duration = Duration::from_secs(60);

async fn soon(what: &str, is: impl Fn() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < LONG, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn start(sinks: Vec<Sink>) -> (House, Running) {
    let mut house = House::new();
    house.notices.sinks = sinks;
    let running = house.start().await;
    (house, running)
}

async fn put(running: &Running, names: &[&str], sinks: &[&str]) {
    for name in names {
        let mut notice = Notice::new(
            (*name).to_owned(),
            NoticeKind::SignalRaised,
            crate::clock::now(),
            "a call was denied".into(),
        );
        notice.record = Some(format!("record-of-{name}"));
        let sinks = sinks.iter().map(|&sink| sink.to_owned()).collect();
        running.registry.notices().put(notice, sinks).await.unwrap();
    }
}

fn ids(receiver: &Receiver) -> Vec<String> {
    let got = receiver.got.lock().unwrap();
    let ids = got.iter().map(|got| got.field("webhook-id").to_owned());
    ids.collect()
}

/// What is on record of notices that were not delivered: the sink, what became of them, and of what they told.
fn recorded(running: &Running) -> Vec<(String, String, String)> {
    let entries = running.log.reader().newest(1000).unwrap();
    let signals = entries.into_iter().filter_map(|entry| entry.record.signal);
    signals
        .map(|signal| (signal.name, signal.rule, signal.of))
        .collect()
}

fn refused(sink: &str, name: &str) -> (String, String, String) {
    let of = format!("record-of-{name}");
    (format!("notify:{sink}"), "refused".into(), of)
}

/// One that takes everything but what has this id.
fn all_but(id: &'static str, status: u16) -> Receiver {
    Receiver::answering(move |got| match got.field("webhook-id") == id {
        true => status,
        false => 204,
    })
}

async fn measured(running: &Running) -> String {
    let notices = running.registry.notices();
    notices.look().await;
    let mut metrics = Metrics::with_prefix("bailiwick");
    notices.register(&mut metrics);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &metrics).unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sink_refuses_is_kept_on_record_and_holds_up_nothing() {
    let hook = all_but("second", 422);
    let (house, running) = start(vec![hook.sink("hook")]).await;
    put(&running, &["first", "second", "third"], &["hook"]).await;
    soon("all are told", || hook.count() == 3).await;
    assert_eq!(ids(&hook), ["first", "second", "third"]);
    soon("it is on record", || !recorded(&running).is_empty()).await;
    assert_eq!(recorded(&running), [refused("hook", "second")]);
    let start = Instant::now();
    let measured = loop {
        // The last one is taken out of the queue after it was told.
        let measured = measured(&running).await;
        if measured.contains("bailiwick_notices_waiting{sink=\"hook\"} 0.0") {
            break measured;
        }
        assert!(start.elapsed() < LONG, "{measured}");
    };
    for line in [
        "bailiwick_notice_attempts_total{sink=\"hook\",result=\"delivered\"} 2",
        "bailiwick_notice_attempts_total{sink=\"hook\",result=\"failed\"} 0",
        "bailiwick_notice_attempts_total{sink=\"hook\",result=\"refused\"} 1",
        "bailiwick_notices_dropped_total{sink=\"hook\"} 0",
        "bailiwick_notices_refused{sink=\"hook\"} 1.0",
        "bailiwick_notice_oldest_age_seconds{sink=\"hook\"} 0.0",
    ] {
        assert!(measured.contains(line), "{line} in {measured}");
    }
    // It is not offered again before the next start, and then once.
    put(&running, &["fourth"], &["hook"]).await;
    soon("the next is told", || hook.count() == 4).await;
    running.crash();
    let running = house.start().await;
    soon("it is offered again", || hook.count() == 5).await;
    assert_eq!(ids(&hook)[3..], ["fourth", "second"]);
    soon("it is refused again", || recorded(&running).len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_never_taken_does_not_hold_up_the_rest() {
    // One answers to it as servers do that fall over it, the other not at all.
    let (falls, hangs) = (all_but("poison", 500), all_but("poison", 0));
    let (_house, running) = start(vec![falls.sink("falls"), hangs.sink("hangs")]).await;
    put(&running, &["poison", "a", "b", "c"], &["falls", "hangs"]).await;
    let told = |receiver: &Receiver, id: &str| ids(receiver).iter().any(|told| told == id);
    for receiver in [&falls, &hangs] {
        soon("the rest is told", || told(receiver, "c")).await;
        // The ones behind it are told in their order, and each once.
        let rest: Vec<_> = ids(receiver)
            .into_iter()
            .filter(|id| id != "poison")
            .collect();
        assert_eq!(rest, ["a", "b", "c"]);
    }
    soon("both are on record", || recorded(&running).len() == 2).await;
    let mut recorded = recorded(&running);
    recorded.sort();
    assert_eq!(
        recorded,
        [refused("falls", "poison"), refused("hangs", "poison")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_down_loses_nothing_however_long() {
    let hook = Receiver::new(503);
    let (_house, running) = start(vec![hook.sink("hook")]).await;
    put(&running, &["a", "b", "c"], &["hook"]).await;
    let others = || ids(&hook).into_iter().filter(|id| id != "a").count();
    soon("another is tried as well", || others() > 0).await;
    let waiting = measured(&running).await;
    assert!(
        waiting.contains("notices_waiting{sink=\"hook\"} 3.0"),
        "{waiting}"
    );
    assert!(
        !waiting.contains("age_seconds{sink=\"hook\"} 0.0\n"),
        "{waiting}"
    );
    hook.status.store(200, std::sync::atomic::Ordering::SeqCst);
    let start = Instant::now();
    while !measured(&running).await.contains("delivered\"} 3\n") {
        assert!(start.elapsed() < LONG, "not all are told: {:?}", ids(&hook));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let told: std::collections::BTreeSet<_> = ids(&hook).into_iter().collect();
    assert_eq!(told.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(recorded(&running), []);
}

/// What cannot be stored is told all the same, and what is refused of it is on record as well.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_told_from_memory() {
    let hook = all_but("poison", 410);
    let (house, running) = start(vec![hook.sink("hook")]).await;
    let other = rusqlite::Connection::open(house.data().join("state.sqlite")).unwrap();
    other
        .execute_batch("ALTER TABLE notice RENAME TO gone")
        .unwrap();
    let notices = running.registry.notices();
    for name in ["poison", "a"] {
        let time = crate::clock::now();
        let notice = Notice::new(name.into(), NoticeKind::CallHeld, time, "t".into());
        assert!(notices.put(notice, vec!["hook".into()]).await.is_err());
    }
    soon("both are told", || hook.count() == 2).await;
    soon("it is on record", || recorded(&running).len() == 1).await;
    assert_eq!(recorded(&running)[0].2, "poison");
    // Nobody can say how many wait there, so nothing is said.
    assert!(!measured(&running).await.contains("notices_waiting{"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_rejects_the_record_has_refused_it() {
    for (answer, said) in [
        ("{}", true),
        ("", true),
        ("not JSON", true),
        (r#"{"partialSuccess":{"errorMessage":"consider"}}"#, true),
        (r#"{"partialSuccess":{"rejectedLogRecords":"0"}}"#, true),
        (r#"{"partialSuccess":{"rejectedLogRecords":"1"}}"#, false),
        (r#"{"partialSuccess":{"rejectedLogRecords":1}}"#, false),
    ] {
        let taken = otlp::said(answer.as_bytes()) == super::super::deliver::Said::Taken;
        assert_eq!(taken, said, "{answer}");
    }
    // A transport that fails is not an answer.
    let sink = Sink {
        name: "gone".into(),
        way: Way::Otlp {
            url: "http://127.0.0.1:1/v1/logs".into(),
            fields: Vec::new(),
            fetch: plain(),
        },
    };
    let (_house, running) = start(vec![sink]).await;
    put(&running, &["a"], &["gone"]).await;
    let start = Instant::now();
    loop {
        let measured = measured(&running).await;
        let tried = !measured.contains("attempts_total{sink=\"gone\",result=\"failed\"} 0\n");
        if tried {
            assert!(
                measured.contains("notices_waiting{sink=\"gone\"} 1.0"),
                "{measured}"
            );
            return;
        }
        assert!(start.elapsed() < LONG, "{measured}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
