//! The protocol's corners, from outside: what comes before a login, what only new clients do, and a
//! target that plays tricks.

use std::io::{Read, Write};
use std::net::TcpListener;

use bailiwick_tests::{Agent, Store, TRIAGE, World, finish, frontend, mark, python, task};
use serde_json::Value;

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const GSS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 48];

#[test]
fn libpq_18_works_by_the_protocol_that_is_spoken_here() {
    let world = World::triage();
    let run = world.open("triage");
    let mut client = python("libpq18.py");
    let finished = finish(client.envs(&run.env));
    let report: Value = serde_json::from_str(finished.ok()).expect("JSON");
    assert!(report["libpq"].as_u64() >= Some(180_000), "{report:#}");
    for fine in ["default", "latest", "direct", "bound if it can be"] {
        assert_eq!(report[fine]["row"], 7, "{fine}: {report:#}");
        assert_eq!(report[fine]["protocol"], 30_000, "{fine}: {report:#}");
    }
    let error = |what: &str| {
        report[what]["error"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert!(error("3.2 or newer").contains("3.0"), "{report:#}");
    assert!(
        error("bound").contains("channel binding"),
        "it is not offered: {report:#}"
    );
    assert!(
        error("encrypted by GSSAPI").contains("GSSAPI"),
        "{report:#}"
    );
    assert_eq!(report["cancelled"], "57014");
    assert_eq!(report["cancelled within TLS"], "57014");
}

/// What the gateway says to these bytes up to the end of the connection; fails the test if it says
/// nothing and does not close it either.
#[track_caller]
fn says(world: &World, bytes: &[u8]) -> Vec<u8> {
    let mut stream = std::net::TcpStream::connect(world.address()).expect("a connection");
    let patience = Some(std::time::Duration::from_secs(10));
    stream.set_read_timeout(patience).expect("a time limit");
    stream.write_all(bytes).expect("it reads");
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => {
            panic!("neither an answer nor an end: {error}")
        }
        _ => said,
    }
}

#[test]
fn what_is_smuggled_in_before_encryption_is_refused_and_recorded() {
    let world = World::triage();
    let run = world.open("triage");
    let mut hello = bytes::BytesMut::new();
    frontend::startup_message([("user", &*run.id), ("database", "tickets")], &mut hello)
        .expect("a startup packet");
    for request in [SSL_REQUEST, GSS_REQUEST] {
        let said = says(&world, &[&request, &hello[..]].concat());
        let words = String::from_utf8_lossy(&said);
        assert_eq!(
            said.first(),
            Some(&b'E'),
            "an error and nothing else: {words}"
        );
        assert!(
            words.contains("08P01") && words.contains("encryption"),
            "{words}"
        );
    }
    // TLS at once without the protocol's name in it could have been meant for another server. A real
    // one of that kind is what the test of TLS with libpq does; here it is no TLS at all.
    let said = says(&world, b"\x16\x03\x01\x00\x05hello");
    assert!(!said.contains(&b'E'), "{said:?}");
    let recorded = world.trail("gateway");
    let denied = |entry: &&Value| {
        let reason = entry["record"]["login"]["reason"].as_str();
        reason.is_some_and(|reason| reason.contains("request for encryption"))
    };
    assert_eq!(recorded.iter().filter(denied).count(), 2, "{recorded:#?}");
    // The same, one after the other.
    let mut agent = Agent::dial(&world.address()).expect("a connection");
    agent.send_bytes(&GSS_REQUEST);
    assert_eq!(agent.byte(), Some(b'N'));
    agent.send_bytes(&GSS_REQUEST);
    assert!(agent.last_words().is_some(), "asked again");
}

/// A target that answers the request for TLS with this.
fn answering(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for mut gateway in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 8];
            if gateway.read_exact(&mut request).is_ok() {
                assert_eq!(request, SSL_REQUEST);
                let _ = gateway.write_all(answer);
                let _ = gateway.read(&mut request);
            }
        }
    });
    port
}

#[test]
fn what_a_target_says_before_encryption_is_not_taken_for_its_word() {
    let error = b"ESERROR\0C28000\0Mgive me your password\0\0";
    for answer in [
        &b"S\x16\x03\x03\x00\x00"[..],
        b"SR\0\0\0\x08\0\0\0\0",
        error,
    ] {
        let port = answering(Box::leak(answer.to_vec().into_boxed_slice()));
        for mode in ["require", "prefer"] {
            let url = format!("postgres://svc:PASSWORD@127.0.0.1:{port}/store?sslmode={mode}");
            let world = World::builder()
                .target("tickets", &url)
                .task(task("triage", TRIAGE))
                .start();
            let run = world.open("triage");
            let refused = Agent::try_connect(&run).err().expect("no connection");
            assert_eq!(refused.code, "08001", "{refused:#?}");
            assert!(!refused.whole.contains("password"), "{refused:#?}");
        }
    }
}

#[test]
fn what_breaks_the_protocol_is_the_last_thing_that_is_read() {
    let world = World::triage();
    let run = world.open("triage");
    let update = format!("UPDATE tickets SET priority = 9 {}", mark());
    let query = |end: &[u8]| {
        let mut sent = vec![b'Q'];
        sent.extend((update.len() as u32 + 4 + end.len() as u32).to_be_bytes());
        sent.extend_from_slice(update.as_bytes());
        sent.extend_from_slice(end);
        sent
    };
    for (breaks, says) in [
        (b"!\0\0\0\x04".to_vec(), "'!'"),
        (b"p\0\0\0\x08abcd".to_vec(), "'p'"),
        (query(b""), "malformed"),
        (query(b"\0\0"), "malformed"),
    ] {
        let mut agent = Agent::connect(&run);
        agent.send_bytes(&[&breaks[..], &query(b"\0")].concat());
        let last = agent.last_words().expect("a last word");
        assert_eq!((&*last.severity, &*last.code), ("FATAL", "08P01"));
        assert!(last.message.contains(says), "{last:#?}");
    }
    assert!(!Store::shared().saw("SET priority = 9"));
    Agent::connect(&run).query(&update).ok();
    assert!(Store::shared().saw("SET priority = 9"));
    world.verify();
}
