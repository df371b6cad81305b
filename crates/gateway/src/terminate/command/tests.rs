use std::time::{Duration, Instant};

use bailiwick_run::{Ending, Time};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

struct Bench {
    commands: Arc<Commands>,
    end: watch::Sender<Option<Cut>>,
    folder: TempDir,
}

fn bench_of(words: &[&str]) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let server = include_str!("server.py");
    std::fs::write(folder.path().join("server.py"), server).unwrap();
    let command = Command {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        env: [("API_KEY".to_owned(), "k3y".to_owned())].into(),
        folder: folder.path().to_owned(),
    };
    let run = RunId::new(Time::from_millis(1), [7; 10]);
    let (end, ended) = watch::channel(None);
    Bench {
        commands: Arc::new(Commands::new("helpdesk", &command, run, ended)),
        end,
        folder,
    }
}

fn bench() -> Bench {
    bench_of(&["python3", "server.py"])
}

impl Bench {
    async fn send(&self, method: &str, session: Option<&str>, body: &str) -> Result<Reply, Lost> {
        let accept = Bytes::from_static(b"application/json, text/event-stream");
        let mut fields = vec![("accept".to_owned(), accept)];
        fields.extend(session.map(|it| (SESSION.to_owned(), Bytes::from(it.to_owned()))));
        let head = bhttp::Request {
            method: method.into(),
            path: "/".into(),
            fields,
            ..bhttp::Request::default()
        };
        let body = Body::Whole(Bytes::from(body.to_owned()));
        Arc::clone(&self.commands).send(head, body).await
    }

    async fn post(&self, session: Option<&str>, message: Value) -> Reply {
        let sent = self.send("POST", session, &message.to_string()).await;
        sent.unwrap_or_else(|lost| panic!("{message}: {lost}"))
    }

    /// The result of a request, its stream read to its end.
    async fn result(&self, session: Option<&str>, id: u64, method: &str) -> Value {
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method});
        let messages = all(self.post(session, message).await).await;
        let last = messages.last().unwrap();
        assert_eq!(last["id"], id);
        last["result"].clone()
    }

    /// The session and the program that an `initialize` gave.
    async fn session(&self) -> (String, u64) {
        let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize"});
        let reply = self.post(None, message).await;
        let session = bhttp::field(&reply.head.fields, SESSION).unwrap();
        let session = String::from_utf8(session.to_vec()).unwrap();
        let answer = all(reply).await;
        (session, answer[0]["result"]["pid"].as_u64().unwrap())
    }

    async fn status(&self, method: &str, session: Option<&str>, body: &str) -> u16 {
        self.send(method, session, body).await.unwrap().head.status
    }
}

/// The messages of a stream of events, one at a time.
struct Events {
    content: Content,
    buffer: BytesMut,
}

impl Events {
    fn of(reply: Reply) -> Self {
        assert_eq!(reply.head.status, 200);
        let kind = bhttp::field(&reply.head.fields, "content-type").unwrap();
        assert_eq!(kind, EVENTS.as_bytes());
        Self {
            content: reply.content,
            buffer: BytesMut::new(),
        }
    }

    async fn next(&mut self) -> Result<Option<Value>, Lost> {
        loop {
            let text = String::from_utf8(self.buffer.to_vec()).unwrap();
            if let Some((event, rest)) = text.split_once("\n\n") {
                let data = event.strip_prefix("event: message\ndata: ").unwrap();
                self.buffer = BytesMut::from(rest);
                return Ok(Some(serde_json::from_str(data).unwrap()));
            }
            match self.content.frame().await {
                Some(frame) => self.buffer.extend_from_slice(&frame?.into_data().unwrap()),
                None => return Ok(None),
            }
        }
    }
}

async fn all(reply: Reply) -> Vec<Value> {
    let mut events = Events::of(reply);
    let mut messages = Vec::new();
    while let Some(message) = events.next().await.unwrap() {
        messages.push(message);
    }
    messages
}

/// Whether a process is there, other than as a name that nobody has asked for yet.
fn lives(pid: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

async fn dies(pid: u64, within: Duration) -> bool {
    let since = Instant::now();
    while lives(pid) {
        if since.elapsed() > within {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

#[tokio::test]
async fn a_session_has_a_program_from_its_beginning_to_its_end() {
    let bench = bench();
    let (one, first) = bench.session().await;
    let (other, second) = bench.session().await;
    assert_ne!(one, other);
    assert_ne!(first, second);
    assert_eq!(bench.result(Some(&one), 1, "pid").await["pid"], first);
    assert_eq!(bench.result(Some(&other), 1, "pid").await["pid"], second);
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(bench.status("POST", Some(&one), notification).await, 202);
    assert_eq!(
        bench.result(Some(&one), 2, "seen").await[2]["method"],
        "notifications/initialized"
    );

    assert_eq!(bench.status("DELETE", Some(&one), "").await, 204);
    assert_eq!(bench.status("DELETE", Some(&one), "").await, 404);
    let ping = r#"{"jsonrpc":"2.0","id":9,"method":"pid"}"#;
    assert_eq!(bench.status("POST", Some(&one), ping).await, 404);
    assert_eq!(bench.status("GET", Some(&one), "").await, 404);
    assert!(dies(first, Duration::from_secs(5)).await);
    assert!(lives(second));
    drop(bench);
    assert!(dies(second, Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_program_gets_nothing_of_the_gateways_but_what_it_needs() {
    let bench = bench();
    let _open = std::fs::File::open(bench.folder.path().join("server.py")).unwrap();
    let around = bench.result(None, 1, "surroundings").await;
    let environment = around["environment"].as_object().unwrap();
    assert_eq!(environment["API_KEY"], "k3y");
    assert_eq!(environment["PYTHONNOUSERSITE"], "1");
    assert!(environment.contains_key("PATH"));
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    // What the test itself is run with; a `python3` that is a script sets others of its own.
    for name in environment.keys() {
        assert!(
            !name.starts_with("CARGO") && !name.starts_with("RUST"),
            "{name}"
        );
    }
    let folder = bench.folder.path().canonicalize().unwrap();
    assert_eq!(around["folder"], folder.to_str().unwrap());
    let server = bench.folder.path().join("server.py");
    let fds = around["fds"].as_array().unwrap();
    assert!(!fds.is_empty() && !fds.contains(&json!(server)), "{fds:?}");
    assert_eq!(around["leads"], true);
}

#[tokio::test]
async fn a_run_that_ends_takes_its_programs_along_with_what_they_started() {
    let bench = bench();
    let (session, program) = bench.session().await;
    let forked = bench.result(Some(&session), 1, "fork").await["pid"]
        .as_u64()
        .unwrap();
    let deaf = json!({"jsonrpc": "2.0", "id": 2, "method": "deaf"});
    let mut hanging = Events::of(bench.post(Some(&session), deaf).await);
    assert!(lives(program) && lives(forked));
    bench.end.send_replace(Some(Cut::Ended(Ending::Revoked)));
    assert!(dies(program, Duration::from_secs(1)).await);
    assert!(dies(forked, Duration::from_secs(1)).await);
    assert!(matches!(hanging.next().await, Err(Lost::Gone(_))));
    assert_eq!(bench.status("GET", Some(&session), "").await, 404);
}

#[tokio::test]
async fn a_program_that_dies_takes_what_it_started_along() {
    let bench = bench();
    let (session, _) = bench.session().await;
    let forked = bench.result(Some(&session), 1, "fork").await["pid"]
        .as_u64()
        .unwrap();
    let die = json!({"jsonrpc": "2.0", "id": 2, "method": "die"});
    let mut cut = Events::of(bench.post(Some(&session), die).await);
    let lost = cut.next().await.unwrap_err();
    assert!(
        matches!(&lost, Lost::Gone(what) if what.contains("`helpdesk`")),
        "{lost}"
    );
    assert!(dies(forked, Duration::from_secs(1)).await);
    let ping = r#"{"jsonrpc":"2.0","id":9,"method":"pid"}"#;
    assert_eq!(bench.status("POST", Some(&session), ping).await, 404);
}

#[tokio::test]
async fn what_a_program_says_goes_to_whom_it_belongs() {
    let bench = bench();
    let (session, _) = bench.session().await;
    let slow = |id: u64| {
        json!({"jsonrpc": "2.0", "id": id, "method": "slow",
            "params": {"_meta": {"progressToken": format!("t-{id}")}}})
    };
    let (one, other) = tokio::join!(
        async { all(bench.post(Some(&session), slow(1)).await).await },
        async { all(bench.post(Some(&session), slow(2)).await).await },
    );
    for (id, messages) in [(1, one), (2, other)] {
        assert_eq!(messages.len(), 4, "{messages:?}");
        assert_eq!(messages[3]["id"], id);
        for message in &messages[..3] {
            assert_eq!(message["params"]["progressToken"], format!("t-{id}"));
        }
    }
    // What is of nobody goes to who listens; there is one at a time.
    let mut listening = Events::of(bench.send("GET", Some(&session), "").await.unwrap());
    assert_eq!(bench.status("GET", Some(&session), "").await, 409);
    assert_eq!(bench.result(Some(&session), 3, "ask").await, json!({}));
    let asked = listening.next().await.unwrap().unwrap();
    assert_eq!(asked["method"], "sampling/createMessage");
    let answer = r#"{"jsonrpc":"2.0","id":"s-1","result":{}}"#;
    assert_eq!(bench.status("POST", Some(&session), answer).await, 202);
    let seen = bench.result(Some(&session), 4, "seen").await;
    assert!(
        seen.as_array()
            .unwrap()
            .iter()
            .any(|message| message["id"] == "s-1")
    );
    // Without, it goes along with an answer.
    drop(listening);
    let ask = json!({"jsonrpc": "2.0", "id": 5, "method": "ask"});
    let messages = all(bench.post(Some(&session), ask).await).await;
    assert_eq!(messages[0]["id"], "s-1");
    assert_eq!(messages[1]["id"], 5);
    // And to one that wants JSON, the answer alone; the rest is kept for who listens next.
    let head = bhttp::Request {
        method: "POST".into(),
        path: "/".into(),
        fields: vec![(SESSION.to_owned(), Bytes::from(session.clone()))],
        ..bhttp::Request::default()
    };
    let ask = Body::Whole(Bytes::from(r#"{"jsonrpc":"2.0","id":6,"method":"ask"}"#));
    let reply = Arc::clone(&bench.commands).send(head, ask).await.unwrap();
    let answer = reply.content.collect().await.unwrap().to_bytes();
    assert_eq!(serde_json::from_slice::<Value>(&answer).unwrap()["id"], 6);
    let mut listening = Events::of(bench.send("GET", Some(&session), "").await.unwrap());
    assert_eq!(listening.next().await.unwrap().unwrap()["id"], "s-1");
}

#[tokio::test]
async fn without_sessions_clients_of_one_run_do_not_get_each_others_answers() {
    let bench = bench();
    let first = bench.result(None, 1, "pid").await["pid"].clone();
    assert_eq!(bench.result(None, 1, "pid").await["pid"], first);
    let silent = json!({"jsonrpc": "2.0", "id": 1, "method": "never answered"});
    let hanging = bench.post(None, silent).await;
    assert_eq!(bench.result(None, 2, "pid").await["pid"], first);
    // The id of one that waits: another program answers it.
    let second = bench.result(None, 1, "pid").await["pid"].clone();
    assert_ne!(second, first);
    // Not to wait any more is to cancel; the answer could still come, so the id stays taken.
    drop(hanging);
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    let seen = bench.result(None, 3, "seen").await;
    assert!(seen.as_array().unwrap().contains(&cancelled), "{seen}");
    assert_eq!(bench.result(None, 1, "pid").await["pid"], second);
    // In a session the client would have had to say so itself.
    let (session, _) = bench.session().await;
    let silent = json!({"jsonrpc": "2.0", "id": 1, "method": "never answered"});
    drop(bench.post(Some(&session), silent.clone()).await);
    let body = silent.to_string();
    assert_eq!(bench.status("POST", Some(&session), &body).await, 409);
    let seen = bench.result(Some(&session), 2, "seen").await;
    assert!(!seen.as_array().unwrap().contains(&cancelled), "{seen}");
}

#[tokio::test]
async fn a_program_that_floods_fills_no_memory_and_one_that_says_too_much_is_ended() {
    let bench = bench();
    let (session, program) = bench.session().await;
    // 20,000 messages to an agent that takes them, and to nobody.
    let flood = json!({"jsonrpc": "2.0", "id": 1, "method": "flood"});
    let mut events = Events::of(bench.post(Some(&session), flood.clone()).await);
    assert!(events.next().await.unwrap().is_some());
    drop(events);
    assert_eq!(bench.result(Some(&session), 2, "pid").await["pid"], program);
    let listening = all_that_is_kept(&bench, &session).await;
    assert!(listening <= 64, "{listening}");

    let long = |id: u64, bytes: usize| json!({"jsonrpc": "2.0", "id": id, "method": "long", "params": {"bytes": bytes}});
    let whole = bench.post(Some(&session), long(3, 8 << 20)).await;
    let whole = whole.content.collect().await.unwrap().to_bytes();
    assert!(whole.len() > 8 << 20);
    let mut cut = Events::of(bench.post(Some(&session), long(4, 17 << 20)).await);
    assert!(matches!(cut.next().await, Err(Lost::Gone(_))));
    assert!(dies(program, Duration::from_secs(6)).await);
}

async fn all_that_is_kept(bench: &Bench, session: &str) -> usize {
    let mut events = Events::of(bench.send("GET", Some(session), "").await.unwrap());
    let mut count = 0;
    while let Ok(Ok(Some(_))) =
        tokio::time::timeout(Duration::from_millis(200), events.next()).await
    {
        count += 1;
    }
    count
}

#[tokio::test]
async fn a_run_has_so_many_programs_and_no_more() {
    let bench = bench();
    let mut sessions = Vec::new();
    for _ in 0..PROGRAMS_PER_RUN_MAX {
        sessions.push(bench.session().await.0);
    }
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize"}"#;
    assert_eq!(bench.status("POST", None, initialize).await, 503);
    let other = r#"{"jsonrpc":"2.0","id":0,"method":"pid"}"#;
    assert_eq!(bench.status("POST", None, other).await, 503);
    assert_eq!(bench.status("DELETE", Some(&sessions[0]), "").await, 204);
    bench.session().await;
}

#[tokio::test]
async fn what_is_no_message_is_not_sent() {
    let bench = bench();
    let (session, _) = bench.session().await;
    for body in [
        "",
        "{}",
        "[]",
        "x",
        r#"[{"jsonrpc":"2.0","id":1,"method":"pid"}]"#,
    ] {
        assert_eq!(
            bench.status("POST", Some(&session), body).await,
            400,
            "{body}"
        );
    }
    assert_eq!(bench.status("PUT", Some(&session), "").await, 405);
    assert_eq!(bench.status("GET", None, "").await, 405);
    assert_eq!(bench.status("DELETE", None, "").await, 405);
    assert_eq!(
        bench
            .status("POST", Some("guessed"), r#"{"id":1,"method":"pid"}"#)
            .await,
        404
    );
    let seen = bench.result(Some(&session), 1, "seen").await;
    assert_eq!(seen.as_array().unwrap().len(), 2, "{seen}");
    // A message over several lines is one.
    let odd = "{\"jsonrpc\":\"2.0\",\r\n\"id\":2,\n\"method\":\"pid\"}";
    assert_eq!(bench.status("POST", Some(&session), odd).await, 200);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_said_to_be() {
    let bench = bench_of(&["no-such-program"]);
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize"}"#;
    let lost = bench.send("POST", None, initialize).await.err().unwrap();
    let Lost::Unsent(what) = lost else {
        panic!("{lost}")
    };
    assert!(
        what.contains("`no-such-program` cannot be started"),
        "{what}"
    );
    assert!(what.contains("`command` of target `helpdesk`"), "{what}");
    // One that ends at once answers nothing.
    let bench = bench_of(&["true"]);
    let reply = bench.send("POST", None, initialize).await;
    let lost = match reply {
        Ok(reply) => Events::of(reply).next().await.unwrap_err(),
        Err(lost) => lost,
    };
    assert!(matches!(lost, Lost::Gone(_) | Lost::Unsent(_)), "{lost}");
}
