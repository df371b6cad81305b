//! Who is told understands it, whatever an agent has put into it; and what one will not hear holds nothing up.

use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bailiwick_tests::{
    Agent, Lasting, TRIAGE, World, command, eventually, finish, free_port, python_otlp, rotel,
    rsyslogd, task,
};
use serde_json::Value;

use crate::SECRET;
use crate::receiver::Receiver;

/// Programs have to start, and what was not delivered is tried again after a while.
const LONG: Duration = Duration::from_secs(60);

/// Names of tables that would be messages of their own, and end what they stand in.
const HOSTILE: [&str; 3] = [
    "a\n<8>1 2026-01-01T00:00:00Z evil evil 1 forged - from the agent",
    "b\"] \\ [bailiwick@32473 id=\"forged\"] é \u{202e}",
    "c\r\n\0\u{1b}[31m7 <8>1 - -",
];

/// What is shown of one: without what has an effect by itself.
fn shown(table: &str) -> String {
    table.replace(char::is_control, " ")
}

/// A gateway that tells these sinks of calls that were denied; and the runs that each had such a call, on a table with
/// one of these names.
fn told(sinks: &str, names: &[&str], tables: &[&str]) -> (World, Vec<String>) {
    let names: Vec<_> = names
        .iter()
        .map(|name| format!("\"notify:{name}\""))
        .collect();
    let rules = format!(
        "{sinks}\n[[signals]]\nname = \"denied\"\nwhen = \"denied\"\ndo = [{}]\n",
        names.join(", ")
    );
    let world = World::builder()
        .task(task("triage", TRIAGE))
        .log(&rules)
        .variable("HOOK_SECRET", SECRET)
        .variable("OTLP_TOKEN", "the collector's own")
        .start();
    let runs = tables.iter().map(|table| {
        let run = world.open("triage");
        let name = table.replace('"', "\"\"").replace('\0', "");
        let mut agent = Agent::connect(&run);
        agent
            .query(&format!("DELETE FROM \"{name}\""))
            .denied(&["delete"]);
        run.id
    });
    let runs = runs.collect();
    (world, runs)
}

/// Starts a program that prints nothing when it is ready.
fn start(program: &Command, said: &Path) -> Lasting {
    let mut shell = command("sh");
    shell.args(["-c", "echo started; exec \"$@\" >&2", "sh"]);
    shell.arg(program.get_program()).args(program.get_args());
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    Lasting::start(&mut shell, "started", said)
}

/// The lines of JSON in a file, once there are so many.
fn lines(file: &Path, count: usize) -> Vec<Value> {
    eventually(
        &format!("{count} lines in {}", file.display()),
        LONG,
        || {
            let text = fs::read_to_string(file).unwrap_or_default();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let lines = whole
                .lines()
                .map(|line| serde_json::from_str(line).expect("JSON"));
            let lines: Vec<Value> = lines.collect();
            (lines.len() >= count).then_some(lines)
        },
    )
}

#[test]
fn a_real_syslog_server_reads_each_message_as_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (port, got, socket) = (free_port(), path("got"), path("socket"));
    let config = format!(
        r#"
global(workDirectory="{}" maxMessageSize="8k")
module(load="imudp")
module(load="imtcp")
module(load="imuxsock" SysSock.Use="off")
module(load="mmpstrucdata")
template(name="line" type="string" string="%$!all-json-plain%\n")
ruleset(name="all") {{
  action(type="mmpstrucdata" jsonRoot="$!data" sd_name.lowercase="off")
  set $!priority = $pri;
  set $!version = $protocol-version;
  set $!app = $app-name;
  set $!kind = $msgid;
  set $!text = $msg;
  set $!way = $inputname;
  action(type="omfile" file="{}" template="line")
}}
input(type="imudp" address="127.0.0.1" port="{port}" ruleset="all" name="udp")
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="all" name="tcp")
input(type="imuxsock" socket="{}" ruleset="all" useSpecialParser="off" parseHostname="on")
"#,
        folder.path().display(),
        got.display(),
        socket.display()
    );
    fs::write(path("rsyslog.conf"), config).expect("the configuration");
    let mut program = rsyslogd();
    program.arg("-n").arg("-f").arg(path("rsyslog.conf"));
    program.arg("-i").arg(path("pid"));
    let _server = start(&program, &path("said"));
    eventually("it listens", LONG, || {
        let datagrams = UdpSocket::bind(("127.0.0.1", port)).is_err();
        (datagrams && socket.exists() && TcpStream::connect(("127.0.0.1", port)).is_ok())
            .then_some(())
    });

    let sinks = format!(
        r#"
[notify.udp]
kind = "syslog"
url = "udp://127.0.0.1:{port}"
[notify.tcp]
kind = "syslog"
url = "tcp://127.0.0.1:{port}"
[notify.unix]
kind = "syslog"
url = "unix:{}"
"#,
        socket.display()
    );
    let (world, runs) = told(&sinks, &["udp", "tcp", "unix"], &HOSTILE);
    let messages = lines(&got, 3 * runs.len());
    assert_eq!(messages.len(), 3 * runs.len(), "one more: {messages:#?}");
    for way in ["udp", "tcp", "imuxsock"] {
        for (run, table) in runs.iter().zip(HOSTILE) {
            let of = messages.iter().find(|message| {
                message["way"] == way
                    && message["data"]["rfc5424-sd"]["bailiwick@32473"]["run"] == run.as_str()
            });
            let of = of.unwrap_or_else(|| panic!("nothing of {run} by {way}: {messages:#?}"));
            let head = ["priority", "version", "app", "kind", "text"].map(|name| &of[name]);
            let expected = [
                "108",
                "1",
                "bailiwick",
                "signal.raised",
                "denied: a call was denied",
            ];
            assert_eq!(head, expected, "{of:#}");
            let data = &of["data"]["rfc5424-sd"]["bailiwick@32473"];
            assert_eq!(data["id"], format!("denied_{run}_2"), "{of:#}");
            let actions = data["actions"].as_str().expect("a text");
            // Names are cut by PostgreSQL's grammar at 63 bytes.
            let begun: String = shown(&table.replace('\0', "")).chars().take(16).collect();
            assert!(actions.contains(&begun), "{begun:?} in {actions:?}");
            assert_eq!(data["target"], "tickets");
        }
    }
    world.verify();
}

#[test]
fn a_real_collector_takes_log_records_and_hands_them_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    // One reads what the gateway sends, the other what the collector made of it.
    let receiver = |name: &str| {
        let mut program = python_otlp("otlp.py");
        Lasting::start(program.arg(path(name)), "listening", &path("said"))
    };
    let (direct, behind) = (receiver("direct"), receiver("behind"));
    let (http, grpc) = (free_port(), free_port());
    let mut program = rotel();
    program.args([
        "start",
        "--exporter",
        "otlp",
        "--otlp-exporter-protocol",
        "http",
    ]);
    let exporter = format!("http://127.0.0.1:{}", behind.value("listening"));
    program.args(["--otlp-exporter-endpoint", &exporter]);
    program.args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")]);
    program.args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")]);
    program.arg("--pid-file").arg(path("pid"));
    let _collector = start(&program, &path("said"));
    eventually("it listens", LONG, || {
        TcpStream::connect(("127.0.0.1", http)).ok()
    });

    let sinks = format!(
        r#"
[notify.direct]
kind = "otlp"
url = "http://127.0.0.1:{}"
authorization = "Bearer ${{OTLP_TOKEN}}"
[notify.collector]
kind = "otlp"
url = "http://127.0.0.1:{http}/v1/logs"
"#,
        direct.value("listening")
    );
    let (world, runs) = told(&sinks, &["direct", "collector"], &HOSTILE[..1]);
    let direct = lines(&path("direct"), 1);
    assert_eq!(direct[0]["path"], "/v1/logs");
    assert_eq!(direct[0]["authorization"], "Bearer the collector's own");
    let behind = lines(&path("behind"), 1);
    for (got, kind) in [
        (direct, "application/json"),
        (behind, "application/x-protobuf"),
    ] {
        assert_eq!(
            (got.len(), &got[0]["type"]),
            (1, &Value::from(kind)),
            "{got:#?}"
        );
        let of = &got[0]["resourceLogs"][0];
        let text = |of: &Value, name: &str| {
            let attributes = of["attributes"].as_array().expect("attributes");
            let mut named = attributes.iter().filter(|one| one["key"] == name);
            named.next().map(|one| one["value"]["stringValue"].clone())
        };
        assert_eq!(
            text(&of["resource"], "service.name"),
            Some("bailiwick".into())
        );
        let record = &of["scopeLogs"][0]["logRecords"][0];
        assert_eq!(record["eventName"], "bailiwick.signal.raised", "{got:#?}");
        assert_eq!(record["severityNumber"], "SEVERITY_NUMBER_WARN");
        assert_eq!(record["body"]["stringValue"], "denied: a call was denied");
        assert_eq!(text(record, "bailiwick.run"), Some(runs[0].as_str().into()));
        let actions = text(record, "bailiwick.actions")
            .expect("actions")
            .to_string();
        assert!(actions.contains("<8>1 2026-01-01"), "{actions}");
        let time = record["timeUnixNano"].as_str().expect("a time");
        assert_eq!(time.len(), 19, "nanoseconds: {time}");
    }
    world.verify();
}

#[test]
fn what_a_webhook_refuses_for_good_is_on_record_and_what_it_is_too_busy_for_is_told_later() {
    // What comes from an agent is refused, as a filter before a receiver does; then it is asked to wait once.
    let busy = std::sync::atomic::AtomicBool::new(true);
    let hook = Receiver::answering(move |got| {
        if got.body.contains("UNION") {
            return "422 X".to_owned();
        }
        match busy.swap(false, std::sync::atomic::Ordering::SeqCst) {
            true => "429 X\r\nretry-after: 3".to_owned(),
            false => "204 X".to_owned(),
        }
    });
    let sinks = format!(
        r#"
[notify.hook]
kind = "webhook"
url = "http://127.0.0.1:{}/x"
secret = "${{HOOK_SECRET}}"
"#,
        hook.port
    );
    let (world, runs) = told(&sinks, &["hook"], &["' UNION SELECT 1 --", "drafts"]);
    let all = eventually("the second is told", LONG, || {
        let all = hook.all();
        (all.len() >= 3).then_some(all)
    });
    let ids: Vec<_> = all.iter().map(|got| got.field("webhook-id")).collect();
    let id = |run: &String| format!("denied_{run}_2");
    assert_eq!(ids, [id(&runs[0]), id(&runs[1]), id(&runs[1])]);
    assert!(
        world.said().contains("tried again in 3 s"),
        "{}",
        world.said()
    );
    let trail = world.trail("gateway");
    let refused = trail.iter().find(|entry| {
        let signal = &entry["record"]["signal"];
        signal["name"] == "notify:hook" && signal["rule"] == "refused"
    });
    let refused = refused.expect("the record of it");
    assert_eq!(refused["record"]["signal"]["of"], format!("{}/2", runs[0]));
    // For people, too.
    let shown = world.bailiwick(&["trail", "gateway"]);
    assert!(
        shown.ok().contains("notify:hook (refused)"),
        "{}",
        shown.stdout
    );
    let token = fs::read_to_string(world.data().join("control.token")).expect("the token");
    let socket = world.data().join("control.sock");
    let metrics = finish(
        command("curl")
            .args(["--silent", "--fail", "--unix-socket"])
            .arg(socket)
            .args([
                "--header",
                &format!("Authorization: Bearer {}", token.trim()),
            ])
            .arg("http://localhost/metrics"),
    );
    for line in [
        "bailiwick_notice_attempts_total{sink=\"hook\",result=\"failed\"} 1",
        "bailiwick_notice_attempts_total{sink=\"hook\",result=\"refused\"} 1",
        "bailiwick_notices_refused{sink=\"hook\"} 1",
    ] {
        assert!(metrics.ok().contains(line), "{line} in {}", metrics.stdout);
    }
    world.verify();
}
