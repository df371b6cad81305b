//! A server for webhooks.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request that somebody got.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    head: String,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn field(&self, name: &str) -> String {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let field = fields.find(|(known, _)| known.eq_ignore_ascii_case(name));
        field.expect("a field").1.to_owned()
    }
}

/// What a server answers to a request: lines of a head, the first with the status.
type Answers = Arc<dyn Fn(&Got) -> String + Send + Sync>;

/// The server.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    pub(crate) status: Arc<AtomicU16>,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    /// One that answers with this status, which may change.
    pub(crate) fn new(status: u16) -> Self {
        let status = Arc::new(AtomicU16::new(status));
        let answers = Arc::clone(&status);
        let receiver = Self::answering(move |_| answers.load(Ordering::SeqCst).to_string());
        Self { status, ..receiver }
    }

    /// One that answers as it is told to.
    pub(crate) fn answering(answers: impl Fn(&Got) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let answers: Answers = Arc::new(answers);
        let got = Arc::<Mutex<Vec<Got>>>::default();
        let all = Arc::clone(&got);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, all) = (Arc::clone(&answers), Arc::clone(&all));
                thread::spawn(move || serve(stream.expect("a connection"), &answers, &all));
            }
        });
        Self {
            port,
            status: Arc::default(),
            got,
        }
    }

    pub(crate) fn all(&self) -> Vec<Got> {
        self.got.lock().expect("what it got").clone()
    }
}

fn serve(mut stream: TcpStream, answers: &Answers, all: &Mutex<Vec<Got>>) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().expect("a length"));
            if body.len() >= length {
                let got = Got {
                    head: head.to_owned(),
                    body: body.to_owned(),
                };
                let answer = answers(&got);
                all.lock().expect("what it got").push(got);
                bytes.clear();
                let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
                continue;
            }
        }
        let mut part = [0; 4096];
        match stream.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&part[..read]),
        }
    }
}
