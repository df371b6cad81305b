//! What is masked in every task.

use bailiwick_tests::{McpClient, McpServer};
use serde_json::{Value, json};

use crate::kit::{Face, Server, before, call, client, start};

#[test]
fn what_every_task_masks_is_masked() {
    let server = Server::http(McpServer::Python);
    let grants = "[[read]]\ntarget = \"helpdesk\"\ntools = [\"lookup_customer\"]\n";
    let masks = "[[mask]]\ntarget = \"helpdesk\"\nfields = [\"$.name\", \"$..card\"]\n";
    let world = start(before(&server, grants).masks(masks));
    let run = world.open("triage");
    let steps = json!([call("lookup_customer", json!({"customer": "ada"}))]);
    let asks = (McpClient::Python, "2025-11-25");
    let said = client(&world, &run, asks, Face::Http, &steps);
    let text: Value = serde_json::from_str(said.text(1)).expect("JSON");
    for customer in [&said.ok(1)["structuredContent"], &text] {
        assert_eq!(customer["name"], "[masked]", "{said:#?}");
        assert_eq!(customer["card"], "[masked]", "{said:#?}");
        assert_eq!(customer["tier"], "gold");
    }
}
