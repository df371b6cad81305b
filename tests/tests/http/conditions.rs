//! Grants with conditions, by the operations of the CRM's own description, and what a request counts as.

use bailiwick_tests::{actions, finish};

use crate::kit::{
    arrived, arrived_once, before_crm, call, crm, curl, denied, finished, mark, section, send,
};

#[test]
fn the_query_and_the_body_have_to_be_as_the_grant_says() {
    let world = before_crm(
        "[[read]]\ntarget = \"crm\"\nrequests = [\"GET /customers\"]\n\
         query = { tier = \"silver\", limit = { in = [\"1\", \"2\"], optional = true } }\n\
         [[write]]\ntarget = \"crm\"\nrequests = [\"POST /echo/*\"]\n\
         body = { visibility = \"internal\", \"$.items[*].kind\" = [\"a\", \"b\"], priority = { min = 1, max = 3, optional = true } }\n",
    )
    .start();
    let run = world.open("triage");
    for (query, fits) in [
        ("tier=silver", true),
        ("tier=silver&limit=2", true),
        ("tier=%73ilver", true),
        ("tier=gold", false),
        ("", false),
        ("tier=silver&tier=gold", false),
        ("tier=gold&tier=silver", false),
        ("tier=silver&limit=3", false),
        ("tier=silver&limit=", false),
        ("Tier=silver", false),
        ("tier=silver;tier=gold", false),
    ] {
        let mark = mark();
        let answer = curl(&world, &run, &[], &format!("/customers?{query}&q={mark}"));
        match fits {
            true => assert_eq!(answer.status, 200, "{query}: {answer:#?}"),
            false => {
                answer.problem(403);
                denied(&world, &run, &mark);
            }
        }
        assert_eq!(arrived(&mark).len(), usize::from(fits), "{query}");
    }
    for (body, fits) in [
        (
            r#"{"visibility": "internal", "items": [{"kind": "a"}, {"kind": "b"}]}"#,
            true,
        ),
        (
            r#"{"visibility": "internal", "items": [{"kind": "a"}], "priority": 3.0}"#,
            true,
        ),
        (
            r#"{"visib\u0069lity": "internal", "items": [{"kind": "a"}]}"#,
            true,
        ),
        (
            r#"{"visibility": "public", "items": [{"kind": "a"}]}"#,
            false,
        ),
        (
            r#"{"visibility": ["internal"], "items": [{"kind": "a"}]}"#,
            false,
        ),
        (r#"{"visibility": "internal", "items": []}"#, false),
        (
            r#"{"visibility": "internal", "items": [{"kind": "a"}, {"kind": "c"}]}"#,
            false,
        ),
        (
            r#"{"visibility": "internal", "items": [{"kind": "a"}], "priority": 4}"#,
            false,
        ),
        (
            r#"{"visibility": "internal", "items": [{"kind": "a"}], "priority": "2"}"#,
            false,
        ),
        (r#"{"items": [{"kind": "a"}]}"#, false),
        ("[]", false),
    ] {
        let mark = mark();
        let answer = send(&world, &run, "POST", &format!("/echo/x?q={mark}"), body);
        match fits {
            true => assert_eq!(answer.status, 200, "{body}: {answer:#?}"),
            false => {
                answer.problem(403);
                denied(&world, &run, &mark);
            }
        }
        assert_eq!(arrived(&mark).len(), usize::from(fits), "{body}");
    }
    // What is no JSON meets no condition on it.
    let form = ["--data", "visibility=internal"];
    let mark = mark();
    let answer = curl(&world, &run, &form, &format!("/echo/x?q={mark}"));
    answer.problem(403);
    denied(&world, &run, &mark);
    world.verify();
}

/// What need not be there is there all the same in a list, which some services take for several of the same.
#[test]
fn what_is_optional_is_there_as_it_should_be_or_not_at_all() {
    let world = before_crm(
        "[[write]]\ntarget = \"crm\"\nrequests = [\"POST /echo/*\", \"PATCH /echo/*\"]\n\
         body = { visibility = { in = [\"internal\"], optional = true }, \"$.to.name\" = { in = [\"ada\"], optional = true } }\n",
    )
    .start();
    let run = world.open("triage");
    for (kind, body, fits) in [
        ("application/json", "{}", true),
        (
            "application/json",
            r#"{"visibility": "internal", "to": {"name": "ada"}}"#,
            true,
        ),
        ("application/json", r#"{"to": null}"#, true),
        ("application/json", r#"{"visibility": "public"}"#, false),
        ("application/json", r#"{"visibility": null}"#, false),
        ("application/json", r#"[{"visibility": "public"}]"#, false),
        ("application/json", r#"[{"visibility": "internal"}]"#, false),
        ("application/json", r#"{"to": [{"name": "eve"}]}"#, false),
        ("application/json", r#"{"to": "name=eve"}"#, false),
        (
            "application/json",
            r#""{\"visibility\": \"public\"}""#,
            false,
        ),
        (
            "application/json-patch+json",
            r#"[{"op": "replace", "path": "/visibility", "value": "public"}]"#,
            false,
        ),
        (
            "application/x-www-form-urlencoded",
            "visibility=public",
            false,
        ),
        ("text/plain", "\u{feff}{\"visibility\": \"public\"}", false),
        (
            "application/octet-stream",
            r#"{"visibility": "public"}"#,
            false,
        ),
        (
            "application/json; charset=utf-16",
            r#"{"visibility": "internal"}"#,
            false,
        ),
    ] {
        let mark = mark();
        let field = format!("Content-Type: {kind}");
        let arguments = ["--header", &field, "--data-binary", body];
        let answer = curl(&world, &run, &arguments, &format!("/echo/x?q={mark}"));
        match fits {
            true => assert_eq!(answer.status, 200, "{body}: {answer:#?}"),
            false => drop(denied(&world, &run, &mark)),
        }
        assert_eq!(arrived(&mark).len(), usize::from(fits), "{body}");
    }
    world.verify();
}

#[test]
fn operations_go_by_the_services_own_description() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("crm.json");
    let fetched = finish(
        bailiwick_tests::command("curl")
            .args(["--disable", "--silent", "--fail", "--output"])
            .arg(&file)
            .arg(crm().url("/openapi.json")),
    );
    fetched.ok();
    let section = section(&crm().url(""), &format!("openapi = {file:?}\n"));
    let world = bailiwick_tests::World::builder()
        .section(&section)
        .variable("CRM_TOKEN", bailiwick_tests::CREDENTIAL)
        .task(bailiwick_tests::http_task(
            "triage",
            "[[read]]\ntarget = \"crm\"\noperations = [\"getCustomer\", \"search\"]\n\
             [[write]]\ntarget = \"crm\"\noperation = \"createComment\"\nbody = { visibility = \"internal\" }\n",
        ))
        .start();
    let run = world.open("triage");
    let mark1 = mark();
    let answer = curl(&world, &run, &[], &format!("/customers/ada?q={mark1}"));
    assert_eq!(answer.status, 200, "{answer:#?}");
    let json = format!("{{\"query\": \"{}\"}}", mark());
    let answer = send(&world, &run, "POST", "/search", &json);
    assert_eq!(answer.status, 200, "{answer:#?}");
    let json = format!("{{\"text\": \"{}\", \"visibility\": \"internal\"}}", mark());
    let answer = send(&world, &run, "POST", "/tickets/2/comments", &json);
    assert_eq!(answer.status, 201, "{answer:#?}");
    for (method, path) in [
        ("GET", "/customers"),
        ("GET", "/customers/ada/secrets"),
        ("DELETE", "/customers/ada"),
        ("GET", "/tickets/2"),
    ] {
        let mark = mark();
        let answer = curl(
            &world,
            &run,
            &["--request", method],
            &format!("{path}?q={mark}"),
        );
        answer.problem(403);
        denied(&world, &run, &mark);
    }
    let checked = world.bailiwick(&["task", "check", "triage"]);
    assert!(
        checked.ok().contains("POST /tickets/*/comments (write)"),
        "{checked:#?}"
    );
    world.verify();
}

#[test]
fn the_grant_says_what_a_request_is() {
    let world = before_crm(
        "[[read]]\ntarget = \"crm\"\nrequests = [\"POST /search\", \"POST /echo/read\"]\n\
         [[write]]\ntarget = \"crm\"\nrequests = [\"GET /echo/write\"]\n\
         [[destroy]]\ntarget = \"crm\"\nrequests = [\"POST /echo/purge\", \"DELETE /echo/gone\"]\n",
    )
    .start();
    let run = world.open("triage");
    for (method, path, class) in [
        ("POST", "/echo/read", "read"),
        ("GET", "/echo/write", "write"),
        ("POST", "/echo/purge", "destroy"),
        ("DELETE", "/echo/gone", "destroy"),
    ] {
        let mark = mark();
        let answer = match method {
            "POST" => send(
                &world,
                &run,
                method,
                path,
                &format!("{{\"a\": \"{mark}\"}}"),
            ),
            _ => curl(
                &world,
                &run,
                &["--request", method],
                &format!("{path}?q={mark}"),
            ),
        };
        assert_eq!(answer.status, 200, "{answer:#?}");
        assert_eq!(arrived_once(&mark)["method"], method);
        let trail = finished(&world, &run);
        let record = &call(&trail, &mark)["record"];
        assert_eq!(record["call"]["actions"][0]["class"], class, "{record:#}");
        assert_eq!(actions(record), [format!("request {method} {path}")]);
        assert_eq!(record["call"]["verb"], method);
    }
    world.verify();
}
