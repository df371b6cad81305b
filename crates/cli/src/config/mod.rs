//! `bailiwick.toml`: what the gateway is called, where it keeps what it keeps, where it listens and
//! what is behind it. Every setting is read here.

mod document;
mod problem;
mod template;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bailiwick_audit::PayloadSecret;
use bailiwick_control::Words;
use bailiwick_gateway::{Credentials, ReadMode};
use bailiwick_policy::{Engine, LoadErrors, TargetName};
use bailiwick_wire::{Endpoint, PROTOCOLS, Protocol};
use clap::Args;

use crate::failure::Failure;
use document::{Document, Section};
pub(crate) use problem::{Problem, Problems};
pub(crate) use template::Template;

/// The most targets of one gateway.
const MAX_TARGETS: usize = 100;

/// The longest name of a target. An agent's clients know it as a database's name.
const MAX_TARGET_NAME: usize = 63;

/// The largest configuration file, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// Bytes of a call's masked result that are kept where the configuration does not say.
const KEEP_RESULTS: usize = 16 * 1024;

/// The most that it can say. With its JSON it has to fit a payload.
const MAX_KEEP_RESULTS: usize = 512 * 1024;

const DEFAULT_POSTGRES: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7432);

/// Which configuration a command goes by.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigArg {
    /// The configuration file
    #[arg(
        long,
        value_name = "FILE",
        env = "BAILIWICK_CONFIG",
        default_value = "bailiwick.toml"
    )]
    pub(crate) config: PathBuf,
}

impl ConfigArg {
    /// Loads it.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        if !self.config.exists() {
            let message = format!("there is no `{}`", self.config.display());
            return Err(Failure::new(message).help(
                "`bailiwick init` writes one; --config FILE or BAILIWICK_CONFIG names another",
            ));
        }
        Ok(Config::load(&self.config)?)
    }
}

/// A valid configuration. Secrets are named in it but not looked up yet: only `serve` needs them.
pub(crate) struct Config {
    /// The file.
    pub(crate) file: PathBuf,
    /// The log's origin.
    pub(crate) name: String,
    /// Where the log, the keys and the run registry are.
    pub(crate) data: PathBuf,
    /// Where the task files are.
    pub(crate) tasks: PathBuf,
    /// Where the guardrails are.
    pub(crate) policies: PathBuf,
    /// Where it listens.
    pub(crate) listen: Listen,
    /// The gateway's own certificate and key, if configured.
    pub(crate) tls: Option<Tls>,
    /// Who signs the log, and who else is asked to.
    pub(crate) log: Log,
    /// What is behind the gateway.
    pub(crate) targets: Vec<Target>,
}

/// Who signs the log, and who else is asked to.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Where the master key of the payloads is, if not in the data folder.
    payload_key: Option<(Template, Problem)>,
    /// What of it can be searched for.
    pub(crate) words: Words,
    /// Whether anybody may read the published log over TCP.
    pub(crate) public: bool,
    /// The trust policy whose witnesses are asked to sign, too.
    pub(crate) policy: Option<PathBuf>,
    /// The socket of the process that has the log's key.
    pub(crate) signer: Option<PathBuf>,
}

/// Where the gateway listens.
#[derive(Debug)]
pub(crate) struct Listen {
    /// The API over TCP, if wanted. Local commands use the socket in the data folder.
    pub(crate) control: Option<SocketAddr>,
    /// Agents' PostgreSQL connections.
    pub(crate) postgres: SocketAddr,
    /// The host by which agents reach the gateway.
    pub(crate) advertise: Option<String>,
}

/// A certificate and its key, both PEM files.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// A system behind the gateway.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) protocol: &'static Protocol,
    /// How far the record of a read has to be before its result is released.
    pub(crate) reads: ReadMode,
    /// Bytes of a call's masked result that are kept beside its record.
    pub(crate) keep_results: usize,
    /// As whom the gateway logs in for a run.
    pub(crate) credentials: Credentials,
    url: Template,
    /// Whether a password stands in the file itself.
    literal_password: bool,
    /// Where the URL stands, for a problem with what it turns out to be.
    at: Problem,
}

impl Config {
    /// Reads a configuration file; its relative paths start at its own folder.
    pub(crate) fn load(file: &Path) -> Result<Self, Problems> {
        let whole = |message: String| Problems::one(Problem::whole(file, message));
        let absolute = std::path::absolute(file)
            .map_err(|error| whole(format!("cannot tell where it is: {error}")))?;
        let text = read(file).map_err(whole)?;
        let document = Document::new(file, &text);
        let config = document
            .parse()
            .and_then(|table| from_table(&document, &table, &absolute));
        match (config, document.into_problems()) {
            (Some(config), problems) if problems.is_empty() => Ok(config),
            (_, problems) => Err(Problems::new(problems)),
        }
    }

    /// The environment variables that hold secrets. No run's process gets them.
    pub(crate) fn secret_variables(&self) -> Vec<String> {
        let names = self.templates().flat_map(Template::variables);
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names.dedup();
        names
    }

    /// What no run may read: the data folder, files that hold secrets, and this file if it does.
    pub(crate) fn hidden(&self) -> Vec<PathBuf> {
        let mut hidden = vec![self.data.clone()];
        hidden.extend(self.tls.as_ref().map(|tls| tls.key.clone()));
        hidden.extend(self.log.signer.clone());
        hidden.extend(self.secret_files());
        if self.targets.iter().any(|target| target.literal_password) {
            hidden.push(self.file.clone());
        }
        hidden
    }

    /// What no run may change, beside what it may not read.
    pub(crate) fn read_only(&self) -> Vec<PathBuf> {
        let mut read_only = vec![self.file.clone(), self.tasks.clone(), self.policies.clone()];
        read_only.extend(self.tls.as_ref().map(|tls| tls.cert.clone()));
        read_only.extend(self.log.policy.clone());
        read_only
    }

    /// The master key of the payloads, looked up; nothing if it is in the data folder.
    pub(crate) fn payload_key(&self) -> Result<Option<PayloadSecret>, Problems> {
        let Some((template, at)) = &self.log.payload_key else {
            return Ok(None);
        };
        let text = template.fill(self.folder(), |name| std::env::var(name).ok());
        let key = text.and_then(|text| text.parse().map_err(|error| format!("{error}")));
        key.map(Some)
            .map_err(|message: String| Problems::one(at.saying(message)))
    }

    /// Everything that names a secret.
    fn templates(&self) -> impl Iterator<Item = &Template> {
        let urls = self.targets.iter().map(|target| &target.url);
        let key = self.log.payload_key.as_ref().map(|(template, _)| template);
        urls.chain(key)
    }

    fn secret_files(&self) -> Vec<PathBuf> {
        self.templates()
            .flat_map(|template| template.files(self.folder()))
            .collect()
    }

    /// The tasks and guardrails, checked against the targets.
    pub(crate) fn engine(&self) -> Result<Engine, LoadErrors> {
        let names = self.targets.iter().map(|target| TargetName {
            name: target.name.clone(),
            kind: target.protocol.name.to_owned(),
        });
        Engine::load(&self.tasks, &self.policies, &names.collect::<Vec<_>>())
    }

    /// What is not wrong but not wise either, a line each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut secret_files = self.secret_files();
        secret_files.extend(self.tls.as_ref().map(|tls| tls.key.clone()));
        let mut warnings = Vec::new();
        if self.targets.iter().any(|target| target.literal_password) {
            warnings.push(format!(
                "`{}` holds a password itself; `${{NAME}}` takes it from the environment and \
                 `${{file:PATH}}` from a file",
                self.file.display()
            ));
            secret_files.push(self.file.clone());
        }
        warnings.extend(secret_files.iter().filter(|file| others_may_read(file)).map(|file| {
            let file = file.display();
            format!("`{file}` holds a secret and others may read it; `chmod 600 {file}` ends that")
        }));
        warnings
    }

    /// The folder that relative paths start at.
    fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
    }
}

impl Target {
    /// Where it is and how the gateway logs in, with the secrets looked up.
    pub(crate) fn endpoint(&self, config: &Config) -> Result<Endpoint, Problems> {
        let url = self
            .url
            .fill(config.folder(), |name| std::env::var(name).ok());
        let endpoint = url.and_then(|url| (self.protocol.endpoint)(&url));
        endpoint.map_err(|message| Problems::one(self.at.saying(message)))
    }
}

fn read(file: &Path) -> Result<String, String> {
    use std::io::Read;
    let cannot = |error: std::io::Error| format!("cannot read it: {error}");
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .map_err(cannot)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("it is larger than {MAX_FILE} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

fn others_may_read(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata()
        .is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
}

/// Reads everything, and reports whatever is wrong to the document.
fn from_table(
    document: &Document<'_>,
    table: &toml::de::DeTable<'_>,
    file: &Path,
) -> Option<Config> {
    let known = [
        "name", "data", "tasks", "policies", "listen", "tls", "log", "targets",
    ];
    let top = Section::top(document, table, &known);
    let folder = file.parent().unwrap_or(Path::new("/"));
    let path = |section: &Section<'_, '_>, key: &str, default: &str| -> PathBuf {
        // Without the dots of `./data`, for whoever reads it.
        folder
            .join(section.plain(key).unwrap_or(default))
            .components()
            .collect()
    };
    let name = top.required(
        "name",
        "it is the log's origin, such as \"acme.example/bailiwick\"",
    );
    if let Some(name) = name
        && (name.is_empty()
            || name.len() > 255
            || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+'))
    {
        top.report(
            "name",
            "it has to be 1 to 255 bytes without spaces, control characters and `+`",
        );
    }
    let tls = top.section("tls", &["cert", "key"]).and_then(|tls| {
        let cert = tls.required("cert", "it is the file of the gateway's certificate, PEM");
        let key = tls.required("key", "it is the file of the certificate's key, PEM");
        Some(Tls {
            cert: folder.join(cert?),
            key: folder.join(key?),
        })
    });
    let log = match top.section(
        "log",
        &[
            "index_payloads",
            "payload_key",
            "policy",
            "public",
            "signer",
        ],
    ) {
        Some(section) => {
            let file = |key: &str| section.plain(key).map(|file| folder.join(file));
            Log {
                payload_key: payload_key(document, &section),
                words: match section.flag("index_payloads") {
                    Some(true) => Words::WithPayloads,
                    _ => Words::OfRecords,
                },
                public: section.flag("public").unwrap_or_default(),
                policy: file("policy"),
                signer: file("signer"),
            }
        }
        None => Log::default(),
    };
    Some(Config {
        data: path(&top, "data", "data"),
        tasks: path(&top, "tasks", "tasks"),
        policies: path(&top, "policies", "policies"),
        listen: listen(&top),
        tls,
        log,
        targets: targets(document, &top),
        name: name?.to_owned(),
        file: file.to_owned(),
    })
}

fn payload_key(document: &Document<'_>, section: &Section<'_, '_>) -> Option<(Template, Problem)> {
    const NAME: &str = "payload_key";
    let text = section.secret(NAME)?;
    match Template::parse(text) {
        Ok(template) if template.is_secret() => {
            let (at, key) = (section.at(NAME), section.key(NAME));
            let problem = document.problem(&at, &key, String::new(), None);
            Some((template, problem))
        }
        Ok(_) => {
            section.report(
                NAME,
                "a key does not stand in the file itself: name where it is, as `${NAME}` or \
                 `${file:PATH}`",
            );
            None
        }
        Err(message) => {
            section.report(NAME, message);
            None
        }
    }
}

fn listen(top: &Section<'_, '_>) -> Listen {
    let mut listen = Listen {
        control: None,
        postgres: DEFAULT_POSTGRES,
        advertise: None,
    };
    let known = ["control", "postgres", "http", "advertise"];
    let Some(section) = top.section("listen", &known) else {
        return listen;
    };
    if section.has("http") {
        section.report(
            "http",
            "this version has no http listener; take the key out",
        );
    }
    listen.control = address(&section, "control");
    if let Some(postgres) = address(&section, "postgres") {
        listen.postgres = postgres;
    }
    listen.advertise = section.plain("advertise").map(str::to_owned);
    if let Some(host) = &listen.advertise
        && (host.is_empty()
            || !host
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c)))
    {
        section.report(
            "advertise",
            "it has to be a host name or an address, without a port, such as \"gateway.acme.internal\"",
        );
    }
    listen
}

fn address(section: &Section<'_, '_>, key: &str) -> Option<SocketAddr> {
    let text = section.plain(key)?;
    match text.parse() {
        Ok(address) => Some(address),
        Err(_) => {
            section.report(
                key,
                format!("`{text}` is not an address and a port, such as \"127.0.0.1:7432\""),
            );
            None
        }
    }
}

fn targets(document: &Document<'_>, top: &Section<'_, '_>) -> Vec<Target> {
    let known = ["kind", "url", "credentials", "reads", "keep_results"];
    let sections = top.named_sections("targets", &known);
    if sections.len() > MAX_TARGETS {
        top.report(
            "targets",
            format!("there are more than {MAX_TARGETS} of them"),
        );
        return Vec::new();
    }
    if sections.is_empty() && !top.has("targets") {
        top.report(
            "targets",
            "there is none: the gateway needs something behind it, as in [targets.tickets]",
        );
    }
    sections
        .iter()
        .filter_map(|(name, section)| target(document, name, section))
        .collect()
}

fn target(document: &Document<'_>, name: &str, section: &Section<'_, '_>) -> Option<Target> {
    let fits = name.len() <= MAX_TARGET_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if !fits {
        section.report_itself(format!(
            "a target's name is 1 to {MAX_TARGET_NAME} of a-z, A-Z, 0-9, `-` and `_`, and does not \
             begin with `-` or `_`"
        ));
    }
    let kind = section.required(
        "kind",
        "it says what the target speaks, such as \"postgres\"",
    );
    let protocol = kind.and_then(|kind| protocol(section, kind));
    let url = section.required("url", "it says where the target is and how to log in")?;
    let parsed = match Template::parse(url) {
        Ok(template) => template,
        Err(message) => {
            section.report("url", message);
            return None;
        }
    };
    let protocol = protocol?;
    let shape = parsed.shape().map(|shape| (protocol.endpoint)(&shape));
    if let Some(Err(message)) = shape {
        section.report("url", message);
        return None;
    }
    let reads = match section.plain("reads") {
        None | Some("durable") => ReadMode::Durable,
        Some("written") => ReadMode::Written,
        Some(other) => {
            section.report(
                "reads",
                format!(
                    "`{other}` is neither \"durable\" (a read's result is released when its record is \
                     on the disk) nor \"written\" (when the operating system has it)"
                ),
            );
            return None;
        }
    };
    let keep_results = section.bytes("keep_results", MAX_KEEP_RESULTS);
    let credentials = credentials(section, protocol)?;
    Some(Target {
        name: name.to_owned(),
        protocol,
        reads,
        credentials,
        keep_results: keep_results.unwrap_or(KEEP_RESULTS),
        literal_password: parsed.has_literal_password(),
        url: parsed,
        at: document.problem(&section.at("url"), &section.key("url"), String::new(), None),
    })
}

fn credentials(section: &Section<'_, '_>, protocol: &Protocol) -> Option<Credentials> {
    let problem = match section.plain("credentials") {
        None | Some("shared") => return Some(Credentials::Shared),
        Some("per-run") if protocol.per_run.is_some() => return Some(Credentials::PerRun),
        Some("per-run") => format!("{} has no logins of runs", protocol.name),
        Some(other) => format!(
            "`{other}` is neither \"shared\" (the gateway logs in as itself for every run) nor \
             \"per-run\" (the target gives each run a login of its own)"
        ),
    };
    section.report("credentials", problem);
    None
}

fn protocol(section: &Section<'_, '_>, kind: &str) -> Option<&'static Protocol> {
    let known = PROTOCOLS.iter().map(|protocol| protocol.name);
    let found = PROTOCOLS.into_iter().find(|protocol| protocol.name == kind);
    if found.is_none() {
        let list: Vec<_> = known.clone().collect();
        section.report_nearest(
            "kind",
            format!(
                "this version has no {kind} targets; it has: {}",
                list.join(", ")
            ),
            problem::nearest(kind, known),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, Problems> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bailiwick.toml");
        std::fs::write(&file, text).unwrap();
        Config::load(&file)
    }

    fn problems(text: &str) -> Vec<String> {
        let errors = load(text).err().unwrap().to_string();
        let strip = |line: &str| line.split_once("bailiwick.toml").unwrap().1.to_owned();
        errors.lines().map(strip).collect()
    }

    const GOOD: &str = r#"
name = "acme.example/bailiwick"
[listen]
control  = "127.0.0.1:7400"
postgres = "127.0.0.1:7432"
[targets.tickets]
kind = "postgres"
url  = "postgres://svc:${TICKETS_PASSWORD}@db:5432/tickets?sslmode=verify-full"
"#;

    #[test]
    fn the_documented_example_loads() {
        let config = load(GOOD).unwrap();
        assert_eq!(config.name, "acme.example/bailiwick");
        assert!(config.data.is_absolute() && config.data.ends_with("data"));
        assert_eq!(config.secret_variables(), ["TICKETS_PASSWORD"]);
        assert_eq!(config.hidden(), [config.data.as_path()]);
        assert!(config.warnings().is_empty());
    }

    #[test]
    fn who_signs_the_log_is_kept_from_runs() {
        let log = "[log]\npolicy = \"log.policy\"\nsigner = \"/run/signer.sock\"\n[listen]";
        let config = load(&GOOD.replace("[listen]", log)).unwrap();
        let policy = config.log.policy.as_deref().unwrap();
        assert!(policy.is_absolute() && policy.ends_with("log.policy"));
        assert!(config.read_only().iter().any(|path| path == policy));
        assert!(config.hidden().contains(&PathBuf::from("/run/signer.sock")));
        let typo = GOOD.replace("[listen]", "[log]\nsinger = \"x\"\n[listen]");
        assert!(problems(&typo)[0].contains("did you mean `signer`?"));
    }

    #[test]
    fn a_target_says_as_whom_it_is_entered() {
        let of =
            |line: &str| load(&format!("{GOOD}{line}")).map(|config| config.targets[0].credentials);
        assert_eq!(of("").ok(), Some(Credentials::Shared));
        assert_eq!(
            of("credentials = \"shared\"").ok(),
            Some(Credentials::Shared)
        );
        assert_eq!(
            of("credentials = \"per-run\"").ok(),
            Some(Credentials::PerRun)
        );
        let typo = problems(&format!("{GOOD}credentials = \"per run\""));
        assert!(
            typo[0].contains("targets.tickets.credentials: `per run` is neither"),
            "{typo:?}"
        );
    }

    #[test]
    fn a_password_in_the_file_hides_the_file() {
        let config = load(&GOOD.replace("${TICKETS_PASSWORD}", "hunter2")).unwrap();
        assert!(config.hidden().contains(&config.file));
        assert!(
            config
                .warnings()
                .iter()
                .any(|w| w.contains("holds a password itself"))
        );
    }

    #[test]
    fn problems_name_place_key_and_what_was_meant() {
        assert_eq!(
            problems(&GOOD.replace("kind", "knid")),
            [
                ":6:10: targets.tickets.kind: this key is missing: it says what the target speaks, \
                 such as \"postgres\"",
                ":7:1: targets.tickets.knid: this key is not known; did you mean `kind`?",
            ]
        );
        assert_eq!(
            problems(&GOOD.replace("\"postgres\"", "\"postgers\"")),
            [
                ":7:8: targets.tickets.kind: this version has no postgers targets; it has: \
                 postgres; did you mean `postgres`?"
            ]
        );
        assert_eq!(
            problems(&GOOD.replace("[listen]", "[listen]\nhttp = \"127.0.0.1:7480\"")),
            [":4:8: listen.http: this version has no http listener; take the key out"]
        );
        assert_eq!(
            problems(&GOOD.replace("127.0.0.1:7432", "localhost")),
            [
                ":5:12: listen.postgres: `localhost` is not an address and a port, such as \
                 \"127.0.0.1:7432\""
            ]
        );
        let errors = problems(&GOOD.replace("url  = \"", "url  = \"oops"));
        assert!(errors[0].starts_with(":8:"), "{errors:?}");
        assert!(problems("name = ")[0].contains("not valid TOML"));
        assert!(problems("name = \"a\"")[0].contains("targets"));
        assert_eq!(
            problems(&GOOD.replace("name = \"acme.example/bailiwick\"", "name = \"${NAME}\"")),
            [":2:8: name: `${…}` is filled in in a target's `url` and in `payload_key` only"]
        );
    }
}
