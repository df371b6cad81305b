//! What is wrong with files is found, all of it, and said with its place.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests may fail a test"
)]

mod common;

use std::path::Path;
use std::time::Duration;

use bailiwick_action::Kind;
use bailiwick_policy::{Engine, TooLong};
use common::{house, load, targets};

const HEAD: &str = "task = \"t\"\npurpose = \"p\"\nlaunchers = [\"human:*\"]\nttl = \"1m\"\n";

/// The problems of a task `t`, without the folder.
fn problems(text: &str) -> Vec<String> {
    problems_of(&[("t.toml", text)])
}

fn problems_of(files: &[(&str, &str)]) -> Vec<String> {
    let Err(errors) = load(files) else {
        panic!("loaded: {files:?}");
    };
    errors
        .to_string()
        .lines()
        .map(|line| {
            match line
                .split_once("/tasks/")
                .or_else(|| line.split_once("/policies/"))
            {
                Some((_, rest)) => rest.to_owned(),
                None => line.to_owned(),
            }
        })
        .collect()
}

/// The one problem of a task `t` that goes on after a right head; its line 5 is the text's first.
fn after_head(text: &str) -> String {
    let problems = problems(&format!("{HEAD}{text}"));
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems.into_iter().next().unwrap()
}

#[test]
fn each_mistake_in_the_head_is_named() {
    assert_eq!(
        problems("task = \"t\"\n"),
        [
            "t.toml:1:1: launchers: this key is missing, so nobody could open a run; say who may, as in [\"human:*@acme.com\"]",
            "t.toml:1:1: purpose: this key is missing: say in a sentence what the task is for",
            "t.toml:1:1: ttl: this key is missing: say how long a run may last at most, as in \"30m\"",
        ]
    );
    for (from, to, problem) in [
        (
            "task = \"t\"",
            "task = \"u\"",
            "t.toml:1:8: task: the task is called `u` but its file `t.toml`; give both the same name",
        ),
        (
            "task = \"t\"",
            "task = 7",
            "t.toml:1:8: task: it has to be a string, not a value of type integer",
        ),
        (
            "task = \"t\"",
            "task = \"a b\"",
            "t.toml:1:8: task: a task's name is at most 64 ASCII",
        ),
        (
            "purpose =",
            "porpose =",
            "t.toml:1:1: purpose: this key is missing: say",
        ),
        (
            "\"1m\"",
            "\"soon\"",
            "t.toml:4:7: ttl: not a duration (expected number at 0); write it as in \"30m\"",
        ),
        (
            "\"1m\"",
            "\"0s\"",
            "t.toml:4:7: ttl: a run needs at least a second",
        ),
        (
            "\"1m\"",
            "\"8d\"",
            "t.toml:4:7: ttl: a run may last at most 7days",
        ),
        (
            "[\"human:*\"]",
            "[]",
            "t.toml:3:13: launchers: the list is empty",
        ),
        (
            "[\"human:*\"]",
            "[\"*\"]",
            "t.toml:3:14: launchers: a launcher begins with \"human:\" or \"workflow:\"",
        ),
        (
            "[\"human:*\"]",
            "\"human:*\"",
            "t.toml:3:13: launchers: it has to be a list of strings, not a value of type string",
        ),
        (
            "[\"human:*\"]",
            "[\"human:*\", \"human:*\"]",
            "t.toml:3:25: launchers: \"human:*\" is listed twice",
        ),
    ] {
        let found = problems(&HEAD.replace(from, to));
        assert!(found[0].starts_with(problem), "{problem}\n{found:#?}");
    }
    let found = problems(&HEAD.replace("purpose =", "porpose ="));
    assert_eq!(
        found[1],
        "t.toml:2:1: porpose: this key is not known; did you mean `purpose`?"
    );
}

#[test]
fn each_mistake_in_a_grant_is_named() {
    let read = "[[read]]\ntarget = \"tickets\"\n";
    let write = "[[write]]\ntarget = \"tickets\"\n";
    let tables = "tables = [\"public.tickets\"]\n";
    for (text, problem) in [
        (
            format!("[[read]]\ntarget = \"tikets\"\n{tables}"),
            "t.toml:6:10: read[1].target: no target is called `tikets`; the configuration has tickets, crm, helpdesk; did you mean `tickets`?",
        ),
        (
            format!("[[read]]\n{tables}"),
            "t.toml:5:1: read[1].target: this key is missing: say which target",
        ),
        (
            format!("{read}tabels = [\"public.t\"]\n{tables}"),
            "t.toml:7:1: read[1].tabels: this key is not known; did you mean `tables`?",
        ),
        (
            format!("{read}tables = [\"tickets\"]"),
            "t.toml:7:11: read[1].tables: \"tickets\": `tickets` has no schema; write the schema too, as in \"public.tickets\"",
        ),
        (
            format!("{read}tables = [\"public.t*\"]"),
            "t.toml:7:11: read[1].tables: \"public.t*\": `*` stands only for every name",
        ),
        (
            format!("{read}tables = ['public.a', '\"public\".a']"),
            "t.toml:7:23: read[1].tables: \"\\\"public\\\".a\" is listed twice, in another spelling",
        ),
        (
            read.to_owned(),
            "t.toml:5:1: read[1].tables: the grant names nothing",
        ),
        (
            format!("{write}{tables}verbs = [\"delete\"]"),
            "t.toml:8:10: write[1].verbs: delete is a matter of destroy, not of write; put it in a [[destroy]] grant",
        ),
        (
            format!("{write}{tables}verbs = [\"updaet\"]"),
            "t.toml:8:10: write[1].verbs: no verb is called \"updaet\"; a [[write]] grant may have execute, insert, lock, update; did you mean `update`?",
        ),
        (
            format!("{read}{tables}verbs = [\"session\"]"),
            "t.toml:8:10: read[1].verbs: session is never granted by itself",
        ),
        (
            format!("{read}{tables}verbs = [\"execute\", \"select\"]"),
            "t.toml:8:9: read[1].verbs: execute makes no sense for anything that this grant names",
        ),
        (
            format!("{read}{tables}settings = [\"role\"]"),
            "t.toml:8:12: read[1].settings: none of the grant's verbs makes sense for settings",
        ),
        (
            format!("[[admin]]\ntarget = \"tickets\"\n{tables}"),
            "t.toml:5:1: admin[1].verbs: this key is missing",
        ),
        (
            format!("[[destroy]]\ntarget = \"tickets\"\n{tables}columns = [\"a\"]"),
            "t.toml:8:11: destroy[1].columns: columns cannot limit delete",
        ),
        (
            format!("{read}functions = [\"public.f\"]\ncolumns = [\"a\"]"),
            "t.toml:8:11: read[1].columns: columns limit tables, and this grant names none",
        ),
        (
            format!("{read}{tables}columns = [\"*\"]"),
            "t.toml:8:12: read[1].columns: \"*\": `*` stands only",
        ),
        (
            format!("{read}requests = [\"GET /customers/*\"]"),
            "t.toml:7:12: read[1].requests: `requests` makes no sense here: `tickets` is of kind postgres, and a grant on it may have tables, columns,",
        ),
        (
            format!("{write}{tables}approve = \"owners\""),
            "t.toml:8:11: write[1].approve: it names who approves, as in \"group:data-owners\"",
        ),
        (
            "[read]\ntarget = \"tickets\"".to_owned(),
            "t.toml:5:1: read: it has to be written [[read]], with two brackets",
        ),
        (
            "[[mask]]\ntarget = \"tickets\"\ncolumns = [\"tickets.email\"]".to_owned(),
            "t.toml:7:12: mask[1].columns: \"tickets.email\": write \"schema.table.column\"",
        ),
        (
            "[[mask]]\ntarget = \"tickets\"\ncolumns = [\"public.tickets.email\"]\nlookup = \"yes\"".to_owned(),
            "t.toml:8:10: mask[1].lookup: it has to be true or false, not a value of type string",
        ),
        (
            "confine = \"gatewayonly\"".to_owned(),
            "t.toml:5:11: confine: it is \"default\" or \"gateway-only\"; did you mean `gateway-only`?",
        ),
        (
            format!("[env]\nURL = \"crm\"\n{read}{tables}"),
            "t.toml:6:7: env.URL: the task has no grant on target `crm`",
        ),
        (
            format!("[env]\nURL = \"token:crm\"\n{read}{tables}"),
            "t.toml:6:7: env.URL: the task has no grant on target `crm`",
        ),
        (
            format!("[env]\nURL = \"jbdc:tickets\"\n{read}{tables}"),
            "t.toml:6:7: env.URL: target `tickets` has no form `jbdc`; it has url, jdbc; did you mean `jdbc`?",
        ),
        (
            format!("[env]\n\"A=B\" = \"tickets\"\n{read}{tables}"),
            "t.toml:6:1: env.A=B: an environment variable's name is letters, digits and `_`",
        ),
        (
            format!("{read}{tables}tables = [\"public.x\"]"),
            "t.toml:8:1: not valid TOML: duplicate key",
        ),
        ("[[read]\n".to_owned(), "t.toml:5:8: not valid TOML"),
    ] {
        let found = after_head(&text);
        assert!(found.starts_with(problem), "{text}\n{found}");
    }
}

#[test]
fn all_problems_of_all_files_come_at_once_and_in_order() {
    let found = problems_of(&[
        (
            "b.toml",
            "task = \"b\"\npurpose = \"p\"\nlaunchers = [\"human:*\"]\nttl = \"x\"\nfoo = 1",
        ),
        (
            "a.toml",
            "task = \"b\"\npurpose = \"p\"\nlaunchers = [\"human:*\"]\nttl = \"1m\"",
        ),
        ("own.cedar", "permit (principal, action, resource);"),
    ]);
    let starts = [
        "own.cedar:1:1: a permit has no place here",
        "a.toml:1:8: task: the task is called `b` but its file `a.toml`",
        "b.toml:4:7: ttl: not a duration",
        "b.toml:5:1: foo: this key is not known",
    ];
    assert_eq!(found.len(), starts.len(), "{found:#?}");
    for (found, start) in found.iter().zip(starts) {
        assert!(found.starts_with(start), "{found}");
    }
}

#[test]
fn folders_and_files_that_cannot_be_read_are_problems() {
    let root = tempfile::tempdir().unwrap();
    let (tasks, policies) = (root.path().join("tasks"), root.path().join("policies"));
    let errors = Engine::load(&tasks, &policies, &targets()).err().unwrap();
    assert_eq!(errors.problems().len(), 2, "{errors}");
    std::fs::create_dir(&tasks).unwrap();
    std::fs::create_dir(&policies).unwrap();
    assert!(Engine::load(&tasks, &policies, &targets()).is_ok());
    std::fs::write(tasks.join("big.toml"), "#".repeat(300_000)).unwrap();
    std::fs::write(tasks.join("latin.toml"), b"\xff").unwrap();
    std::fs::create_dir(policies.join("sub.cedar")).unwrap();
    std::fs::write(tasks.join("notes.txt"), "not a task").unwrap();
    let errors = Engine::load(&tasks, &policies, &targets())
        .err()
        .unwrap()
        .to_string();
    for problem in [
        "big.toml: it is larger than 262144 bytes",
        "latin.toml: it is not UTF-8 text",
        "sub.cedar: it is not a file",
    ] {
        assert!(errors.contains(problem), "{errors}");
    }
    assert_eq!(errors.lines().count(), 3, "{errors}");
}

#[test]
fn a_guardrail_about_nothing_is_refused() {
    let head = "forbid (principal, action, resource ";
    for (text, problem) in [
        (
            format!("{head}in Bailiwick::Schema::\"tikets/public\");"),
            "own.cedar:1:1: Schema::\"tikets/public\" is on target `tikets`, and there is no such target; did you mean `tickets`?",
        ),
        (
            format!("{head}== Bailiwick::Table::\"tickets/users\");"),
            "own.cedar:1:1: Table::\"tickets/users\" can never match; its form is TARGET/SCHEMA/NAME",
        ),
        (
            "forbid (principal in Bailiwick::Task::\"u\", action, resource);".to_owned(),
            "own.cedar:1:1: no task is called `u`",
        ),
    ] {
        let found = problems_of(&[
            ("own.cedar", &text),
            ("task1.toml", &HEAD.replace("\"t\"", "\"task1\"")),
        ]);
        assert_eq!(found, [problem]);
    }
}

#[test]
fn a_task_is_read_as_it_is_written() {
    let house = house();
    let task = house.task("triage").unwrap();
    assert_eq!(task.purpose, "Read new tickets and set their priority");
    assert_eq!(
        task.launchers,
        ["human:*@acme.com", "workflow:github:acme/support"]
    );
    assert_eq!(task.env["DATABASE_URL"], "tickets");
    assert_eq!(house.tasks().count(), 7);
    assert_eq!(house.nearest_task("triages"), Some("triage"));
    assert_eq!(house.guardrails().len(), 4);

    let half_hour = Duration::from_secs(30 * 60);
    assert_eq!(task.time_box(None), Ok(half_hour));
    assert_eq!(task.time_box(Some(half_hour)), Ok(half_hour));
    assert_eq!(
        task.time_box(Some(Duration::from_secs(1))),
        Ok(Duration::from_secs(1))
    );
    assert_eq!(task.time_box(Some(Duration::ZERO)), Err(TooLong::Nothing));
    let error = task
        .time_box(Some(half_hour + Duration::from_secs(1)))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "task triage gives a run at most 30m; ask for that or less"
    );
}

#[test]
fn what_a_task_names_can_be_looked_up() {
    let house = house();
    let task = house.task("triage").unwrap();
    let names: Vec<_> = task
        .references()
        .into_iter()
        .map(|reference| {
            let file = reference.place.file.file_name().unwrap();
            assert_eq!(Path::new(file), Path::new("triage.toml"));
            (
                reference.kind,
                reference.schema,
                reference.name,
                reference.columns,
                reference.place.line,
            )
        })
        .collect();
    let table = |name, columns: &[&'static str], line| {
        (
            Kind::Table,
            Some("public"),
            Some(name),
            columns.to_vec(),
            line,
        )
    };
    assert_eq!(
        names,
        [
            table("tickets", &[], 11),
            table("comments", &[], 11),
            table("tickets", &["priority"], 15),
            table("comments", &[], 21),
            (Kind::Function, Some("public"), Some("close"), vec![], 23),
            table("drafts", &[], 27),
            table("tickets", &["email"], 32),
        ]
    );
}

#[test]
fn the_systems_own_schemas_are_not_granted_whole() {
    for (section, list) in [
        ("[[read]]", "tables"),
        ("[[read]]", "functions"),
        ("[[admin]]\nverbs = [\"execute\"]", "functions"),
    ] {
        let said = after_head(&format!(
            "{section}\ntarget = \"tickets\"\n{list} = [\"pg_catalog.*\"]\n"
        ));
        assert!(said.contains("everything of pg_catalog at once"), "{said}");
        assert!(said.contains("docs/postgres-clients.md"), "{said}");
    }
}

#[test]
fn files_that_an_agent_could_write_are_refused() {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    for folder in ["tasks", "policies", "elsewhere"] {
        fs::create_dir(path(folder)).unwrap();
    }
    let text = format!("{HEAD}[[read]]\ntarget = \"tickets\"\ntables = [\"public.a\"]\n");
    let load = || Engine::load(&path("tasks"), &path("policies"), &targets());
    let problem = || {
        let problems = load().unwrap_err().to_string();
        assert_eq!(problems.lines().count(), 1, "{problems}");
        problems
    };
    let mode = |name: &str, mode| {
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    // A link to where nothing keeps agents away; one within the folder is as good as the file.
    fs::write(path("elsewhere/t.toml"), &text).unwrap();
    symlink(path("elsewhere/t.toml"), path("tasks/t.toml")).unwrap();
    let said = problem();
    assert!(said.contains("tasks/t.toml: it is a link to"), "{said}");
    fs::remove_file(path("tasks/t.toml")).unwrap();
    fs::create_dir(path("tasks/..data")).unwrap();
    fs::write(path("tasks/..data/t.toml"), &text).unwrap();
    symlink("..data/t.toml", path("tasks/t.toml")).unwrap();
    assert!(load().unwrap().task("t").is_some());
    // Everybody may write the file, the one that a link leads to, or their folder.
    for (name, good) in [
        ("tasks/..data/t.toml", 0o644),
        ("tasks", 0o755),
        ("policies", 0o755),
    ] {
        mode(name, good | 0o002);
        let problems = load().unwrap_err().to_string();
        assert!(problems.contains("everybody may write it"), "{problems}");
        mode(name, good);
    }
    assert!(load().is_ok());
    // Links that lead nowhere, or in a circle.
    symlink("b.toml", path("tasks/b.toml")).unwrap();
    assert!(problem().contains("tasks/b.toml: cannot read it"));
}

#[test]
fn what_is_masked_in_every_task_is_read_as_a_tasks_own() {
    let mask = |column: &str| format!("[[mask]]\ntarget = \"tickets\"\ncolumns = [\"{column}\"]\n");
    let wrong = [
        ("policies/a.toml", &*mask("public.t")),
        ("policies/b.toml", "# nothing yet\n"),
        ("policies/c.toml", "[[masks]]\ntarget = \"tickets\"\n"),
        (
            "policies/d.toml",
            "[[mask]]\ntarget = \"tikets\"\ncolumns = [\"a.b.c\"]\n",
        ),
        (
            "policies/e.toml",
            "[[mask]]\ntarget = \"crm\"\ncolumns = [\"a.b.c\"]\n",
        ),
        ("policies/f.toml", "[mask]\ntarget = \"tickets\"\n"),
        ("policies/g.toml", "mask = [[["),
    ];
    let problems = problems_of(&wrong);
    let of = |file: &str| {
        let of = problems.iter().find(|problem| problem.starts_with(file));
        of.unwrap_or_else(|| panic!("{file}: {problems:#?}"))
            .as_str()
    };
    assert!(of("a.toml:3:12: mask[1].columns").contains("public.t"));
    assert!(of("b.toml:1:1: mask").contains("there is no [[mask]] in it"));
    assert!(of("c.toml:1:3").contains("did you mean `mask`?"));
    assert!(of("d.toml:2:10: mask[1].target").contains("did you mean `tickets`?"));
    of("e.toml:3:");
    assert!(of("f.toml:1:").contains("two brackets"));
    assert!(of("g.toml:1:").contains("not valid TOML"));
    // Too much altogether.
    let list: Vec<String> = (0..500).map(|n| format!("\"public.t.c{n}\"")).collect();
    let list = format!(
        "[[mask]]\ntarget = \"tickets\"\ncolumns = [{}]\n",
        list.join(", ")
    );
    let too_much = format!("{}{}", list.repeat(4), mask("public.t.more"));
    let problems = problems_of(&[("policies/all.toml", &too_much)]);
    assert!(
        problems[0].contains("more than 2000 columns"),
        "{problems:?}"
    );
}

#[test]
fn what_is_cleared_cannot_be_written_and_can_be_forbidden() {
    let clear = |columns: &str, kinds: &str| {
        format!("[[clear]]\ntarget = \"tickets\"\ncolumns = [{columns}]\nkinds = [{kinds}]\n")
    };
    let good = clear("\"public.people.email\"", "\"email\", \"phone\"");
    let reads = "[[read]]\ntarget = \"tickets\"\ntables = [\"public.people\"]\n";
    let with = |more: &str| format!("{HEAD}{reads}{good}{more}");
    for more in [
        "",
        "[[write]]\ntarget = \"tickets\"\ntables = [\"public.people\"]\nverbs = [\"update\"]\ncolumns = [\"priority\"]\n",
        "[[write]]\ntarget = \"tickets\"\ntables = [\"public.other\"]\n",
        "[[destroy]]\ntarget = \"tickets\"\ntables = [\"public.people\"]\n",
    ] {
        assert!(load(&[("t.toml", &with(more))]).is_ok(), "{more}");
    }
    for more in [
        "[[write]]\ntarget = \"tickets\"\ntables = [\"public.people\"]\n",
        "[[write]]\ntarget = \"tickets\"\ntables = [\"public.*\"]\nverbs = [\"insert\"]\n",
        "[[write]]\ntarget = \"tickets\"\ntables = [\"public.people\"]\ncolumns = [\"a\", \"email\"]\n",
        "[[admin]]\ntarget = \"tickets\"\ntables = [\"public.people\"]\nverbs = [\"alter\"]\n",
    ] {
        let problems = problems(&with(more));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(
            problems[0].starts_with("t.toml:10:12: clear[1].columns: the grant at"),
            "{problems:?}"
        );
        assert!(problems[0].contains("cannot be cleared"), "{problems:?}");
    }
    for (wrong, says) in [
        (
            clear("\"public.people\"", "\"email\""),
            "t.toml:7:12: clear[1].columns: \"public.people\"",
        ),
        (
            clear("\"public.people.a\"", "\"emial\""),
            "did you mean `email`?",
        ),
        (
            clear("\"public.people.a\"", "\"secret\""),
            "is never let through",
        ),
        (
            "[[clear]]\ntarget = \"tickets\"\nkinds = [\"email\"]\n".to_owned(),
            "name columns",
        ),
        (
            "[[clear]]\ntarget = \"tickets\"\ncolumns = [\"a.b.c\"]\n".to_owned(),
            "say what may be seen",
        ),
        (
            "[[clear]]\ntarget = \"crm\"\ncolumns = [\"a.b.c\"]\nkinds = [\"email\"]\n".to_owned(),
            "only columns of a postgres target",
        ),
    ] {
        let problems = problems(&format!("{HEAD}{wrong}"));
        assert!(
            problems.iter().any(|problem| problem.contains(says)),
            "{wrong}: {problems:#?}"
        );
    }
    // Above it.
    let task = with("");
    let never = |kinds: &str| format!("never_clear = [{kinds}]\n");
    let files = |above: &str| problems_of(&[("t.toml", &task), ("policies/own.toml", above)]);
    let problems = files(&never("\"card\", \"email\""));
    assert_eq!(
        problems,
        ["t.toml:10:12: clear: no task may clear email: never_clear in the policies says so"]
    );
    assert!(load(&[("t.toml", &task), ("policies/own.toml", &never("\"card\""))]).is_ok());
}
