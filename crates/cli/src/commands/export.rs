//! `bailiwick export`: the log as lines, for a SIEM.

mod moment;
mod output;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use bailiwick_audit::{Next, Place, Published, ReadError, Reader};
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::{gateway, source};
use crate::config::ConfigArg;
use crate::failure::Failure;
use crate::render::{self, note};
use moment::Moment;
use output::Output;

/// Write the log as lines of JSON, for a SIEM
///
/// Needs no gateway, and reads no payload: what agents wrote and got stays where it is. A record goes
/// out when a checkpoint covers it, which takes about a second. docs/export.md has the fields.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    bailiwick export --format ocsf --since 24h\n  \
    bailiwick export --format ocsf --follow --since '#0' >> /var/log/bailiwick.ocsf.jsonl\n  \
    bailiwick export --format jsonl --run run_01JD5K3T9V8Z0W2Y4X6A7B8C9D --data /backup/bailiwick/data\n\n\
    To resume: --since '#N', where N is metadata.sequence of the last event, plus one.")]
pub(crate) struct Export {
    /// What a line is
    #[arg(long, value_enum)]
    format: Format,
    /// Go on as records are made, until told to stop
    #[arg(long)]
    follow: bool,
    /// Only from here on: RFC 3339, how long ago (2h), or a record's index in the log (#1234)
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,
    /// Only what comes before
    #[arg(long, value_name = "WHEN")]
    until: Option<Moment>,
    /// Only this run's records: its id, `last` for the newest, or `gateway` for the gateway's own
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// The data folder, or a copy of it; that of the configuration if not given
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
}

/// What a line is.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// A record as an OCSF event
    Ocsf,
    /// The exact bytes of a record
    Jsonl,
}

/// How often a log that is followed is looked at.
const POLL: Duration = Duration::from_millis(300);

/// How long after a moment the last record before it is covered by a checkpoint.
const SETTLED: Duration = Duration::from_secs(3);

/// How long somebody who reads slowly may take for what is being written when it is told to stop.
const GRACE: Duration = Duration::from_secs(1);

impl Export {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let records = self.records()?;
        let data = self.data.clone();
        if self.follow {
            self.follow(records)?;
        } else {
            self.once(records)?;
        }
        if let Some(data) = data {
            source::unverified(&data);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn records(&self) -> Result<Published, Failure> {
        let data = match &self.data {
            Some(data) => data.clone(),
            None => self.config.load()?.data,
        };
        let reader = Reader::open(data)?;
        let mut records = Published::new(reader.clone())?;
        if let Some(since) = &self.since {
            let place = since.place(records.origin())?;
            let first = records.first()?;
            if matches!(place, Place::Index(index) if index < first) {
                note(format!("the records before #{first} were pruned"));
            }
            records = records.since(place)?;
        }
        if let Some(until) = &self.until {
            let place = until.place(records.origin())?;
            records = records.until(place);
        }
        match self.run.as_deref() {
            None => Ok(records),
            Some("gateway") => Ok(records.of_gateway()),
            Some(run) => Ok(records.of_run(gateway::find_in(&reader, run)?)?),
        }
    }

    fn once(&self, mut records: Published) -> Result<(), Failure> {
        let mut output = Output::new(self.format);
        let mut found = false;
        while let Next::Record(entry) = records.next()? {
            found = true;
            output.write(&entry, records.origin())?;
        }
        output.flush()?;
        match &self.run {
            Some(run) if !found && self.since.is_none() && self.until.is_none() => {
                let message = format!("the log has no run {run}");
                Err(Failure::new(message).help("a new run is there after about a second"))
            }
            _ => Ok(()),
        }
    }

    /// Writes in a thread of its own: a reader that stands still must not keep a signal from being
    /// heard.
    fn follow(self, records: Published) -> Result<(), Failure> {
        let runtime = gateway::runtime()?;
        let ended = runtime.block_on(async {
            let listen = |kind| {
                signal(kind)
                    .map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))
            };
            let mut terminate = listen(SignalKind::terminate())?;
            let mut interrupt = listen(SignalKind::interrupt())?;
            let (stop, stopped) = mpsc::channel();
            let mut writing =
                tokio::task::spawn_blocking(move || self.until_stopped(records, &stopped));
            tokio::select! {
                ended = &mut writing => return ended.map_err(Failure::new)?,
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            drop(stop);
            match tokio::time::timeout(GRACE, writing).await {
                Ok(ended) => ended.map_err(Failure::new)?,
                Err(_) => Ok(()),
            }
        });
        runtime.shutdown_background();
        ended
    }

    fn until_stopped(
        &self,
        mut records: Published,
        stopped: &Receiver<std::convert::Infallible>,
    ) -> Result<(), Failure> {
        let mut output = Output::new(self.format);
        loop {
            let wait = match records.next()? {
                Next::Record(entry) => {
                    output.write(&entry, records.origin())?;
                    Duration::ZERO
                }
                Next::Nothing if !self.is_past() && !output.is_closed() => {
                    output.flush()?;
                    POLL
                }
                Next::Nothing | Next::End => return output.flush(),
            };
            // Whoever would send has gone when it is time to stop.
            if let Err(RecvTimeoutError::Disconnected) = stopped.recv_timeout(wait) {
                return output.flush();
            }
        }
    }

    /// Whether nothing can come any more that is before the end.
    fn is_past(&self) -> bool {
        match self.until {
            Some(Moment::Time(end)) => render::now() >= end.after(SETTLED),
            _ => false,
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let failure = Failure::new(&error);
        match error {
            ReadError::Replaced { .. } => failure.help(
                "if it was rotated, the new one begins with --since '#0'; if not, an older copy has \
                 taken its place: check it with `bailiwick verify`",
            ),
            _ => failure,
        }
    }
}
