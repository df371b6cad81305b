//! What `docs/tasks.md` shows can be loaded as it stands there.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests may fail a test"
)]

mod common;

use std::path::Path;

use common::load;

#[test]
fn the_examples_are_right() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tasks.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (mut task, mut pins, mut guardrails) = (String::new(), String::new(), String::new());
    for block in text.split("```").skip(1).step_by(2) {
        let (language, block) = block.split_once('\n').unwrap();
        match language {
            "toml" if block.starts_with("[helpdesk.tools]") => pins.push_str(block),
            "toml" => task.push_str(block),
            "cedar" => guardrails.push_str(block),
            other => panic!("a block of {other:?}"),
        }
    }
    let files = [
        ("triage-tickets.toml", &*task),
        ("triage-tickets.pins", &*pins),
        ("own.cedar", &*guardrails),
    ];
    let engine = load(&files).unwrap_or_else(|errors| panic!("{errors}"));
    let task = engine.task("triage-tickets").unwrap();
    assert!(task.proxy && task.pins["helpdesk"].contains_key("list_tickets"));
    assert_eq!((task.grants.len(), engine.guardrails().len()), (13, 2));
}
