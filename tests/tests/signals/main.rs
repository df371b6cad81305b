//! A run that does what it may not is suspended, people are told, and a person decides how it goes on.

mod receiver;
mod told;

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use bailiwick_tests::{Agent, TRIAGE, World, command, eventually, finish, frontend, psql, task};
use serde_json::Value;

use receiver::Receiver;

/// What is promised.
const WITHIN: Duration = Duration::from_secs(1);

/// What a command and a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(9);

const SOON: Duration = Duration::from_secs(10);

/// The secret of the webhook, and the bytes of it in hexadecimal.
const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// Checks a webhook as the specification says, with nothing of ours.
const CHECK: &str = r#"
import base64, hashlib, hmac, sys
secret, ident, moment, signature, body = sys.argv[1:]
key = base64.b64decode(secret.removeprefix("whsec_"))
mac = hmac.new(key, f"{ident}.{moment}.{body}".encode(), hashlib.sha256).digest()
assert "v1," + base64.b64encode(mac).decode() == signature, signature
print("it is right")
"#;

fn types(world: &World, run: &str) -> Vec<String> {
    let trail = world.trail(run);
    let types = trail.iter().map(|entry| &entry["record"]["type"]);
    types
        .map(|kind| kind.as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_suspended_run_is_cut_within_a_second_and_goes_on_when_it_is_resumed() {
    let world = World::triage();
    let run = world.open("triage");
    let other = world.open("triage");
    let mut other = Agent::connect(&other);
    let idle = Agent::connect(&run);
    let mut transaction = Agent::connect(&run);
    transaction.query("BEGIN").ok();
    let update = "UPDATE tickets SET priority = 50 WHERE id = 1";
    transaction.query(update).ok();
    let mut running = Agent::connect(&run);
    let long = "SELECT count(*) FROM tickets a, generate_series(1, 2000000000) b";
    running.send(|out| frontend::query(long, out).expect("a query"));
    let all = [idle, transaction, running].map(|mut agent| {
        thread::spawn(move || {
            let last = agent.last_words().expect("last words");
            (Instant::now(), last)
        })
    });
    thread::sleep(Duration::from_millis(200));
    let before = Instant::now();
    world.bailiwick(&["suspend", &run.id]).ok();
    for thread in all {
        let (ended, last) = thread.join().expect("it ended");
        assert!(ended - before < WITHIN + SLACK, "{:?}", ended - before);
        assert_eq!(
            (&*last.severity, &*last.code),
            ("FATAL", "57P01"),
            "{last:#?}"
        );
        assert_eq!(last.message, "this run is suspended", "{last:#?}");
    }
    assert_eq!(world.sql("SELECT priority FROM tickets WHERE id = 1"), "0");
    assert_eq!(world.summary(&run.id)["state"], "suspended");

    // Whoever has its secret is told why, and nobody else.
    let refused = finish(psql().args([run.url(), "-c", "SELECT 1"]));
    assert_ne!(refused.code(), 0);
    assert!(
        refused.stderr.contains("this run is suspended"),
        "{}",
        refused.stderr
    );
    let guess = run.url_with_password("bwk_guess");
    let guessed = Agent::log_in(&guess).err().expect("no login");
    assert_eq!(guessed.code, "28P01", "{guessed:#?}");
    assert!(!guessed.whole.contains("suspended"), "{guessed:#?}");
    other.query("SELECT 1").ok();

    world.bailiwick(&["resume", &run.id]).ok();
    assert_eq!(world.summary(&run.id)["state"], "open");
    Agent::connect(&run).query(update).ok();
    assert_eq!(world.sql("SELECT priority FROM tickets WHERE id = 1"), "50");
    let types = types(&world, &run.id);
    let mut notable = types.iter().filter(|kind| !kind.starts_with("call."));
    let notable: Vec<_> = notable.by_ref().map(String::as_str).collect();
    let expected = ["run.opened", "run.suspended", "login.denied", "run.resumed"];
    assert_eq!(notable, expected);
    let trail = world.trail(&run.id);
    let suspended = trail
        .iter()
        .find(|entry| entry["record"]["type"] == "run.suspended");
    let by = suspended.expect("the record")["record"]["by"].clone();
    assert!(by.as_str().expect("a name").starts_with("human:"), "{by}");

    world.bailiwick(&["suspend", &run.id]).ok();
    world.bailiwick(&["revoke", &run.id]).ok();
    let refused = world.bailiwick(&["resume", &run.id]);
    assert_eq!(refused.code(), 2, "{}", refused.stderr);
    assert!(refused.stderr.contains("has ended"), "{}", refused.stderr);
    world.verify();
}

#[test]
fn the_first_denied_call_suspends_its_run_and_a_killed_gateway_still_tells_it() {
    let hook = Receiver::new(503);
    let rules = format!(
        r#"
[notify.hook]
kind = "webhook"
url = "http://127.0.0.1:{}/bailiwick"
secret = "${{HOOK_SECRET}}"
[[signals]]
name = "first-denied"
when = "denied"
do = ["suspend", "notify:hook"]
"#,
        hook.port
    );
    let mut world = World::builder()
        .task(task("triage", TRIAGE))
        .log(&rules)
        .variable("HOOK_SECRET", SECRET)
        .start();
    let run = world.open("triage");
    let mut other = Agent::connect(&run);
    let mut agent = Agent::connect(&run);
    agent.query("SELECT subject FROM tickets").ok();
    let before = Instant::now();
    // Whether it gets the answer before it is cut is up to chance.
    agent.send(|out| frontend::query("DELETE FROM tickets", out).expect("a query"));
    for agent in [&mut agent, &mut other] {
        let last = agent.last_words().expect("last words");
        assert_eq!(last.message, "this run is suspended", "{last:#?}");
    }
    assert!(before.elapsed() < WITHIN + SLACK, "{:?}", before.elapsed());
    eventually("it is on record", SOON, || {
        let types = types(&world, &run.id);
        let is = |kind: &str| types.iter().filter(|known| *known == kind).count() == 1;
        (is("signal.raised") && is("run.suspended")).then_some(())
    });
    eventually("it was tried", SOON, || {
        (!hook.all().is_empty()).then_some(())
    });
    world.kill();
    let tried = hook.all();
    hook.status.store(204, Ordering::SeqCst);
    world.serve();
    let all = eventually("it is told", SOON, || {
        let all = hook.all();
        (all.len() > tried.len()).then_some(all)
    });
    thread::sleep(Duration::from_millis(500));
    assert_eq!(hook.all().len(), all.len(), "it is told once");
    let told = all.last().expect("a request");
    assert_eq!(told.field("webhook-id"), tried[0].field("webhook-id"));
    let checked = finish(command("python3").args([
        "-c",
        CHECK,
        SECRET,
        &told.field("webhook-id"),
        &told.field("webhook-timestamp"),
        &told.field("webhook-signature"),
        &told.body,
    ]));
    assert_eq!(checked.ok().trim(), "it is right");
    let body: Value = serde_json::from_str(&told.body).expect("JSON");
    assert_eq!(body["type"], "signal.raised");
    assert_eq!(body["data"]["run"], run.id.as_str());
    assert_eq!(body["data"]["actions"][0], "delete public.tickets");
    let summary = world.summary(&run.id);
    assert_eq!(summary["ending"], "gateway-stopped");
    world.verify();
}
