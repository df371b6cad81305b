use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

const BOUNDS: Bounds = Bounds {
    body: 100,
    time: Duration::from_secs(5),
};

/// Serves what `serve` does with each connection, one after the other.
fn server(serve: impl Fn(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.unwrap());
        }
    });
    port
}

/// Reads one request without a body, or with one that ends in `!`; nothing at the end.
fn request(stream: &mut impl Read) -> Option<String> {
    let mut text = String::new();
    let mut byte = [0];
    while !(text.ends_with("\r\n\r\n") && text.starts_with("GET")
        || text.ends_with('!') && text.starts_with("POST"))
    {
        match stream.read(&mut byte) {
            Ok(1) => text.push(byte[0].into()),
            _ => return None,
        }
    }
    Some(text)
}

#[test]
fn a_connection_is_used_again_and_replaced_when_it_is_gone() {
    let port = server(|mut stream| {
        // Two requests, and it hangs up.
        for number in 0..2 {
            let Some(request) = request(&mut stream) else {
                return;
            };
            let line = request.lines().next().unwrap();
            let body = format!("{number} {line}");
            let head = "HTTP/1.1 409 Conflict\r\nContent-Type: Text/X.tlog.size; a=b\r\n";
            let length = body.len();
            write!(stream, "{head}content-length: {length}\r\n\r\n{body}").unwrap();
        }
    });
    let http = Http::start().unwrap();
    let url = format!("http://127.0.0.1:{port}/a?b");
    for number in [0, 1, 0, 1, 0] {
        let answer = http.get(&url, BOUNDS).unwrap();
        assert_eq!(answer.status, 409);
        assert_eq!(answer.content_type.as_deref(), Some("text/x.tlog.size"));
        let body = format!("{number} GET /a?b HTTP/1.1").into_bytes();
        assert_eq!(answer.body, body);
    }
    let answer = http.post(&url, b"the body!", BOUNDS).unwrap();
    assert_eq!(answer.body, b"1 POST /a?b HTTP/1.1");
}

#[test]
fn answers_are_bounded_and_redirections_not_followed() {
    let port = server(|mut stream| match request(&mut stream).unwrap() {
        path if path.starts_with("GET /long") => {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n";
            write!(stream, "{head}{}", "x".repeat(101)).unwrap();
        }
        path if path.starts_with("GET /away") => {
            let head = "HTTP/1.1 302 Found\r\nlocation: /long\r\ncontent-length: 0\r\n\r\n";
            write!(stream, "{head}").unwrap();
        }
        path if path.starts_with("GET /slow") => thread::sleep(Duration::from_secs(1)),
        _ => {}
    });
    let http = Http::start().unwrap();
    let get = |path: &str| http.get(&format!("http://127.0.0.1:{port}{path}"), BOUNDS);
    assert!(matches!(get("/long"), Err(TransportError::TooLong { .. })));
    assert_eq!(get("/away").unwrap().status, 302);
    assert!(matches!(
        get("/hangs-up"),
        Err(TransportError::Unreachable { .. })
    ));
    let quick = Bounds {
        time: Duration::from_millis(100),
        ..BOUNDS
    };
    let slow = http.get(&format!("http://127.0.0.1:{port}/slow"), quick);
    assert!(matches!(slow, Err(TransportError::TimedOut { .. })));
    for wrong in [
        "",
        "/path",
        "ftp://a.example/",
        "http://u:p@a.example/",
        "http://a b/",
    ] {
        let refused = http.get(wrong, BOUNDS);
        assert!(
            matches!(refused, Err(TransportError::Url { .. })),
            "{wrong}"
        );
    }
}

#[test]
fn a_server_has_to_prove_who_it_is() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
    let config = Arc::new(config);
    let port = server(move |stream| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        if request(&mut stream).is_some() {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi").unwrap();
            stream.flush().unwrap();
        }
    });
    let url = format!("https://localhost:{port}/");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let trusting = Http::trusting(Some(roots)).unwrap();
    assert_eq!(trusting.get(&url, BOUNDS).unwrap().body, b"hi");
    let by_number = format!("https://127.0.0.1:{port}/");
    let refused = trusting.get(&by_number, BOUNDS).unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");

    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(other.cert.der().clone()).unwrap();
    let refused = Http::trusting(Some(roots)).unwrap().get(&url, BOUNDS);
    assert!(matches!(refused, Err(TransportError::Unreachable { .. })));
}
