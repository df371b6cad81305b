use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use bailiwick_run::Time;
use serde_json::Value;

use super::*;

mod delivery;

fn notice() -> Notice {
    let time = Time::from_millis(1_700_000_000_123);
    Notice {
        signal: Some("first-denied".into()),
        run: Some(RunId::new(time, [7; 10])),
        task: Some("triage".into()),
        launcher: Some("human:alice@acme.com".parse().unwrap()),
        target: Some("tickets".into()),
        verb: Some("SELECT".into()),
        actions: vec!["select public.salaries".into()],
        reason: Some("select on public.salaries is outside the scope".into()),
        record: Some("run_X/2".into()),
        page: "/records/run_X/2".into(),
        ..Notice::new(
            "first-denied_run_X_2".into(),
            NoticeKind::SignalRaised,
            time,
            "first-denied: a call was denied".into(),
        )
    }
}

const LINK: Option<&str> = Some("https://console.example/records/run_X/2");

/// What an agent would have people click and hear.
const NASTY: &str =
    "<!channel> <http://evil.example|click> `x` *b* @here\nhttps://evil.example \u{202e}]\" \\ &";

#[test]
fn a_webhook_is_signed_over_its_id_its_moment_and_its_body() {
    let now = Time::from_millis(1_700_000_009_999);
    let signed = webhook::sign(&notice(), LINK, &[7; 32], now);
    let body: Value = serde_json::from_slice(&signed.body).unwrap();
    assert_eq!(body["type"], "signal.raised");
    assert_eq!(body["timestamp"], "2023-11-14T22:13:20.123Z");
    assert_eq!(body["data"]["url"], LINK.unwrap());
    assert_eq!(body["data"]["launcher"], "human:alice@acme.com");
    let [id, at, signature] = &signed.fields;
    assert_eq!(id.1, "first-denied_run_X_2");
    assert_eq!(at.1, "1700000009");
    let other = webhook::sign(&notice(), LINK, &[8; 32], now);
    assert_eq!(signed.body, other.body);
    assert_ne!(signature.1, other.fields[2].1);
    let later = webhook::sign(
        &notice(),
        LINK,
        &[7; 32],
        Time::from_millis(1_700_000_010_000),
    );
    assert_ne!(signature.1, later.fields[2].1);
}

/// What Slack refuses would keep all that comes after it from being told.
#[test]
fn nothing_is_too_long_for_slack() {
    let long = "&".repeat(40_000);
    let mut notice = notice();
    notice.title.clone_from(&long);
    notice.target = Some(long.clone());
    notice.verb = Some(long.clone());
    notice.task = Some(long.clone());
    notice.reason = Some(long.clone());
    notice.actions = vec![long; 64];
    let body: Value = serde_json::from_slice(&slack::body(&notice, LINK)).unwrap();
    assert!(body["text"].as_str().unwrap().len() < 40_000);
    assert!(body["blocks"].to_string().len() < 13_000);
}

#[test]
fn the_words_of_an_agent_stay_words_in_slack() {
    let mut notice = notice();
    notice.actions = vec![NASTY.into()];
    notice.reason = Some(NASTY.into());
    let body: Value = serde_json::from_slice(&slack::body(&notice, LINK)).unwrap();
    let text = body["text"].as_str().unwrap();
    // The only thing in angle brackets is our link, and code is as long as its line.
    assert_eq!(text.matches('<').count(), 1, "{text}");
    assert!(text.ends_with("<https://console.example/records/run_X/2|Look at it in the console>"));
    let lines: Vec<_> = text.lines().collect();
    for line in &lines[..lines.len() - 1] {
        assert_eq!(line.matches('`').count(), 2, "{line}");
        assert!(line.ends_with('`'), "{line}");
    }
    let elements = body["blocks"][0]["elements"][0]["elements"]
        .as_array()
        .unwrap();
    let links = elements.iter().filter(|element| element["type"] != "text");
    assert_eq!(links.count(), 1);
    let shown = serde_json::to_string(elements).unwrap();
    assert!(!shown.contains('\u{202e}') && shown.contains("<!channel>"));
    assert_eq!(body["link_names"], false);
}

#[test]
fn a_syslog_message_is_one_line_whatever_is_in_it() {
    let mut notice = notice();
    notice.actions = vec![NASTY.into()];
    notice.reason = Some("é\u{0}\n".repeat(500));
    let message = syslog::message(&notice, LINK, "gate way\n", 42);
    assert!(
        message.starts_with(
            "<108>1 2023-11-14T22:13:20.123Z gateway bailiwick 42 signal.raised [bailiwick@32473 id=\""
        ),
        "{message}"
    );
    assert!(
        message.ends_with("\"] first-denied: a call was denied"),
        "{message}"
    );
    assert!(message.len() <= 2048 && !message.contains(char::is_control));
    assert!(message.contains("\\]\\\" \\\\ &"), "{message}");
    assert!(message.contains("…\""));
    let held = Notice {
        kind: NoticeKind::CallHeld,
        title: "é".repeat(400),
        ..notice
    };
    let message = syslog::message(&held, None, "", 42);
    assert!(message.starts_with("<109>1 2023-11-14T22:13:20.123Z - bailiwick 42 call.held ["));
    assert!(message.contains("] \u{feff}é") && message.len() <= 2048);
}

#[test]
fn syslog_goes_by_datagram_by_connection_and_to_a_socket() {
    let message = syslog::message(&notice(), None, "host", 1);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = udp.local_addr().unwrap().port();
    let host = || "127.0.0.1".to_owned();
    Syslog::Udp { host: host(), port }.send(&message).unwrap();
    let mut bytes = [0; 4096];
    let read = udp.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..read], message.as_bytes());

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let unix = UnixDatagram::bind(&path).unwrap();
    Syslog::Unix(path.clone()).send(&message).unwrap();
    let read = unix.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..read], message.as_bytes());
    drop(unix);
    assert!(Syslog::Unix(path).send(&message).is_err());

    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = tcp.accept().unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        stream.flush().unwrap();
        all
    });
    Syslog::Tcp { host: host(), port }.send(&message).unwrap();
    assert_eq!(
        server.join().unwrap(),
        format!("{} {message}", message.len())
    );
    std::thread::sleep(Duration::from_millis(10));
    assert!(Syslog::Tcp { host: host(), port }.send(&message).is_err());
}

/// The names of opentelemetry-proto's `ExportLogsServiceRequest`, as its JSON has them.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Export {
    resource_logs: Vec<ResourceLogs>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ResourceLogs {
    resource: Resource,
    scope_logs: Vec<ScopeLogs>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    attributes: Vec<Attribute>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ScopeLogs {
    scope: Value,
    log_records: Vec<LogRecord>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LogRecord {
    time_unix_nano: String,
    observed_time_unix_nano: String,
    severity_number: u8,
    severity_text: String,
    event_name: String,
    body: AnyValue,
    attributes: Vec<Attribute>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Attribute {
    key: String,
    value: AnyValue,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AnyValue {
    string_value: String,
}

#[test]
fn a_log_record_has_the_names_that_opentelemetry_gives_it() {
    let now = Time::from_millis(1_700_000_009_999);
    let export: Export = serde_json::from_slice(&otlp::body(&notice(), LINK, now)).unwrap();
    let of = &export.resource_logs[0];
    assert_eq!(of.resource.attributes[0].key, "service.name");
    let scope = &of.scope_logs[0];
    assert_eq!(scope.scope["name"], "bailiwick");
    let record = &scope.log_records[0];
    assert_eq!(record.time_unix_nano, "1700000000123000000");
    assert_eq!(record.observed_time_unix_nano, "1700000009999000000");
    assert_eq!(
        (record.severity_number, &*record.severity_text),
        (13, "WARN")
    );
    assert_eq!(record.event_name, "bailiwick.signal.raised");
    assert_eq!(record.body.string_value, "first-denied: a call was denied");
    let attributes = record.attributes.iter();
    let target = attributes
        .into_iter()
        .find(|one| one.key == "bailiwick.target");
    assert_eq!(target.unwrap().value.string_value, "tickets");
}
