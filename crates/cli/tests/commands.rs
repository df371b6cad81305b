//! Commands that need no gateway: help, a first configuration, what is wrong with one.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use common::{bailiwick, ran};

#[test]
fn every_command_has_help_with_an_example() {
    let top = ran(bailiwick().arg("--help"));
    assert_eq!(top.status, Some(0));
    assert!(!top.stdout.contains("confined"), "an inner command shows");
    for command in [
        "init", "serve", "run", "open", "close", "revoke", "runs", "trail", "show", "verify",
        "export",
    ] {
        assert!(
            top.stdout.contains(&format!("  {command} ")),
            "{command} is not in the list"
        );
        let help = ran(bailiwick().args([command, "--help"]));
        assert_eq!(help.status, Some(0));
        assert!(
            help.stdout.contains("Example"),
            "{command}: {}",
            help.stdout
        );
    }
    for command in ["check", "list"] {
        let help = ran(bailiwick().args(["task", command, "--help"]));
        assert!(help.stdout.contains("Example"), "{}", help.stdout);
    }
    assert_eq!(ran(bailiwick().arg("frobnicate")).status, Some(2));
}

#[test]
fn what_init_writes_is_valid_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let init = || ran(bailiwick().arg("init").arg("gw").current_dir(folder.path()));
    let first = init();
    assert_eq!(first.status, Some(0), "{}", first.stderr);
    assert!(
        first.stdout.contains("bailiwick task check"),
        "{}",
        first.stdout
    );
    let gateway = folder.path().join("gw");
    let checked = ran(bailiwick().args(["task", "check"]).current_dir(&gateway));
    assert_eq!(checked.status, Some(0), "{}", checked.stderr);
    assert!(
        checked
            .stdout
            .contains("may update priority of public.tickets")
    );
    assert!(checked.stdout.contains("everything else is denied"));

    // The guardrail that the README shows is one.
    let readme = std::fs::read_to_string(gateway.join("policies/README.md")).unwrap();
    let example = readme
        .split("```cedar")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    std::fs::write(gateway.join("policies/billing.cedar"), example).unwrap();
    let checked = ran(bailiwick().args(["task", "check"]).current_dir(&gateway));
    assert_eq!(checked.status, Some(0), "{}", checked.stderr);
    assert!(
        checked.stdout.contains("billing is read-only for agents"),
        "{}",
        checked.stdout
    );

    std::fs::write(gateway.join("bailiwick.toml"), "mine").unwrap();
    assert!(init().stdout.contains("kept"));

    // A folder that takes an agent's home away says so, and what to do.
    let within = |home: &std::path::Path| {
        let mut init = bailiwick();
        init.args(["init", "gw"]).current_dir(folder.path());
        init.env("HOME", home).env("TMPDIR", "/nowhere");
        ran(&mut init).stderr
    };
    let said = within(folder.path());
    assert!(said.contains("in your home directory"), "{said}");
    assert!(said.contains("/srv/bailiwick"), "{said}");
    assert_eq!(within(&folder.path().join("gw/tasks")), "");
    assert_eq!(
        std::fs::read_to_string(gateway.join("bailiwick.toml")).unwrap(),
        "mine"
    );
}

#[test]
fn problems_name_file_line_key_and_the_nearest_name() {
    let folder = tempfile::tempdir().unwrap();
    let run = |command: &[&str]| ran(bailiwick().args(command).current_dir(folder.path()));
    assert_eq!(run(&["init"]).status, Some(0));

    let missing = run(&["serve", "--config", "nope.toml"]);
    assert_eq!(missing.status, Some(2));
    assert!(
        missing.stderr.contains("help: `bailiwick init`"),
        "{}",
        missing.stderr
    );

    let secret = ran(bailiwick()
        .arg("serve")
        .current_dir(folder.path())
        .env_remove("TICKETS_PASSWORD"));
    assert_eq!(secret.status, Some(2));
    assert!(
        secret.stderr.contains("`TICKETS_PASSWORD` is not set"),
        "{}",
        secret.stderr
    );

    let task = folder.path().join("tasks/triage-tickets.toml");
    let text = std::fs::read_to_string(&task).unwrap();
    std::fs::write(
        &task,
        text.replacen("target = \"tickets\"", "target = \"tickest\"", 1),
    )
    .unwrap();
    let checked = run(&["task", "check"]);
    assert_eq!(checked.status, Some(1));
    for part in [
        "triage-tickets.toml:",
        "read[1].target",
        "did you mean `tickets`?",
    ] {
        assert!(checked.stderr.contains(part), "{part}: {}", checked.stderr);
    }
    std::fs::write(&task, text).unwrap();
    let unknown = run(&["task", "check", "triage-tickest"]);
    assert!(
        unknown.stderr.contains("did you mean `triage-tickets`?"),
        "{}",
        unknown.stderr
    );

    let config = folder.path().join("bailiwick.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        text.replace(
            "[listen]\n",
            "[listen]\nhttp = \"nowhere\"\npostgers = \"x\"\n",
        ),
    )
    .unwrap();
    let checked = run(&["task", "check"]);
    assert_eq!(checked.status, Some(1));
    assert!(
        checked
            .stderr
            .contains("listen.http: `nowhere` is not an address and a port")
    );
    assert!(
        checked.stderr.contains("did you mean `postgres`?"),
        "{}",
        checked.stderr
    );
    for line in checked.stderr.lines() {
        assert!(line.starts_with("error: bailiwick.toml:"), "{line}");
    }
}

#[test]
fn verifying_nothing_is_a_failure_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let verified = ran(bailiwick().arg("verify").arg("--data").arg(folder.path()));
    assert_eq!(verified.status, Some(2));
    assert!(
        verified.stderr.contains("there is no log in"),
        "{}",
        verified.stderr
    );
    assert!(verified.stderr.contains("help: "));
}

#[test]
fn a_grant_that_nobody_can_approve_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let written = ran(bailiwick().arg("init").arg("gw").current_dir(folder.path()));
    assert_eq!(written.status, Some(0), "{}", written.stderr);
    let gateway = folder.path().join("gw");
    let task = "task = \"sweep\"\npurpose = \"Removes drafts\"\nlaunchers = [\"human:*\"]\nttl = \"5m\"\n\
                [[destroy]]\ntarget = \"tickets\"\ntables = [\"public.drafts\"]\napprove = \"group:sweepers\"\n";
    std::fs::write(gateway.join("tasks/sweep.toml"), task).unwrap();
    let check = |more: &[&str]| {
        let command = ["task", "check", "sweep", "--offline"];
        ran(bailiwick().args(command).args(more).current_dir(&gateway))
    };
    let says = "nobody is in `group:sweepers`";
    let checked = check(&[]);
    assert_eq!(checked.status, Some(0), "{}", checked.stderr);
    assert!(checked.stderr.contains(says), "{}", checked.stderr);
    let json: serde_json::Value = serde_json::from_str(&check(&["--json"]).stdout).unwrap();
    let warning = json["warnings"][0].as_str().unwrap();
    assert!(
        warning.contains("tasks/sweep.toml:5:1: ") && warning.contains(says),
        "{warning}"
    );
    let file = gateway.join("bailiwick.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    let members = "\n[groups]\nsweepers = [\"human:bob@acme.com\"]\n";
    std::fs::write(&file, config + members).unwrap();
    let checked = check(&[]);
    assert!(!checked.stderr.contains("sweepers"), "{}", checked.stderr);
}
