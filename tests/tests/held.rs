//! A read runs ahead of its record; whatever happens meanwhile, nothing of its result leaves before
//! the record is there.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bailiwick_tests::{
    Agent, Disk, Message, Report, Run, Store, TRIAGE, World, eventually, frontend, mark, task,
};

/// Longer than anything that does not wait for the disk.
const SLOW: Duration = Duration::from_secs(4);

/// What a read of a row brings, and nothing else that an agent is told.
const SECRET: &str = "subject 3";

fn on(disk: &Disk, reads: &str) -> World {
    World::builder()
        .task(task("triage", TRIAGE))
        .target_setting(&format!("reads = \"{reads}\""))
        .disk(disk)
        .start()
}

/// Sends a read of the secret, and waits until the target has run it. Returns its mark.
fn send_read(agent: &mut Agent) -> String {
    let mark = mark();
    let sql = format!("SELECT subject FROM tickets WHERE id = 3 {mark}");
    agent.send(|out| frontend::query(&sql, out).expect("a query"));
    eventually("the target runs it", Duration::from_secs(5), || {
        Store::shared().saw(&mark).then_some(())
    });
    mark
}

/// Everything up to the end of the connection; nothing of it is of the result.
#[track_caller]
fn nothing_of_it(agent: &mut Agent) -> Report {
    let mut last = None;
    while let Some(Message { tag, body }) = agent.message() {
        assert!(!b"TDC".contains(&tag), "{}: {body:?}", char::from(tag));
        assert!(!String::from_utf8_lossy(&body).contains(SECRET));
        if tag == b'E' {
            last = Some(Report::read(&body));
        }
    }
    last.expect("a last word")
}

#[test]
fn a_result_waits_for_its_record_while_the_target_works() {
    let disk = Disk::that_is_well();
    let world = on(&disk, "durable");
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    disk.is_slow(SLOW);
    let start = Instant::now();
    send_read(&mut agent);
    assert!(start.elapsed() < SLOW, "the target waited for the disk");
    assert!(agent.answer().ok().holds(SECRET));
    assert!(start.elapsed() >= SLOW, "the result did not");
    // What has an effect waits before it reaches the target.
    let (start, mark) = (Instant::now(), mark());
    let sql = format!("UPDATE tickets SET priority = 5 WHERE id = 3 {mark}");
    agent.send(|out| frontend::query(&sql, out).expect("a query"));
    std::thread::sleep(SLOW / 2);
    assert!(!Store::shared().saw(&mark), "an effect before its record");
    agent.answer().ok();
    assert!(start.elapsed() >= SLOW);
    disk.is_well();
    world.verify();
}

#[test]
fn where_reads_are_written_a_result_does_not_wait_for_the_disk() {
    let disk = Disk::that_is_well();
    let world = on(&disk, "written");
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    disk.is_slow(SLOW);
    let start = Instant::now();
    send_read(&mut agent);
    assert!(agent.answer().ok().holds(SECRET));
    assert!(start.elapsed() < SLOW, "it waited for the disk");
    disk.is_well();
    world.verify();
}

#[test]
fn what_has_no_record_is_not_shown() {
    for reads in ["durable", "written"] {
        for syncs in [true, false] {
            let disk = Disk::that_is_well();
            let mut world = on(&disk, reads);
            let run = world.open("triage");
            let (mut agent, mut other) = (Agent::connect(&run), Agent::connect(&run));
            match syncs {
                true => disk.does_not_write(),
                false => disk.does_not_sync(),
            }
            // Several, before anything is said of the first.
            for _ in 0..3 {
                let sql = format!("SELECT subject FROM tickets WHERE id = 3 {}", mark());
                agent.send(|out| frontend::query(&sql, out).expect("a query"));
            }
            // Where it is enough that a record is written, these are.
            if syncs || reads == "durable" {
                let words = nothing_of_it(&mut agent);
                assert_eq!(
                    (&*words.severity, &*words.code),
                    ("FATAL", "58030"),
                    "{words:#?}"
                );
            }
            // From then on nothing is let through at all.
            let mark = mark();
            eventually("the log has stopped", Duration::from_secs(5), || {
                let answer = other.query(&format!("SELECT 1 {mark}"));
                answer.error().filter(|error| error.code == "58030")
            });
            let effect = mark_of_effect(&mut other);
            assert!(!Store::shared().saw(&effect), "an effect without a record");
            // What was written may be there or not; what is there is whole, and the run is closed.
            world.kill();
            disk.is_well();
            world.verify();
            world.serve();
            let trail = world.trail(&run.id);
            let last = &trail.last().expect("records")["record"];
            assert_eq!(last["type"], "run.closed", "{trail:#?}");
            world.verify();
        }
    }
}

#[test]
fn a_read_that_cannot_be_recorded_ends_though_its_target_says_nothing() {
    let disk = Disk::that_is_well();
    let world = on(&disk, "durable");
    let mut agent = Agent::connect(&world.open("triage"));
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| {
            world.sql("BEGIN; LOCK TABLE tickets; SELECT pg_sleep(20); COMMIT");
        });
        world.locked("tickets", "granted AND mode = 'AccessExclusiveLock'");
        disk.does_not_sync();
        send_read(&mut agent);
        let words = nothing_of_it(&mut agent);
        assert_eq!(&*words.code, "58030", "{words:#?}");
        assert!(!busy.is_finished(), "it waited for the target");
    });
}

fn mark_of_effect(agent: &mut Agent) -> String {
    let mark = mark();
    let sql = format!("UPDATE tickets SET priority = 5 WHERE id = 3 {mark}");
    let answer = agent.query(&sql);
    assert_eq!(answer.error().expect("an error").code, "58030");
    mark
}

#[test]
fn what_is_held_when_its_run_ends_is_never_shown() {
    let disk = Disk::that_is_well();
    let world = on(&disk, "durable");
    type End = fn(&World, &Run);
    let close: End = |world, run| {
        // Its closing record waits for the disk as well.
        let mut close = world.command(&["close", &run.id]);
        close
            .spawn()
            .expect("bailiwick close")
            .wait()
            .expect("its end");
    };
    let expires: End = |_, _| {};
    for (ttl, end) in [("10m", close), ("8s", expires)] {
        disk.is_well();
        let run = world.open_with(&["--task", "triage", "--ttl", ttl]);
        let (mut agent, mut writer) = (Agent::connect(&run), Agent::connect(&run));
        let writes = || {
            world.metric(
                "bailiwick_calls_total{target=\"tickets\",protocol=\"postgres\",decision=\"allow\",class=\"write\"}",
            )
        };
        let before = writes();
        disk.is_slow(Duration::from_secs(15));
        send_read(&mut agent);
        let effect = mark();
        let sql = format!("UPDATE tickets SET priority = 5 WHERE id = 3 {effect}");
        writer.send(|out| frontend::query(&sql, out).expect("a query"));
        eventually("it is decided", Duration::from_secs(2), || {
            (writes() > before).then_some(())
        });
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| end(&world, &run));
            for agent in [&mut agent, &mut writer] {
                let words = nothing_of_it(agent);
                assert_eq!(
                    (&*words.severity, &*words.code),
                    ("FATAL", "57P01"),
                    "{words:#?}"
                );
            }
            assert!(
                start.elapsed() < Duration::from_secs(13),
                "{:?}",
                start.elapsed()
            );
        });
        disk.is_well();
        eventually("the run is closed", Duration::from_secs(20), || {
            (world.summary(&run.id)["state"] == "ended").then_some(())
        });
        let trail = world.trail(&run.id);
        let ends: Vec<_> = trail
            .iter()
            .filter_map(|entry| entry["record"]["outcome"]["state"].as_str())
            .collect();
        assert!(
            ends == ["ok", "skipped"] || ends == ["skipped", "ok"],
            "{ends:?}"
        );
        assert!(
            !Store::shared().saw(&effect),
            "allowed, but its run had ended"
        );
        world.verify();
    }
}

#[test]
fn what_is_held_outlasts_a_cancel_and_not_its_agent() {
    let disk = Disk::that_is_well();
    let world = on(&disk, "durable");
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    disk.is_slow(SLOW);
    send_read(&mut agent);
    let mut canceller = Agent::dial(&world.address()).expect("a connection");
    let (process, secret) = agent.key;
    canceller.send(|out| frontend::cancel_request(process, secret, out));
    assert!(
        agent.answer().ok().holds(SECRET),
        "it had been done already"
    );
    // One that goes away leaves a decision and an outcome.
    send_read(&mut agent);
    drop(agent);
    disk.is_well();
    let trail = eventually("both outcomes are there", Duration::from_secs(10), || {
        let trail = world.trail(&run.id);
        let finished = |entry: &&serde_json::Value| entry["record"]["type"] == "call.finished";
        (trail.iter().filter(finished).count() == 2).then_some(trail)
    });
    assert_eq!(trail.len(), 5, "{trail:#?}");
    world.verify();
}

/// In front of the target: hands everything on, and breaks the protocol behind the secret.
fn breaking_behind_the_secret(port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for gateway in listener.incoming().map_while(Result::ok) {
            let target = TcpStream::connect(("127.0.0.1", port)).expect("the target");
            let (from, to) = (
                gateway.try_clone().expect("a socket"),
                target.try_clone().expect("a socket"),
            );
            std::thread::spawn(move || hand_on(from, to, false));
            std::thread::spawn(move || hand_on(target, gateway, true));
        }
    });
    own
}

fn hand_on(mut from: TcpStream, mut to: TcpStream, breaks: bool) {
    let mut bytes = [0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        let mut part = bytes[..read].to_vec();
        if breaks && String::from_utf8_lossy(&part).contains(SECRET) {
            // No message has such a type.
            part.extend([b'!', 0, 0, 0, 4]);
        }
        if to.write_all(&part).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn what_is_held_when_the_target_breaks_the_protocol_is_never_shown() {
    let disk = Disk::that_is_well();
    let store = Store::shared();
    let port = breaking_behind_the_secret(store.port());
    let url = World::url(store, &store.database());
    let world = World::builder()
        .task(task("triage", TRIAGE))
        .target(
            "tickets",
            &url.replace(&store.port().to_string(), &port.to_string()),
        )
        .disk(&disk)
        .start();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    disk.is_slow(Duration::from_secs(3));
    send_read(&mut agent);
    let words = nothing_of_it(&mut agent);
    assert_eq!(
        (&*words.severity, &*words.code),
        ("FATAL", "08006"),
        "{words:#?}"
    );
    disk.is_well();
    world.bailiwick(&["close", &run.id]).ok();
    world.verify();
}
