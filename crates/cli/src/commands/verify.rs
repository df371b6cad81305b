//! `bailiwick verify`: checks the log, trusting nobody.

mod words;

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bailiwick_audit::{
    Broken, DirSource, Policy, Reader, Report, Source, Transport, Verification, VerifyOptions,
    verify_predecessors,
};
use bailiwick_control::Place;
use bailiwick_control::client::Client;
use bailiwick_run::RunId;
use clap::Args;
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::commands::gateway;
use crate::commands::trust::{self, TrustArgs};
use crate::config::ConfigArg;
use crate::failure::Failure;
use crate::http::Http;
use crate::render::{self, Meter, clean, clean_lines, style};

/// Check every record, hash, chain and signature of the log
///
/// Needs no gateway. With a policy that names witnesses it also checks that enough of them have seen
/// the log, and asks them whether they have seen more of it, or another.
///
/// Exits with 0 if everything is whole, with 1 and the first broken thing if not (also if too few
/// witnesses have seen it), and with 2 if it could not be checked (a file that cannot be read, a key
/// or a policy that is not right).
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    bailiwick verify\n  \
    bailiwick verify --data /backup/bailiwick/data --policy trust.policy\n  \
    bailiwick verify --url http://127.0.0.1:7400 --key \"$(cat log.vkey)\"\n  \
    bailiwick verify --save-checkpoint checked                               # once, all of it\n  \
    bailiwick verify --since-checkpoint checked --save-checkpoint checked    # then only what is new\n\n\
    The key that lies beside a log shows that the log agrees with itself. Only a key that was kept \
    elsewhere since the start shows that nobody has written it anew, and only witnesses that nobody \
    who holds that key has done so.")]
pub(crate) struct Verify {
    /// The data folder, or a copy of its `log` folder; that of the configuration if not given
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// A gateway's API, https://HOST or http://HOST:PORT; BAILIWICK_TOKEN holds its token, unless its log is public
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// For https://: the file with the authorities to trust instead of the system's, PEM
    #[arg(long, value_name = "FILE", env = "BAILIWICK_CA_FILE")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    /// Do not ask the policy's witnesses what they have seen
    #[arg(long)]
    offline: bool,
    /// Report on this run, too: its id, or `last` for the newest
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Go on from a checkpoint that was verified before: what it covers is not read again
    #[arg(long, value_name = "FILE", conflicts_with = "run")]
    since_checkpoint: Option<PathBuf>,
    /// Where to keep the checkpoint that was verified, for the next time and as evidence
    #[arg(long, value_name = "FILE")]
    save_checkpoint: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// What was found, the run that was asked about, and whether the key is the one beside the log.
type Checked = (Result<Report, Broken>, Option<RunId>, bool);

/// The exit status for a log that is broken.
const BROKEN: u8 = 1;

/// Whether commands ask another gateway than this: their token is for that one, and not for this.
fn is_of_another(place: &Place) -> bool {
    std::env::var("BAILIWICK_GATEWAY")
        .is_ok_and(|asked| asked.parse::<Place>().ok().as_ref() != Some(place))
}

impl Verify {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let (checked, run, own_key) = match &self.url {
            Some(url) => {
                let run = self.run.as_deref().map(gateway::named).transpose()?;
                (self.over_network(url, run)?, run, false)
            }
            None => self.on_disk()?,
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

    fn on_disk(&self) -> Result<Checked, Failure> {
        let data = match &self.data {
            Some(data) => data.clone(),
            None => self.config.load()?.data,
        };
        let run = match self.run.as_deref() {
            None => Ok(None),
            Some("last") => newest_run(&data).map(Some),
            Some(run) => Ok(Some(gateway::named(run)?)),
        };
        let asked = run.as_ref().ok().copied().flatten();
        // A copy of the published part has no write-ahead log and no key beside it.
        let (log, options) = if data.join("log").is_dir() {
            (data.join("log"), VerifyOptions::for_data_dir(&data, asked))
        } else if data.join("checkpoint").is_file() {
            let options = VerifyOptions {
                run: asked,
                ..VerifyOptions::default()
            };
            (data.clone(), options)
        } else {
            return Err(
                Failure::new(format!("there is no log in `{}`", data.display()))
                    .help("--data names the gateway's data folder, or a copy of its `log` folder"),
            );
        };
        let (policy, own_key) = match self.trust.given()? {
            Some(policy) if !policy.logs().is_empty() => (policy, false),
            // Whose witnesses are known, and the log itself only from beside it.
            policy => (trust::accept(policy, &own_key(&data)?)?, true),
        };
        let checked = self.check(&DirSource::new(log), &policy, options)?;
        // Where the newest run cannot be told, that the log is broken is what there is to say.
        let run = match &checked {
            Ok(_) => run?,
            Err(_) => asked,
        };
        Ok((
            checked.and_then(|report| with_predecessors(&data, &policy, report)),
            run,
            own_key,
        ))
    }

    fn over_network(
        &self,
        url: &str,
        run: Option<RunId>,
    ) -> Result<Result<Report, Broken>, Failure> {
        let policy = self.trust.required()?;
        let token = std::env::var("BAILIWICK_TOKEN").unwrap_or_default();
        let client = match url.parse::<Place>() {
            Ok(place) if !token.is_empty() && is_of_another(&place) => {
                let message = format!(
                    "the token in BAILIWICK_TOKEN is not sent to `{url}`: it is for the gateway that BAILIWICK_GATEWAY names"
                );
                return Err(Failure::new(message).help(
                    "leave BAILIWICK_TOKEN out where that log is public, or BAILIWICK_GATEWAY where the token is for it",
                ));
            }
            Ok(place) if place.is_secure() => {
                let dial = gateway::dial(&place, self.ca_file.as_deref())?;
                Client::elsewhere(&place, &token, dial)
            }
            // Not on this machine.
            Err(_) if !token.is_empty() => {
                let message = format!(
                    "the token in BAILIWICK_TOKEN is not sent to `{url}`: without TLS everybody on the way could read it"
                );
                return Err(Failure::new(message).help(
                    "name it as `https://HOST`, or leave BAILIWICK_TOKEN out where its log is public",
                ));
            }
            _ => Client::over_network(url, &token)?,
        };
        let source = Published {
            client,
            runtime: gateway::runtime()?,
        };
        let options = VerifyOptions {
            run,
            ..VerifyOptions::default()
        };
        self.check(&source, &policy, options)
    }

    fn check(
        &self,
        source: &dyn Source,
        policy: &Policy,
        options: VerifyOptions,
    ) -> Result<Result<Report, Broken>, Failure> {
        let mut witnesses = policy.witnesses().iter();
        let is_asking = !self.offline && witnesses.any(|witness| witness.url().is_some());
        let http = is_asking.then(Http::start).transpose().map_err(|error| {
            Failure::new(format!("cannot ask the witnesses: {error}"))
                .help("--offline leaves them unasked")
        })?;
        let meter = Meter::new("records");
        let check = Verification {
            source,
            policy,
            options: &VerifyOptions {
                since: self.since_checkpoint.clone(),
                ..options
            },
            transport: http.as_ref().map(|http| http as &dyn Transport),
            progress: &|progress| meter.show(progress.done, progress.total),
        };
        let checked = check.run();
        meter.clear();
        if let (Ok(report), Some(file)) = (&checked, &self.save_checkpoint) {
            save(file, &report.checkpoint)?;
        }
        Ok(checked)
    }

    fn whole(
        &self,
        report: &Report,
        run: Option<RunId>,
        own_key: bool,
    ) -> Result<ExitCode, Failure> {
        if let (Some(run), None) = (run, &report.run) {
            let failure = Failure::new(format!("the log has no run {run}"));
            return Err(match report.continues {
                None => failure,
                Some(_) => failure.help(
                    "it may be in a log that was rotated away: --data data/archive/0001, and so on",
                ),
            });
        }
        if self.json {
            render::print_json(&Verdict::Whole(report))?;
        } else {
            render::print(&words::whole(report, own_key))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn broken(&self, broken: &Broken) -> Result<ExitCode, Failure> {
        let message = broken.to_string();
        let evidence = broken.evidence();
        if self.json {
            render::print_json(&Verdict::Broken {
                message: &message,
                evidence,
            })?;
        } else {
            let style = style::DENIED;
            let mut text = format!("{style}✗ broken:{style:#} {}\n", clean(&message));
            if let Some(note) = evidence {
                // As it is, to be copied.
                text.push('\n');
                for line in clean_lines(note) {
                    text.push_str(&format!("{line}\n"));
                }
            }
            render::print(&text)?;
        }
        Ok(ExitCode::from(BROKEN))
    }
}

#[derive(Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
enum Verdict<'a> {
    Whole(&'a Report),
    Broken {
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        evidence: Option<&'a str>,
    },
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

/// Checks what the log continues, as far as it is kept beside it.
fn with_predecessors(data: &Path, policy: &Policy, mut report: Report) -> Result<Report, Broken> {
    let log = (policy.logs().iter()).find(|log| log.name() == report.origin);
    if let Some(log) = log {
        report.predecessors = verify_predecessors(data, &report, log.vkey())?;
    }
    Ok(report)
}

fn newest_run(data: &Path) -> Result<RunId, Failure> {
    gateway::find_in(&Reader::open(data)?, "last")
}

/// The most that is read of a key that lies beside a log, in bytes.
const KEY_BYTES_MAX: u64 = 4 * 1024;

fn own_key(data: &Path) -> Result<String, Failure> {
    let file = data.join("log.vkey");
    let read = || {
        // Before it is opened: opening a pipe waits for its other end.
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        let mut key = String::new();
        std::fs::File::open(&file)?
            .take(KEY_BYTES_MAX)
            .read_to_string(&mut key)?;
        Ok(key)
    };
    read().map_err(|error| {
        Failure::new(format!("cannot read the key `{}`: {error}", file.display()))
            .help("--key names the log's verifier key")
    })
}

/// Puts a checkpoint in a file, whole or not at all: the next check goes by it.
fn save(file: &Path, checkpoint: &str) -> Result<(), Failure> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let saved = tempfile::NamedTempFile::new_in(folder).and_then(|mut new| {
        io::Write::write_all(&mut new, checkpoint.as_bytes())?;
        new.as_file().sync_all()?;
        new.persist(file).map_err(|error| error.error)
    });
    saved.map(drop).map_err(|error| {
        Failure::new(format!(
            "the log is whole, but `{}` cannot be written: {error}",
            file.display()
        ))
    })
}
