//! What an operator does with a record over time: another log, keys kept elsewhere, a log that anybody
//! may read.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use bailiwick_tests::{Agent, TRIAGE, World, task};

/// The value of a setting in the configuration, replaced for the next start.
fn reconfigure(world: &World, from: &str, to: &str) {
    let text = fs::read_to_string(world.config()).expect("the configuration");
    assert!(text.contains(from), "{text}");
    fs::write(world.config(), text.replace(from, to)).expect("the configuration");
}

#[test]
fn a_log_is_rotated_and_nothing_of_the_old_one_is_lost() {
    let mut world = World::triage();
    let old = world.open("triage");
    Agent::connect(&old)
        .query("SELECT id FROM tickets WHERE subject = 'aardvark'")
        .ok();
    world.bailiwick(&["close", &old.id]).ok();
    let same = world.bailiwick(&["rotate"]);
    assert_eq!(same.code(), 2, "{same:#?}");
    assert!(same.stderr.contains("give `name`"), "{same:#?}");
    reconfigure(&world, "test.example/bailiwick", "test.example/bailiwick/2");
    let running = world.bailiwick(&["rotate"]);
    assert!(running.stderr.contains("in use"), "{running:#?}");
    world.stop();
    let unrotated = world.serve_in_vain();
    assert!(
        unrotated.stderr.contains("bailiwick rotate"),
        "{unrotated:#?}"
    );
    let rotated = world.bailiwick(&["rotate"]);
    assert!(rotated.ok().contains("archive/0001"), "{rotated:#?}");
    world.serve();

    let new = world.open("triage");
    Agent::connect(&new).query("SELECT 1").ok();
    let trail = world.trail(&old.id);
    assert!(format!("{trail:?}").contains("aardvark"), "{trail:#?}");
    let verified = world.bailiwick(&["verify"]);
    for words in [
        "of test.example/bailiwick/2",
        "it continues test.example/bailiwick, which ended with",
        "test.example/bailiwick is kept beside it and whole",
    ] {
        assert!(verified.ok().contains(words), "{words}: {verified:#?}");
    }
    let first = world.bailiwick(&["show", "gateway/1"]);
    assert!(first.ok().contains("log.continues"), "{first:#?}");

    // A record of the old log that is altered later is found.
    let bundles = world.data().join("archive/0001/log/tile/entries/000.p");
    let bundle = fs::read_dir(&bundles).expect("bundles").next();
    let bundle = bundle.expect("a bundle").expect("a bundle").path();
    let mut bytes = fs::read(&bundle).expect("a bundle");
    bytes[40] ^= 1;
    fs::write(&bundle, bytes).expect("a bundle");
    let broken = world.bailiwick(&["verify"]);
    assert_eq!(broken.code(), 1, "{broken:#?}");
}

#[test]
fn the_key_of_payloads_is_kept_elsewhere_and_no_run_gets_it() {
    let keys = tempfile::tempdir().expect("a folder");
    let key = keys.path().join("payload");
    fs::write(&key, "00112233445566778899aabbccddeeff".repeat(2)).expect("a key");
    let mut world = World::builder()
        .task(task("triage", TRIAGE))
        .log(&format!("payload_key = \"${{file:{}}}\"", key.display()))
        .start();
    let run = world.open("triage");
    Agent::connect(&run)
        .query("SELECT id FROM tickets WHERE subject = 'aardvark'")
        .ok();
    assert!(format!("{:?}", world.trail(&run.id)).contains("aardvark"));
    assert!(!world.data().join("keys/payload.key").exists());
    let confined = world
        .command(&["run", "--task", "triage", "--", "cat"])
        .arg(&key)
        .output();
    let confined = confined.expect("bailiwick run");
    assert!(confined.stdout.is_empty(), "{confined:?}");

    world.stop();
    fs::write(&key, "ff112233445566778899aabbccddeeff".repeat(2)).expect("a key");
    let refused = world.serve_in_vain();
    assert!(refused.stderr.contains("another one"), "{refused:#?}");
    fs::write(&key, "too short").expect("a key");
    let refused = world.serve_in_vain();
    assert!(refused.stderr.contains("payload_key"), "{refused:#?}");
    assert!(!refused.stderr.contains("too short"), "{refused:#?}");
}

/// What the control port answers, without a token.
fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let request = format!("{request} HTTP/1.1\r\nHost: log.example\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an answer");
    answer.push_str(&String::from_utf8_lossy(&bytes));
    answer
}

#[test]
fn a_public_log_is_read_by_anybody_and_nothing_else_is() {
    let mut world = World::triage();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    drop(listener);
    world.stop();
    reconfigure(
        &world,
        "control = \"127.0.0.1:0\"",
        &format!("control = \"127.0.0.1:{port}\""),
    );
    world.serve();
    let checkpoint = "GET /log/checkpoint";
    assert!(ask(port, checkpoint).starts_with("HTTP/1.1 403"));
    world.stop();
    world.configure("[log]\npublic = true\n");
    world.serve();
    let read = ask(port, checkpoint);
    assert!(read.starts_with("HTTP/1.1 200"), "{read}");
    assert!(read.contains("cache-control: public, max-age=1"), "{read}");
    assert!(read.contains("test.example/bailiwick\n"), "{read}");
    let partial = fs::read_dir(world.data().join("log/tile/entries/000.p"));
    let partial = partial.expect("bundles").next().expect("a bundle");
    let width = partial.expect("a bundle").file_name();
    let tile = ask(
        port,
        &format!("GET /log/tile/entries/000.p/{}", width.display()),
    );
    assert!(tile.contains("immutable"), "{tile}");
    for closed in [
        "GET /v1/runs",
        "GET /v1/search?words=a",
        "GET /log/../v1/runs",
        "GET /log/%2e%2e/v1/runs",
        "GET /log/tile/%2e%2e/%2e%2e/keys/log.key",
        "GET //v1/runs",
        "POST /log/checkpoint",
        "DELETE /log/checkpoint",
    ] {
        let answer = ask(port, closed);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{closed}: {answer}");
        assert!(!answer.contains("\"runs\""), "{closed}: {answer}");
    }
    // Anybody can check all of it with the key alone.
    let key = fs::read_to_string(world.data().join("log.vkey")).expect("the key");
    let url = format!("http://127.0.0.1:{port}");
    let verified = world.bailiwick(&["verify", "--url", &url, "--key", key.trim()]);
    assert!(verified.ok().contains("whole"), "{verified:#?}");
}
