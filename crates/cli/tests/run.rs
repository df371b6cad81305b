//! `bailiwick run` and its like, against a real gateway whose target nobody asks.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{Gateway, can_confine, ran, until};
use rustix::process::{Pid, Signal, kill_process};

fn signal(process: &std::process::Child, signal: Signal) {
    let pid = Pid::from_raw(process.id().cast_signed()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn a_run_lasts_as_long_as_its_command() {
    if !can_confine() {
        return;
    }
    let gateway = Gateway::start();
    let script = "echo $DATABASE_URL; echo ${TEST_PASSWORD-none}; exit 7";
    let ran = ran(gateway
        .ask(&["run", "--task", "look", "--", "sh", "-c", script])
        .env("TEST_PASSWORD", "s3:cr@t"));
    assert_eq!(ran.status, Some(7), "{}", ran.stderr);
    let mut lines = ran.stdout.lines();
    let url = lines.next().unwrap();
    assert!(
        url.starts_with("postgres://run_") && url.ends_with("/db"),
        "{url}"
    );
    assert_eq!(
        lines.next(),
        Some("none"),
        "a secret of the gateway reached the agent"
    );
    assert!(ran.stderr.contains("0 allowed, 0 denied"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("bailiwick trail run_"),
        "{}",
        ran.stderr
    );
    let run = &gateway.runs()[0];
    assert_eq!(run["state"], "ended");
    assert_eq!(run["ending"], "closed");
    assert_eq!(run["confinement"], "landlock");
}

#[test]
fn the_agent_cannot_reach_record_keys_or_controls() {
    if !can_confine() {
        return;
    }
    let gateway = Gateway::start();
    let data = gateway.path("data").display().to_string();
    let config = gateway.path("bailiwick.toml").display().to_string();
    let serve = gateway.process.id();
    let me = env!("CARGO_BIN_EXE_bailiwick");
    for attempt in [
        format!("cat {data}/control.token"),
        format!("cat {data}/keys/log.key"),
        format!("cat {data}/log/checkpoint"),
        format!("ls {data}"),
        format!("echo x >> {data}/log/checkpoint"),
        format!("rm -rf {data}"),
        format!("mv {data} {data}.old"),
        format!("echo x >> {config}"),
        format!("kill -9 {serve}"),
        "kill -9 $PPID".to_owned(),
        "cat /proc/$PPID/environ".to_owned(),
        format!("cat /proc/{serve}/environ"),
        format!("{me} runs --config {config}"),
        format!("{me} open --task look --config {config}"),
        format!("{me} run --task look --unconfined --config {config} -- true"),
    ] {
        let ran = ran(&mut gateway.ask(&["run", "--task", "look", "--", "sh", "-c", &attempt]));
        assert!(
            ran.status.is_some_and(|status| status != 0),
            "{attempt}: {}",
            ran.stdout
        );
        assert_eq!(ran.stdout, "", "{attempt}");
    }
    assert!(gateway.path("data/keys/log.key").exists());
    let outside = ran(&mut gateway.ask(&["verify"]));
    assert_eq!(
        outside.status,
        Some(0),
        "{}{}",
        outside.stdout,
        outside.stderr
    );
}

/// Runs in the confined child: asks for a run without the token.
#[test]
fn without_a_token() {
    let Ok(socket) = std::env::var("SOCKET") else {
        return;
    };
    // Later kernels do not even let it connect.
    if let Ok(mut socket) = UnixStream::connect(socket) {
        let body = r#"{"task":"look","confinement":"unconfined"}"#;
        let request = format!(
            "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    println!("HELD");
}

#[test]
fn the_control_socket_wants_a_token_that_the_agent_cannot_read() {
    if !can_confine() {
        return;
    }
    let gateway = Gateway::start();
    let mut command = gateway.ask(&["run", "--task", "look", "--"]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "without_a_token", "--nocapture"]);
    command.env("SOCKET", gateway.path("data/control.sock"));
    let ran = ran(&mut command);
    assert!(ran.stdout.contains("HELD"), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(gateway.runs().len(), 1);
}

#[test]
fn an_unconfined_run_says_so() {
    let gateway = Gateway::start();
    let ran = ran(&mut gateway.ask(&["run", "--task", "alone", "--unconfined", "--", "true"]));
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("was not confined"), "{}", ran.stderr);
    assert_eq!(gateway.runs()[0]["confinement"], "unconfined");
}

#[test]
fn a_task_may_ask_for_the_gateway_alone() {
    if !can_confine() {
        return;
    }
    let gateway = Gateway::start();
    let script = r#"
        port=${DATABASE_URL##*:}; port=${port%%/*}
        (exec 3<>/dev/tcp/127.0.0.1/$port) && echo reached
        (exec 3<>/dev/tcp/127.0.0.1/1) 2>&1 | grep -o 'Permission denied'
    "#;
    let ran = ran(&mut gateway.ask(&["run", "--task", "alone", "--", "bash", "-c", script]));
    assert!(
        ran.stdout.starts_with("reached\nPermission denied"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!(gateway.runs()[0]["confinement"], "gateway-only");
}

#[test]
fn signals_reach_the_command_and_end_the_run() {
    let gateway = Gateway::start();
    for (sent, status) in [(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)] {
        let mut command =
            gateway.ask(&["run", "--task", "look", "--unconfined", "--", "sleep", "60"]);
        let mut running = command.stderr(Stdio::null()).spawn().unwrap();
        let started = || {
            let children = format!("/proc/{0}/task/{0}/children", running.id());
            std::fs::read_to_string(children).is_ok_and(|children| !children.trim().is_empty())
        };
        until("the command starts", started);
        signal(&running, sent);
        assert_eq!(running.wait().unwrap().code(), Some(status), "{sent:?}");
        assert_eq!(gateway.runs()[0]["state"], "ended");
    }
}

#[test]
fn a_launcher_that_dies_takes_its_run_along() {
    let gateway = Gateway::start();
    let mut command = gateway.ask(&["run", "--task", "look", "--unconfined", "--", "sleep", "60"]);
    let mut running = command.stderr(Stdio::null()).spawn().unwrap();
    until("the run is open", || {
        gateway.runs().iter().any(|run| run["state"] == "open")
    });
    running.kill().unwrap();
    running.wait().unwrap();
    until("the run ends", || gateway.runs()[0]["state"] == "ended");
}

#[test]
fn time_and_revocation_end_a_run_while_its_command_goes_on() {
    let gateway = Gateway::start();
    let start = Instant::now();
    let ran_out = ran(&mut gateway.ask(&[
        "run",
        "--task",
        "look",
        "--ttl",
        "1s",
        "--unconfined",
        "--",
        "sleep",
        "2.5",
    ]));
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert_eq!(ran_out.status, Some(0));
    assert!(
        ran_out.stderr.contains("time is over"),
        "{}",
        ran_out.stderr
    );
    assert!(
        ran_out.stderr.contains("expired after 1."),
        "{}",
        ran_out.stderr
    );

    let mut command = gateway.ask(&["run", "--task", "look", "--unconfined", "--", "sleep", "2"]);
    let running = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until("the run is open", || gateway.runs()[0]["state"] == "open");
    let revoked = ran(&mut gateway.ask(&["revoke", "last"]));
    assert!(
        revoked.stdout.contains("revoked after"),
        "{}{}",
        revoked.stdout,
        revoked.stderr
    );
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the run was revoked"), "{said}");
}

#[test]
fn a_run_can_be_opened_and_closed_by_hand() {
    let gateway = Gateway::start();
    let opened = ran(&mut gateway.ask(&["open", "--task", "look", "--ttl", "1m", "--json"]));
    assert_eq!(opened.status, Some(0), "{}", opened.stderr);
    let opened: serde_json::Value = serde_json::from_str(&opened.stdout).unwrap();
    let run = opened["run"].as_str().unwrap();
    assert!(
        opened["env"]["DATABASE_URL"]
            .as_str()
            .unwrap()
            .contains(run)
    );
    assert!(opened["expires"].is_string());
    let closed = ran(&mut gateway.ask(&["close", run]));
    assert!(
        closed.stdout.starts_with(&format!("{run} closed after")),
        "{}",
        closed.stdout
    );
    let text = ran(&mut gateway.ask(&["open", "--task", "look"])).stdout;
    assert!(
        text.contains("export DATABASE_URL='postgres://run_"),
        "{text}"
    );
    let unknown = ran(&mut gateway.ask(&["open", "--task", "lok"]));
    assert_eq!(unknown.status, Some(2));
    assert!(
        unknown.stderr.contains("did you mean `look`?"),
        "{}",
        unknown.stderr
    );
}

#[test]
fn nothing_an_agent_wrote_reaches_the_terminal_raw() {
    let gateway = Gateway::start();
    let reason = "\x1b]0;owned\x07\u{202e}drow";
    let opened = ran(&mut gateway.ask(&["open", "--task", "look", "--reason", reason]));
    assert_eq!(opened.status, Some(0), "{}", opened.stderr);
    for command in [
        &["trail", "last"] as &[&str],
        &["show", "last/1"],
        &["runs"],
    ] {
        let shown = ran(&mut gateway.ask(command));
        assert_eq!(shown.status, Some(0), "{}", shown.stderr);
        let raw = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(
            !shown.stdout.contains(raw),
            "{command:?}: {:?}",
            shown.stdout
        );
    }
    let trail = ran(&mut gateway.ask(&["trail", "last"])).stdout;
    assert!(
        trail.contains(r"\u{1b}]0;owned\u{7}\u{202e}drow"),
        "{trail}"
    );
}

#[test]
fn what_cannot_be_started_ends_its_run() {
    let gateway = Gateway::start();
    let options: &[&[&str]] = if can_confine() {
        &[&["--unconfined"], &[]]
    } else {
        &[&["--unconfined"]]
    };
    for options in options {
        let mut command = gateway.ask(&["run", "--task", "look"]);
        let ran = ran(command.args(*options).args(["--", "no-such-command"]));
        assert_eq!(ran.status, Some(127), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("cannot start `no-such-command`"),
            "{}",
            ran.stderr
        );
        until("the run ends", || gateway.runs()[0]["state"] == "ended");
    }
}

#[test]
fn a_changed_log_is_found() {
    let mut gateway = Gateway::start();
    for _ in 0..3 {
        let opened = ran(&mut gateway.ask(&["open", "--task", "look", "--json"]));
        assert_eq!(opened.status, Some(0), "{}", opened.stderr);
    }
    signal(&gateway.process, Signal::TERM);
    assert_eq!(gateway.process.wait().unwrap().code(), Some(0));
    let verify = |json: &[&str]| ran(gateway.ask(&["verify"]).args(json));
    let whole = verify(&[]);
    assert_eq!(whole.status, Some(0), "{}{}", whole.stdout, whole.stderr);
    assert!(
        whole.stdout.contains("3 runs closed, 0 open"),
        "{}",
        whole.stdout
    );

    let bundle = std::fs::read_dir(gateway.path("data/log/tile/entries/000.p")).unwrap();
    let bundle = bundle.map(|entry| entry.unwrap().path()).max().unwrap();
    let mut bytes = std::fs::read(&bundle).unwrap();
    let place = bytes.windows(4).position(|four| four == b"look").unwrap();
    bytes[place] = b'L';
    std::fs::write(&bundle, bytes).unwrap();
    let broken = verify(&[]);
    assert_eq!(broken.status, Some(1), "{}{}", broken.stdout, broken.stderr);
    assert!(broken.stdout.contains("broken:"), "{}", broken.stdout);
    let json: serde_json::Value = serde_json::from_str(&verify(&["--json"]).stdout).unwrap();
    assert_eq!(json["verdict"], "broken");
}

#[test]
fn without_a_gateway_the_way_to_one_is_said() {
    let mut gateway = Gateway::start();
    gateway.process.kill().unwrap();
    gateway.process.wait().unwrap();
    let asked = ran(&mut gateway.ask(&["runs"]));
    assert_eq!(asked.status, Some(2));
    assert!(
        asked.stderr.contains("no gateway is listening at"),
        "{}",
        asked.stderr
    );
    assert!(
        asked
            .stderr
            .contains("help: start it with `bailiwick serve`"),
        "{}",
        asked.stderr
    );
    let mut run = gateway.ask(&["run", "--task", "look", "--unconfined", "--", "true"]);
    assert_eq!(ran(&mut run).status, Some(125));
}
