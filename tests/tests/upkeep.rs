//! What whoever keeps a gateway running has of it: whether it is well, what it measures, its own log, and how
//! it stops.

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bailiwick_tests::{
    Agent, Builder, Finished, TRIAGE, World, command, eventually, finish, psql, python_api, signal,
    task,
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
    let (world, url) = watched(World::builder(), "1s");
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

#[test]
fn lines_of_its_log_are_for_programs_where_that_is_wanted() {
    let world = World::builder()
        .variable("BAILIWICK_LOG_FORMAT", "json")
        .task(task("triage", TRIAGE))
        .start();
    let run = world.open("triage");
    // What it sends is nothing that the gateway understands, and would be two lines.
    let mut agent = Agent::connect(&run);
    agent.send_bytes(b"\xffERROR \x1b[31m\nforged");
    drop(agent);
    let about = eventually("a line about the run", Duration::from_secs(5), || {
        let said = world.said();
        let mut lines = said.lines().filter(|line| !line.starts_with("note:"));
        let lines: Vec<Value> = lines
            .by_ref()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            .collect();
        lines
            .into_iter()
            .find(|line| line["run"] == run.id.as_str())
    });
    assert_eq!(about["level"], "ERROR", "{about}");
}
