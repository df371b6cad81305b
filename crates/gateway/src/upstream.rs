//! How a target that speaks HTTP is reached, beside where it is: what the gateway shows there, which the
//! agent never has.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// What there is to know of a target that speaks HTTP, beside its [`bailiwick_wire::Endpoint`]: host, port,
/// TLS, and as `database` the path that its URLs begin with.
#[derive(Clone, Debug, Default)]
pub struct Upstream {
    /// What the gateway shows the target, with every request.
    pub credential: Credential,
    /// The certificate that the gateway shows in TLS, and its key: PEM files.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The target may be at a private address: of this machine, of a private network, of a link. Where it
    /// may not, a name that resolves to one is not followed. An address that stands in the URL itself is
    /// always meant.
    pub private: bool,
    /// A header, in lower case, in which agents may bring the run's secret, beside `authorization`.
    pub token_header: Option<String>,
    /// What is started for each run, and spoken to over its standard input and output, instead of a server
    /// that is there already (MCP's stdio transport).
    pub command: Option<Command>,
}

/// What the gateway shows a target.
#[derive(Clone, Default)]
pub enum Credential {
    /// Nothing.
    #[default]
    None,
    /// `Authorization: Bearer` and this token.
    Bearer(String),
    /// `Authorization: Basic` (RFC 7617).
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A header of its own.
    Header {
        /// Its name, in lower case.
        name: String,
        /// Its value.
        value: String,
    },
    /// A bearer token that the gateway gets for itself by OAuth 2.0's client credentials grant (RFC 6749,
    /// section 4.4), and renews before it expires.
    OAuth(ClientCredentials),
}

impl Credential {
    /// What of it the target sees and nobody else is to: also as it stands in a header.
    pub(crate) fn secrets(&self) -> Vec<String> {
        match self {
            Credential::None | Credential::OAuth(_) => Vec::new(),
            Credential::Bearer(token) => vec![token.clone()],
            Credential::Basic { user, password } => basic_secrets(user, password),
            Credential::Header { value, .. } => vec![value.clone()],
        }
    }
}

/// The same, of HTTP Basic.
pub(crate) fn basic_secrets(user: &str, password: &str) -> Vec<String> {
    let sent = BASE64_STANDARD.encode(format!("{user}:{password}"));
    vec![password.to_owned(), sent]
}

/// Never the secret itself.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credential::None => "None",
            Credential::Bearer(_) => "Bearer(..)",
            Credential::Basic { .. } => "Basic(..)",
            Credential::Header { .. } => "Header(..)",
            Credential::OAuth(_) => "OAuth(..)",
        })
    }
}

/// With what an OAuth token is had.
#[derive(Clone)]
pub struct ClientCredentials {
    /// The token endpoint, an `https` URL (or `http`, at this machine).
    pub token_url: String,
    /// The client's id.
    pub client_id: String,
    /// Its secret, sent as HTTP Basic (RFC 6749, section 2.3.1).
    pub client_secret: String,
    /// The scope to ask for, if any.
    pub scope: Option<String>,
    /// The resource that the token is for (RFC 8707), if any.
    pub resource: Option<String>,
}

/// A program that is started for each run.
#[derive(Clone)]
pub struct Command {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Its environment, beside `PATH`, `HOME`, `LANG` and `TMPDIR` of the gateway's own: nothing else of that
    /// is handed on.
    pub env: BTreeMap<String, String>,
    /// Where it is started.
    pub folder: PathBuf,
}

/// Never its environment.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({:?})", self.words.first())
    }
}
