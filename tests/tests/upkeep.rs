//! What whoever keeps a gateway running has of it: whether it is well, what it measures, its own log, and how
//! it stops.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use bailiwick_tests::{
    Agent, Builder, CREDENTIAL, Finished, Peer, TRIAGE, World, command, eventually, finish,
    frontend, promtool, psql, python_api, signal, task,
};
use serde_json::Value;

/// A gateway that is watched at an address of its own, and stops within this time.
fn watched(builder: Builder, stop_within: &str) -> (World, String) {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    let mut world = builder.task(task("triage", TRIAGE)).prepare();
    let config = fs::read_to_string(world.config()).expect("the configuration");
    let config = format!(
        "stop_within = \"{stop_within}\"\n{config}\n[metrics]\nlisten = \"127.0.0.1:{port}\"\n"
    );
    fs::write(world.config(), config).expect("the configuration");
    world.serve();
    (world, format!("http://127.0.0.1:{port}"))
}

/// Asks for a path: the status, and what came.
fn ask(url: &str, more: &[&str]) -> (u16, String) {
    let mut curl = command("curl");
    curl.args([
        "--silent",
        "--max-time",
        "10",
        "--write-out",
        "\n%{http_code}",
    ]);
    let finished = finish(curl.args(more).arg(url));
    let (body, status) = finished.stdout.rsplit_once('\n').expect("a status");
    (status.parse().expect("a status"), body.to_owned())
}

fn over_socket(world: &World, path: &str, more: &[&str]) -> (u16, String) {
    let socket = world.data().join("control.sock");
    let socket = socket.to_str().expect("a path");
    let mut arguments = vec!["--unix-socket", socket];
    arguments.extend(more);
    ask(&format!("http://localhost{path}"), &arguments)
}

/// The value of a series in the text of metrics.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series));
    let value = line.unwrap_or_else(|| panic!("no {series} in {metrics}"));
    value.trim().parse().expect("a number")
}

#[test]
fn whoever_watches_over_it_sees_how_it_is() {
    // Somebody who is told, of whom there is something to measure.
    let sink = "[notify.chat]\nkind = \"syslog\"\nurl = \"udp://127.0.0.1:9\"";
    let (world, url) = watched(World::builder().log(sink), "1s");
    assert_eq!(ask(&format!("{url}/healthz"), &[]), (200, "ok\n".into()));
    let (status, ready) = ask(&format!("{url}/readyz"), &[]);
    let ready: Value = serde_json::from_str(&ready).expect("JSON");
    assert_eq!((status, &ready["ready"]), (200, &Value::Bool(true)));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(over_socket(&world, path, &[]).0, 200);
    }
    // With a token where others have to have one, too.
    assert_eq!(over_socket(&world, "/metrics", &[]).0, 401);
    let token = fs::read_to_string(world.data().join("control.token")).expect("the token");
    let token = format!("Authorization: Bearer {}", token.trim());
    assert_eq!(
        over_socket(&world, "/metrics", &["--header", &token]).0,
        200
    );
    // There is nothing else at the address for metrics.
    assert_eq!(ask(&format!("{url}/v1/runs"), &["--header", &token]).0, 404);

    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    agent.query("SELECT id, email FROM tickets").ok();
    agent.query("DELETE FROM tickets").denied(&["tickets"]);
    assert!(Agent::log_in(&run.url_with_password("wrong")).is_err());
    let metrics = format!("{url}/metrics");
    let (_, said) = ask(&metrics, &[]);
    let call = |decision: &str, class: &str| {
        let labels = format!(
            "{{target=\"tickets\",protocol=\"postgres\",decision=\"{decision}\",class=\"{class}\"}}"
        );
        value(&said, &format!("bailiwick_calls_total{labels}"))
    };
    assert_eq!(call("allow", "read"), 1.0);
    assert_eq!(call("deny", "destroy"), 1.0);
    assert_eq!(call("deny", "read"), 0.0);
    let tickets = "{target=\"tickets\",protocol=\"postgres\"}";
    assert!(value(&said, &format!("bailiwick_values_masked_total{tickets}")) > 0.0);
    assert_eq!(value(&said, &format!("bailiwick_sessions{tickets}")), 1.0);
    assert_eq!(
        value(
            &said,
            &format!("bailiwick_call_duration_seconds_count{tickets}")
        ),
        1.0
    );
    assert_eq!(value(&said, "bailiwick_logins_denied_total"), 1.0);
    assert_eq!(value(&said, "bailiwick_runs{state=\"open\"}"), 1.0);
    assert_eq!(
        value(&said, "bailiwick_runs_opened_total{task=\"triage\"}"),
        1.0
    );
    assert_eq!(value(&said, "bailiwick_log_writable"), 1.0);
    assert!(value(&said, "bailiwick_log_records") >= 5.0);
    assert!(!said.contains(&run.id), "a run is in a label");

    // Prometheus' own program has nothing to say against it.
    let file = world.work().join("metrics.prom");
    fs::write(&file, &said).expect("a file");
    let mut check = promtool();
    check.args(["check", "metrics"]);
    let checked = finish_with(&mut check, &file);
    assert_eq!(checked.ok(), "", "{checked:#?}");

    // Its form is that of the standard, and docs/operating.md has each of them.
    let (_, text) = ask(
        &metrics,
        &["--header", "Accept: application/openmetrics-text"],
    );
    let file = world.work().join("metrics.txt");
    fs::write(&file, text).expect("a file");
    let read = finish(python_api("openmetrics.py").arg(&file));
    let found: BTreeSet<&str> = read.ok().lines().collect();
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating.md");
    let guide = fs::read_to_string(guide).expect("the guide");
    let told: BTreeSet<&str> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| name.starts_with("bailiwick_") || name.starts_with("process_"))
        .collect();
    let unseen: BTreeSet<&str> = [
        // There is no witness here.
        "bailiwick_witness_signed_records",
        "bailiwick_witness_state",
        // No run has ended.
        "bailiwick_runs_ended_total",
        // And no rule has matched.
        "bailiwick_signals_total",
    ]
    .into();
    let missing: Vec<_> = found.difference(&told).collect();
    assert!(missing.is_empty(), "not in docs/operating.md: {missing:?}");
    let stale: Vec<_> = told
        .difference(&found)
        .filter(|name| !unseen.contains(*name))
        .collect();
    assert!(stale.is_empty(), "in docs/operating.md alone: {stale:?}");

    // And so do the alert rules.
    let rules = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/alerts/bailiwick.rules.yml"
    );
    let rules = fs::read_to_string(rules).expect("the rules");
    let words = rules.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    for word in words.filter(|word| word.starts_with("bailiwick_") || word.starts_with("process_"))
    {
        let name = word.strip_suffix("_bucket").unwrap_or(word);
        assert!(
            told.contains(name),
            "the rules want {word}, which there is not"
        );
    }
}

/// Locks a table for so long, so that calls on it run for so long.
fn lock(world: &World, table: &str, seconds: u32) -> thread::JoinHandle<()> {
    let sql = format!("BEGIN; LOCK TABLE {table}; SELECT pg_sleep({seconds}); COMMIT");
    let database = world.database().to_owned();
    let locked = thread::spawn(move || drop(bailiwick_tests::Store::shared().sql(&database, &sql)));
    world.locked(table, "granted AND mode = 'AccessExclusiveLock'");
    locked
}

/// Reads a table that is locked with psql.
fn read(world: &World, url: String, table: &'static str) -> thread::JoinHandle<Finished> {
    let reading = thread::spawn(move || {
        finish(psql().args([
            "--tuples-only",
            "--command",
            &format!("SELECT count(id) FROM {table}"),
            &url,
        ]))
    });
    world.locked(table, "NOT granted");
    reading
}

#[test]
fn a_gateway_that_stops_lets_calls_end_and_loses_nothing() {
    let (mut world, url) = watched(World::builder(), "20s");
    let run = world.open("triage");
    let mut idle = Agent::connect(&run);
    idle.query("SELECT id FROM tickets").ok();
    let locked = lock(&world, "comments", 12);
    let reading = read(&world, run.url().to_owned(), "comments");
    signal(world.pid(), "TERM");
    // Who has nothing under way is told at once, in the words that PostgreSQL has for it.
    let said = idle.last_words().expect("words");
    assert_eq!(said.code, "57P01", "{said:?}");
    assert!(said.message.contains("the gateway is stopping"), "{said:?}");
    let (status, ready) = ask(&format!("{url}/readyz"), &[]);
    assert_eq!(status, 503, "{ready}");
    assert!(ready.contains("\"gateway\":\"it is stopping\""), "{ready}");
    assert_eq!(ask(&format!("{url}/healthz"), &[]).0, 200);
    assert!(
        TcpStream::connect(world.address()).is_err(),
        "agents are let in"
    );
    let refused = world.bailiwick(&["open", "--task", "triage"]);
    assert!(refused.stderr.contains("stopping"), "{refused:#?}");
    // Who has a call under way gets its answer.
    let read = reading.join().expect("a thread");
    assert!(!read.ok().trim().is_empty(), "{read:#?}");
    locked.join().expect("a thread");
    world.ended();
    assert_stopped(&world, &run.id, "ok");
}

#[test]
fn a_call_that_does_not_end_in_time_is_cut_and_a_second_signal_does_not_wait() {
    for (within, again) in [("1s", false), ("60s", true)] {
        let (mut world, _) = watched(World::builder(), within);
        let run = world.open("triage");
        let locked = lock(&world, "comments", 20);
        let reading = read(&world, run.url().to_owned(), "comments");
        let since = Instant::now();
        signal(world.pid(), "TERM");
        if again {
            thread::sleep(Duration::from_millis(300));
            signal(world.pid(), "TERM");
        }
        let read = reading.join().expect("a thread");
        assert!(read.stderr.contains("the gateway is stopping"), "{read:#?}");
        assert!(
            since.elapsed() < Duration::from_secs(15),
            "{:?}",
            since.elapsed()
        );
        world.ended();
        assert_stopped(&world, &run.id, "cut");
        locked.join().expect("a thread");
    }
}

/// Everything is on record, how the call ended and that the run was closed because the gateway stopped, and
/// signed.
fn assert_stopped(world: &World, run: &str, state: &str) {
    world.bailiwick(&["verify"]).ok();
    let exported = world.bailiwick(&["export", "--format", "jsonl", "--run", run]);
    let records: Vec<Value> = exported
        .ok()
        .lines()
        .map(|line| serde_json::from_str(line).expect("a record"))
        .collect();
    let last = records.last().expect("records");
    assert_eq!(last["type"], "run.closed");
    assert_eq!(last["ending"], "gateway-stopped");
    let decided = records
        .iter()
        .filter(|record| record["type"] == "call.decided");
    let finished: Vec<_> = records
        .iter()
        .filter(|record| record["type"] == "call.finished")
        .collect();
    assert_eq!(decided.count(), finished.len(), "{records:#?}");
    let last = finished.last().expect("a call");
    assert_eq!(last["outcome"]["state"], state, "{records:#?}");
}

/// Runs a command to its end that reads this file.
fn finish_with(command: &mut Command, file: &Path) -> Finished {
    finish(command.stdin(File::open(file).expect("a file")))
}

/// Each rule is one that Prometheus takes, and fires when it should and not before.
#[test]
fn the_alert_rules_are_taken_by_prometheus_and_do_what_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/alerts");
    let (rules, tests) = ("bailiwick.rules.yml", "bailiwick.tests.yml");
    let run = |arguments: &[&str]| {
        let finished = finish(promtool().args(arguments).current_dir(&folder));
        finished.ok().to_owned()
    };
    run(&["check", "rules", "--lint=all", "--lint-fatal", rules]);
    run(&["test", "rules", tests]);
    let read = |name| fs::read_to_string(folder.join(name)).expect("a file");
    let (rules, tests) = (read(rules), read(tests));
    let alerts = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    for alert in alerts {
        let fires = format!("        alertname: {alert}\n        exp_alerts:\n          - ");
        assert!(tests.contains(&fires), "nothing shows that {alert} fires");
        let quiet = format!("alertname: {alert}, exp_alerts: []");
        assert!(
            tests.contains(&quiet),
            "nothing shows that {alert} is quiet"
        );
    }
}

/// The lines of a gateway's log, each of which has to be what docs/operating.md says.
#[track_caller]
fn log_lines(world: &World) -> Vec<Value> {
    let said = world.said();
    let lines = said.lines().map(|line| {
        let read = serde_json::from_str(line);
        let line: Value = read.unwrap_or_else(|error| panic!("no JSON ({error}): {line}"));
        let time = line["timestamp"].as_str().expect("a time");
        let digits = time.replace(|c: char| c.is_ascii_digit(), "0");
        assert!(
            digits.starts_with("0000-00-00T00:00:00.") && digits.ends_with('Z'),
            "{time}"
        );
        let level = line["level"].as_str().expect("a level");
        assert!(
            ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&level),
            "{level}"
        );
        line
    });
    lines.collect()
}

/// A gateway that writes its log for programs, this much of it.
fn logging(level: &str) -> Builder {
    World::builder()
        .variable("BAILIWICK_LOG_FORMAT", "json")
        .variable("BAILIWICK_LOG", level)
        .task(task("triage", TRIAGE))
}

#[test]
fn lines_of_its_log_are_for_programs_where_that_is_wanted() {
    // What it tells is not taken, which it says.
    let mut world = logging("off,bailiwick=debug,bailiwick_control=debug,bailiwick_gateway=debug,bailiwick_audit=debug")
        .log(
            "[notify.chat]\nkind = \"syslog\"\nurl = \"tcp://127.0.0.1:1\"\n\
             [[signals]]\nname = \"denied\"\nwhen = \"denied\"\ndo = [\"suspend\", \"notify:chat\"]",
        )
        .start();
    let run = world.open("triage");
    let other = world.open("triage");
    // What it sends is nothing that the gateway understands, and would be two lines, or none that can be read.
    let mut agent = Agent::connect(&run);
    agent.send_bytes("\u{202e}ERROR \u{1b}[31m\n\u{7f}\u{9b}forged\"}".as_bytes());
    drop(agent);
    let mut agent = Agent::connect(&other);
    // It is cut for that, maybe within the answer.
    let denied = "DELETE FROM \"\u{202e}drafts\"";
    agent.send(|out| frontend::query(denied, out).expect("a query"));
    let told = |run: &str, part: &str| {
        let lines = log_lines(&world);
        let mut of = lines.into_iter().filter(|line| line["run"] == run);
        of.find(|line| line["message"].as_str().unwrap_or_default().contains(part))
    };
    let soon = Duration::from_secs(30);
    let about = eventually("a line about the run", soon, || {
        told(&run.id, "session ended")
    });
    assert_eq!(about["level"], "ERROR", "{about}");
    for part in ["a signal was raised", "could not be delivered"] {
        eventually(part, soon, || told(&other.id, part));
    }
    world.stop();
    for line in log_lines(&world) {
        let message = line["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty(), "{line}");
        // What names a run in its text has it where a program looks for it.
        for run in [&run.id, &other.id] {
            assert!(
                !line.to_string().contains(run.as_str()) || line["run"] == run.as_str(),
                "{line}"
            );
        }
    }
    // Also what it says when it cannot start.
    world.configure("\n[targets.tickets]\n");
    let refused = finish(&mut world.command(&["serve", "--log-format", "json"]));
    assert_eq!(refused.code(), 2, "{refused:#?}");
    let line: Value = serde_json::from_str(refused.stderr.trim()).expect("one line of JSON");
    assert_eq!(line["level"], "ERROR", "{line}");
}

/// Whatever the log is asked to tell, of the gateway or of what it is made of, it is not what opens something, nor what
/// agents send and get.
#[test]
fn no_secret_and_no_payload_is_in_its_log_however_much_it_says() {
    const HOOK: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    const STATEMENT: &str = "the-words-of-a-statement";
    const QUERY: &str = "the-words-of-a-query";
    const CONTENT: &str = "the-words-of-a-body";
    const COLLECTOR: &str = "the-token-for-a-collector";
    let (crm, store) = (Peer::crm(), bailiwick_tests::Store::shared());
    let database = store.database();
    // One that takes connections and never answers.
    let collector = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = collector.local_addr().expect("an address").port();
    let section = format!(
        "[targets.crm]\nkind = \"http\"\nurl = \"{}\"\nauth = {{ bearer = \"${{CRM_TOKEN}}\" }}\nprivate = true\n",
        crm.url("")
    );
    let grants = format!(
        "{TRIAGE}\n[[read]]\ntarget = \"crm\"\nrequests = [\"GET /customers/*\", \"POST /search\"]\n"
    );
    let mut world = World::builder()
        .variable("BAILIWICK_LOG_FORMAT", "json")
        .variable("BAILIWICK_LOG", "trace")
        .variable("CRM_TOKEN", CREDENTIAL)
        .variable("HOOK_SECRET", &format!("whsec_{HOOK}"))
        .variable("OTLP_TOKEN", COLLECTOR)
        .target("tickets", &World::url(store, &database))
        .section(&section)
        .task(task("triage", &grants))
        .log(&format!(
            "[notify.hook]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:1/{HOOK}\"\nsecret = \"${{HOOK_SECRET}}\"\n\
             [notify.collector]\nkind = \"otlp\"\nurl = \"http://127.0.0.1:{port}\"\n\
             authorization = \"Bearer ${{OTLP_TOKEN}}\"\n\
             [[signals]]\nname = \"denied\"\nwhen = \"denied\"\ndo = [\"notify:hook\", \"notify:collector\"]"
        ))
        .start();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    agent
        .query(&format!(
            "SELECT id, email FROM tickets WHERE subject <> '{STATEMENT}'"
        ))
        .ok();
    agent
        .query(&format!(
            "DELETE FROM tickets WHERE subject = '{STATEMENT}'"
        ))
        .denied(&["delete"]);
    let wrong = agent.query(&format!("SELECT '{STATEMENT}' FROM"));
    assert!(wrong.error().is_some());
    let bound = "SELECT id FROM tickets WHERE subject = $1";
    agent.execute(bound, &[STATEMENT], false).ok();
    assert!(Agent::log_in(&run.url_with_password("bwk_a-wrong-secret")).is_err());
    let bearer = format!("Authorization: Bearer {}", run.token());
    for (path, more) in [
        (format!("/customers/ada?q={QUERY}"), vec![]),
        (format!("/nothing/{QUERY}"), vec![]),
        ("/search".to_owned(), vec!["--data", CONTENT]),
        (
            "/search".to_owned(),
            vec![
                "--http2-prior-knowledge",
                "--header",
                "Content-Type: application/json",
                "--data",
                "{\"query\": \"the-words-of-a-body\"}",
            ],
        ),
    ] {
        let arguments = [&["--header", bearer.as_str()], more.as_slice()].concat();
        let (status, _) = ask(&format!("{}{path}", world.http("crm")), &arguments);
        assert!(status > 0, "{path}");
    }
    let link = world.console_link();
    let token = fs::read_to_string(world.data().join("control.token")).expect("the token");
    let bearer = format!("Authorization: Bearer {}", token.trim());
    let api = format!("http://127.0.0.1:{}/v1/runs", world.control());
    ask(&api, &["--header", &bearer]);
    let (_, page) = ask(&link, &["--location", "--cookie-jar", "/dev/null"]);
    world.stop();
    let lines = log_lines(&world);
    let traces = lines.iter().filter(|line| line["level"] == "TRACE");
    assert!(traces.count() > 10, "it does not say much");
    let said = world.said();
    let emails = store.sql(
        &database,
        "SELECT string_agg(email, ' ') FROM tickets WHERE email <> ''",
    );
    let link = link.rsplit(['=', '#', '/']).next().expect("a link");
    let secrets = [
        run.token(),
        run.url(),
        bailiwick_tests::SERVICE_PASSWORD,
        CREDENTIAL,
        HOOK,
        COLLECTOR,
        token.trim(),
        link,
    ];
    let payloads = [STATEMENT, QUERY, CONTENT];
    let all = secrets
        .into_iter()
        .chain(payloads)
        .chain(emails.split_whitespace());
    for secret in all {
        assert!(secret.len() > 6, "{secret:?} is no secret: {page}");
        let line = said.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "it tells {secret:?}");
    }
}
