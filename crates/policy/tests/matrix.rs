//! Every task of `tests/matrix/` against every verb and a list of resources of each target that it has a
//! grant on. The answers are kept in `tests/matrix.txt`, a row for each task and resource; a row that is
//! missing, different or no longer asked fails.
//!
//! `BLESS=1 cargo test -p bailiwick-policy --test matrix` writes the file anew: read the difference.

#![allow(clippy::unwrap_used, reason = "a helper of tests may fail a test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use bailiwick_action::{Action, Class, Kind, Resource, Verb};
use bailiwick_policy::Ruling;
use common::{call, house, run, with_field};

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
    for (_, action) in all_actions("tickets") {
        let verb = action.verb;
        if let Ok(Ruling::Allow(allow)) = scope.decide("tickets", &call([action])) {
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
        "# task | resource (columns) | what is allowed (with ? once it is approved) of: {}\n",
        verbs.join(" ")
    );
    for task in engine.tasks() {
        let scope = engine.scope(&run(&task.name)).unwrap();
        let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let actions = task.targets().into_iter().flat_map(|target| {
            all_actions(target)
                .into_iter()
                .map(move |row| (target, row))
        });
        for (target, (what, action)) in actions {
            let allowed = rows.entry(what).or_default();
            let held = match scope.decide(target, &call([action.clone()])) {
                Ok(Ruling::Allow(_)) => "",
                Ok(Ruling::Hold(_)) => "?",
                Err(_) => continue,
            };
            allowed.push(match action.verb {
                Verb::Execute | Verb::Request => {
                    format!("{}-{}{held}", action.verb, action.class)
                }
                verb => format!("{verb}{held}"),
            });
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

/// Each verb, with each class, on each resource; reads and writes of tables with several columns, requests
/// and tool calls with several values in them. Each with the row that it belongs to.
fn all_actions(target: &str) -> Vec<(String, Action)> {
    let classes = [
        Class::Session,
        Class::Read,
        Class::Write,
        Class::Destroy,
        Class::Admin,
    ];
    let mut actions = Vec::new();
    for resource in resources(target) {
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
                        let action = action.clone().with_columns(columns.iter().copied());
                        actions.push((row(&action, ""), action));
                    }
                } else if matches!(resource.kind, Kind::Request | Kind::Tool) {
                    for visibility in ["internal", "public"] {
                        let action = with_field(action.clone(), "$.visibility", visibility);
                        actions.push((row(&action, visibility), action));
                    }
                    actions.push((row(&action, ""), action));
                } else {
                    actions.push((row(&action, ""), action));
                }
            }
        }
    }
    actions
}

/// What an action is done to, and the value in it.
fn row(action: &Action, value: &str) -> String {
    let what = action.to_string();
    let (_, what) = what.split_once(' ').unwrap();
    match value {
        "" => what.to_owned(),
        value => format!("{what} ({value})"),
    }
}

fn resources(target: &str) -> Vec<Resource> {
    match target {
        "crm" => requests(),
        "helpdesk" => served(),
        _ => database(),
    }
}

fn requests() -> Vec<Resource> {
    let mut requests: Vec<_> = [
        ("GET", "/customers/42"),
        ("GET", "/customers/7"),
        ("HEAD", "/customers/42"),
        ("PUT", "/customers/42"),
        ("GET", "/customers"),
        ("GET", "/customers/"),
        ("GET", "/customers/42/cards"),
        ("GET", "/customers/a%2Fb"),
        ("GET", "/customers/%2e%2e"),
        ("GET", "/customers/../admin"),
        ("GET", "/files"),
        ("GET", "/files/a/b"),
        ("GET", "/tickets"),
        ("GET", "/tickets/5"),
        ("POST", "/tickets"),
        ("POST", "/tickets/5/comments"),
        ("DELETE", "/tickets/5"),
        ("POST", "/search"),
        ("WEBSOCKET", "/events"),
    ]
    .map(|(method, path)| Resource::request(method, path))
    .into();
    requests.extend([
        Resource::target(),
        Resource::named(Kind::Tool, "list_tickets"),
    ]);
    requests
}

fn served() -> Vec<Resource> {
    vec![
        Resource::target(),
        Resource::named(Kind::Tool, "list_tickets"),
        Resource::named(Kind::Tool, "add_comment"),
        Resource::named(Kind::Tool, "configure"),
        Resource::named(Kind::Tool, "not_pinned"),
        Resource::named(Kind::Tool, "delete_ticket"),
        Resource::named(Kind::Tool, "*"),
        Resource::named(Kind::Uri, "ticket://5"),
        Resource::named(Kind::Uri, "ticket://5/history"),
        Resource::named(Kind::Uri, "ticket://%2E%2E"),
        Resource::named(Kind::Prompt, "triage"),
        Resource::named(Kind::Prompt, "list_tickets"),
        Resource::named(Kind::Feature, "elicitation"),
        Resource::named(Kind::Feature, "sampling"),
        Resource::request("GET", "/customers/42"),
    ]
}

fn database() -> Vec<Resource> {
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
