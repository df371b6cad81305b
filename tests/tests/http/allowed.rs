//! What is allowed: what arrives at the target, what the agent gets, and what is on record.

use std::process::Command;

use bailiwick_tests::{CREDENTIAL, Run, World, actions, finish, lines, node_web, python_web};
use serde_json::{Value, json};

use crate::kit::{
    TRIAGE, address, arrived_once, before, before_crm, call, crm, curl, field, finished, mark,
    outcome, plain_curl, section, send,
};

/// What agents' clients send and no target may get.
const NOT_FOR_TARGETS: [(&str, &str); 12] = [
    ("Cookie", "session=the-agents"),
    ("X-Forwarded-For", "10.0.0.1"),
    ("X-Forwarded-Host", "admin.internal"),
    ("Forwarded", "for=10.0.0.1"),
    ("X-Real-IP", "10.0.0.1"),
    ("X-Original-URL", "/admin"),
    ("X-Rewrite-URL", "/admin"),
    ("Impersonate-User", "root"),
    ("X-Api-Key", "the-agents"),
    ("Via", "1.1 agent"),
    ("X-Own", "the-agents"),
    ("Range", "bytes=0-9"),
];

fn client(name: &str) -> Command {
    match name {
        "fetch" => node_web("http_client.mjs"),
        _ => {
            let mut client = python_web("http_client.py");
            client.arg(name);
            client
        }
    }
}

/// Checks what a read of Ada was: sent once with nothing of the agent's, masked, and on record.
#[track_caller]
fn check_ada(world: &World, run: &Run, mark: &str, body: &str) {
    let ada: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {body}"));
    assert_eq!(
        ada,
        json!({
            "id": "ada", "name": "Ada Lovelace", "emails": ["[masked:email]", "[masked:email]"],
            "card": "[masked]", "tier": "gold",
        })
    );
    let entry = arrived_once(mark);
    let authorization = format!("Bearer {CREDENTIAL}");
    assert_eq!(field(&entry, "authorization"), Some(authorization));
    assert_eq!(entry["method"], "GET");
    assert_eq!(entry["target"], format!("/customers/ada?q={mark}"));
    let port = crm().port();
    assert_eq!(field(&entry, "host"), Some(format!("127.0.0.1:{port}")));
    for (name, value) in NOT_FOR_TARGETS {
        assert_eq!(field(&entry, &name.to_ascii_lowercase()), None, "{entry:#}");
        assert!(!entry.to_string().contains(value), "{name}: {entry:#}");
    }
    assert!(!entry.to_string().contains(run.token()), "{entry:#}");

    let trail = finished(world, run);
    let call = call(&trail, mark);
    let record = &call["record"];
    assert_eq!(record["decision"]["effect"], "allow");
    assert_eq!(record["target"], "crm");
    assert_eq!(actions(record), ["request GET /customers/ada"]);
    assert_eq!(record["call"]["actions"][0]["class"], "read");
    let text = call["payload"]["text"].as_str().expect("its text");
    assert!(
        text.starts_with(&format!("GET /customers/ada?q={mark}\n")),
        "{text}"
    );
    let outcome = outcome(&trail, call);
    assert_eq!(outcome["record"]["outcome"]["state"], "ok", "{outcome:#}");
    assert_eq!(outcome["record"]["outcome"]["masked"], 3, "{outcome:#}");
    assert_eq!(
        outcome["record"]["outcome"]["bytes"],
        body.len(),
        "{outcome:#}"
    );
    let trail = format!("{trail:?}");
    for secret in [
        run.token(),
        CREDENTIAL,
        "ada@analytical.example",
        "4111 1111",
    ] {
        assert!(!trail.contains(secret), "{secret} in {trail}");
    }
}

#[test]
fn clients_get_masked_answers_and_the_target_gets_nothing_of_theirs() {
    let world = before_crm(TRIAGE).start();
    for name in ["requests", "httpx", "httpx2", "fetch"] {
        let (run, mark) = (world.open("triage"), mark());
        let mut headers = json!({"Authorization": format!("Bearer {}", run.token())});
        for (name, value) in NOT_FOR_TARGETS {
            headers[name] = value.into();
        }
        let url = format!("{}/customers/ada?q={mark}", world.http("crm"));
        let mut client = client(name);
        client.arg(json!([{"url": url, "headers": headers}]).to_string());
        let lines = lines(&finish(&mut client));
        assert_eq!(lines[0]["status"], 200, "{name}: {lines:#?}");
        let body = lines[0]["body"].as_str().expect("a body");
        check_ada(&world, &run, &mark, body);
    }
    let hop = ["--header", "Connection: X-Hop", "--header", "X-Hop: 1"];
    let te = ["--header", "TE: trailers", "--header", "Keep-Alive: 9"];
    let fields: Vec<String> = NOT_FOR_TARGETS
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let fields: Vec<&str> = fields
        .iter()
        .flat_map(|field| ["--header", field])
        .collect();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let (run, mark) = (world.open("triage"), mark());
        let arguments = [&[version][..], &hop, &te, &fields].concat();
        let arguments = match version {
            // HTTP/2 has no such fields.
            "--http1.1" => arguments,
            _ => [&[version][..], &fields].concat(),
        };
        let path = format!("/customers/ada?q={mark}");
        let answer = curl(&world, &run, &arguments, &path);
        assert_eq!(answer.status, 200, "{answer:#?}");
        check_ada(&world, &run, &mark, &answer.body);
        let entry = arrived_once(&mark);
        for name in ["x-hop", "te", "keep-alive", "connection"] {
            assert!(
                field(&entry, name).is_none_or(|value| value == "keep-alive"),
                "{entry:#}"
            );
        }
    }
    // By TLS and HTTP/2, as clients choose it themselves; the gateway's certificate is its own.
    let (run, mark) = (world.open("triage"), mark());
    let authorization = format!("Authorization: Bearer {}", run.token());
    let arguments = ["--insecure", "--http2", "--header", &authorization];
    let url = format!("https://{}/crm/customers/ada?q={mark}", address(&world));
    let answer = plain_curl(&arguments, &url);
    assert!(answer.head.starts_with("http/2 200"), "{answer:#?}");
    check_ada(&world, &run, &mark, &answer.body);
    world.verify();
}

#[test]
fn a_run_says_who_it_is_in_all_the_ways_that_clients_know() {
    let section = section(&crm().url(""), "token_header = \"X-Crm-Key\"\n");
    let world = before(&crm().url(""), TRIAGE)
        .section(&section.replace("[targets.crm]", "[targets.keyed]"))
        .task(bailiwick_tests::http_task(
            "keyed",
            "[[read]]\ntarget = \"keyed\"\nrequests = [\"GET /customers/*\"]\n",
        ))
        .start();
    let run = world.open("triage");
    let user = |user: &str| ["--user".to_owned(), format!("{user}:{}", run.token())];
    for user in [user(&run.id), user("")] {
        let mark = mark();
        let arguments = [&*user[0], &*user[1]];
        let url = format!("{}/customers/ada?q={mark}", world.http("crm"));
        let answer = plain_curl(&arguments, &url);
        assert_eq!(answer.status, 200, "{answer:#?}");
        let authorization = format!("Bearer {CREDENTIAL}");
        assert_eq!(
            field(&arrived_once(&mark), "authorization"),
            Some(authorization)
        );
    }
    let (keyed, mark) = (world.open("keyed"), mark());
    let key = format!("x-crm-key: {}", keyed.token());
    let url = format!("{}/customers/ada?q={mark}", world.http("keyed"));
    let answer = plain_curl(&["--header", &key], &url);
    assert_eq!(answer.status, 200, "{answer:#?}");
    assert!(!arrived_once(&mark).to_string().contains(keyed.token()));
    world.verify();
}

#[test]
fn encoded_answers_are_looked_into() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    for encoding in ["gzip", "br", "zstd", "identity"] {
        let mark = mark();
        let path = format!("/encoded?encoding={encoding}&size=100000&q={mark}");
        let answer = curl(&world, &run, &["--compressed"], &path);
        assert_eq!(answer.status, 200, "{answer:#?}");
        assert!(!answer.head.contains("content-encoding"), "{answer:#?}");
        let json = answer.json();
        assert_eq!(json["customers"][0]["emails"][0], "[masked:email]");
        assert_eq!(json["customers"][2]["card"], "[masked]");
        assert_eq!(json["padding"].as_str().map(str::len), Some(100_000));
        assert!(!answer.body.contains(".example"), "{encoding}");
        let trail = finished(&world, &run);
        let outcome = outcome(&trail, call(&trail, &mark));
        assert_eq!(outcome["record"]["outcome"]["masked"], 7, "{outcome:#}");
    }
    world.verify();
}

#[test]
fn text_is_masked_by_what_is_found_in_it() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    let csv = curl(&world, &run, &[], "/customers.csv");
    assert_eq!(
        csv.body,
        "id,name,email,card\r\nada,Ada Lovelace,[masked:email],[masked:card]\r\n\
         grace,Grace Hopper,[masked:email],[masked:card]\r\n\
         edsger,Edsger Dijkstra,[masked:email],[masked:card]\r\n"
    );
    let notes = curl(&world, &run, &[], "/notes");
    assert!(
        notes.body.contains("My address is [masked:email]"),
        "{notes:#?}"
    );
    assert!(!notes.body.contains("4111 1111"), "{notes:#?}");
    world.verify();
}

#[test]
fn content_that_cannot_be_looked_into_takes_a_grant_of_its_own() {
    let binary = "[[read]]\ntarget = \"crm\"\nrequests = [\"GET /binary\"]\nbinary = true\n";
    let world = before_crm(TRIAGE)
        .task(bailiwick_tests::http_task("binary", binary))
        .start();
    let (run, seen, mark) = (world.open("triage"), world.open("binary"), mark());
    let path = format!("/binary?size=3000&q={mark}");
    let answer = curl(&world, &run, &[], &path);
    assert!(
        answer.problem(502).contains("cannot be looked into"),
        "{answer:#?}"
    );
    // It was asked for and sent, and so it is on record.
    arrived_once(&mark);
    let trail = finished(&world, &run);
    let end = &outcome(&trail, call(&trail, &mark))["record"]["outcome"];
    assert_eq!(end["error"], "withheld", "{end:#}");

    let file = world.work().join("binary");
    let to = file.to_str().expect("a path in UTF-8");
    let authorization = format!("Authorization: Bearer {}", seen.token());
    let url = format!("{}/binary?size=3000", world.http("crm"));
    let finished = finish(bailiwick_tests::command("curl").args([
        "--disable",
        "--silent",
        "--fail",
        "--output",
        to,
        "--header",
        &authorization,
        &url,
    ]));
    finished.ok();
    let bytes = std::fs::read(file).expect("what came");
    let all: Vec<u8> = (0..3_000).map(|at: usize| (at % 256) as u8).collect();
    assert_eq!(bytes, all);
    world.verify();
}

#[test]
fn what_is_sent_is_what_was_asked_for() {
    let world = before_crm(TRIAGE).start();
    let (run, mark) = (world.open("triage"), mark());
    let json = format!("{{\"text\": \"{mark}\",\n \"visibility\":\"internal\"}}");
    let answer = send(&world, &run, "POST", "/tickets/7/comments", &json);
    assert_eq!(answer.status, 201, "{answer:#?}");
    let entry = arrived_once(&mark);
    assert_eq!(entry["body"], json);
    assert_eq!(
        field(&entry, "content-type").as_deref(),
        Some("application/json")
    );
    assert_eq!(
        field(&entry, "content-length"),
        Some(json.len().to_string())
    );
    let trail = finished(&world, &run);
    let record = call(&trail, &mark);
    assert_eq!(record["record"]["call"]["actions"][0]["class"], "write");
    let text = record["payload"]["text"].as_str().expect("its text");
    assert!(text.ends_with(&format!("\n\n{json}")), "{text}");
    world.verify();
}

#[test]
fn a_redirect_is_the_agents_to_follow_and_cookies_are_not_set() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    // To itself: then through the gateway again.
    let answer = curl(&world, &run, &["--location"], "/redirect");
    assert_eq!(answer.status, 302, "{answer:#?}");
    assert!(answer.body.contains("Ada Lovelace"), "{answer:#?}");
    assert!(
        answer.head.contains("location: /crm/customers/ada"),
        "{answer:#?}"
    );
    // Elsewhere: nobody went there for it.
    let liar = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    liar.set_nonblocking(true).expect("a socket");
    let port = liar.local_addr().expect("its address").port();
    let answer = curl(
        &world,
        &run,
        &[],
        &format!("/redirect?to=http://127.0.0.1:{port}/x"),
    );
    assert!(!(200..300).contains(&answer.status), "{answer:#?}");
    assert!(liar.accept().is_err(), "the gateway followed a redirect");
    let answer = curl(&world, &run, &[], "/redirect?to=/a%0d%0aset-cookie:%20a=b");
    assert!(!answer.head.contains("\nset-cookie"), "{answer:#?}");
    let answer = curl(&world, &run, &[], "/cookies");
    assert_eq!(answer.status, 200, "{answer:#?}");
    assert!(!answer.head.contains("set-cookie"), "{answer:#?}");
    world.verify();
}

#[test]
fn many_exchanges_of_one_run_at_once() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    let marks: Vec<String> = (0..64).map(|_| mark()).collect();
    std::thread::scope(|scope| {
        for mark in &marks {
            let (world, run) = (&world, &run);
            scope.spawn(move || {
                let mut stream = std::net::TcpStream::connect(address(world)).expect("a connection");
                let request = format!(
                    "GET /crm/status/200?pause=0.3&q={mark} HTTP/1.1\r\nConnection: close\r\n{}\r\n",
                    crate::kit::fields(run)
                );
                std::io::Write::write_all(&mut stream, request.as_bytes()).expect("a request");
                let (answer, ended) =
                    crate::kit::drain(&mut stream, std::time::Duration::from_secs(20));
                assert!(ended && answer.starts_with("HTTP/1.1 200"), "{answer}");
            });
        }
    });
    for mark in &marks {
        arrived_once(mark);
    }
    assert_eq!(finished(&world, &run).len(), 1 + 2 * marks.len());
    world.verify();
}

/// What every task masks needs no mask of the task's.
#[test]
fn what_every_task_masks_is_masked() {
    let grants =
        "[[read]]\ntarget = \"crm\"\nrequests = [\"GET /customers/*\", \"GET /customers.csv\"]\n";
    let world = before_crm(grants)
        .masks("[[mask]]\ntarget = \"crm\"\nfields = [\"$..card\", \"$.name\"]\n")
        .start();
    let run = world.open("triage");
    let ada = curl(&world, &run, &[], "/customers/ada").json();
    assert_eq!(
        (&ada["name"], &ada["card"]),
        (&json!("[masked]"), &json!("[masked]"))
    );
    assert_eq!(ada["tier"], "gold");
    // The same in a form in which fields cannot be told is withheld.
    let csv = curl(&world, &run, &[], "/customers.csv");
    assert!(!csv.body.contains("Lovelace"), "{csv:#?}");
}
