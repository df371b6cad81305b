//! What the tests of this crate share.
#![allow(dead_code, reason = "each test uses its own part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests may fail a test"
)]

use std::path::Path;
use std::time::Duration;

use bailiwick_action::{Action, Call, Payload};
use bailiwick_policy::{Engine, LoadErrors, TargetName};
use bailiwick_run::{Confinement, Run, RunId, Time, TimeBox};

/// The targets of every test.
pub(crate) fn targets() -> Vec<TargetName> {
    ["tickets", "crm"]
        .map(|name| TargetName {
            name: name.into(),
            kind: "postgres".into(),
        })
        .into()
}

/// Loads files given as (name, text); those that end in `.cedar` are guardrails.
pub(crate) fn load(files: &[(&str, &str)]) -> Result<Engine, LoadErrors> {
    let root = tempfile::tempdir().unwrap();
    let (tasks, policies) = (root.path().join("tasks"), root.path().join("policies"));
    std::fs::create_dir(&tasks).unwrap();
    std::fs::create_dir(&policies).unwrap();
    for (name, text) in files {
        let folder = if name.ends_with(".cedar") {
            &policies
        } else {
            &tasks
        };
        std::fs::write(folder.join(name), text).unwrap();
    }
    Engine::load(&tasks, &policies, &targets())
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
