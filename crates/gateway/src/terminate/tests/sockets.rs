//! WebSockets end to end.

use std::time::{Duration, Instant};

use bailiwick_run::{Cut, Ending};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

use super::house::{House, There, said, target};
use crate::target::Target;
use crate::upstream::Upstream;

const TASK: &str = r#"
task      = "t"
purpose   = "p"
launchers = ["human:*@acme.com"]
ttl       = "30m"
[[write]]
target   = "crm"
requests = ["WEBSOCKET /feed/**", "GET /feed/**"]
"#;

fn at(port: u16) -> Target {
    let mut target = target("crm", Upstream::default());
    target.endpoint.port = port;
    target
}

/// A target that says back what it is told, takes the subprotocol `v2`, and shows what it was asked.
async fn echo() -> (u16, tokio::sync::mpsc::UnboundedReceiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, all) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let asked = asked.clone();
            tokio::spawn(async move {
                #[allow(clippy::result_large_err, reason = "the library's own type")]
                let note = |request: &Request, mut response: Response| {
                    if let Some(offered) = request.headers().get("sec-websocket-protocol") {
                        assert_eq!(offered, "v1, v2");
                        let headers = response.headers_mut();
                        headers.insert("sec-websocket-protocol", "v2".parse().unwrap());
                    }
                    asked.send(request.clone()).unwrap();
                    Ok(response)
                };
                let mut socket = accept_hdr_async(stream, note).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    match message {
                        Message::Text(text) if text == "leave" => {
                            let frame = CloseFrame {
                                code: CloseCode::Library(4001),
                                reason: "bob@example.com".into(),
                            };
                            socket.close(Some(frame)).await.unwrap();
                        }
                        Message::Text(text) if text == "break" => return,
                        Message::Text(text) if text == "binary" => {
                            socket
                                .send(Message::binary(&b"\x00\x01"[..]))
                                .await
                                .unwrap();
                        }
                        Message::Text(_) | Message::Binary(_) => {
                            socket.send(message).await.unwrap();
                        }
                        _ => {}
                    }
                }
            });
        }
    });
    (port, all)
}

fn request(house: &House, path: &str) -> Request {
    let url = format!("ws://127.0.0.1:{}{path}", house.port);
    let mut request = url.into_client_request().unwrap();
    let secret = format!("Bearer {}", house.secret.reveal());
    let headers = request.headers_mut();
    headers.insert("authorization", secret.parse().unwrap());
    headers.insert("cookie", "a=b".parse().unwrap());
    headers.insert(
        "sec-websocket-extensions",
        "permessage-deflate".parse().unwrap(),
    );
    headers.insert("sec-websocket-protocol", "v1, v2".parse().unwrap());
    request
}

type Opened = (WebSocketStream<TcpStream>, Response);

async fn open(house: &House, path: &str) -> Result<Opened, Error> {
    let (socket, response) = client_async(request(house, path), house.connect().await).await?;
    Ok((socket, response.map(|_| ())))
}

async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Result<Message, Error>> {
    timeout(Duration::from_secs(5), socket.next())
        .await
        .expect("nothing comes")
}

#[track_caller]
fn told(socket: &mut WebSocketStream<TcpStream>) -> impl Future<Output = Message> + '_ {
    let at = std::panic::Location::caller();
    async move {
        next(socket)
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("{at}: {error}"))
    }
}

/// Why it was closed.
async fn closed(socket: &mut WebSocketStream<TcpStream>) -> CloseFrame {
    match told(socket).await {
        Message::Close(Some(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_a_call_and_comes_back_masked() {
    let (port, mut asked) = echo().await;
    let house = House::of(TASK, vec![at(port)]).await;
    let (mut socket, response) = open(&house, "/crm/feed/tickets").await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "v2");
    assert!(!response.headers().contains_key("sec-websocket-extensions"));
    let asked = asked.recv().await.unwrap();
    assert_eq!(asked.uri(), "/feed/tickets");
    assert_eq!(asked.headers()["host"], format!("127.0.0.1:{port}"));
    for gone in ["authorization", "cookie", "sec-websocket-extensions"] {
        assert!(!asked.headers().contains_key(gone), "{gone}");
    }
    for text in ["one", "", "two", r#"{"mail":"x"}"#] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(told(&mut socket).await, Message::text(text));
    }
    socket
        .send(Message::text("from bob@example.com"))
        .await
        .unwrap();
    assert_eq!(
        told(&mut socket).await,
        Message::text("from [masked:email]")
    );
    // A ping is answered here, between the parts of a message as well.
    let part = |data: &'static [u8], code, last| {
        Message::Frame(Frame::message(data, OpCode::Data(code), last))
    };
    socket.send(part(b"in ", Data::Text, false)).await.unwrap();
    socket.send(Message::Ping("p".into())).await.unwrap();
    socket
        .send(part(b"two", Data::Continue, true))
        .await
        .unwrap();
    assert_eq!(told(&mut socket).await, Message::Pong("p".into()));
    assert_eq!(told(&mut socket).await, Message::text("in two"));
    // Many in one go stay apart.
    for number in 0..50 {
        socket
            .feed(Message::text(number.to_string()))
            .await
            .unwrap();
    }
    socket.flush().await.unwrap();
    for number in 0..50 {
        assert_eq!(told(&mut socket).await, Message::text(number.to_string()));
    }
    let large = "x".repeat(3 << 20);
    socket.send(Message::text(large.clone())).await.unwrap();
    assert_eq!(told(&mut socket).await, Message::text(large));
    socket.close(None).await.unwrap();
    assert_eq!(told(&mut socket).await, Message::Close(None));
    assert!(next(&mut socket).await.is_none());
    // The run, the handshake and 57 messages, each with its outcome.
    let records = house.recorded(1 + 2 * (1 + 57)).await;
    assert_eq!(records.matches("WEBSOCKET /feed/tickets").count(), 58);
    assert!(!records.contains("bob"));
    assert_eq!(house.tally.allowed(), 58);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_no_socket_and_what_cannot_be_masked_ends_one() {
    let (port, mut asked) = echo().await;
    let house = House::of(TASK, vec![at(port)]).await;
    for path in ["/crm/other", "/crm/feed%2f..%2fother", "/elsewhere/feed"] {
        match open(&house, path).await {
            Err(Error::Http(response)) => {
                assert!(response.status().is_client_error(), "{response:?}")
            }
            other => panic!("{path}: {other:?}"),
        }
    }
    assert!(asked.try_recv().is_err(), "a target was asked");
    // The agent's binary message, and the target's.
    let (mut socket, _) = open(&house, "/crm/feed/a").await.unwrap();
    socket.send(Message::binary(&b"\x00"[..])).await.unwrap();
    let close = closed(&mut socket).await;
    assert_eq!(close.code, CloseCode::Policy);
    assert!(close.reason.contains("binary"), "{close:?}");
    let (mut socket, _) = open(&house, "/crm/feed/b").await.unwrap();
    socket.send(Message::text("binary")).await.unwrap();
    assert_eq!(closed(&mut socket).await.code, CloseCode::Unsupported);
}

#[tokio::test(flavor = "multi_thread")]
async fn either_side_and_the_run_can_end_it() {
    let (port, _asked) = echo().await;
    let house = House::of(TASK, vec![at(port)]).await;
    // Its words are not passed on: nobody has masked them.
    let (mut socket, _) = open(&house, "/crm/feed/a").await.unwrap();
    socket.send(Message::text("leave")).await.unwrap();
    let close = closed(&mut socket).await;
    assert_eq!((close.code, close.reason.as_str()), (CloseCode::Normal, ""));
    let (mut socket, _) = open(&house, "/crm/feed/b").await.unwrap();
    socket.send(Message::text("break")).await.unwrap();
    assert_eq!(closed(&mut socket).await.code, CloseCode::Error);

    let (mut socket, _) = open(&house, "/crm/feed/c").await.unwrap();
    let (gone, _) = open(&house, "/crm/feed/d").await.unwrap();
    drop(gone);
    let since = Instant::now();
    house.ended.send_replace(Some(Cut::Ended(Ending::Revoked)));
    while let Some(Ok(_)) = next(&mut socket).await {}
    assert!(since.elapsed() < Duration::from_secs(10));
    for _ in 0..100 {
        if house.tally.sessions() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} sessions are open", house.tally.sessions());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_open_is_told_when_the_gateway_stops_and_when_its_run_ends() {
    for (ending, code, words) in [
        (Ending::GatewayStopped, CloseCode::Away, "stopping"),
        (Ending::Revoked, CloseCode::Policy, "revoked"),
    ] {
        let (port, _asked) = echo().await;
        let house = House::of(TASK, vec![at(port)]).await;
        let (mut socket, _) = open(&house, "/crm/feed/a").await.unwrap();
        house.ended.send_replace(Some(Cut::Ended(ending)));
        let close = closed(&mut socket).await;
        assert_eq!(close.code, code, "{close:?}");
        assert!(close.reason.contains(words), "{close:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_are_not_right_are_none() {
    let there = There::new(|_| http::Response::new(said("no socket here"))).await;
    let house = House::of(TASK, vec![at(there.port)]).await;
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let up = "connection: upgrade\r\nupgrade: websocket\r\n";
    let version = "sec-websocket-version: 13\r\n";
    for (line, fields, status) in [
        ("POST /crm/feed/a", format!("{up}{key}{version}"), "400"),
        ("GET /crm/feed/a", format!("{up}{key}"), "426"),
        (
            "GET /crm/feed/a",
            format!("{up}{key}sec-websocket-version: 8\r\n"),
            "426",
        ),
        ("GET /crm/feed/a", format!("{up}{version}"), "400"),
        ("GET /crm/feed/a", format!("{up}{key}{key}{version}"), "400"),
        (
            "GET /crm/feed/a",
            format!("{up}sec-websocket-key: short\r\n{version}"),
            "400",
        ),
        (
            "GET /crm/feed/a",
            format!("upgrade: websocket\r\n{key}{version}"),
            "400",
        ),
        (
            "GET /crm/feed/a",
            format!("{up}{key}{version}content-length: 4\r\n"),
            "400",
        ),
        (
            "WEBSOCKET /crm/feed/a",
            "connection: close\r\n".into(),
            "501",
        ),
        (
            "WEBSOCKET /crm/feed/a",
            format!("{up}{key}{version}"),
            "501",
        ),
    ] {
        let body = if fields.contains("content-length") {
            "abcd"
        } else {
            ""
        };
        let request = format!("{}{fields}\r\n{body}", house.head(line));
        let answer = house.raw(request.as_bytes()).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line} {fields}: {answer}"
        );
    }
    assert_eq!(there.count(), 0);
    // A target that is none answers as it does.
    match open(&house, "/crm/feed/a").await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 200),
        other => panic!("{other:?}"),
    }
    assert_eq!(there.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_switches_otherwise_than_it_was_asked_to_is_cut_off() {
    let good = |key: &str| {
        let accept = derive_accept_key(key.as_bytes());
        format!("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n")
    };
    type Answer = Box<dyn Fn(&str) -> String>;
    let answers: [(&str, Answer); 5] = [
        ("another key", Box::new(move |_| good("another"))),
        (
            "no key",
            Box::new(|_| "connection: upgrade\r\nupgrade: websocket\r\n".into()),
        ),
        (
            "h2c",
            Box::new(move |key| good(key).replace("websocket\r", "h2c\r")),
        ),
        (
            "an extension",
            Box::new(move |key| good(key) + "sec-websocket-extensions: permessage-deflate\r\n"),
        ),
        (
            "a protocol",
            Box::new(move |key| good(key) + "sec-websocket-protocol: v3\r\n"),
        ),
    ];
    for (what, answer) in answers {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let house = House::of(TASK, vec![at(port)]).await;
        let there = by_hand(&listener, |key| format!("{}\r\n", answer(key)).into_bytes());
        let (opened, _stream) = tokio::join!(open(&house, "/crm/feed/a"), there);
        match opened {
            Err(Error::Http(response)) => assert_eq!(response.status(), 502, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

/// Answers a handshake with 101, and with what follows for its key.
async fn by_hand(listener: &TcpListener, answer: impl Fn(&str) -> Vec<u8>) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut asked = vec![0; 4096];
    let read = stream.read(&mut asked).await.unwrap();
    let asked = String::from_utf8_lossy(&asked[..read]).into_owned();
    let (_, key) = asked.split_once("sec-websocket-key: ").unwrap();
    let (key, _) = key.split_once("\r\n").unwrap();
    let mut answered = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
    answered.extend(answer(key));
    stream.write_all(&answered).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_along_with_the_handshake_is_not_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let house = House::of(TASK, vec![at(port)]).await;
    let there = by_hand(&listener, |key| {
        let accept = derive_accept_key(key.as_bytes());
        let head = format!(
            "connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-accept: {accept}\r\nsec-websocket-protocol: v1\r\n\r\n"
        );
        let mut answer = head.into_bytes();
        answer.extend_from_slice(b"\x81\x01a\x01\x01b\x89\x00\x80\x01c\x81\x00\x88\x02\x03\xe8");
        answer
    });
    let (opened, _stream) = tokio::join!(open(&house, "/crm/feed/a"), there);
    let (mut socket, _) = opened.unwrap();
    for text in ["a", "bc", ""] {
        assert_eq!(told(&mut socket).await, Message::text(text));
    }
    assert_eq!(closed(&mut socket).await.code, CloseCode::Normal);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_http2_can_be_one() {
    let (port, mut asked) = echo().await;
    let house = House::of(TASK, vec![at(port)]).await;
    let connection = TokioIo::new(house.connect().await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), connection)
        .await
        .unwrap();
    tokio::spawn(connection);
    let secret = format!("Bearer {}", house.secret.reveal());
    let request = |path: &str| {
        http::Request::builder()
            .uri(format!("http://gateway{path}"))
            .header("authorization", &secret)
    };
    // By its answer the settings are known: that it can be asked for at all.
    let plain = request("/crm/other").body(Empty::<Bytes>::new()).unwrap();
    assert_eq!(sender.send_request(plain).await.unwrap().status(), 403);
    let socket = |path, protocol| {
        request(path)
            .method("CONNECT")
            .header("sec-websocket-version", "13")
            .extension(Protocol::from_static(protocol))
            .body(Empty::<Bytes>::new())
            .unwrap()
    };
    let refused = sender.send_request(socket("/crm/other", "websocket"));
    assert_eq!(refused.await.unwrap().status(), 403);
    let refused = sender.send_request(socket("/crm/feed/a", "connect-ip"));
    assert!(refused.await.unwrap().status().as_u16() >= 400);
    let opened = sender.send_request(socket("/crm/feed/a", "websocket"));
    let mut response = opened.await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(asked.recv().await.unwrap().uri(), "/feed/a");
    let stream = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    socket.send(Message::text("bob@example.com")).await.unwrap();
    let told = timeout(Duration::from_secs(5), socket.next())
        .await
        .unwrap();
    assert_eq!(told.unwrap().unwrap(), Message::text("[masked:email]"));
}
