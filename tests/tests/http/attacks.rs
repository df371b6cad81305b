//! What an agent would try that was told to get around its scope. Whatever it is: nothing arrives but what
//! was decided.

use bailiwick_tests::{Run, World};

use crate::kit::{
    TRIAGE, arrived, arrived_once, before_crm, call, curl, denied, fields, finished, last_fields,
    mark, raw, send,
};

/// Sends a raw request line, and returns the status.
fn line(world: &World, run: &Run, line: &str) -> u16 {
    let request = format!("{line} HTTP/1.1\r\n{}\r\n", last_fields(run));
    let answer = raw(world, request.as_bytes());
    crate::kit::Answer::read(&answer, 0).status
}

#[test]
fn paths_that_servers_read_in_ways_of_their_own() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    // Each of them leads to the secrets for some server, or around the grants.
    let mut paths: Vec<(String, u16)> = [
        ("/crm/customers/ada%2fsecrets", 400),
        ("/crm/customers/ada%2Fsecrets", 400),
        ("/crm/customers/ada%5csecrets", 400),
        ("/crm/customers/ada\\secrets", 400),
        ("/crm/customers/..%2fcustomers%2fada%2fsecrets", 400),
        ("/crm/customers/../customers/ada/secrets", 400),
        ("/crm/echo/%2e%2e/customers/ada/secrets", 400),
        ("/crm/echo/%2E./customers/ada/secrets", 400),
        ("/crm/echo/..;/customers/ada/secrets", 400),
        ("/crm/echo/./x", 400),
        ("/crm/echo//customers/ada/secrets", 400),
        ("//crm/customers/ada", 400),
        ("/crm//customers/ada", 400),
        ("/./crm/customers/ada", 403),
        ("/crm/../crm/customers/ada", 400),
        ("/crm/customers/ada%00", 400),
        ("/crm/customers/ada%0d%0aX: y", 400),
        ("/crm/customers/ada%0a", 400),
        ("/crm/customers/ada%", 400),
        ("/crm/customers/ada%zz", 400),
        ("/crm/customers/ada%c0%af", 400),
        ("/crm/customers/%ff", 400),
        ("/crm/Customers/ada", 403),
        ("/crm/CUSTOMERS/ada", 403),
        ("/CRM/customers/ada", 403),
        ("/crm/customers/ada/", 403),
        ("/crm/customers/", 403),
        ("/crm/customers/ada;/secrets", 403),
        ("/crm/customers/ada;x=secrets", 403),
        ("/crm/customers/ada%3fx", 403),
        ("/crm/customers/ada%23x", 403),
        ("/crm/customers/ada%25%32%66secrets", 403),
        ("/crm/customers/ada%252fsecrets", 403),
        ("/crm/customers/ada/secrets.", 403),
        ("/crm/customers/ada/%73ecrets", 403),
        ("/crm", 403),
        ("/", 403),
        ("*", 400),
        ("customers/ada", 400),
        ("http:/crm/customers/ada", 400),
    ]
    .map(|(path, status)| (path.to_owned(), status))
    .to_vec();
    paths.push((format!("/crm/customers/{}", "a".repeat(9_000)), 400));
    paths.push((format!("/crm/customers/ada?{}", "a".repeat(40_000)), 400));
    std::thread::scope(|scope| {
        for part in paths.chunks(paths.len().div_ceil(8)) {
            let (world, run) = (&world, &run);
            scope.spawn(move || {
                for (path, status) in part {
                    let mark = mark();
                    let join = if path.contains('?') { '&' } else { '?' };
                    let request = format!("GET {path}{join}q={mark}");
                    let got = line(world, run, &request);
                    assert_eq!(got, *status, "{path}");
                    assert!(arrived(&mark).is_empty(), "{path} arrived");
                }
            });
        }
    });
    // What means the same is one spelling to the target.
    for (path, arrives) in [
        ("/crm/customers/%61da", "/customers/ada"),
        ("/%63rm/%63ustomers/ada", "/customers/ada"),
        ("/crm/customers/ada.", "/customers/ada."),
        ("/crm/customers/a%20b", "/customers/a%20b"),
        ("/crm/echo/a+b:c@d", "/echo/a%2Bb%3Ac%40d"),
    ] {
        let mark = mark();
        line(&world, &run, &format!("GET {path}?q={mark}"));
        assert_eq!(arrived_once(&mark)["target"], format!("{arrives}?q={mark}"));
    }
    // A fragment is never sent.
    let mark = mark();
    line(
        &world,
        &run,
        &format!("GET /crm/customers/ada?q={mark}#/../secrets"),
    );
    for entry in arrived(&mark) {
        assert_eq!(entry["target"], format!("/customers/ada?q={mark}"));
    }
    // All that was understood to be of the run is on record.
    let trail = finished(&world, &run);
    let denials = trail
        .iter()
        .filter(|entry| entry["record"]["decision"]["effect"] == "deny");
    assert!(denials.count() >= 30, "{trail:#?}");
    world.verify();
}

#[test]
fn absolute_addresses_lead_only_to_targets() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    let token = run.token();
    for (line, host, status) in [
        ("http://evil.example/crm/customers/ada", "evil.example", 403),
        ("http://evil.example/crm/customers/ada", "gateway", 400),
        ("http://user@evil.example/", "evil.example", 400),
        ("ftp://evil.example/", "evil.example", 403),
        ("http://127.0.0.1:1/customers/ada", "127.0.0.1:1", 403),
        (
            "http://169.254.169.254/latest/meta-data/",
            "169.254.169.254",
            403,
        ),
    ] {
        let mark = mark();
        let request = format!(
            "GET {line}?q={mark} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Proxy-Authorization: Bearer {token}\r\n\r\n"
        );
        let answer = raw(&world, request.as_bytes());
        let got = crate::kit::Answer::read(&answer, 0).status;
        assert_eq!(got, status, "{line} {host}: {answer}");
        assert!(arrived(&mark).is_empty());
    }
    // Whatever host an agent names, the target is told its own.
    let mark = mark();
    let answer = curl(
        &world,
        &run,
        &["--header", "Host: admin.internal"],
        &format!("/customers/ada?q={mark}"),
    );
    assert_eq!(answer.status, 200, "{answer:#?}");
    assert!(!arrived_once(&mark).to_string().contains("admin.internal"));
    world.verify();
}

/// Hides a request in another.
type Attack<'a> = Box<dyn Fn(&str) -> String + 'a>;

/// A second request hidden in a first: whoever frames the bytes otherwise would see it.
#[test]
fn smuggled_requests() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    let own = fields(&run);
    let hidden = |mark: &str| format!("GET /crm/customers/ada?q={mark} HTTP/1.1\r\n{own}\r\n");
    let post = format!("POST /crm/echo/x HTTP/1.1\r\n{own}Content-Type: text/plain\r\n");
    let attacks: Vec<(&str, Attack<'_>)> = vec![
        (
            "length and chunked",
            Box::new(|hidden| {
                format!(
                    "{post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
                )
            }),
        ),
        (
            "chunked and length",
            Box::new(|hidden| {
                format!(
                    "{post}Transfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n0\r\n\r\n{hidden}",
                    5 + hidden.len()
                )
            }),
        ),
        (
            "two lengths",
            Box::new(|hidden| {
                format!(
                    "{post}Content-Length: 0\r\nContent-Length: {}\r\n\r\n{hidden}",
                    hidden.len()
                )
            }),
        ),
        (
            "lengths in one field",
            Box::new(|hidden| format!("{post}Content-Length: 0, {}\r\n\r\n{hidden}", hidden.len())),
        ),
        (
            "a signed length",
            Box::new(|hidden| format!("{post}Content-Length: +0\r\n\r\n{hidden}")),
        ),
        (
            "a length in hexadecimal",
            Box::new(|hidden| format!("{post}Content-Length: 0x0\r\n\r\n{hidden}")),
        ),
        (
            "a space before the colon",
            Box::new(|hidden| format!("{post}Content-Length : {}\r\n\r\n{hidden}", hidden.len())),
        ),
        (
            "a folded field",
            Box::new(|hidden| {
                format!(
                    "{post}X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}"
                )
            }),
        ),
        (
            "another coding",
            Box::new(|hidden| {
                format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}")
            }),
        ),
        (
            "two codings",
            Box::new(|hidden| {
                format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}")
            }),
        ),
        (
            "a coding with a tab",
            Box::new(|hidden| {
                format!(
                    "{post}Transfer-Encoding:\x0bchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}"
                )
            }),
        ),
        (
            "a bare line feed",
            Box::new(|hidden| format!("{post}X: a\nContent-Length: 0\r\n\r\n{hidden}")),
        ),
        (
            "a bare carriage return",
            Box::new(|hidden| {
                format!("{post}X: a\rContent-Length: 5\r\nContent-Length: 0\r\n\r\n{hidden}")
            }),
        ),
        (
            "a chunk with a sign",
            Box::new(|hidden| {
                format!("{post}Transfer-Encoding: chunked\r\n\r\n-0\r\n\r\n{hidden}")
            }),
        ),
        (
            "a chunk in hexadecimal",
            Box::new(|hidden| {
                format!("{post}Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n{hidden}")
            }),
        ),
        (
            "a huge chunk",
            Box::new(|hidden| {
                format!(
                    "{post}Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n0\r\n\r\n{hidden}"
                )
            }),
        ),
        (
            "a chunk without its end",
            Box::new(|hidden| {
                format!("{post}Transfer-Encoding: chunked\r\n\r\n1\r\naX0\r\n\r\n{hidden}")
            }),
        ),
        (
            "a chunk's bare line feed",
            Box::new(|hidden| format!("{post}Transfer-Encoding: chunked\r\n\r\n0\n\n{hidden}")),
        ),
        (
            "a chunk extension's line feed",
            Box::new(|hidden| {
                format!("{post}Transfer-Encoding: chunked\r\n\r\n1;x\na\r\n0\r\n\r\n{hidden}")
            }),
        ),
        (
            "HTTP/1.0 and chunked",
            Box::new(|hidden| {
                format!(
                    "{}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
                    post.replace("HTTP/1.1", "HTTP/1.0")
                )
            }),
        ),
    ];
    std::thread::scope(|scope| {
        for (name, attack) in &attacks {
            let mark = mark();
            let bytes = attack(&hidden(&mark));
            let world = &world;
            scope.spawn(move || {
                let answer = raw(world, bytes.as_bytes());
                assert!(!answer.contains(" 200 "), "{name}: {answer}");
                assert!(arrived(&mark).is_empty(), "{name}: the hidden one arrived");
            });
        }
    });
    // That there were some is on record, though nobody knows whose they were.
    let gateway = world.trail("gateway");
    let framing = gateway.iter().filter(|entry| {
        entry["record"]["login"]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("framing"))
    });
    assert!(framing.count() > 10, "{gateway:#?}");
    world.verify();
}

#[test]
fn a_request_behind_a_denied_one_is_decided_by_itself() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    let own = fields(&run);
    let (denied_one, allowed) = (mark(), mark());
    let inner = format!(
        "DELETE /crm/customers/ada?q={} HTTP/1.1\r\n{own}\r\n",
        mark()
    );
    let requests = format!(
        "DELETE /crm/customers/ada?q={denied_one} HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{own}\r\n{inner}\
         GET /crm/customers/ada?q={allowed} HTTP/1.1\r\n{}\r\n",
        inner.len(),
        last_fields(&run)
    );
    let answer = raw(&world, requests.as_bytes());
    let statuses: Vec<&str> = answer.matches("HTTP/1.1 ").collect();
    assert_eq!(statuses.len(), 2, "{answer}");
    assert!(
        answer.contains("HTTP/1.1 403") && answer.contains("HTTP/1.1 200"),
        "{answer}"
    );
    assert!(answer.contains("Lovelace"), "{answer}");
    denied(&world, &run, &denied_one);
    arrived_once(&allowed);
    // What stood in the content of the first was no request.
    let trail = finished(&world, &run);
    let calls = trail
        .iter()
        .filter(|entry| entry["record"]["type"] == "call.decided");
    assert_eq!(calls.count(), 2, "{trail:#?}");
    world.verify();
}

#[test]
fn other_methods_than_the_one_that_is_decided() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    for field in [
        "X-HTTP-Method-Override: DELETE",
        "X-HTTP-Method: DELETE",
        "X-Method-Override: DELETE",
        "x_http_method_override: DELETE",
    ] {
        let mark = mark();
        let answer = curl(
            &world,
            &run,
            &["--header", field],
            &format!("/echo/x?q={mark}"),
        );
        answer.problem(400);
        denied(&world, &run, &mark);
    }
    for query in [
        "_method=DELETE",
        "_METHOD=delete",
        "%5fmethod=DELETE",
        "x-http-method-override=DELETE",
    ] {
        let mark = mark();
        let answer = curl(&world, &run, &[], &format!("/echo/x?{query}&q={mark}"));
        answer.problem(400);
        denied(&world, &run, &mark);
    }
    let mark1 = mark();
    let form = format!("_method=DELETE&q={mark1}");
    let answer = curl(&world, &run, &["--data", &form], "/echo/x");
    answer.problem(400);
    assert!(arrived(&mark1).is_empty());
    for (method, status) in [
        ("TRACE", 501),
        ("PROPFIND", 501),
        ("PURGE", 501),
        ("get", 501),
    ] {
        let mark = mark();
        let got = line(&world, &run, &format!("{method} /crm/echo/x?q={mark}"));
        assert_eq!(got, status, "{method}");
        assert!(arrived(&mark).is_empty(), "{method}");
    }
    world.verify();
}

#[test]
fn content_that_could_be_read_in_two_ways() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    let utf16: Vec<u8> = "{\"a\": \"b\"}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let gzip = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 5, 0, 0x43, 0xbf, 0xa6, 0xa3, 2, 0, 0, 0,
    ];
    let json = "Content-Type: application/json";
    for (name, types, body) in [
        (
            "a key twice",
            &[json][..],
            &br#"{"visibility": "internal", "visibility": "public"}"#[..],
        ),
        ("a key twice, escaped", &[json], br#"{"a": 1, "\u0061": 2}"#),
        (
            "a key twice, deep",
            &[json],
            br#"{"a": [{"b": 1, "b": 2}]}"#,
        ),
        ("no JSON", &[json], b"{a: 1}"),
        ("two documents", &[json], b"{} {}"),
        ("a comment", &[json], b"{/* */}"),
        ("a comma", &[json], b"[1,]"),
        ("NaN", &[json], b"[NaN]"),
        ("a byte order mark", &[json], b"\xef\xbb\xbf{}"),
        ("not UTF-8", &[json], b"{\"a\": \"\xff\"}"),
        ("half a surrogate", &[json], br#"{"a": "\ud800"}"#),
        ("UTF-16", &[json], &utf16),
        (
            "UTF-16, as it says",
            &["Content-Type: application/json; charset=utf-16"],
            &utf16,
        ),
        (
            "UTF-7",
            &["Content-Type: application/json; charset=utf-7"],
            b"{}",
        ),
        ("compressed", &[json, "Content-Encoding: gzip"], &gzip),
        ("two types", &[json, "Content-Type: text/plain"], b"{}"),
        ("no type", &["Content-Type:"], b"{}"),
        ("JSON as text", &["Content-Type: text/plain"], b"{\"a\": 1}"),
        (
            "JSON as a form",
            &["Content-Type: application/x-www-form-urlencoded"],
            b"{\"a\": 1}",
        ),
        ("very deep", &[json], "[".repeat(5_000).as_bytes()),
    ] {
        let mark = mark();
        let types: String = types
            .iter()
            .map(|field| match *field {
                "Content-Type:" => String::new(),
                field => format!("{field}\r\n"),
            })
            .collect();
        let head = format!(
            "POST /crm/echo/x?q={mark} HTTP/1.1\r\nConnection: close\r\n{}{types}Content-Length: {}\r\n\r\n",
            fields(&run),
            body.len()
        );
        let answer = raw(&world, &[head.as_bytes(), body].concat());
        let status = crate::kit::Answer::read(&answer, 0).status;
        assert!(matches!(status, 400 | 415), "{name}: {answer}");
        assert!(arrived(&mark).is_empty(), "{name}: it arrived");
        let trail = world.trail(&run.id);
        let record = &trail.last().expect("records")["record"];
        assert_eq!(record["decision"]["effect"], "deny", "{name}: {record:#}");
    }
    // Content that a GET should not have.
    let mark = mark();
    let content = ["--request", "GET", "--data", "{}", "--header", json];
    curl(&world, &run, &content, &format!("/echo/x?q={mark}")).problem(400);
    denied(&world, &run, &mark);
    world.verify();
}

#[test]
fn what_was_masked_is_not_written_back() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    let ada = curl(&world, &run, &[], "/customers/ada").body;
    let mark1 = mark();
    let answer = send(&world, &run, "PATCH", &format!("/echo/ada?q={mark1}"), &ada);
    assert!(
        answer.problem(400).contains("masked placeholder"),
        "{answer:#?}"
    );
    denied(&world, &run, &mark1);
    for (path, body) in [
        ("/echo/x?q=MARK&email=%5Bmasked%3Aemail%5D", "{}"),
        ("/echo/%5Bmasked%3Aemail%5D?q=MARK", "{}"),
        ("/echo/x?q=MARK", r#"{"email": "\u005bmasked:email]"}"#),
    ] {
        let mark = mark();
        let answer = send(&world, &run, "POST", &path.replace("MARK", &mark), body);
        answer.problem(400);
        denied(&world, &run, &mark);
    }
    world.verify();
}

#[test]
fn heads_that_are_too_much() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    let own = last_fields(&run);
    let many: String = (0..200)
        .map(|number| format!("X-{number}: a\r\n"))
        .collect();
    let accepts = format!("Accept: {}\r\n", "a/b, ".repeat(8_000));
    for (name, version, more, statuses) in [
        (
            "one huge field",
            "1.1",
            format!("X: {}\r\n", "a".repeat(200_000)),
            &[431, 400][..],
        ),
        ("many fields", "1.1", many, &[431, 400]),
        ("much that would pass", "1.1", accepts, &[400]),
        ("an old version", "1.0", String::new(), &[505]),
        ("no such version", "1.2", String::new(), &[400, 505]),
        ("two hosts", "1.1", "Host: other\r\n".into(), &[400]),
        ("a NUL", "1.1", "Accept: a\0b\r\n".into(), &[400]),
    ] {
        let mark = mark();
        let request = format!("GET /crm/echo/x?q={mark} HTTP/{version}\r\n{own}{more}\r\n");
        let answer = raw(&world, request.as_bytes());
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        // Where too much was sent the answer may be lost in the reset of the connection.
        let fits = statuses.contains(&status) || (status == 0 && statuses.contains(&431));
        assert!(fits, "{name}: {answer}");
        assert!(arrived(&mark).is_empty(), "{name}");
    }
    let mark = mark();
    let request = format!(
        "GET /crm/echo/x?q={mark} HTTP/1.1\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        run.token()
    );
    let answer = raw(&world, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 400"), "no host: {answer}");
    assert!(arrived(&mark).is_empty());
    let trail = world.trail(&run.id);
    let record = &call(&trail, "GET /crm/echo")["record"];
    assert_eq!(record["decision"]["effect"], "deny");
    world.verify();
}
