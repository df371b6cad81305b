//! Calls that wait for somebody's yes, and that their clients take back; and clients of one run that are at work at the
//! same time, with the same ids.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bailiwick_tests::{
    McpClient, McpServer, Run, World, confinement, eventually, finish, me, skipped,
};
use serde_json::{Value, json};

use crate::kit::{Client, Face, Said, Server, call, calls, command, finished, pinned};

fn grants() -> String {
    format!(
        "[[read]]\ntarget = \"helpdesk\"\ntools = [\"list_tickets\"]\n\
         [[write]]\ntarget = \"helpdesk\"\ntools = [\"add_comment\"]\napprove = {:?}\n",
        me()
    )
}

/// A held call that is not waited for any more once there is this file, and one that is not held.
fn steps(text: &str, given_up: &Path) -> Value {
    let mut comment = call(
        "add_comment",
        json!({"ticket": 7, "text": text, "visibility": "internal"}),
    );
    comment["give_up"] = json!(given_up);
    json!([comment, call("list_tickets", json!({}))])
}

/// The question that is open, and none of these.
#[track_caller]
fn asked(world: &World, run: &Run, others: &[&Value]) -> Value {
    eventually("people are asked", Duration::from_secs(60), || {
        let mut all = world.approvals().into_iter();
        all.find(|asked| {
            asked["run"] == *run.id
                && asked["state"] == "open"
                && others.iter().all(|other| other["id"] != asked["id"])
        })
    })
}

#[track_caller]
fn state(world: &World, asked: &Value) -> String {
    let all = world.approvals();
    let found = all.iter().find(|approval| approval["id"] == asked["id"]);
    let state = found.and_then(|found| found["state"].as_str());
    state.unwrap_or_default().to_owned()
}

/// Nothing becomes of it any more, whoever says yes.
#[track_caller]
fn is_over(world: &World, asked: &Value) {
    eventually("it is over", Duration::from_secs(60), || {
        (state(world, asked) == "lapsed").then_some(())
    });
    let id = asked["id"].as_str().expect("an id");
    let late = world.bailiwick(&["approve", id, "--yes"]);
    assert!(!late.status.success(), "{late:#?}");
}

/// That it was taken back is on record, and it did not reach the server.
#[track_caller]
fn was_taken_back(world: &World, run: &Run, server: &Server, text: &str) {
    let trail = finished(world, run);
    let found = calls(&trail, "tools/call", text);
    let [call] = found[..] else {
        panic!("{text}: {found:#?} in {trail:#?}");
    };
    let reason = call["record"]["decision"]["reason"].as_str();
    assert!(
        reason.is_some_and(|reason| reason.contains("took it back")),
        "{call:#}"
    );
    let comments = server.journal().calls("add_comment");
    assert!(comments.iter().all(|comment| comment["text"] != text));
}

/// In the background, until it is joined.
fn start<'s>(
    scope: &'s std::thread::Scope<'s, '_>,
    mut client: Command,
) -> std::thread::ScopedJoinHandle<'s, Said> {
    scope.spawn(move || Said::of(&finish(&mut client)))
}

#[test]
fn what_a_client_does_not_wait_for_any_more_is_not_done() {
    if confinement().map_err(skipped).is_err() {
        return;
    }
    let clients: [(Server, Client, Face); 5] = [
        (
            Server::http(McpServer::Python),
            (McpClient::TypeScript, "2025-11-25"),
            Face::Http,
        ),
        (
            Server::http(McpServer::TypeScript),
            (McpClient::Python, "2026-07-28"),
            Face::Http,
        ),
        (
            Server::command(McpServer::Python),
            (McpClient::TypeScript, "2026-07-28"),
            Face::Stdio,
        ),
        (
            Server::command(McpServer::TypeScript),
            (McpClient::Python, "2025-11-25"),
            Face::Stdio,
        ),
        (
            Server::sessionless(),
            (McpClient::TypeScript1, "2025-11-25"),
            Face::Http,
        ),
    ];
    for (server, who, face) in clients {
        let world = pinned(&server, &grants());
        let run = world.open_confined("triage");
        let given_up = world.work().join("given-up");
        let client = command(&world, &run, who, face, &steps("never", &given_up));
        let said = std::thread::scope(|scope| {
            let client = start(scope, client);
            let asked = asked(&world, &run, &[]);
            std::fs::write(&given_up, "").expect("a file");
            is_over(&world, &asked);
            client.join().expect("a client")
        });
        // It goes on with what is not held.
        said.error(1);
        assert!(said.text(2).contains("Charged twice"), "{said:#?}");
        was_taken_back(&world, &run, &server, "never");
        world.verify();
    }
}

#[test]
fn clients_that_use_the_same_ids_do_not_meet() {
    if confinement().map_err(skipped).is_err() {
        return;
    }
    let clients: [(Server, Client); 4] = [
        (Server::sessionless(), (McpClient::Python, "2025-11-25")),
        (Server::sessionless(), (McpClient::TypeScript, "2026-07-28")),
        (
            Server::command(McpServer::TypeScript),
            (McpClient::Python, "2026-07-28"),
        ),
        (
            Server::http(McpServer::TypeScript),
            (McpClient::TypeScript, "2025-06-18"),
        ),
    ];
    for (server, who) in clients {
        let world = pinned(&server, &grants());
        let run = world.open_confined("triage");
        let files = ["one", "two"].map(|name| world.work().join(name));
        let [one, two] = ["one", "two"].map(|text| {
            let steps = steps(text, &world.work().join(text));
            command(&world, &run, who, Face::Http, &steps)
        });
        let (one, two) = std::thread::scope(|scope| {
            let one = start(scope, one);
            let first = asked(&world, &run, &[]);
            let two = start(scope, two);
            let second = asked(&world, &run, &[&first]);
            // One takes its call back: the other's, which has the same id, goes on waiting.
            std::fs::write(&files[1], "").expect("a file");
            is_over(&world, &second);
            assert_eq!(state(&world, &first), "open");
            world.approve(&first);
            (one.join().expect("a client"), two.join().expect("a client"))
        });
        assert_eq!(one.text(1), "commented on 7", "{who:?}");
        two.error(1);
        for said in [one, two] {
            assert!(said.text(2).contains("Charged twice"), "{said:#?}");
        }
        was_taken_back(&world, &run, &server, "two");
        world.verify();
    }
}

/// Many at a time, each of which gets what it asked for.
#[test]
fn nobody_gets_what_another_asked_for() {
    let grants = "[[read]]\ntarget = \"helpdesk\"\ntools = [\"get_ticket\", \"export_tickets\"]\n";
    for (server, who) in [
        (Server::sessionless(), (McpClient::Python, "2025-11-25")),
        (
            Server::command(McpServer::Python),
            (McpClient::TypeScript, "2026-07-28"),
        ),
    ] {
        let world = pinned(&server, grants);
        let run = world.open("triage");
        std::thread::scope(|scope| {
            let clients = [1, 2, 7].map(|ticket| {
                let mut steps = vec![call("get_ticket", json!({"id": ticket})); 5];
                let mut export = call("export_tickets", json!({}));
                export["progress"] = json!(true);
                steps.push(export);
                let client = command(&world, &run, who, Face::Http, &json!(steps));
                (ticket, start(scope, client))
            });
            for (ticket, client) in clients {
                let said = client.join().expect("a client");
                for step in 1..=5 {
                    let found = said.ok(step)["structuredContent"]["id"].as_u64();
                    assert_eq!(found, Some(ticket), "{who:?} {said:#?}");
                }
                assert_eq!(said.count("progress"), 3, "{said:#?}");
            }
        });
        finished(&world, &run);
        world.verify();
    }
}
