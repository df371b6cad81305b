//! HTTP/2 and TLS, on both sides.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::house::{House, There, said};
use crate::tls::{AgentTls, towards};
use crate::upstream::Upstream;

fn request(house: &House, uri: &str, content: &'static str) -> Request<Full<Bytes>> {
    let method = if content.is_empty() { "GET" } else { "POST" };
    Request::builder()
        .method(method)
        .uri(uri)
        .header("host", "gateway")
        .header("content-type", "text/plain")
        .header("authorization", format!("Bearer {}", house.secret.reveal()))
        .body(Full::new(Bytes::from_static(content.as_bytes())))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_exchanges_share_one_connection_of_http2() {
    let there = There::new(|parts| Response::new(said(parts.uri.path()))).await;
    let house = House::new(there.port).await;
    let stream = TokioIo::new(house.connect().await);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut all = tokio::task::JoinSet::new();
    for number in 0..100 {
        let uri = format!("http://gateway/crm/open/{number}");
        let mut request = request(&house, &uri, if number % 2 == 0 { "" } else { "content" });
        request.headers_mut().remove("host");
        let mut sender = sender.clone();
        all.spawn(async move {
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            let content = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(content, format!("/open/{number}"));
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    assert_eq!(there.count(), 100);
    assert_eq!(house.tally.allowed(), 100);
}

async fn secured(house: &House, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    // In tests the gateway's certificate is its own.
    let endpoint = (bailiwick_wire::http::PROTOCOL.endpoint)("https://127.0.0.1").unwrap();
    let endpoint = bailiwick_wire::Endpoint {
        roots: Some(house.certificate().display().to_string()),
        ..endpoint
    };
    let mut config = rustls::ClientConfig::clone(&*towards(&endpoint).unwrap());
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, house.connect().await)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_may_begin_with_tls_on_the_same_port() {
    let there = There::new(|parts| Response::new(said(parts.uri.path()))).await;
    let house = House::new(there.port).await;
    let stream = secured(&house, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut asked = request(&house, "https://gateway/crm/open/2", "");
    asked.headers_mut().remove("host");
    let response = sender.send_request(asked).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (200, Version::HTTP_2)
    );
    for alpn in [&[&b"http/1.1"[..]][..], &[]] {
        let stream = secured(&house, alpn).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender
            .send_request(request(&house, "/crm/open/1", ""))
            .await
            .unwrap();
        assert_eq!(
            (response.status().as_u16(), response.version()),
            (200, Version::HTTP_11)
        );
    }
    assert!(secured(&house, &[b"postgresql"]).await.is_err());
    // One that promises HTTP/1.1 and speaks something else.
    let mut stream = secured(&house, &[b"http/1.1"]).await.unwrap();
    stream.write_all(b"\0\0\0\x08\x04\xd2\x16/").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
    let _ = tokio::time::timeout(Duration::from_secs(5), read)
        .await
        .unwrap();
    assert!(!answer.starts_with(b"HTTP/1.1 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_is_spoken_to_in_http2_where_it_can() {
    for (alpn, version) in [
        (&[&b"h2"[..], b"http/1.1"][..], "HTTP/2.0"),
        (&[&b"http/1.1"[..]], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let tls = AgentTls::generated(dir.path()).unwrap();
        let acceptor = TlsAcceptor::from(tls.speaking(alpn));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = hyper::service::service_fn(|request: Request<_>| async move {
                        let _: &hyper::body::Incoming = request.body();
                        let text = format!("{:?} {}", request.version(), request.uri().path());
                        let mut response = Response::new(said(&text));
                        let kind = http::HeaderValue::from_static("text/plain");
                        response.headers_mut().insert("content-type", kind);
                        Ok::<_, std::convert::Infallible>(response)
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        let roots = dir.path().join("tls.crt");
        let house = House::trusting("https", port, Upstream::default(), Some(&roots)).await;
        let answer = house.ask("GET /crm/open/a").await;
        assert!(answer.ends_with(&format!("{version} /open/a")), "{answer}");
        // Whose certificate is not trusted gets nothing.
        let house = House::with("https", port, Upstream::default()).await;
        let answer = house.ask("GET /crm/open/a").await;
        assert!(answer.starts_with("HTTP/1.1 50"), "{answer}");
        let records = house.recorded(3).await;
        assert!(
            records.contains("\"skipped\"") && records.contains("TLS"),
            "{records}"
        );
        assert!(rustls::pki_types::CertificateDer::from_pem_file(&roots).is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_targets_credential_is_the_gateways_and_the_runs_secret_may_come_in_another_field() {
    let there = There::new(|_| Response::new(said("ok"))).await;
    let upstream = Upstream {
        credential: crate::upstream::Credential::Bearer("of-the-target".into()),
        token_header: Some("x-api-key".into()),
        ..Upstream::default()
    };
    let house = House::with("http", there.port, upstream).await;
    let secret = house.secret.reveal();
    let ask = |fields: String| {
        format!("GET /crm/open/a HTTP/1.1\r\nhost: gateway\r\n{fields}connection: close\r\n\r\n")
    };
    let answer = house
        .raw(ask(format!("X-Api-Key: {secret}\r\n")).as_bytes())
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let both = format!("x-api-key: {secret}\r\nauthorization: Bearer other\r\n");
    let answer = house.raw(ask(both).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let twice = format!("x-api-key: {secret}\r\nx-api-key: {secret}\r\n");
    let answer = house.raw(ask(twice).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let got = there.got.lock().unwrap();
    assert_eq!(got.len(), 2);
    for (parts, _) in got.iter() {
        assert_eq!(parts.headers["authorization"], "Bearer of-the-target");
        assert!(!parts.headers.contains_key("x-api-key"));
    }
}
