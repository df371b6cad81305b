//! What `bailiwick run` hands to a process whose task has HTTP or MCP targets.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use std::process::{Child, Stdio};

use common::{Gateway, can_confine, ran, until};
use serde_json::Value;

/// A gateway with an HTTP and an MCP target, which nobody asks.
fn gateway() -> Gateway {
    Gateway::start_with(
        r#"
name = "test/bailiwick"
[listen]
http = "127.0.0.1:0"
[targets.crm]
kind = "http"
url = "http://127.0.0.1:1/api"
auth = { bearer = "${TEST_PASSWORD}" }
[targets.helpdesk]
kind = "mcp"
url = "http://127.0.0.1:1/mcp"
"#,
        &[
            ("both", &format!("{TASK}\n{CRM}\n{HELPDESK}")),
            ("crm", &format!("{TASK}\nproxy = true\n{CRM}")),
            (
                "own",
                &format!(
                    "{TASK}\nproxy = true\n[env]\nBAILIWICK_TOKEN = \"crm\"\nSSL_CERT_FILE = \"crm\"\nHTTPS_PROXY = \"token:crm\"\n{CRM}"
                ),
            ),
        ],
    )
}

const TASK: &str =
    "purpose = \"Look at something\"\nlaunchers = [\"human:*@localhost\"]\nttl = \"5m\"";
const CRM: &str = "[[read]]\ntarget = \"crm\"\nrequests = [\"GET /customers/*\"]";
const HELPDESK: &str =
    "[[read]]\ntarget = \"helpdesk\"\ntools = [\"list_tickets\"]\nunpinned = true";

fn run(gateway: &Gateway, task: &str, script: &str) -> common::Ran {
    let ran = ran(&mut gateway.ask(&["run", "--task", task, "--", "sh", "-c", script]));
    assert_eq!(ran.status, Some(0), "{}{}", ran.stdout, ran.stderr);
    ran
}

fn handed(gateway: &Gateway) -> usize {
    std::fs::read_dir(gateway.path("data/handed")).map_or(0, Iterator::count)
}

#[test]
fn a_process_gets_what_its_clients_need() {
    if !can_confine() {
        return;
    }
    let gateway = gateway();
    let script = "echo $BAILIWICK_URL; echo $BAILIWICK_TOKEN; echo ${HTTP_PROXY-none}; \
                  stat -c %a $BAILIWICK_MCP_CONFIG; cat $BAILIWICK_MCP_CONFIG";
    let ran = run(&gateway, "both", script);
    let mut lines = ran.stdout.lines();
    let url = lines.next().unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    let token = lines.next().unwrap().to_owned();
    assert!(token.starts_with("bwk_"), "{token}");
    assert_eq!(lines.next(), Some("none"));
    assert_eq!(lines.next(), Some("600"));
    let config: Value = serde_json::from_str(&lines.collect::<String>()).unwrap();
    let expected = serde_json::json!({"mcpServers": {"helpdesk": {
        "type": "http", "url": format!("{url}/helpdesk"),
        "headers": {"Authorization": format!("Bearer {token}")},
    }}});
    assert_eq!(config, expected);
    assert_eq!(handed(&gateway), 0, "files are left behind");
}

#[test]
fn no_run_reads_what_another_was_handed() {
    if !can_confine() {
        return;
    }
    let gateway = gateway();
    let mut waiting = gateway.ask(&["run", "--task", "both", "--", "sh", "-c", "read line"]);
    let waiting = Waiting(waiting.stdin(Stdio::piped()).spawn().unwrap());
    until("it has its files", || handed(&gateway) == 1);
    let data = gateway.path("data").display().to_string();
    for attempt in [
        format!("cat {data}/handed/*/mcp.json"),
        format!("ls {data}/handed"),
        "echo x > $BAILIWICK_MCP_CONFIG".to_owned(),
        "touch $(dirname $BAILIWICK_MCP_CONFIG)/more".to_owned(),
        format!("cat $BAILIWICK_MCP_CONFIG > /dev/null && cat {data}/control.token"),
    ] {
        // The other's folder is known by name, as it could be learned from a list of processes.
        let other = std::fs::read_dir(gateway.path("data/handed")).unwrap();
        let other = other.map(|entry| entry.unwrap().path()).next().unwrap();
        let attempt = attempt.replace(
            "handed/*",
            &format!("handed/{}", other.file_name().unwrap().display()),
        );
        let mut asked = gateway.ask(&["run", "--task", "both", "--", "sh", "-c", &attempt]);
        let ran = ran(&mut asked);
        assert_ne!(ran.status, Some(0), "{attempt}: {}", ran.stdout);
        assert_eq!(ran.stdout, "", "{attempt}");
    }
    drop(waiting);
}

#[test]
fn a_process_that_takes_the_gateway_for_a_proxy_gets_it_and_its_authority() {
    if !can_confine() {
        return;
    }
    let gateway = gateway();
    let script = "env; cat $SSL_CERT_FILE";
    let ran = run(&gateway, "crm", script);
    let value = |name: &str| {
        let found = ran
            .stdout
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")));
        found
            .unwrap_or_else(|| panic!("no {name} in {}", ran.stdout))
            .to_owned()
    };
    let token = value("BAILIWICK_TOKEN");
    let url = value("BAILIWICK_URL");
    let proxy = value("HTTPS_PROXY");
    let at = url.strip_prefix("http://").unwrap();
    assert!(
        proxy.starts_with("http://run_") && proxy.ends_with(&format!(":{token}@{at}")),
        "{proxy}"
    );
    for name in ["HTTP_PROXY", "http_proxy", "https_proxy"] {
        assert_eq!(value(name), proxy);
    }
    assert_eq!(
        (value("NO_PROXY"), value("no_proxy")),
        ("127.0.0.1".to_owned(), "127.0.0.1".to_owned())
    );
    assert_eq!(value("NODE_USE_ENV_PROXY"), "1");
    let file = value("SSL_CERT_FILE");
    assert!(file.contains("/data/handed/run_"), "{file}");
    for name in [
        "CURL_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "REQUESTS_CA_BUNDLE",
    ] {
        assert_eq!(value(name), file);
    }
    assert!(ran.stdout.contains("-----BEGIN CERTIFICATE-----"));
    assert!(!ran.stdout.contains("BAILIWICK_MCP_CONFIG"));
}

#[test]
fn what_the_task_says_wins() {
    if !can_confine() {
        return;
    }
    let gateway = gateway();
    let script = "echo $BAILIWICK_TOKEN; echo $SSL_CERT_FILE; echo $HTTPS_PROXY; echo $HTTP_PROXY";
    let ran = run(&gateway, "own", script);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(
        lines[0].ends_with("/crm") && lines[1].ends_with("/crm"),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("bwk_"), "{lines:?}");
    assert!(lines[3].starts_with("http://run_"), "{lines:?}");
}

#[test]
fn open_says_the_same() {
    let gateway = gateway();
    let opened = ran(&mut gateway.ask(&["open", "--task", "both", "--json"]));
    let opened: Value = serde_json::from_str(&opened.stdout).unwrap();
    let token = opened["env"]["BAILIWICK_TOKEN"].as_str().unwrap();
    let server = &opened["mcp"]["mcpServers"]["helpdesk"];
    assert_eq!(
        server["headers"]["Authorization"],
        format!("Bearer {token}")
    );
    assert!(opened.get("ca").is_none());
    let proxied = ran(&mut gateway.ask(&["open", "--task", "crm", "--json"]));
    let proxied: Value = serde_json::from_str(&proxied.stdout).unwrap();
    assert!(
        proxied["ca"]
            .as_str()
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    assert!(proxied.get("mcp").is_none());
    let shown = ran(&mut gateway.ask(&["open", "--task", "both"]));
    assert!(
        shown
            .stdout
            .contains("export BAILIWICK_URL='http://127.0.0.1:"),
        "{}",
        shown.stdout
    );
}

/// A run that waits until this is gone.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
