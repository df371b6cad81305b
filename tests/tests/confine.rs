//! The agent, though the same user on the same machine, cannot reach the record, the keys or the
//! controls; unless it is told to run unconfined, and then the record says so.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bailiwick_tests::{Agent, Finished, TRIAGE, World, bailiwick, confinement as kernel, task};

/// What the child tries, one line each: a name, and `can` or `cannot`. It is the same child confined
/// and unconfined, so what it cannot is not for lack of skill.
const CHILD: &str = r#"
try() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "$name can"; else echo "$name cannot"; fi; }
change() { echo '# tampered' >> "$1"; }
try 'list runs' "$BAILIWICK" runs
try 'open a run' "$BAILIWICK" open --task triage
try 'sign in at the console' "$BAILIWICK" console
try 'signal the gateway' kill -CONT "$GATEWAY"
try 'read the environment of the gateway' cat "/proc/$GATEWAY/environ"
try 'read the memory of the gateway' dd "if=/proc/$GATEWAY/mem" bs=1 count=0
try 'list the data folder' ls "$DATA"
try 'read the signing key' cat "$DATA/keys/log.key"
try 'read the checkpoint' cat "$DATA/log/checkpoint"
try 'read the control token' cat "$DATA/control.token"
try 'read the data by another name' cat "/proc/self/cwd/../gateway/data/log.vkey"
try 'read the data through the gateway' cat "/proc/$GATEWAY/root$DATA/log.vkey"
try 'read the data through its working directory' ls "/proc/$GATEWAY/cwd"
try 'make a file in the data folder' sh -c ': > "$DATA/made"'
try 'append to the vkey' change "$DATA/log.vkey"
try 'change the task file' change "$TASKS/triage.toml"
try 'add a guardrail' change "$TASKS/../policies/mine.cedar"
try 'change the configuration' change "$BAILIWICK_CONFIG"
try 'rename the data folder' mv "$DATA" "$DATA.gone"
try 'put the data folder back' mv "$DATA.gone" "$DATA"
try 'link to the signing key' ln "$DATA/keys/log.key" ./key
try 'work in its own folder' sh -c 'echo mine > ./own && cat ./own'
try 'use the target' psql --no-psqlrc "$DATABASE_URL" -c 'SELECT id FROM tickets'
"#;

/// What any agent has to be able to.
const HARMLESS: [&str; 2] = ["work in its own folder", "use the target"];

fn child(world: &World, flags: &[&str]) -> Finished {
    let given = ["DATA", "TASKS", "GATEWAY", "BAILIWICK", "BAILIWICK_CONFIG"];
    let mut arguments = vec!["run", "--task", "triage"];
    arguments.extend(given.iter().flat_map(|name| ["--env", name]));
    arguments.extend(flags);
    arguments.extend(["--", "sh", "-c", CHILD]);
    let mut command = world.command(&arguments);
    let config = world.config();
    command
        .env("DATA", world.data())
        .env("TASKS", config.parent().expect("a folder").join("tasks"))
        .env("GATEWAY", world.pid().to_string())
        .env("BAILIWICK", bailiwick());
    bailiwick_tests::finish(&mut command)
}

/// What the child could, of all it tried.
fn could(finished: &Finished) -> Vec<String> {
    let lines: Vec<_> = finished.ok().lines().collect();
    let tried = CHILD
        .lines()
        .filter(|line| line.starts_with("try '"))
        .count();
    assert_eq!(lines.len(), tried, "{finished:#?}");
    let able = lines.iter().filter_map(|line| line.strip_suffix(" can"));
    able.map(str::to_owned).collect()
}

fn confinement(world: &World, finished: &Finished) -> String {
    let run = finished
        .stderr
        .split_whitespace()
        .find(|word| word.starts_with("run_"));
    let trail = world.trail(run.expect("the run's id in the summary"));
    let opened = &trail.first().expect("records")["record"];
    assert_eq!(opened["type"], "run.opened");
    opened["confinement"]
        .as_str()
        .expect("a confinement")
        .to_owned()
}

#[test]
fn a_confined_child_reaches_nothing_but_its_own() {
    if kernel().is_err() {
        return;
    }
    let world = World::triage();
    let finished = child(&world, &[]);
    assert_eq!(could(&finished), HARMLESS, "{finished:#?}");
    assert_eq!(confinement(&world, &finished), "landlock");
    world.verify();
    Agent::connect(&world.open("triage"));
}

#[test]
fn an_unconfined_child_can_and_the_record_says_so() {
    let world = World::triage();
    let finished = child(&world, &["--unconfined"]);
    let able = could(&finished);
    for line in CHILD.lines().filter(|line| line.starts_with("try '")) {
        let what = line.split('\'').nth(1).expect("a name");
        // Where the kernel's Yama keeps processes from looking into each other, nobody can do this.
        let hindered = what == "read the memory of the gateway";
        assert!(
            hindered || able.iter().any(|able| able == what),
            "it could not {what}: {finished:#?}"
        );
    }
    assert!(finished.stderr.contains("not confined"), "{finished:#?}");
    assert_eq!(confinement(&world, &finished), "unconfined");
}

#[test]
fn a_kernel_that_cannot_confine_starts_nothing() {
    let Err(flag) = kernel() else {
        return;
    };
    let world = World::triage();
    let refused = world.bailiwick(&["run", "--task", "triage", "--", "echo", "started"]);
    assert_eq!(refused.code(), 125, "{refused:#?}");
    assert!(
        refused.stdout.is_empty() && refused.stderr.contains(flag),
        "{refused:#?}"
    );
}

#[test]
fn gateway_only_leaves_no_other_way_out() {
    if kernel().is_err() {
        return;
    }
    let (name, text) = task("triage", TRIAGE);
    let text = text.replace("ttl =", "confine = \"gateway-only\"\nttl =");
    let world = World::builder().task((name, text)).start();
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = elsewhere.local_addr().expect("its address").port();
    let script = format!(
        "psql --no-psqlrc \"$DATABASE_URL\" -Atc 'SELECT 42' && bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}' 2>/dev/null && echo out"
    );
    let with = |flags: &[&str]| {
        let arguments = [
            &["run", "--task", "triage"],
            flags,
            &["--", "sh", "-c", &script],
        ]
        .concat();
        world.bailiwick(&arguments)
    };
    let finished = with(&[]);
    assert_eq!(finished.stdout.trim(), "42", "{finished:#?}");
    assert_eq!(confinement(&world, &finished), "gateway-only");
    let free = with(&["--unconfined"]);
    assert_eq!(
        free.stdout.split_whitespace().collect::<Vec<_>>(),
        ["42", "out"],
        "{free:#?}"
    );
}

#[test]
fn what_leads_to_the_data_folder_from_outside_is_not_handed_on() {
    if kernel().is_err() {
        return;
    }
    let world = World::triage();
    let script = "cat <&7";
    let spawn = |flag: &str| {
        let key = world.data().join("log.vkey");
        let outer = format!(
            "exec 7<{}; exec {} run --task triage {flag} -- sh -c '{script}'",
            key.display(),
            bailiwick().display()
        );
        let mut command = bailiwick_tests::command("sh");
        command
            .args(["-c", &outer])
            .env("BAILIWICK_CONFIG", world.config());
        bailiwick_tests::finish(command.current_dir(world.work()))
    };
    let handed = spawn("--unconfined");
    assert!(
        handed.ok().contains("test.example/bailiwick"),
        "{handed:#?}"
    );
    let refused = spawn("");
    assert!(!refused.status.success(), "{refused:#?}");
    assert!(!refused.stdout.contains("test.example"), "{refused:#?}");
    assert!(refused.stderr.contains("descriptor 7"), "{refused:#?}");
}

#[test]
fn the_control_socket_wants_the_token() {
    let world = World::triage();
    let ask = |header: &str| {
        let mut socket =
            UnixStream::connect(world.data().join("control.sock")).expect("the socket");
        socket
            .set_read_timeout(Some(Duration::from_secs(5)))
            .expect("a socket");
        let request = format!(
            "GET /v1/runs HTTP/1.1\r\nHost: localhost\r\n{header}Connection: close\r\n\r\n"
        );
        socket.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let token = std::fs::read_to_string(world.data().join("control.token")).expect("the token");
    let fine = ask(&format!("Authorization: Bearer {}\r\n", token.trim()));
    assert!(fine.starts_with("HTTP/1.1 200"), "{fine}");
    for header in [
        "",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer bwc_0000\r\n",
    ] {
        let refused = ask(header);
        assert!(refused.starts_with("HTTP/1.1 401"), "{header}: {refused}");
        assert!(!refused.contains("\"runs\""), "{refused}");
    }
}
