//! What the tests of this crate share.
#![allow(dead_code, reason = "each test uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests may fail a test"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bailiwick_action::{Action, Call, Denial, Fact, FieldPath, Input, Payload};
use bailiwick_policy::{Allow, Engine, LoadErrors, Operation, Ruling, TargetName};
use bailiwick_run::{Confinement, Run, RunId, Time, TimeBox};

/// The targets of every test.
pub(crate) fn targets() -> Vec<TargetName> {
    let operation = |method: &str, path: &str| Operation {
        method: method.into(),
        path: path.into(),
    };
    let mut crm = TargetName::new("crm", "http", &["url", "token", "basic", "proxy"]);
    crm.operations = BTreeMap::from([
        ("listTickets".into(), operation("GET", "/tickets")),
        ("getTicket".into(), operation("GET", "/tickets/{id}")),
        (
            "addComment".into(),
            operation("POST", "/tickets/{id}/comments"),
        ),
        (
            "closeTicket".into(),
            operation("POST", "/tickets/{id}/close"),
        ),
        ("getFile".into(), operation("GET", "/files/{name}.{ending}")),
    ]);
    vec![
        TargetName::new("tickets", "postgres", &["url", "jdbc"]),
        crm,
        TargetName::new("helpdesk", "mcp", &["url", "token", "basic", "proxy"]),
    ]
}

/// Loads files given as (name, text); those that end in `.cedar` are guardrails, and `policies/` names the folder.
pub(crate) fn load(files: &[(&str, &str)]) -> Result<Engine, LoadErrors> {
    load_with(files, &targets())
}

/// The same with other targets.
pub(crate) fn load_with(
    files: &[(&str, &str)],
    targets: &[TargetName],
) -> Result<Engine, LoadErrors> {
    let root = tempfile::tempdir().unwrap();
    let (tasks, policies) = (root.path().join("tasks"), root.path().join("policies"));
    std::fs::create_dir(&tasks).unwrap();
    std::fs::create_dir(&policies).unwrap();
    for (name, text) in files {
        let path = match (name.strip_prefix("policies/"), name.ends_with(".cedar")) {
            (Some(name), _) => policies.join(name),
            (None, true) => policies.join(name),
            (None, false) => tasks.join(name),
        };
        std::fs::write(path, text).unwrap();
    }
    Engine::load(&tasks, &policies, targets)
}

/// The text of a task `t` with these grants.
pub(crate) fn task(grants: &str) -> String {
    format!("task = \"t\"\npurpose = \"p\"\nlaunchers = [\"human:*\"]\nttl = \"1m\"\n{grants}")
}

/// Who has to approve a call, if anybody has to.
pub(crate) fn approvers(decided: Result<Ruling, Denial>) -> Result<Vec<String>, Denial> {
    decided.map(|ruling| match ruling {
        Ruling::Allow(_) => Vec::new(),
        Ruling::Hold(hold) => hold.approvers().iter().cloned().collect(),
    })
}

/// The allow of a call that needs nobody's approval.
pub(crate) fn allowed(decided: Result<Ruling, Denial>) -> Result<Allow, Denial> {
    decided.map(|ruling| match ruling {
        Ruling::Allow(allow) => allow,
        Ruling::Hold(hold) => panic!("held for {:?}", hold.approvers()),
    })
}

/// The action with a text in one field.
pub(crate) fn with_field(mut action: Action, path: &str, text: &str) -> Action {
    let input = Input::Field(FieldPath::parse(path).unwrap());
    action.facts.insert(input, vec![Fact::Text(text.into())]);
    action
}

/// The engine of `tests/matrix/`.
pub(crate) fn house() -> Engine {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/matrix");
    match Engine::load(&root.join("tasks"), &root.join("policies"), &targets()) {
        Ok(engine) => engine,
        Err(errors) => panic!("{errors}"),
    }
}

/// A run of a task.
pub(crate) fn run(task: &str) -> Run {
    let opened = Time::from_millis(1_700_000_000_000);
    Run {
        id: RunId::new(opened, [7; 10]),
        launcher: "human:alice@acme.com".parse().unwrap(),
        task: task.into(),
        time_box: TimeBox {
            opened,
            expires: opened.after(Duration::from_secs(60)),
        },
        confinement: Confinement::Landlock,
        reason: None,
    }
}

/// A call that does this.
pub(crate) fn call(actions: impl IntoIterator<Item = Action>) -> Call {
    Call {
        protocol: "postgres",
        verb: "TEST".into(),
        actions: actions.into_iter().collect(),
        refusal: None,
        payload: Payload::default(),
    }
}
