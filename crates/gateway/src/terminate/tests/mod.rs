//! Exchanges end to end: agents' sockets on one side, a real server on the other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod approvals;
mod codings;
mod framing;
mod house;
mod programs;
mod secrets;
mod several;
mod sockets;
mod streams;
mod tunnels;
mod versions;
mod windows;

use http::Response;

use house::{House, There, said};

#[tokio::test(flavor = "multi_thread")]
async fn a_permitted_request_reaches_its_target_and_its_answer_comes_back() {
    let there = There::new(|parts| {
        let mut response = Response::new(said(parts.uri.path()));
        let fields = response.headers_mut();
        fields.insert("x-kept", "yes".parse().unwrap());
        fields.insert("connection", "x-gone".parse().unwrap());
        fields.insert("x-gone", "no".parse().unwrap());
        response
    })
    .await;
    let house = House::new(there.port).await;
    let secret = house.secret.reveal();
    let head = house.head("POST /crm/open/tickets?a=b");
    let request = format!(
        "{head}cookie: a=b\r\nx-hop: 2\r\nconnection: close, x-hop\r\n\
         content-length: 5\r\n\r\nhello"
    );
    let answer = house.raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("x-kept: yes\r\n") && !answer.contains("x-gone"),
        "{answer}"
    );
    assert!(answer.contains("content-length: 13\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n/open/tickets"), "{answer}");
    {
        let got = there.got.lock().unwrap();
        let (parts, content) = &got[0];
        assert_eq!(parts.uri.path_and_query().unwrap(), "/open/tickets?a=b");
        assert_eq!(&content[..], b"hello");
        let names: Vec<_> = parts.headers.keys().map(|name| name.as_str()).collect();
        let mut expected = ["content-type", "accept-encoding", "host", "content-length"];
        let mut names = names;
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert_eq!(parts.headers["host"], format!("127.0.0.1:{}", there.port));
    }
    let records = house.recorded(3).await;
    assert!(records.contains("POST /open/tickets"), "{records}");
    assert!(!records.contains(secret));
    assert_eq!((house.tally.allowed(), house.tally.sessions()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_reaches_nobody_and_is_on_record() {
    let there = There::new(|_| Response::new(said("never"))).await;
    let house = House::new(there.port).await;
    let answer = house.ask("DELETE /crm/open/tickets").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let answer = house.ask("GET /crm/closed/bob%40example.com").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("bob%40example.com"), "{answer}");
    let answer = house.ask("GET /elsewhere/open").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("outside the scope"), "{answer}");
    let answer = house
        .raw(b"GET /crm/open HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert_eq!(there.count(), 0);
    let records = house.recorded(3).await;
    assert!(
        records.contains("[masked:email]") && !records.contains("bob"),
        "{records}"
    );
    assert_eq!(house.log.reader().gateway().unwrap().len(), 1);
    assert_eq!(house.tally.denied(), 3);
}
