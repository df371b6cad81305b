//! Tools that a grant holds: a call waits for people, and its model can read what they said.

use std::time::Duration;

use bailiwick_tests::{McpClient, McpServer, confinement, finish, me, skipped};
use serde_json::{Value, json};

use crate::kit::{Client, Face, Said, Server, call, client, command, finished, pinned};

fn grants() -> String {
    format!(
        "[[read]]\ntarget = \"helpdesk\"\ntools = [\"list_tickets\"]\n\
         [[write]]\ntarget = \"helpdesk\"\ntools = [\"add_comment\"]\napprove = {:?}\n",
        me()
    )
}

fn comment(text: &str) -> Value {
    call(
        "add_comment",
        json!({"ticket": 7, "text": text, "visibility": "internal"}),
    )
}

#[test]
fn a_held_tool_is_called_once_when_somebody_says_yes() {
    if confinement().map_err(skipped).is_err() {
        return;
    }
    let clients: [(Server, Client, Face); 3] = [
        (
            Server::http(McpServer::Python),
            (McpClient::TypeScript, "2025-11-25"),
            Face::Http,
        ),
        (
            Server::command(McpServer::TypeScript),
            (McpClient::Python, "2026-07-28"),
            Face::Http,
        ),
        (
            Server::http(McpServer::TypeScript),
            (McpClient::Python, "2025-06-18"),
            Face::Stdio,
        ),
    ];
    for (server, who, face) in clients {
        let world = pinned(&server, &grants());
        let run = world.open_confined("triage");
        // It is listed though it is held; the same call twice takes two yes.
        let steps =
            json!([{"do": "tools"}, comment("a"), comment("a"), call("list_tickets", json!({}))]);
        let mut client = command(&world, &run, who, face, &steps);
        let said = std::thread::scope(|scope| {
            let client = scope.spawn(move || Said::of(&finish(&mut client)));
            let first = world.asked(&run);
            assert_eq!(first["actions"][0], "execute tool add_comment", "{first:#}");
            std::thread::sleep(Duration::from_millis(300));
            assert!(server.journal().calls("add_comment").is_empty());
            world.approve(&first);
            let second = world.asked(&run);
            assert_ne!(first["id"], second["id"]);
            world.deny(&second, "one comment is enough");
            client.join().expect("a client")
        });
        let tools = said.ok(1).to_string();
        assert!(tools.contains("add_comment"), "{tools}");
        assert_ne!(said.ok(2)["isError"], true, "{said:#?}");
        let failed = said.failed(3);
        assert!(
            failed.contains("denied by") && failed.contains("one comment is enough"),
            "{failed}"
        );
        assert_ne!(said.ok(4)["isError"], true, "{said:#?}");
        assert_eq!(server.journal().calls("add_comment").len(), 1);
        finished(&world, &run);
        world.verify();
    }
}

/// What is known of its tool is out of date by then, so the gateway asks the server again.
#[test]
fn a_tool_is_what_it_was_when_people_take_their_time() {
    if confinement().map_err(skipped).is_err() {
        return;
    }
    for server in [
        Server::http(McpServer::Python),
        Server::command(McpServer::TypeScript),
    ] {
        let world = pinned(&server, &grants());
        let run = world.open_confined("triage");
        let who = (McpClient::Python, "2026-07-28");
        let mut waits = command(&world, &run, who, Face::Http, &json!([comment("late")]));
        let other = json!([call("list_tickets", json!({}))]);
        let said = std::thread::scope(|scope| {
            let waits = scope.spawn(move || Said::of(&finish(&mut waits)));
            let asked = world.asked(&run);
            // For longer than a look at the tools is good.
            std::thread::sleep(Duration::from_secs(6));
            client(&world, &run, who, Face::Http, &other).text(1);
            world.approve(&asked);
            waits.join().expect("a client")
        });
        assert_eq!(said.text(1), "commented on 7", "{said:#?}");
        assert_eq!(server.journal().calls("add_comment").len(), 1);
        finished(&world, &run);
        world.verify();
    }
}
