//! A helpdesk, a gateway in front of it, and clients of it by the official SDKs.

use std::time::Duration;

use bailiwick_tests::{
    Builder, CREDENTIAL, Finished, Journal, McpClient, McpServer, Peer, Run, StdioPeer, World,
    bailiwick, eventually, finish, http_task, lines, mcp_client,
};
use serde_json::{Value, json};

/// What most tests' task may do.
pub(crate) const TRIAGE: &str = r#"
[[read]]
target    = "helpdesk"
tools     = ["list_tickets", "get_ticket", "lookup_customer", "export_tickets", "summarize"]
resources = ["ticket://*"]
prompts   = ["triage"]
[[write]]
target    = "helpdesk"
tools     = ["add_comment"]
arguments = { visibility = "internal", text = { max_length = 60 } }
[[write]]
target    = "helpdesk"
tools     = ["escalate", "attach_logs"]
[[write]]
target    = "helpdesk"
features  = ["sampling"]
[[mask]]
target    = "helpdesk"
fields    = ["$.name", "$..card"]
"#;

/// Where a helpdesk is.
pub(crate) enum Server {
    /// At a URL.
    Http(Peer),
    /// Started by the gateway.
    Command(StdioPeer),
}

impl Server {
    /// As streamable HTTP.
    #[track_caller]
    pub(crate) fn http(sdk: McpServer) -> Self {
        Server::Http(Peer::helpdesk(sdk))
    }

    /// As streamable HTTP that tells no clients apart: it begins no sessions.
    #[track_caller]
    pub(crate) fn sessionless() -> Self {
        Server::Http(Peer::helpdesk_with(McpServer::Python, |server| {
            server.arg("--stateless")
        }))
    }

    /// As a command.
    pub(crate) fn command(sdk: McpServer) -> Self {
        Server::Command(StdioPeer::helpdesk(sdk))
    }

    pub(crate) fn journal(&self) -> &Journal {
        match self {
            Server::Http(peer) => &peer.journal,
            Server::Command(peer) => &peer.journal,
        }
    }

    /// The target of this name in the configuration.
    pub(crate) fn section(&self, name: &str) -> String {
        match self {
            Server::Http(peer) => format!(
                "[targets.{name}]\nkind = \"mcp\"\nurl = \"{}\"\nauth = {{ bearer = \"${{HELPDESK_TOKEN}}\" }}\n\
                 private = true\n",
                peer.url("/mcp")
            ),
            Server::Command(peer) => section_of_command(name, &peer.command, &peer.environment),
        }
    }
}

/// A target that is a command.
pub(crate) fn section_of_command<'a>(
    name: &str,
    command: &[String],
    environment: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> String {
    let environment: Vec<String> = environment
        .into_iter()
        .map(|(name, value)| format!("{name} = {value:?}"))
        .collect();
    format!(
        "[targets.{name}]\nkind = \"mcp\"\ncommand = {command:?}\nenv = {{ {} }}\n",
        environment.join(", ")
    )
}

/// A gateway in front of a helpdesk, with this task `triage`, not started and nothing pinned.
pub(crate) fn before(server: &Server, grants: &str) -> Builder {
    World::builder()
        .section(&server.section("helpdesk"))
        .variable("HELPDESK_TOKEN", CREDENTIAL)
        .task(http_task("triage", grants))
}

/// The same with the task's tools pinned, started.
#[track_caller]
pub(crate) fn pinned(server: &Server, grants: &str) -> World {
    start(before(server, grants))
}

/// Pins the tools of the task `triage`, and starts the gateway.
#[track_caller]
pub(crate) fn start(builder: Builder) -> World {
    let mut world = builder.prepare();
    pin(&world, &[]).ok();
    world.serve();
    world
}

/// `bailiwick task pin triage`.
pub(crate) fn pin(world: &World, arguments: &[&str]) -> Finished {
    let mut command = world.command(&[&["task", "pin", "triage"], arguments].concat());
    finish(command.env("HELPDESK_TOKEN", CREDENTIAL))
}

/// A client, and the revision that it asks for.
pub(crate) type Client = (McpClient, &'static str);

/// Every client in every revision that it speaks.
pub(crate) const CLIENTS: [Client; 7] = [
    (McpClient::Python, "2026-07-28"),
    (McpClient::TypeScript, "2026-07-28"),
    (McpClient::Python, "2025-11-25"),
    (McpClient::TypeScript, "2025-11-25"),
    (McpClient::TypeScript1, "2025-11-25"),
    (McpClient::Python, "2025-06-18"),
    (McpClient::TypeScript, "2025-06-18"),
];

/// How a client comes to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// By its URL.
    Http,
    /// By `bailiwick mcp`.
    Stdio,
}

/// What a client printed.
#[derive(Debug)]
pub(crate) struct Said {
    /// What the server sent and asked.
    pub(crate) events: Vec<Value>,
    /// What each step gave to its caller, the connecting first.
    pub(crate) steps: Vec<Value>,
}

impl Said {
    /// Reads it.
    #[track_caller]
    pub(crate) fn of(finished: &Finished) -> Self {
        let (steps, events) = lines(finished)
            .into_iter()
            .partition(|line| !line["step"].is_null());
        Self { events, steps }
    }

    /// How often something of this kind came.
    pub(crate) fn count(&self, event: &str) -> usize {
        let is_it = |line: &&Value| line["event"] == event;
        self.events.iter().filter(is_it).count()
    }

    /// What a step gave, where it gave something.
    #[track_caller]
    pub(crate) fn ok(&self, step: usize) -> &Value {
        let ok = self.steps.get(step).map(|step| &step["ok"]);
        ok.filter(|ok| !ok.is_null())
            .unwrap_or_else(|| panic!("no step {step} that worked: {self:#?}"))
    }

    /// The text of a step's result.
    #[track_caller]
    pub(crate) fn text(&self, step: usize) -> &str {
        let text = self.ok(step)["content"][0]["text"].as_str();
        text.unwrap_or_else(|| panic!("no text in step {step}: {self:#?}"))
    }

    /// The text of a step that is the failed result of a tool.
    #[track_caller]
    pub(crate) fn failed(&self, step: usize) -> &str {
        assert_eq!(self.ok(step)["isError"], true, "step {step}: {self:#?}");
        self.text(step)
    }

    /// All that a step's error said to its caller.
    #[track_caller]
    pub(crate) fn error(&self, step: usize) -> String {
        let error = self.steps.get(step).map(|step| &step["error"]);
        let error = error.filter(|error| !error.is_null());
        error
            .unwrap_or_else(|| panic!("no step {step} that failed: {self:#?}"))
            .to_string()
    }
}

/// A client of the target `helpdesk` that takes these steps, not started.
pub(crate) fn command(
    world: &World,
    run: &Run,
    (sdk, era): Client,
    face: Face,
    steps: &Value,
) -> std::process::Command {
    let mut client = mcp_client(sdk);
    match face {
        Face::Http => client.args(["--url", &world.http("helpdesk"), "--token", run.token()]),
        Face::Stdio => {
            let bailiwick = bailiwick().display().to_string();
            let command = json!([bailiwick, "mcp", "helpdesk"]).to_string();
            client.envs(&run.env).args(["--command", &command])
        }
    };
    client.args(["--era", era]).arg(steps.to_string());
    client
}

/// What such a client says.
#[track_caller]
pub(crate) fn client(world: &World, run: &Run, client: Client, face: Face, steps: &Value) -> Said {
    Said::of(&finish(&mut command(world, run, client, face, steps)))
}

/// A step that calls a tool.
pub(crate) fn call(name: &str, arguments: Value) -> Value {
    json!({"do": "call", "name": name, "arguments": arguments})
}

/// The names in a list.
pub(crate) fn names<'v>(list: &'v Value, name: &str) -> Vec<&'v str> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|one| one[name].as_str()).collect()
}

/// The records of the calls whose text holds this.
pub(crate) fn calls<'t>(trail: &'t [Value], verb: &str, text: &str) -> Vec<&'t Value> {
    let is_it = |entry: &&Value| {
        let record = &entry["record"];
        record["type"] == "call.decided"
            && record["call"]["verb"] == verb
            && entry["payload"]["text"]
                .as_str()
                .is_some_and(|said| said.contains(text))
    };
    trail.iter().filter(is_it).collect()
}

/// The trail once it has an outcome for each of its calls that was let through.
#[track_caller]
pub(crate) fn finished(world: &World, run: &Run) -> Vec<Value> {
    eventually("all outcomes", Duration::from_secs(10), || {
        let trail = world.trail(&run.id);
        let count = |what: &dyn Fn(&Value) -> bool| {
            trail.iter().filter(|entry| what(&entry["record"])).count()
        };
        let allowed = count(&|record| {
            record["type"] == "call.decided" && record["decision"]["effect"] == "allow"
        });
        let over = count(&|record| record["type"] == "call.finished");
        (allowed == over).then_some(trail)
    })
}
