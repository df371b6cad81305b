//! Task files: reading one never fails in any way but by saying what is wrong, and what one allows does not depend
//! on the order in which it says so.

use std::fs;
use std::time::Duration;

use bailiwick_action::{
    Action, Call, Class, Fact, FieldPath, Input, Kind, Payload, Resource, Verb,
};
use bailiwick_policy::{Engine, Operation, Ruling, Scope, TargetName};
use bailiwick_run::{Confinement, Run, RunId, Time, TimeBox};

const HEAD: &str =
    "task = \"t\"\npurpose = \"p\"\nlaunchers = [\"human:*@acme.com\"]\nttl = \"30m\"\n";

/// Puts a task file to the policy.
pub fn tasks(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let whole = format!("{HEAD}{text}");
    let Some(allowed) = allowed(&whole) else {
        return;
    };
    // What looks like the beginning of an entry may stand within a text.
    if text.contains("'''") || text.contains("\"\"\"") {
        return;
    }
    let (start, mut entries) = entries(text);
    entries.reverse();
    let turned = format!("{HEAD}{start}{}", entries.concat());
    assert_eq!(
        self::allowed(&turned),
        Some(allowed.clone()),
        "another order allows something else: {whole}"
    );
    // A grant less allows no more; but what has to be approved takes precedence over what need not be.
    for (at, entry) in entries.iter().enumerate() {
        if entry.contains("approve") || entry.starts_with("[[mask") {
            continue;
        }
        let mut others = entries.clone();
        others.remove(at);
        let less = format!("{HEAD}{start}{}", others.concat());
        if let Some(less) = self::allowed(&less) {
            let more = less.iter().zip(&allowed).any(|(less, all)| *less && !all);
            assert!(!more, "it allows more without {entry}: {whole}");
        }
    }
}

/// What stands before the first entry, and each entry with all that belongs to it.
fn entries(text: &str) -> (String, Vec<String>) {
    let (mut start, mut entries) = (String::new(), Vec::<String>::new());
    for line in text.lines() {
        if line.starts_with("[[") {
            entries.push(String::new());
        }
        let to = entries.last_mut().unwrap_or(&mut start);
        to.push_str(line);
        to.push('\n');
    }
    (start, entries)
}

/// Which of the calls a run of a task may make without asking; nothing where the task does not load.
fn allowed(task: &str) -> Option<Vec<bool>> {
    let folder = tempfile::tempdir().expect("a folder");
    let [tasks, policies] = ["tasks", "policies"].map(|name| folder.path().join(name));
    for folder in [&tasks, &policies] {
        fs::create_dir(folder).expect("a folder");
    }
    fs::write(tasks.join("t.toml"), task).expect("a file");
    let engine = match Engine::load(&tasks, &policies, &targets()) {
        Ok(engine) => engine,
        Err(errors) => {
            assert!(!errors.to_string().is_empty());
            return None;
        }
    };
    for line in engine.describe("t").expect("its words") {
        assert!(!format!("{line:?}").is_empty());
    }
    let scope = engine.scope(&run()).expect("a scope");
    let calls = calls(&scope);
    Some(
        calls
            .iter()
            .map(|(target, call)| may(&scope, target, call))
            .collect(),
    )
}

fn may(scope: &Scope, target: &str, call: &Call) -> bool {
    match scope.decide(target, call) {
        Ok(Ruling::Allow(_)) => true,
        Ok(Ruling::Hold(hold)) => {
            assert!(!hold.approvers().is_empty());
            false
        }
        Err(denial) => {
            assert!(!denial.reason.is_empty());
            false
        }
    }
}

fn targets() -> Vec<TargetName> {
    let mut crm = TargetName::new("crm", "http", &["url", "token", "basic", "proxy"]);
    let operation = Operation {
        method: "GET".into(),
        path: "/tickets/{id}".into(),
    };
    crm.operations.insert("getTicket".into(), operation);
    vec![
        TargetName::new("tickets", "postgres", &["url"]),
        crm,
        TargetName::new("helpdesk", "mcp", &["url", "token"]),
    ]
}

fn run() -> Run {
    let opened = Time::from_millis(1_700_000_000_000);
    Run {
        id: RunId::new(opened, [7; 10]),
        launcher: "human:alice@acme.com".parse().expect("a launcher"),
        task: "t".into(),
        time_box: TimeBox {
            opened,
            expires: opened.after(Duration::from_secs(60)),
        },
        confinement: Confinement::Landlock,
        reason: None,
    }
}

/// Calls of every sort, with what the conditions of the scope look for in several ways.
fn calls(scope: &Scope) -> Vec<(&'static str, Call)> {
    let mut actions = Vec::new();
    for (schema, table) in [
        ("public", "tickets"),
        ("public", "drafts"),
        ("audit", "log"),
    ] {
        for verb in [
            Verb::Select,
            Verb::Insert,
            Verb::Update,
            Verb::Delete,
            Verb::Drop,
        ] {
            let action = Action::new(verb, Resource::table(schema, table));
            actions.push(("tickets", action.clone()));
            actions.push(("tickets", action.with_columns(["priority", "email"])));
        }
        let function = Resource::function(schema, table);
        actions.push(("tickets", Action::execute(Class::Read, function)));
    }
    for (method, class) in [
        ("GET", Class::Read),
        ("POST", Class::Write),
        ("DELETE", Class::Destroy),
    ] {
        for path in [
            "/",
            "/tickets",
            "/tickets/5",
            "/tickets/5/comments",
            "/a%3Bb",
        ] {
            let request = Resource::request(method, path);
            actions.push(("crm", Action::of_class(class, Verb::Request, request)));
        }
    }
    for (kind, verb, names) in [
        (Kind::Tool, Verb::Execute, ["add_comment", "delete_ticket"]),
        (Kind::Uri, Verb::Get, ["ticket://5", "file:///logs/a"]),
        (Kind::Prompt, Verb::Get, ["triage", "other"]),
        (Kind::Feature, Verb::Execute, ["sampling", "roots"]),
    ] {
        for name in names {
            let resource = Resource::named(kind, name);
            let action = match kind {
                Kind::Tool => Action::of_class(Class::Write, verb, resource),
                _ => Action::new(verb, resource),
            };
            actions.push(("helpdesk", action));
        }
    }
    let mut calls = Vec::new();
    for (target, action) in actions {
        for fact in [
            None,
            Some(Fact::Text("internal".into())),
            Some(Fact::Number("1".into())),
            Some(Fact::Bool(true)),
            Some(Fact::Other),
        ] {
            let mut action = action.clone();
            let own = Input::Field(FieldPath::parse("$.visibility").expect("a path"));
            for input in scope.inputs(target).into_iter().chain([own]) {
                action.facts.insert(input, fact.iter().cloned().collect());
            }
            let mut call = Call {
                protocol: "any",
                verb: "ANY".into(),
                actions: vec![action],
                refusal: None,
                payload: Payload::default(),
            };
            scope.settle(target, &mut call);
            calls.push((target, call));
        }
    }
    calls
}
