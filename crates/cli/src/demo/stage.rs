//! What the demo happens on: a throwaway PostgreSQL, a temporary folder, and the processes of this
//! very program in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use bailiwick_throwaway::{Options, Throwaway};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixDatagram;
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::crm;
use crate::failure::Failure;

/// How long the gateway may take to listen.
const START: Duration = Duration::from_secs(30);

/// How long a process may take to end before it is killed.
const FAREWELL: Duration = Duration::from_secs(5);

/// The most that is kept of what a process says.
const SAID_MAX: u64 = 256 * 1024;

/// The longest message to whoever is on call, in bytes.
const MESSAGE_MAX: usize = 8 * 1024;

const SCHEMA: &str = include_str!("schema.sql");
const CONFIG: &str = include_str!("bailiwick.toml");
const TASK: &str = include_str!("triage-tickets.toml");

/// The line of the task file that not every kernel can keep.
const GATEWAY_ONLY: &str = "confine   = \"gateway-only\"\n";

/// The part of the task file that lets a person say yes: where the agent cannot be confined, it might be the agent.
const APPROVED: &str = "\
[[write]]
target  = \"tickets\"
tables  = [\"public.tickets\"]
verbs   = [\"update\"]
columns = [\"status\"]
approve = \"group:support\"

";

/// The variables that the configuration takes the targets' credentials from.
const PASSWORD: (&str, &str) = ("TICKETS_PASSWORD", "throwaway");
const CRM_TOKEN: (&str, &str) = (crm::TOKEN, "throwaway-token");

/// Everything that has to be gone at the end.
pub(super) struct Stage {
    program: PathBuf,
    folder: TempDir,
    database: Option<Throwaway>,
    crm: Option<Child>,
    gateway: Option<Child>,
    agent: Option<Child>,
    /// Where whoever is on call hears of signals.
    on_call: Option<UnixDatagram>,
}

/// An agent that is at work.
pub(super) struct Agent {
    /// What it says, a line of JSON each.
    pub(super) says: BufReader<ChildStdout>,
    /// What `bailiwick run` says.
    pub(super) notes: JoinHandle<String>,
}

impl Stage {
    /// An empty one.
    pub(super) fn new() -> Result<Self, Failure> {
        let folder = tempfile::Builder::new()
            .prefix("bailiwick-demo-")
            .tempdir()
            .map_err(|error| cannot("make a temporary folder", error))?;
        Ok(Self {
            program: std::env::current_exe().map_err(|error| cannot("find this program", error))?,
            folder,
            database: None,
            crm: None,
            gateway: None,
            agent: None,
            on_call: None,
        })
    }

    /// Starts PostgreSQL and fills it.
    pub(super) async fn start_database(&mut self) -> Result<(), Failure> {
        let starting = tokio::task::spawn_blocking(|| {
            let database = Throwaway::start(&Options::default()).map_err(Failure::new)?;
            database
                .psql("postgres", "CREATE DATABASE tickets")
                .map_err(Failure::new)?;
            database.psql("tickets", SCHEMA).map_err(Failure::new)?;
            Ok::<_, Failure>(database)
        });
        self.database = Some(starting.await.map_err(Failure::new)??);
        Ok(())
    }

    /// Starts the customer API, and gives the address it listens on.
    async fn start_crm(&mut self) -> Result<String, Failure> {
        let mut child = self
            .command(&["demo-crm", "--journal"])
            .arg(self.journal("crm"))
            .env(CRM_TOKEN.0, CRM_TOKEN.1)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| cannot("start the customer API", error))?;
        let stdout = child.stdout.take();
        self.crm = Some(child);
        let mut address = String::new();
        if let Some(stdout) = stdout {
            let mut stdout = BufReader::new(stdout);
            let said = timeout(START, stdout.read_line(&mut address)).await;
            said.map_err(Failure::new)?.map_err(Failure::new)?;
        }
        match address.trim() {
            "" => Err(Failure::new("the customer API did not start")),
            address => Ok(address.to_owned()),
        }
    }

    /// Starts the customer API and writes the gateway's configuration, with one task.
    pub(super) async fn set_up(
        &mut self,
        confined: bool,
        gateway_only: bool,
    ) -> Result<(), Failure> {
        let cannot_write = |error| cannot("write the gateway's configuration", error);
        let home = self.home();
        fs::create_dir_all(home.join("tasks")).map_err(cannot_write)?;
        fs::create_dir_all(home.join("policies")).map_err(cannot_write)?;
        fs::create_dir_all(self.work()).map_err(cannot_write)?;
        let crm = self.start_crm().await?;
        let on_call = UnixDatagram::bind(self.on_call());
        let listens = |error| cannot("listen for what whoever is on call is told", error);
        self.on_call = Some(on_call.map_err(listens)?);
        self.write_files(confined, gateway_only, &crm)
            .map_err(cannot_write)
    }

    /// Starts the gateway, and gives the address it listens on.
    pub(super) async fn start_gateway(&mut self) -> Result<String, Failure> {
        let said = self.home().join("serve.log");
        let log =
            fs::File::create(&said).map_err(|error| cannot("write the gateway's log", error))?;
        let mut child = self
            .command(&["serve"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| cannot("start the gateway", error))?;
        let stdout = child.stdout.take();
        self.gateway = Some(child);
        let address = timeout(START, announced(stdout.map(BufReader::new))).await;
        address.ok().flatten().ok_or_else(|| {
            let said = fs::read_to_string(said).unwrap_or_default();
            Failure::new(format!("the gateway did not start\n{}", said.trim_end()))
        })
    }

    /// Starts the agent in a run of its own.
    pub(super) fn start_agent(
        &mut self,
        confined: bool,
        gateway_only: bool,
        pace: Duration,
    ) -> Result<Agent, Failure> {
        let mut arguments = vec!["run", "--task", "triage-tickets"];
        if !confined {
            arguments.push("--unconfined");
        }
        arguments.push("--");
        let work = self.work();
        let mut command = self.command(&arguments);
        command
            .arg(&self.program)
            .arg("demo-agent")
            .args(["--pause", &pace.as_millis().to_string()])
            .current_dir(&work)
            // Its own folder is all it needs.
            .env("TMPDIR", &work)
            .env("HOME", &work)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if confined {
            let gateway = self
                .gateway
                .as_ref()
                .and_then(Child::id)
                .unwrap_or_default();
            command
                .arg("--waits")
                .arg("--data")
                .arg(self.data())
                .args(["--gateway", &gateway.to_string()]);
            if gateway_only {
                let database = self.database()?.port();
                command.args(["--database", &database.to_string()]);
            }
        }
        let mut child = command
            .spawn()
            .map_err(|error| cannot("start the agent", error))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        self.agent = Some(child);
        let gone = || Failure::new("the agent's output is not there");
        let (says, notes) = (stdout.ok_or_else(gone)?, stderr.ok_or_else(gone)?);
        Ok(Agent {
            says: BufReader::new(says),
            notes: tokio::spawn(async move {
                let mut said = Vec::new();
                // What was read before a failure is still worth showing.
                let _ = notes.take(SAID_MAX).read_to_end(&mut said).await;
                String::from_utf8_lossy(&said).into_owned()
            }),
        })
    }

    /// The next message to whoever is on call; nothing if none comes.
    pub(super) async fn told(&self) -> Option<String> {
        let mut message = vec![0; MESSAGE_MAX];
        let received = timeout(START, self.on_call.as_ref()?.recv(&mut message)).await;
        message.truncate(received.ok()?.ok()?);
        Some(String::from_utf8_lossy(&message).into_owned())
    }

    /// Waits for the agent's end.
    pub(super) async fn agent_ended(&mut self) -> Result<ExitStatus, Failure> {
        let child = self
            .agent
            .as_mut()
            .ok_or_else(|| Failure::new("there is no agent"))?;
        let status = child
            .wait()
            .await
            .map_err(|error| cannot("wait for the agent", error))?;
        self.agent = None;
        Ok(status)
    }

    /// Runs one of our commands to its end; what it prints is made for so many columns.
    pub(super) async fn ran(
        &self,
        arguments: &[&str],
        columns: usize,
        colours: bool,
    ) -> Result<Output, Failure> {
        let mut command = self.command(arguments);
        command.env("COLUMNS", columns.to_string());
        if colours {
            command.env("CLICOLOR_FORCE", "1");
        }
        let output = command.output().await;
        output.map_err(|error| cannot("run a command of this program", error))
    }

    /// Stops the gateway as one does, so that it closes its log.
    pub(super) async fn stop_gateway(&mut self) -> Result<bool, Failure> {
        let Some(child) = &mut self.gateway else {
            return Ok(false);
        };
        let stopped = ask_to_end(child).await;
        self.gateway = None;
        stopped
            .map(|status| status.is_some_and(|status| status.success()))
            .map_err(|error| cannot("stop the gateway", error))
    }

    pub(super) fn database(&self) -> Result<&Throwaway, Failure> {
        self.database
            .as_ref()
            .ok_or_else(|| Failure::new("there is no database"))
    }

    /// What SQL gives, asked of the database itself.
    pub(super) fn look(&self, sql: &str) -> Result<String, Failure> {
        self.database()?.psql("tickets", sql).map_err(Failure::new)
    }

    /// What the customer API (`crm`) or the MCP server (`helpdesk`) has written down of what reached it.
    pub(super) fn arrived(&self, at: &str) -> Result<String, Failure> {
        fs::read_to_string(self.journal(at)).map_err(|error| cannot("read what arrived", error))
    }

    fn journal(&self, of: &str) -> PathBuf {
        self.folder.path().join(format!("{of}.journal"))
    }

    /// The gateway's data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    /// This program, as one types it here.
    pub(super) fn typed(&self) -> String {
        let here = std::env::current_dir().unwrap_or_default();
        match self.program.strip_prefix(here) {
            Ok(path) if path.components().count() == 1 => format!("./{}", path.display()),
            Ok(path) => path.display().to_string(),
            Err(_) => self.program.display().to_string(),
        }
    }

    /// Where commands find the gateway.
    pub(super) fn config(&self) -> PathBuf {
        config_file(&self.home())
    }

    /// Where commands run.
    pub(super) fn home(&self) -> PathBuf {
        self.folder.path().join("gateway")
    }

    /// The socket of whoever is on call.
    fn on_call(&self) -> PathBuf {
        self.folder.path().join("on-call.sock")
    }

    /// Where the agent runs.
    fn work(&self) -> PathBuf {
        self.folder.path().join("agent")
    }

    /// Ends everything that still runs, in order, and removes what was made.
    pub(super) async fn clear(mut self) -> Result<(), Failure> {
        for mut child in [self.agent.take(), self.gateway.take(), self.crm.take()]
            .into_iter()
            .flatten()
        {
            // Whatever became of it, the rest has to go, too.
            let _ = ask_to_end(&mut child).await;
        }
        drop(self.database.take());
        let place = self.folder.path().to_owned();
        self.folder
            .close()
            .map_err(|error| cannot(&format!("remove {}", place.display()), error))
    }

    fn write_files(&self, confined: bool, gateway_only: bool, crm: &str) -> io::Result<()> {
        let home = self.home();
        let port = self
            .database
            .as_ref()
            .map_or(0, Throwaway::port)
            .to_string();
        let config = CONFIG
            .replace("{{host}}", Throwaway::HOST)
            .replace("{{port}}", &port)
            .replace("{{crm}}", crm)
            .replace("{{program}}", &self.program.to_string_lossy())
            .replace("{{on-call}}", &self.on_call().to_string_lossy())
            .replace("{{journal}}", &self.journal("helpdesk").to_string_lossy());
        fs::write(config_file(&home), config)?;
        let mut task = TASK.to_owned();
        for (holds, part) in [(gateway_only, GATEWAY_ONLY), (confined, APPROVED)] {
            if !holds {
                task = task.replace(part, "");
            }
        }
        fs::write(home.join("tasks/triage-tickets.toml"), task)
    }

    /// This program, on the demo's configuration.
    fn command(&self, arguments: &[&str]) -> Command {
        let home = self.home();
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env("BAILIWICK_CONFIG", config_file(&home))
            .env_remove("BAILIWICK_LOG")
            .env(PASSWORD.0, PASSWORD.1)
            .env(CRM_TOKEN.0, CRM_TOKEN.1)
            .current_dir(home)
            .stdin(Stdio::null())
            // An interrupt from the terminal is for the demo, which ends the others in order.
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

fn config_file(home: &Path) -> PathBuf {
    home.join("bailiwick.toml")
}

/// Reads on until the gateway has said where it listens.
async fn announced(stdout: Option<BufReader<ChildStdout>>) -> Option<String> {
    let mut lines = stdout?.take(SAID_MAX).lines();
    while let Some(line) = lines.next_line().await.ok()? {
        let mut words = line.split_whitespace();
        if words.next() == Some("postgres") {
            let address = words.next()?.to_owned();
            // It may go on talking; nobody has to listen, but the pipe has to stay.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Some(address);
        }
    }
    None
}

/// Ends a process in the way it expects, and with its group if it does not.
async fn ask_to_end(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) else {
        return child.try_wait();
    };
    kill_process(pid, Signal::TERM)?;
    match timeout(FAREWELL, child.wait()).await {
        Ok(status) => status.map(Some),
        Err(_) => {
            kill_process_group(pid, Signal::KILL)?;
            child.wait().await.map(Some)
        }
    }
}

fn cannot(what: &str, error: io::Error) -> Failure {
    Failure::new(format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_can_do_without_what_not_every_kernel_has() {
        assert_eq!(TASK.matches(GATEWAY_ONLY).count(), 1);
        assert_eq!(TASK.matches(APPROVED).count(), 1);
    }
}
