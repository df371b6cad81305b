//! `bailiwick verify`: checks the log, trusting nobody.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bailiwick_audit::{Broken, DirSource, Report, RunState, Source, VerifyOptions, verify};
use bailiwick_control::client::Client;
use bailiwick_run::RunId;
use clap::Args;
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::commands::gateway;
use crate::config::ConfigArg;
use crate::failure::Failure;
use crate::render::{self, clean, count, style};

/// Check every record, hash, chain and signature of the log
///
/// Needs no gateway. Exits with 0 if everything is whole, with 1 and the first broken thing if not,
/// and with 2 if it could not be checked (a file that cannot be read, a key that is none).
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    bailiwick verify\n  \
    bailiwick verify --data /backup/bailiwick/data --key 'acme.example/bailiwick+1a2b3c4d+AbC…'\n  \
    bailiwick verify --url http://127.0.0.1:7400 --key \"$(cat log.vkey)\"\n\n\
    The key that lies beside a log shows that the log agrees with itself. Only a key that was kept \
    elsewhere since the start shows that nobody has written it anew.")]
pub(crate) struct Verify {
    /// The data folder, or a copy of its `log` folder; that of the configuration if not given
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// A gateway's API, http://HOST:PORT; BAILIWICK_TOKEN holds its token
    #[arg(long, value_name = "URL", requires = "key")]
    url: Option<String>,
    /// The log's verifier key; that in the data folder if not given
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    /// Report on this run, too
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// The exit status for a log that is broken.
const BROKEN: u8 = 1;

impl Verify {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let run: Option<RunId> = match self.run.as_deref() {
            None => None,
            Some(run) => Some(
                run.parse()
                    .map_err(|error| Failure::new(format!("`{run}` is {error}")))?,
            ),
        };
        let (checked, own_key) = match &self.url {
            Some(url) => (self.over_network(url, run)?, false),
            None => self.on_disk(run)?,
        };
        match checked {
            Ok(report) => self.whole(&report, run, own_key),
            Err(broken @ Broken::Unreadable { .. }) if self.url.is_some() => Err(Failure::new(
                broken,
            )
            .help(
                "BAILIWICK_TOKEN has to hold the gateway's token: the file control.token in its \
                     data folder",
            )),
            Err(broken @ (Broken::Unreadable { .. } | Broken::Key(_))) => Err(Failure::new(broken)),
            Err(broken) => self.broken(&broken),
        }
    }

    fn on_disk(&self, run: Option<RunId>) -> Result<(Result<Report, Broken>, bool), Failure> {
        let data = match &self.data {
            Some(data) => data.clone(),
            None => self.config.load()?.data,
        };
        // A copy of the published part has no write-ahead log and no key beside it.
        let (log, options) = if data.join("log").is_dir() {
            (data.join("log"), VerifyOptions::for_data_dir(&data, run))
        } else if data.join("checkpoint").is_file() {
            let options = VerifyOptions {
                run,
                ..VerifyOptions::default()
            };
            (data.clone(), options)
        } else {
            return Err(
                Failure::new(format!("there is no log in `{}`", data.display()))
                    .help("--data names the gateway's data folder, or a copy of its `log` folder"),
            );
        };
        let key = match &self.key {
            Some(key) => key.clone(),
            None => own_key(&data)?,
        };
        let checked = verify(&DirSource::new(log), key.trim(), &options);
        Ok((checked, self.key.is_none()))
    }

    fn over_network(
        &self,
        url: &str,
        run: Option<RunId>,
    ) -> Result<Result<Report, Broken>, Failure> {
        let token = std::env::var("BAILIWICK_TOKEN").unwrap_or_default();
        let source = Published {
            client: Client::over_network(url, &token)?,
            runtime: gateway::runtime()?,
        };
        let options = VerifyOptions {
            run,
            ..VerifyOptions::default()
        };
        let key = self.key.as_deref().unwrap_or_default();
        Ok(verify(&source, key.trim(), &options))
    }

    fn whole(
        &self,
        report: &Report,
        run: Option<RunId>,
        own_key: bool,
    ) -> Result<ExitCode, Failure> {
        if let (Some(run), None) = (run, &report.run) {
            return Err(Failure::new(format!("the log has no run {run}")));
        }
        if self.json {
            render::print_json(&Verdict::Whole(report))?;
        } else {
            render::print(&describe(report, own_key))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn broken(&self, broken: &Broken) -> Result<ExitCode, Failure> {
        let message = broken.to_string();
        if self.json {
            render::print_json(&Verdict::Broken { message: &message })?;
        } else {
            let style = style::DENIED;
            render::print(&format!("{style}✗ broken:{style:#} {}\n", clean(&message)))?;
        }
        Ok(ExitCode::from(BROKEN))
    }
}

#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
enum Verdict<'a> {
    Whole(&'a Report),
    Broken { message: &'a str },
}

/// A log that a gateway publishes.
struct Published {
    client: Client,
    runtime: Runtime,
}

impl Source for Published {
    fn get(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.runtime
            .block_on(self.client.log_file(path))
            .map_err(io::Error::other)
    }
}

fn own_key(data: &Path) -> Result<String, Failure> {
    let file = data.join("log.vkey");
    std::fs::read_to_string(&file).map_err(|error| {
        Failure::new(format!("cannot read the key `{}`: {error}", file.display()))
            .help("--key names the log's verifier key")
    })
}

fn describe(report: &Report, own_key: bool) -> String {
    let (fine, dim) = (style::FINE, style::DIM);
    let mut text = format!(
        "{fine}✓ whole:{fine:#} {} of {}, signed under one checkpoint\n",
        count(report.records, "record"),
        clean(&report.origin),
    );
    let mut line = |words: String| text.push_str(&format!("  {words}\n"));
    if let Some(time) = &report.last_time {
        line(format!("the last is of {}", clean(time)));
    }
    line(format!(
        "{} closed, {} open",
        count(report.runs_closed, "run"),
        report.runs_open
    ));
    if let Some(run) = &report.run {
        let state = match run.state {
            RunState::Closed => "closed",
            RunState::Open => "open",
        };
        line(format!(
            "{}: {state}, {} without a gap",
            clean(&run.run),
            count(run.records, "record")
        ));
    }
    if report.without_outcome > 0 {
        line(format!(
            "{} allowed of which no outcome is recorded",
            count(report.without_outcome, "call")
        ));
    }
    if report.pruned > 0 {
        line(format!(
            "{} at the beginning pruned, as the log says itself; {} began before",
            count(report.pruned, "record"),
            count(report.runs_cut, "run")
        ));
    }
    if !report.erased.is_empty() {
        line(format!(
            "the payloads of {} erased: {}",
            count(report.erased.len() as u64, "run"),
            clean(&report.erased.join(", "))
        ));
    }
    if let Some(log) = &report.continues {
        line(format!(
            "it continues {}, which ended with {}",
            clean(&log.origin),
            count(log.size, "record")
        ));
    }
    if let Some(log) = &report.continued_by {
        line(format!("it is continued by {}", clean(&log.origin)));
    }
    if report.tail > 0 {
        let records = count(report.tail, "record");
        line(format!(
            "{records} not covered by a checkpoint yet, in whole chains"
        ));
    }
    if report.torn_bytes > 0 {
        let bytes = count(report.torn_bytes, "byte");
        line(format!(
            "{bytes} at the end belong to nothing that was confirmed"
        ));
    }
    let mut caveat = |words: &str| text.push_str(&format!("  {dim}{}{dim:#}\n", clean(words)));
    for unknown in &report.unknown {
        caveat(unknown);
    }
    if own_key {
        caveat(
            "checked with the key that lies beside the log: that the log agrees with itself; \
             --key checks it with one that was kept elsewhere",
        );
    }
    text
}
