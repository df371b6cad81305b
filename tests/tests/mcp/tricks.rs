//! What an agent tries that was told to: each message is one that some reader takes for another. Whatever comes of it,
//! the server gets nothing that the task does not grant.

use std::fs;

use bailiwick_tests::{McpServer, Run, World};
use serde_json::{Value, json};

use crate::kit::{Server, finished, pinned};
use crate::raw::{curl, modern, said};

const GRANTS: &str = r#"
[[write]]
target    = "helpdesk"
tools     = ["add_comment"]
arguments = { visibility = "internal", ticket = { min = 1, max = 7 } }
[[read]]
target    = "helpdesk"
tools     = ["get_ticket"]
arguments = { id = { in = [1], optional = true } }
[[read]]
target    = "helpdesk"
resources = ["ticket://*"]
"#;

struct Agent<'w> {
    world: &'w World,
    run: &'w Run,
}

impl Agent<'_> {
    /// Posts these bytes with these header fields, and gives the status.
    fn post(&self, fields: &[String], body: &[u8]) -> u16 {
        let file = self.world.work().join("message");
        fs::write(&file, body).expect("a file");
        let data = format!("@{}", file.display());
        let mut arguments = vec![
            "--header".to_owned(),
            format!("Authorization: Bearer {}", self.run.token()),
            "--header".to_owned(),
            "Accept: application/json, text/event-stream".to_owned(),
            "--data-binary".to_owned(),
            data,
        ];
        for field in fields {
            arguments.extend(["--header".to_owned(), field.clone()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        curl(&arguments, &self.world.http("helpdesk")).status
    }

    /// The same as JSON of the revision without sessions.
    fn say(&self, method: &str, name: &str, body: &str) -> u16 {
        let mut fields = said("2026-07-28", method, name);
        fields.push("Content-Type: application/json".to_owned());
        self.post(&fields, body.as_bytes())
    }
}

fn comment(arguments: &str) -> String {
    let whole = modern(
        1,
        "tools/call",
        json!({"name": "add_comment", "arguments": "HERE"}),
    );
    whole.replace("\"HERE\"", arguments)
}

/// That nothing has arrived but what is granted, and that many comments.
#[track_caller]
fn nothing_else(server: &Server, comments: usize) {
    for entry in server.journal().entries() {
        let params = &entry["params"];
        match entry["method"].as_str() {
            Some("tools/call") if params["name"] == "add_comment" => {
                assert_eq!(params["arguments"]["visibility"], "internal", "{entry:#}");
                let ticket = params["arguments"]["ticket"].as_f64();
                assert!(
                    ticket.is_some_and(|ticket| (1.0..=7.0).contains(&ticket)),
                    "{entry:#}"
                );
            }
            Some("tools/call") => {
                assert_eq!(params["name"], "get_ticket", "{entry:#}");
                assert_eq!(params["arguments"]["id"], 1, "{entry:#}");
            }
            Some("resources/read") => {
                let uri = params["uri"].as_str().unwrap_or_default();
                let id = uri.strip_prefix("ticket://").unwrap_or_default();
                assert!(
                    !id.is_empty() && !id.contains(['/', '%', '#', '?']),
                    "{uri}"
                );
            }
            _ => {}
        }
    }
    let arrived = server.journal().calls("add_comment");
    assert_eq!(arrived.len(), comments, "{arrived:#?}");
}

#[test]
fn arguments_that_are_read_in_ways_of_their_own() {
    let server = Server::http(McpServer::TypeScript);
    let world = pinned(&server, GRANTS);
    let run = world.open("triage");
    let agent = Agent {
        world: &world,
        run: &run,
    };
    let say = |arguments: &str| agent.say("tools/call", "add_comment", &comment(arguments));
    for value in [
        "[\"internal\"]",
        "{\"$eq\":\"internal\"}",
        "{\"toString\":\"internal\"}",
        "null",
        "true",
        "1",
        "\"Internal\"",
        "\"internal \"",
        "\"internal\\u0000\"",
        "\"\\uff49nternal\"",
        "\"internal\\u200b\"",
        "\"public\"",
        "\"\"",
    ] {
        let arguments = format!("{{\"ticket\":7,\"text\":\"x\",\"visibility\":{value}}}");
        assert_eq!(
            say(&arguments),
            200,
            "a denial that its model can read: {value}"
        );
    }
    for more in [
        "\"visibility\":\"public\"",
        "\"\\u0076isibility\":\"public\"",
        "\"Visibility\":\"public\"",
        "\"VISIBILITY\":\"public\"",
        "\"vi\\u017fibility\":\"public\"",
        "\"meta\":{\"a\":1,\"a\":2}",
        "\"meta\":[{\"a\":1,\"\\u0061\":2}]",
        "\"meta\":NaN",
        "\"meta\":01",
        "\"meta\":\"\\ud800\"",
        "\"meta\":\"a\u{1}\"",
        "\"meta\":1,",
        "/* \"meta\":1 */",
        "'meta':1",
    ] {
        let arguments =
            format!("{{\"ticket\":7,\"text\":\"x\",\"visibility\":\"internal\",{more}}}");
        say(&arguments);
        let arguments =
            format!("{{{more},\"ticket\":7,\"text\":\"x\",\"visibility\":\"internal\"}}");
        say(&arguments);
    }
    for ticket in [
        "8",
        "0",
        "-0",
        "-1",
        "1e400",
        "-1e400",
        "7.0000000000000000001",
        "0.9999999999999999999",
        "1e1",
        "9007199254740993",
        "18446744073709551617",
        "\"7\"",
        "[7]",
        "null",
        "true",
        "{}",
        "+7",
        "0x7",
        "7.",
        ".7",
        "Infinity",
        "7e",
        "1_0",
    ] {
        say(&format!(
            "{{\"ticket\":{ticket},\"text\":\"x\",\"visibility\":\"internal\"}}"
        ));
    }
    nothing_else(&server, 0);
    // The same number in another spelling is the same number.
    for ticket in ["7", "70e-1"] {
        let arguments =
            format!("{{\"ticket\":{ticket},\"text\":\"x\",\"visibility\":\"internal\"}}");
        assert_eq!(say(&arguments), 200);
    }
    nothing_else(&server, 2);
    for arguments in [
        "[]",
        "\"{}\"",
        "null",
        "7",
        "[{\"visibility\":\"internal\",\"ticket\":7}]",
    ] {
        say(arguments);
    }
    // An optional one is there or it is not.
    for id in ["2", "\"1\"", "[1]", "null", "1.5", "{\"id\":1}"] {
        let call = modern(
            1,
            "tools/call",
            json!({"name": "get_ticket", "arguments": "HERE"}),
        );
        let call = call.replace("\"HERE\"", &format!("{{\"id\":{id}}}"));
        agent.say("tools/call", "get_ticket", &call);
    }
    nothing_else(&server, 2);
    finished(&world, &run);
    world.verify();
}

#[test]
fn names_and_addresses_that_stand_for_others() {
    let server = Server::http(McpServer::Python);
    let world = pinned(&server, GRANTS);
    let run = world.open("triage");
    let agent = Agent {
        world: &world,
        run: &run,
    };
    for name in [
        "delete_ticket",
        "delete_ticket\0",
        "add_comment\0delete_ticket",
        "ADD_COMMENT",
        " add_comment",
        "add_comment ",
        "add_comment\u{200b}",
        "\u{ff41}dd_comment",
        "add_comment/../delete_ticket",
        "helpdesk/delete_ticket",
        "",
    ] {
        let call = modern(
            1,
            "tools/call",
            json!({"name": name, "arguments": {"id": 7}}),
        );
        for header in [name, "add_comment"] {
            let plain = header.chars().all(|c| (' '..='~').contains(&c));
            agent.say("tools/call", if plain { header } else { "x" }, &call);
        }
    }
    for uri in [
        "helpdesk://handbook",
        "HELPDESK://handbook",
        "ticket://",
        "ticket:///1",
        "ticket://1/",
        "ticket://1/../2",
        "ticket://..",
        "ticket://%2e%2e",
        "ticket://1%2f2",
        "ticket://1%252f2",
        "ticket://1%5c2",
        "ticket://1%00",
        "ticket://1;x=2",
        "ticket://1?x=helpdesk://handbook",
        "ticket://1#helpdesk://handbook",
        "ticket://1\\..\\2",
        "TICKET://1",
        "ticket:1",
        "//1",
        "ticket://\u{661}",
        "ticket:// 1",
        "ticket://1\n2",
    ] {
        let read = modern(1, "resources/read", json!({"uri": uri}));
        let plain = uri.chars().all(|c| ('!'..='~').contains(&c));
        let status = agent.say("resources/read", if plain { uri } else { "x" }, &read);
        assert!(status >= 400, "{uri}: {status}");
        // Nor by what is told of it.
        let complete = json!({"ref": {"type": "ref/resource", "uri": uri}, "argument": {"name": "id", "value": "1"}});
        agent.say(
            "completion/complete",
            "",
            &modern(1, "completion/complete", complete),
        );
        let listen = json!({"notifications": {"resourceSubscriptions": ["ticket://1", uri]}});
        let status = agent.say(
            "subscriptions/listen",
            "",
            &modern(1, "subscriptions/listen", listen),
        );
        assert!(status >= 400, "{uri}: {status}");
    }
    nothing_else(&server, 0);
    let entries = server.journal().entries();
    let told = |entry: &&Value| {
        ["completion/complete", "subscriptions/listen"]
            .contains(&entry["method"].as_str().unwrap_or_default())
    };
    assert_eq!(entries.iter().filter(told).count(), 0, "{entries:#?}");
    finished(&world, &run);
    world.verify();
}

#[test]
fn content_that_is_not_what_it_is_said_to_be() {
    let server = Server::http(McpServer::TypeScript);
    let world = pinned(&server, GRANTS);
    let run = world.open("triage");
    let agent = Agent {
        world: &world,
        run: &run,
    };
    let good = comment("{\"ticket\":7,\"text\":\"x\",\"visibility\":\"internal\"}");
    let stated = said("2026-07-28", "tools/call", "add_comment");
    let with = |more: &[&str]| {
        let more = more.iter().map(|field| (*field).to_owned());
        stated.iter().cloned().chain(more).collect::<Vec<_>>()
    };
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let utf16_marked = [b"\xff\xfe", &utf16[..]].concat();
    let marked = [b"\xef\xbb\xbf", good.as_bytes()].concat();
    let latin = good.replace("\"x\"", "\"HERE\"").into_bytes();
    let at = latin
        .windows(4)
        .position(|window| window == b"HERE")
        .expect("it");
    let latin = [&latin[..at], b"\xe9", &latin[at + 4..]].concat();
    let json = "Content-Type: application/json";
    for (what, fields, body) in [
        (
            "UTF-16",
            with(&["Content-Type: application/json; charset=utf-16"]),
            utf16.clone(),
        ),
        ("UTF-16 that is said to be UTF-8", with(&[json]), utf16),
        ("UTF-16 with its mark", with(&[json]), utf16_marked),
        ("a byte order mark", with(&[json]), marked),
        ("bytes that are no text", with(&[json]), latin),
        (
            "UTF-7",
            with(&["Content-Type: application/json; charset=utf-7"]),
            good.clone().into_bytes(),
        ),
        (
            "another type",
            with(&["Content-Type: text/plain"]),
            good.clone().into_bytes(),
        ),
        (
            "a form",
            with(&["Content-Type: application/x-www-form-urlencoded"]),
            good.clone().into_bytes(),
        ),
        (
            "two types in one",
            with(&["Content-Type: application/json, text/plain"]),
            good.clone().into_bytes(),
        ),
        (
            "two types",
            with(&[json, "Content-Type: text/plain"]),
            good.clone().into_bytes(),
        ),
        (
            "no type",
            with(&["Content-Type;"]),
            good.clone().into_bytes(),
        ),
        (
            "a coding that it is not in",
            with(&[json, "Content-Encoding: gzip"]),
            good.clone().into_bytes(),
        ),
        (
            "arguments beside it",
            with(&[json, "Mcp-Param-Visibility: public"]),
            good.clone().into_bytes(),
        ),
        (
            "a session",
            with(&[json, "Mcp-Session-Id: bw-0000000000000000"]),
            good.clone().into_bytes(),
        ),
        ("nothing", with(&[json]), Vec::new()),
        ("a batch", with(&[json]), format!("[{good}]").into_bytes()),
        (
            "two messages",
            with(&[json]),
            format!("{good}\n{good}").into_bytes(),
        ),
        (
            "events",
            with(&[json]),
            format!("data: {good}\n\n").into_bytes(),
        ),
    ] {
        let status = agent.post(&fields, &body);
        assert!(status >= 400, "{what}: {status}");
    }
    let bearer = format!("Authorization: Bearer {}", run.token());
    let url = world.http("helpdesk");
    for (method, url) in [
        ("PUT", url.clone()),
        ("PATCH", url.clone()),
        ("GET", url.clone()),
        ("QUERY", url.clone()),
        ("POST", format!("{url}/mcp")),
        ("POST", format!("{url}?method=tools/call")),
    ] {
        let mut arguments = vec![
            "--request",
            method,
            "--data-binary",
            &good,
            "--header",
            &bearer,
            "--header",
            json,
        ];
        for field in &stated {
            arguments.extend(["--header", field]);
        }
        let answer = curl(&arguments, &url);
        assert!(answer.status >= 400, "{method} {url}: {answer:#?}");
    }
    nothing_else(&server, 0);
    assert_eq!(agent.post(&with(&[json]), good.as_bytes()), 200);
    nothing_else(&server, 1);
    finished(&world, &run);
    world.verify();
}
