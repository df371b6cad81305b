//! What the tests of the binary share.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The binary, in an environment without anything that could lead it elsewhere.
pub(crate) fn bailiwick() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    at_home(&mut command);
    command
}

/// The binary by `setpriv`, with these options of it.
pub(crate) fn as_others(options: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(options).arg(env!("CARGO_BIN_EXE_bailiwick"));
    at_home(&mut command);
    command
}

fn at_home(command: &mut Command) {
    for name in [
        "BAILIWICK_CA_FILE",
        "BAILIWICK_CONFIG",
        "BAILIWICK_GATEWAY",
        "BAILIWICK_LOG",
        "BAILIWICK_TOKEN",
        "BAILIWICK_TOKEN_FILE",
    ] {
        command.env_remove(name);
    }
}

/// What a command wrote and how it ended.
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn ran(command: &mut Command) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    Ran {
        status: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// Whether this kernel can confine; without it those tests have nothing to say.
pub(crate) fn can_confine() -> bool {
    let can = ran(bailiwick().args(["confined", "--", "true"])).status == Some(0);
    if !can {
        eprintln!("skipped: this kernel has no Landlock of ABI 6");
    }
    can
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "waited in vain: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A gateway in a folder of its own. Its target does not exist: nothing here asks it.
pub(crate) struct Gateway {
    pub(crate) folder: TempDir,
    pub(crate) process: Child,
}

impl Gateway {
    pub(crate) fn start() -> Self {
        let task = |confine: &str| TASK.replace("CONFINE\n", confine);
        let alone = task("confine = \"gateway-only\"\n");
        Self::start_with(CONFIG, &[("look", &task("")), ("alone", &alone)])
    }

    /// With this configuration, and with tasks of these names and texts.
    pub(crate) fn start_with(config: &str, tasks: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::create_dir(path.join("tasks")).unwrap();
        std::fs::create_dir(path.join("policies")).unwrap();
        std::fs::write(path.join("bailiwick.toml"), config).unwrap();
        for (name, text) in tasks {
            let text = format!("task = \"{name}\"\n{text}");
            std::fs::write(path.join(format!("tasks/{name}.toml")), text).unwrap();
        }
        let process = serve(path);
        Self { folder, process }
    }

    /// Starts it again, once it has stopped.
    pub(crate) fn serve(&mut self) {
        self.process = serve(self.folder.path());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command that asks this gateway.
    pub(crate) fn ask(&self, command: &[&str]) -> Command {
        let mut asking = bailiwick();
        asking.env("BAILIWICK_CONFIG", self.path("bailiwick.toml"));
        asking.args(command).current_dir(elsewhere());
        asking
    }

    /// The runs, the newest first.
    pub(crate) fn runs(&self) -> Vec<serde_json::Value> {
        let listed = ran(&mut self.ask(&["runs", "--json"]));
        assert_eq!(listed.status, Some(0), "{}", listed.stderr);
        let lines = listed.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(folder: &Path) -> Child {
    let mut serve = bailiwick();
    serve
        .arg("serve")
        .arg("--config")
        .arg(folder.join("bailiwick.toml"));
    serving(serve.env("TEST_PASSWORD", "s3:cr@t"))
}

/// Starts a gateway, and waits until it is there.
pub(crate) fn serving(serve: &mut Command) -> Child {
    announced(serve).0
}

/// The same, with what it says of itself.
pub(crate) fn announced(serve: &mut Command) -> (Child, Vec<String>) {
    let mut process = serve.stdout(Stdio::piped()).spawn().unwrap();
    let stdout = process.stdout.take().unwrap();
    let mut said: Vec<String> = Vec::new();
    for line in BufReader::new(stdout).lines().map(Result::unwrap) {
        said.push(line);
        if said.last().is_some_and(|line| line.contains("targets")) {
            break;
        }
    }
    let first = said.first().unwrap();
    assert!(first.contains("test/bailiwick"), "{said:?}");
    (process, said)
}

/// A folder that leads to nothing hidden.
pub(crate) fn elsewhere() -> &'static Path {
    Path::new("/usr")
}

const CONFIG: &str = r#"
name = "test/bailiwick"
[listen]
postgres = "127.0.0.1:0"
[targets.db]
kind = "postgres"
url = "postgres://svc:${TEST_PASSWORD}@127.0.0.1:1/db?sslmode=disable"
"#;

const TASK: &str = r#"
purpose = "Look at something"
launchers = ["human:*@localhost"]
ttl = "5m"
CONFINE
[env]
DATABASE_URL = "db"
[[read]]
target = "db"
tables = ["public.things"]
"#;
