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
    let asked = ["run", "--task", "look", "--", "sh", "-c", script];
    let ran = ran(gateway.ask(&asked).env("TEST_PASSWORD", "s3:cr@t"));
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
fn a_gateway_outside_the_home_leaves_the_agent_its_home() {
    if !can_confine() {
        return;
    }
    // Where the README puts it is in nobody's home.
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    assert!(readme.contains("bailiwick init /srv/bailiwick &&"));
    assert!(!readme.contains("~/gateway"));

    let gateway = Gateway::start();
    let home = tempfile::tempdir().unwrap();
    let script = "touch ~/.claude.json && mkdir ~/.cache && ls -a ~ && mktemp";
    let within = |home: &std::path::Path| {
        let mut run = gateway.ask(&["run", "--task", "look", "--", "sh", "-c", script]);
        ran(run.env("HOME", home).env("TMPDIR", home))
    };
    let beside = within(home.path());
    assert_eq!(beside.status, Some(0), "{}", beside.stderr);
    assert!(beside.stdout.contains(".claude.json"), "{}", beside.stdout);
    assert!(!beside.stderr.contains("leads to"), "{}", beside.stderr);

    // In a home, it takes that away, and what to do is said.
    let around = gateway.path("").parent().unwrap().to_owned();
    let around = within(&around);
    assert_eq!(around.status, Some(1), "{}", around.stdout);
    let said = "Keep the gateway's folder elsewhere, such as in `/srv/bailiwick`";
    assert!(around.stderr.contains(said), "{}", around.stderr);
}

#[test]
fn an_agent_gets_no_variable_that_nobody_gave_it() {
    let gateway = Gateway::start();
    let mut command = gateway.ask(&["run", "--task", "look", "--unconfined"]);
    let options = [
        "--env",
        "ANTHROPIC_API_KEY",
        "--env",
        "MODE=fast",
        "--",
        "env",
    ];
    command.args(options).env_clear();
    let config = gateway.path("bailiwick.toml").display().to_string();
    for (name, value) in [
        ("BAILIWICK_CONFIG", &*config),
        ("PATH", "/usr/bin:/bin"),
        ("LC_ALL", "C.UTF-8"),
        ("AWS_SECRET_ACCESS_KEY", "the-launchers-own"),
        ("PGPASSWORD", "the-launchers-own"),
        ("SSH_AUTH_SOCK", "the-launchers-own"),
        ("TEST_PASSWORD", "the-gateways"),
        ("ANTHROPIC_API_KEY", "the-models"),
    ] {
        command.env(name, value);
    }
    let ran = ran(&mut command);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    let mut names: Vec<&str> = ran
        .stdout
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    names.sort_unstable();
    let expected = [
        "ANTHROPIC_API_KEY",
        "DATABASE_URL",
        "LC_ALL",
        "MODE",
        "PATH",
    ];
    assert_eq!(names, expected, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("ANTHROPIC_API_KEY=the-models"),
        "{}",
        ran.stdout
    );
    let said = "not given to the agent: AWS_SECRET_ACCESS_KEY, BAILIWICK_CONFIG, PGPASSWORD, SSH_AUTH_SOCK;";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);
    assert!(!ran.stderr.contains("the-"), "{}", ran.stderr);

    // A secret of the gateway's is nobody's to give.
    let asked = [
        "run",
        "--task",
        "look",
        "--unconfined",
        "--env",
        "TEST_PASSWORD",
        "--",
        "env",
    ];
    let refused = common::ran(gateway.ask(&asked).env("TEST_PASSWORD", "the-gateways"));
    assert_eq!(refused.status, Some(125), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("secret of the gateway"),
        "{}",
        refused.stderr
    );
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
    let mut command = gateway.ask(&["run", "--task", "look"]);
    let socket = gateway.path("data/control.sock");
    command
        .arg("--env")
        .arg(format!("SOCKET={}", socket.display()));
    command.arg("--").arg(std::env::current_exe().unwrap());
    command.args(["--exact", "without_a_token", "--nocapture"]);
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

/// Runs a script that writes the ids of its processes to the folder, a word each.
fn running(gateway: &Gateway, options: &[&str], script: &str) -> std::process::Child {
    let mut command = gateway.ask(&["run", "--task", "look", "--env", "IDS"]);
    command.args(options).args(["--", "sh", "-c", script]);
    command.env("IDS", gateway.path("ids"));
    command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for so many processes to have written their ids.
fn started(gateway: &Gateway, count: usize) -> Vec<String> {
    let ids = || std::fs::read_to_string(gateway.path("ids")).unwrap_or_default();
    until("all processes run", || {
        ids().split_whitespace().count() == count
    });
    ids().split_whitespace().map(str::to_owned).collect()
}

fn gone(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().unwrap_or_default();
    state.is_empty() || state.starts_with('Z')
}

#[test]
fn when_its_time_is_up_a_run_takes_its_command_along() {
    let gateway = Gateway::start();
    let mut command = gateway.ask(&["run", "--task", "look", "--ttl", "1s", "--unconfined"]);
    let ran = ran(command.args(["--", "sleep", "600"]));
    assert_eq!(ran.status, Some(122), "{}", ran.stderr);
    let run = gateway.runs()[0]["run"].as_str().unwrap().to_owned();
    for said in [
        &format!("{run} is over: its time is up"),
        "told to end, and did",
        "expired after 1",
    ] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
}

#[test]
fn what_a_command_leaves_behind_ends_with_the_run() {
    let gateway = Gateway::start();
    // In sessions and groups of their own, without a parent, and stopped.
    let script = r#"
        echo $$ >>"$IDS"
        sh -c 'echo $$ >>"$IDS"; exec sleep 600' &
        setsid sh -c 'echo $$ >>"$IDS"; exec sleep 600' &
        (setsid sh -c 'echo $$ >>"$IDS"; exec sleep 600' &)
        sh -c 'echo $$ >>"$IDS"; kill -STOP $$' &
        exec sleep 600"#;
    let running = running(&gateway, &["--unconfined"], script);
    let ids = started(&gateway, 5);
    let revoked = ran(&mut gateway.ask(&["revoke", "last"]));
    assert_eq!(revoked.status, Some(0), "{}", revoked.stderr);
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(122), "{said}");
    assert!(said.contains("told to end, and did"), "{said}");
    for id in &ids {
        assert!(gone(id), "{id} lives");
    }
}

#[test]
fn a_revoked_run_takes_along_what_does_not_want_to_end() {
    let gateway = Gateway::start();
    let script = r#"
        trap '' TERM
        setsid sh -c 'echo $$ >>"$IDS"; while :; do sleep 1; done' &
        echo $$ >>"$IDS"
        while :; do sleep 1; done"#;
    let running = running(&gateway, &["--unconfined"], script);
    let ids = started(&gateway, 2);
    let revoked = ran(&mut gateway.ask(&["revoke", "last"]));
    assert!(
        revoked.stdout.contains("revoked after"),
        "{}{}",
        revoked.stdout,
        revoked.stderr
    );
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(122), "{said}");
    assert!(said.contains("is over: it was revoked"), "{said}");
    assert!(said.contains("was killed"), "{said}");
    for id in &ids {
        assert!(gone(id), "{id} lives");
    }
}

#[test]
fn a_run_whose_gateway_is_gone_takes_its_command_along() {
    let mut gateway = Gateway::start();
    for (sent, words) in [
        (Signal::TERM, "the gateway stops"),
        (Signal::KILL, "no run outlives"),
    ] {
        std::fs::remove_file(gateway.path("ids")).unwrap_or_default();
        let running = running(
            &gateway,
            &["--unconfined"],
            r#"echo $$ >"$IDS"; exec sleep 600"#,
        );
        let ids = started(&gateway, 1);
        signal(&gateway.process, sent);
        let output = running.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(122), "{said}");
        assert!(said.contains(words), "{said}");
        assert!(!said.contains("no summary"), "{said}");
        assert!(gone(&ids[0]), "{said}");
        gateway.process.wait().unwrap();
        gateway.serve();
    }
}

#[test]
fn a_suspended_run_keeps_its_command() {
    let gateway = Gateway::start();
    let script = r#"echo $$ >"$IDS"; while [ ! -e "$IDS.end" ]; do sleep 0.1; done; exit 3"#;
    let running = running(&gateway, &["--unconfined"], script);
    let ids = started(&gateway, 1);
    for command in ["suspend", "resume"] {
        let done = ran(&mut gateway.ask(&[command, "last"]));
        assert_eq!(done.status, Some(0), "{}", done.stderr);
    }
    let done = ran(&mut gateway.ask(&["suspend", "last"]));
    assert_eq!(done.status, Some(0), "{}", done.stderr);
    assert!(!gone(&ids[0]));
    std::fs::write(gateway.path("ids.end"), "").unwrap();
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("is suspended"), "{said}");
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
