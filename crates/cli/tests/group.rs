//! A gateway of one user, and others of the same machine who launch runs on it.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use common::{Ran, can_confine, elsewhere, ran, serving, until};
use tempfile::TempDir;

/// Users and a group that every Debian has. The gateway is `daemon`, and a member of the group.
const GATEWAY: &str = "daemon";
const MEMBER: &str = "nobody";
const GROUP: &str = "games";
/// One who has launched nothing yet.
const NEW_MEMBER: &str = "sys";
const STRANGER: &str = "bin";

/// The gateway of somebody else.
struct House {
    folder: TempDir,
    gateway: Child,
}

impl House {
    /// Nothing where this is not root, who alone can be others.
    fn start() -> Option<Self> {
        let can = ran(as_user(MEMBER, &[]).arg("--version"));
        if can.status != Some(0) {
            eprintln!("skipped: this user cannot be others: {}", can.stderr);
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let house = |name: &str| folder.path().join(name);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for part in ["gateway", "gateway/tasks", "gateway/policies"] {
            fs::create_dir(house(part)).unwrap();
        }
        let config = CONFIG.replace("FOLDER", &house("shared").display().to_string());
        fs::write(house("gateway/bailiwick.toml"), config).unwrap();
        fs::write(house("gateway/tasks/look.toml"), TASK).unwrap();
        fs::write(house("gateway/tasks/plain.toml"), PLAIN).unwrap();
        let owner = ran(Command::new("id").args(["-u", GATEWAY])).stdout;
        for path in ["", "gateway"] {
            chown(house(path), Some(owner.trim().parse().unwrap()), None).unwrap();
        }
        let gateway = serving(
            as_user(GATEWAY, &[GROUP])
                .args(["serve", "--config"])
                .arg(house("gateway/bailiwick.toml")),
        );
        Some(Self { folder, gateway })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command of this user, who asks at the socket of the group.
    fn command(&self, user: &str, groups: &[&str], arguments: &[&str]) -> Command {
        let mut command = as_user(user, groups);
        let place = format!("unix:{}", self.path("shared").display());
        command.env("BAILIWICK_GATEWAY", place);
        command.args(arguments).current_dir(elsewhere());
        command
    }

    fn member(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(MEMBER, &[GROUP], arguments))
    }

    fn runs(&self) -> Vec<serde_json::Value> {
        let listed = self.member(&["runs", "--json"]);
        assert_eq!(listed.status, Some(0), "{}", listed.stderr);
        let lines = listed.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.gateway.kill();
        let _ = self.gateway.wait();
    }
}

/// The binary as this user, with these groups and no others but their own.
fn as_user(user: &str, groups: &[&str]) -> Command {
    let mut command = common::as_others(&[
        &format!("--reuid={user}"),
        &format!("--regid={}", own_group(user)),
        &match groups {
            [] => "--clear-groups".to_owned(),
            groups => format!("--groups={}", groups.join(",")),
        },
    ]);
    command.env("HOME", "/").env("TMPDIR", "/var/tmp");
    command
}

fn own_group(user: &str) -> &str {
    match user {
        "nobody" => "nogroup",
        user => user,
    }
}

#[test]
fn a_member_of_the_group_launches_and_looks_as_themselves() {
    let Some(house) = House::start() else {
        return;
    };
    let mode = |name: &str| house.path(name).metadata().unwrap().mode() & 0o7777;
    assert_eq!(mode("shared"), 0o750);
    assert_eq!(mode("shared/control.sock"), 0o660);
    assert_eq!(mode("shared/control.token"), 0o640);
    assert_eq!(mode("gateway/data"), 0o700);

    let opened = house.member(&["open", "--task", "look", "--json"]);
    assert_eq!(opened.status, Some(0), "{}", opened.stderr);
    let opened: serde_json::Value = serde_json::from_str(&opened.stdout).unwrap();
    assert_eq!(opened["launcher"], "human:nobody@localhost");
    let hidden = opened["protect"]["hidden"].to_string();
    for folder in ["gateway/data", "shared"] {
        assert!(
            hidden.contains(&house.path(folder).display().to_string()),
            "{hidden}"
        );
    }
    let run = opened["run"].as_str().unwrap();
    for (arguments, says) in [
        (["trail", run].as_slice(), "opened"),
        (&["suspend", run], "suspended"),
        (&["revoke", run], "revoked"),
        (&["search", "look"], run),
        (&["approvals"], ""),
    ] {
        let done = house.member(arguments);
        assert_eq!(done.status, Some(0), "{arguments:?}: {}", done.stderr);
        assert!(
            format!("{}{}", done.stdout, done.stderr).contains(says),
            "{arguments:?}: {}",
            done.stdout
        );
    }
    // Without saying where, the configuration tells, which they may read here.
    let mut listed = house.command(MEMBER, &[GROUP], &["runs", "--json"]);
    listed.env_remove("BAILIWICK_GATEWAY");
    listed.env("BAILIWICK_CONFIG", house.path("gateway/bailiwick.toml"));
    let listed = ran(&mut listed);
    assert!(listed.stdout.contains(run), "{}", listed.stderr);
}

#[test]
fn a_member_of_the_group_is_nothing_more_than_their_roles() {
    let Some(house) = House::start() else {
        return;
    };
    let opened = house.member(&["open", "--task", "look", "--json"]);
    let opened: serde_json::Value = serde_json::from_str(&opened.stdout).unwrap();
    let run = opened["run"].as_str().unwrap().to_owned();
    house.member(&["close", &run]);
    let approval = "apr_00000000000000000000000000";
    let data = house.path("gateway/data").display().to_string();
    let config = house.path("gateway/bailiwick.toml").display().to_string();
    // What wants another role is refused, and what is done on the files the system refuses.
    for (arguments, says) in [
        (["deny", approval, "--reason", "x"].as_slice(), "approver"),
        (&["approvals", approval, "--words"], ""),
        (&["erase", &run, "--yes"], "role `admin`"),
        (&["prune", "--older-than", "1h"], "role `admin`"),
        (&["reload"], "role `admin`"),
        (&["resume", &run], "has ended"),
        (&["reindex", "--config", &config], "may not read"),
        (&["rotate", "--config", &config], "denied"),
        (&["receipt", "last/1", "--data", &data], &data),
        (&["verify", "--data", &data], &data),
        (&["export", "--format", "jsonl", "--data", &data], &data),
    ] {
        let mut command = house.command(MEMBER, &[GROUP], arguments);
        let done = ran(command.stdin(Stdio::null()));
        assert_ne!(done.status, Some(0), "{arguments:?}: {}", done.stdout);
        assert_eq!(done.stdout, "", "{arguments:?}");
        let said = done.stderr.to_lowercase();
        assert!(said.contains(&says.to_lowercase()), "{arguments:?}: {said}");
    }
    for file in [
        "control.token",
        "control.sock",
        "keys/log.key",
        "state.sqlite",
    ] {
        let mut cat = setpriv_program(&["cat", &format!("{data}/{file}")]);
        let read = ran(&mut cat);
        assert_eq!(read.stdout, "", "{file}");
        assert_ne!(read.status, Some(0), "{file}");
    }
    // What they can read is worth nothing where the gateway's own token is.
    let token = fs::read_to_string(house.path("shared/control.token")).unwrap();
    let own = fs::read_to_string(house.path("gateway/data/control.token")).unwrap();
    assert_ne!(token, own);
    // Nor can they put another socket or token there.
    for script in [
        "rm -f control.sock",
        "echo x > control.token",
        "touch more",
        "mv control.sock s",
    ] {
        let script = format!("cd {} && {script}", house.path("shared").display());
        assert_ne!(
            ran(&mut setpriv_program(&["sh", "-c", &script])).status,
            Some(0),
            "{script}"
        );
    }
    // Who is not in the group has no way in.
    let refused = ran(&mut house.command(STRANGER, &[], &["runs"]));
    assert_eq!(refused.status, Some(2));
    assert!(
        refused.stderr.contains("may not read"),
        "{}",
        refused.stderr
    );
}

/// Another program as the member.
fn setpriv_program(command: &[&str]) -> Command {
    let mut program = Command::new("setpriv");
    program.args([
        &format!("--reuid={MEMBER}"),
        "--regid=nogroup",
        &format!("--groups={GROUP}"),
    ]);
    program.args(command);
    program
}

/// What the child tries, one line each. It is the same child confined and unconfined, so what it cannot is not for
/// lack of skill.
const CHILD: &str = r#"
try() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "$name can"; else echo "$name cannot"; fi; }
try 'list runs' "$BAILIWICK" runs --gateway "unix:$SHARED"
try 'open a run' "$BAILIWICK" open --task look --gateway "unix:$SHARED"
try 'read the token' cat "$SHARED/control.token"
try 'list the folder' ls "$SHARED"
try 'use the other program' "$BAILIWICK" --version
"#;

#[test]
fn what_a_member_launches_does_not_reach_the_socket() {
    let Some(house) = House::start() else {
        return;
    };
    if !can_confine() {
        return;
    }
    let child = |flags: &[&str]| {
        let mut arguments = vec![
            "run",
            "--task",
            "look",
            "--env",
            "BAILIWICK",
            "--env",
            "SHARED",
        ];
        arguments.extend(flags);
        arguments.extend(["--", "sh", "-c", CHILD]);
        let mut command = house.command(MEMBER, &[GROUP], &arguments);
        command
            .env("BAILIWICK", env!("CARGO_BIN_EXE_bailiwick"))
            .env("SHARED", house.path("shared"));
        let ran = ran(&mut command);
        assert_eq!(ran.status, Some(0), "{}", ran.stderr);
        let able = ran
            .stdout
            .lines()
            .filter_map(|line| line.strip_suffix(" can"));
        able.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(child(&[]), ["use the other program"]);
    assert_eq!(child(&["--unconfined"]).len(), 5);
    let runs = house.runs();
    let confinements: Vec<_> = runs.iter().map(|run| &run["confinement"]).collect();
    assert!(
        confinements.contains(&&"landlock".into()),
        "{confinements:?}"
    );
    assert!(
        runs.iter()
            .all(|run| run["launcher"] == "human:nobody@localhost")
    );
}

#[test]
fn a_member_is_handed_files_that_their_other_runs_do_not_read() {
    let Some(house) = House::start() else {
        return;
    };
    if !can_confine() {
        return;
    }
    let arguments = ["run", "--task", "look", "--", "sh", "-c"];
    let run = |script: &str| {
        let mut command = house.command(MEMBER, &[GROUP], &arguments);
        command.arg(script);
        command
    };
    let marker = house.path("file");
    let mut waiting =
        run("echo $BAILIWICK_MCP_CONFIG; read line; stat -c %a $BAILIWICK_MCP_CONFIG");
    let mut waiting = waiting
        .stdin(Stdio::piped())
        .stdout(fs::File::create(&marker).unwrap())
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(&marker).unwrap();
    until("it has its file", || said().contains("mcp.json"));
    let file = said().trim().to_owned();
    assert!(file.starts_with("/var/tmp/bailiwick-"), "{file}");
    assert!(fs::read_to_string(&file).unwrap().contains("Bearer bwk_"));
    let other = ran(&mut run(&format!(
        "cat $BAILIWICK_MCP_CONFIG | head -c 1; cat {file}"
    )));
    assert_eq!(other.stdout, "{", "{}", other.stderr);
    assert!(
        other.stderr.contains("Permission denied"),
        "{}",
        other.stderr
    );
    drop(waiting.stdin.take());
    assert!(waiting.wait().unwrap().success());
    assert!(said().ends_with("600\n"), "{}", said());
    assert!(!PathBuf::from(file).exists(), "it is left behind");
}

/// What is not there when a run begins is kept from it as well.
#[test]
fn a_run_that_was_handed_nothing_does_not_read_what_a_later_one_is() {
    let Some(house) = House::start() else {
        return;
    };
    if !can_confine() {
        return;
    }
    let id = ran(Command::new("id").args(["-u", NEW_MEMBER])).stdout;
    let place = format!("/var/tmp/bailiwick-{}", id.trim());
    // Nothing of it is in use: no other test is this user.
    drop(fs::remove_dir(&place));
    let start = |task: &str, script: &str, says: &str| {
        let output = house.path(task);
        let arguments = ["run", "--task", task, "--", "sh", "-c", script];
        let mut command = house.command(NEW_MEMBER, &[GROUP], &arguments);
        let child = command
            .stdin(Stdio::piped())
            .stdout(fs::File::create(&output).unwrap());
        let child = child.spawn().unwrap();
        let said = || fs::read_to_string(&output).unwrap();
        until("it has begun", || said().contains(says));
        (child, said())
    };
    let (mut first, _) = start(
        "plain",
        "echo began; read file; cat $file && echo read",
        "began",
    );
    let (mut second, file) = start("look", "echo $BAILIWICK_MCP_CONFIG; read line", "mcp.json");
    assert!(file.starts_with(&place), "{file}");
    first
        .stdin
        .take()
        .unwrap()
        .write_all(file.as_bytes())
        .unwrap();
    assert!(!first.wait().unwrap().success());
    assert_eq!(fs::read_to_string(house.path("plain")).unwrap(), "began\n");
    drop(second.stdin.take());
    second.wait().unwrap();
}

const CONFIG: &str = r#"
name = "test/bailiwick"
[listen]
http = "127.0.0.1:0"
control_group = "games"
control_folder = "FOLDER"
[roles]
operator = ["human:nobody@localhost", "human:sys@localhost"]
[targets.helpdesk]
kind = "mcp"
url = "http://127.0.0.1:1/mcp"
[targets.crm]
kind = "http"
url = "http://127.0.0.1:1"
"#;

const TASK: &str = r#"
task = "look"
purpose = "Look at something"
launchers = ["human:*@localhost"]
ttl = "5m"
[[read]]
target = "helpdesk"
tools = ["list_tickets"]
unpinned = true
"#;

const PLAIN: &str = r#"
task = "plain"
purpose = "Look at something else"
launchers = ["human:*@localhost"]
ttl = "5m"
[[read]]
target = "crm"
requests = ["GET /"]
"#;
