//! Heads that say more than they should. Those of HTTP/2 are such as no library sends: it has no framing to be taken in two ways, but what HTTP/1 has in a line and
//! a `host` stands in fields here, and whoever writes them out again may be led astray.

use std::io::Write;
use std::process::Stdio;

use bailiwick_tests::{Run, World, python_web};
use serde_json::{Value, json};

use crate::kit::{
    TRIAGE, address, arrived, arrived_once, before_crm, curl, field, finished, mark, plain_curl,
};

/// What comes of each of these requests, in order.
fn asked(world: &World, requests: &[Value]) -> Vec<String> {
    let address = address(world);
    let (host, port) = address.split_once(':').expect("an address");
    let mut child = python_web("h2_raw.py")
        .args([host, port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python");
    let mut stdin = child.stdin.take().expect("its input");
    for request in requests {
        writeln!(stdin, "{request}").expect("a line");
    }
    drop(stdin);
    let output = child.wait_with_output().expect("its end");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let said: Vec<String> = said.lines().map(str::to_owned).collect();
    assert_eq!(said.len(), requests.len(), "{said:?}");
    said
}

/// A head, with these fields in the place of those that it has.
fn head(run: &Run, path: &str, fields: &[(&str, &str)]) -> Vec<Value> {
    let bearer = format!("Bearer {}", run.token());
    let usual = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "gateway"),
        (":path", path),
        ("authorization", &bearer),
    ];
    let kept = usual
        .into_iter()
        .filter(|(name, _)| fields.iter().all(|(other, _)| name != other));
    // Pseudo-header fields stand first.
    let (pseudo, rest): (Vec<_>, Vec<_>) = kept
        .chain(fields.iter().copied())
        .partition(|(name, _)| name.starts_with(':'));
    pseudo
        .into_iter()
        .chain(rest)
        .map(|(name, value)| json!([name, value]))
        .collect()
}

#[test]
fn what_is_odd_in_it_arrives_nowhere() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    let with = |fields: &[(&str, &str)]| {
        let mark = mark();
        let path = format!("/crm/customers/ada?q={mark}");
        let fields: Vec<(String, String)> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.replace("PATH", &path)))
            .collect();
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        (mark, json!({"head": head(&run, &path, &fields)}))
    };
    let mut attacks: Vec<(&str, (String, Value))> = [
        ("another host", &[("host", "evil.example")][..]),
        (
            "two hosts",
            &[("host", "gateway"), ("host", "evil.example")],
        ),
        ("a user in the authority", &[(":authority", "crm@gateway")]),
        ("two paths", &[(":path", "PATH"), (":path", "PATH&x=1")]),
        ("two methods", &[(":method", "GET"), (":method", "DELETE")]),
        ("an unknown pseudo-header field", &[(":own", "x")]),
        (
            "a method with a line in it",
            &[(":method", "GET PATH HTTP/1.1\r\nx: y\r\n\r\nGET")],
        ),
        ("a method in lower case", &[(":method", "get")]),
        (
            "a path with a line in it",
            &[(":path", "PATH HTTP/1.1\r\nhost: evil\r\n\r\nGET /")],
        ),
        ("a path with a space", &[(":path", "PATH x")]),
        (
            "a path that is an address",
            &[(":path", "http://evil.examplePATH")],
        ),
        ("a path without its slash", &[(":path", "crmPATH")]),
        ("a field with a line in it", &[("accept", "a\r\nx-q: PATH")]),
        ("a field with a NUL", &[("accept", "a\0PATH")]),
        ("a name in upper case", &[("Accept", "PATH")]),
        ("a name with a colon", &[("x:y", "PATH")]),
        ("a name with a line in it", &[("x\r\ny", "PATH")]),
        ("a coding", &[("transfer-encoding", "chunked")]),
        ("a connection", &[("connection", "close")]),
        (
            "an upgrade",
            &[("upgrade", "h2c"), ("http2-settings", "AAAA")],
        ),
        ("a method override", &[("x-http-method-override", "DELETE")]),
        (
            "a tunnel",
            &[(":method", "CONNECT"), (":authority", "evil.example:443")],
        ),
        (
            "another protocol",
            &[(":method", "CONNECT"), (":protocol", "connect-udp")],
        ),
        (
            "a WebSocket that no grant has",
            &[
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                ("sec-websocket-version", "13"),
            ],
        ),
        ("a length without content", &[("content-length", "5")]),
    ]
    .into_iter()
    .map(|(name, fields)| (name, with(fields)))
    .collect();
    let post = |more: &[(&str, &str)], data: &str, trailers: Value| {
        let mark = mark();
        let path = format!("/crm/echo/x?q={mark}");
        let fields = [&[(":method", "POST"), ("content-type", "text/plain")], more].concat();
        let head = head(&run, &path, &fields);
        (
            mark,
            json!({"head": head, "data": data, "trailers": trailers}),
        )
    };
    attacks.extend([
        (
            "too long a length",
            post(&[("content-length", "9")], "hello", json!([])),
        ),
        (
            "two lengths",
            post(
                &[("content-length", "5"), ("content-length", "6")],
                "hello",
                json!([]),
            ),
        ),
    ]);
    let requests: Vec<Value> = attacks
        .iter()
        .map(|(_, (_, request))| request.clone())
        .collect();
    let said = asked(&world, &requests);
    for ((name, (mark, _)), said) in attacks.iter().zip(&said) {
        assert!(!said.starts_with('2') && said != "101", "{name}: {said}");
        assert!(arrived(mark).is_empty(), "{name}: {said}, and it arrived");
    }
    world.verify();
}

/// What is merely unusual is written out in the gateway's own way.
#[test]
fn what_arrives_is_what_was_decided() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    let marks = [(); 4].map(|()| mark());
    let [elsewhere, short, trailed, fragment] = &marks;
    let post = |mark: &str, more: &[(&str, &str)]| {
        let fields = [&[(":method", "POST"), ("content-type", "text/plain")], more].concat();
        head(&run, &format!("/crm/echo/x?q={mark}"), &fields)
    };
    let hidden = format!("helloDELETE /customers/ada?q={short}x HTTP/1.1\r\n\r\n");
    let said = asked(
        &world,
        &[
            json!({"head": head(&run, &format!("/crm/customers/ada?q={elsewhere}"), &[(":authority", "evil.example")])}),
            json!({"head": post(short, &[]), "data": hidden}),
            json!({"head": post(trailed, &[]), "data": "hello", "trailers": [[":path", "/crm/customers/ada/secrets"], ["x-http-method-override", "DELETE"], ["authorization", "Bearer x"]]}),
            json!({"head": head(&run, &format!("/crm/customers/ada?q={fragment}#/secrets"), &[])}),
        ],
    );
    assert_eq!(said, ["200", "200", "200", "200"]);
    let entry = arrived_once(fragment);
    assert!(!entry.to_string().contains("secrets"), "{entry:#}");
    let entry = arrived_once(elsewhere);
    let host = field(&entry, "host").expect("a host");
    assert!(!host.contains("evil"), "{entry:#}");
    let entry = arrived_once(short);
    assert_eq!(entry["method"], "POST", "{entry:#}");
    let entry = arrived_once(trailed);
    assert!(!entry.to_string().contains("secrets"), "{entry:#}");
    assert_eq!(field(&entry, "x-http-method-override"), None, "{entry:#}");
    world.verify();
}

/// A tag that is made of what is masked would tell whoever guesses.
#[test]
fn entity_tags_say_nothing_of_what_is_masked() {
    let grants = "[[read]]\ntarget = \"crm\"\nrequests = [\"GET /tagged\"]\n\
        [[write]]\ntarget = \"crm\"\nrequests = [\"PATCH /tagged\"]\n\
        [[mask]]\ntarget = \"crm\"\nfields = [\"$.card\"]\n";
    let world = before_crm(grants).start();
    let run = world.open("triage");
    let tag = |head: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix("etag: "));
        line.map(str::to_owned)
    };
    let own = plain_curl(
        &[
            "--header",
            &format!("Authorization: Bearer {}", bailiwick_tests::CREDENTIAL),
        ],
        &crate::kit::crm().url("/tagged"),
    );
    let own = tag(&own.head).expect("the target's own");
    let answer = curl(&world, &run, &[], "/tagged");
    assert!(answer.body.contains("[masked]"), "{answer:#?}");
    let given = tag(&answer.head).expect("one of the gateway's");
    assert_ne!(given, own);
    assert!(!answer.head.contains("checksum"), "{answer:#?}");
    let with = |method: &str, name: &str, tag: &str| {
        let field = format!("{name}: {tag}");
        curl(
            &world,
            &run,
            &["--request", method, "--header", &field],
            "/tagged",
        )
        .status
    };
    assert_eq!(with("GET", "If-None-Match", &given), 304);
    assert_eq!(
        with("GET", "If-None-Match", &own),
        200,
        "a guess that was right"
    );
    assert_eq!(with("PATCH", "If-Match", &given), 200);
    assert_eq!(with("PATCH", "If-Match", &own), 412);
    // Another run is told nothing by it either.
    let other = world.open("triage");
    let field = format!("If-None-Match: {given}");
    let answer = curl(&world, &other, &["--header", &field], "/tagged");
    assert_eq!(answer.status, 200);
    assert_ne!(tag(&answer.head), Some(given));
    finished(&world, &run);
    world.verify();
}
