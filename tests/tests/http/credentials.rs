//! The ways in which the gateway shows who it is to its target, each to a server that lets nobody else in.

use std::path::PathBuf;
use std::time::Duration;

use bailiwick_tests::{Peer, World, certificate, http_task};
use tempfile::TempDir;

use crate::kit::{TRIAGE, before, crm, curl, field, section};

/// Certificates and keys as files.
pub(crate) struct Files {
    folder: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }
}

/// What a target got at this path: the last of it.
fn last(peer: &Peer, path: &str) -> serde_json::Value {
    let entries = peer.journal.requests("GET", path);
    entries.last().expect("a request").clone()
}

#[test]
fn basic_in_the_url_and_beside_it() {
    // `svc:p ss` in base64.
    let crm = Peer::crm_with(|crm| crm.env("CRM_CREDENTIAL", "Authorization: Basic c3ZjOnAgc3M="));
    let auth = "auth = { user = \"svc\", password = \"${PASS}\" }\n";
    let beside =
        section(&crm.url(""), auth).replacen("auth = { bearer = \"${CRM_TOKEN}\" }\n", "", 1);
    let url = crm.url("").replace("http://", "http://svc:${PASS}@");
    let inside = section(&url, "").replacen("auth = { bearer = \"${CRM_TOKEN}\" }\n", "", 1);
    for (section, password) in [(beside, "p ss"), (inside, "p ss")] {
        let world = World::builder()
            .section(&section)
            .variable("PASS", password)
            .task(http_task("triage", TRIAGE))
            .start();
        let run = world.open("triage");
        let answer = curl(&world, &run, &[], "/customers/ada");
        // What stands in the environment is put into a URL as it is.
        assert_eq!(answer.status, 200, "{answer:#?}");
        let entry = last(&crm, "/customers/ada");
        assert_eq!(
            field(&entry, "authorization").as_deref(),
            Some("Basic c3ZjOnAgc3M=")
        );
        world.verify();
    }
    // Without, the target's refusal is an answer like others; how it asks for a login is not the agent's.
    let world = World::builder()
        .section(&section(&crm.url(""), "").replacen(
            "auth = { bearer = \"${CRM_TOKEN}\" }\n",
            "",
            1,
        ))
        .task(http_task("triage", TRIAGE))
        .start();
    let run = world.open("triage");
    let answer = curl(&world, &run, &[], "/customers/ada");
    assert!((400..600).contains(&answer.status), "{answer:#?}");
    assert!(!answer.head.contains("realm=\"crm\""), "{answer:#?}");
}

/// A field of its own, and a certificate, over TLS.
#[test]
fn a_field_and_a_certificate() {
    let (server, client) = (certificate("localhost"), certificate("gateway"));
    let files = Files::new();
    let chain = files.write("chain.pem", &server.server.chain);
    let key = files.write("key.pem", &server.server.key);
    let ca = files.write("ca.pem", &server.authority);
    let client_ca = files.write("client-ca.pem", &client.authority);
    let shown = files.write("shown.pem", &client.server.chain);
    let shown_key = files.write("shown-key.pem", &client.server.key);
    let peer = Peer::crm_with(|crm| {
        crm.env("CRM_CREDENTIAL", "X-Api-Key: key of the gateway")
            .arg("--tls")
            .args([&chain, &key])
            .arg("--client-ca")
            .arg(&client_ca)
    });
    let url = format!("https://localhost:{}", peer.port());
    let auth = "auth = { header = \"X-Api-Key\", value = \"key of ${WHO}\" }\n";
    let world = |lines: &str| {
        let section = section(&url, &format!("{auth}{lines}"));
        World::builder()
            .section(&section.replacen("auth = { bearer = \"${CRM_TOKEN}\" }\n", "", 1))
            .variable("WHO", "the gateway")
            .task(http_task("triage", TRIAGE))
            .start()
    };
    let certificate = format!("client_cert = {shown:?}\nclient_key = {shown_key:?}\n");
    let all = world(&format!("ca = {ca:?}\n{certificate}"));
    let run = all.open("triage");
    let answer = curl(
        &all,
        &run,
        &["--header", "X-Api-Key: the agent's"],
        "/customers/ada",
    );
    assert_eq!(answer.status, 200, "{answer:#?}");
    let entry = last(&peer, "/customers/ada");
    assert_eq!(
        field(&entry, "x-api-key").as_deref(),
        Some("key of the gateway")
    );
    assert_eq!(entry["tls"], true);
    all.verify();
    // Without the certificate, or without trust in the server's, nothing is sent.
    for lines in [format!("ca = {ca:?}\n"), certificate] {
        let world = world(&lines);
        let run = world.open("triage");
        let answer = curl(&world, &run, &[], "/notes");
        answer.problem(502);
        world.verify();
    }
    assert!(peer.journal.requests("GET", "/notes").is_empty());
}

/// OAuth client credentials, over TLS and HTTP/2.
#[test]
fn tokens_by_client_credentials_over_http_2() {
    let server = certificate("localhost");
    let files = Files::new();
    let chain = files.write("chain.pem", &server.server.chain);
    let key = files.write("key.pem", &server.server.key);
    let ca = files.write("ca.pem", &server.authority);
    let peer = Peer::crm_with(|crm| {
        crm.env("CRM_CLIENT", "gateway:its secret")
            .env("CRM_TOKEN_SECONDS", "2")
            .args(["--http2", "--tls"])
            .args([&chain, &key])
    });
    let url = format!("https://localhost:{}", peer.port());
    let auth = format!(
        "auth = {{ token_url = \"{url}/oauth/token\", client_id = \"gateway\", \
         client_secret = \"${{SECRET}}\", scope = \"crm.read\" }}\nca = {ca:?}\n"
    );
    let section = section(&url, &auth);
    let world = World::builder()
        .section(&section.replacen("auth = { bearer = \"${CRM_TOKEN}\" }\n", "", 1))
        .variable("SECRET", "its secret")
        .task(http_task("triage", TRIAGE))
        .start();
    let run = world.open("triage");
    for asked in [1, 1, 2] {
        if asked == 2 {
            std::thread::sleep(Duration::from_millis(2_200));
        }
        let answer = curl(&world, &run, &[], "/customers/ada");
        assert_eq!(answer.status, 200, "{answer:#?}");
        assert!(answer.body.contains("[masked:email]"), "{answer:#?}");
        let tokens = peer.journal.requests("POST", "/oauth/token");
        assert_eq!(tokens.len(), asked, "{tokens:#?}");
        assert!(tokens[0]["body"].to_string().contains("scope=crm.read"));
        let entry = last(&peer, "/customers/ada");
        assert_eq!(entry["http"], "2");
        let shown = field(&entry, "authorization").expect("a token");
        assert!(shown.starts_with("Bearer "), "{shown}");
        assert!(!format!("{:?}", world.trail(&run.id)).contains(&shown[7..]));
    }
    world.verify();
}

/// What a target's base is stands before every path, and there is no way out of it.
#[test]
fn a_base_is_not_left() {
    let world = before(
        &crm().url("/echo"),
        "[[read]]\ntarget = \"crm\"\nrequests = [\"GET /**\"]\n",
    )
    .start();
    let (run, mark) = (world.open("triage"), crate::kit::mark());
    curl(&world, &run, &[], &format!("/a/b?q={mark}"));
    assert_eq!(
        crate::kit::arrived_once(&mark)["target"],
        format!("/echo/a/b?q={mark}")
    );
    for path in [
        "/../customers",
        "/%2e%2e/customers",
        "/..%2fcustomers",
        "/..",
        "//customers",
    ] {
        let mark = crate::kit::mark();
        curl(&world, &run, &[], &format!("{path}?q={mark}")).problem(400);
        crate::kit::denied(&world, &run, &mark);
    }
    world.verify();
}
