//! What is not allowed: the agent is told why and what to do, it is on record, and nothing arrives.

use std::time::Duration;

use bailiwick_tests::{CREDENTIAL, World, eventually, http_task};

use crate::kit::{
    TRIAGE, arrived, before, before_crm, crm, curl, denied, mark, plain_curl, section, send,
};

#[test]
fn what_no_grant_covers() {
    let world = before_crm(TRIAGE).start();
    let run = world.open("triage");
    for (method, path, wants) in [
        ("GET", "/customers/ada/secrets", "no grant covers"),
        ("DELETE", "/customers/ada", "not for DELETE"),
        ("HEAD", "/customers/ada", "not for HEAD"),
        ("OPTIONS", "/customers/ada", "not for OPTIONS"),
        ("PUT", "/customers/ada", "not for PUT"),
        ("POST", "/tickets/7", "not for POST"),
        ("GET", "/tickets/7/comments", "not for GET"),
        ("GET", "/openapi.json", "no grant covers"),
        ("POST", "/oauth/token", "no grant covers"),
        ("GET", "/", "no grant covers"),
    ] {
        let mark = mark();
        let path = format!("{path}?q={mark}");
        let arguments: &[&str] = match method {
            "HEAD" => &["--head"],
            _ => &["--request", method],
        };
        let answer = curl(&world, &run, arguments, &path);
        match method {
            "HEAD" => assert_eq!(answer.status, 403, "{answer:#?}"),
            _ => {
                let why = answer.problem(403);
                assert!(why.contains(wants), "{method} {path}: {why}");
                let asks = answer.json()["remedy"].to_string();
                assert!(asks.contains(&format!("{method} /")), "{asks}");
            }
        }
        let record = denied(&world, &run, &mark);
        let reason = record["decision"]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(wants), "{record:#}");
        assert_eq!(record["target"], "crm");
    }
    assert_eq!(world.summary(&run.id)["counts"]["denied"], 10);
    let shown = world.bailiwick(&["trail", &run.id, "--denied"]);
    assert!(
        shown
            .ok()
            .contains("DELETE /customers/ada is outside the scope"),
        "{shown:#?}"
    );
    world.verify();
}

#[test]
fn who_does_not_prove_to_be_a_live_run() {
    let world = before_crm(TRIAGE)
        .task(http_task(
            "other",
            "[[read]]\ntarget = \"crm\"\nrequests = [\"GET /notes\"]\n",
        ))
        .start();
    let (run, other) = (world.open("triage"), world.open("other"));
    let path = |mark: &str| format!("{}/customers/ada?q={mark}", world.http("crm"));
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let mut wrong = run.token().to_owned();
    let last = wrong.pop();
    wrong.push(if last == Some('0') { '1' } else { '0' });
    let twice = bearer(run.token());
    let of_another = format!("{}:{}", run.id, other.token());
    for arguments in [
        &[][..],
        &["--header", &bearer(&wrong)],
        &["--header", &bearer("")],
        &["--header", &bearer(CREDENTIAL)],
        &[
            "--header",
            &format!("Authorization: Digest {}", run.token()),
        ],
        &["--header", &format!("Proxy-{twice}")],
        &["--header", &format!("X-Api-Key: {}", run.token())],
        &["--header", &format!("Cookie: token={}", run.token())],
        &["--header", &twice, "--header", &bearer(other.token())],
        &["--user", &of_another],
    ] {
        let mark = mark();
        let answer = plain_curl(arguments, &path(&mark));
        answer.problem(401);
        assert!(
            answer.head.contains("www-authenticate: bearer"),
            "{answer:#?}"
        );
        assert!(arrived(&mark).is_empty(), "{arguments:?}");
    }
    // A secret in the query is none, and goes nowhere.
    let mark1 = mark();
    let url = format!("{}&access_token={}", path(&mark1), run.token());
    plain_curl(&[], &url).problem(401);
    curl(
        &world,
        &run,
        &[],
        &format!("/customers/ada?access_token=x&q={mark1}"),
    )
    .problem(400);
    assert!(arrived(&mark1).is_empty());
    // One run's secret opens what that run may, and nothing of another's.
    let mark2 = mark();
    curl(&world, &other, &[], &format!("/customers/ada?q={mark2}")).problem(403);
    denied(&world, &other, &mark2);

    world.bailiwick(&["close", &run.id]).ok();
    world.bailiwick(&["revoke", &other.id]).ok();
    let short = world.open_with(&["--task", "triage", "--ttl", "1s"]);
    eventually("it is over", Duration::from_secs(5), || {
        (world.summary(&short.id)["state"] == "ended").then_some(())
    });
    for run in [&run, &other, &short] {
        let mark = mark();
        curl(&world, run, &[], &format!("/customers/ada?q={mark}")).problem(401);
        assert!(arrived(&mark).is_empty());
    }
    world.verify();
}

#[test]
fn targets_that_a_run_does_not_have() {
    let second = section(&crm().url(""), "").replace("[targets.crm]", "[targets.payroll]");
    let world = before_crm(TRIAGE)
        .section(&second)
        .task(http_task(
            "payroll",
            "[[read]]\ntarget = \"payroll\"\nrequests = [\"GET /notes\"]\n",
        ))
        .start();
    let run = world.open("triage");
    let authorization = format!("Authorization: Bearer {}", run.token());
    let mut said = Vec::new();
    for target in ["payroll", "nowhere"] {
        let mark = mark();
        let url = format!("{}/notes?q={mark}", world.http(target));
        let answer = plain_curl(&["--header", &authorization], &url);
        let why = answer.problem(403);
        assert!(
            why.contains(&format!("`{target}`")) && why.contains(&run.id),
            "{why}"
        );
        assert!(arrived(&mark).is_empty());
        said.push(why.replace(target, "TARGET"));
        let trail = format!("{:?}", world.trail(&run.id));
        assert!(
            trail.contains(&format!("target `{target}` is outside the scope")),
            "{trail}"
        );
    }
    // Nobody learns from it which targets there are.
    assert_eq!(said[0], said[1]);
    world.verify();
}

#[test]
fn what_takes_an_approval_is_denied() {
    let grants = "[[read]]\ntarget = \"crm\"\nrequests = [\"GET /customers/**\"]\n\
        [[read]]\ntarget = \"crm\"\nrequests = [\"GET /customers/*/secrets\"]\napprove = \"group:owners\"\n\
        [[write]]\ntarget = \"crm\"\nrequests = [\"POST /echo/**\"]\n\
        [[write]]\ntarget = \"crm\"\nrequests = [\"POST /echo/pay\"]\nbody = { amount = { min = 100 } }\n\
        approve = \"group:owners\"\n";
    // Nobody is there to decide.
    let world = before_crm(grants)
        .approvals("decide_within = \"1s\"")
        .start();
    let run = world.open("triage");
    let mark1 = mark();
    let answer = curl(
        &world,
        &run,
        &[],
        &format!("/customers/ada/secrets?q={mark1}"),
    );
    assert!(
        answer.problem(403).contains("nobody decided in time"),
        "{answer:#?}"
    );
    denied(&world, &run, &mark1);
    assert_eq!(curl(&world, &run, &[], "/customers/ada").status, 200);
    for (amount, status) in [("99", 200), ("100", 403), ("1e2", 403), ("1000000", 403)] {
        let mark = mark();
        let json = format!("{{\"amount\": {amount}, \"mark\": \"{mark}\"}}");
        let answer = send(&world, &run, "POST", "/echo/pay", &json);
        assert_eq!(answer.status, status, "{amount}: {answer:#?}");
        assert_eq!(arrived(&mark).len(), usize::from(status == 200), "{amount}");
    }
    world.verify();
}

/// A name may lead anywhere: one that leads to this machine is followed only where that is meant.
#[test]
fn private_addresses_are_reached_where_that_is_meant() {
    let here = crm().url("").replace("127.0.0.1", "localhost");
    for (private, status) in [("private = true\n", 200), ("", 502)] {
        let section = section(&here, "").replace("private = true\n", private);
        let world = World::builder()
            .section(&section)
            .variable("CRM_TOKEN", CREDENTIAL)
            .task(http_task("triage", TRIAGE))
            .start();
        let (run, mark) = (world.open("triage"), mark());
        let answer = curl(&world, &run, &[], &format!("/customers/ada?q={mark}"));
        assert_eq!(answer.status, status, "{private}: {answer:#?}");
        assert_eq!(arrived(&mark).len(), usize::from(status == 200));
        if status == 502 {
            answer.problem(502);
            assert!(!answer.body.contains("127.0.0.1"), "{answer:#?}");
            assert!(
                world.said().contains("not a public address"),
                "{}",
                world.said()
            );
        }
        world.verify();
    }
}

/// A target that is not there.
#[test]
fn a_target_that_nobody_answers_for() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .expect("a port")
        .port();
    let world = before(&format!("http://127.0.0.1:{port}"), TRIAGE).start();
    let run = world.open("triage");
    for (method, path) in [("GET", "/customers/ada"), ("POST", "/echo/x")] {
        let answer = send_or_get(&world, &run, method, path);
        answer.problem(502);
    }
    let trail = world.trail(&run.id);
    let states: Vec<&str> = trail
        .iter()
        .filter_map(|entry| entry["record"]["outcome"]["state"].as_str())
        .collect();
    // Nothing was sent, and that is known.
    assert_eq!(states, ["skipped", "skipped"], "{trail:#?}");
    world.verify();
}

fn send_or_get(
    world: &World,
    run: &bailiwick_tests::Run,
    method: &str,
    path: &str,
) -> crate::kit::Answer {
    match method {
        "GET" => curl(world, run, &[], path),
        _ => send(world, run, method, path, "{}"),
    }
}
