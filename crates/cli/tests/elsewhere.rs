//! A gateway on another machine, which is asked at its address by whoever has a token.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails panics"
)]

mod common;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use common::{Ran, announced, bailiwick, can_confine, elsewhere, ran, until};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A gateway behind something that ends TLS, as in production.
struct Far {
    folder: TempDir,
    gateway: Child,
    front: Option<Runtime>,
    url: String,
    control: String,
}

impl Far {
    fn start(advertise: &str) -> Self {
        Self::at("localhost", advertise)
    }

    /// At this host, which has to lead here.
    fn at(host: &str, advertise: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("tasks")).unwrap();
        fs::create_dir(path("policies")).unwrap();
        fs::write(path("tasks/look.toml"), TASK).unwrap();
        fs::write(path("token"), format!("{TOKEN}\n")).unwrap();
        let front = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{host}:{}", front.local_addr().unwrap().port());
        let config = CONFIG
            .replace("ADVERTISE\n", advertise)
            .replace("URL", &url);
        fs::write(path("bailiwick.toml"), config).unwrap();
        let (gateway, said) = announced(
            bailiwick()
                .args(["serve", "--config"])
                .arg(path("bailiwick.toml"))
                .env("SUPPORT_TOKEN", TOKEN),
        );
        let control = said.iter().find_map(|line| line.split("http://").nth(1));
        let control = control.unwrap().trim().to_owned();
        let front = end_tls(front, host, control.parse().unwrap(), &path("ca.pem"));
        Self {
            folder,
            gateway,
            front: Some(front),
            url,
            control,
        }
    }

    /// As somebody with the token asks, who trusts the authority.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = bailiwick();
        self.asking(command.args(arguments));
        command
    }

    /// A command in the environment of somebody who asks so.
    fn asking<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("BAILIWICK_GATEWAY", &self.url)
            .env("BAILIWICK_TOKEN", TOKEN)
            .env("BAILIWICK_CA_FILE", self.folder.path().join("ca.pem"))
            .current_dir(elsewhere())
    }

    fn ask(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }

    /// The newest run.
    fn last(&self) -> serde_json::Value {
        let listed = self.ask(&["runs", "--json"]);
        assert_eq!(listed.status, Some(0), "{}", listed.stderr);
        serde_json::from_str(listed.stdout.lines().next().unwrap()).unwrap()
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        if let Some(front) = self.front.take() {
            front.shutdown_background();
        }
        let _ = self.gateway.kill();
        let _ = self.gateway.wait();
    }
}

/// Ends TLS for a host, and passes on what comes. Who vouches for it stands in the file.
fn end_tls(front: TcpListener, host: &str, to: SocketAddr, authority: &std::path::Path) -> Runtime {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    fs::write(authority, ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new([host.to_owned()]).unwrap();
    let chain = vec![server.signed_by(&key, &issuer).unwrap().der().clone()];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    front.set_nonblocking(true).unwrap();
    runtime.spawn(async move {
        let front = tokio::net::TcpListener::from_std(front).unwrap();
        while let Ok((stream, _)) = front.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut behind = tokio::net::TcpStream::connect(to).await?;
                let mut stream = acceptor.accept(stream).await?;
                tokio::io::copy_bidirectional(&mut stream, &mut behind).await
            });
        }
    });
    runtime
}

#[test]
fn a_workflow_launches_and_looks_from_elsewhere() {
    let far = Far::start("advertise = \"gateway.test\"\n");
    let opened = far.ask(&["open", "--task", "look", "--json", "--reason", "a look"]);
    assert_eq!(opened.status, Some(0), "{}", opened.stderr);
    let opened: serde_json::Value = serde_json::from_str(&opened.stdout).unwrap();
    assert_eq!(opened["launcher"], "workflow:github:acme/support");
    let url = opened["env"]["DATABASE_URL"].as_str().unwrap();
    assert!(url.contains("@gateway.test:"), "{url}");
    let run = opened["run"].as_str().unwrap();
    let record = format!("{run}/1");
    for (arguments, says) in [
        (["trail", run].as_slice(), "opened"),
        (&["show", &record], "workflow:github:acme/support"),
        (&["search", "look"], run),
        (&["approvals"], ""),
        (&["suspend", run], "suspended"),
        (&["close", run], "closed"),
    ] {
        let done = far.ask(arguments);
        assert_eq!(done.status, Some(0), "{arguments:?}: {}", done.stderr);
        assert!(done.stdout.contains(says), "{arguments:?}: {}", done.stdout);
    }
    // What is for people, or not for this token's roles, is refused in words.
    for (arguments, says) in [
        (["console"].as_slice(), "gateway's own machine"),
        (
            &["deny", "apr_00000000000000000000000000", "--reason", "x"],
            "approver",
        ),
        (&["prune", "--older-than", "1h"], "role `admin`"),
    ] {
        let refused = far.ask(arguments);
        assert_eq!(refused.status, Some(2), "{arguments:?}");
        assert!(
            refused.stderr.contains(says),
            "{arguments:?}: {}",
            refused.stderr
        );
    }
}

#[test]
fn nobody_else_is_taken_for_the_gateway_and_no_token_goes_in_clear() {
    let far = Far::start("");
    let port = far.url.rsplit_once(':').unwrap().1;
    let ask = |gateway: &str, change: &dyn Fn(&mut Command)| {
        let mut command = far.command(&["runs", "--gateway", gateway]);
        change(&mut command);
        let asked = ran(&mut command);
        assert_eq!(asked.status, Some(2), "{gateway}: {}", asked.stdout);
        asked.stderr
    };
    let nothing = |_: &mut Command| {};
    let system = |command: &mut Command| {
        command.env_remove("BAILIWICK_CA_FILE");
    };
    let said = ask(&far.url, &system);
    assert!(said.contains("certificate"), "{said}");
    let said = ask(&format!("https://127.0.0.1:{port}"), &nothing);
    assert!(said.contains("certificate"), "{said}");
    for plain in ["http://gateway.acme.internal:7400", "http://10.0.0.1:7400"] {
        let said = ask(plain, &nothing);
        assert!(said.contains("for this machine alone"), "{said}");
    }
    for (token, says) in [
        ("", "there is no token"),
        ("bwk_0123", "credential of a run"),
        ("fedcba9876543210fedcba9876543210", "Authorization"),
    ] {
        let said = ask(&far.url, &|command| {
            command.env("BAILIWICK_TOKEN", token);
        });
        assert!(said.contains(says), "{said}");
        assert!(token.len() < 9 || !said.contains(token), "{said}");
    }
    // Nor to a log that is verified. This address leads here, and is not known to.
    let log = TcpListener::bind("127.0.0.1:0").unwrap();
    log.set_nonblocking(true).unwrap();
    let url = format!("http://0.0.0.0:{}", log.local_addr().unwrap().port());
    let key = far.folder.path().join("data/log.vkey");
    let key = fs::read_to_string(key).unwrap();
    let asked = far.ask(&["verify", "--offline", "--key", key.trim(), "--url", &url]);
    assert_eq!(asked.status, Some(2));
    assert!(asked.stderr.contains("is not sent to"), "{}", asked.stderr);
    assert!(log.accept().is_err(), "it was asked");
    // Nor to another gateway than the one that it is for.
    let other = format!("https://localhost:{}", log.local_addr().unwrap().port());
    let asked = far.ask(&["verify", "--offline", "--key", key.trim(), "--url", &other]);
    assert_eq!(asked.status, Some(2));
    assert!(asked.stderr.contains("is not sent to"), "{}", asked.stderr);
    assert!(log.accept().is_err(), "it was asked");
    // On the machine itself, without TLS.
    let near = format!("http://{}", far.control);
    let asked = far.ask(&["runs", "--gateway", &near]);
    assert_eq!(asked.status, Some(0), "{}", asked.stderr);
}

#[test]
fn a_command_runs_here_for_a_gateway_elsewhere() {
    if !can_confine() {
        return;
    }
    let far = Far::start("advertise = \"gateway.test\"\n");
    let file = far.folder.path().join("token").display().to_string();
    let ca = far.folder.path().join("ca.pem").display().to_string();
    let script = format!(
        "echo $DATABASE_URL; echo token:$BAILIWICK_TOKEN; cat {file} || echo kept; cat /proc/$PPID/environ || echo kept; \
         echo x >> {ca} || echo kept; exit 7"
    );
    let mut command = far.command(&[
        "run",
        "--task",
        "look",
        "--token-file",
        &file,
        "--",
        "sh",
        "-c",
        &script,
    ]);
    let ran = ran(&mut command);
    assert_eq!(ran.status, Some(7), "{}", ran.stderr);
    assert!(ran.stdout.contains("@gateway.test:"), "{}", ran.stdout);
    assert!(
        ran.stdout.ends_with("token:\nkept\nkept\nkept\n"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains(TOKEN), "{}", ran.stdout);
    let run = far.last();
    assert_eq!(
        (&run["confinement"], &run["ending"]),
        (&"landlock".into(), &"closed".into())
    );
    let passed = far.ask(&[
        "run",
        "--task",
        "look",
        "--env",
        "BAILIWICK_TOKEN",
        "--",
        "true",
    ]);
    assert_eq!(passed.status, Some(125));
    assert!(
        passed.stderr.contains("no agent gets that"),
        "{}",
        passed.stderr
    );
}

/// What the launcher may ask besides is not for the agent of a run of another gateway.
#[test]
fn a_run_does_not_reach_the_socket_of_another_gateway() {
    // A place of the system, here for these processes alone.
    let apart = |script: &str| {
        let mut command = Command::new("unshare");
        let before = "mount -t tmpfs none /run && mkdir /run/bailiwick && echo secret > /run/bailiwick/control.token";
        command.args(["--mount", "sh", "-c", &format!("{before} && {script}")]);
        command
    };
    if !can_confine() || ran(&mut apart("true")).status != Some(0) {
        eprintln!("skipped: this user cannot mount");
        return;
    }
    let far = Far::start("advertise = \"gateway.test\"\n");
    let mut command = apart(&format!(
        "exec {} run --task look -- cat /run/bailiwick/control.token",
        env!("CARGO_BIN_EXE_bailiwick")
    ));
    let tried = ran(far.asking(&mut command));
    assert_eq!(tried.status, Some(1), "{}", tried.stderr);
    assert_eq!(tried.stdout, "");
}

#[test]
fn a_command_ends_with_its_run_wherever_the_gateway_is() {
    if !can_confine() {
        return;
    }
    let mut far = Far::start("advertise = \"gateway.test\"\n");
    let start = |far: &Far| {
        let marker = far.folder.path().join("began");
        let _ = fs::remove_file(&marker);
        let script = "echo began; sleep 600";
        let mut command = far.command(&["run", "--task", "look", "--", "sh", "-c", script]);
        command.stderr(Stdio::null());
        command.stdout(fs::File::create(&marker).unwrap());
        let child = command.spawn().unwrap();
        until("it has begun", || {
            fs::read_to_string(&marker).unwrap().contains("began")
        });
        child
    };
    let mut child = start(&far);
    let revoked = far.ask(&["revoke", "last"]);
    assert_eq!(revoked.status, Some(0), "{}", revoked.stderr);
    assert_eq!(child.wait().unwrap().code(), Some(122));
    // The way between them is lost.
    let mut child = start(&far);
    let near = format!("http://{}", far.control);
    far.front.take().unwrap().shutdown_background();
    assert_eq!(child.wait().unwrap().code(), Some(122));
    until("the run is closed", || {
        let listed = far.ask(&["runs", "--json", "--ended", "--gateway", &near]);
        listed.stdout.lines().count() == 2
    });
}

#[test]
fn a_gateway_that_sends_agents_home_is_not_launched_on_from_elsewhere() {
    if !can_confine() {
        return;
    }
    // By a tunnel the gateway is at `localhost`, and so are the addresses that it hands out.
    let near = Far::start("").ask(&["run", "--task", "look", "--", "true"]);
    assert_eq!(near.status, Some(0), "{}", near.stderr);
    let far = Far::at("0.0.0.0", "");
    let refused = far.ask(&["run", "--task", "look", "--", "echo", "started"]);
    assert_eq!(refused.status, Some(125), "{}", refused.stderr);
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.contains("`advertise`"), "{}", refused.stderr);
    until("its run is closed", || far.last()["ending"] == "closed");
    let opened = far.ask(&["open", "--task", "look"]);
    assert_eq!(opened.status, Some(0));
    assert!(opened.stderr.contains("`advertise`"), "{}", opened.stderr);
}

const CONFIG: &str = r#"
name = "test/bailiwick"
[listen]
postgres = "127.0.0.1:0"
control = "127.0.0.1:0"
ADVERTISE
[console]
url = "URL"
[[tokens]]
name = "github:acme/support"
secret = "${SUPPORT_TOKEN}"
roles = ["operator"]
[targets.db]
kind = "postgres"
url = "postgres://svc@127.0.0.1:1/db?sslmode=disable"
"#;

const TASK: &str = r#"
task = "look"
purpose = "Look at something"
launchers = ["workflow:github:acme/*"]
ttl = "5m"
[env]
DATABASE_URL = "db"
[[read]]
target = "db"
tables = ["public.things"]
"#;
