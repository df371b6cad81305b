//! Tasks that are loaded anew get another template, and the runs that are open keep the rights that they have.

use std::fs;

use bailiwick_tests::{Agent, TRIAGE, Version, World, eventually, task};

use crate::kit::{Fenced, SOON, login};
use crate::on_each_version;

on_each_version!(
    another_task_is_another_template,
    a_guardrail_is_in_what_is_made_from_then_on,
);

const READS_DRAFTS: &str =
    "[[read]]\ntarget = \"tickets\"\ntables = [\"public.drafts\", \"public.comments\"]\n";

fn write(fenced: &Fenced, path: &str, text: &str) {
    let file = fenced.world.config().with_file_name("").join(path);
    fs::write(file, text).expect("a file");
}

/// What PostgreSQL itself says to a run's login.
fn may(fenced: &Fenced, run: &bailiwick_tests::Run, table: &str) -> bool {
    let sql = format!("SELECT 1 FROM {table} LIMIT 1");
    fenced.as_login(&login(run), &sql).is_ok()
}

fn another_task_is_another_template(version: Version) {
    let fenced = Fenced::new(version, TRIAGE);
    let world = &fenced.world;
    let old = world.open("triage");
    let later = world.open("triage");
    let mut agent = Agent::connect(&old);
    agent.query("SELECT subject FROM tickets").ok();
    let templates = fenced.templates();
    assert_eq!(templates.len(), 1);

    write(
        &fenced,
        "tasks/triage.toml",
        &task("triage", READS_DRAFTS).1,
    );
    world.bailiwick(&["reload"]).ok();
    let new = world.open("triage");
    let mut newer = Agent::connect(&new);
    newer.query("SELECT * FROM drafts").ok();
    newer
        .query("SELECT subject FROM tickets")
        .denied(&["public.tickets"]);
    // A run that was opened before and comes to the target only now has what it was opened with.
    let mut late = Agent::connect(&later);
    late.query("SELECT subject FROM tickets").ok();

    assert_eq!(fenced.templates().len(), 2);
    assert!(fenced.templates().contains(&templates[0]));
    for run in [&old, &later] {
        assert!(may(&fenced, run, "tickets") && !may(&fenced, run, "drafts"));
    }
    assert!(may(&fenced, &new, "drafts") && !may(&fenced, &new, "tickets"));
    agent
        .query("UPDATE tickets SET priority = 3 WHERE id = 1")
        .ok();

    // Without a task there is still the run, and its login goes when it does.
    let file = world.config().with_file_name("tasks").join("triage.toml");
    fs::remove_file(file).expect("a file");
    world.bailiwick(&["reload"]).ok();
    agent.query("SELECT subject FROM tickets").ok();
    world.bailiwick(&["close", &old.id]).ok();
    eventually("its login is gone", SOON, || {
        (!fenced.logins().contains(&login(&old))).then_some(())
    });
    late.query("SELECT subject FROM tickets").ok();
}

fn a_guardrail_is_in_what_is_made_from_then_on(version: Version) {
    let fenced = Fenced::from(
        version,
        World::builder().task(task("triage", TRIAGE)),
        "per-run",
        "",
    );
    let world = &fenced.world;
    let old = world.open("triage");
    let later = world.open("triage");
    let mut agent = Agent::connect(&old);
    agent.query("SELECT text FROM comments").ok();
    write(
        &fenced,
        "policies/own.cedar",
        "@id(\"no-comments\")\nforbid (principal, action, resource == Bailiwick::Table::\"tickets/public/comments\");",
    );
    world.bailiwick(&["reload"]).ok();
    // The gateway forbids it at once; PostgreSQL to those whose login is made now.
    for run in [&old, &later] {
        Agent::connect(run)
            .query("SELECT text FROM comments")
            .denied(&["no-comments"]);
    }
    agent
        .query("SELECT text FROM comments")
        .denied(&["no-comments"]);
    assert!(may(&fenced, &old, "comments"));
    assert!(!may(&fenced, &later, "comments") && may(&fenced, &later, "tickets"));
}
