//! Where those who only look read the record: the running gateway, or a data folder.

use std::path::{Path, PathBuf};

use bailiwick_control::api::{Answer, RunDetail, Search, Summary, Trail, TrailRecord, Which};
use bailiwick_control::client::Client;
use bailiwick_control::{Chain, Folder, Words};
use bailiwick_run::RunId;
use clap::Args;

use crate::commands::gateway::{self, GatewayArg};
use crate::failure::Failure;
use crate::render;

/// Which record is looked at.
#[derive(Args)]
pub(crate) struct SourceArgs {
    /// Read this data folder, or a copy of it, and ask no gateway. Nothing in it is written, and nothing
    /// verified: that is for `verify`
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    gateway: GatewayArg,
}

/// What answers.
pub(crate) enum Source {
    Gateway(Client),
    Folder(Folder),
}

impl SourceArgs {
    /// Asks the gateway, or reads the folder that is named, and says that this verifies nothing.
    pub(crate) fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&Source) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let answer = gateway::runtime()?.block_on(async {
            let source = match &self.data {
                Some(data) => Source::Folder(Folder::open(data).await?),
                None => Source::Gateway(self.gateway.reach().await?.client),
            };
            question(&source).await
        })?;
        if let Some(data) = &self.data {
            // Last, where a long answer does not carry it away.
            unverified(data);
        }
        Ok(answer)
    }

    /// Which words are indexed there. Whoever asks the gateway of somebody else need not know.
    pub(crate) fn words(&self) -> Option<Words> {
        match &self.data {
            Some(_) => Some(Words::OfRecords),
            None => Some(self.gateway.config.load().ok()?.log.words),
        }
    }
}

/// Says what an answer is worth that comes from this folder.
pub(super) fn unverified(data: &Path) {
    render::note(format!(
        "this is what the files say, and none of it was verified: whoever can write them can have altered it. \
         `bailiwick verify --data {}` checks it, against the key that --key names",
        data.display()
    ));
}

impl Source {
    /// A run by its id, or `last` for the newest.
    pub(crate) async fn find(&self, name: &str) -> Result<RunId, Failure> {
        match self {
            Self::Gateway(client) => gateway::find(client, name).await,
            Self::Folder(folder) => gateway::find_in(folder.reader(), name),
        }
    }

    pub(crate) async fn runs(&self, which: Which, limit: u32) -> Result<Vec<Summary>, Failure> {
        match self {
            Self::Gateway(client) => Ok(client.runs(which, limit).await?.runs),
            Self::Folder(folder) => {
                Ok(folder.runs(which, usize::try_from(limit).unwrap_or(usize::MAX))?)
            }
        }
    }

    pub(crate) async fn run(&self, run: &RunId) -> Result<RunDetail, Failure> {
        match self {
            Self::Gateway(client) => Ok(client.run(run).await?),
            Self::Folder(folder) => folder.run(run)?.ok_or_else(|| {
                Failure::new(format!("the log has no run {run}, or its beginning was pruned"))
                    .help("`bailiwick export --format jsonl --run RUN --data DIR` prints what is left of one")
            }),
        }
    }

    /// The records of a chain after this number, as many as come at once, with no payloads from a gateway: it records
    /// who is shown those.
    pub(crate) async fn records(&self, run: Option<&RunId>, after: u64) -> Result<Trail, Failure> {
        match self {
            Self::Gateway(client) => Ok(client.records(run, after).await?),
            Self::Folder(folder) => kept(folder, run, after),
        }
    }

    /// The same with payloads.
    pub(crate) async fn trail(&self, run: Option<&RunId>, after: u64) -> Result<Trail, Failure> {
        match (self, run) {
            (Self::Gateway(client), Some(run)) => Ok(client.trail(run, after).await?),
            (Self::Gateway(client), None) => Ok(client.gateway_trail(after).await?),
            (Self::Folder(folder), _) => kept(folder, run, after),
        }
    }

    pub(crate) async fn search(&self, search: Search) -> Result<Answer, Failure> {
        match self {
            Self::Gateway(client) => Ok(client.search(&search).await?),
            Self::Folder(folder) => {
                let scratch = tempfile::tempdir().map_err(|error| {
                    Failure::new(format!("there is no room for an index: {error}"))
                        .help("TMPDIR names another folder")
                })?;
                folder.search(search, scratch.path()).map_err(Failure::new)
            }
        }
    }

    pub(crate) async fn record(&self, chain: Chain, seq: u64) -> Result<TrailRecord, Failure> {
        match self {
            Self::Gateway(client) => Ok(client.record(&chain.to_string(), seq).await?),
            Self::Folder(folder) => folder.record(chain, seq)?.ok_or_else(|| {
                Failure::new(format!("the log has no record {chain}/{seq}"))
                    .help("`bailiwick trail RUN` shows the numbers")
            }),
        }
    }
}

fn kept(folder: &Folder, run: Option<&RunId>, after: u64) -> Result<Trail, Failure> {
    let mut trail = folder.trail(run.map_or(Chain::Gateway, |run| Chain::Run(*run)))?;
    trail.records.retain(|record| record.seq > after);
    Ok(trail)
}
