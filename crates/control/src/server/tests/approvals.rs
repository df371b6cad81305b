//! Calls that wait, over the API, and what an agent would try to decide them itself.

use std::collections::BTreeMap;

use bailiwick_policy::Standing;
use bailiwick_run::ApprovalId;
use tokio::net::UnixStream;

use super::{Served, answer};
use crate::api::{ApprovalState, ApproveRequest, ConsoleLink, DenyRequest, Me, WhichApprovals};
use crate::approvals::Asked;
use crate::client::ClientError;
use crate::people::{PeopleSettings, ProgramToken, Role, Roles};
use crate::registry::{Opened, Opening};
use crate::testing::{opening, question};
use crate::{peer, socket};

const PROGRAM: &str = "0123456789abcdef0123456789abcdef";

/// This test's user, and a program with every role, are in the group that is asked.
fn people() -> PeopleSettings {
    let group = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
    let groups = BTreeMap::from([(
        "data-owners".to_owned(),
        group(&["human:*@localhost", "workflow:*"]),
    )]);
    let program = ProgramToken::new("robot", PROGRAM, Role::ALL.into()).unwrap();
    PeopleSettings {
        roles: Roles::new(None, groups),
        tokens: vec![program],
        ..PeopleSettings::default()
    }
}

/// A call of a run that somebody else has launched.
async fn held(served: &Served) -> (Opened, Asked) {
    let opening = Opening {
        launcher: "human:launcher@localhost".parse().unwrap(),
        ..opening("sweep")
    };
    held_of(served, opening).await
}

async fn held_of(served: &Served, opening: Opening) -> (Opened, Asked) {
    let registry = &served.running.registry;
    let opened = registry.open_run(opening).await.unwrap();
    let asked = registry.ask(question(&opened.run)).await.unwrap();
    (opened, asked)
}

fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_call_is_listed_looked_at_and_decided_over_the_socket() {
    let served = Served::with(people()).await;
    let client = served.client().await;
    let me = peer::launcher(nix::unistd::getuid().as_raw()).unwrap();
    let (_, asked) = held(&served).await;
    let listed = client.approvals(WhichApprovals::Open).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(client.approval(&asked.id).await.unwrap(), listed[0]);
    let words = client.agent_words(&asked.id).await.unwrap();
    assert_eq!(words.payload.unwrap()["text"], "DELETE FROM drafts");
    let request = ApproveRequest {
        note: Some("fine".into()),
    };
    let approved = client.approve(&asked.id, &request).await.unwrap();
    assert_eq!(approved.state, ApprovalState::Approved);
    assert_eq!(approved.by.as_ref(), Some(&me));
    assert_eq!(approved.answer.as_deref(), Some("fine"));
    assert!(
        client
            .approvals(WhichApprovals::Open)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        client.approvals(WhichApprovals::All).await.unwrap(),
        [approved]
    );

    let (_, asked) = held(&served).await;
    let no = DenyRequest {
        reason: "still needed".into(),
    };
    let denied = client.deny(&asked.id, &no).await.unwrap();
    assert_eq!(denied.answer.as_deref(), Some("still needed"));
    let again = client.deny(&asked.id, &no).await.unwrap_err();
    assert_eq!(status(&again), 409);
    assert!(again.to_string().contains("was denied by"), "{again}");
}

fn status(error: &ClientError) -> u16 {
    match error {
        ClientError::Refused(problem) => problem.status,
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn the_launcher_does_not_approve_what_destroys_and_is_told_what_to_do() {
    let served = Served::with(people()).await;
    let client = served.client().await;
    let me = peer::launcher(nix::unistd::getuid().as_raw()).unwrap();
    let mine = Opening {
        launcher: me.clone(),
        ..opening("sweep")
    };
    let (_, asked) = held_of(&served, mine).await;
    let request = ApproveRequest::default();
    let error = client.approve(&asked.id, &request).await.unwrap_err();
    assert_eq!(status(&error), 403);
    for part in [me.as_str(), "group:data-owners", "[groups]", "destroy"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(*asked.standing.borrow(), Standing::Open);
}

#[tokio::test]
async fn nobody_is_asked_who_is_in_no_group() {
    let served = Served::new().await;
    let (_, asked) = held(&served).await;
    let request = ApproveRequest::default();
    let error = served.client().await.approve(&asked.id, &request).await;
    let error = error.unwrap_err();
    assert_eq!(status(&error), 403);
    assert!(error.to_string().contains("group:data-owners"), "{error}");
    assert_eq!(*asked.standing.borrow(), Standing::Open);
}

#[tokio::test]
async fn requests_that_make_no_sense_decide_nothing() {
    let served = Served::with(people()).await;
    let client = served.client().await;
    let (_, asked) = held(&served).await;
    let header = format!("Authorization: {}\r\n", served.token().header());
    let path = socket::path(&served.house.data());
    let id = asked.id;
    let never = ApprovalId::new(crate::clock::now(), [0; 10]);
    let long = format!("{{\"reason\":\"{}\"}}", "x".repeat(1_100));
    for (path_and_query, body, expected) in [
        (format!("/v1/approvals/{id}/deny"), "{}", 422),
        (format!("/v1/approvals/{id}/deny"), r#"{"reason":" "}"#, 422),
        (format!("/v1/approvals/{id}/deny"), long.as_str(), 422),
        (
            format!("/v1/approvals/{id}/deny"),
            r#"{"reason":"\u001b[31m"}"#,
            422,
        ),
        (
            format!("/v1/approvals/{id}/approve"),
            r#"{"force":true}"#,
            422,
        ),
        (format!("/v1/approvals/{id}/approve"), "", 400),
        (format!("/v1/approvals/{never}/approve"), "{}", 404),
        (
            format!("/v1/approvals/{}/approve", id.to_string().to_lowercase()),
            "{}",
            400,
        ),
    ] {
        let stream = UnixStream::connect(&path).await.unwrap();
        let (status, text) = answer(stream, &post(&path_and_query, &header, body)).await;
        assert_eq!(status, expected, "{path_and_query} {body}: {text}");
        assert!(text.contains("application/problem+json"), "{text}");
    }
    assert_eq!(*asked.standing.borrow(), Standing::Open);
    client
        .approve(&id, &ApproveRequest::default())
        .await
        .unwrap();
}

/// Everything that a run's process has or can make up, at both doors.
#[tokio::test]
async fn an_agent_cannot_decide_for_itself() {
    let served = Served::with(people()).await;
    let (opened, asked) = held(&served).await;
    let (id, secret) = (asked.id, opened.secret.reveal().to_owned());
    let control = served.token().header();
    let approve = format!("/v1/approvals/{id}/approve");
    let socket = socket::path(&served.house.data());
    let basic = "Authorization: Basic cnVuOnNlY3JldA==\r\n".to_owned();
    let own = format!("Authorization: Bearer {secret}\r\n");
    let forged = "Origin: http://localhost:7400\r\nSec-Fetch-Site: same-origin\r\n";
    let made_up = format!("Cookie: bailiwick_session={secret}\r\n{forged}");
    let somebody = format!("{own}X-Forwarded-User: human:root@localhost\r\n{forged}");
    for headers in ["", &basic, &own, forged, &made_up, &somebody] {
        for path in [&approve, &format!("/v1/approvals/{id}/deny")] {
            let request = post(path, headers, r#"{"reason":"x"}"#);
            assert_eq!(served.raw(&request).await.0, 401, "{headers}");
            let stream = UnixStream::connect(&socket).await.unwrap();
            assert_eq!(answer(stream, &request).await.0, 401, "{headers}");
        }
    }
    // Even with what it cannot have: the control token over TCP is nobody, and a program is no person.
    for (token, kind) in [
        (control, "role"),
        (format!("Bearer {PROGRAM}"), "not-yours"),
    ] {
        for more in ["", forged] {
            let headers = format!("Authorization: {token}\r\n{more}");
            let (status, text) = served.raw(&post(&approve, &headers, "{}")).await;
            assert_eq!(status, 403, "{text}");
            assert!(text.contains(kind), "{text}");
        }
    }
    let program = format!("Authorization: Bearer {PROGRAM}\r\n");
    let stream = UnixStream::connect(&socket).await.unwrap();
    let (status, text) = answer(stream, &post(&approve, &program, "{}")).await;
    assert_eq!(status, 403, "{text}");
    // A method that browsers send without asking changes nothing.
    let got = post(&approve, &program, "").replace("POST", "GET");
    assert_eq!(served.raw(&got).await.0, 405);

    assert_eq!(*asked.standing.borrow(), Standing::Open);
    let types = served.running.types(opened.run.id);
    assert_eq!(types, ["run.opened", "call.held"]);
}

/// A page on the web cannot have a person's browser say yes.
#[tokio::test]
async fn a_browser_says_yes_only_for_the_console() {
    let served = Served::with(people()).await;
    let (_, asked) = held(&served).await;
    let control = format!("Authorization: {}\r\n", served.token().header());
    let stream = UnixStream::connect(socket::path(&served.house.data()));
    let (status, link) = answer(
        stream.await.unwrap(),
        &post("/v1/console/link", &control, ""),
    )
    .await;
    assert_eq!(status, 200, "{link}");
    let link: ConsoleLink = serde_json::from_str(body(&link)).unwrap();
    let code = link.url.split_once("#code=").unwrap().1.to_owned();
    let origin = format!("Origin: http://{}\r\n", served.network);
    let host =
        |request: String| request.replace("Host: localhost", &format!("Host: {}", served.network));
    let form = format!("code={code}");
    let sign_in = host(post("/sign-in/link", &origin, &form))
        .replace("application/json", "application/x-www-form-urlencoded");
    let (status, signed_in) = served.raw(&sign_in).await;
    assert!(status < 400, "{signed_in}");
    let cookie = signed_in
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .and_then(|cookie| cookie.split(';').next())
        .unwrap();
    let cookie = format!("Cookie: {cookie}\r\n");
    let me = host(post("/v1/me", &cookie, "")).replace("POST", "GET");
    let me: Me = serde_json::from_str(body(&served.raw(&me).await.1)).unwrap();
    let csrf = format!("X-CSRF-Token: {}\r\n", me.csrf.unwrap());

    let approve = format!("/v1/approvals/{}/approve", asked.id);
    let evil = "Origin: https://evil.example\r\nSec-Fetch-Site: cross-site\r\n";
    for (headers, expected) in [
        (format!("{cookie}{evil}"), 401),
        (format!("{cookie}{csrf}{evil}"), 401),
        (format!("{cookie}{origin}"), 403),
        (format!("{cookie}{origin}X-CSRF-Token: x\r\n"), 403),
    ] {
        let (status, text) = served.raw(&host(post(&approve, &headers, "{}"))).await;
        assert_eq!(status, expected, "{headers}: {text}");
        assert_eq!(*asked.standing.borrow(), Standing::Open);
    }
    let headers = format!("{cookie}{origin}{csrf}");
    let (status, text) = served.raw(&host(post(&approve, &headers, "{}"))).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(*asked.standing.borrow(), Standing::Approved);
}

fn body(answer: &str) -> &str {
    answer.split_once("\n\n").unwrap().1
}
