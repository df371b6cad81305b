//! Exchanges that go on for long, and all the ways in which they end.

use std::time::{Duration, Instant};

use bailiwick_run::{Cut, Ending};
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::house::{House, There, rest, said, until, whole};
use crate::Phase;

/// A target by hand: each connection, once the head of a request has come on it.
async fn by_hand() -> (u16, mpsc::Receiver<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let sender = sender.clone();
            tokio::spawn(async move {
                until(&mut stream, "\r\n\r\n").await;
                let _ = sender.send(stream).await;
            });
        }
    });
    (port, receiver)
}

pub(super) const EVENTS: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

pub(super) fn event(text: &str) -> String {
    let event = format!("data: {text}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len())
}

async fn ask(house: &House, line: &str) -> TcpStream {
    let mut stream = house.connect().await;
    let request = format!("{}\r\n", house.head(line));
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// An agent that reads events, and the target that sends them; one has gone through.
async fn streaming(
    house: &House,
    targets: &mut mpsc::Receiver<TcpStream>,
) -> (TcpStream, TcpStream) {
    let mut agent = ask(house, "GET /crm/open/events").await;
    let mut target = targets.recv().await.unwrap();
    target.write_all(EVENTS).await.unwrap();
    target.write_all(event("one").as_bytes()).await.unwrap();
    until(&mut agent, "data: one\n\n").await;
    (agent, target)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_through_as_they_happen() {
    let (port, mut targets) = by_hand().await;
    let house = House::new(port).await;
    let (mut agent, mut target) = streaming(&house, &mut targets).await;
    for text in ["two", "three"] {
        target.write_all(event(text).as_bytes()).await.unwrap();
        until(&mut agent, &format!("data: {text}\n\n")).await;
    }
    target.write_all(b"0\r\n\r\n").await.unwrap();
    until(&mut agent, "0\r\n\r\n").await;
    let records = house.recorded(3).await;
    assert!(records.contains("\"ok\""), "{records}");
    // The connection to the target is used again.
    let asked = format!("{}\r\n", house.head("GET /crm/open/events"));
    agent.write_all(asked.as_bytes()).await.unwrap();
    until(&mut target, "\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_suspended_is_cut_and_only_its_own_secret_is_told_why() {
    let (port, mut targets) = by_hand().await;
    let house = House::new(port).await;
    let (mut agent, mut target) = streaming(&house, &mut targets).await;
    let before = Instant::now();
    house.ended.send_replace(Some(Cut::Suspended));
    let (more, _) = rest(&mut agent).await;
    assert!(
        !more.ends_with("0\r\n\r\n"),
        "a cut stream looks whole: {more:?}"
    );
    let (_, _) = rest(&mut target).await;
    assert!(before.elapsed() < Duration::from_secs(10));
    let mut again = ask(&house, "GET /crm/open/events").await;
    let said = until(&mut again, "this run is suspended").await;
    assert!(said.starts_with("HTTP/1.1 403"), "{said}");
    assert!(said.contains("urn:bailiwick:problem:suspended"), "{said}");
    let records = house.recorded(4).await;
    assert!(
        records.contains("login.denied") && records.contains("this run is suspended"),
        "{records}"
    );
    let mut stranger = TcpStream::connect(("127.0.0.1", house.port)).await.unwrap();
    let head =
        "GET /crm/open/events HTTP/1.1\r\nhost: g\r\nauthorization: Bearer bwk_wrong\r\n\r\n";
    stranger.write_all(head.as_bytes()).await.unwrap();
    let said = until(&mut stranger, "\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 401"), "{said}");
    assert!(targets.try_recv().is_err(), "it reached the target");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_takes_its_streams_with_it() {
    let (port, mut targets) = by_hand().await;
    let house = House::new(port).await;
    let (mut agent, mut target) = streaming(&house, &mut targets).await;
    let waiting = ask(&house, "GET /crm/open/waiting");
    let mut waiting = waiting.await;
    let mut asked = targets.recv().await.unwrap();
    let before = Instant::now();
    house.ended.send_replace(Some(Cut::Ended(Ending::Revoked)));
    let (more, _) = rest(&mut agent).await;
    assert!(
        !more.ends_with("0\r\n\r\n"),
        "a cut stream looks whole: {more:?}"
    );
    let (said, _) = timeout(Duration::from_secs(1), until(&mut waiting, "revoked"))
        .await
        .map(|said| (said, true))
        .unwrap();
    assert!(
        said.starts_with("HTTP/1.1 403") || said.starts_with("HTTP/1.1 401"),
        "{said}"
    );
    // And the target is left alone.
    for target in [&mut target, &mut asked] {
        let (_, _) = rest(target).await;
    }
    assert!(before.elapsed() < Duration::from_secs(10));
    let records = house.recorded(5).await;
    assert_eq!(records.matches("\"cut\"").count(), 2, "{records}");
    assert_eq!(house.tally.sessions(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_goes_away_takes_its_request_with_it() {
    let (port, mut targets) = by_hand().await;
    let house = House::new(port).await;
    let (agent, mut target) = streaming(&house, &mut targets).await;
    drop(agent);
    rest(&mut target).await;
    let agent = ask(&house, "GET /crm/open/slow").await;
    let mut target = targets.recv().await.unwrap();
    drop(agent);
    rest(&mut target).await;
    // Who has left a stream of events has had what there was.
    let records = house.recorded(5).await;
    assert_eq!(records.matches("\"state\": \"ok\"").count(), 1, "{records}");
    assert_eq!(records.matches("\"cut\"").count(), 1, "{records}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_goes_away_in_the_middle_is_seen_to() {
    let (port, mut targets) = by_hand().await;
    let house = House::new(port).await;
    let (mut agent, target) = streaming(&house, &mut targets).await;
    drop(target);
    let (more, _) = rest(&mut agent).await;
    assert!(!more.ends_with("0\r\n\r\n"), "{more:?}");
    // Content that is shorter than it was said to be.
    let mut agent = ask(&house, "GET /crm/open/short").await;
    let mut target = targets.recv().await.unwrap();
    let short =
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\ncontent-type: text/plain\r\n\r\nonly this";
    target.write_all(short).await.unwrap();
    drop(target);
    let said = until(&mut agent, "\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 502"), "{said}");
    // Something that is not HTTP.
    let mut agent = ask(&house, "GET /crm/open/other").await;
    let mut target = targets.recv().await.unwrap();
    target.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
    let said = until(&mut agent, "\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 502"), "{said}");
    let records = house.recorded(7).await;
    assert_eq!(records.matches("\"cut\"").count(), 3, "{records}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_cannot_be_reached_got_nothing() {
    let house = House::new(1).await;
    let answer = house.ask("GET /gone/any").await;
    assert!(
        answer.starts_with("HTTP/1.1 502") || answer.starts_with("HTTP/1.1 503"),
        "{answer}"
    );
    assert!(!answer.contains("127.0.0.1"), "{answer}");
    let records = house.recorded(3).await;
    assert!(
        records.contains("\"skipped\"") && records.contains("127.0.0.1:1"),
        "{records}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_ever_sent_twice() {
    let (port, mut targets) = by_hand().await;
    let house = House::new(port).await;
    let mut agent = ask(&house, "GET /crm/open/a").await;
    let mut target = targets.recv().await.unwrap();
    target
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    until(&mut agent, "\r\n\r\n").await;
    // On the same connection, which is closed once the request is there.
    let mut agent = ask(&house, "POST /crm/open/b").await;
    until(&mut target, "\r\n\r\n").await;
    drop(target);
    let said = until(&mut agent, "\r\n\r\n").await;
    assert!(said.starts_with("HTTP/1.1 502"), "{said}");
    let again = timeout(Duration::from_millis(300), targets.recv()).await;
    assert!(again.is_err(), "it was sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_does_not_read_holds_its_target_up() {
    let (port, mut targets) = by_hand().await;
    let house = House::new(port).await;
    let (mut agent, mut target) = streaming(&house, &mut targets).await;
    let piece = event(&"x".repeat(32 * 1024));
    let mut sent = 0;
    while let Ok(written) =
        timeout(Duration::from_millis(500), target.write(piece.as_bytes())).await
    {
        sent += written.unwrap();
        assert!(sent < 64 << 20, "nothing holds it up");
        // Pieces are written whole, or the chunks would not fit together.
        let left = piece.len() - sent % piece.len();
        if left < piece.len() {
            let tail = &piece.as_bytes()[piece.len() - left..];
            match timeout(Duration::from_millis(500), target.write_all(tail)).await {
                Ok(written) => written.unwrap(),
                Err(_) => break,
            }
            sent += left;
        }
    }
    // It is ended all the same.
    house.ended.send_replace(Some(Cut::Ended(Ending::Expired)));
    let records = house.recorded(3).await;
    assert!(records.contains("\"cut\""), "{records}");
    rest(&mut target).await;
    let mut more = vec![0; 1 << 16];
    while agent.read(&mut more).await.is_ok_and(|read| read > 0) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn large_content_goes_both_ways() {
    let there = There::new(|_| Response::new(said(&"y".repeat(8 << 20)))).await;
    let house = House::new(there.port).await;
    let content = "x".repeat(700 * 1024);
    let head = house.head("POST /crm/open/large");
    let request = format!(
        "{head}connection: close\r\ncontent-length: {}\r\n\r\n{content}",
        content.len()
    );
    let mut agent = house.connect().await;
    let (mut from, mut to) = agent.split();
    let mut answer = Vec::new();
    let (sent, read) = tokio::join!(
        to.write_all(request.as_bytes()),
        from.read_to_end(&mut answer)
    );
    sent.unwrap();
    read.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let begins: String = answer.chars().take(500).collect();
    assert!(begins.starts_with("HTTP/1.1 200"), "{begins}");
    let came = whole(&answer).map(|content| content.matches('y').count());
    assert_eq!(came, Some(8 << 20), "{begins}");
    assert_eq!(there.got.lock().unwrap()[0].1.len(), content.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stops_lets_go_of_everybody() {
    let (port, mut targets) = by_hand().await;
    let house = House::new(port).await;
    let (mut agent, _target) = streaming(&house, &mut targets).await;
    let mut idle = house.connect().await;
    house
        .ended
        .send_replace(Some(Cut::Ended(Ending::GatewayStopped)));
    house.stop.send_replace(Phase::Over);
    rest(&mut agent).await;
    rest(&mut idle).await;
    timeout(Duration::from_secs(2), house.served)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stops_says_so_and_lets_what_runs_come_to_its_end() {
    let (port, mut targets) = by_hand().await;
    let house = House::new(port).await;
    // One whose answer comes in time, one whose answer does not, and one that asks nothing.
    let mut first = ask(&house, "GET /crm/open/first").await;
    let mut asked = targets.recv().await.unwrap();
    let mut second = ask(&house, "GET /crm/open/second").await;
    let _asked = targets.recv().await.unwrap();
    let mut idle = house.connect().await;
    house.stop.send_replace(Phase::Stopping);
    rest(&mut idle).await;
    assert!(TcpStream::connect(("127.0.0.1", house.port)).await.is_err());
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok";
    asked.write_all(answer.as_bytes()).await.unwrap();
    let (said, _) = rest(&mut first).await;
    assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    assert!(said.to_lowercase().contains("connection: close"), "{said}");
    house
        .ended
        .send_replace(Some(Cut::Ended(Ending::GatewayStopped)));
    house.stop.send_replace(Phase::Over);
    let (said, _) = rest(&mut second).await;
    assert!(said.starts_with("HTTP/1.1 503"), "{said}");
    assert!(said.contains("the gateway is stopping"), "{said}");
    assert!(said.to_lowercase().contains("connection: close"), "{said}");
    let served = timeout(Duration::from_secs(2), house.served).await;
    served.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn content_without_an_end_is_not_held_for_ever() {
    let there = There::new(|_| Response::new(said("never"))).await;
    let house = House::new(there.port).await;
    let mut agent = house.connect().await;
    // It is looked into, so it is held until it is there whole.
    let head = house.head("POST /crm/open/endless");
    let head = head.replace("text/plain", "application/json");
    let head = format!("{head}transfer-encoding: chunked\r\n\r\n");
    agent.write_all(head.as_bytes()).await.unwrap();
    let (mut from, mut to) = agent.split();
    let endless = async {
        let chunk = format!("10000\r\n{}\r\n", "[".repeat(0x10000));
        let mut sent = 0;
        while to.write_all(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
            assert!(sent < 256 << 20, "all of it is taken in");
        }
    };
    let mut answer = Vec::new();
    let (_, ended) = tokio::join!(
        endless,
        timeout(Duration::from_secs(10), from.read_to_end(&mut answer))
    );
    let _ = ended.expect("the connection stays open");
    assert_eq!(there.count(), 0);
    assert_eq!(house.tally.allowed(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_has_only_so_many_exchanges_at_once() {
    let there = There::new(|_| Response::new(said("ok"))).await;
    let house = House::new(there.port).await;
    let max = crate::limits::EXCHANGES_PER_RUN_MAX;
    while house.tally.open_session(max) {}
    let answer = house.ask("GET /crm/open/a").await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert!(answer.contains("256 sessions open"), "{answer}");
    house.tally.close_session();
    let answer = house.ask("GET /crm/open/a").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(there.count(), 1);
}
