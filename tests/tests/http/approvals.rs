//! Requests that a grant holds: they wait for people, and happen once.

use std::process::Stdio;
use std::time::{Duration, Instant};

use bailiwick_tests::{Run, World, confinement, eventually, me, skipped};

use crate::kit::{
    Answer, arrived, arrived_once, before_crm, curl, curl_command, denied, finished, mark, send,
};

/// Long enough for anything that was sent to have arrived.
const A_WHILE: Duration = Duration::from_millis(400);

fn start() -> (World, Run) {
    let grants = format!(
        "[[read]]\ntarget = \"crm\"\nrequests = [\"GET /customers/*\"]\n\
         [[write]]\ntarget = \"crm\"\nrequests = [\"POST /echo/**\"]\napprove = {:?}\n",
        me()
    );
    let world = before_crm(&grants).start();
    let run = world.open_confined("triage");
    (world, run)
}

/// Sends it in the background; gives what comes back.
fn sending<'s>(
    scope: &'s std::thread::Scope<'s, '_>,
    world: &'s World,
    run: &'s Run,
    json: String,
) -> std::thread::ScopedJoinHandle<'s, Answer> {
    scope.spawn(move || send(world, run, "POST", "/echo/pay", &json))
}

#[test]
fn a_held_request_is_made_once_when_somebody_says_yes() {
    if confinement().map_err(skipped).is_err() {
        return;
    }
    let (world, run) = start();
    let (world, run) = (&world, &run);
    let mark = mark();
    let body = format!("{{\"amount\": 5, \"mark\": \"{mark}\"}}");
    std::thread::scope(|scope| {
        let answer = sending(scope, world, run, body.clone());
        let asked = world.asked(run);
        assert_eq!(asked["actions"][0], "request POST /echo/pay", "{asked:#}");
        assert!(asked["estimate"]["unknown"].is_string(), "{asked:#}");
        std::thread::sleep(A_WHILE);
        assert!(arrived(&mark).is_empty());
        world.approve(&asked);
        assert_eq!(answer.join().expect("curl").status, 200);
    });
    arrived_once(&mark);
    // Another amount, and the same again: each is another question.
    for body in [body.replace('5', "6"), body] {
        std::thread::scope(|scope| {
            let answer = sending(scope, world, run, body);
            let asked = world.asked(run);
            world.deny(&asked, "not today");
            let answer = answer.join().expect("curl");
            let why = answer.problem(403);
            assert!(
                why.contains("denied by") && why.contains("not today"),
                "{why}"
            );
            assert_eq!(answer.json()["approval"], asked["id"], "{answer:#?}");
        });
    }
    arrived_once(&mark);
    assert_eq!(finished(world, run).len(), 1 + 3 + 3 + 3 + 1);
    world.verify();
}

/// Closing a request is the only way there is of taking it back.
#[test]
fn an_agent_that_gave_up_has_taken_it_back() {
    if confinement().map_err(skipped).is_err() {
        return;
    }
    let (world, run) = start();
    let mark = mark();
    let body = format!("{{\"mark\": \"{mark}\"}}");
    let authorization = format!("Authorization: Bearer {}", run.token());
    let arguments = [
        "--header",
        &authorization,
        "--header",
        "Content-Type: application/json",
    ];
    let arguments = [&arguments[..], &["--data-binary", &body]].concat();
    let url = format!("{}/echo/pay", world.http("crm"));
    let mut child = curl_command(&arguments, &url)
        .stdout(Stdio::null())
        .spawn()
        .expect("curl");
    let asked = world.asked(&run);
    child.kill().expect("a child");
    child.wait().expect("its end");
    eventually("it is over", Duration::from_secs(60), || {
        let mut all = world.approvals().into_iter();
        all.find(|approval| approval["id"] == asked["id"] && approval["state"] == "lapsed")
    });
    let late = world.bailiwick(&["approve", asked["id"].as_str().expect("an id"), "--yes"]);
    assert!(!late.status.success(), "{late:#?}");
    assert!(arrived(&mark).is_empty());
    let trail = world.trail(&run.id);
    let decided = trail
        .iter()
        .find(|entry| entry["record"]["type"] == "call.decided");
    let reason = decided.map(|entry| entry["record"]["decision"]["reason"].to_string());
    assert!(
        reason.is_some_and(|reason| reason.contains("took it back")),
        "{trail:#?}"
    );
    // Sent again, it is another question.
    let again = std::thread::scope(|scope| {
        let answer = sending(scope, &world, &run, body);
        let again = world.asked(&run);
        world.approve(&again);
        assert_eq!(answer.join().expect("curl").status, 200);
        again
    });
    assert_ne!(again["id"], asked["id"]);
    arrived_once(&mark);
    world.verify();
}

/// Content that is sent on while it comes: nobody could see all of it before they say yes.
#[test]
fn what_is_not_all_there_cannot_be_approved() {
    if confinement().map_err(skipped).is_err() {
        return;
    }
    let (world, run) = start();
    let mark = mark();
    let large = world.work().join("large");
    std::fs::write(&large, vec![b'x'; 6 * 1024 * 1024]).expect("a file");
    let data = format!("@{}", large.display());
    let start = Instant::now();
    let answer = curl(
        &world,
        &run,
        &[
            "--header",
            "Content-Type: application/octet-stream",
            "--data-binary",
            &data,
        ],
        &format!("/echo/pay?mark={mark}"),
    );
    let why = answer.problem(403);
    assert!(why.contains("too long to be held whole"), "{why}");
    assert!(start.elapsed() < Duration::from_secs(20));
    denied(&world, &run, &mark);
    assert!(world.approvals().is_empty());
    world.verify();
}

/// One that has not got its answer does not keep others from going through.
#[test]
fn what_waits_keeps_nothing_else_waiting() {
    if confinement().map_err(skipped).is_err() {
        return;
    }
    let (world, run) = start();
    let (world, run) = (&world, &run);
    std::thread::scope(|scope| {
        let answer = sending(scope, world, run, format!("{{\"mark\": \"{}\"}}", mark()));
        let asked = world.asked(run);
        assert_eq!(curl(world, run, &[], "/customers/ada").status, 200);
        world.bailiwick(&["revoke", &run.id]).ok();
        assert_eq!(answer.join().expect("curl").status, 401);
        let late = world.bailiwick(&["approve", asked["id"].as_str().expect("an id"), "--yes"]);
        assert!(!late.status.success(), "{late:#?}");
    });
    world.verify();
}
