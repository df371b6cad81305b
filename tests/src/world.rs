//! A gateway in front of a database, with tasks, and the commands that people use on it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::disk::Disk;
use crate::eventually;
use crate::programs::{Finished, bailiwick, command, finish};
use crate::store::{SERVICE, SERVICE_PASSWORD, Store};

/// How long a gateway may take to start.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The environment variable that holds the gateway's own password for the target.
const PASSWORD_VARIABLE: &str = "TARGET_PASSWORD";

/// What the task `triage` may do, as a task file says it.
pub const TRIAGE: &str = r#"
[[read]]
target = "tickets"
tables = ["public.tickets", "public.comments"]
[[write]]
target  = "tickets"
tables  = ["public.tickets"]
verbs   = ["update"]
columns = ["priority"]
[[write]]
target = "tickets"
tables = ["public.comments"]
verbs  = ["insert"]
[[mask]]
target  = "tickets"
columns = ["public.tickets.email"]
"#;

/// A task file: its name, and its grants.
pub fn task(name: &str, grants: &str) -> (String, String) {
    let head = format!(
        "task = \"{name}\"\npurpose = \"a test\"\nlaunchers = [\"human:*\"]\nttl = \"10m\"\n\
         [env]\nDATABASE_URL = \"tickets\"\n"
    );
    (name.to_owned(), format!("{head}{grants}"))
}

/// Who these tests are to the gateway: `human:NAME@localhost`.
pub fn me() -> String {
    let name = finish(command("id").arg("-un"));
    format!("human:{}@localhost", name.ok().trim())
}

/// A task file whose process gets no URL of a database.
pub fn http_task(name: &str, grants: &str) -> (String, String) {
    let head = format!(
        "task = \"{name}\"\npurpose = \"a test\"\nlaunchers = [\"human:*\"]\nttl = \"10m\"\n"
    );
    (name.to_owned(), format!("{head}{grants}"))
}

/// What a world is made of.
pub struct Builder {
    name: String,
    tasks: Vec<(String, String)>,
    targets: Vec<(String, String)>,
    sections: Vec<String>,
    guardrails: Vec<(String, String)>,
    masks: String,
    data: Option<PathBuf>,
    top: String,
    settings: Vec<String>,
    log: String,
    environment: Vec<(String, PathBuf)>,
    level: &'static str,
}

impl Builder {
    /// Lets the gateway say warnings and worse, and no more.
    pub fn quiet(mut self) -> Self {
        self.level = "warn";
        self
    }

    /// Sets something about the log, as lines below `[log]` do.
    pub fn log(mut self, lines: &str) -> Self {
        self.log = format!("{}[log]\n{lines}\n", self.log);
        self
    }

    /// Sets something about where it listens, as lines below `[listen]` do.
    pub fn listen(self, lines: &str) -> Self {
        let log = format!("{lines}\n{}", self.log);
        Self { log, ..self }
    }

    /// Sets something about approvals, as lines below `[approvals]` do.
    pub fn approvals(self, lines: &str) -> Self {
        let log = format!("{}[approvals]\n{lines}\n", self.log);
        Self { log, ..self }
    }

    /// Sets something at the top of the configuration, as a line of it does.
    pub fn top(mut self, line: &str) -> Self {
        self.top.push_str(line);
        self.top.push('\n');
        self
    }

    /// Sets something about every target, as a line of the configuration does.
    pub fn target_setting(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// Gives the gateway a name of its own.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Adds a task file.
    pub fn task(mut self, (name, text): (String, String)) -> Self {
        self.tasks.push((name, text));
        self
    }

    /// Adds a target with this URL, in which `PASSWORD` stands for the gateway's own.
    pub fn target(mut self, name: &str, url: &str) -> Self {
        let url = url.replace("PASSWORD", &format!("${{{PASSWORD_VARIABLE}}}"));
        self.targets.push((name.to_owned(), url));
        self
    }

    /// Adds a target that speaks HTTP, as `[targets.NAME]` and the lines below it say. Without another, there is
    /// no database.
    pub fn section(mut self, lines: &str) -> Self {
        self.sections.push(lines.to_owned());
        self
    }

    /// Gives the gateway a variable of its environment.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a file of guardrails.
    pub fn guardrail(mut self, name: &str, text: &str) -> Self {
        self.guardrails.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Adds to what every task masks.
    pub fn masks(mut self, text: &str) -> Self {
        self.masks.push_str(text);
        self
    }

    /// Puts the data folder elsewhere.
    pub fn data(mut self, data: &Path) -> Self {
        self.data = Some(data.to_owned());
        self
    }

    /// Puts this disk under the gateway's record.
    pub fn disk(mut self, disk: &Disk) -> Self {
        self.environment.extend(disk.environment());
        self
    }

    /// Writes the files and starts the gateway.
    #[track_caller]
    pub fn start(self) -> World {
        let mut world = self.prepare();
        world.serve();
        world
    }

    /// Writes the files.
    #[track_caller]
    pub fn prepare(mut self) -> World {
        let without = !self.sections.is_empty() && self.targets.is_empty();
        let database = match without || self.targets.iter().any(|(name, _)| name == "tickets") {
            true => String::new(),
            false => {
                let store = Store::shared();
                let database = store.database();
                let url = World::url(store, &database);
                self = self.target("tickets", &url);
                database
            }
        };
        let folder = tempfile::Builder::new()
            .prefix("bailiwick-test-")
            .tempdir()
            .expect("a temporary folder");
        let gateway = folder.path().join("gateway");
        for part in ["gateway/tasks", "gateway/policies", "work"] {
            fs::create_dir_all(folder.path().join(part)).expect("a folder");
        }
        let data = self.data.unwrap_or_else(|| gateway.join("data"));
        let mut config = format!(
            "name = {:?}\ndata = {data:?}\n{}\
             [listen]\npostgres = \"127.0.0.1:0\"\ncontrol = \"127.0.0.1:0\"\n{}",
            self.name, self.top, self.log
        );
        for (name, url) in &self.targets {
            config.push_str(&format!(
                "[targets.{name}]\nkind = \"postgres\"\nurl = \"{url}\"\n{}\n",
                self.settings.join("\n")
            ));
        }
        if !self.sections.is_empty() {
            config = config.replacen("[listen]\n", "[listen]\nhttp = \"127.0.0.1:0\"\n", 1);
        }
        for lines in &self.sections {
            config.push_str(&format!("{lines}\n{}\n", self.settings.join("\n")));
        }
        fs::write(gateway.join("bailiwick.toml"), config).expect("the configuration");
        for (name, text) in &self.tasks {
            fs::write(gateway.join(format!("tasks/{name}.toml")), text).expect("a task file");
        }
        for (name, text) in &self.guardrails {
            fs::write(gateway.join(format!("policies/{name}.cedar")), text).expect("a guardrail");
        }
        if !self.masks.is_empty() {
            let masks = gateway.join("policies/masks.toml");
            fs::write(masks, &self.masks).expect("what every task masks");
        }
        World {
            gateway: None,
            folder,
            data,
            database,
            port: 0,
            control: 0,
            has_database: !without,
            http: (!self.sections.is_empty()).then_some(0),
            environment: self.environment,
            level: self.level,
            confined: Mutex::default(),
        }
    }
}

/// A gateway with everything around it. Dropping it kills the gateway.
pub struct World {
    gateway: Option<Child>,
    folder: TempDir,
    data: PathBuf,
    database: String,
    port: u16,
    /// The port for people.
    control: u16,
    has_database: bool,
    /// The port for HTTP, once it is known; nothing where there is none.
    http: Option<u16>,
    environment: Vec<(String, PathBuf)>,
    level: &'static str,
    /// What waits in confined runs until this is dropped.
    confined: Mutex<Vec<Child>>,
}

/// A run, opened by hand.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// What its process gets.
    pub env: BTreeMap<String, String>,
    /// When it was asked for.
    pub opened: Instant,
    /// When it was there.
    pub returned: Instant,
}

impl Run {
    /// Its `DATABASE_URL`.
    pub fn url(&self) -> &str {
        self.env
            .get("DATABASE_URL")
            .expect("the task's DATABASE_URL")
    }

    /// Its token, for targets that speak HTTP.
    pub fn token(&self) -> &str {
        self.env
            .get("BAILIWICK_TOKEN")
            .expect("the run's BAILIWICK_TOKEN")
    }

    /// Its URL of another target.
    pub fn url_of(&self, target: &str) -> String {
        let (rest, _) = self.url().rsplit_once('/').expect("a URL with a path");
        format!("{rest}/{target}")
    }

    /// Its `DATABASE_URL` at another address, where the gateway listens after a restart.
    pub fn url_at(&self, address: &str) -> String {
        let (head, rest) = self.url().split_once('@').expect("a URL with a login");
        let (_, path) = rest.split_once('/').expect("a URL with a path");
        format!("{head}@{address}/{path}")
    }

    /// Its `DATABASE_URL` with another password.
    pub fn url_with_password(&self, password: &str) -> String {
        let (head, rest) = self.url().split_once('@').expect("a URL with a login");
        let (user, _) = head.rsplit_once(':').expect("a URL with a password");
        format!("{user}:{password}@{rest}")
    }
}

impl World {
    /// With the task `triage` alone, in front of a ticket store of its own.
    #[track_caller]
    pub fn triage() -> Self {
        Self::builder().task(task("triage", TRIAGE)).start()
    }

    /// With these grants in the task `triage` besides its own.
    #[track_caller]
    pub fn granting(grants: &str) -> Self {
        Self::builder()
            .task(task("triage", &format!("{TRIAGE}{grants}")))
            .start()
    }

    /// With whatever is put in.
    pub fn builder() -> Builder {
        Builder {
            name: "test.example/bailiwick".into(),
            tasks: Vec::new(),
            targets: Vec::new(),
            sections: Vec::new(),
            guardrails: Vec::new(),
            masks: String::new(),
            data: None,
            top: String::new(),
            settings: Vec::new(),
            log: String::new(),
            environment: Vec::new(),
            level: "debug",
        }
    }

    /// The target's URL for a database of a store.
    pub fn url(store: &Store, database: &str) -> String {
        format!(
            "postgres://{SERVICE}:PASSWORD@127.0.0.1:{}/{database}?sslmode=disable",
            store.port()
        )
    }

    /// Starts the gateway, and kills it after so long, wherever in its start that is.
    #[track_caller]
    pub fn serve_for(&mut self, time: Duration) {
        self.gateway = Some(self.spawn());
        std::thread::sleep(time);
        self.kill();
    }

    fn spawn(&self) -> Child {
        assert!(self.gateway.is_none(), "it runs");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file());
        self.command(&["serve"])
            .env(PASSWORD_VARIABLE, SERVICE_PASSWORD)
            .env("BAILIWICK_LOG", self.level)
            .envs(self.environment.iter().cloned())
            .stdout(Stdio::piped())
            .stderr(log.expect("a log file"))
            .spawn()
            .expect("bailiwick serve")
    }

    /// Starts the gateway, and waits until it says that it listens.
    #[track_caller]
    pub fn serve(&mut self) {
        if let Err(said) = self.try_serve() {
            panic!("the gateway did not start: {said}:\n{}", self.said());
        }
    }

    /// Tries to; otherwise gives what it said last.
    pub fn try_serve(&mut self) -> Result<(), String> {
        let mut gateway = self.spawn();
        let stdout = BufReader::new(gateway.stdout.take().expect("its output"));
        self.gateway = Some(gateway);
        let wanted: Vec<&str> = [
            Some("control"),
            self.has_database.then_some("postgres"),
            self.http.is_some().then_some("http"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let (found, ports) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let mut words = line.split_whitespace();
                let name = words.next().unwrap_or_default().to_owned();
                let address = words.next().unwrap_or_default();
                let port = address
                    .rsplit(':')
                    .next()
                    .and_then(|port| port.parse().ok());
                if let Some(port) = port {
                    let _ = found.send((name, port));
                }
            }
        });
        let mut all: BTreeMap<String, u16> = BTreeMap::new();
        while !wanted.iter().all(|name| all.contains_key(*name)) {
            match ports.recv_timeout(READY_WITHIN) {
                Ok((name, port)) => drop(all.insert(name, port)),
                Err(_) => break,
            }
        }
        if wanted.iter().all(|name| all.contains_key(*name)) {
            self.port = all.get("postgres").copied().unwrap_or_default();
            self.http = all.get("http").copied();
            self.control = all.get("control").copied().unwrap_or_default();
            return Ok(());
        }
        self.kill();
        let said = self.said();
        let last = said.lines().rev().take(3).collect::<Vec<_>>();
        Err(last.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }

    /// Where agents connect.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The URL of a target that speaks HTTP.
    pub fn http(&self, target: &str) -> String {
        let port = self.http.expect("a listener for HTTP");
        format!("http://127.0.0.1:{port}/{target}")
    }

    /// The port of the API and the console.
    pub fn control(&self) -> u16 {
        self.control
    }

    /// The gateway's process.
    pub fn pid(&self) -> u32 {
        self.gateway.as_ref().expect("a gateway that runs").id()
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A folder for the agent, apart from the gateway's own.
    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// The configuration.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("gateway/bailiwick.toml")
    }

    /// Adds to the configuration, for the next start.
    pub fn configure(&self, more: &str) {
        let config = fs::read_to_string(self.config()).expect("the configuration");
        fs::write(self.config(), format!("{config}{more}")).expect("the configuration");
    }

    /// Starts a gateway that does not come so far as to listen, and says what it said.
    #[track_caller]
    pub fn serve_in_vain(&self) -> Finished {
        assert!(self.gateway.is_none(), "it runs");
        let finished = finish(
            self.command(&["serve"])
                .env(PASSWORD_VARIABLE, SERVICE_PASSWORD),
        );
        assert!(!finished.status.success(), "it ran: {finished:#?}");
        finished
    }

    /// Kills the gateway, as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut gateway) = self.gateway.take() {
            let _ = gateway.kill();
            let _ = gateway.wait();
        }
    }

    /// Asks the gateway to stop, and waits until it has.
    #[track_caller]
    pub fn stop(&mut self) {
        signal(self.pid(), "TERM");
        self.ended();
    }

    /// Waits until the gateway, which was told to stop, has done so in order.
    #[track_caller]
    pub fn ended(&mut self) {
        let mut gateway = self.gateway.take().expect("a gateway that runs");
        let status = crate::eventually("the gateway stops", READY_WITHIN, || {
            gateway.try_wait().expect("a child of ours")
        });
        assert!(
            status.success(),
            "it stopped with {status}:\n{}",
            self.said()
        );
    }

    /// What the gateway has said on stderr.
    pub fn said(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("gateway/serve.log")
    }

    /// A `bailiwick` command on this gateway, in the agent's folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(bailiwick());
        command
            .args(arguments)
            .env("BAILIWICK_CONFIG", self.config())
            .env("NO_COLOR", "1")
            .current_dir(self.work());
        command
    }

    /// Runs a `bailiwick` command.
    #[track_caller]
    pub fn bailiwick(&self, arguments: &[&str]) -> Finished {
        finish(&mut self.command(arguments))
    }

    /// Opens a run.
    #[track_caller]
    pub fn open(&self, task: &str) -> Run {
        self.open_with(&["--task", task])
    }

    /// Opens a run with these arguments.
    #[track_caller]
    pub fn open_with(&self, arguments: &[&str]) -> Run {
        let opened = Instant::now();
        let finished = self.bailiwick(&[&["open", "--json"], arguments].concat());
        let json: Value = serde_json::from_str(finished.ok()).expect("JSON");
        Run {
            id: json["run"].as_str().expect("the run's id").to_owned(),
            env: serde_json::from_value(json["env"].clone()).expect("its environment"),
            opened,
            returned: Instant::now(),
        }
    }

    /// Opens a run whose process is confined, so that whoever launched it may say yes to what it asks for. It
    /// lasts as long as this world.
    #[track_caller]
    pub fn open_confined(&self, task: &str) -> Run {
        let opened = Instant::now();
        let script = "env; echo READY; exec cat";
        let mut child = self
            .command(&["run", "--task", task, "--", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("bailiwick run");
        let stdout = BufReader::new(child.stdout.take().expect("its output"));
        let lines = stdout.lines().map_while(Result::ok);
        let env: BTreeMap<String, String> = lines
            .take_while(|line| line != "READY")
            .filter_map(|line| line.split_once('=').map(|(k, v)| (k.into(), v.into())))
            .collect();
        self.confined.lock().expect("no panic").push(child);
        let runs = self.bailiwick(&["runs", "--json"]);
        let id = |line: &str| {
            let run: Value = serde_json::from_str(line).expect("JSON");
            run["run"].as_str().expect("the run's id").to_owned()
        };
        Run {
            // Ids are in the order of time.
            id: runs.ok().lines().map(id).max().expect("a run"),
            env,
            opened,
            returned: Instant::now(),
        }
    }

    /// The records of a run, each with its payload beside it: what `trail --json` prints.
    #[track_caller]
    pub fn trail(&self, run: &str) -> Vec<Value> {
        let finished = self.bailiwick(&["trail", run, "--json"]);
        let lines = finished.ok().lines();
        lines
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    /// What people were asked about, as `approvals --all --json` says it.
    #[track_caller]
    pub fn approvals(&self) -> Vec<Value> {
        let finished = self.bailiwick(&["approvals", "--all", "--json"]);
        let lines = finished.ok().lines();
        lines
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }

    /// Waits until a call of the run waits for people, and gives it.
    #[track_caller]
    pub fn asked(&self, run: &Run) -> Value {
        crate::eventually("people are asked", Duration::from_secs(10), || {
            let mut all = self.approvals().into_iter();
            all.find(|approval| approval["run"] == *run.id && approval["state"] == "open")
        })
    }

    /// The link that signs in whoever runs the tests, once.
    #[track_caller]
    pub fn console_link(&self) -> String {
        let finished = self.bailiwick(&["console", "--json"]);
        let link: Value = serde_json::from_str(finished.ok()).expect("JSON");
        link["url"].as_str().expect("a link").to_owned()
    }

    /// Says yes.
    #[track_caller]
    pub fn approve(&self, approval: &Value) {
        let id = approval["id"].as_str().expect("its id");
        self.bailiwick(&["approve", id, "--yes"]).ok();
    }

    /// Says no, for this reason.
    #[track_caller]
    pub fn deny(&self, approval: &Value, reason: &str) {
        let id = approval["id"].as_str().expect("its id");
        self.bailiwick(&["deny", id, "--reason", reason]).ok();
    }

    /// What the trail says of the call whose statement holds this text: its decision.
    #[track_caller]
    pub fn decided(&self, run: &str, text: &str) -> Value {
        let trail = self.trail(run);
        let found = trail.iter().find(|entry| {
            entry["payload"]["text"]
                .as_str()
                .is_some_and(|statement| statement.contains(text))
        });
        let entry = found.unwrap_or_else(|| panic!("no record of {text} in {trail:#?}"));
        entry["record"].clone()
    }

    /// What `runs --json` says of a run.
    #[track_caller]
    pub fn summary(&self, run: &str) -> Value {
        let finished = self.bailiwick(&["runs", "--json"]);
        let mut runs = finished
            .ok()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        runs.find(|summary| summary["run"] == run).expect("the run")
    }

    /// The value of a series among the metrics.
    #[track_caller]
    pub fn metric(&self, series: &str) -> f64 {
        let token = fs::read_to_string(self.data().join("control.token")).expect("the token");
        let mut curl = command("curl");
        curl.args(["--silent", "--fail", "--unix-socket"])
            .arg(self.data().join("control.sock"))
            .args(["--oauth2-bearer", token.trim(), "http://localhost/metrics"]);
        let finished = finish(&mut curl);
        let line = finished
            .ok()
            .lines()
            .find_map(|line| line.strip_prefix(series));
        let value = line.unwrap_or_else(|| panic!("no {series} in {}", finished.stdout));
        value.trim().parse().expect("a number")
    }

    /// Checks the log, whole as it should be.
    #[track_caller]
    pub fn verify(&self) -> Value {
        let finished = self.bailiwick(&["verify", "--json"]);
        serde_json::from_str(finished.ok()).expect("JSON")
    }

    /// What SQL says at the target itself, past the gateway.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> String {
        Store::shared().sql(&self.database, sql)
    }

    /// Waits until there is a lock like this on a table of the target's.
    #[track_caller]
    pub fn locked(&self, table: &str, how: &str) {
        // Databases are copies of one another: a table has the same number in each.
        let locks = format!(
            "SELECT count(*) FROM pg_locks WHERE {how} AND relation = '{table}'::regclass AND \
             database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        );
        eventually("there is the lock", Duration::from_secs(5), || {
            (self.sql(&locks) != "0").then_some(())
        });
    }

    /// The database behind the target.
    pub fn database(&self) -> &str {
        &self.database
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in self
            .confined
            .lock()
            .iter_mut()
            .flat_map(|all| all.iter_mut())
        {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.kill();
        if std::thread::panicking() {
            eprintln!("the gateway said:\n{}", self.said());
        }
    }
}

/// Sends a signal by its name.
#[track_caller]
pub fn signal(pid: u32, name: &str) {
    // The shell's own: a bare system has no program of that name.
    let sent = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid.to_string()])
        .status();
    assert!(
        sent.is_ok_and(|status| status.success()),
        "kill -s {name} {pid}"
    );
}

/// The actions of a record's call, as `verb schema.name`.
pub fn actions(record: &Value) -> Vec<String> {
    let actions = record["call"]["actions"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    actions
        .iter()
        .map(|action| {
            let resource = &action["resource"];
            let name = [text(&resource["schema"]), text(&resource["name"])];
            let name = name
                .iter()
                .filter(|part| !part.is_empty())
                .cloned()
                .collect::<Vec<_>>();
            format!("{} {}", text(&action["verb"]), name.join("."))
                .trim_end()
                .to_owned()
        })
        .collect()
}
