//! What leaves the log for other systems: records, and nothing that agents wrote, got or held.

use std::fs;

use bailiwick_tests::{Agent, Run, SERVICE_PASSWORD, World};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

#[test]
fn no_secret_leaves_with_an_export() {
    let mut world = World::triage();
    let run = world.open_with(&["--task", "triage", "--reason", "for-reasons-of-mine"]);
    let mut agent = Agent::connect(&run);
    let secrets = [
        "sk_live_AllowedLiteral51H",
        "sk_live_DeniedLiteral51H",
        "sk_live_BoundValue51H",
        "sk_live_UnknownSyntax51H",
        "sk_live_InAnAlias51H",
        "sk_live_InAComment51H",
        "sk_live_InASetting51H",
        "bwk_a_credential_that_is_wrong",
        "for-reasons-of-mine",
    ];
    let [
        allowed,
        denied,
        bound,
        broken,
        alias,
        comment,
        setting,
        wrong,
        _,
    ] = secrets;
    agent
        .query(&format!(
            "SELECT id AS \"{alias}\" FROM tickets WHERE subject = '{allowed}' /* {comment} */"
        ))
        .ok();
    agent
        .query(&format!("DELETE FROM tickets WHERE subject = '{denied}'"))
        .denied(&["delete"]);
    agent
        .execute("SELECT id FROM tickets WHERE subject = $1", &[bound], false)
        .ok();
    // Whatever comes of these.
    let _ = agent.query(&format!("SELEKT '{broken}' FRM {broken}"));
    let _ = agent.query(&format!("SET application_name = '{setting}'"));
    Agent::log_in(&run.url_with_password(wrong))
        .err()
        .expect("no login");
    drop(agent);
    world.bailiwick(&["close", &run.id]).ok();
    // They were there to be found.
    let trail = format!("{:?}", world.trail(&run.id));
    for secret in [
        allowed,
        denied,
        bound,
        broken,
        comment,
        "for-reasons-of-mine",
    ] {
        assert!(trail.contains(secret), "{secret} is not in the trail");
    }
    world.stop();

    let mut hidden: Vec<Vec<u8>> = secrets.map(|secret| secret.as_bytes().to_vec()).into();
    hidden.push(SERVICE_PASSWORD.into());
    hidden.push(credential(&run).into());
    let token = fs::read_to_string(world.data().join("control.token")).expect("a token");
    hidden.push(token.trim().into());
    let keys = fs::read_dir(world.data().join("keys")).expect("the keys");
    for path in keys.map(|entry| entry.expect("a key").path()) {
        // What was signed last is for everybody.
        if path.ends_with("last-checkpoint") {
            continue;
        }
        let key = fs::read(&path).expect("a key");
        let hex = key.iter().map(|byte| format!("{byte:02x}"));
        hidden.push(hex.collect::<String>().into());
        hidden.push(BASE64.encode(&key).into());
        hidden.push(key);
    }
    assert!(
        hidden.len() >= secrets.len() + 3 + 3 * 3,
        "keys are missing"
    );

    for format in ["jsonl", "ocsf"] {
        let exported = world.bailiwick(&["export", "--format", format]);
        let lines = exported.ok();
        assert!(lines.lines().count() > 10, "{lines}");
        for there in [&run.id, "tickets", "subject", "login.denied"] {
            assert!(lines.contains(there), "{there} does not leave: {lines}");
        }
        for secret in &hidden {
            let found = lines
                .as_bytes()
                .windows(secret.len())
                .any(|window| window == secret);
            let secret = String::from_utf8_lossy(secret);
            assert!(!found, "{secret} leaves as {format}: {lines}");
        }
    }
}

fn credential(run: &Run) -> &str {
    let (login, _) = run.url().split_once('@').expect("a URL with a login");
    let (_, password) = login.rsplit_once(':').expect("a URL with a password");
    assert!(password.starts_with("bwk_"), "{password}");
    password
}
