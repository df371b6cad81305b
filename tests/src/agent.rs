//! An agent that speaks PostgreSQL's protocol by hand: exactly what it is told to, also what no driver
//! would say.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
pub use postgres_protocol::message::frontend;

use crate::Run;

/// No answer that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to the gateway.
pub struct Agent {
    stream: TcpStream,
    input: BytesMut,
    /// What cancels its statements: process id and secret.
    pub key: (i32, i32),
}

/// One message of the other side.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its type.
    pub tag: u8,
    /// What follows the length.
    pub body: Vec<u8>,
}

/// The fields of an error or a notice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// `ERROR`, `FATAL`, …
    pub severity: String,
    /// The SQLSTATE.
    pub code: String,
    /// What happened.
    pub message: String,
    /// Why.
    pub detail: String,
    /// What to do.
    pub hint: String,
    /// All fields as they came, to look for what must not be in them.
    pub whole: String,
}

/// Everything up to a ReadyForQuery.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The messages, without the ReadyForQuery.
    pub messages: Vec<Message>,
    /// The transaction's status: `I`, `T` or `E`.
    pub status: char,
}

impl Agent {
    /// Logs in to the task's `DATABASE_URL`.
    #[track_caller]
    pub fn connect(run: &Run) -> Self {
        Self::log_in(run.url()).unwrap_or_else(|report| panic!("the login failed: {report:#?}"))
    }

    /// Tries to.
    pub fn try_connect(run: &Run) -> Result<Self, Box<Report>> {
        Self::log_in(run.url())
    }

    /// Logs in with a URL such as `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    pub fn log_in(url: &str) -> Result<Self, Box<Report>> {
        let (user, password, address, database) = parts(url);
        let mut agent = Self::dial(address).map_err(|error| {
            Box::new(Report {
                message: format!("no connection: {error}"),
                ..Report::default()
            })
        })?;
        let parameters = [("user", user), ("database", database)];
        agent.send(|out| frontend::startup_message(parameters, out).expect("a startup packet"));
        let mut scram: Option<ScramSha256> = None;
        loop {
            let message = agent.message().ok_or_else(|| {
                Box::new(Report {
                    message: "the connection was closed".into(),
                    ..Report::default()
                })
            })?;
            let body = &message.body;
            match (message.tag, kind(body), &mut scram) {
                (b'R', 0, _) | (b'S' | b'N', ..) => {}
                (b'R', 10, _) => {
                    let begin =
                        ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                    agent.send(|out| {
                        frontend::sasl_initial_response("SCRAM-SHA-256", begin.message(), out)
                            .expect("a first message");
                    });
                    scram = Some(begin);
                }
                (b'R', 11, Some(scram)) => {
                    scram.update(&body[4..]).expect("a challenge");
                    agent.send(|out| {
                        frontend::sasl_response(scram.message(), out).expect("a response");
                    });
                }
                (b'R', 12, Some(scram)) => scram.finish(&body[4..]).expect("the server's proof"),
                (b'K', ..) => {
                    let number = |at: usize| {
                        i32::from_be_bytes(body[at..at + 4].try_into().expect("four bytes"))
                    };
                    agent.key = (number(0), number(4));
                }
                (b'Z', ..) => return Ok(agent),
                (b'E', ..) => return Err(Box::new(Report::read(body))),
                _ => panic!("an unexpected message at login: {message:?}"),
            }
        }
    }

    /// Opens a connection and says nothing.
    pub fn dial(address: &str) -> io::Result<Self> {
        let address = address
            .to_socket_addrs()?
            .next()
            .ok_or(io::ErrorKind::NotFound)?;
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: BytesMut::new(),
            key: (0, 0),
        })
    }

    /// Sends messages.
    #[track_caller]
    pub fn send(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let mut bytes = BytesMut::new();
        write(&mut bytes);
        self.send_bytes(&bytes);
    }

    /// Sends whatever these bytes are.
    #[track_caller]
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .expect("the gateway still reads");
    }

    /// Sends them if anybody still reads.
    pub fn try_send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next message; nothing once the connection is closed. Fails the test if neither comes.
    #[track_caller]
    pub fn message(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = self.take() {
                return Some(message);
            }
            let mut bytes = [0; 16 * 1024];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(read) => self.input.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the gateway neither answered nor closed: {error}"),
            }
        }
    }

    /// The next byte, where an answer is no more than that; nothing once the connection is closed.
    #[track_caller]
    pub fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => None,
            Ok(_) => Some(byte[0]),
            Err(error) => panic!("the gateway neither answered nor closed: {error}"),
        }
    }

    fn take(&mut self) -> Option<Message> {
        let length = self.input.get(1..5)?;
        let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
        if self.input.len() < 1 + length {
            return None;
        }
        let whole = self.input.split_to(1 + length);
        Some(Message {
            tag: whole[0],
            body: whole[5..].to_vec(),
        })
    }

    /// Reads on to the end of the connection and gives the last error.
    #[track_caller]
    pub fn last_words(&mut self) -> Option<Report> {
        let mut last = None;
        while let Some(message) = self.message() {
            if message.tag == b'E' {
                last = Some(Report::read(&message.body));
            }
        }
        last
    }

    /// Everything up to the next ReadyForQuery.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        let mut messages = Vec::new();
        loop {
            match self.message() {
                Some(Message { tag: b'Z', body }) => {
                    return Answer {
                        messages,
                        status: char::from(body[0]),
                    };
                }
                Some(message) => messages.push(message),
                None => panic!("the connection was closed after {messages:#?}"),
            }
        }
    }

    /// Sends a Query and gives its answer.
    #[track_caller]
    pub fn query(&mut self, sql: &str) -> Answer {
        self.send(|out| frontend::query(sql, out).expect("a query"));
        self.answer()
    }

    /// Runs one statement by the extended protocol, and gives its answer.
    #[track_caller]
    pub fn execute(&mut self, sql: &str, values: &[&str], binary: bool) -> Answer {
        self.send(|out| {
            parse(out, "", sql);
            bind(out, "", "", values, binary);
            frontend::describe(b'P', "", out).expect("a describe");
            frontend::execute("", 0, out).expect("an execute");
            frontend::sync(out);
        });
        self.answer()
    }
}

/// Appends a Parse.
pub(crate) fn parse(out: &mut BytesMut, name: &str, sql: &str) {
    frontend::parse(name, sql, [], out).expect("a parse");
}

/// Appends a Bind of text values.
pub(crate) fn bind(
    out: &mut BytesMut,
    portal: &str,
    statement: &str,
    values: &[&str],
    binary: bool,
) {
    let bound = frontend::bind(
        portal,
        statement,
        [],
        values,
        |value, out| {
            out.put_slice(value.as_bytes());
            Ok(IsNull::No)
        },
        [i16::from(binary)],
        out,
    );
    assert!(bound.is_ok(), "a bind");
}

/// `postgres://USER:PASSWORD@HOST:PORT/DATABASE` in its parts.
fn parts(url: &str) -> (&str, &str, &str, &str) {
    let parse = || {
        let rest = url.strip_prefix("postgres://")?;
        let (login, rest) = rest.split_once('@')?;
        let (user, password) = login.split_once(':')?;
        let (address, database) = rest.split_once('/')?;
        Some((user, password, address, database))
    };
    parse().unwrap_or_else(|| panic!("not a URL of the expected form: {url}"))
}

/// The kind of an Authentication message.
fn kind(body: &[u8]) -> u32 {
    body.get(..4).map_or(u32::MAX, |kind| {
        u32::from_be_bytes(kind.try_into().expect("four bytes"))
    })
}

impl Report {
    /// Reads the body of an ErrorResponse or NoticeResponse.
    pub fn read(body: &[u8]) -> Self {
        let mut report = Self {
            whole: String::from_utf8_lossy(body).replace('\0', "\n"),
            ..Self::default()
        };
        for field in body.split(|byte| *byte == 0) {
            let Some((tag, text)) = field.split_first() else {
                continue;
            };
            let text = String::from_utf8_lossy(text).into_owned();
            match tag {
                b'S' => report.severity = text,
                b'C' => report.code = text,
                b'M' => report.message = text,
                b'D' => report.detail = text,
                b'H' => report.hint = text,
                _ => {}
            }
        }
        report
    }
}

impl Answer {
    /// The values of all rows, as text.
    pub fn rows(&self) -> Vec<Vec<Option<String>>> {
        self.of(b'D').map(|message| values(&message.body)).collect()
    }

    /// The first value of the first row.
    #[track_caller]
    pub fn value(&self) -> String {
        let rows = self.rows();
        let value = rows.first().and_then(|row| row.first()).cloned().flatten();
        value.unwrap_or_else(|| panic!("no value in {self:#?}"))
    }

    /// All values of all rows, one after the other.
    pub fn values(&self) -> Vec<String> {
        self.rows().into_iter().flatten().flatten().collect()
    }

    /// The command tags.
    pub fn tags(&self) -> Vec<String> {
        self.of(b'C')
            .map(|message| {
                String::from_utf8_lossy(&message.body)
                    .trim_end_matches('\0')
                    .to_owned()
            })
            .collect()
    }

    /// The types of its messages, as letters.
    pub fn kinds(&self) -> String {
        self.messages
            .iter()
            .map(|message| char::from(message.tag))
            .collect()
    }

    /// The error, if there is one.
    pub fn error(&self) -> Option<Report> {
        self.of(b'E')
            .next()
            .map(|message| Report::read(&message.body))
    }

    /// Fails the test if there is an error.
    #[track_caller]
    pub fn ok(self) -> Self {
        if let Some(error) = self.error() {
            panic!("it failed: {error:#?}");
        }
        self
    }

    /// Fails the test unless it is a denial whose DETAIL names all of this, with a HINT.
    #[track_caller]
    pub fn denied(&self, names: &[&str]) -> Report {
        let error = self
            .error()
            .unwrap_or_else(|| panic!("it was not denied: {self:#?}"));
        assert_eq!(error.code, "42501", "{error:#?}");
        assert_eq!(error.severity, "ERROR", "{error:#?}");
        for name in names {
            assert!(
                error.detail.contains(name),
                "DETAIL does not name {name}: {error:#?}"
            );
        }
        assert!(!error.hint.is_empty(), "no HINT: {error:#?}");
        assert!(self.rows().is_empty(), "a denied call has rows: {self:#?}");
        error
    }

    /// Whether these bytes stand anywhere in it.
    pub fn holds(&self, text: &str) -> bool {
        self.messages.iter().any(|message| {
            message
                .body
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        })
    }

    fn of(&self, tag: u8) -> impl Iterator<Item = &Message> {
        self.messages
            .iter()
            .filter(move |message| message.tag == tag)
    }
}

/// The values of a DataRow.
fn values(body: &[u8]) -> Vec<Option<String>> {
    let mut values = Vec::new();
    let mut rest = &body[2..];
    while let Some((length, after)) = rest.split_at_checked(4) {
        let length = i32::from_be_bytes(length.try_into().expect("four bytes"));
        match usize::try_from(length) {
            Ok(length) => {
                let (value, after) = after.split_at(length);
                values.push(Some(String::from_utf8_lossy(value).into_owned()));
                rest = after;
            }
            Err(_) => {
                values.push(None);
                rest = after;
            }
        }
    }
    values
}
