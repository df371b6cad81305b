//! Long answers: passed on as they come, in bounded memory, and cut where they are not to go on.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bailiwick_tests::{World, eventually, finish, lines, node_web, python_web};
use serde_json::json;

use crate::kit::{
    TRIAGE, address, before_crm, call, curl, curl_command, fields, finished, mark, outcome,
};

/// The resident memory of a process, in bytes, at its most so far.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    1024 * number
        .and_then(|number| number.parse::<u64>().ok())
        .expect("a number")
}

#[test]
fn events_come_as_they_happen() {
    let world = before_crm(TRIAGE)
        .target_setting("reads = \"written\"")
        .start();
    for client in ["httpx", "fetch"] {
        let (run, mark) = (world.open("triage"), mark());
        // What it takes to mask is made with the first that is.
        curl(&world, &run, &[], "/events");
        let mut command = match client {
            "fetch" => node_web("http_client.mjs"),
            _ => python_web("http_client.py"),
        };
        command.args((client != "fetch").then_some(client));
        let url = format!("{}/events?count=4&pause=0.4&q={mark}", world.http("crm"));
        let authorization = format!("Bearer {}", run.token());
        command.arg(
            json!([{"url": url, "headers": {"Authorization": authorization}, "stream": true}])
                .to_string(),
        );
        let lines = lines(&finish(&mut command));
        let pieces = lines[0]["pieces"].as_array().expect("pieces");
        assert_eq!(pieces.len(), 4, "{client}: {lines:#?}");
        let at: Vec<u64> = pieces
            .iter()
            .filter_map(|piece| piece[0].as_u64())
            .collect();
        // The first waits for the record of the call as well.
        for two in at[1..].windows(2) {
            assert!(
                two[1] - two[0] > 250,
                "{client}: they came together: {at:?}"
            );
        }
        for piece in pieces {
            let text = piece[1].as_str().expect("text");
            assert!(
                text.contains("[masked:email]") && text.contains("[masked]"),
                "{text}"
            );
            assert!(!text.contains(".example"), "{text}");
        }
        let trail = finished(&world, &run);
        let outcome = outcome(&trail, call(&trail, &mark));
        assert_eq!(outcome["record"]["outcome"]["state"], "ok", "{outcome:#}");
    }
    world.verify();
}

/// A stream of events that has begun, by curl.
fn streaming(world: &World, run: &bailiwick_tests::Run, mark: &str) -> std::process::Child {
    let authorization = format!("Authorization: Bearer {}", run.token());
    let url = format!("{}/events?count=600&pause=0.1&q={mark}", world.http("crm"));
    let mut curl = curl_command(&["--header", &authorization], &url);
    let mut curl = curl
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl");
    let mut first = BufReader::new(curl.stdout.take().expect("its output"));
    let mut line = String::new();
    while !line.starts_with("data: ") {
        line.clear();
        assert!(first.read_line(&mut line).expect("a line") > 0, "it ended");
    }
    // Goes on reading.
    std::thread::spawn(move || first.read_to_end(&mut Vec::new()));
    curl
}

/// A run that ends ends what it has open, and nobody takes that for the end of the answer.
#[test]
fn a_stream_is_cut_when_its_run_ends() {
    let world = before_crm(TRIAGE).start();
    type End = fn(&World, &str);
    let close: End = |world, run| {
        world.bailiwick(&["close", run]).ok();
    };
    let revoke: End = |world, run| {
        world.bailiwick(&["revoke", run]).ok();
    };
    let expire: End = |_, _| {};
    std::thread::scope(|scope| {
        for (ttl, end, why) in [
            ("10m", close, "close"),
            ("10m", revoke, "revoke"),
            ("2s", expire, "expire"),
        ] {
            let world = &world;
            scope.spawn(move || {
                let (run, mark) = (world.open_with(&["--task", "triage", "--ttl", ttl]), mark());
                let mut curl = streaming(world, &run, &mark);
                end(world, &run.id);
                let asked = match ttl {
                    "2s" => run.returned + Duration::from_secs(2),
                    _ => Instant::now(),
                };
                let status = eventually("it is cut", Duration::from_secs(5), || {
                    curl.try_wait().expect("curl")
                });
                let late = Instant::now().saturating_duration_since(asked);
                assert!(late < Duration::from_secs(1), "{why}: {late:?}");
                // 18: a partial file.
                assert_eq!(status.code(), Some(18), "{why}: it took it for the end");
                let trail = finished(world, &run);
                let outcome = outcome(&trail, call(&trail, &mark));
                // A stream of events has no end but that.
                let state = if why == "close" { "ok" } else { "cut" };
                assert_eq!(outcome["record"]["outcome"]["state"], state, "{outcome:#}");
                // And nothing more is let through.
                let answer = crate::kit::curl(world, &run, &[], "/customers/ada");
                answer.problem(401);
            });
        }
    });
    world.verify();
}

/// JSON, with every control on: seven times of what the gateway may take in memory for it.
#[test]
fn a_large_answer_takes_no_more_memory_than_a_small_one() {
    let world = before_crm(TRIAGE).quiet().start();
    let (run, mark) = (world.open("triage"), mark());
    curl(&world, &run, &[], "/large?size=2000000");
    let before = peak(world.pid());
    let size = 30_000_000_u64;
    let authorization = format!("Authorization: Bearer {}", run.token());
    let url = format!("{}/large?size={size}&q={mark}", world.http("crm"));
    let mut curl = bailiwick_tests::command("curl");
    curl.args([
        "--disable",
        "--silent",
        "--show-error",
        "--fail",
        "--output",
        "/dev/null",
    ])
    .args([
        "--write-out",
        "%{size_download}",
        "--header",
        &authorization,
        &url,
    ]);
    let start = Instant::now();
    let mut curl = curl.stdout(Stdio::piped()).spawn().expect("curl");
    let status = eventually("it comes", Duration::from_secs(180), || {
        curl.try_wait().expect("curl")
    });
    assert!(status.success(), "{status:?}");
    let mut got = String::new();
    let stdout = curl.stdout.as_mut().expect("its output");
    stdout.read_to_string(&mut got).expect("a number");
    let grown = peak(world.pid()).saturating_sub(before);
    eprintln!(
        "{got} bytes in {:?}, memory grew by {grown} bytes",
        start.elapsed()
    );
    assert!(got.parse::<u64>().is_ok_and(|got| got > size / 2), "{got}");
    assert!(grown < 4 * 1024 * 1024, "the gateway grew by {grown} bytes");
    let trail = finished(&world, &run);
    let end = &outcome(&trail, call(&trail, &mark))["record"]["outcome"];
    assert_eq!(end["state"], "ok", "{end:#}");
    assert_eq!(end["bytes"].as_u64(), got.parse().ok(), "{end:#}");
    world.verify();
}

/// An agent that does not read holds back its target, not the gateway's memory.
#[test]
fn an_agent_that_does_not_read() {
    let world = before_crm(TRIAGE).start();
    let (run, mark) = (world.open("triage"), mark());
    let before = peak(world.pid());
    let mut stream = std::net::TcpStream::connect(address(&world)).expect("a connection");
    let request = format!(
        "GET /crm/large?size=100000000&q={mark} HTTP/1.1\r\n{}\r\n",
        fields(&run)
    );
    std::io::Write::write_all(&mut stream, request.as_bytes()).expect("a request");
    std::thread::sleep(Duration::from_secs(3));
    let grown = peak(world.pid()).saturating_sub(before);
    assert!(
        grown < 24 * 1024 * 1024,
        "the gateway grew by {grown} bytes"
    );
    drop(stream);
    let trail = finished(&world, &run);
    let end = &outcome(&trail, call(&trail, &mark))["record"]["outcome"];
    assert_eq!(end["state"], "cut", "{end:#}");
    world.verify();
}
