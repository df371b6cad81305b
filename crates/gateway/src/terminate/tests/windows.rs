//! What agents that do not read hold up.

use std::convert::Infallible;
use std::time::Duration;

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::house::{House, said};
use crate::tls::AgentTls;
use crate::upstream::Upstream;

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_do_not_read_hold_up_nobody_else_at_the_same_target() {
    let dir = tempfile::tempdir().unwrap();
    let tls = AgentTls::generated(dir.path()).unwrap();
    let acceptor = TlsAcceptor::from(tls.speaking(&[b"h2"]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = acceptor.accept(stream).await.unwrap();
            let service = service_fn(|request: Request<Incoming>| async move {
                let lines = match request.uri().path() {
                    "/open/large" => 1 << 20,
                    _ => 1,
                };
                let mut response = Response::new(said(&"a line\n".repeat(lines)));
                let kind = HeaderValue::from_static("text/plain");
                response.headers_mut().insert("content-type", kind);
                Ok::<_, Infallible>(response)
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
    let roots = dir.path().join("tls.crt");
    let house = House::trusting("https", target, Upstream::default(), Some(&roots)).await;
    let request = format!("{}\r\n", house.head("GET /crm/open/large"));
    let mut deaf = Vec::new();
    for _ in 0..8 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket
            .connect(([127, 0, 0, 1], house.port).into())
            .await
            .unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        deaf.push(stream);
    }
    sleep(Duration::from_secs(2)).await;
    let answer = timeout(Duration::from_secs(5), house.ask("GET /crm/open/small")).await;
    assert!(answer.unwrap().ends_with("a line\n"));
    drop(deaf);
}
