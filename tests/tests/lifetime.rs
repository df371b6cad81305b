//! No credential outlives its run, and no run its time box, whatever is open already.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bailiwick_tests::{
    Agent, Report, Run, TRIAGE, World, confinement, eventually, finish, frontend, signal, task,
};

/// What is promised.
const WITHIN: Duration = Duration::from_secs(1);

/// What a command and a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(9);

/// Rows for as long as anybody reads them.
const STREAM: &str = "SELECT subject, body FROM tickets, generate_series(1, 100000000)";

/// No row for a long time.
const LONG: &str = "SELECT count(*) FROM tickets a, generate_series(1, 2000000000) b";

/// What a connection is in the middle of, and when it ended with which last words.
type Connection = (&'static str, thread::JoinHandle<(Instant, Option<Report>)>);

/// Connections in every state that one can be in, each in a thread that reads to its end.
fn connections(run: &Run) -> Vec<Connection> {
    let idle = Agent::connect(run);
    let mut transaction = Agent::connect(run);
    transaction.query("BEGIN").ok();
    transaction
        .query("UPDATE tickets SET priority = 50 WHERE id = 1")
        .ok();
    let mut streaming = Agent::connect(run);
    streaming.send(|out| frontend::query(STREAM, out).expect("a query"));
    let mut running = Agent::connect(run);
    running.send(|out| frontend::query(LONG, out).expect("a query"));
    let mut pipelining = Agent::connect(run);
    pipelining.send(|out| {
        frontend::parse("", "SELECT 1", [], out).expect("a parse");
        frontend::flush(out);
    });
    let all = [
        ("idle", idle),
        ("in a transaction", transaction),
        ("in the middle of a stream", streaming),
        ("in the middle of a statement", running),
        ("in the middle of a pipeline", pipelining),
    ];
    all.map(|(what, mut agent)| {
        let thread = thread::spawn(move || {
            let last = agent.last_words();
            (Instant::now(), last)
        });
        (what, thread)
    })
    .into()
}

/// All of them end between these two moments, the agent is told why, the target is left in peace and
/// the credential is worth nothing any more.
#[track_caller]
fn all_end(
    world: &World,
    run: &Run,
    all: Vec<Connection>,
    (not_before, not_after): (Instant, Instant),
    why: &str,
) {
    for (what, thread) in all {
        let (ended, last) = thread
            .join()
            .unwrap_or_else(|_| panic!("{what}: it did not end"));
        assert!(ended >= not_before, "{what}: it ended early");
        let late = ended.saturating_duration_since(not_after);
        assert!(late.is_zero(), "{what}: it ended {late:?} too late");
        let last = last.unwrap_or_else(|| panic!("{what}: it was not told why"));
        assert_eq!(
            (&*last.severity, &*last.code),
            ("FATAL", "57P01"),
            "{what}: {last:#?}"
        );
        assert!(last.message.contains(why), "{what}: {last:#?}");
    }
    let refused = Agent::try_connect(run)
        .err()
        .expect("no login with the old credential");
    assert_eq!(refused.severity, "FATAL", "{refused:#?}");
    assert!(refused.code.starts_with("28"), "{refused:#?}");
    assert_eq!(
        world.sql("SELECT priority FROM tickets WHERE id = 1"),
        "0",
        "it was committed"
    );
    eventually(
        "the target has nothing left to do for it",
        Duration::from_secs(3),
        || (sessions(world, run) == "0").then_some(()),
    );
}

/// How many sessions the target has for a run. It is told whose they are.
fn sessions(world: &World, run: &Run) -> String {
    let id = &run.id;
    world.sql(&format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%{id}%'"
    ))
}

#[test]
fn the_time_box_ends_what_is_open() {
    let world = World::triage();
    let ttl = Duration::from_secs(8);
    let run = world.open_with(&["--task", "triage", "--ttl", "8s"]);
    let other = world.open("triage");
    let mut other = Agent::connect(&other);
    let all = connections(&run);
    all_end(
        &world,
        &run,
        all,
        (run.opened + ttl, run.returned + ttl + WITHIN + SLACK),
        "time box",
    );
    // Another run goes on as if nothing had been.
    other.query("SELECT 1").ok();
    let summary = eventually("it has ended", Duration::from_secs(3), || {
        Some(world.summary(&run.id)).filter(|summary| summary["state"] == "ended")
    });
    assert_eq!(summary["ending"], "expired", "{summary:#}");
    let trail = world.trail(&run.id);
    let closed = &trail.last().expect("records")["record"];
    assert_eq!(closed["type"], "run.closed");
    assert_eq!(closed["count"], trail.len());
    // Everything that was let through has an outcome.
    for entry in &trail {
        let record = &entry["record"];
        if record["type"] == "call.decided" && record["decision"]["effect"] == "allow" {
            let outcome = trail
                .iter()
                .find(|entry| entry["record"]["of"] == record["seq"]);
            assert!(outcome.is_some(), "no outcome of {record:#}");
        }
    }
    let cut = trail
        .iter()
        .filter(|entry| entry["record"]["outcome"]["state"] == "cut")
        .count();
    assert!(cut >= 2, "what was cut is not called so: {trail:#?}");
}

#[test]
fn revoking_ends_what_is_open() {
    let world = World::triage();
    let run = world.open("triage");
    let all = connections(&run);
    assert_eq!(sessions(&world, &run), all.len().to_string());
    let before = Instant::now();
    world.bailiwick(&["revoke", &run.id]).ok();
    all_end(
        &world,
        &run,
        all,
        (before, before + WITHIN + SLACK),
        "revoked",
    );
    assert_eq!(world.summary(&run.id)["ending"], "revoked");
    // Who did it is on record, and in words.
    let trail = world.trail(&run.id);
    let closed = &trail.last().expect("records")["record"];
    assert_eq!(closed["by"], closed["launcher"], "{closed:#}");
    let said = world.bailiwick(&["trail", &run.id]);
    assert!(said.ok().contains("it was revoked by human:"), "{said:#?}");
    // Again is no error, and changes nothing.
    world.bailiwick(&["revoke", &run.id]).ok();
    assert_eq!(world.summary(&run.id)["ending"], "revoked");
}

#[test]
fn closing_ends_what_is_open() {
    let world = World::triage();
    let run = world.open("triage");
    let all = connections(&run);
    let before = Instant::now();
    world.bailiwick(&["close", &run.id]).ok();
    all_end(
        &world,
        &run,
        all,
        (before, before + WITHIN + SLACK),
        "closed",
    );
    assert_eq!(world.summary(&run.id)["ending"], "closed");
}

#[test]
fn an_agent_that_does_not_read_is_cut_too() {
    let world = World::triage();
    let run = world.open("triage");
    let mut stalled = Agent::connect(&run);
    stalled.send(|out| frontend::query(STREAM, out).expect("a query"));
    // Until everything between here and the target is full.
    let full = || {
        let waiting = "SELECT count(*) FROM pg_stat_activity \
                       WHERE wait_event = 'ClientWrite' AND datname = current_database()";
        (world.sql(waiting) == "1").then_some(())
    };
    eventually("the target waits", Duration::from_secs(5), full);
    assert_eq!(sessions(&world, &run), "1");
    world.bailiwick(&["revoke", &run.id]).ok();
    eventually(
        "the target is left in peace",
        Duration::from_secs(3),
        || (sessions(&world, &run) == "0").then_some(()),
    );
}

#[test]
fn stopping_the_gateway_ends_every_run() {
    let mut world = World::triage();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    agent.query("SELECT 1").ok();
    world.stop();
    let last = agent.last_words().expect("a last word");
    assert_eq!(last.code, "57P01", "{last:#?}");
    world.serve();
    assert_eq!(world.summary(&run.id)["ending"], "gateway-stopped");
    world.verify();
}

#[test]
fn a_time_box_is_never_longer_than_the_tasks() {
    let world = World::triage();
    assert!(
        world
            .bailiwick(&["open", "--task", "triage", "--ttl", "9m"])
            .status
            .success()
    );
    let longer = world.bailiwick(&["open", "--task", "triage", "--ttl", "11m", "--json"]);
    assert!(!longer.status.success(), "{longer:#?}");
    assert!(longer.stderr.contains("10m"), "{longer:#?}");
}

/// A command inside a run, by `bailiwick run`.
fn run(world: &World, script: &str) -> Command {
    inside(world, "triage", &["sh", "-c", script])
}

fn inside(world: &World, task: &str, arguments: &[&str]) -> Command {
    let mut command = world.command(&["run", "--task", task]);
    command.args(confinement().err()).arg("--").args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_run_is_as_long_as_its_command() {
    let world = World::triage();
    let script = "echo $DATABASE_URL; test -z \"$TARGET_PASSWORD\" || echo leaked; exit 7";
    let finished = finish(run(&world, script).env("TARGET_PASSWORD", "x"));
    assert_eq!(finished.code(), 7, "{finished:#?}");
    let url = finished.stdout.trim();
    assert!(url.starts_with("postgres://run_"), "{finished:#?}");
    assert!(
        !finished.stdout.contains("leaked"),
        "the gateway's secrets are in the agent's environment"
    );
    assert!(
        finished.stderr.contains("0 denied"),
        "no summary: {finished:#?}"
    );
    let refused = Agent::log_in(url).err().expect("no login after its end");
    assert!(refused.code.starts_with("28"), "{refused:#?}");
    let id = url
        .strip_prefix("postgres://")
        .and_then(|rest| rest.split(':').next());
    let summary = world.summary(id.expect("the run's id"));
    assert_eq!(
        (&summary["state"], &summary["ending"]),
        (&"ended".into(), &"closed".into())
    );
}

#[test]
fn exit_status_and_signals_pass_through() {
    let world = World::triage();
    for (script, code) in [
        ("true", 0),
        ("exit 3", 3),
        ("kill -TERM $$", 143),
        ("kill -KILL $$", 137),
    ] {
        let finished = finish(&mut run(&world, script));
        assert_eq!(finished.code(), code, "{script}: {finished:#?}");
    }
    let missing = finish(&mut inside(&world, "triage", &["/no/such/program"]));
    assert_eq!(missing.code(), 127, "{missing:#?}");
    let unknown = finish(&mut inside(&world, "triaje", &["true"]));
    assert!(
        !unknown.status.success() && unknown.stderr.contains("triage"),
        "{unknown:#?}"
    );
    // A signal to `bailiwick run` goes to the command, which decides.
    let ready = world.work().join("ready");
    let script = format!(
        "trap 'exit 9' TERM; touch {}; while :; do sleep 0.05; done",
        ready.display()
    );
    let child = run(&world, &script).spawn().expect("bailiwick run");
    eventually("it has started", Duration::from_secs(10), || {
        ready.exists().then_some(())
    });
    signal(child.id(), "TERM");
    let output = child.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    for summary in world.bailiwick(&["runs", "--json"]).ok().lines() {
        let summary: serde_json::Value = serde_json::from_str(summary).expect("JSON");
        assert_eq!(summary["state"], "ended", "{summary:#}");
    }
}

#[test]
fn a_run_ends_with_bailiwick_run_even_when_that_is_killed() {
    let world = World::triage();
    let told = world.work().join("url");
    let script = format!(
        "echo $DATABASE_URL > {0}.new; mv {0}.new {0}; exec sleep 30",
        told.display()
    );
    let mut command = run(&world, &script);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("bailiwick run");
    let url = eventually("the command has its URL", Duration::from_secs(10), || {
        fs::read_to_string(&told)
            .ok()
            .map(|url| url.trim().to_owned())
    });
    let mut agent = Agent::log_in(&url).expect("a login while it runs");
    agent.query("SELECT 1").ok();
    let killed = Instant::now();
    child.kill().expect("a child of ours");
    child.wait().expect("a child of ours");
    let last = agent.last_words().expect("a last word");
    assert!(
        killed.elapsed() < WITHIN + SLACK,
        "it took {:?}",
        killed.elapsed()
    );
    assert_eq!(last.code, "57P01", "{last:#?}");
    let refused = Agent::log_in(&url).err().expect("no login after its end");
    assert!(refused.code.starts_with("28"), "{refused:#?}");
}

#[test]
fn only_the_launchers_of_a_task_may_open_it() {
    let (name, text) = task("guarded", TRIAGE);
    let text = text.replace("human:*", "workflow:github:acme/*");
    let world = World::builder()
        .task(task("triage", TRIAGE))
        .task((name, text))
        .start();
    assert!(
        world
            .bailiwick(&["open", "--task", "triage"])
            .status
            .success()
    );
    let refused = world.bailiwick(&["open", "--task", "guarded"]);
    assert!(!refused.status.success(), "{refused:#?}");
    assert!(refused.stderr.contains("launchers"), "{refused:#?}");
}
