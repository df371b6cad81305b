//! Asking the running gateway.

use bailiwick_audit::Reader;
use bailiwick_control::api::Which;
use bailiwick_control::client::{Client, ClientError};
use bailiwick_run::RunId;
use tokio::runtime::{Builder, Runtime};

use crate::config::ConfigArg;
use crate::failure::Failure;

/// Asks the gateway of a configuration.
pub(crate) fn ask<T>(
    config: &ConfigArg,
    question: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let data = config.load()?.data;
    runtime()?.block_on(async {
        let client = Client::connect(&data).await?;
        question(&client).await
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
                    .help("it runs confined in a run, or as another user than the gateway")
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
