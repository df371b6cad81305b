//! What agents send that is large or odd and allowed: passed on as it comes, and looked at as it does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bailiwick_tests::{World, finish};

use crate::kit::{
    TRIAGE, address, before, before_crm, call, curl, curl_command, drain, fields, finished,
    last_fields, mark, outcome,
};

/// A server that counts what it is sent, answers with how much, and says so here, with whether it was whole.
pub(crate) fn sink() -> (u16, Receiver<(usize, bool)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let tell = tell.clone();
            std::thread::spawn(move || {
                let got = count(&stream);
                let _ = tell.send(got);
                let answer = format!("{{\"got\": {}}}", got.0);
                let _ = (&stream).write_all(
                    format!(
                        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
                        answer.len()
                    )
                    .as_bytes(),
                );
            });
        }
    });
    (port, told)
}

/// Reads a request; how much content it had, and whether that came to its end.
fn count(stream: &TcpStream) -> (usize, bool) {
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (None, String::new());
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        let lower = line.to_ascii_lowercase();
        if let Some(number) = lower.strip_prefix("content-length:") {
            length = number.trim().parse::<usize>().ok();
        }
        line.clear();
    }
    let mut got = 0;
    let mut read = |reader: &mut BufReader<&TcpStream>, left: usize| {
        let took = std::io::copy(&mut reader.take(left as u64), &mut std::io::sink());
        let took = took.unwrap_or_default() as usize;
        got += took;
        took == left
    };
    if let Some(length) = length {
        let whole = read(&mut reader, length);
        return (got, whole);
    }
    loop {
        let mut size = String::new();
        let _ = reader.read_line(&mut size);
        let Ok(size) = usize::from_str_radix(size.trim(), 16) else {
            return (got, false);
        };
        if size == 0 {
            return (got, true);
        }
        if !read(&mut reader, size) {
            return (got, false);
        }
        let _ = reader.read_line(&mut String::new());
    }
}

/// More than is held until it is decided.
const LARGE: usize = 20 * 1024 * 1024;

fn upload(
    world: &World,
    run: &bailiwick_tests::Run,
    path: &str,
    more: &[&str],
    bytes: &[u8],
) -> crate::kit::Answer {
    let file = world.work().join("upload");
    std::fs::write(&file, bytes).expect("a file");
    let data = format!("@{}", file.display());
    let arguments = [
        "--data-binary",
        &data,
        "--header",
        "Content-Type: application/octet-stream",
    ];
    curl(world, run, &[&arguments[..], more].concat(), path)
}

#[test]
fn a_large_upload_is_passed_on_as_it_comes() {
    let (port, told) = sink();
    let world = before(&format!("http://127.0.0.1:{port}"), TRIAGE).start();
    let run = world.open("triage");
    let mut bytes = vec![b'.'; LARGE];
    for more in [&[][..], &["--header", "Transfer-Encoding: chunked"]] {
        let mark = mark();
        let answer = upload(&world, &run, &format!("/echo/x?q={mark}"), more, &bytes);
        assert_eq!(answer.status, 200, "{answer:#?}");
        assert_eq!(answer.json()["got"], LARGE);
        assert_eq!(told.recv_timeout(Duration::from_secs(5)), Ok((LARGE, true)));
        let trail = finished(&world, &run);
        let call = call(&trail, &mark);
        let text = call["payload"]["text"].as_str().expect("its text");
        assert!(text.contains("bytes, SHA-256"), "{text}");
    }
    // A masked value far into it: what went on before is no whole request.
    let place = LARGE - 1024 * 1024;
    bytes[place..place + 14].copy_from_slice(b"[masked:email]");
    let mark1 = mark();
    let answer = upload(&world, &run, &format!("/echo/x?q={mark1}"), &[], &bytes);
    assert_ne!(answer.status, 200, "{answer:#?}");
    let (_, whole) = told
        .recv_timeout(Duration::from_secs(5))
        .expect("a request");
    assert!(!whole, "the target took it for a whole request");
    let trail = finished(&world, &run);
    let end = &outcome(&trail, call(&trail, &mark1))["record"]["outcome"];
    assert_ne!(end["state"], "ok", "{end:#}");
    // JSON is read whole, so there is a limit to it.
    let json = format!("{{\"a\": \"{}\"}}", "b".repeat(5 * 1024 * 1024));
    std::fs::write(world.work().join("json"), json).expect("a file");
    let data = format!("@{}", world.work().join("json").display());
    let typed = [
        "--data-binary",
        &data,
        "--header",
        "Content-Type: application/json",
    ];
    let answer = curl(&world, &run, &typed, "/echo/x");
    answer.problem(413);
    assert!(told.try_recv().is_err(), "it was sent");
    let peak =
        std::fs::read_to_string(format!("/proc/{}/status", world.pid())).expect("its status");
    let peak = peak
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("its memory");
    let peak: u64 = peak
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number");
    assert!(peak < 160 * 1024, "the gateway took {peak} KiB");
    world.verify();
}

#[test]
fn an_upload_that_breaks_off() {
    let (port, told) = sink();
    let world = before(&format!("http://127.0.0.1:{port}"), TRIAGE).start();
    let run = world.open("triage");
    for (name, sent) in [("small", 5), ("large", 6 * 1024 * 1024)] {
        let mark = mark();
        let mut stream = TcpStream::connect(address(&world)).expect("a connection");
        let head = format!(
            "POST /crm/echo/x?q={mark} HTTP/1.1\r\nContent-Type: application/octet-stream\r\nContent-Length: {LARGE}\r\n{}\r\n",
            fields(&run)
        );
        stream.write_all(head.as_bytes()).expect("a head");
        stream.write_all(&vec![b'.'; sent]).expect("a part");
        std::thread::sleep(Duration::from_millis(500));
        drop(stream);
        match name {
            // It was never decided.
            "small" => assert!(told.recv_timeout(Duration::from_millis(500)).is_err()),
            _ => {
                let (_, whole) = told
                    .recv_timeout(Duration::from_secs(5))
                    .expect("a request");
                assert!(!whole, "the target took it for a whole request");
                let trail = finished(&world, &run);
                let end = &outcome(&trail, call(&trail, &mark))["record"]["outcome"];
                assert_eq!(end["state"], "cut", "{end:#}");
            }
        }
    }
    world.verify();
}

#[test]
fn answers_without_content() {
    let grants = format!(
        "{TRIAGE}[[read]]\ntarget = \"crm\"\nrequests = [\"HEAD /echo/*\", \"OPTIONS /echo\"]\n"
    );
    let world = before_crm(&grants).start();
    let run = world.open("triage");
    for status in [204, 304, 400, 409, 429, 500, 503] {
        let answer = curl(&world, &run, &[], &format!("/status/{status}"));
        assert_eq!(answer.status, status, "{answer:#?}");
        assert_eq!(
            answer.body.is_empty(),
            matches!(status, 204 | 304),
            "{answer:#?}"
        );
        // The next on a connection is not put off by it.
        let request =
            |path: &str, fields: String| format!("GET /crm{path} HTTP/1.1\r\n{fields}\r\n");
        let two = request(&format!("/status/{status}"), fields(&run))
            + &request("/customers/ada", last_fields(&run));
        let answers = crate::kit::raw(&world, two.as_bytes());
        assert!(answers.contains("Lovelace"), "{status}: {answers}");
    }
    let answer = curl(&world, &run, &["--head"], "/echo/x");
    assert_eq!((answer.status, &*answer.body), (200, ""), "{answer:#?}");
    let answer = curl(&world, &run, &["--request", "OPTIONS"], "/echo");
    assert_eq!(answer.status, 200, "{answer:#?}");
    finished(&world, &run);
    world.verify();
}

/// No run takes all there is.
#[test]
fn a_run_has_no_more_exchanges_at_once_than_it_may() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        // Takes all, and answers none.
        let _kept: Vec<TcpStream> = listener.incoming().map_while(Result::ok).collect();
    });
    let section = crate::kit::section(&format!("http://127.0.0.1:{port}"), "")
        .replace("[targets.crm]", "[targets.slow]");
    let world = before_crm(TRIAGE)
        .section(&section)
        .task(bailiwick_tests::http_task(
            "slow",
            "[[read]]\ntarget = \"slow\"\nrequests = [\"GET /a\"]\n",
        ))
        .start();
    let (run, other) = (world.open("slow"), world.open("triage"));
    let ask = || {
        let mut stream = TcpStream::connect(address(&world)).expect("a connection");
        let request = format!("GET /slow/a HTTP/1.1\r\n{}\r\n", last_fields(&run));
        stream.write_all(request.as_bytes()).expect("a request");
        stream
    };
    let _held: Vec<TcpStream> = (0..256).map(|_| ask()).collect();
    std::thread::sleep(Duration::from_secs(2));
    let (answer, _) = drain(&mut ask(), Duration::from_secs(5));
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    assert!(answer.contains("problem+json"), "{answer}");
    let authorization = format!("Authorization: Bearer {}", other.token());
    let url = format!("{}/customers/ada", world.http("crm"));
    let served = finish(&mut curl_command(&["--header", &authorization], &url));
    assert!(served.ok().contains("Lovelace"), "{served:#?}");
    world.verify();
}
