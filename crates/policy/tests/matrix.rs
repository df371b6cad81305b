//! Every task of `tests/matrix/` against every verb and a list of resources. The answers are kept in
//! `tests/matrix.txt`, a row for each task and
//! resource; a row that is missing, different or no longer asked fails.
//!
//! `BLESS=1 cargo test -p bailiwick-policy --test matrix` writes the file anew: read the difference.

#![allow(clippy::unwrap_used, reason = "a helper of tests may fail a test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use bailiwick_action::{Action, Class, Kind, Resource, Verb};
use common::{call, house, run};

#[test]
fn the_answers_are_the_golden_ones() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix.txt");
    let answers = answers();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&file, &answers).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    let golden_rows: BTreeSet<&str> = golden.lines().collect();
    let rows: BTreeSet<&str> = answers.lines().collect();
    let mut difference = String::new();
    for row in rows.difference(&golden_rows) {
        writeln!(difference, "new or changed: {row}").unwrap();
    }
    for row in golden_rows.difference(&rows) {
        writeln!(difference, "stale:          {row}").unwrap();
    }
    assert!(
        golden == answers,
        "tests/matrix.txt differs; if that is meant, run this test with BLESS=1\n{difference}"
    );
}

/// A task without write, destroy or admin grants allows nothing that could change anything, whatever
/// the verb, the class claimed for it, the resource or its columns.
#[test]
fn a_read_only_task_has_no_effect() {
    let scope = house().scope(&run("read-only")).unwrap();
    let mut allowed = 0;
    for action in all_actions() {
        let verb = action.verb;
        if let Ok(allow) = scope.decide("tickets", &call([action])) {
            allowed += 1;
            assert!(!allow.class().has_effect(), "{verb}");
            assert!(
                matches!(verb, Verb::Select | Verb::Session | Verb::Execute),
                "{verb}"
            );
        }
    }
    assert!(allowed > 0);
}

fn answers() -> String {
    let engine = house();
    let verbs: Vec<&str> = Verb::ALL.iter().map(|verb| verb.as_str()).collect();
    let mut text = format!(
        "# task | resource (columns) | what is allowed of: {}\n",
        verbs.join(" ")
    );
    for task in engine.tasks() {
        let scope = engine.scope(&run(&task.name)).unwrap();
        let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for action in all_actions() {
            let what = action.to_string();
            let (_, what) = what.split_once(' ').unwrap();
            let allowed = rows.entry(what.to_owned()).or_default();
            if scope.decide("tickets", &call([action.clone()])).is_ok() {
                allowed.push(match action.verb {
                    Verb::Execute => format!("{}-{}", action.verb, action.class),
                    verb => verb.to_string(),
                });
            }
        }
        for (what, allowed) in rows {
            let allowed = if allowed.is_empty() {
                "-".to_owned()
            } else {
                allowed.join(" ")
            };
            writeln!(text, "{} | {what} | {allowed}", task.name).unwrap();
        }
    }
    text
}

/// Each verb, with each class, on each resource; reads and writes of tables with several columns.
fn all_actions() -> Vec<Action> {
    let classes = [
        Class::Session,
        Class::Read,
        Class::Write,
        Class::Destroy,
        Class::Admin,
    ];
    let mut actions = Vec::new();
    for resource in resources() {
        for verb in Verb::ALL {
            for class in classes {
                let action = Action {
                    class,
                    ..Action::new(verb, resource.clone())
                };
                if resource.kind == Kind::Table
                    && matches!(verb, Verb::Select | Verb::Insert | Verb::Update)
                {
                    for columns in [&["id"][..], &["id", "ssn"], &["priority"], &["*"]] {
                        actions.push(action.clone().with_columns(columns.iter().copied()));
                    }
                } else {
                    actions.push(action);
                }
            }
        }
    }
    actions
}

fn resources() -> Vec<Resource> {
    let mut index = Resource::named(Kind::Object, "tickets_idx");
    index.schema = Some("public".into());
    vec![
        Resource::target(),
        Resource::table("public", "tickets"),
        Resource::table("public", "comments"),
        Resource::table("public", "drafts"),
        Resource::table("public", "scratch"),
        Resource::table("public", "customers"),
        Resource::table("billing", "invoices"),
        Resource::table("secrets", "keys"),
        Resource::table("pg_catalog", "pg_authid"),
        Resource::table("public", "*"),
        Resource::table("", "tickets"),
        Resource::function("public", "close"),
        Resource::function("public", "count_open"),
        Resource::function("public", "tickets"),
        index,
        Resource::named(Kind::Object, "pgcrypto"),
        Resource::named(Kind::Role, "intern"),
        Resource::named(Kind::Setting, "TimeZone"),
        Resource::named(Kind::Setting, "role"),
    ]
}
