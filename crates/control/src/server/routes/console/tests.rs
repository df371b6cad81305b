use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use bailiwick_action::Verb;
use http_body_util::BodyExt;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

mod stage;

use crate::console::tests::{HOSTILE, is_harmless};
use stage::{ADMIN, APPROVER, Came, Did, OPERATOR, Stage, VIEWER, table};

/// Not a test: serves the console with a day's runs at http://127.0.0.1:7477 for whoever wants to look at it, for an
/// hour.
#[tokio::test]
#[ignore = "serves until it is stopped"]
async fn preview() {
    let stage = Stage::new().await;
    let [stray, calm, _] = stage.day().await;
    let words = "DELETE FROM drafts -- approved by the boss, please hurry";
    stage.hold(&stray, words).await;
    stage.hold(&calm, words).await;
    stage.settle().await;
    println!("stray {}\ncalm {}", stray.id, calm.id);
    let listener = TcpListener::bind("127.0.0.1:7477").await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    let served = crate::server::serve_network(listener, stage.as_seen_by(ADMIN), 64, stopped);
    drop(timeout(Duration::from_secs(3_600), served).await);
}

#[tokio::test]
async fn the_first_page_says_what_was_outside_who_launched_it_and_stops_it() {
    let stage = Stage::new().await;
    let (_, empty) = stage.get(ADMIN, "/").await;
    assert!(
        empty.contains("Nothing was outside a scope") && empty.contains("bailiwick demo --stay"),
        "{empty}"
    );

    let [stray, ..] = stage.day().await;
    let (status, page) = stage.get(OPERATOR, "/").await;
    assert_eq!(status, 200);
    for part in [
        "One run went outside its scope",
        "It is still alive.",
        "delete public.tickets",
        "is outside the scope of task triage-tickets",
        "tables = [&#34;billing.cards&#34;]",
        "human:carol@acme.com",
        &format!("href=\"/runs/{}/suspend\"", stray.id),
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }

    let path = format!("/runs/{}/suspend", stray.id);
    let (status, headers, _) = stage.post(OPERATOR, &path, "").await;
    assert_eq!(status, 303);
    assert!(headers.contains("?did=suspend"), "{headers}");
    assert!(stage.running.registry.find(&stray.id).is_none());
    stage.settle().await;
    let (_, page) = stage
        .get(OPERATOR, &format!("/runs/{}?did=suspend", stray.id))
        .await;
    assert!(
        page.contains("Suspended: its connections are cut") && page.contains(">suspended<"),
        "{page}"
    );
    assert!(page.contains("/resume\""), "{page}");

    let (_, asks) = stage
        .get(OPERATOR, &format!("/runs/{}/revoke", stray.id))
        .await;
    assert!(
        asks.contains("Revoke this run?") && asks.contains("cannot be undone"),
        "{asks}"
    );
    assert_eq!(
        stage
            .post(OPERATOR, &format!("/runs/{}/resume", stray.id), "")
            .await
            .0,
        303
    );
    assert!(stage.running.registry.find(&stray.id).is_some());
    assert_eq!(
        stage
            .post(OPERATOR, &format!("/runs/{}/revoke", stray.id), "")
            .await
            .0,
        303
    );
    let (_, page) = stage.get(OPERATOR, "/").await;
    assert!(
        page.contains("It cannot act any more.") && !page.contains("data-act"),
        "{page}"
    );
}

#[tokio::test]
async fn a_run_is_a_short_list_that_says_what_it_did_not_use() {
    let stage = Stage::new().await;
    let [stray, ..] = stage.day().await;
    let (status, page) = stage.get(VIEWER, &format!("/runs/{}", stray.id)).await;
    assert_eq!(status, 200);
    for part in [
        "14 ×",
        "select public.tickets (body, email, id, subject)",
        "14 rows, 14 masked",
        "6 ×",
        "error 42703",
        "Monday&#39;s queue",
        "email of public.tickets on tickets is masked",
        "read-1/public.labels",
        "never used",
        "whole: 44 links followed",
        "signed over",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(page.contains("<svg class=\"timeline\""));
    // 21 calls were allowed in three ways, and two were denied.
    assert_eq!(page.matches("class=\"allowed\" id=\"line-").count(), 2);
    assert_eq!(page.matches("class=\"denied\" id=\"line-").count(), 2);
    assert_eq!(page.matches("class=\"failed\" id=\"line-").count(), 1);
}

#[tokio::test]
async fn whoever_may_only_look_has_nothing_to_press() {
    let stage = Stage::new().await;
    let [stray, calm, _] = stage.day().await;
    let question = stage.hold(&calm, "DELETE FROM drafts").await;
    stage.settle().await;
    let paths = [
        "/".to_owned(),
        "/runs".to_owned(),
        format!("/runs/{}", stray.id),
        "/approvals".to_owned(),
        "/tasks".to_owned(),
        "/tasks/triage-tickets".to_owned(),
        format!("/records/{}/2", stray.id),
        "/search?words=tickets".to_owned(),
    ];
    for path in &paths {
        let (status, page) = stage.get(VIEWER, path).await;
        assert_eq!(status, 200, "{path}: {page}");
        for never in [
            "data-act",
            "/payload\"",
            "/receipt\"",
            "/verify\"",
            "/words\"",
            "DELETE FROM drafts",
        ] {
            assert!(!page.contains(never), "{never} in {path}: {page}");
        }
    }
    let record = format!("/records/{}/2", stray.id);
    for (path, form) in [
        (format!("/runs/{}/suspend", stray.id), ""),
        (format!("/runs/{}/resume", stray.id), ""),
        (format!("/runs/{}/revoke", stray.id), ""),
        (format!("/approvals/{question}/approve"), ""),
        (format!("/approvals/{question}/deny"), "reason=no"),
        (format!("/approvals/{question}/words"), ""),
        (format!("{record}/payload"), ""),
        (format!("{record}/receipt"), ""),
        (format!("/runs/{}/verify", stray.id), ""),
    ] {
        let (status, _, page) = stage.post(VIEWER, &path, form).await;
        assert_eq!(status, 403, "{path}: {page}");
        assert!(page.contains("That is not for you to do"), "{path}: {page}");
    }
    assert_eq!(
        stage
            .get(VIEWER, &format!("/runs/{}/revoke", stray.id))
            .await
            .0,
        403
    );
    assert!(stage.running.registry.find(&stray.id).is_some());
    // And nobody has nothing at all.
    assert_eq!(stage.get("human:nobody@acme.com", "/").await.0, 403);
}

#[tokio::test]
async fn a_payload_is_shown_on_demand_and_that_is_recorded() {
    let stage = Stage::new().await;
    let [stray, ..] = stage.day().await;
    let record = format!("/records/{}/2", stray.id);
    let (_, page) = stage.get(ADMIN, &record).await;
    assert!(
        page.contains("Show it; that is recorded") && !page.contains("WHERE id = $1"),
        "{page}"
    );
    let viewed = || {
        let gateway = stage.running.log.reader().gateway().unwrap();
        gateway
            .iter()
            .filter(|entry| entry.record.r#type == "payloads.viewed")
            .count()
    };
    assert_eq!(viewed(), 0);
    let path = format!("{record}/payload");
    let (status, _, page) = stage.post(ADMIN, &path, "").await;
    assert!(
        status == 200 && page.contains("WHERE id = $1") && page.contains("<!doctype html>"),
        "{page}"
    );
    assert_eq!(viewed(), 1);
    let request = Request::post(&path)
        .header("x-fragment", "1")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::empty())
        .unwrap();
    let (_, _, fragment) = stage.ask(ADMIN, request).await;
    assert!(
        fragment.contains("WHERE id = $1") && !fragment.contains("<!doctype html>"),
        "{fragment}"
    );
    assert_eq!(viewed(), 2);
    // Looking at it cannot be made somebody's by a link.
    assert_eq!(stage.get(ADMIN, &path).await.0, 405);
    assert_eq!(viewed(), 2);
}

#[tokio::test]
async fn a_receipt_proves_its_record_to_whoever_has_the_key() {
    let stage = Stage::new().await;
    let [stray, ..] = stage.day().await;
    let path = format!("/records/{}/2", stray.id);
    let (_, page) = stage.get(ADMIN, &path).await;
    assert!(
        page.contains("A signed checkpoint over") && page.contains("whose digest this one holds"),
        "{page}"
    );
    // Taking it cannot be made somebody's by a link.
    assert_eq!(stage.get(ADMIN, &format!("{path}/receipt")).await.0, 405);
    assert_eq!(stage.told("receipt.taken"), [""; 0]);
    let (status, headers, receipt) = stage.post(ADMIN, &format!("{path}/receipt"), "").await;
    assert_eq!(status, 200);
    let taken = stage.told("receipt.taken");
    let says = format!(
        "\"viewed\":{{\"by\":\"{ADMIN}\",\"chain\":\"{}\",\"from\":2,\"to\":2}}",
        stray.id
    );
    assert!(taken.len() == 1 && taken[0].contains(&says), "{taken:?}");
    assert!(
        headers.contains(&format!("{}-2.tlog-proof", stray.id)),
        "{headers}"
    );
    assert!(receipt.starts_with("c2sp.org/tlog-proof@v1"), "{receipt}");
}

#[tokio::test]
async fn a_trail_is_verified_on_demand_and_what_was_found_is_kept() {
    let stage = Stage::new().await;
    let [stray, ..] = stage.day().await;
    let path = format!("/runs/{}", stray.id);
    let (_, page) = stage.get(ADMIN, &path).await;
    assert!(page.contains("never yet"), "{page}");
    let verify = format!("{path}/verify");
    assert_eq!(stage.get(ADMIN, &verify).await.0, 405);
    let (status, headers, _) = stage.post(ADMIN, &verify, "").await;
    assert_eq!(status, 303);
    assert!(headers.contains("?did=verify#proof"), "{headers}");
    stage.settle().await;
    let (_, page) = stage.get(ADMIN, &path).await;
    let says = format!("cosigned by nobody; checked by the gateway for {ADMIN}");
    assert!(page.contains("whole: ") && page.contains(&says), "{page}");
    let told = stage.told("run.verified");
    assert!(told.len() == 1 && !told[0].contains("problem"), "{told:?}");
    assert!(!stage.get(ADMIN, "/").await.1.contains("does not verify"));

    // Somebody changes a word of the record on the disk.
    stage.alter(&stray.id.to_string()).await;
    let (status, ..) = stage.post(ADMIN, &verify, "").await;
    assert_eq!(status, 303);
    stage.settle().await;
    let (_, page) = stage.get(VIEWER, &path).await;
    assert!(
        page.contains("The record of this run does not verify") && page.contains("role=\"alert\""),
        "{page}"
    );
    let (_, first) = stage.get(VIEWER, "/").await;
    assert!(
        first.contains("does not verify") && first.contains(&path),
        "{first}"
    );
    let told = stage.told("run.verified");
    assert!(told.len() == 2 && told[1].contains("problem"), "{told:?}");
    // And rules about trouble with the log see it.
    let (run, _) = stage.running.registry.unverified().unwrap();
    assert_eq!(run, stray.id);
    // What is shown is the record's, whatever becomes of the index.
    let rebuilt = stage.running.registry.index().rebuild();
    crate::testing::soon("it is made anew", || {
        stage.running.registry.index().state().rebuilds >= rebuilt
    })
    .await;
    let (_, first) = stage.get(VIEWER, "/").await;
    assert!(first.contains("does not verify"), "{first}");
}

#[tokio::test]
async fn an_approver_sees_facts_first_and_says_yes_once() {
    let stage = Stage::new().await;
    let [_, calm, _] = stage.day().await;
    let question = stage
        .hold(&calm, "DELETE FROM drafts -- the boss said yes")
        .await;
    let (_, page) = stage.get(APPROVER, "/approvals").await;
    assert!(
        page.contains("One call waits for a yes") && page.contains("12 rows, as the target"),
        "{page}"
    );
    assert!(!page.contains("the boss said yes"), "{page}");
    let (_, _, words) = stage
        .post(APPROVER, &format!("/approvals/{question}/words"), "")
        .await;
    assert!(words.contains("the boss said yes"), "{words}");
    // Whoever launched the run has a no, and no yes.
    let (_, page) = stage.get(ADMIN, "/approvals").await;
    assert!(
        page.contains("data-act=\"deny\"") && !page.contains("data-act=\"approve\""),
        "{page}"
    );
    assert_eq!(
        stage
            .post(ADMIN, &format!("/approvals/{question}/approve"), "")
            .await
            .0,
        403
    );

    let path = format!("/approvals/{question}/approve");
    assert_eq!(stage.post(APPROVER, &path, "").await.0, 303);
    assert_eq!(stage.post(APPROVER, &path, "").await.0, 409);
    let (_, page) = stage.get(APPROVER, "/approvals?did=approve").await;
    assert!(
        page.contains("Nothing waits for a yes") && page.contains("approved, not made yet"),
        "{page}"
    );

    let other = stage.hold(&calm, "DELETE FROM drafts WHERE id = 2").await;
    if other != question {
        let deny = format!("/approvals/{other}/deny");
        assert_eq!(stage.post(APPROVER, &deny, "reason=").await.0, 422);
        assert_eq!(stage.post(APPROVER, &deny, "reason=not+today").await.0, 303);
        let (_, page) = stage.get(APPROVER, "/approvals").await;
        assert!(page.contains("not today"), "{page}");
    }
}

#[tokio::test]
async fn hostile_words_of_an_agent_are_nothing_but_words() {
    let stage = Stage::new().await;
    let run = stage
        .open("triage-tickets", "human:carol@acme.com", Some(HOSTILE))
        .await;
    let name = format!("public.{HOSTILE}");
    for came in [
        Came::Denied(HOSTILE, HOSTILE),
        Came::Error(HOSTILE),
        Came::Rows(1, 1),
    ] {
        let actions = vec![table(Verb::Select, &name, &[HOSTILE, &"x".repeat(10_000)])];
        stage
            .did(
                &run,
                Did {
                    verb: HOSTILE,
                    actions,
                    sql: HOSTILE,
                    came,
                },
            )
            .await;
    }
    stage.hold(&run, HOSTILE).await;
    stage.settle().await;
    let id = run.id;
    for path in [
        "/".to_owned(),
        "/runs?text=%3Cscript%3Ealert(1)%3C/script%3E".to_owned(),
        format!("/runs/{id}"),
        "/approvals".to_owned(),
        "/search?words=alert".to_owned(),
        "/search?denied=true".to_owned(),
        format!("/records/{id}/1"),
        format!("/records/{id}/2"),
        format!("/records/{id}/3"),
        "/tasks/%3Cscript%3E".to_owned(),
        "/runs/%3Cscript%3Ealert(1)".to_owned(),
    ] {
        let (_, page) = stage.get(ADMIN, &path).await;
        is_harmless(&page);
    }
    let (_, _, page) = stage
        .post(ADMIN, &format!("/records/{id}/2/payload"), "")
        .await;
    is_harmless(&page);
    assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
}

#[tokio::test]
async fn every_answer_says_what_browsers_may_do_with_it() {
    let stage = Stage::new().await;
    for (path, status) in [
        ("/", 200),
        ("/runs", 200),
        ("/approvals", 200),
        ("/tasks", 200),
        ("/search", 200),
        ("/nowhere", 404),
        ("/runs/run_1", 400),
        ("/runs/run_01M8B3RFQNATRAN988CCMJPX3Q", 404),
        ("/tasks/none", 404),
        ("/records/gateway/99999", 404),
        ("/records/other/1", 400),
        ("/?before=x", 400),
    ] {
        let request = |method: &str| {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("accept", "text/html");
            request.body(Body::empty()).unwrap()
        };
        let (got, headers, page) = stage.ask(ADMIN, request("GET")).await;
        assert_eq!(got, status, "{path}: {page}");
        assert!(
            page.starts_with("<!doctype html>") && page.contains("<h1>"),
            "{path}: {page}"
        );
        for part in [
            "default-src 'none'; script-src 'self'; style-src 'self'",
            "frame-ancestors 'none'",
            "nosniff",
            "no-store",
            "DENY",
            "text/html; charset=utf-8",
        ] {
            assert!(headers.contains(part), "{part} of {path}: {headers}");
        }
        let (got, _, page) = stage.ask(ADMIN, request("HEAD")).await;
        assert_eq!((got, page.as_str()), (status, ""), "{path}");
        let (got, headers, page) = stage.ask(ADMIN, request("DELETE")).await;
        if path != "/nowhere" && !path.contains("?") {
            assert_eq!(got, 405, "{path}");
            assert!(
                headers.contains("\"allow\"") && page.contains("does not take DELETE"),
                "{headers} {page}"
            );
        }
    }
    // Programs are told in their own way.
    let request = Request::get("/v1/nowhere")
        .header("accept", "text/html")
        .body(Body::empty())
        .unwrap();
    let (status, headers, _) = stage.ask(ADMIN, request).await;
    assert!(
        status == 404 && headers.contains("application/problem+json"),
        "{headers}"
    );
}

#[tokio::test]
async fn the_files_are_kept_and_others_are_not_there() {
    let stage = Stage::new().await;
    let (_, page) = stage.get(ADMIN, "/").await;
    let files: Vec<&str> = page
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .collect();
    assert_eq!(files.len(), 3, "{page}");
    for file in files {
        let request = Request::get(file).body(Body::empty()).unwrap();
        let (status, headers, _) = stage.ask(VIEWER, request).await;
        assert!(
            status == 200 && headers.contains("immutable"),
            "{file}: {headers}"
        );
    }
    let old = Request::get("/assets/0/console.css")
        .body(Body::empty())
        .unwrap();
    assert!(stage.ask(VIEWER, old).await.1.contains("no-store"));
    assert_eq!(stage.get(VIEWER, "/assets/0/other.css").await.0, 404);
}

#[tokio::test]
async fn a_browser_hears_which_run_changed() {
    let stage = Stage::new().await;
    let run = stage.open("triage-tickets", ADMIN, None).await;
    stage.settle().await;
    let request = Request::get("/events").body(Body::empty()).unwrap();
    let answer = TowerToHyperService::new(stage.as_seen_by(VIEWER))
        .call(request)
        .await
        .unwrap();
    assert_eq!(
        answer.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    let mut body = answer.into_body();
    let mut next = async || {
        let frame = timeout(Duration::from_secs(10), body.frame())
            .await
            .unwrap()
            .unwrap();
        String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap()
    };
    assert_eq!(next().await, "event: hello\ndata: {}\n\n");
    let actions = vec![table(Verb::Select, "public.tickets", &["id"])];
    stage
        .did(
            &run,
            Did {
                verb: "SELECT",
                actions,
                sql: "SELECT 1",
                came: Came::Rows(1, 0),
            },
        )
        .await;
    let event = next().await;
    assert!(
        event.starts_with("event: change\ndata: ") && event.contains(&run.id.to_string()),
        "{event}"
    );
}
