//! What commands have in common that run until they are told to stop.

use clap::{Args, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

mod lines;

use lines::Lines;

/// What tells a process to stop. A signal that comes from here on is not missed.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal says.
pub(super) enum Told {
    /// To stop.
    Stop,
    /// To read what can be read anew.
    Reload,
}

impl Signals {
    /// Listens for them; before anybody is told that the process is ready.
    pub(super) fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or Ctrl-C, or for SIGHUP. A terminal that closes sends the latter, and does not stop what
    /// others use.
    pub(super) async fn told(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// Waits for SIGTERM or Ctrl-C.
    pub(super) async fn told_to_stop(&mut self) {
        while let Told::Reload = self.told().await {
            tracing::info!("SIGHUP is ignored: files are read at the start");
        }
    }
}

/// What the lines on stderr look like.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct LogArg {
    /// How lines on stderr are written: for people, or as one JSON object each
    #[arg(
        long,
        value_name = "FORMAT",
        env = "BAILIWICK_LOG_FORMAT",
        value_enum,
        default_value_t
    )]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LogFormat {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

impl LogArg {
    /// What came of a command. A failure is a line like the others where lines are for programs.
    pub(super) fn tell<T>(self, done: Result<T, Failure>) -> Result<T, Failure> {
        done.map_err(|failure| match self.log_format {
            LogFormat::Text => failure,
            LogFormat::Json => {
                tracing::error!(help = failure.remedy(), "{failure}");
                failure.told()
            }
        })
    }

    /// Says on stderr what there is to say from here on. BAILIWICK_LOG sets how much, and RUST_LOG where that is
    /// not set; one that cannot be read is said to be so, and counts as `info`.
    pub(super) fn log_to_stderr(self) {
        let wanted = ["BAILIWICK_LOG", "RUST_LOG"]
            .into_iter()
            .find_map(|name| Some((name, std::env::var(name).ok()?)))
            .filter(|(_, wanted)| !wanted.trim().is_empty());
        let filter = wanted
            .as_ref()
            .map(|(_, wanted)| EnvFilter::try_new(wanted));
        let wrong = matches!(filter, Some(Err(_)));
        let filter = match filter {
            Some(Ok(filter)) => filter,
            Some(Err(_)) | None => EnvFilter::new("info"),
        };
        let lines = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_target(false);
        match self.log_format {
            LogFormat::Text => lines
                .with_writer(Lines::Text)
                .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
                .init(),
            LogFormat::Json => lines
                .with_writer(Lines::Json)
                .with_ansi(false)
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .init(),
        }
        if let (true, Some((name, wanted))) = (wrong, wanted) {
            tracing::warn!("{name} is not understood and counts as `info`: {wanted:?}");
        }
    }
}
