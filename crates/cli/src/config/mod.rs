//! `bailiwick.toml`: what the gateway is called, where it keeps what it keeps, where it listens and
//! what is behind it. Every setting is read here.

mod approvals;
mod document;
mod listen;
mod notify;
mod oidc;
mod openapi;
mod people;
mod problem;
mod sealed;
mod signals;
mod target;
mod template;
mod upkeep;
mod upstream;

use std::path::{Path, PathBuf};

use bailiwick_audit::PayloadSecret;
use bailiwick_control::{ApprovalSettings, Rule, Words};
use bailiwick_policy::{Engine, LoadErrors, TargetName};
use clap::Args;

use crate::failure::Failure;
use document::{Document, Section};
pub(crate) use listen::{Listen, SHARED_FOLDER};
use notify::Notify;
pub(crate) use people::People;
pub(crate) use problem::{Problem, Problems};
use sealed::Sealed;
pub(crate) use signals::check_tasks;
pub(crate) use target::Target;
pub(crate) use upkeep::Upkeep;

/// The largest configuration file, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// Which configuration a command goes by.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigArg {
    /// The configuration file
    #[arg(
        long,
        value_name = "FILE",
        env = "BAILIWICK_CONFIG",
        default_value = FILE
    )]
    pub(crate) config: PathBuf,
}

/// The configuration file that commands go by if none is named.
const FILE: &str = "bailiwick.toml";

impl ConfigArg {
    /// Whether there is one here, or one is named.
    pub(crate) fn is_there(&self) -> bool {
        self.config != Path::new(FILE) || self.config.exists()
    }

    /// Loads it.
    pub(crate) fn load(&self) -> Result<Config, Failure> {
        if !self.config.exists() {
            let message = format!("there is no `{}`", self.config.display());
            return Err(Failure::new(message).help(
                "`bailiwick init` writes one; --config FILE or BAILIWICK_CONFIG names another, and BAILIWICK_GATEWAY a \
                 gateway of another user",
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
    /// How calls are held for somebody's yes.
    pub(crate) approvals: ApprovalSettings,
    /// Who may do what, and where people find it.
    pub(crate) people: People,
    /// Who is told.
    pub(crate) notify: Vec<Notify>,
    /// What is looked for in the record.
    pub(crate) signals: Vec<Rule>,
    /// What watches over it, and how it stops.
    pub(crate) upkeep: Upkeep,
    /// What is behind the gateway.
    pub(crate) targets: Vec<Target>,
}

/// Who signs the log, and who else is asked to.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Where the master key of the payloads is, if not in the data folder.
    payload_key: Option<Sealed>,
    /// What of it can be searched for.
    pub(crate) words: Words,
    /// Whether anybody may read the published log over TCP.
    pub(crate) public: bool,
    /// The trust policy whose witnesses are asked to sign, too.
    pub(crate) policy: Option<PathBuf>,
    /// The socket of the process that has the log's key.
    pub(crate) signer: Option<PathBuf>,
}

/// A certificate and its key, both PEM files.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
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
        let names = self
            .sealed()
            .flat_map(|sealed| sealed.template().variables());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names.dedup();
        names
    }

    /// What no run may read: the data folder, the folder of the shared socket, files that hold secrets, and this file if it does.
    pub(crate) fn hidden(&self) -> Vec<PathBuf> {
        let mut hidden = vec![self.data.clone()];
        hidden.extend(
            self.listen
                .shared
                .iter()
                .map(|shared| shared.folder.clone()),
        );
        hidden.extend(self.log.signer.clone());
        hidden.extend(self.secret_files());
        if self.holds_secrets() {
            hidden.push(self.file.clone());
        }
        hidden
    }

    /// What no run may change, beside what it may not read.
    pub(crate) fn read_only(&self) -> Vec<PathBuf> {
        let mut read_only = vec![self.file.clone(), self.tasks.clone(), self.policies.clone()];
        read_only.extend(self.tls.as_ref().map(|tls| tls.cert.clone()));
        read_only.extend(self.log.policy.clone());
        let files = |target| Target::files(target, self.folder());
        read_only.extend(self.targets.iter().flat_map(files));
        read_only
    }

    /// The master key of the payloads, looked up; nothing if it is in the data folder.
    pub(crate) fn payload_key(&self) -> Result<Option<PayloadSecret>, Problems> {
        let Some(sealed) = &self.log.payload_key else {
            return Ok(None);
        };
        let key = sealed.text(self.folder())?.parse();
        key.map(Some)
            .map_err(|error| sealed.problem(format!("{error}")))
    }

    /// Everything that names a secret.
    fn sealed(&self) -> impl Iterator<Item = &Sealed> {
        let targets = self.targets.iter().flat_map(Target::sealed);
        targets
            .chain(&self.log.payload_key)
            .chain(self.people.sealed())
            .chain(self.notify.iter().flat_map(Notify::sealed))
    }

    /// The files that hold secrets, beside those of the data folder.
    fn secret_files(&self) -> Vec<PathBuf> {
        let named = self.sealed().flat_map(|sealed| sealed.files(self.folder()));
        let keys = self.targets.iter().filter_map(Target::key_file);
        let own = self.tls.as_ref().map(|tls| tls.key.clone());
        named.chain(keys).chain(own).collect()
    }

    fn holds_secrets(&self) -> bool {
        self.targets.iter().any(Target::holds_secrets)
            || self.notify.iter().any(Notify::holds_secrets)
    }

    /// The tasks and guardrails, checked against the targets.
    pub(crate) fn engine(&self) -> Result<Engine, LoadErrors> {
        let names = self.targets.iter().map(|target| {
            let forms: Vec<&str> = target.protocol.forms.iter().map(|form| form.name).collect();
            TargetName {
                operations: target.operations.clone(),
                ..TargetName::new(&target.name, target.protocol.name, &forms)
            }
        });
        Engine::load(&self.tasks, &self.policies, &names.collect::<Vec<_>>())
    }

    /// What is not wrong but not wise either, a line each.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut secret_files = self.secret_files();
        let mut warnings: Vec<String> = Vec::new();
        for target in &self.targets {
            warnings.extend(target.notes.iter().cloned());
        }
        if self.holds_secrets() {
            warnings.push(format!(
                "`{}` holds a password or another secret itself; `${{NAME}}` takes it from the \
                 environment and `${{file:PATH}}` from a file",
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
    pub(crate) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("/"))
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
        "name",
        "data",
        "tasks",
        "policies",
        "listen",
        "tls",
        "log",
        "metrics",
        "stop_within",
        "targets",
        "roles",
        "groups",
        "people",
        "tokens",
        "console",
        "oidc",
        "approvals",
        "notify",
        "signals",
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
                payload_key: payload_key(&section),
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
    let data = path(&top, "data", "data");
    let listen = Listen::read(&top, &data);
    let targets = target::read_all(&top, folder);
    let notify = notify::read_all(&top);
    Some(Config {
        people: People::read(&top, listen.control.is_some()),
        data,
        tasks: path(&top, "tasks", "tasks"),
        policies: path(&top, "policies", "policies"),
        listen,
        upkeep: Upkeep::read(&top),
        tls,
        log,
        approvals: approvals::read(&top),
        signals: signals::read_all(&top, &targets, &notify),
        notify,
        targets,
        name: name?.to_owned(),
        file: file.to_owned(),
    })
}

fn payload_key(section: &Section<'_, '_>) -> Option<Sealed> {
    const NAME: &str = "payload_key";
    let key = section.sealed(NAME)?;
    if !key.template().is_secret() {
        section.report(
            NAME,
            "a key does not stand in the file itself: name where it is, as `${NAME}` or \
             `${file:PATH}`",
        );
        return None;
    }
    Some(key)
}

#[cfg(test)]
mod tests;
