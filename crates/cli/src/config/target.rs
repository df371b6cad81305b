//! `[targets.NAME]`: what is behind the gateway.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bailiwick_gateway::{Credentials, ReadMode, Upstream};
use bailiwick_policy::Operation;
use bailiwick_wire::{Endpoint, PROTOCOLS, Protocol, TlsMode, Transport};

use super::document::Section;
use super::openapi;
use super::problem::{Problems, nearest};
use super::sealed::Sealed;
use super::upstream::{Program, Settings};

/// The most targets of one gateway.
const MAX_TARGETS: usize = 100;

/// The longest name of a target. An agent's clients know it as a database's name, or as a part of a URL.
const MAX_TARGET_NAME: usize = 63;

/// Bytes of a call's masked result that are kept where the configuration does not say.
const KEEP_RESULTS: usize = 16 * 1024;

/// The most that it can say. With its JSON it has to fit a payload.
const MAX_KEEP_RESULTS: usize = 512 * 1024;

/// The keys of every target.
const COMMON: [&str; 4] = ["kind", "credentials", "reads", "keep_results"];

/// The kind of target that may be started by a command, and describes itself.
const MCP: &str = "mcp";

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
    /// What its OpenAPI file names.
    pub(super) operations: BTreeMap<String, Operation>,
    /// What is not wrong but not wise either, a line each.
    pub(super) notes: Vec<String>,
    place: Place,
}

/// Where a target is.
enum Place {
    /// At a URL, which says how to log in, too.
    Url(Sealed),
    /// At a URL that is spoken to in HTTP.
    Http(Sealed, Box<Settings>),
    /// In a process that the gateway starts.
    Command(Box<Settings>, Program),
}

impl Target {
    /// Where it is and how the gateway logs in, with the secrets looked up.
    pub(crate) fn endpoint(&self, folder: &Path) -> Result<Endpoint, Problems> {
        let (url, roots) = match &self.place {
            Place::Url(url) => (url, None),
            Place::Http(url, settings) => (url, settings.roots()),
            Place::Command(..) => return Ok(nowhere()),
        };
        let mut endpoint =
            (self.protocol.endpoint)(&url.url(folder)?).map_err(|message| url.problem(message))?;
        if roots.is_some() {
            endpoint.roots = roots;
        }
        Ok(endpoint)
    }

    /// What there is to know of a target that is spoken to in HTTP, with the secrets looked up.
    pub(crate) fn upstream(&self, folder: &Path) -> Result<Upstream, Problems> {
        match &self.place {
            Place::Url(_) => Ok(Upstream::default()),
            Place::Http(_, settings) => settings.upstream(folder),
            Place::Command(settings, program) => Ok(Upstream {
                command: Some(program.command(folder)?),
                ..settings.upstream(folder)?
            }),
        }
    }

    /// Everything that names a secret, or might.
    pub(super) fn sealed(&self) -> Vec<&Sealed> {
        match &self.place {
            Place::Url(url) => vec![url],
            Place::Http(url, settings) => [url].into_iter().chain(settings.sealed()).collect(),
            Place::Command(settings, program) => settings
                .sealed()
                .into_iter()
                .chain(program.sealed())
                .collect(),
        }
    }

    /// The file with the key that the gateway shows this target.
    pub(super) fn key_file(&self) -> Option<PathBuf> {
        match &self.place {
            Place::Url(_) => None,
            Place::Http(_, settings) | Place::Command(settings, _) => settings.key_file(),
        }
    }

    /// Files that say what the target is: no run may change them.
    pub(super) fn files(&self, folder: &Path) -> Vec<PathBuf> {
        match &self.place {
            Place::Url(_) => Vec::new(),
            Place::Http(_, settings) => settings.files(),
            Place::Command(settings, program) => {
                let mut files = settings.files();
                files.extend(program.files(folder));
                files
            }
        }
    }

    /// Whether a secret of it stands in the configuration itself.
    pub(super) fn holds_secrets(&self) -> bool {
        match &self.place {
            Place::Url(url) => url.template().has_literal_password(),
            Place::Http(url, settings) => {
                url.template().has_literal_password() || settings.holds_secrets()
            }
            Place::Command(_, program) => program.holds_secrets(),
        }
    }
}

/// Where a target is that the gateway starts.
fn nowhere() -> Endpoint {
    Endpoint {
        host: String::new(),
        port: 0,
        user: String::new(),
        password: None,
        database: String::new(),
        tls: TlsMode::Disable,
        roots: None,
    }
}

/// Reads them all. `folder` is where relative paths start.
pub(super) fn read_all(top: &Section<'_, '_>, folder: &Path) -> Vec<Target> {
    let known: Vec<&str> = COMMON
        .into_iter()
        .chain(Settings::KEYS)
        .chain(["url", "command", "env", "openapi"])
        .collect();
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
        .filter_map(|(name, section)| read(name, section, folder))
        .collect()
}

fn read(name: &str, section: &Section<'_, '_>, folder: &Path) -> Option<Target> {
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
    let Some(protocol) = protocol else {
        // What can be said without knowing what it is.
        if !section.has("command") {
            required_url(section);
        }
        return None;
    };
    let place = place(section, protocol, folder);
    let reads = reads(section);
    let keep_results = section.bytes("keep_results", MAX_KEEP_RESULTS);
    let credentials = credentials(section, protocol);
    let place = place?;
    let description = match &place {
        Place::Http(url, _) => openapi::read(section, folder, base(protocol, url).as_deref()),
        Place::Url(_) | Place::Command(..) => Some(openapi::Description::default()),
    };
    let openapi::Description { operations, notes } = description?;
    Some(Target {
        name: name.to_owned(),
        protocol,
        reads: reads?,
        credentials: credentials?,
        keep_results: keep_results.unwrap_or(KEEP_RESULTS),
        operations,
        notes,
        place,
    })
}

fn place(section: &Section<'_, '_>, protocol: &Protocol, folder: &Path) -> Option<Place> {
    let mut misplaced = Misplaced {
        section,
        found: false,
    };
    match protocol.transport {
        Transport::Socket { .. } => {
            let keys = Settings::KEYS.into_iter();
            for key in keys.chain(["command", "env", "openapi"]) {
                misplaced.refuse(key, &format!("a {} target does not take it", protocol.name));
            }
            let url = url(section, protocol);
            misplaced.none().then_some(Place::Url(url?))
        }
        Transport::Http if protocol.name == MCP && section.has("command") => {
            misplaced.refuse("url", "a target has a `url` or a `command`, not both");
            misplaced.refuse("openapi", NO_OPENAPI);
            for key in Settings::KEYS
                .into_iter()
                .filter(|key| *key != "token_header")
            {
                misplaced.refuse(
                    key,
                    "a server that is started by a command is spoken to directly; what it needs to log \
                     in elsewhere goes into `env`",
                );
            }
            let settings = Settings::read(section, folder);
            let program = Program::read(section);
            misplaced
                .none()
                .then_some(Place::Command(Box::new(settings?), program?))
        }
        Transport::Http => {
            if protocol.name == MCP {
                misplaced.refuse("openapi", NO_OPENAPI);
            } else {
                misplaced.refuse("command", "only an MCP server is started by a command");
            }
            misplaced.refuse("env", "it is for a target that is started by a `command`");
            let settings = Settings::read(section, folder);
            let url = url(section, protocol);
            let (url, settings) = (url?, settings?);
            if url.template().names_user() && settings.has_auth() {
                misplaced.refuse("auth", "the URL has a user already; take it out there");
            }
            misplaced
                .none()
                .then_some(Place::Http(url, Box::new(settings)))
        }
    }
}

const NO_OPENAPI: &str =
    "an MCP server says itself what its tools are; `bailiwick task pin` keeps it to that";

/// Keys that are known, and not in their place.
struct Misplaced<'s, 'd, 'a> {
    section: &'s Section<'d, 'a>,
    found: bool,
}

impl Misplaced<'_, '_, '_> {
    fn refuse(&mut self, key: &str, why: &str) {
        if self.section.has(key) {
            self.section.report(key, why);
            self.found = true;
        }
    }

    fn none(&self) -> bool {
        !self.found
    }
}

fn required_url(section: &Section<'_, '_>) -> Option<Sealed> {
    section.required_sealed("url", "it says where the target is and how to log in")
}

fn url(section: &Section<'_, '_>, protocol: &Protocol) -> Option<Sealed> {
    let url = if protocol.name == MCP {
        let why = "it says where the server is; or `command` says how to start it";
        section.required_sealed("url", why)
    } else {
        required_url(section)
    }?;
    let shape = url.template().shape();
    if let Some(Err(message)) = shape.map(|shape| (protocol.endpoint)(&shape)) {
        section.report("url", message);
        return None;
    }
    Some(url)
}

/// The path that the target's URLs begin with, as far as the configuration itself says.
fn base(protocol: &Protocol, url: &Sealed) -> Option<String> {
    let shape = url.template().shape()?;
    (protocol.endpoint)(&shape)
        .ok()
        .map(|endpoint| endpoint.database)
}

fn reads(section: &Section<'_, '_>) -> Option<ReadMode> {
    match section.plain("reads") {
        None | Some("durable") => Some(ReadMode::Durable),
        Some("written") => Some(ReadMode::Written),
        Some(other) => {
            section.report(
                "reads",
                format!(
                    "`{other}` is neither \"durable\" (a read's result is released when its record is \
                     on the disk) nor \"written\" (when the operating system has it)"
                ),
            );
            None
        }
    }
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
            nearest(kind, known),
        );
    }
    found
}
