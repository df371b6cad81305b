//! `bailiwick demo-helpdesk`: the MCP server of the demo, over its standard input and output. It writes down
//! every tool call that reaches it.

use std::fs::OpenOptions;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// The MCP server of the demo
#[derive(Args)]
pub(crate) struct DemoHelpdesk {
    /// Where to write down what arrives
    #[arg(long)]
    journal: PathBuf,
}

impl DemoHelpdesk {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let mut journal = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.journal)
            .map_err(Failure::new)?;
        let mut out = io::stdout().lock();
        for line in io::stdin().lock().lines() {
            let line = line.map_err(Failure::new)?;
            let Ok(message) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            // What has no id is a notification, and nothing is answered to it.
            let Some(id) = message.get("id") else {
                continue;
            };
            let method = message.get("method").and_then(Value::as_str);
            let params = message.get("params").cloned().unwrap_or_default();
            if method == Some("tools/call") {
                writeln!(journal, "{params}").map_err(Failure::new)?;
            }
            let mut answer = answer(method.unwrap_or_default(), &params);
            answer.insert("jsonrpc".into(), "2.0".into());
            answer.insert("id".into(), id.clone());
            writeln!(out, "{}", Value::from(answer))
                .and_then(|()| out.flush())
                .map_err(Failure::new)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What is answered: a result or an error.
fn answer(method: &str, params: &Value) -> Map<String, Value> {
    let answer = match method {
        "initialize" => json!({ "result": {
            "protocolVersion": params.get("protocolVersion"),
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "helpdesk", "version": "1" },
        }}),
        "tools/list" => json!({ "result": { "tools": tools() } }),
        "tools/call" => {
            let said = match params.get("name").and_then(Value::as_str) {
                Some("add_note") => "The note is on the ticket.",
                Some("refund_invoice") => "The money is on its way.",
                _ => "There is no such tool.",
            };
            json!({ "result": { "content": [{ "type": "text", "text": said }] } })
        }
        "ping" => json!({ "result": {} }),
        _ => json!({ "error": { "code": -32601, "message": "no such method" } }),
    };
    answer.as_object().cloned().unwrap_or_default()
}

fn tools() -> Value {
    let schema = |properties: Value| json!({ "type": "object", "properties": properties });
    json!([
        {
            "name": "add_note",
            "description": "Adds a note to a ticket.",
            "inputSchema": schema(json!({
                "ticket": { "type": "integer" },
                "text": { "type": "string" },
                "visibility": { "enum": ["internal", "customer"] },
            })),
        },
        {
            "name": "refund_invoice",
            "description": "Pays an invoice back to the customer's card.",
            "inputSchema": schema(json!({ "invoice": { "type": "integer" } })),
        },
    ])
}
