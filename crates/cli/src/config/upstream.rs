//! How a target that speaks HTTP is reached, and how a server is started.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bailiwick_gateway::{ClientCredentials, Command, Credential, Upstream};
use hyper::Uri;
use hyper::header::HeaderName;

use super::document::Section;
use super::problem::Problems;
use super::sealed::Sealed;

/// The most words of a command, and variables of its environment.
const MAX_WORDS: usize = 64;

/// Headers that are HTTP's own, or the gateway's: no credential travels in them.
const RESERVED: [&str; 13] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How it is reached, beside where it is.
pub(super) struct Settings {
    auth: Shown,
    certificate: Option<(PathBuf, PathBuf)>,
    ca: Option<PathBuf>,
    private: bool,
    token_header: Option<String>,
    /// Says what the operations are.
    openapi: Option<PathBuf>,
}

/// What the gateway shows the target.
enum Shown {
    None,
    Bearer(Sealed),
    Basic {
        user: Sealed,
        password: Sealed,
    },
    Header {
        name: String,
        value: Sealed,
    },
    OAuth {
        token_url: String,
        client_id: Sealed,
        client_secret: Sealed,
        scope: Option<String>,
        resource: Option<String>,
    },
}

impl Settings {
    /// The keys that it is read from.
    pub(super) const KEYS: [&str; 6] = [
        "auth",
        "client_cert",
        "client_key",
        "ca",
        "private",
        "token_header",
    ];

    pub(super) fn read(section: &Section<'_, '_>, folder: &Path) -> Option<Self> {
        let file = |key: &str| section.plain(key).map(|file| folder.join(file));
        let certificate = match (file("client_cert"), file("client_key")) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => {
                section.report("client_cert", "its key is missing: `client_key`");
                return None;
            }
            (None, Some(_)) => {
                section.report("client_key", "its certificate is missing: `client_cert`");
                return None;
            }
        };
        Some(Self {
            auth: Shown::read(section)?,
            certificate,
            ca: file("ca"),
            private: section.flag("private").unwrap_or_default(),
            token_header: match section.plain("token_header") {
                Some(name) => Some(header(section, "token_header", name)?),
                None => None,
            },
            openapi: file("openapi"),
        })
    }

    /// With the secrets looked up.
    pub(super) fn upstream(&self, folder: &Path) -> Result<Upstream, Problems> {
        Ok(Upstream {
            credential: self.auth.credential(folder)?,
            certificate: self.certificate.clone(),
            private: self.private,
            token_header: self.token_header.clone(),
            command: None,
        })
    }

    pub(super) fn has_auth(&self) -> bool {
        !matches!(self.auth, Shown::None)
    }

    /// The file of the authorities to trust, instead of the system's.
    pub(super) fn roots(&self) -> Option<String> {
        self.ca.as_ref().map(|ca| ca.display().to_string())
    }

    pub(super) fn key_file(&self) -> Option<PathBuf> {
        self.certificate.as_ref().map(|(_, key)| key.clone())
    }

    /// Files that no run may change.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let certificate = self.certificate.as_ref().map(|(cert, _)| cert);
        [certificate, self.ca.as_ref(), self.openapi.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    pub(super) fn sealed(&self) -> Vec<&Sealed> {
        match &self.auth {
            Shown::None => Vec::new(),
            Shown::Bearer(token) => vec![token],
            Shown::Basic { user, password } => vec![user, password],
            Shown::Header { value, .. } => vec![value],
            Shown::OAuth {
                client_id,
                client_secret,
                ..
            } => vec![client_id, client_secret],
        }
    }

    /// Whether a secret stands in the configuration itself.
    pub(super) fn holds_secrets(&self) -> bool {
        let secret = match &self.auth {
            Shown::None => return false,
            Shown::Bearer(secret)
            | Shown::Basic {
                password: secret, ..
            }
            | Shown::Header { value: secret, .. }
            | Shown::OAuth {
                client_secret: secret,
                ..
            } => secret,
        };
        secret.template().is_literal()
    }
}

impl Shown {
    fn read(section: &Section<'_, '_>) -> Option<Self> {
        const KEYS: [&str; 10] = [
            "bearer",
            "user",
            "password",
            "header",
            "value",
            "token_url",
            "client_id",
            "client_secret",
            "scope",
            "resource",
        ];
        const FORMS: [&[&str]; 4] = [
            &["bearer"],
            &["user", "password"],
            &["header", "value"],
            &[
                "token_url",
                "client_id",
                "client_secret",
                "scope",
                "resource",
            ],
        ];
        if !section.has("auth") {
            return Some(Self::None);
        }
        let auth = section.section("auth", &KEYS)?;
        let form = FORMS.into_iter().find(|form| {
            let first = form.first();
            first.is_some_and(|first| auth.has(first))
        });
        if auth.names().any(|name| !KEYS.contains(&name)) {
            // Said already.
            return None;
        }
        let strange = |key: &&str| form.is_none_or(|form| !form.contains(key));
        if form.is_none() || KEYS.iter().filter(|key| auth.has(key)).any(strange) {
            section.report(
                "auth",
                "it has to be one of { bearer }, { user, password }, { header, value } and { token_url, \
                 client_id, client_secret, scope, resource }, the last two of these if needed",
            );
            return None;
        }
        let secret = |key: &str| auth.required_sealed(key, "`auth` is not whole without it");
        if auth.has("bearer") {
            return Some(Self::Bearer(auth.sealed("bearer")?));
        }
        if auth.has("user") {
            let (user, password) = (auth.sealed("user"), secret("password"));
            return Some(Self::Basic {
                user: user?,
                password: password?,
            });
        }
        if auth.has("header") {
            let (name, value) = (auth.plain("header"), secret("value"));
            return Some(Self::Header {
                name: header(&auth, "header", name?)?,
                value: value?,
            });
        }
        let (client_id, client_secret) = (secret("client_id"), secret("client_secret"));
        Some(Self::OAuth {
            token_url: token_url(&auth)?,
            client_id: client_id?,
            client_secret: client_secret?,
            scope: auth.plain("scope").map(str::to_owned),
            resource: auth.plain("resource").map(str::to_owned),
        })
    }

    fn credential(&self, folder: &Path) -> Result<Credential, Problems> {
        Ok(match self {
            Self::None => Credential::None,
            Self::Bearer(token) => Credential::Bearer(token.header(folder)?),
            Self::Basic { user, password } => {
                let name = user.text(folder)?;
                if name.contains(':') {
                    let message = "a user's name has no `:` in it (RFC 7617)";
                    return Err(user.problem(message.to_owned()));
                }
                Credential::Basic {
                    user: name,
                    password: password.text(folder)?,
                }
            }
            Self::Header { name, value } => Credential::Header {
                name: name.clone(),
                value: value.header(folder)?,
            },
            Self::OAuth {
                token_url,
                client_id,
                client_secret,
                scope,
                resource,
            } => Credential::OAuth(ClientCredentials {
                token_url: token_url.clone(),
                client_id: client_id.text(folder)?,
                client_secret: client_secret.text(folder)?,
                scope: scope.clone(),
                resource: resource.clone(),
            }),
        })
    }
}

/// The name of a header in which a credential travels, in lower case.
fn header(section: &Section<'_, '_>, key: &str, name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        section.report(key, "it is not the name of an HTTP header");
        return None;
    }
    let taken = key == "token_header" && name == "authorization";
    if taken || RESERVED.contains(&name.as_str()) {
        section.report(
            key,
            format!("no credential travels in `{name}`, which has a meaning of its own"),
        );
        return None;
    }
    Some(name)
}

/// Over TLS, or to this machine: the client's secret goes there.
fn token_url(auth: &Section<'_, '_>) -> Option<String> {
    const NAME: &str = "token_url";
    let text = auth.plain(NAME)?;
    let uri: Option<Uri> = text.parse().ok();
    let fits = uri.is_some_and(|uri| {
        let host = uri.host().unwrap_or_default();
        let here = ["localhost", "127.0.0.1", "[::1]"].contains(&host);
        let plain = !uri.authority().is_some_and(|to| to.as_str().contains('@'));
        match uri.scheme_str() {
            Some("https") => !host.is_empty() && plain,
            Some("http") => here && plain,
            _ => false,
        }
    });
    if !fits {
        auth.report(
            NAME,
            "it has to be the `https://` URL of the token endpoint, without a login in it",
        );
        return None;
    }
    Some(text.to_owned())
}

/// A server that is started for each run.
pub(super) struct Program {
    words: Vec<String>,
    env: BTreeMap<String, Sealed>,
    /// Where the program is, if its name alone is given.
    found: Option<Found>,
}

/// A program that was looked up, once: what is started is then what runs are kept from changing, whatever
/// turns up in a folder that is searched before.
struct Found {
    file: PathBuf,
    /// The folders that were searched before its own. A program of its name in one of these would be started
    /// in its place by the next gateway.
    before: Vec<PathBuf>,
}

impl Program {
    pub(super) fn read(section: &Section<'_, '_>) -> Option<Self> {
        let words = section.list("command", MAX_WORDS);
        let words = words.filter(|words| {
            let fits = words.first().is_some_and(|program| !program.is_empty())
                && !words.iter().any(|word| word.contains('\0'));
            if !fits {
                section.report("command", "its first word has to name a program");
            }
            fits
        });
        let words = words?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = words.first().filter(|word| !word.contains('/'));
        Some(Self {
            found: found.and_then(|word| Found::of(word, &path)),
            env: environment(section)?,
            words,
        })
    }

    /// With the secrets looked up.
    pub(super) fn command(&self, folder: &Path) -> Result<Command, Problems> {
        let mut env = BTreeMap::new();
        for (name, value) in &self.env {
            let text = value.text(folder)?;
            if text.contains('\0') {
                return Err(value.problem("a variable cannot hold a zero byte".to_owned()));
            }
            env.insert(name.clone(), text);
        }
        let mut words = self.words.clone();
        let found = self.found.as_ref().and_then(|found| found.file.to_str());
        if let (Some(word), Some(found)) = (words.first_mut(), found) {
            found.clone_into(word);
        }
        Ok(Command {
            words,
            env,
            folder: folder.to_owned(),
        })
    }

    pub(super) fn sealed(&self) -> impl Iterator<Item = &Sealed> {
        self.env.values()
    }

    /// Whether a secret stands in the configuration itself, as far as a variable's name tells.
    pub(super) fn holds_secrets(&self) -> bool {
        let telling = |name: &str| {
            let name = name.to_ascii_uppercase();
            ["KEY", "TOKEN", "SECRET", "PASS", "CREDENTIAL"]
                .iter()
                .any(|word| name.contains(word))
        };
        self.env
            .iter()
            .any(|(name, value)| value.template().is_literal() && telling(name))
    }

    /// What the gateway executes, with its own rights and the server's secrets: whoever could change it
    /// would act as the gateway. A script stands for the folder that it is in, from which it takes more,
    /// unless that is the configuration's.
    pub(super) fn files(&self, folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for (index, word) in self.words.iter().enumerate() {
            let named = match index {
                0 if !word.contains('/') => self.found.as_ref().map(|found| found.file.clone()),
                _ => Some(folder.join(word)),
            };
            let Some(file) = named.filter(|file| file.is_file()) else {
                continue;
            };
            let script = is_script(&file);
            if index > 0 && !script {
                continue;
            }
            for file in [file.canonicalize().ok(), Some(file)].into_iter().flatten() {
                let own = file
                    .parent()
                    .filter(|own| script && !folder.starts_with(own));
                files.push(own.map_or_else(|| file.clone(), Path::to_owned));
            }
        }
        files.extend(self.found.iter().flat_map(|found| found.before.clone()));
        files.sort();
        files.dedup();
        files
    }
}

impl Found {
    /// Looks for a program where a shell would.
    fn of(program: &str, path: &OsStr) -> Option<Self> {
        let mut before = Vec::new();
        for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
            let file = folder.join(program);
            let runs = file
                .metadata()
                .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0);
            if runs {
                return Some(Self { file, before });
            }
            before.extend(folder.is_dir().then_some(folder));
        }
        None
    }
}

/// Whether something is a program that another one reads.
fn is_script(file: &Path) -> bool {
    const SCRIPTS: [&str; 10] = [
        "cjs", "jar", "js", "mjs", "mts", "php", "py", "rb", "sh", "ts",
    ];
    let extension = file.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| SCRIPTS.contains(&extension))
}

fn environment(section: &Section<'_, '_>) -> Option<BTreeMap<String, Sealed>> {
    let mut env = BTreeMap::new();
    if !section.has("env") {
        return Some(env);
    }
    let table = section.open_section("env")?;
    for name in table.names() {
        if name.is_empty() || name.contains(['=', '\0']) || env.len() >= MAX_WORDS {
            table.report(
                name,
                format!("a variable's name has no `=`, and there are at most {MAX_WORDS} of them"),
            );
            return None;
        }
        env.insert(name.to_owned(), table.sealed(name)?);
    }
    Some(env)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_program_is_looked_up_once_and_the_folders_before_its_own_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let [early, late] = ["early", "late"].map(|name| folder.path().join(name));
        for (own, mode) in [(&early, 0o644), (&late, 0o755)] {
            fs::create_dir(own).unwrap();
            fs::write(own.join("server"), "").unwrap();
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(own.join("server"), mode).unwrap();
        }
        let missing = folder.path().join("missing");
        let path = std::env::join_paths([&missing, &early, &late]).unwrap();
        let program = Program {
            words: vec!["server".to_owned(), "x".to_owned()],
            env: BTreeMap::new(),
            found: Found::of("server", &path),
        };
        // What somebody puts there afterwards is not what is started.
        let planted = fs::Permissions::from_mode(0o755);
        fs::set_permissions(early.join("server"), planted).unwrap();
        let command = program.command(folder.path()).unwrap();
        assert_eq!(command.words, [late.join("server").to_str().unwrap(), "x"]);
        assert_eq!(program.files(folder.path()), [early, late.join("server")]);
    }
}
