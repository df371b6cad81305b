//! `bailiwick mcp`, against a server that stands for the gateway and writes down what it is sent.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use common::bailiwick;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A request as it came: its first line, its fields in lower case, its body.
#[derive(Debug)]
struct Asked {
    line: String,
    fields: Vec<(String, String)>,
    body: String,
}

impl Asked {
    fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn message(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// Answers each request by what `answer` says: the head's lines after `HTTP/1.1 `, and the body. One without
/// a body stays open.
fn serve(
    answer: impl Fn(&Asked) -> (String, Option<String>) + Send + Sync + 'static,
) -> (String, Receiver<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, asked) = channel();
    let answer = std::sync::Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (sender, answer, stream) = (sender.clone(), answer.clone(), stream.unwrap());
            std::thread::spawn(move || {
                let request = read(&stream);
                let (head, body) = answer(&request);
                let _ = sender.send(request);
                let mut stream = stream;
                let Some(body) = body else {
                    let _ = write!(stream, "HTTP/1.1 {head}\r\n\r\n");
                    // Until the other side has gone.
                    let _ = stream.read(&mut [0]);
                    let _ = sender.send(Asked {
                        line: "closed".into(),
                        fields: Vec::new(),
                        body: String::new(),
                    });
                    return;
                };
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}"
                );
            });
        }
    });
    (url, asked)
}

fn read(stream: &TcpStream) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let first = line();
    let mut fields = Vec::new();
    loop {
        let field = line();
        let Some((name, value)) = field.split_once(':') else {
            break;
        };
        fields.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut asked = Asked {
        line: first,
        fields,
        body: String::new(),
    };
    let length = asked
        .field("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    asked.body = String::from_utf8(body).unwrap();
    asked
}

/// The face, as a client starts it.
struct Face {
    process: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Face {
    fn start(url: &str) -> Self {
        let mut process = bailiwick()
            .args(["mcp", "help desk"])
            .env("BAILIWICK_URL", url)
            .env("BAILIWICK_TOKEN", "bwk_secret")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Self {
            input: process.stdin.take(),
            process,
            lines,
        }
    }

    fn say(&mut self, message: &str) {
        writeln!(self.input.as_mut().unwrap(), "{message}").unwrap();
    }

    fn hear(&self) -> Value {
        let line = self.lines.recv_timeout(Duration::from_secs(10)).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"))
    }

    /// Closes its input; its status, what else it wrote, and what it said on standard error.
    fn end(mut self) -> (Option<i32>, Vec<String>, String) {
        drop(self.input.take());
        let status = self.process.wait().unwrap().code();
        let mut said = String::new();
        self.process
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (status, self.lines.iter().collect(), said)
    }
}

fn next(asked: &Receiver<Asked>) -> Asked {
    asked.recv_timeout(Duration::from_secs(10)).unwrap()
}

const JSON: &str = "200 OK\r\ncontent-type: application/json";
const EVENTS: &str = "200 OK\r\ncontent-type: text/event-stream";

fn answered(id: &Value, result: &str) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}")
}

#[test]
fn a_session_goes_through() {
    let (url, asked) = serve(|asked| {
        let message = asked.message();
        let id = &message["id"];
        match (
            asked.line.split(' ').next().unwrap(),
            message["method"].as_str(),
        ) {
            ("POST", Some("initialize")) => (
                format!("{JSON}\r\nmcp-session-id: s-1"),
                Some(answered(id, "{\n \"protocolVersion\": \"2025-11-25\"\n}")),
            ),
            ("POST", Some("tools/call")) => {
                let progress = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}";
                let done = answered(id, "{\"content\":\"a b\"}");
                (
                    EVENTS.into(),
                    Some(format!(
                        ": hi\r\ndata: {progress}\r\n\r\nid: 7\ndata: {done}\n\n"
                    )),
                )
            }
            ("GET", _) => {
                let ping = "{\"jsonrpc\":\"2.0\",\"id\":\"s\",\"method\":\"ping\"}";
                (format!("{EVENTS}\r\n\r\ndata: {ping}\n\n"), None)
            }
            ("DELETE", _) => ("204 No Content".into(), Some(String::new())),
            _ => ("202 Accepted".into(), Some(String::new())),
        }
    });
    let mut face = Face::start(&url);
    face.say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}");
    face.say("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    assert_eq!(face.hear()["result"]["protocolVersion"], "2025-11-25");
    let initialize = next(&asked);
    assert_eq!(initialize.line, "POST /help%20desk HTTP/1.1");
    assert_eq!(initialize.field("authorization"), Some("Bearer bwk_secret"));
    assert_eq!(initialize.field("mcp-session-id"), None);
    assert_eq!(initialize.field("mcp-protocol-version"), None);
    let initialized = next(&asked);
    assert_eq!(initialized.field("mcp-session-id"), Some("s-1"));
    // The server asks by itself, and is answered.
    assert_eq!(face.hear()["method"], "ping");
    let listens = next(&asked);
    assert!(listens.line.starts_with("GET "), "{listens:?}");
    face.say("{\"jsonrpc\":\"2.0\",\"id\":\"s\",\"result\":{}}");
    let answer = next(&asked);
    assert_eq!(answer.message()["id"], "s");
    // What a client writes arrives as it was written.
    let call =
        "{\"id\":2, \"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"n\":1.0,\"n\":2}}";
    face.say(call);
    assert_eq!(face.hear()["method"], "notifications/progress");
    assert_eq!(face.hear()["id"], 2);
    let called = next(&asked);
    assert_eq!(called.body.trim_end(), call);
    assert_eq!(called.field("mcp-session-id"), Some("s-1"));
    assert_eq!(called.field("mcp-protocol-version"), Some("2025-11-25"));
    assert_eq!(called.field("mcp-method"), None);
    let (status, more, said) = face.end();
    assert_eq!((status, more.len(), said.as_str()), (Some(0), 0, ""));
    let last: Vec<String> = asked.try_iter().map(|asked| asked.line).collect();
    assert!(
        last.iter().any(|line| line.starts_with("DELETE ")),
        "{last:?}"
    );
}

#[test]
fn refusals_are_told_in_the_gateways_words() {
    let (url, _asked) = serve(|asked| {
        match asked.message()["method"].as_str() {
        Some("tools/call") => (
            "403 Forbidden\r\ncontent-type: application/json".into(),
            Some("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32003,\"message\":\"not in the scope\"}}".into()),
        ),
        Some("tools/list") => (
            "401 Unauthorized\r\ncontent-type: application/problem+json".into(),
            Some("{\"detail\":\"the run has ended\"}".into()),
        ),
        Some("ping") => (JSON.into(), Some(String::new())),
        _ => ("400 Bad Request".into(), Some("{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,\"message\":\"no JSON\"}}".into())),
    }
    });
    let mut face = Face::start(&url);
    for (method, why) in [
        ("tools/call", "not in the scope"),
        ("tools/list", "the run has ended"),
        ("ping", "the answer broke off before its end"),
    ] {
        face.say(&format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":\"{method}\",\"method\":\"{method}\"}}"
        ));
        let heard = face.hear();
        assert_eq!(
            (&heard["id"], &heard["error"]["message"]),
            (&method.into(), &why.into())
        );
    }
    face.say("{\"id\": no");
    let heard = face.hear();
    assert_eq!(
        (&heard["id"], &heard["error"]["message"]),
        (&Value::Null, &"no JSON".into())
    );
    face.say("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/odd\"}");
    let (status, more, said) = face.end();
    assert_eq!((status, more.len()), (Some(0), 0));
    assert!(said.contains("a message was not taken: no JSON"), "{said}");
}

#[test]
fn where_there_is_no_session_the_header_says_what_the_message_says() {
    let meta = "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"}";
    let (url, asked) = serve(|asked| {
        let message = asked.message();
        let id = &message["id"];
        match message["method"].as_str() {
            Some("tools/list") => {
                let tools = "{\"tools\":[{\"name\":\"look\",\"inputSchema\":{\"properties\":{\"region\":\
                             {\"type\":\"string\",\"x-mcp-header\":\"Region\"}}}}]}";
                (JSON.into(), Some(answered(id, tools)))
            }
            Some("subscriptions/listen") => (EVENTS.into(), None),
            _ => (JSON.into(), Some(answered(id, "{}"))),
        }
    });
    let mut face = Face::start(&url);
    face.say(&format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{{{meta}}}}}"
    ));
    face.hear();
    let listed = next(&asked);
    assert_eq!(listed.field("mcp-method"), Some("tools/list"));
    assert_eq!(listed.field("mcp-protocol-version"), Some("2026-07-28"));
    face.say(&format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\",\"params\":{{\"name\":\"look\",\
         \"arguments\":{{\"region\":\"eu\"}},{meta}}}}}"
    ));
    face.hear();
    let called = next(&asked);
    assert_eq!(called.field("mcp-name"), Some("look"));
    assert_eq!(called.field("mcp-param-region"), Some("eu"));
    // A stream is given up by closing it.
    face.say(&format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"subscriptions/listen\",\"params\":{{{meta}}}}}"
    ));
    assert_eq!(
        next(&asked).field("mcp-method"),
        Some("subscriptions/listen")
    );
    face.say(
        "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":3}}",
    );
    assert_eq!(next(&asked).line, "closed");
    face.say(&format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"subscriptions/listen\",\"params\":{{{meta}}}}}"
    ));
    next(&asked);
    let (status, more, said) = face.end();
    assert_eq!((status, more.len(), said.as_str()), (Some(0), 0, ""));
}

#[test]
fn a_gateway_that_is_not_there_is_an_error_and_not_silence() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut face = Face::start(&format!("http://{closed}"));
    face.say("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}");
    let heard = face.hear();
    let why = heard["error"]["message"].as_str().unwrap();
    assert!(why.contains("cannot be reached"), "{why}");
    let pid = Pid::from_raw(face.process.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(face.process.wait().unwrap().code(), Some(0));
}

#[test]
fn outside_of_a_run_it_says_what_is_missing() {
    let mut command = bailiwick();
    command
        .args(["mcp", "helpdesk"])
        .env_remove("BAILIWICK_URL");
    let ran = common::ran(&mut command);
    assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""));
    assert!(
        ran.stderr.contains("BAILIWICK_URL is not set"),
        "{}",
        ran.stderr
    );
}
