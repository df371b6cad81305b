//! Requests that can be read in more ways than one, byte by byte.

use http::Response;
use tokio::io::AsyncWriteExt;

use super::house::{House, There, rest, said, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_can_be_read_in_two_ways_goes_nowhere() {
    let there = There::new(|_| Response::new(said("never"))).await;
    let house = House::new(there.port).await;
    let post = house.head("POST /crm/open/a");
    let get = house.head("GET /crm/open/a");
    let hidden = format!("{get}\r\n");
    let hidden_length = hidden.len();
    let secret = house.secret.reveal();
    let with = |line: &str, fields: &str| {
        format!("{line}\r\n{fields}authorization: Bearer {secret}\r\nconnection: close\r\n\r\n")
    };
    let bad = [
        (
            400,
            format!(
                "{post}content-length: {hidden_length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
            ),
        ),
        (
            400,
            format!("{post}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n"),
        ),
        (
            400,
            format!("{post}content-length: 5\r\ncontent-length: 6\r\n\r\nhello!"),
        ),
        (
            400,
            format!("{post}content-length: 5\r\ncontent-length: 5\r\n\r\nhello"),
        ),
        (400, format!("{post}content-length: 5, 5\r\n\r\nhello")),
        (400, format!("{post}content-length: +5\r\n\r\nhello")),
        (400, format!("{post}content-length: -1\r\n\r\nhello")),
        (400, format!("{post}content-length : 5\r\n\r\nhello")),
        (
            400,
            format!("{post}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
        ),
        (
            400,
            format!("{post}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ),
        (400, format!("{post}x-folded: a\r\n b: c\r\n\r\n")),
        (400, format!("{get}x-bare: a\n\r\n")),
        (400, get.replace("\r\n", "\n") + "\n"),
        (400, format!("{get}x-return: a\rb: c\r\n\r\n")),
        (400, format!("{get}x-nul: a\0b\r\n\r\n")),
        (400, format!("{get}host: other\r\n\r\n")),
        (400, with("GET /crm/open/a HTTP/1.1", "")),
        (
            400,
            with(
                "GET http://crm.example/open/a HTTP/1.1",
                "host: other.example\r\n",
            ),
        ),
        (
            400,
            with(
                "GET http://me@crm.example/open/a HTTP/1.1",
                "host: crm.example\r\n",
            ),
        ),
        (400, with("GET  /crm/open/a HTTP/1.1", "host: gateway\r\n")),
        (505, with("GET /crm/open/a HTTP/1.0", "host: gateway\r\n")),
        (400, with("GET /crm/open/a", "host: gateway\r\n")),
        (501, with("get /crm/open/a HTTP/1.1", "host: gateway\r\n")),
        (
            431,
            format!("{get}x-long: {}\r\n\r\n", "x".repeat(100 * 1024)),
        ),
        (431, format!("{get}{}\r\n", "x: y\r\n".repeat(200))),
    ];
    for (status, request) in bad {
        let answer = house.raw(request.as_bytes()).await;
        let begins = format!("HTTP/1.{} {status} ", u8::from(status != 505));
        // What is too large may be answered as malformed, or be cut in the middle of being sent.
        let large =
            request.len() > 60_000 && (answer.is_empty() || answer.starts_with("HTTP/1.1 400"));
        let shown: String = request.chars().take(400).collect();
        assert!(answer.starts_with(&begins) || large, "{answer}\n{shown}");
        assert_eq!(
            answer.matches("HTTP/1.").count(),
            usize::from(!answer.is_empty()),
            "{answer}\n{shown}"
        );
    }
    assert_eq!(there.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_is_framed_badly_is_not_sent_on() {
    let there = There::new(|_| Response::new(said("never"))).await;
    let house = House::new(there.port).await;
    let post = house.head("POST /crm/open/a");
    for bad in [
        "z\r\nhello\r\n",
        "5;x=y\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\r\n",
    ] {
        let mut stream = house.connect().await;
        let request = format!("{post}transfer-encoding: chunked\r\n\r\n{bad}");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let (answer, _) = rest(&mut stream).await;
        assert!(!answer.contains(" 200 "), "{bad:?} {answer}");
    }
    assert_eq!(there.count(), 0);
    // Whole, in pieces as small as they get.
    let mut stream = house.connect().await;
    let request = format!("{post}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    for piece in request.as_bytes().chunks(3) {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    until(&mut stream, "never").await;
    assert_eq!(&there.got.lock().unwrap()[0].1[..], b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_serves_one_request_after_another() {
    let there = There::new(|parts| Response::new(said(&format!("[{}]", parts.uri.path())))).await;
    let house = House::new(there.port).await;
    let mut stream = house.connect().await;
    let one = format!("{}\r\n", house.head("GET /crm/open/1"));
    let two = format!(
        "{}content-length: 2\r\n\r\nab",
        house.head("POST /crm/open/2")
    );
    let three = format!("{}\r\n", house.head("GET /crm/open/3"));
    // All at once: answered in order.
    stream
        .write_all(format!("{one}{two}{three}").as_bytes())
        .await
        .unwrap();
    let said = until(&mut stream, "[/open/3]").await;
    let places: Vec<_> = ["[/open/1]", "[/open/2]", "[/open/3]"]
        .map(|text| said.find(text).unwrap())
        .into();
    assert!(places.is_sorted(), "{said}");
    stream.write_all(one.as_bytes()).await.unwrap();
    until(&mut stream, "[/open/1]").await;
    // What is hidden in content is content.
    let inner = format!("{}\r\n", house.head("GET /crm/open/hidden"));
    let outer = format!(
        "{}content-length: {}\r\n\r\n{inner}",
        house.head("POST /crm/open/outer"),
        inner.len()
    );
    stream.write_all(outer.as_bytes()).await.unwrap();
    until(&mut stream, "[/open/outer]").await;
    stream.write_all(one.as_bytes()).await.unwrap();
    let said = until(&mut stream, "[/open/1]").await;
    assert!(!said.contains("hidden"), "{said}");
    assert_eq!(there.count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_content_has_none() {
    let there = There::new(|parts| {
        let mut response = Response::new(said(""));
        *response.status_mut() = match parts.uri.path() {
            "/open/204" => http::StatusCode::NO_CONTENT,
            "/open/304" => http::StatusCode::NOT_MODIFIED,
            _ => http::StatusCode::OK,
        };
        response
    })
    .await;
    let house = House::new(there.port).await;
    for (line, status) in [
        ("HEAD /crm/open/a", 200),
        ("GET /crm/open/204", 204),
        ("GET /crm/open/304", 304),
    ] {
        let answer = house.ask(line).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(!answer.contains("transfer-encoding"), "{answer}");
    }
}
