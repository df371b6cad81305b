//! Targets that are programs, reached as an exchange reaches any other.

use std::time::{Duration, Instant};

use bailiwick_run::{Cut, Ending};
use bailiwick_wire::mcp;

use super::house::{House, target};
use crate::target::Target;
use crate::upstream::{Command, Upstream};

const TASK: &str = r#"
task      = "t"
purpose   = "p"
launchers = ["human:*@acme.com"]
ttl       = "30m"
[[write]]
target   = "helpdesk"
tools    = ["whoami"]
unpinned = true
"#;

/// A run's end of a session with a program.
struct Client<'h> {
    house: &'h House,
    session: String,
}

impl Client<'_> {
    async fn post(&self, body: &str) -> String {
        let secret = self.house.secret.reveal();
        let request = format!(
            "POST /helpdesk HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {secret}\r\n\
             accept: application/json, text/event-stream\r\ncontent-type: application/json\r\n\
             {}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.session,
            body.len()
        );
        self.house.raw(request.as_bytes()).await
    }

    async fn call(&self, id: u32, tool: &str) -> String {
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
        );
        self.post(&call).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_answers_like_a_server_and_is_gone_with_its_run() {
    let folder = tempfile::tempdir().unwrap();
    let server = include_str!("../command/server.py");
    std::fs::write(folder.path().join("server.py"), server).unwrap();
    let upstream = Upstream {
        command: Some(Command {
            words: vec!["python3".into(), "server.py".into()],
            env: [].into(),
            folder: folder.path().to_owned(),
        }),
        ..Upstream::default()
    };
    let helpdesk = Target {
        protocol: &mcp::PROTOCOL,
        ..target("helpdesk", upstream)
    };
    let house = House::of(TASK, vec![helpdesk]).await;
    let mut client = Client {
        house: &house,
        session: String::new(),
    };
    let answer = client
        .post(
            r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#,
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (_, session) = answer.split_once("mcp-session-id: ").expect(&answer);
    let (session, _) = session.split_once("\r\n").unwrap();
    client.session = format!("mcp-session-id: {session}\r\nmcp-protocol-version: 2025-11-25\r\n");
    let answer = client
        .post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        .await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    let answer = client.call(1, "whoami").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (_, pid) = answer.split_once("i am ").expect(&answer);
    let pid: String = pid.chars().take_while(char::is_ascii_digit).collect();
    let answer = client.call(2, "drop").await;
    assert!(answer.contains("drop"), "{answer}");
    assert!(!answer.contains("i am "), "{answer}");

    let program = std::path::PathBuf::from(format!("/proc/{pid}/cmdline"));
    let lives = || std::fs::read(&program).is_ok_and(|words| !words.is_empty());
    assert!(lives());
    let since = Instant::now();
    house.ended.send_replace(Some(Cut::Ended(Ending::Revoked)));
    while lives() {
        assert!(since.elapsed() < Duration::from_secs(10), "it still runs");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
