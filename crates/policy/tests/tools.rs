//! What a task lets through of an MCP server's.

#![allow(clippy::unwrap_used, reason = "a helper of tests may fail a test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_action::{Action, Class, Denial, Kind, Pin, Resource, Verb};
use bailiwick_policy::{Engine, Pins, Scope, pins_text};
use common::{allowed, call, load, run, task, with_field};

const HELPDESK: &str = r#"
[[read]]
target    = "helpdesk"
tools     = ["list_tickets"]
resources = ["ticket://*", "file:///logs/**"]
prompts   = ["triage"]
[[write]]
target    = "helpdesk"
tools     = ["add_comment"]
arguments = { visibility = "internal", "$.priority" = { min = 1, max = 3, optional = true } }
[[write]]
target   = "helpdesk"
tools    = ["search"]
unpinned = true
[[write]]
target   = "helpdesk"
features = ["elicitation"]
[[destroy]]
target  = "helpdesk"
tools   = ["purge"]
approve = "group:owners"
"#;

fn pins() -> String {
    let tools = ["list_tickets", "add_comment", "purge", "search"];
    let tools: BTreeMap<_, _> = tools.map(|tool| (tool.to_owned(), [7; 32])).into();
    pins_text("t", &Pins::from([("helpdesk".to_owned(), tools)]))
}

fn engine() -> Engine {
    load(&[("t.toml", &task(HELPDESK)), ("t.pins", &pins())]).unwrap()
}

fn scope() -> Scope {
    engine().scope(&run("t")).unwrap()
}

fn tool(name: &str) -> Action {
    Action::of_class(
        Class::Write,
        Verb::Execute,
        Resource::named(Kind::Tool, name),
    )
}

fn decide(scope: &Scope, action: Action) -> Result<Class, Denial> {
    let mut call = call([action]);
    scope.settle("helpdesk", &mut call);
    allowed(scope.decide("helpdesk", &call)).map(|allow| allow.class())
}

fn comment(visibility: &str) -> Action {
    let mut action = with_field(tool("add_comment"), "$.visibility", visibility);
    let priority = bailiwick_action::FieldPath::parse("$.priority").unwrap();
    action
        .facts
        .insert(bailiwick_action::Input::Field(priority), Vec::new());
    action
}

#[test]
fn a_tool_is_granted_by_its_name_and_class() {
    let scope = scope();
    assert_eq!(decide(&scope, tool("list_tickets")), Ok(Class::Read));
    assert_eq!(decide(&scope, tool("search")), Ok(Class::Write));
    assert_eq!(decide(&scope, comment("internal")), Ok(Class::Write));
    for name in [
        "List_tickets",
        "list_tickets ",
        "list_ticket",
        "delete_ticket",
        "*",
        "",
    ] {
        assert!(decide(&scope, tool(name)).is_err(), "{name}");
    }
    let feature = |name| {
        Action::of_class(
            Class::Write,
            Verb::Execute,
            Resource::named(Kind::Feature, name),
        )
    };
    assert!(decide(&scope, feature("elicitation")).is_ok());
    for name in ["sampling", "roots", "list_tickets"] {
        assert!(decide(&scope, feature(name)).is_err(), "{name}");
    }
    // A prompt's name is no tool's.
    assert!(decide(&scope, tool("triage")).is_err());
    let get = |kind, name: &str| Action::new(Verb::Get, Resource::named(kind, name));
    for (allowed, kind, name) in [
        (true, Kind::Prompt, "triage"),
        (false, Kind::Prompt, "list_tickets"),
        (false, Kind::Prompt, "triage2"),
        (true, Kind::Uri, "ticket://5"),
        (true, Kind::Uri, "file:///logs/2024/a.log"),
        (false, Kind::Uri, "ticket://5/../../6"),
        (false, Kind::Uri, "ticket://%2e%2e"),
        (false, Kind::Uri, "file:///logs/../etc/passwd"),
        (false, Kind::Uri, "file:///etc/passwd"),
        (false, Kind::Uri, "triage"),
    ] {
        let decided = decide(&scope, get(kind, name));
        assert_eq!(decided.is_ok(), allowed, "{name} {decided:?}");
    }
    // The verb is what the kind has, whatever is claimed.
    for verb in Verb::ALL {
        let claimed = Action::of_class(
            Class::Read,
            verb,
            Resource::named(Kind::Tool, "list_tickets"),
        );
        assert_eq!(
            decide(&scope, claimed).is_ok(),
            verb == Verb::Execute,
            "{verb}"
        );
    }
    assert_eq!(decide(&scope, Action::session()), Ok(Class::Session));
}

#[test]
fn each_denial_says_what_to_ask_for() {
    let scope = scope();
    let outside = "is outside the scope of task t";
    let uri = Action::new(Verb::Get, Resource::named(Kind::Uri, "note://1"));
    for (action, reason, remedy) in [
        (
            tool("delete_ticket"),
            format!("tool delete_ticket {outside}: no grant covers this tool"),
            r#"ask for [[write]] target = "helpdesk", tools = ["delete_ticket"]"#,
        ),
        (
            comment("public"),
            format!("tool add_comment {outside}: visibility has to be \"internal\""),
            "send it so, or ask for a grant with another condition",
        ),
        (
            tool("add_comment"),
            format!(
                "tool add_comment {outside}: priority has to be at least 1 and at most 3 and visibility has to be \"internal\""
            ),
            "send it so, or ask for a grant with another condition",
        ),
        (
            uri,
            format!("resource note://1 {outside}: no grant covers this resource"),
            r#"ask for [[read]] target = "helpdesk", resources = ["note://1"]"#,
        ),
        (
            tool("a\u{1b}[2J\n"),
            format!("tool a\u{fffd}[2J\u{fffd} {outside}: no grant covers this tool"),
            "ask for [[write]] target = \"helpdesk\", tools = [\"a\u{fffd}[2J\u{fffd}\"]",
        ),
    ] {
        let denial = decide(&scope, action).unwrap_err();
        assert_eq!((&*denial.reason, &*denial.remedy), (&*reason, remedy));
    }
}

#[test]
fn a_tool_that_nobody_pinned_is_not_called() {
    let engine = load(&[("t.toml", &task(HELPDESK))]).unwrap();
    let scope = engine.scope(&run("t")).unwrap();
    let denial = decide(&scope, tool("list_tickets")).unwrap_err();
    assert_eq!(
        denial.reason,
        "tool list_tickets is in the scope of task t, but not pinned: nobody has said which definition of it \
         the task was written for"
    );
    assert!(
        denial.remedy.ends_with("run `bailiwick task pin t`"),
        "{denial:?}"
    );
    assert!(decide(&scope, tool("search")).is_ok());
    assert!(!scope.allows(
        "helpdesk",
        &Action {
            class: Class::Read,
            ..tool("list_tickets")
        }
    ));
}

#[test]
fn a_pin_is_what_the_file_says() {
    let engine = engine();
    let scope = engine.scope(&run("t")).unwrap();
    assert_eq!(scope.pin("helpdesk", "list_tickets"), Pin::Digest([7; 32]));
    assert_eq!(scope.pin("helpdesk", "search"), Pin::Unpinned);
    assert_eq!(scope.pin("helpdesk", "other"), Pin::Missing);
    assert_eq!(scope.pin("crm", "list_tickets"), Pin::Missing);
    let task = engine.task("t").unwrap();
    let tools: BTreeSet<&str> = ["add_comment", "list_tickets", "purge", "search"].into();
    assert_eq!(task.tools("helpdesk"), tools);
    assert!(task.tools("crm").is_empty());
    assert!(!task.proxy);

    let covers = |kind, name: &str| scope.covers("helpdesk", &Resource::named(kind, name));
    assert!(covers(Kind::Tool, "add_comment") && covers(Kind::Uri, "ticket://5"));
    assert!(covers(Kind::Prompt, "triage") && covers(Kind::Feature, "elicitation"));
    assert!(covers(Kind::Tool, "purge") && !covers(Kind::Tool, "triage"));
}

/// A tool may be another only where every grant that names it says so.
#[test]
fn one_grant_that_pins_is_enough() {
    let both = task(
        "[[read]]\ntarget = \"helpdesk\"\ntools = [\"list_tickets\"]\nunpinned = true\n\
         [[write]]\ntarget = \"helpdesk\"\ntools = [\"list_tickets\"]\n",
    );
    let engine = load(&[("t.toml", &both), ("t.pins", &pins())]).unwrap();
    let scope = engine.scope(&run("t")).unwrap();
    assert_eq!(scope.pin("helpdesk", "list_tickets"), Pin::Digest([7; 32]));
    assert_eq!(decide(&scope, tool("list_tickets")), Ok(Class::Write));
}

#[test]
fn pins_are_part_of_the_digest() {
    let digest = |pins: &str| {
        let engine = load(&[("t.toml", &task(HELPDESK)), ("t.pins", pins)]).unwrap();
        let scope = engine.scope(&run("t")).unwrap();
        let task = engine.task("t").unwrap().digest.clone();
        [engine.digest().to_owned(), scope.digest().to_owned(), task]
    };
    let one = digest(&pins());
    let other = digest(&pins().replace("0707", "0708"));
    assert_eq!(one, digest(&pins()));
    for (one, other) in one.iter().zip(&other) {
        assert_ne!(one, other);
    }
}

#[test]
fn a_guardrail_beats_a_grant() {
    let guardrails = r#"
@id("no-comments")
forbid (principal, action, resource == Bailiwick::Tool::"helpdesk/add_comment");
@id("no-logs")
forbid (principal, action == Bailiwick::Action::"get", resource is Bailiwick::Uri)
when { resource.name like "file:*" };
"#;
    let files = [
        ("t.toml", &*task(HELPDESK)),
        ("t.pins", &*pins()),
        ("g.cedar", guardrails),
    ];
    let scope = load(&files).unwrap().scope(&run("t")).unwrap();
    let denial = decide(&scope, comment("internal")).unwrap_err();
    assert_eq!(denial.policies, ["guardrail:no-comments"]);
    assert!(
        denial
            .reason
            .starts_with("guardrail no-comments forbids tool add_comment: "),
        "{denial:?}"
    );
    let log = Action::new(Verb::Get, Resource::named(Kind::Uri, "file:///logs/a"));
    assert_eq!(
        decide(&scope, log).unwrap_err().policies,
        ["guardrail:no-logs"]
    );
    assert!(decide(&scope, tool("list_tickets")).is_ok());
}

#[test]
fn what_is_allowed_in_words() {
    let lines: Vec<_> = scope().describe().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "may call the tool list_tickets on helpdesk",
            "may read the resource ticket://*, file:///logs/** on helpdesk",
            "may get the prompt triage on helpdesk",
            "may call the tool add_comment (write) on helpdesk, if priority, if given, is at least 1 and at most 3 and visibility is \"internal\"",
            "may call the tool search (write) on helpdesk, whatever the server makes of it (unpinned)",
            "may be asked for elicitation on helpdesk",
            "may call the tool purge (destroy) on helpdesk once group:owners approves",
            "everything else is denied",
        ]
    );
}
