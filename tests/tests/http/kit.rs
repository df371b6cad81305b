//! One CRM for all tests, a gateway for each, and agents that speak HTTP politely or not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bailiwick_tests::{Builder, CREDENTIAL, Peer, Run, World, command, finish, http_task};
use serde_json::Value;

/// What most tests' task may do.
pub(crate) const TRIAGE: &str = r#"
[[read]]
target = "crm"
requests = [
    "GET /customers", "GET /customers/*", "GET /tickets/*", "POST /search", "GET /echo/**", "GET /events",
    "GET /large", "GET /notes", "GET /binary", "GET /encoded", "GET /redirect",
    "GET /cookies", "GET /status/*",
]
[[read]]
target = "crm"
requests = ["GET /customers.csv"]
binary = true
[[write]]
target = "crm"
requests = ["POST /tickets/{id}/comments", "POST /echo/**", "PATCH /echo/**"]
[[mask]]
target = "crm"
fields = ["$..card"]
"#;

/// The CRM of this test program, which goes with it.
pub(crate) fn crm() -> &'static Peer {
    static CRM: OnceLock<Peer> = OnceLock::new();
    CRM.get_or_init(|| {
        let authorization = format!("Authorization: Bearer {CREDENTIAL}");
        Peer::crm_with(|crm| {
            crm.env("CRM_CREDENTIAL", authorization)
                .arg("--with-stdin")
                .stdin(Stdio::piped())
        })
    })
}

/// The target `crm`, at this URL, with these lines besides.
pub(crate) fn section(url: &str, lines: &str) -> String {
    format!(
        "[targets.crm]\nkind = \"http\"\nurl = \"{url}\"\nauth = {{ bearer = \"${{CRM_TOKEN}}\" }}\n\
         private = true\n{lines}"
    )
}

/// A gateway in front of the CRM, with this task `triage`, not started.
pub(crate) fn before_crm(grants: &str) -> Builder {
    before(&crm().url(""), grants)
}

/// The same in front of another server.
pub(crate) fn before(url: &str, grants: &str) -> Builder {
    World::builder()
        .section(&section(url, ""))
        .variable("CRM_TOKEN", CREDENTIAL)
        .task(http_task("triage", grants))
}

/// What no other test sends: for a query, a path or a field.
pub(crate) fn mark() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    format!("mark{:05}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// What the CRM got with this mark anywhere in it.
pub(crate) fn arrived(mark: &str) -> Vec<Value> {
    let mut entries = crm().journal.entries();
    entries.retain(|entry| entry.to_string().contains(mark));
    entries
}

/// The one request with this mark that the CRM got.
#[track_caller]
pub(crate) fn arrived_once(mark: &str) -> Value {
    let entries = arrived(mark);
    let [entry] = &entries[..] else {
        panic!("{mark}: {entries:#?}");
    };
    entry.clone()
}

/// A field of a request that the CRM got, where it stands there once.
pub(crate) fn field(entry: &Value, name: &str) -> Option<String> {
    let fields = entry["headers"].as_array().expect("fields");
    let mut values = fields.iter().filter(|field| field[0] == name);
    let value = values.next()?[1].as_str().map(str::to_owned);
    assert!(values.next().is_none(), "{name} twice: {entry:#}");
    value
}

/// An answer, as curl shows it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
    /// curl's own exit status.
    pub(crate) code: i32,
}

impl Answer {
    /// Its content as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:#?}"))
    }

    /// Checks that it is a problem of this status, that says why and what to do; returns why.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:#?}");
        assert!(
            self.head.contains("content-type: application/problem+json"),
            "{self:#?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], status, "{self:#?}");
        let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
        assert!(!text("remedy").is_empty(), "{self:#?}");
        assert!(!text("detail").is_empty(), "{self:#?}");
        text("detail")
    }

    /// Reads `head CRLF CRLF body`.
    pub(crate) fn read(text: &str, code: i32) -> Self {
        let mut rest = text;
        loop {
            let (head, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
            let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
            let status = status.unwrap_or_default();
            // An interim answer, behind which the answer is.
            if (100..200).contains(&status) && status != 101 {
                rest = body;
                continue;
            }
            return Self {
                status,
                head: head.to_ascii_lowercase(),
                body: body.to_owned(),
                code,
            };
        }
    }
}

/// curl, with nothing but what is said.
pub(crate) fn plain_curl(arguments: &[&str], url: &str) -> Answer {
    let finished = finish(&mut curl_command(arguments, url));
    Answer::read(&finished.stdout, finished.code())
}

/// The same, not started.
pub(crate) fn curl_command(arguments: &[&str], url: &str) -> Command {
    let mut curl = command("curl");
    curl.args(["--disable", "--silent", "--show-error", "--include"])
        .args(["--no-buffer", "--path-as-is", "--max-time", "30"])
        .args(arguments)
        .arg(url);
    curl
}

/// curl with the run's secret, on a path of the CRM.
pub(crate) fn curl(world: &World, run: &Run, arguments: &[&str], path: &str) -> Answer {
    let authorization = format!("Authorization: Bearer {}", run.token());
    let arguments = [&["--header", &authorization], arguments].concat();
    plain_curl(&arguments, &format!("{}{path}", world.http("crm")))
}

/// Sends JSON by this method.
pub(crate) fn send(world: &World, run: &Run, method: &str, path: &str, json: &str) -> Answer {
    let arguments = ["--request", method, "--data-binary", json];
    let typed = ["--header", "Content-Type: application/json"];
    curl(world, run, &[&arguments[..], &typed[..]].concat(), path)
}

/// `HOST:PORT` where the gateway speaks HTTP.
pub(crate) fn address(world: &World) -> String {
    let url = world.http("");
    url.trim_start_matches("http://")
        .trim_end_matches('/')
        .to_owned()
}

/// How long nothing may come.
const QUIET: Duration = Duration::from_secs(10);

/// What comes back for these bytes, up to the end of the connection. They ask for that end, or have it
/// coming.
#[track_caller]
pub(crate) fn raw(world: &World, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address(world)).expect("a connection");
    // One that has been refused may be closed already.
    let _ = stream.write_all(bytes);
    let (got, ended) = drain(&mut stream, QUIET);
    assert!(ended, "the connection goes on: {got}");
    got
}

/// The same from a connection that is there.
pub(crate) fn drain(stream: &mut TcpStream, quiet: Duration) -> (String, bool) {
    stream.set_read_timeout(Some(quiet)).expect("a timeout");
    let (mut got, mut bytes) = (Vec::new(), [0; 64 * 1024]);
    let ended = loop {
        match stream.read(&mut bytes) {
            Ok(0) => break true,
            Ok(read) => got.extend_from_slice(&bytes[..read]),
            Err(error) => {
                break !matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                );
            }
        }
    };
    (String::from_utf8_lossy(&got).into_owned(), ended)
}

/// The fields that every request needs, and one that ends the connection with it.
pub(crate) fn last_fields(run: &Run) -> String {
    format!("Connection: close\r\n{}", fields(run))
}

/// The fields that every request needs, for raw ones.
pub(crate) fn fields(run: &Run) -> String {
    format!("Host: gateway\r\nAuthorization: Bearer {}\r\n", run.token())
}

/// The record of the call whose text holds this.
#[track_caller]
pub(crate) fn call<'t>(trail: &'t [Value], text: &str) -> &'t Value {
    let found = trail.iter().find(|entry| {
        entry["record"]["type"] == "call.decided"
            && entry["payload"]["text"]
                .as_str()
                .is_some_and(|said| said.contains(text))
    });
    found.unwrap_or_else(|| panic!("no record of {text} in {trail:#?}"))
}

/// The record of what became of a call.
#[track_caller]
pub(crate) fn outcome<'t>(trail: &'t [Value], call: &Value) -> &'t Value {
    let of = |entry: &&Value| entry["record"]["of"] == call["seq"];
    let found = trail.iter().find(of);
    found.unwrap_or_else(|| panic!("no outcome of {call:#} in {trail:#?}"))
}

/// The trail once it has an outcome for each of its calls that was let through.
#[track_caller]
pub(crate) fn finished(world: &World, run: &Run) -> Vec<Value> {
    bailiwick_tests::eventually("all outcomes", Duration::from_secs(10), || {
        let trail = world.trail(&run.id);
        let count = |what: &dyn Fn(&Value) -> bool| {
            trail.iter().filter(|entry| what(&entry["record"])).count()
        };
        let allowed = count(&|record| {
            record["type"] == "call.decided" && record["decision"]["effect"] == "allow"
        });
        let over = count(&|record| record["type"] == "call.finished");
        (allowed == over).then_some(trail)
    })
}

/// The decision on the call whose text holds this, denied; and that the CRM got nothing with it.
#[track_caller]
pub(crate) fn denied(world: &World, run: &Run, mark: &str) -> Value {
    let trail = world.trail(&run.id);
    let record = call(&trail, mark)["record"].clone();
    assert_eq!(record["decision"]["effect"], "deny", "{record:#}");
    let arrived = arrived(mark);
    assert!(arrived.is_empty(), "denied, and yet: {arrived:#?}");
    record
}
