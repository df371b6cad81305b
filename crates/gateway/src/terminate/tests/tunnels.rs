//! Agents that take the gateway for a proxy.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_run::Secret;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::house::{House, There, said, target, until};
use crate::target::Target;
use crate::upstream::Upstream;

const TASK: &str = r#"
task      = "t"
purpose   = "p"
launchers = ["human:*@acme.com"]
ttl       = "30m"
[[read]]
target   = "crm"
requests = ["GET /open/**"]
[[read]]
target   = "plain"
requests = ["GET /open/**"]
[[read]]
target   = "plain2"
requests = ["GET /two/**"]
"#;

/// As an agent names it.
const NAME: &str = "crm.test";

fn targets(port: u16) -> Vec<Target> {
    let at = |name: &str, url: &str| {
        let mut target = target(name, Upstream::default());
        target.endpoint = (target.protocol.endpoint)(url).unwrap();
        target
    };
    vec![
        // Nobody is there: it is answered in its name all the same, and that it cannot be reached is said
        // within.
        at("crm", "https://crm.test"),
        at("hr", "https://hr.test"),
        at("plain", &format!("http://127.0.0.1:{port}")),
        at("plain2", &format!("http://127.0.0.1:{port}/v2")),
    ]
}

async fn house() -> (House, There) {
    let there = There::new(|parts| http::Response::new(said(parts.uri.path()))).await;
    (House::of(TASK, targets(there.port)).await, there)
}

fn basic(user: &str, secret: &Secret) -> String {
    let both = BASE64_STANDARD.encode(format!("{user}:{}", secret.reveal()));
    format!("proxy-authorization: Basic {both}\r\n")
}

/// Asks for a tunnel; gives the answer's head, and the connection behind it.
async fn connect(house: &House, to: &str, fields: &str) -> (String, TcpStream) {
    let mut stream = house.connect().await;
    let request = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = until(&mut stream, "\r\n\r\n").await;
    (head, stream)
}

async fn secured(house: &House, stream: TcpStream, name: &str) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&house.authority()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

async fn entered(house: &House) -> TlsStream<TcpStream> {
    let to = format!("{NAME}:443");
    let (head, stream) = connect(house, &to, &basic("", &house.secret)).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    secured(house, stream, NAME).await.unwrap()
}

/// What came of a request that closes its connection.
async fn asked(mut stream: TlsStream<TcpStream>, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = timeout(Duration::from_secs(15), read)
        .await
        .expect("the connection stays open");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_is_for_requests_of_its_host_and_run_alone() {
    let (house, _there) = house().await;
    let run = house.run.id.to_string();
    for fields in [
        basic("", &house.secret),
        basic(&run, &house.secret),
        format!("proxy-authorization: Bearer {}\r\n", house.secret.reveal()),
    ] {
        let (head, _) = connect(&house, "CRM.test:443", &fields).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }
    // The scope is asked, for each request.
    let get = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: {NAME}\r\n{more}connection: close\r\n\r\n")
    };
    let answer = asked(entered(&house).await, &get("/closed", "")).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("GET /closed"), "{answer}");
    // What the target would be shown is not the agent's to say, and no reason to refuse.
    let own = "authorization: Bearer its-own\r\n";
    let answer = asked(entered(&house).await, &get("/closed", own)).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let records = house.recorded(3).await;
    assert!(records.matches("GET /closed").count() >= 2, "{records}");

    let other = Secret::new([3; 32]);
    let others = format!("authorization: Bearer {}\r\n", other.reveal());
    for (what, request) in [
        ("another host", get("/open/a", "").replace(NAME, "hr.test")),
        (
            "another port",
            get("/open/a", "").replace(NAME, "crm.test:8443"),
        ),
        ("two hosts", get("/open/a", "host: hr.test\r\n")),
        ("an address", get("https://hr.test/open/a", "")),
        (
            "another scheme",
            get("http://crm.test/open/a", "").replace("host: crm.test", "host: hr.test"),
        ),
        (
            "no host",
            get("/open/a", "").replace("host: crm.test\r\n", ""),
        ),
        ("another run", get("/open/a", &others)),
        (
            "a tunnel",
            get("hr.test:443", "")
                .replace("GET", "CONNECT")
                .replace("host: crm.test", "host: hr.test:443"),
        ),
    ] {
        let answer = asked(entered(&house).await, &request).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["400", "407", "501"].contains(&status), "{what}: {answer}");
    }
    // A credential that came along within is not looked at: the tunnel has its own.
    let more = basic("", &other);
    let answer = asked(entered(&house).await, &get("/closed", &more)).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let allowed = house.tally.allowed();
    assert_eq!(allowed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_have_a_tunnel_is_told_and_that_is_on_record() {
    let (house, _there) = house().await;
    let good = basic("", &house.secret);
    let records = house.records().len();
    // Not of a target, not in scope, not with TLS: nobody can tell which.
    let outside = [
        "evil.test:443",
        "hr.test:443",
        "crm.test:8443",
        "crm.test:80",
        "169.254.169.254:443",
        "[::ffff:169.254.169.254]:443",
        "localhost.:443",
        "crm.test.:443",
    ];
    for to in outside {
        let (head, mut stream) = connect(&house, to, &good).await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{to}: {head}");
        assert!(head.contains("connection: close"), "{to}: {head}");
        let mut rest = head;
        stream.read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains("outside the scope of run"), "{to}: {rest}");
    }
    assert_eq!(house.records().len(), records + outside.len());
    assert_eq!(house.tally.denied(), outside.len() as u64);
    // Not of a run.
    for fields in [
        String::new(),
        basic("", &Secret::new([3; 32])),
        basic("run_00000000000000000000000000", &house.secret),
        format!("{good}{}", basic("", &Secret::new([3; 32]))),
        "proxy-authorization: Basic !!!\r\n".into(),
        format!("authorization: Bearer {}\r\n", house.secret.reveal()),
    ] {
        let (head, _) = connect(&house, "crm.test:443", &fields).await;
        assert!(head.starts_with("HTTP/1.1 407 "), "{fields}: {head}");
        assert!(head.contains("proxy-authenticate: Basic"), "{head}");
    }
    // Not in a form that has one meaning.
    for (to, fields) in [
        ("crm.test:443", "content-length: 4\r\n"),
        ("crm.test:443", "transfer-encoding: chunked\r\n"),
    ] {
        let (head, _) = connect(&house, to, &format!("{good}{fields}")).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{to} {fields}: {head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_tunnel_that_is_refused_is_not_read() {
    let (house, there) = house().await;
    let secret = house.secret.reveal();
    let good = basic("", &house.secret);
    let request = format!(
        "CONNECT evil.test:443 HTTP/1.1\r\nhost: evil.test:443\r\n{good}\r\n\
         GET /plain/open/a HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {secret}\r\n\r\n"
    );
    let answer = house.raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert_eq!(there.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_another_host_in_the_hello_is_not_let_in() {
    let (house, _there) = house().await;
    let good = basic("", &house.secret);
    for name in ["hr.test", "evil.test"] {
        let (head, stream) = connect(&house, "crm.test:443", &good).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(secured(&house, stream, name).await.is_err(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_target_is_reached_by_its_address() {
    let (house, there) = house().await;
    let port = there.port;
    let good = basic("", &house.secret);
    let get = |url: &str, host: &str| {
        format!("GET {url} HTTP/1.1\r\nhost: {host}\r\n{good}connection: close\r\n\r\n")
    };
    let here = format!("127.0.0.1:{port}");
    let answer = house
        .raw(get(&format!("http://{here}/open/a"), &here).as_bytes())
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("/open/a"),
        "{answer}"
    );
    // Of several targets at one address, the one whose path is longest.
    let answer = house
        .raw(get(&format!("http://{here}/v2/two/b"), &here).as_bytes())
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("/v2/two/b"),
        "{answer}"
    );
    let answer = house
        .raw(get(&format!("http://{here}/v2/open/a"), &here).as_bytes())
        .await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let answer = house
        .raw(get(&format!("http://{here}/v22/open/a"), &here).as_bytes())
        .await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(there.count(), 2);
    for (url, host) in [
        (format!("http://{here}/open/a"), "evil.test".to_owned()),
        (
            format!("http://localhost:{port}/open/a"),
            format!("localhost:{port}"),
        ),
        (format!("https://{here}/open/a"), here.clone()),
        (
            format!("http://127.0.0.1:{}/open/a", port ^ 1),
            format!("127.0.0.1:{}", port ^ 1),
        ),
        (format!("http://user@{here}/open/a"), here.clone()),
        (format!("ftp://{here}/open/a"), here.clone()),
    ] {
        let answer = house.raw(get(&url, &host).as_bytes()).await;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(["400", "403"].contains(&status), "{url} {host}: {answer}");
    }
    assert_eq!(there.count(), 2);
}
