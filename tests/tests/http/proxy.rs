//! The gateway as a proxy, for tools whose base URL cannot be changed, and WebSockets.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use bailiwick_tests::{
    CREDENTIAL, Finished, Peer, World, actions, certificate, finish, http_task, lines, node_web,
    python_web,
};
use serde_json::{Value, json};

use crate::credentials::Files;
use crate::kit::{
    TRIAGE, address, arrived, arrived_once, before_crm, call, crm, curl_command, drain, field,
    finished, mark, raw, section,
};

/// A gateway in front of the CRM by http and of another by https, both by the name of this machine, with a
/// task whose process gets the gateway as its proxy.
struct Proxied {
    world: World,
    secure: Peer,
    _files: Files,
}

fn proxied() -> Proxied {
    let server = certificate("localhost");
    let files = Files::new();
    let chain = files.write("chain.pem", &server.server.chain);
    let key = files.write("key.pem", &server.server.key);
    let ca = files.write("ca.pem", &server.authority);
    let secure = Peer::crm_with(|crm| {
        crm.env(
            "CRM_CREDENTIAL",
            format!("Authorization: Bearer {CREDENTIAL}"),
        )
        .arg("--tls")
        .args([&chain, &key])
    });
    let url = format!("https://localhost:{}", secure.port());
    let here = crm().url("").replace("127.0.0.1", "localhost");
    let other =
        section(&url, &format!("ca = {ca:?}\n")).replace("[targets.crm]", "[targets.secure]");
    let both = format!("{TRIAGE}{}", TRIAGE.replace("\"crm\"", "\"secure\""));
    let (name, text) = http_task("proxied", &both);
    let text = text.replacen("ttl = \"10m\"\n", "ttl = \"10m\"\nproxy = true\n", 1);
    let world = World::builder()
        .section(&section(&here, ""))
        .section(&other)
        .variable("CRM_TOKEN", CREDENTIAL)
        .task((name, text))
        .task(http_task("narrow", TRIAGE))
        .start();
    Proxied {
        world,
        secure,
        _files: files,
    }
}

impl Proxied {
    /// Runs a client as the agent of a run; gives what it did, and the run's id.
    fn run(&self, client: &Command) -> (Finished, String) {
        let mut run = self
            .world
            .command(&["run", "--task", "proxied", "--unconfined"]);
        for (name, value) in client.get_envs() {
            if let Some(value) = value {
                run.env(name, value).arg("--env").arg(name);
            }
        }
        run.arg("--")
            .arg(client.get_program())
            .args(client.get_args());
        let finished = finish(&mut run);
        let said = finished.stderr.split_whitespace();
        let id = said.clone().find(|word| word.starts_with("run_"));
        let id = id
            .unwrap_or_else(|| panic!("no run: {finished:#?}"))
            .to_owned();
        (finished, id)
    }
}

#[test]
fn clients_reach_targets_by_their_own_addresses() {
    let proxied = proxied();
    let plain = crm().url("").replace("127.0.0.1", "localhost");
    let secure = format!("https://localhost:{}", proxied.secure.port());
    for client in ["requests", "httpx", "fetch"] {
        // Node has a tunnel for http as well.
        for base in [&plain, &secure] {
            let mark = mark();
            let requests = json!([
                {"url": format!("{base}/customers/ada?q={mark}"), "headers": {"Authorization": "Bearer the-agents", "Cookie": "a=b"}},
                {"url": format!("{base}/customers/ada/secrets?q={mark}")},
            ]);
            let mut command = match client {
                "fetch" => node_web("http_client.mjs"),
                _ => {
                    let mut python = python_web("http_client.py");
                    python.arg(client);
                    python
                }
            };
            command.arg(requests.to_string());
            let (finished, run) = proxied.run(&command);
            let lines = lines(&finished);
            assert_eq!(lines[0]["status"], 200, "{client} {base}: {finished:#?}");
            assert_eq!(lines[1]["status"], 403, "{client} {base}: {finished:#?}");
            let body: Value = lines[0]["body"]
                .as_str()
                .and_then(|body| serde_json::from_str(body).ok())
                .expect("JSON");
            assert_eq!(body["emails"][0], "[masked:email]", "{client} {base}");
            assert_eq!(body["card"], "[masked]");
            let mut entries = match *base == plain {
                true => arrived(&mark),
                false => proxied.secure.journal.entries(),
            };
            entries.retain(|entry| entry.to_string().contains(&mark));
            assert_eq!(entries.len(), 1, "{entries:#?}");
            let authorization = format!("Bearer {CREDENTIAL}");
            assert_eq!(field(&entries[0], "authorization"), Some(authorization));
            for name in ["cookie", "proxy-authorization", "proxy-connection"] {
                assert_eq!(field(&entries[0], name), None, "{entries:#?}");
            }
            let trail = proxied.world.trail(&run);
            let record = &call(&trail, &mark)["record"];
            assert_eq!(actions(record), ["request GET /customers/ada"]);
        }
    }
    proxied.world.verify();
}

#[test]
fn what_is_no_target_is_not_reached() {
    let proxied = proxied();
    let run = proxied.world.open("proxied");
    let proxy = format!("http://{}", address(&proxied.world));
    let user = format!("{}:{}", run.id, run.token());
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("a socket");
    let port = elsewhere.local_addr().expect("its address").port();
    for url in [
        format!("http://localhost:{port}/"),
        format!("https://localhost:{port}/"),
        format!("http://127.0.0.1:{}/customers/ada", crm().port()),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://evil.example/".to_owned(),
    ] {
        let mut curl = curl_command(&["--proxy", &proxy, "--proxy-user", &user], &url);
        let finished = finish(curl.arg("--proxytunnel").arg("--noproxy").arg(""));
        let plain = finish(&mut curl_command(
            &["--proxy", &proxy, "--proxy-user", &user, "--noproxy", ""],
            &url,
        ));
        for finished in [finished, plain] {
            let said = format!("{}{}", finished.stdout, finished.stderr);
            assert!(said.contains("403"), "{url}: {finished:#?}");
        }
    }
    assert!(elsewhere.accept().is_err(), "the gateway went there");
    // A tunnel to a target is had by runs that may use it.
    let secure = format!("localhost:{}", proxied.secure.port());
    let narrow = proxied.world.open("narrow");
    for (run, status) in [(&narrow, "403"), (&run, "200")] {
        let connect = format!(
            "CONNECT {secure} HTTP/1.1\r\nHost: {secure}\r\nProxy-Authorization: Bearer {}\r\n\r\n",
            run.token()
        );
        let mut stream = TcpStream::connect(address(&proxied.world)).expect("a connection");
        stream.write_all(connect.as_bytes()).expect("a request");
        let (answer, _) = drain(&mut stream, Duration::from_secs(1));
        let begins = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&begins), "{answer}");
    }
    // Without a run's secret it is nobody's proxy.
    let answer = raw(
        &proxied.world,
        format!("CONNECT {secure} HTTP/1.1\r\nConnection: close\r\nHost: {secure}\r\n\r\n")
            .as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 407"), "{answer}");
    assert!(proxied.secure.journal.entries().is_empty());
    let trail = proxied.world.trail(&run.id);
    for host in [
        format!("localhost:{port}"),
        "169.254.169.254".to_owned(),
        "evil.example".to_owned(),
    ] {
        let denied = trail.iter().filter(|entry| {
            entry["record"]["decision"]["effect"] == "deny"
                || entry["record"]["type"] == "login.denied"
        });
        let denied = denied.filter(|entry| entry.to_string().contains(&host));
        assert!(denied.count() >= 1, "{host}: {trail:#?}");
    }
    proxied.world.verify();
}

#[test]
fn messages_of_a_websocket_are_calls() {
    let grants = format!("{TRIAGE}[[write]]\ntarget = \"crm\"\nrequests = [\"WEBSOCKET /ws\"]\n");
    let world = before_crm(&grants).task(http_task("deaf", TRIAGE)).start();
    let url = world.http("crm").replacen("http", "ws", 1);
    for client in ["httpx", "fetch"] {
        let (run, deaf) = (world.open("triage"), world.open("deaf"));
        let (one, two) = (mark(), mark());
        let asks = |run: &bailiwick_tests::Run, messages: Value| {
            let headers = json!({"Authorization": format!("Bearer {}", run.token())});
            json!({"url": format!("{url}/ws"), "headers": headers, "messages": messages})
        };
        let mut command = match client {
            "fetch" => node_web("http_client.mjs"),
            _ => {
                let mut python = python_web("http_client.py");
                python.arg(client);
                python
            }
        };
        command.arg(
            json!([
                asks(&run, json!([one, "2", "bye"])),
                asks(&deaf, json!([two]))
            ])
            .to_string(),
        );
        let finished_client = finish(&mut command);
        let lines = lines(&finished_client);
        let messages = &lines[0]["messages"];
        assert_eq!(messages[0], one, "{client}: {finished_client:#?}");
        let text = messages[1].as_str().unwrap_or_default();
        assert!(
            text.contains("[masked:card]") && !text.contains("4111 1111"),
            "{client}: {text}"
        );
        assert_eq!(lines[0]["closed"], 1000, "{client}: {finished_client:#?}");
        assert!(
            !lines[1]["error"].is_null(),
            "{client}: {finished_client:#?}"
        );
        assert_eq!(arrived_once(&one)["message"], one);
        assert!(arrived(&two).is_empty());
        let trail = finished(&world, &run);
        let record = &call(&trail, &one)["record"];
        assert_eq!(record["call"]["verb"], "MESSAGE", "{record:#}");
        let calls: Vec<_> = trail
            .iter()
            .filter(|entry| entry["record"]["type"] == "call.decided")
            .collect();
        assert_eq!(calls.len(), 4, "{trail:#?}");
    }
    world.verify();
}
