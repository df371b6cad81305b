//! Whose run it is: nobody gets at a target, or at a session, that is not theirs.

use std::time::Duration;

use bailiwick_tests::{CREDENTIAL, McpClient, McpServer, Run, eventually, http_task};
use serde_json::json;

use crate::kit::{
    CLIENTS, Face, Server, TRIAGE, before, call, calls, client, finished, pinned, start,
};
use crate::raw::{INITIALIZE, initialized, post};

#[test]
fn who_does_not_prove_to_be_a_live_run() {
    let server = Server::http(McpServer::Python);
    let world = pinned(&server, TRIAGE);
    let good = world.open("triage");
    let with = |token: &str| {
        let mut run = good.clone();
        run.env.insert("BAILIWICK_TOKEN".into(), token.to_owned());
        run
    };
    let mut wrong = good.token().to_owned();
    let last = wrong.pop();
    wrong.push(if last == Some('0') { '1' } else { '0' });
    let (closed, revoked) = (world.open("triage"), world.open("triage"));
    let expired = world.open_with(&["--task", "triage", "--ttl", "1s"]);
    world.bailiwick(&["close", &closed.id]).ok();
    world.bailiwick(&["revoke", &revoked.id]).ok();
    eventually("it is over", Duration::from_secs(5), || {
        (world.summary(&expired.id)["state"] == "ended").then_some(())
    });
    let heard = server.journal().entries().len();
    for (run, who, face) in [
        (with(&wrong), CLIENTS[0], Face::Http),
        (with(CREDENTIAL), CLIENTS[4], Face::Http),
        (closed, CLIENTS[3], Face::Http),
        (revoked.clone(), CLIENTS[2], Face::Http),
        (expired, CLIENTS[4], Face::Stdio),
        (revoked, CLIENTS[2], Face::Stdio),
    ] {
        let said = client(&world, &run, who, face, &json!([{"do": "tools"}]));
        let error = said.error(said.steps.len() - 1);
        // The SDK for Python shows an error of HTTP only under the request's id, which nobody has read here.
        let wordless = (who.0, face) == (McpClient::Python, Face::Http);
        let words = if wordless { "error response" } else { "run" };
        assert!(error.contains(words), "{who:?} {face:?}: {error}");
    }
    assert_eq!(server.journal().entries().len(), heard, "something arrived");
    // The one that is live is none the worse for it.
    let said = client(
        &world,
        &good,
        CLIENTS[0],
        Face::Http,
        &json!([call("list_tickets", json!({}))]),
    );
    assert!(said.text(1).contains("Charged twice"));
    world.verify();
}

/// A client in the middle of its work is stopped by the end of its run.
#[test]
fn a_run_that_ends_ends_its_clients() {
    for server in [
        Server::http(McpServer::TypeScript),
        Server::command(McpServer::TypeScript),
    ] {
        let world = pinned(&server, TRIAGE);
        let run = world.open("triage");
        let steps = json!([
            call("list_tickets", json!({})), {"do": "wait", "seconds": 1.5},
            call("get_ticket", json!({"id": 1})),
        ]);
        let mut command = crate::kit::command(&world, &run, CLIENTS[3], Face::Http, &steps);
        let said = std::thread::scope(|scope| {
            let client = scope.spawn(move || bailiwick_tests::finish(&mut command));
            eventually("its first call", Duration::from_secs(20), || {
                (!server.journal().calls("list_tickets").is_empty()).then_some(())
            });
            // It has the answer, too.
            std::thread::sleep(Duration::from_millis(300));
            world.bailiwick(&["revoke", &run.id]).ok();
            crate::kit::Said::of(&client.join().expect("a client"))
        });
        assert!(said.text(1).contains("Charged twice"), "{said:#?}");
        let error = said.error(3);
        assert!(error.contains("run"), "{error}");
        assert!(server.journal().calls("get_ticket").is_empty());
        finished(&world, &run);
        world.verify();
    }
}

#[test]
fn a_target_outside_of_the_scope() {
    let server = Server::http(McpServer::TypeScript);
    let other = http_task(
        "other",
        "[[read]]\ntarget = \"notes\"\ntools = [\"list_tickets\"]\nunpinned = true\n",
    );
    let world = start(
        before(&server, TRIAGE)
            .section(&server.section("notes"))
            .task(other),
    );
    let run = world.open("other");
    for who in [CLIENTS[0], CLIENTS[1], CLIENTS[4]] {
        let said = client(&world, &run, who, Face::Http, &json!([{"do": "tools"}]));
        let error = said.error(said.steps.len() - 1);
        // What each shows of a 403 that nobody has read a request before.
        let words = match who.0 {
            McpClient::Python => "error response",
            McpClient::TypeScript => "nsufficient scope",
            McpClient::TypeScript1 => "`helpdesk`",
        };
        assert!(error.contains(words), "{who:?}: {error}");
    }
    assert!(server.journal().calls("list_tickets").is_empty());
    let trail = world.trail(&run.id);
    let denied = trail
        .iter()
        .filter(|entry| entry["record"]["target"] == "helpdesk")
        .count();
    assert!(denied >= 3, "{trail:#?}");
    world.verify();
}

/// No run is in another's session, and whoever comes later is in nobody's way.
#[test]
fn sessions_are_of_one_run() {
    for server in [
        Server::http(McpServer::Python),
        Server::http(McpServer::TypeScript),
        Server::command(McpServer::Python),
    ] {
        let world = pinned(&server, TRIAGE);
        let (run, other) = (world.open("triage"), world.open("triage"));
        let begun = post(&world, &run, &[], INITIALIZE);
        assert_eq!(begun.status, 200, "{begun:#?}");
        let session = begun.field("mcp-session-id").expect("a session");
        initialized(&world, &run, &session);
        let list = |run: &Run, session: &str, id: u64| {
            let headers = [
                format!("Mcp-Session-Id: {session}"),
                "MCP-Protocol-Version: 2025-11-25".into(),
            ];
            let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/list"}).to_string();
            post(&world, run, &headers, &body)
        };
        // Of a notification a server may tell later than it answers.
        eventually("it knows", Duration::from_secs(5), || {
            let entries = server.journal().entries();
            let is_it = |entry: &serde_json::Value| entry["method"] == "notifications/initialized";
            entries.iter().any(is_it).then_some(())
        });
        let heard = server.journal().entries().len();
        for (run, session) in [(&other, &*session), (&run, "made-up")] {
            let answer = list(run, session, 2);
            assert!([400, 404].contains(&answer.status), "{answer:#?}");
            assert_eq!(answer.json()["id"], 2, "{answer:#?}");
        }
        assert_eq!(server.journal().entries().len(), heard, "it came through");
        let answer = list(&run, &session, 3);
        assert_eq!(answer.status, 200, "{answer:#?}");
        assert!(answer.body.contains("add_comment"), "{answer:#?}");
        // Under an id that was used there is no second answer.
        let answer = list(&run, &session, 3);
        assert!(answer.body.contains("-32600"), "{answer:#?}");

        // Clients of one run after one another, and of two runs at once, all with the same ids.
        let steps = json!([
            {"do": "tools"}, {"do": "call", "name": "export_tickets", "progress": true},
            call("add_comment", json!({"ticket": 1, "text": "both", "visibility": "internal"})),
        ]);
        let check = |run: &Run, who| {
            let said = client(&world, run, who, Face::Http, &steps);
            assert!(said.text(2).contains("[masked:"), "{said:#?}");
            assert_eq!(said.text(3), "commented on 1", "{said:#?}");
        };
        std::thread::scope(|scope| {
            scope.spawn(|| check(&other, CLIENTS[0]));
            for who in [CLIENTS[2], CLIENTS[0], CLIENTS[4]] {
                check(&run, who);
            }
        });
        assert_eq!(server.journal().calls("add_comment").len(), 4);
        let trail = finished(&world, &run);
        assert_eq!(calls(&trail, "tools/call", "both").len(), 3);
        world.verify();
    }
}
