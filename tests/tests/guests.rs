//! Others than the gateway's own user launch agents: what those do is decided and recorded under their names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use bailiwick_tests::{
    Finished, TRIAGE, World, bailiwick, command, eventually, finish, psql, task,
};
use serde_json::Value;
use tempfile::TempDir;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What the task `clear` may do.
const CLEAR: &str = r#"
[[destroy]]
target  = "tickets"
tables  = ["public.drafts"]
approve = "group:data-owners"
"#;

const PEOPLE: &str = r#"
[roles]
admin    = ["human:root@localhost"]
operator = ["human:nobody@localhost"]
approver = ["group:data-owners"]
[groups]
data-owners = ["human:nobody@localhost", "human:daemon@localhost"]
[[tokens]]
name   = "github:acme/support"
secret = "${SUPPORT_TOKEN}"
roles  = ["operator"]
"#;

/// A gateway with a group's socket in this folder; nothing where this is not root, who alone can be others.
fn world() -> Option<(World, TempDir)> {
    let can = finish(guest("nobody").arg("--version"));
    if can.code() != 0 {
        eprintln!("skipped: this user cannot be others: {can:#?}");
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(), open).expect("a mode");
    let shared = folder.path().join("shared");
    let (name, text) = task("triage", TRIAGE);
    let text = text.replace("human:*\"", "human:*\", \"workflow:github:acme/*\"");
    let world = World::builder()
        .task((name, text))
        .task(task("clear", CLEAR))
        .top(PEOPLE)
        .listen(&format!(
            "control_group = \"games\"\ncontrol_folder = {shared:?}"
        ))
        .variable("SUPPORT_TOKEN", TOKEN)
        .start();
    Some((world, folder))
}

/// The binary, as somebody who is not the gateway, in a group. Users and group are in every Debian.
fn guest(user: &str) -> Command {
    let mut guest = command("setpriv");
    guest.arg(format!("--reuid={user}"));
    guest.args(["--regid=nogroup", "--groups=games"]);
    guest.arg(bailiwick()).current_dir("/usr");
    guest
}

/// The same, who asks at the group's socket.
fn member(user: &str, folder: &TempDir) -> Command {
    let mut member = guest(user);
    let place = format!("unix:{}", folder.path().join("shared").display());
    member.env("BAILIWICK_GATEWAY", place);
    member
}

/// Lets psql do what the task allows and what it does not, and says what the record has of it.
fn triage(world: &World, guest: &mut Command, launcher: &str) {
    let script = r#"psql --no-psqlrc -At "$DATABASE_URL" -c 'SELECT id FROM tickets WHERE id = 3' \
                    -c 'DELETE FROM tickets'"#;
    let confine: &[&str] = match bailiwick_tests::confinement() {
        Ok(()) => &[],
        Err(_) => &["--unconfined"],
    };
    guest.args(["run", "--task", "triage"]).args(confine);
    let done: Finished = finish(guest.args(["--", "sh", "-c", script]));
    assert_eq!(done.stdout, "3\n", "{done:#?}");
    assert!(
        done.stderr.contains("outside the scope of this run"),
        "{done:#?}"
    );
    let mut words = done.stderr.split_whitespace();
    let run = words.find(|word| word.starts_with("run_"));
    let trail = world.trail(run.expect("the run's id"));
    assert!(
        trail
            .iter()
            .all(|entry| entry["record"]["launcher"] == launcher)
    );
    let effects = trail
        .iter()
        .filter_map(|entry| entry["record"]["decision"]["effect"].as_str());
    let effects: Vec<_> = effects.collect();
    assert!(
        effects.contains(&"allow") && effects.contains(&"deny"),
        "{effects:?}"
    );
    let last = trail.last().expect("records");
    assert_eq!(last["record"]["type"], "run.closed");
}

#[test]
fn a_member_of_the_group_is_on_record_with_what_their_agent_did() {
    let Some((world, folder)) = world() else {
        return;
    };
    let mut member = member("nobody", &folder);
    triage(&world, &mut member, "human:nobody@localhost");
    world.verify();
}

#[test]
fn a_program_with_a_token_is_on_record_with_what_its_agent_did() {
    let Some((world, _folder)) = world() else {
        return;
    };
    let place = format!("http://127.0.0.1:{}", world.control());
    let mut guest = guest("nobody");
    guest
        .env("BAILIWICK_GATEWAY", place)
        .env("BAILIWICK_TOKEN", TOKEN);
    triage(&world, &mut guest, "workflow:github:acme/support");
    world.verify();
}

#[test]
fn what_a_run_destroys_another_member_approves_and_nobody_else() {
    let Some((world, folder)) = world() else {
        return;
    };
    let ask = |user: &str, arguments: &[&str]| finish(member(user, &folder).args(arguments));
    let opened = ask("nobody", &["open", "--task", "clear", "--json"]);
    let opened: Value = serde_json::from_str(opened.ok()).expect("JSON");
    let url = opened["env"]["DATABASE_URL"].as_str().expect("a URL");
    let delete = ["-At", url, "-c", "DELETE FROM drafts"];
    let agent = psql()
        .args(delete)
        .stdout(Stdio::piped())
        .spawn()
        .expect("psql");
    let asked = eventually("people are asked", Duration::from_secs(60), || {
        world.approvals().pop()
    });
    let id = asked["id"].as_str().expect("an id");
    for (user, why) in [
        ("nobody", "human:nobody@localhost launched this run"),
        ("bin", "role `viewer`"),
        ("root", "is not among them"),
    ] {
        let refused = ask(user, &["approve", id, "--yes"]);
        assert_eq!(refused.code(), 2, "{refused:#?}");
        assert!(refused.stderr.contains(why), "{user}: {refused:#?}");
    }
    ask("daemon", &["approve", id, "--yes"]).ok();
    let done = agent.wait_with_output().expect("psql");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(said.starts_with("DELETE "), "{said}");
    let decided = world.approvals().pop().expect("the approval");
    assert_eq!(decided["by"], "human:daemon@localhost", "{decided:#}");
    world.verify();
}
