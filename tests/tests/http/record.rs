//! The record of HTTP: what waits for it, what its failure stops, and what a crash leaves of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bailiwick_tests::{Disk, Run, World, eventually};
use serde_json::Value;

use crate::kit::{
    Answer, TRIAGE, address, arrived, arrived_once, before_crm, call, curl, fields, finished,
    last_fields, mark, outcome, raw, send,
};

/// Longer than anything that does not wait for the disk.
const SLOW: Duration = Duration::from_millis(1_500);

fn on(disk: &Disk, reads: &str) -> World {
    before_crm(TRIAGE)
        .target_setting(&format!("reads = \"{reads}\""))
        .disk(disk)
        .start()
}

/// When the CRM got what has this mark, seen from a start.
fn arrival(start: Instant, mark: &str) -> Duration {
    eventually("it arrives", Duration::from_secs(10), || {
        (!arrived(mark).is_empty()).then(|| start.elapsed())
    })
}

#[test]
fn a_read_runs_ahead_of_its_record_and_a_write_does_not() {
    let disk = Disk::that_is_well();
    for (reads, waits) in [("durable", true), ("written", false)] {
        disk.is_well();
        let world = on(&disk, reads);
        let run = world.open("triage");
        disk.is_slow(SLOW);
        let (start, read) = (Instant::now(), mark());
        std::thread::scope(|scope| {
            let answer = scope.spawn(|| {
                let answer = curl(&world, &run, &[], &format!("/customers/ada?q={read}"));
                (answer, start.elapsed())
            });
            assert!(
                arrival(start, &read) < SLOW,
                "the target waited for the disk"
            );
            let (answer, took) = answer.join().expect("an answer");
            assert_eq!(answer.status, 200, "{answer:#?}");
            assert_eq!(took >= SLOW, waits, "{reads}: {took:?}");
        });
        if waits {
            continue;
        }
        let (start, write) = (Instant::now(), mark());
        let answer = send(&world, &run, "POST", &format!("/echo/x?q={write}"), "{}");
        assert_eq!(answer.status, 200, "{answer:#?}");
        assert!(start.elapsed() >= SLOW, "an effect before its record");
        disk.is_well();
        finished(&world, &run);
        world.verify();
    }
}

#[test]
fn what_has_no_record_is_not_sent_and_not_shown() {
    for (reads, syncs) in [("durable", true), ("durable", false), ("written", true)] {
        let disk = Disk::that_is_well();
        let mut world = on(&disk, reads);
        let run = world.open("triage");
        assert_eq!(curl(&world, &run, &[], "/customers/ada").status, 200);
        match syncs {
            true => disk.does_not_write(),
            false => disk.does_not_sync(),
        }
        for (method, path) in [
            ("GET", "/customers/ada"),
            ("GET", "/large"),
            ("POST", "/echo/x"),
            ("POST", "/search"),
        ] {
            let mark = mark();
            let path = format!("{path}?q={mark}");
            let answer = match method {
                "GET" => curl(&world, &run, &[], &path),
                _ => send(&world, &run, method, &path, "{\"query\": \"ada\"}"),
            };
            let why = answer.problem(503);
            assert!(why.contains("record"), "{why}");
            assert!(!answer.body.contains("Lovelace"), "{answer:#?}");
            if path.starts_with("/echo") {
                assert!(arrived(&mark).is_empty(), "an effect without a record");
            }
        }
        world.kill();
        disk.is_well();
        world.serve();
        let trail = world.trail(&run.id);
        assert_eq!(
            trail.last().expect("records")["record"]["type"],
            "run.closed",
            "{trail:#?}"
        );
        world.verify();
    }
}

/// Two exchanges are with the target when the gateway is killed: nobody knows what became of them, and that
/// is what the record says after the next start.
#[test]
fn a_killed_gateway_leaves_outcomes_that_nobody_knows() {
    let grants = "[[read]]\ntarget = \"crm\"\nrequests = [\"GET /status/*\"]\n\
        [[destroy]]\ntarget = \"crm\"\nrequests = [\"POST /echo/**\", \"GET /customers/*\"]\n";
    let mut world = before_crm(grants).start();
    let run: Run = world.open("triage");
    let (done, read) = (mark(), mark());
    let answer = send(&world, &run, "POST", &format!("/echo/x?q={done}"), "{}");
    assert_eq!(answer.status, 200, "{answer:#?}");
    finished(&world, &run);
    let request = format!(
        "GET /crm/status/200?pause=3&q={read} HTTP/1.1\r\n{}\r\n",
        fields(&run)
    );
    let mut stream = TcpStream::connect(address(&world)).expect("a connection");
    stream.write_all(request.as_bytes()).expect("a request");
    arrival(Instant::now(), &read);
    world.kill();
    let (got, ended) = crate::kit::drain(&mut stream, Duration::from_secs(5));
    assert!(ended && got.is_empty(), "{got}");
    world.serve();
    let trail = world.trail(&run.id);
    let end = |mark: &str| {
        let outcome = outcome(&trail, call(&trail, mark));
        outcome["record"]["outcome"]["state"].clone()
    };
    assert_eq!(end(&done), "ok");
    assert_eq!(end(&read), "indeterminate");
    assert_eq!(
        trail.last().expect("records")["record"]["type"],
        "run.closed"
    );
    // It does not come back with the gateway.
    curl(&world, &run, &[], "/status/200").problem(401);
    world.verify();
}

#[test]
fn what_people_read_of_it() {
    let world = before_crm(TRIAGE)
        .target_setting("keep_results = 65536")
        .start();
    let (run, mark) = (world.open("triage"), mark());
    curl(&world, &run, &[], &format!("/customers/ada?q={mark}"));
    send(
        &world,
        &run,
        "POST",
        "/tickets/7/comments",
        &format!("{{\"text\": \"{mark}\"}}"),
    );
    curl(&world, &run, &["--request", "DELETE"], "/customers/ada");
    curl(&world, &run, &[], "/status/404");
    finished(&world, &run);
    let trail = world.bailiwick(&["trail", &run.id]);
    for line in [
        "GET     /customers/ada",
        "3 masked",
        "POST    /tickets/7/comments",
        "✗ DENY",
        "DELETE  /customers/ada",
        "404",
    ] {
        assert!(trail.ok().contains(line), "{line}: {}", trail.stdout);
    }
    let records = world.trail(&run.id);
    let read = call(&records, &mark);
    let shown = world.bailiwick(&["show", &format!("{}/{}", run.id, read["seq"])]);
    for line in ["GET /customers/ada", &mark, "user-agent: curl"] {
        assert!(shown.ok().contains(line), "{line}: {}", shown.stdout);
    }
    // The kept answer is as it was shown, masked.
    let end = outcome(&records, read);
    let kept = end["payload"]["rows"][0][0].as_str().unwrap_or_default();
    let kept: Value = serde_json::from_str(kept).expect("the answer");
    assert_eq!(
        (&kept["name"], &kept["card"]),
        (&"Ada Lovelace".into(), &"[masked]".into())
    );
    let summary = world.summary(&run.id);
    assert_eq!(summary["counts"]["allowed"], 3, "{summary:#}");
    assert_eq!(summary["counts"]["denied"], 1, "{summary:#}");
    assert_eq!(summary["counts"]["masked"], 3, "{summary:#}");
    let found = world.bailiwick(&["search", "--denied", "--json"]);
    assert!(found.ok().contains("DELETE /customers/ada"), "{found:#?}");
    // A second request on the same connection is a call of its own.
    let request = |fields: String| format!("GET /crm/customers/grace HTTP/1.1\r\n{fields}\r\n");
    let two = request(fields(&run)) + &request(last_fields(&run));
    let answers = raw(&world, two.as_bytes());
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{answers}");
    assert_eq!(Answer::read(&answers, 0).status, 200);
    finished(&world, &run);
    assert_eq!(world.summary(&run.id)["counts"]["allowed"], 5);
    arrived_once(&mark_of(&mark));
    world.verify();
}

/// The read alone: the comment has the mark in its body.
fn mark_of(mark: &str) -> String {
    format!("q={mark}")
}

/// Nothing is sent once its record does not fit, and it goes on by itself when there is room.
#[test]
fn a_full_disk() {
    let disk = match bailiwick_tests::SmallDisk::new(112) {
        Ok(disk) => disk,
        Err(why) => {
            bailiwick_tests::skipped(&format!("it takes a file system of its own ({why})"));
            return;
        }
    };
    let (port, arrived) = crate::uploads::sink();
    let world = crate::kit::before(&format!("http://127.0.0.1:{port}"), TRIAGE)
        .quiet()
        // Fills it soon: such reads wait for no disk.
        .target_setting("reads = \"written\"")
        .data(&disk.path().join("data"))
        .start();
    let run = world.open("triage");
    let ballast = disk.fill();
    let body = "x".repeat(60_000);
    let post = format!(
        "POST /crm/search HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{}\r\n{body}",
        body.len(),
        fields(&run)
    );
    let mut stream = TcpStream::connect(address(&world)).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let (start, mut sent) = (Instant::now(), 0);
    let refused = loop {
        stream.write_all(post.as_bytes()).expect("a request");
        let mut answer = [0; 16 * 1024];
        let read = stream.read(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        if !answer.starts_with("HTTP/1.1 200") {
            break answer;
        }
        sent += 1;
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "the disk does not fill"
        );
    };
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(sent > 0 && refused.contains("problem+json"), "{refused}");
    assert!(arrived.try_iter().count() >= sent);
    send(&world, &run, "POST", "/echo/x", "{}").problem(503);
    assert_eq!(arrived.try_iter().count(), 0, "an effect without a record");
    std::fs::remove_file(ballast).expect("a file");
    eventually(
        "it works again once there is room",
        Duration::from_secs(10),
        || {
            let answer = send(&world, &run, "POST", "/echo/x", "{}");
            (answer.status == 200).then_some(())
        },
    );
    finished(&world, &run);
    world.verify();
}
