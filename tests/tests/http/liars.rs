//! Targets that lie, stall or break the protocol: nothing of what cannot be trusted reaches the agent as a
//! whole answer, and there is an outcome for it. The CRM does none of this, so these are a few bytes each.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use bailiwick_tests::{Run, World};

use crate::kit::{Answer, TRIAGE, before, call, curl, finished, mark, outcome};

/// What a liar does once a request's head is there.
type Lie = fn(&mut TcpStream);

/// Answers every connection with the same lie. Its port.
fn liar(lie: Lie) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                    head.push(byte[0]);
                }
                lie(&mut stream);
                let _ = stream.shutdown(Shutdown::Write);
                // Reads the rest, so that what was written is not lost.
                let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
                while matches!(stream.read(&mut [0; 4096]), Ok(1..)) {}
            });
        }
    });
    port
}

fn say(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes());
}

/// Asks a liar; gives the answer, the outcome on record, and the run.
fn asked(lie: Lie, grants: &str) -> (Answer, serde_json::Value) {
    let world = before(&format!("http://127.0.0.1:{}", liar(lie)), grants).start();
    let (run, mark): (Run, String) = (world.open("triage"), mark());
    let answer = curl(
        &world,
        &run,
        &["--max-time", "3"],
        &format!("/notes?q={mark}"),
    );
    let trail = finished(&world, &run);
    let outcome = outcome(&trail, call(&trail, &mark))["record"]["outcome"].clone();
    well(&world);
    (answer, outcome)
}

/// The gateway goes on.
#[track_caller]
fn well(world: &World) {
    world.open("triage");
    world.verify();
}

#[test]
fn an_answer_that_is_none() {
    let lies: [(&str, Lie); 8] = [
        ("nothing", |_| {}),
        ("no HTTP", |stream| {
            say(stream, "220 smtp.example ESMTP\r\n")
        }),
        ("two lengths", |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\n{}{}",
            )
        }),
        ("no number", |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}")
        }),
        ("switching unasked", |stream| {
            say(
                stream,
                "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nabc",
            )
        }),
        ("no such coding", |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Encoding: rot13\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nab",
            )
        }),
        ("half a head", |stream| {
            say(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/pl")
        }),
        ("a huge head", |stream| {
            say(
                stream,
                &format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(200_000)),
            )
        }),
    ];
    std::thread::scope(|scope| {
        for (name, lie) in lies {
            scope.spawn(move || {
                let (answer, outcome) = asked(lie, TRIAGE);
                answer.problem(502);
                assert_ne!(outcome["state"], "ok", "{name}: {outcome:#}");
            });
        }
    });
}

/// What begins as an answer and does not end as one is never a whole answer to the agent.
#[test]
fn an_answer_that_breaks_off() {
    let lies: [(&str, Lie); 6] = [
        ("too short", |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100000\r\n\r\nhello",
            )
        }),
        ("no last chunk", |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            )
        }),
        ("a bad chunk", |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n",
            )
        }),
        ("half of gzip", |stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 14\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbH\xcd\xc9");
        }),
        ("no gzip", |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
            )
        }),
        ("no JSON", |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{\"a\": \"b\"}, \"c\": \"d\"",
            )
        }),
    ];
    std::thread::scope(|scope| {
        for (name, lie) in lies {
            scope.spawn(move || {
                let (answer, outcome) = asked(lie, TRIAGE);
                let cut = answer.code != 0;
                assert!(cut || answer.status == 502, "{name}: {answer:#?}");
                assert_ne!(outcome["state"], "ok", "{name}: {outcome:#}");
            });
        }
    });
}

/// The same JSON twice over, in one object: which of the two a client reads is its own matter, so both are masked.
#[test]
fn keys_that_stand_there_twice_are_masked_twice() {
    let (answer, _) = asked(
        |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{\"card\": \"A\", \"c\\u0061rd\": \"secret B\", \"card\": {\"x\": \"secret C\"}}",
            )
        },
        TRIAGE,
    );
    assert!(!answer.body.contains("secret"), "{answer:#?}");
}

/// More than was said is the beginning of nothing: neither of this answer nor of another's.
#[test]
fn more_than_was_said() {
    let lie: Lie = |stream| {
        say(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello\
             HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\npoisoned",
        );
        std::thread::sleep(Duration::from_millis(300));
    };
    let world = before(&format!("http://127.0.0.1:{}", liar(lie)), TRIAGE).start();
    let (one, other) = (world.open("triage"), world.open("triage"));
    for run in [&one, &other, &one] {
        let answer = curl(&world, run, &[], "/notes");
        assert_eq!(
            (answer.status, &*answer.body),
            (200, "hello"),
            "{answer:#?}"
        );
    }
    well(&world);
}

/// Fields by which a target would lead an agent astray, or split an answer in two.
#[test]
fn fields_that_do_not_pass() {
    let (answer, _) = asked(
        |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: a=b\r\nAlt-Svc: h3=\":443\"\r\n\
            WWW-Authenticate: Basic\r\nServer: crm/1\r\nX-Note: write to ada@analytical.example\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\n\
            Content-MD5: abc\r\nContent-Length: 5\r\n\r\nhello",
            )
        },
        TRIAGE,
    );
    assert_eq!(
        (answer.status, &*answer.body),
        (200, "hello"),
        "{answer:#?}"
    );
    for name in [
        "set-cookie",
        "alt-svc",
        "www-authenticate",
        "server:",
        "x-hop",
        "content-md5",
    ] {
        assert!(!answer.head.contains(name), "{name}: {answer:#?}");
    }
    assert!(
        answer.head.contains("x-note: write to [masked:email]"),
        "{answer:#?}"
    );
    let (answer, _) = asked(
        |stream| {
            say(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: /a\rSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n",
            )
        },
        TRIAGE,
    );
    assert!(!answer.head.contains("set-cookie"), "{answer:#?}");
}

/// One that never ends is the agent's to give up, and then the target's connection is closed.
#[test]
fn an_answer_that_never_ends() {
    let (answer, outcome) = asked(
        |stream| {
            say(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n",
            );
            while stream.write_all(b"never ending\n").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        },
        TRIAGE,
    );
    assert_eq!((answer.status, answer.code), (200, 28), "{answer:#?}");
    assert!(answer.body.contains("never ending"), "{answer:#?}");
    assert_eq!(outcome["state"], "cut", "{outcome:#}");
}

/// A small answer that becomes a large one.
#[test]
fn a_bomb() {
    let world = before(
        &format!(
            "http://127.0.0.1:{}",
            liar(|stream| {
                let body = bomb();
                say(stream, &format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len()));
                let _ = stream.write_all(&body);
            })
        ),
        TRIAGE,
    )
    .start();
    let run = world.open("triage");
    let answer = curl(&world, &run, &["--max-time", "20"], "/notes");
    assert_eq!(answer.status, 200);
    assert!(
        answer.body.bytes().all(|byte| byte == b'a'),
        "something else came"
    );
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", world.pid())).expect("its status");
    let peak = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("its memory");
    let peak: u64 = peak
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .expect("a number");
    assert!(peak < 128 * 1024, "the gateway took {peak} KiB");
    well(&world);
}

/// 32 MiB of one letter in gzip: made by hand of one block that repeats.
fn bomb() -> Vec<u8> {
    let finished = std::process::Command::new("sh")
        .args(["-c", "head -c 33554432 /dev/zero | tr '\\0' a | gzip -9"])
        .output()
        .expect("gzip");
    finished.stdout
}
