//! Others than the gateway's own user launch agents: what those do is decided and recorded under their names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use bailiwick_tests::{Finished, TRIAGE, World, bailiwick, command, finish, task};
use tempfile::TempDir;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Users and a group that every Debian has.
const GUEST: [&str; 3] = ["--reuid=nobody", "--regid=nogroup", "--groups=games"];

const PEOPLE: &str = r#"
[roles]
admin    = ["human:root@localhost"]
operator = ["human:nobody@localhost"]
[[tokens]]
name   = "github:acme/support"
secret = "${SUPPORT_TOKEN}"
roles  = ["operator"]
"#;

/// A gateway with a group's socket in this folder; nothing where this is not root, who alone can be others.
fn world() -> Option<(World, TempDir)> {
    let can = finish(guest().arg("--version"));
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
        .top(PEOPLE)
        .listen(&format!(
            "control_group = \"games\"\ncontrol_folder = {shared:?}"
        ))
        .variable("SUPPORT_TOKEN", TOKEN)
        .start();
    Some((world, folder))
}

/// The binary, as somebody who is not the gateway.
fn guest() -> Command {
    let mut guest = command("setpriv");
    guest.args(GUEST).arg(bailiwick()).current_dir("/usr");
    guest
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
    let place = format!("unix:{}", folder.path().join("shared").display());
    let mut guest = guest();
    guest.env("BAILIWICK_GATEWAY", place);
    triage(&world, &mut guest, "human:nobody@localhost");
    world.verify();
}

#[test]
fn a_program_with_a_token_is_on_record_with_what_its_agent_did() {
    let Some((world, _folder)) = world() else {
        return;
    };
    let place = format!("http://127.0.0.1:{}", world.control());
    let mut guest = guest();
    guest
        .env("BAILIWICK_GATEWAY", place)
        .env("BAILIWICK_TOKEN", TOKEN);
    triage(&world, &mut guest, "workflow:github:acme/support");
    world.verify();
}
