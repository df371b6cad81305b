//! A server that takes requests, and what sends them, for tests.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::{Request, Response};

use super::{Sink, Way};
use crate::people::{Fetch, FetchError};

/// A request that somebody got.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn field(&self, name: &str) -> &str {
        let lines = self.head.lines();
        let mut fields = lines.filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| *known == name).unwrap().1
    }
}

/// Takes requests, and answers each with the same status, or as it is told to; with status 0 not at all.
pub(crate) struct Receiver {
    pub(crate) url: String,
    pub(crate) status: Arc<AtomicU16>,
    pub(crate) got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    pub(crate) fn new(status: u16) -> Self {
        let status = Arc::new(AtomicU16::new(status));
        let answer = Arc::clone(&status);
        let receiver = Self::answering(move |_| answer.load(Ordering::SeqCst));
        Self { status, ..receiver }
    }

    pub(crate) fn answering(answer: impl Fn(&Got) -> u16 + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let got = Arc::<Mutex<Vec<Got>>>::default();
        let all = Arc::clone(&got);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let request = read(&mut stream);
                let status = answer(&request);
                all.lock().unwrap().push(request);
                if status == 0 {
                    continue;
                }
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self {
            url,
            status: Arc::default(),
            got,
        }
    }

    pub(crate) fn sink(&self, name: &str) -> Sink {
        Sink {
            name: name.into(),
            way: Way::Webhook {
                url: self.url.clone(),
                secret: vec![7; 32],
                fetch: plain(),
            },
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}

fn read(stream: &mut TcpStream) -> Got {
    let mut bytes = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut lines = head.lines();
            let length = lines.find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Got {
                    head: head.into(),
                    body: body.into(),
                };
            }
        }
        match stream.read(&mut part).unwrap() {
            0 => panic!("half a request: {text:?}"),
            read => bytes.extend_from_slice(&part[..read]),
        }
    }
}

/// HTTP on a connection of its own, without TLS.
pub(crate) fn plain() -> Fetch {
    Arc::new(|request| Box::pin(async move { ask(&request).map_err(FetchError) }))
}

fn ask(request: &Request<Vec<u8>>) -> Result<Response<Vec<u8>>, String> {
    let said = |error: std::io::Error| error.to_string();
    let (host, path) = (request.uri().authority().unwrap(), request.uri().path());
    let mut stream = TcpStream::connect(host.as_str()).map_err(said)?;
    let length = request.body().len();
    let mut head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n");
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    stream.write_all(head.as_bytes()).map_err(said)?;
    stream.write_all(b"\r\n").map_err(said)?;
    stream.write_all(request.body()).map_err(said)?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).map_err(said)?;
    let status = std::str::from_utf8(&answer[9..]).unwrap();
    Ok(Response::builder().status(status).body(Vec::new()).unwrap())
}
