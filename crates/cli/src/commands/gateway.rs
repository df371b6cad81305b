//! Asking the running gateway: one's own, another user's, or one on another machine.

mod elsewhere;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use bailiwick_audit::Reader;
use bailiwick_control::api::Which;
use bailiwick_control::client::{Client, ClientError};
use bailiwick_run::RunId;
use clap::Args;
use tokio::runtime::{Builder, Runtime};

use crate::config::{ConfigArg, SHARED_FOLDER};
use crate::failure::Failure;
pub(crate) use elsewhere::dial;

/// The variables that hold what a gateway is asked with. No run's process gets those of its launcher.
pub(crate) const SECRETS: [&str; 1] = [elsewhere::VARIABLE];

/// Which gateway a command asks.
#[derive(Args, Clone, Debug)]
pub(crate) struct GatewayArg {
    /// The gateway of another user, as `unix:FOLDER` with the `control_folder` of its configuration, or of another
    /// machine, as `https://HOST`. Without, it is the gateway of the configuration, or where there is none here, that
    /// of /run/bailiwick
    #[arg(long, value_name = "WHERE", env = "BAILIWICK_GATEWAY")]
    gateway: Option<Place>,
    /// For https://: the file with the token; if not given, the token is in BAILIWICK_TOKEN
    #[arg(long, value_name = "FILE", env = "BAILIWICK_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// For https://: the file with the authorities to trust instead of the system's, PEM
    #[arg(long, value_name = "FILE", env = "BAILIWICK_CA_FILE")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// Where a gateway is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// At the socket of a group.
    Shared(PathBuf),
    /// At its address.
    Elsewhere(bailiwick_control::Place),
}

impl FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:").map(Path::new) {
            Some(folder) if folder.is_absolute() => Ok(Self::Shared(folder.to_owned())),
            Some(_) => Err("the folder has to be an absolute path, as in unix:/run/bailiwick"),
            None => text.parse().map(Self::Elsewhere).map_err(|_| {
                "a gateway is `unix:FOLDER`, such as unix:/run/bailiwick, or `https://HOST` or `https://HOST:PORT` \
                 without a path; `http://` is for this machine alone, because the token would go over the network for \
                 everybody to read"
            }),
        }
    }
}

/// A gateway that answers.
pub(crate) struct Reached {
    pub(crate) client: Client,
    pub(crate) asker: Asker,
}

/// What whoever asks is to the gateway.
#[derive(Clone, Debug)]
pub(crate) enum Asker {
    /// The user that the gateway is.
    Own {
        /// Its data folder.
        data: PathBuf,
    },
    /// Another user of its machine.
    Guest,
    /// A program that has a token.
    Elsewhere {
        /// Whether the gateway seems to be on this machine.
        is_near: bool,
        /// The file with the token.
        token: Option<PathBuf>,
        /// The file with the authorities that are trusted.
        ca: Option<PathBuf>,
    },
}

impl GatewayArg {
    /// Finds the gateway.
    pub(crate) async fn reach(&self) -> Result<Reached, Failure> {
        let shared = async |folder: &Path| {
            let client = Client::connect(folder).await?;
            let asker = Asker::Guest;
            Ok(Reached { client, asker })
        };
        match &self.gateway {
            Some(Place::Shared(folder)) => return shared(folder).await,
            Some(Place::Elsewhere(place)) => return self.elsewhere(place),
            None => {}
        }
        let standard = Path::new(SHARED_FOLDER);
        if !self.config.is_there() && standard.exists() {
            return shared(standard).await;
        }
        let config = self.config.load()?;
        match (Client::connect(&config.data).await, &config.listen.shared) {
            (Err(ClientError::MayNot(_)), Some(socket)) => shared(&socket.folder).await,
            (reached, _) => Ok(Reached {
                client: reached?,
                asker: match is_ours(&config.data) {
                    true => Asker::Own { data: config.data },
                    false => Asker::Guest,
                },
            }),
        }
    }

    fn elsewhere(&self, place: &bailiwick_control::Place) -> Result<Reached, Failure> {
        let token = elsewhere::token(self.token_file.as_deref())?;
        let dial = elsewhere::dial(place, self.ca_file.as_deref())?;
        Ok(Reached {
            client: Client::elsewhere(place, &token, dial),
            asker: Asker::Elsewhere {
                is_near: place.is_loopback(),
                token: self.token_file.clone(),
                ca: self.ca_file.clone(),
            },
        })
    }
}

/// Whether this user is the one that the gateway is; root need not be.
fn is_ours(data: &Path) -> bool {
    (data.metadata()).is_ok_and(|folder| folder.uid() == rustix::process::geteuid().as_raw())
}

/// Asks the gateway.
pub(crate) fn ask<T>(
    gateway: &GatewayArg,
    question: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    runtime()?.block_on(async {
        let reached = gateway.reach().await?;
        question(&reached.client).await
    })
}

/// What futures run on. One thread is enough for asking.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start: {error}")))
}

/// A run by its id, or `last` for the newest.
pub(crate) async fn find(client: &Client, name: &str) -> Result<RunId, Failure> {
    if name == "last" {
        let newest = client.runs(Which::All, 1).await?.runs.into_iter().next();
        return newest.map(|run| run.run).ok_or_else(no_runs);
    }
    named(name)
}

/// The same by the log of a data folder.
pub(crate) fn find_in(reader: &Reader, name: &str) -> Result<RunId, Failure> {
    match name {
        "last" => reader.newest_run()?.ok_or_else(no_runs),
        name => named(name),
    }
}

fn no_runs() -> Failure {
    Failure::new("there are no runs yet")
}

/// A run by its id alone.
pub(crate) fn named(name: &str) -> Result<RunId, Failure> {
    name.parse().map_err(|error| {
        Failure::new(format!("`{name}` is {error}"))
            .help("`bailiwick runs` lists the ids; `last` is the newest")
    })
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotListening(place) => Failure::new(format!(
                "no gateway is listening at {place}"
            ))
            .help("start it with `bailiwick serve`, or name its configuration with --config"),
            ClientError::MayNot(path) => {
                Failure::new(format!("this process may not read {}", path.display()))
                    .help(
                        "it runs confined in a run, or as another user than the gateway: `control_group` under \
                         [listen] lets the users of a group in, and BAILIWICK_GATEWAY says where",
                    )
            }
            ClientError::Refused(problem) => {
                let failure = Failure::new(&problem.detail);
                match &problem.remedy {
                    Some(remedy) => failure.help(remedy),
                    None => failure,
                }
            }
            error => Failure::new(error),
        }
    }
}
