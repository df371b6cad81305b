//! What a gateway for HTTP and MCP stands between: a CRM with a REST API, a helpdesk as an MCP server, and
//! the clients of both; the heads of the programs in `tests/clients` say what these do.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::lasting::Lasting;
use crate::programs::{Finished, node_web, python_web};

/// The credential that a CRM and a helpdesk want as bearer token.
pub const CREDENTIAL: &str = "the-gateway's-own";

/// Which MCP SDK a server is built on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum McpServer {
    /// That for Python.
    Python,
    /// That for TypeScript, 2.x.
    TypeScript,
}

/// Which MCP SDK a client is built on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum McpClient {
    /// That for Python.
    Python,
    /// That for TypeScript, 2.x.
    TypeScript,
    /// That for TypeScript, 1.x, which most clients of its time are built on.
    TypeScript1,
}

/// What a server got, and what it tells of itself; gone when it is dropped.
pub struct Journal {
    folder: TempDir,
}

impl Journal {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("bailiwick-peer-").tempdir();
        Self {
            folder: folder.expect("a temporary folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [
            ("JOURNAL", self.path("journal")),
            ("HELPDESK_PULL", self.path("pull")),
        ]
    }

    /// All that it got, in order.
    pub fn entries(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("journal")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    /// What a CRM got by this method at this target, which includes a query.
    pub fn requests(&self, method: &str, target: &str) -> Vec<Value> {
        let mut entries = self.entries();
        entries.retain(|entry| entry["method"] == method && entry["target"] == target);
        entries
    }

    /// The arguments of each call of this tool that a helpdesk got.
    pub fn calls(&self, tool: &str) -> Vec<Value> {
        let entries = self.entries();
        let calls = entries
            .into_iter()
            .filter(|entry| entry["method"] == "tools/call" && entry["params"]["name"] == tool);
        calls
            .map(|entry| entry["params"]["arguments"].clone())
            .collect()
    }

    /// Lays changes over the definitions of a helpdesk's tools: `{"TOOL": {"description": "…"}}`.
    pub fn pull(&self, changes: &Value) {
        // At once, so that nobody reads half of it.
        fs::write(self.path("pull.new"), changes.to_string()).expect("the changes");
        fs::rename(self.path("pull.new"), self.path("pull")).expect("the changes");
    }
}

/// A server that listens. Dropping it kills it.
pub struct Peer {
    running: Lasting,
    /// What it got.
    pub journal: Journal,
}

impl Peer {
    /// A CRM that wants [`CREDENTIAL`].
    #[track_caller]
    pub fn crm() -> Self {
        let authorization = format!("Authorization: Bearer {CREDENTIAL}");
        Self::crm_with(|crm| crm.env("CRM_CREDENTIAL", authorization))
    }

    /// A CRM, by the options and environment of `crm.py`.
    #[track_caller]
    pub fn crm_with(options: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut crm = python_web("crm.py");
        options(&mut crm);
        Self::start(crm)
    }

    /// A helpdesk as streamable HTTP that wants [`CREDENTIAL`].
    #[track_caller]
    pub fn helpdesk(sdk: McpServer) -> Self {
        Self::helpdesk_with(sdk, |server| server)
    }

    /// The same, by more options of its program.
    #[track_caller]
    pub fn helpdesk_with(
        sdk: McpServer,
        options: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let mut server = helpdesk(sdk);
        options(server.arg("--http").env("HELPDESK_TOKEN", CREDENTIAL));
        Self::start(server)
    }

    #[track_caller]
    fn start(mut server: Command) -> Self {
        let journal = Journal::new();
        server.envs(journal.environment());
        let running = Lasting::start(&mut server, "port", &journal.path("said"));
        Self { running, journal }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.running.value("port").parse().expect("a port")
    }

    /// A URL at it, by http.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port())
    }

    /// What it has said on stderr.
    pub fn said(&self) -> String {
        self.running.said()
    }
}

/// A helpdesk as a command that speaks MCP on its stdin and stdout, for a client or a gateway to start.
pub struct StdioPeer {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// What it needs in its environment.
    pub environment: BTreeMap<String, String>,
    /// What it got.
    pub journal: Journal,
}

impl StdioPeer {
    /// By this SDK.
    pub fn helpdesk(sdk: McpServer) -> Self {
        let journal = Journal::new();
        let mut server = helpdesk(sdk);
        server.envs(journal.environment());
        let text = |text: &std::ffi::OsStr| text.to_str().expect("a path in UTF-8").to_owned();
        let command = std::iter::once(server.get_program()).chain(server.get_args());
        let environment = server.get_envs();
        Self {
            command: command.map(text).collect(),
            environment: environment
                .filter_map(|(name, value)| Some((text(name), text(value?))))
                .collect(),
            journal,
        }
    }
}

fn helpdesk(sdk: McpServer) -> Command {
    match sdk {
        McpServer::Python => python_web("helpdesk_mcp.py"),
        McpServer::TypeScript => node_web("helpdesk_mcp.mjs"),
    }
}

/// An MCP client, that lacks `--url` or `--command`, and its steps.
pub fn mcp_client(sdk: McpClient) -> Command {
    let mut client = match sdk {
        McpClient::Python => python_web("mcp_client.py"),
        McpClient::TypeScript | McpClient::TypeScript1 => node_web("mcp_client.mjs"),
    };
    if sdk == McpClient::TypeScript1 {
        client.args(["--sdk", "1"]);
    }
    client
}

/// The JSON lines that a client printed.
#[track_caller]
pub fn lines(finished: &Finished) -> Vec<Value> {
    let lines = finished.ok().lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {finished:#?}")))
        .collect()
}
