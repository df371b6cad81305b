//! Tasks and guardrails are loaded anew while runs go on: all of them or none, on record before, and from then on
//! for whoever comes.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::Duration;

use bailiwick_tests::{Agent, World, confinement, eventually, frontend, me, signal, skipped, task};
use serde_json::Value;

/// More than it takes.
const SOON: Duration = Duration::from_secs(10);

const NO_COMMENTS: &str = "@id(\"no-comments\")\n@reason(\"Comments are nobody's business\")\n\
     forbid (principal, action, resource == Bailiwick::Table::\"tickets/public/comments\");\n";

fn file(world: &World, path: &str) -> PathBuf {
    world.config().with_file_name("").join(path)
}

fn write(world: &World, path: &str, text: &str) {
    fs::write(file(world, path), text).expect("a file");
}

fn write_task(world: &World, name: &str, grants: &str) {
    let (_, text) = task(name, grants);
    write(world, &format!("tasks/{name}.toml"), &text);
}

#[track_caller]
fn reload(world: &World) -> Value {
    let finished = world.bailiwick(&["reload", "--json"]);
    serde_json::from_str(finished.ok()).expect("JSON")
}

/// The records of the gateway's own that say that something else is in force.
fn loaded(world: &World) -> Vec<Value> {
    let records = world.trail("gateway");
    let records = records.into_iter().map(|entry| entry["record"].clone());
    records
        .filter(|record| record["type"] == "policy.loaded")
        .collect()
}

fn digest(world: &World, run: &str, text: &str) -> Value {
    world.decided(run, text)["decision"]["policy_digest"].clone()
}

const READS_DRAFTS: &str =
    "[[read]]\ntarget = \"tickets\"\ntables = [\"public.drafts\", \"public.comments\"]\n";

#[test]
fn runs_go_on_with_their_task_and_under_the_new_guardrails() {
    let world = World::triage();
    let old = world.open("triage");
    let mut agent = Agent::connect(&old);
    agent.query("SELECT subject FROM tickets /* first */").ok();
    // Parsed under the old guardrails, to be run under the new ones.
    agent
        .query("PREPARE all_comments AS SELECT text FROM comments")
        .ok();
    agent.query("EXECUTE all_comments").ok();
    agent.query("BEGIN").ok();

    write_task(&world, "second", READS_DRAFTS);
    let refused = world.bailiwick(&["open", "--task", "second"]);
    assert!(!refused.status.success());
    let says = "`tasks/second.toml` is there: `bailiwick reload` loads it";
    assert!(refused.stderr.contains(says), "{refused:#?}");
    write_task(&world, "triage", READS_DRAFTS);
    write(&world, "policies/own.cedar", NO_COMMENTS);
    // What is not loaded is not in force.
    agent.query("SELECT text FROM comments /* still */").ok();

    let said = reload(&world);
    assert_eq!(said["added"][0], "second");
    assert_eq!(said["changed"][0], "triage");
    assert_eq!((&said["tasks"], &said["runs"]), (&2.into(), &1.into()));
    let [record] = &loaded(&world)[..] else {
        panic!("{:#?}", loaded(&world));
    };
    assert_eq!(record["by"], me());
    assert_eq!(record["policy"]["before"], said["before"]);
    assert_eq!(record["policy"]["after"], said["after"]);

    // The same session, in its transaction: what it was opened with, but for what is forbidden to all.
    agent.query("SELECT subject FROM tickets /* second */").ok();
    agent
        .query("SELECT 1 FROM drafts")
        .denied(&["public.drafts"]);
    agent.query("ROLLBACK").ok();
    for sql in [
        "EXECUTE all_comments",
        "SELECT text FROM comments /* not */",
    ] {
        let report = agent.query(sql).denied(&["no-comments"]);
        assert!(report.detail.contains("nobody's business"), "{report:#?}");
    }
    // So has its other session.
    let mut other = Agent::connect(&old);
    other.query("SELECT subject FROM tickets").ok();
    other
        .query("SELECT 1 FROM drafts")
        .denied(&["public.drafts"]);
    // Another run has the new task.
    let new = world.open("triage");
    let mut newer = Agent::connect(&new);
    newer.query("SELECT * FROM drafts").ok();
    newer
        .query("SELECT subject FROM tickets")
        .denied(&["public.tickets"]);
    newer
        .query("SELECT text FROM comments")
        .denied(&["no-comments"]);

    // Each decision names what it was made under.
    let (first, still) = (
        digest(&world, &old.id, "first"),
        digest(&world, &old.id, "still"),
    );
    let (second, not) = (
        digest(&world, &old.id, "second"),
        digest(&world, &old.id, "not"),
    );
    assert_eq!(first, still);
    assert_eq!(second, not);
    assert_ne!(first, second);
    let opened = &world.trail(&old.id)[0]["record"];
    assert_eq!(opened["scope_digest"], first);

    // Without its task a run goes on, and nobody opens another.
    fs::remove_file(file(&world, "tasks/triage.toml")).expect("a file");
    fs::remove_file(file(&world, "policies/own.cedar")).expect("a file");
    assert_eq!(reload(&world)["removed"][0], "triage");
    agent.query("SELECT text FROM comments").ok();
    let refused = world.bailiwick(&["open", "--task", "triage"]);
    assert!(
        refused.stderr.contains("no task is called `triage`"),
        "{refused:#?}"
    );
    world.bailiwick(&["close", &old.id]).ok();
    assert_eq!(
        world.trail(&old.id).last().expect("records")["record"]["type"],
        "run.closed"
    );

    // And in words.
    let said = world.bailiwick(&["reload"]);
    assert!(
        said.ok()
            .starts_with("nothing is different: 1 task and 0 guardrails"),
        "{said:#?}"
    );
    let trail = world.bailiwick(&["trail", "gateway"]);
    let line = format!("other tasks and guardrails, by {}", me());
    assert!(trail.ok().contains(&line), "{trail:#?}");
    world.verify();
}

#[test]
fn a_signal_does_the_same() {
    let world = World::triage();
    write_task(&world, "second", READS_DRAFTS);
    signal(world.pid(), "HUP");
    let record = eventually("it is loaded", SOON, || loaded(&world).pop());
    assert_eq!(record["by"], "SIGHUP");
    world.open("second");
    // What is wrong is said in the gateway's log, with its place.
    write(
        &world,
        "tasks/second.toml",
        "task = \"second\"\nttl = \"for ever\"\n",
    );
    signal(world.pid(), "HUP");
    eventually("it is said", SOON, || {
        world.said().contains("tasks/second.toml:2:7").then_some(())
    });
    world.open("second");
    assert_eq!(loaded(&world).len(), 1);
}

#[test]
fn what_is_wrong_changes_nothing_and_is_said_with_its_place() {
    let world = World::triage();
    let before = world.open("triage");
    let mut agent = Agent::connect(&before);
    write(&world, "policies/own.cedar", NO_COMMENTS);
    let (_, whole) = task("second", READS_DRAFTS);
    let half = whole.split_at(whole.len() - 20).0;
    let refused = |says: &str| {
        let finished = world.bailiwick(&["reload"]);
        assert_eq!(finished.status.code(), Some(2), "{finished:#?}");
        let said = &finished.stderr;
        assert!(said.contains("everything stays as it was"), "{said}");
        assert!(said.contains(says), "{said}");
    };
    // Half written.
    write(&world, "tasks/second.toml", half);
    refused("tasks/second.toml:9:");
    write(&world, "tasks/second.toml", "");
    refused("tasks/second.toml:1:1: ");
    // For everybody to write, or somewhere else: an agent could have written it.
    write(&world, "tasks/second.toml", &whole);
    let second = file(&world, "tasks/second.toml");
    let mode = |mode| fs::set_permissions(&second, fs::Permissions::from_mode(mode));
    mode(0o666).expect("a mode");
    refused("tasks/second.toml: cannot read it: everybody may write it");
    fs::remove_file(&second).expect("a file");
    let planted = world.work().join("planted.toml");
    fs::write(&planted, &whole).expect("a file");
    symlink(&planted, &second).expect("a link");
    refused("tasks/second.toml: it is a link to");
    fs::remove_file(&second).expect("a link");
    // Another folder in the place of the one that runs are kept away from.
    let (tasks, real) = (file(&world, "tasks"), file(&world, "tasks-1"));
    fs::rename(&tasks, &real).expect("a folder");
    let theirs = world.work().join("theirs");
    fs::create_dir(&theirs).expect("a folder");
    fs::write(theirs.join("second.toml"), &whole).expect("a file");
    symlink(&theirs, &tasks).expect("a link");
    refused("it is another folder than when the gateway started");
    fs::remove_file(&tasks).expect("a link");
    // Also where it is moved there: a run that was open before may write it by any name.
    let moved = file(&world, "tasks-2");
    fs::create_dir(&moved).expect("a folder");
    fs::write(moved.join("second.toml"), &whole).expect("a file");
    fs::rename(&moved, &tasks).expect("a folder");
    refused("it is another folder than when the gateway started");
    fs::remove_dir_all(&tasks).expect("a folder");
    fs::rename(&real, &tasks).expect("a folder");
    // A guardrail about a task that is not there any more.
    write(
        &world,
        "policies/of.cedar",
        "\nforbid (principal in Bailiwick::Task::\"gone\", action, resource);",
    );
    refused("policies/of.cedar:2:1: no task is called `gone`");
    fs::remove_file(file(&world, "policies/of.cedar")).expect("a file");

    assert!(loaded(&world).is_empty());
    agent.query("SELECT text FROM comments").ok();
    assert_eq!(reload(&world)["runs"], 1);
    agent
        .query("SELECT text FROM comments")
        .denied(&["no-comments"]);
}

#[test]
fn no_run_can_have_it_done() {
    if confinement().map_err(skipped).is_err() {
        return;
    }
    let world = World::triage();
    write_task(&world, "second", READS_DRAFTS);
    // As the launcher's own process it could; as a run's it reaches neither the control socket nor the gateway.
    let gateway = world.pid();
    let bailiwick = bailiwick_tests::bailiwick().display().to_string();
    let attempt = format!(
        "{bailiwick} reload; echo said $?; kill -HUP {gateway}; echo x >> {}; echo wrote $?",
        file(&world, "tasks/second.toml").display()
    );
    let finished = world.bailiwick(&["run", "--task", "triage", "--", "sh", "-c", &attempt]);
    assert!(finished.stdout.contains("said 2"), "{finished:#?}");
    assert!(!finished.stdout.contains("wrote 0"), "{finished:#?}");
    assert!(loaded(&world).is_empty() || loaded(&world)[0]["by"] == "SIGHUP");
}

#[test]
fn what_waits_for_people_is_asked_anew_under_other_guardrails() {
    if confinement().map_err(skipped).is_err() {
        return;
    }
    let grants = format!(
        "[[read]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\n\
         [[write]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\napprove = {:?}\n",
        me()
    );
    let world = World::builder().task(task("triage", &grants)).start();
    let run = world.open_confined("triage");
    let mut agent = Agent::connect(&run);
    let sql = "UPDATE tickets SET priority = 9 WHERE id = 1";
    let send = |agent: &mut Agent| agent.send(|out| frontend::query(sql, out).expect("a query"));
    send(&mut agent);
    let asked = world.asked(&run);
    let forbid =
        "@id(\"final\")\nforbid (principal, action == Bailiwick::Action::\"update\", resource);";
    write(&world, "policies/own.cedar", forbid);
    reload(&world);
    world.approve(&asked);
    let report = agent.answer().denied(&["approval apr_"]);
    assert!(
        report.detail.contains("policies are not those any more"),
        "{report:#?}"
    );
    let priority = || world.sql("SELECT priority FROM tickets WHERE id = 1");
    assert_eq!(priority(), "0");
    agent.query(sql).denied(&["final"]);
    // Once nothing forbids it, people are asked, and that is good.
    fs::remove_file(file(&world, "policies/own.cedar")).expect("a file");
    reload(&world);
    send(&mut agent);
    world.approve(&world.asked(&run));
    agent.answer().ok();
    assert_eq!(priority(), "9");
}
