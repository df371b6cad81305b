//! The agent's process, and the signals on their way to it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::signal::unix::{self, SignalKind};
use tokio::time::{Instant, sleep};

use super::offspring;
use crate::commands::confined;
use crate::confine::Spec;
use crate::failure::Failure;

/// This program, even if its file was replaced or removed meanwhile.
const MYSELF: &str = "/proc/self/exe";

/// How long an agent whose run is over has to end by itself.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// For how long it is killed again: what it starts meanwhile, and what hangs in the kernel.
const KILLING: Duration = Duration::from_secs(5);

/// How often is looked whether it has ended.
const PACE: Duration = Duration::from_millis(50);

/// The process, in the same process group and on the same terminal as this one, so that job control
/// treats them as one.
pub(super) struct Child {
    process: tokio::process::Child,
    signals: Vec<(unix::Signal, Signal)>,
    /// Comes when a process that was adopted has ended, too.
    ended: unix::Signal,
}

/// How an agent took it that it had to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It ended by itself when it was told to.
    Told,
    /// It was killed.
    Killed,
    /// Something of it lives even so.
    Lives,
}

impl Child {
    /// Starts it: confined if there is a spec, and with this environment alone.
    pub(super) fn start(
        spec: Option<&Spec>,
        command: &[OsString],
        environment: &BTreeMap<OsString, OsString>,
    ) -> Result<Self, Failure> {
        let cannot = |error| Failure::new(format!("the agent could not be started: {error}"));
        // Handlers first: a signal that comes right after the start finds them.
        let signals = handlers().map_err(cannot)?;
        let ended = unix::signal(SignalKind::child()).map_err(cannot)?;
        offspring::adopt();
        let mut process = match spec {
            Some(spec) => {
                let mut process = Command::new(MYSELF);
                process.args(confined::arguments(spec, command));
                process
            }
            None => {
                let (program, arguments) = confined::split(command)?;
                let mut process = Command::new(program);
                process.args(arguments);
                process
            }
        };
        let process = process.env_clear().envs(environment);
        let process = process.kill_on_drop(true).spawn();
        let process = process.map_err(|error| confined::not_started(command, &error))?;
        Ok(Self {
            process,
            signals,
            ended,
        })
    }

    /// Waits for its end and passes signals on. May be given up and called again.
    pub(super) async fn wait(&mut self) -> Result<ExitStatus, Failure> {
        loop {
            let next = next(&mut self.signals);
            let signal = tokio::select! {
                biased;
                status = self.process.wait() => {
                    return status
                        .map_err(|error| Failure::new(format!("cannot wait for the agent: {error}")));
                }
                _ = self.ended.recv() => {
                    offspring::bury(self.pid());
                    continue;
                }
                signal = next => signal,
            };
            self.pass_on(signal);
        }
    }

    /// Ends it and all that it has started: tells them to, and kills what is there after [`GRACE`].
    pub(super) async fn end(&mut self) -> Result<End, Failure> {
        let start = Instant::now();
        let mut how = End::Told;
        // What was stopped hears nothing until it goes on.
        offspring::signal(Signal::TERM);
        offspring::signal(Signal::CONT);
        loop {
            tokio::select! {
                status = self.wait() => {
                    status?;
                }
                () = sleep(PACE) => {}
            }
            offspring::bury(self.pid());
            if !offspring::any() {
                return Ok(how);
            }
            match start.elapsed() {
                early if early < GRACE => {}
                late if late < GRACE + KILLING => {
                    how = End::Killed;
                    offspring::signal(Signal::KILL);
                }
                _ => return Ok(End::Lives),
            }
            sleep(PACE).await;
        }
    }

    fn pid(&self) -> Option<Pid> {
        let id = self.process.id()?;
        Pid::from_raw(id.cast_signed())
    }

    fn pass_on(&self, signal: Signal) {
        if from_terminal(signal) {
            return;
        }
        if let Some(pid) = self.pid()
            && let Err(error) = kill_process(pid, signal)
        {
            tracing::debug!(%error, ?signal, "a signal could not be passed on");
        }
    }
}

/// Those that would otherwise end this process and leave the agent behind.
fn handlers() -> std::io::Result<Vec<(unix::Signal, Signal)>> {
    [
        (SignalKind::hangup(), Signal::HUP),
        (SignalKind::interrupt(), Signal::INT),
        (SignalKind::quit(), Signal::QUIT),
        (SignalKind::terminate(), Signal::TERM),
        (SignalKind::user_defined1(), Signal::USR1),
        (SignalKind::user_defined2(), Signal::USR2),
    ]
    .into_iter()
    .map(|(kind, signal)| Ok((unix::signal(kind)?, signal)))
    .collect()
}

async fn next(signals: &mut [(unix::Signal, Signal)]) -> Signal {
    std::future::poll_fn(|context| {
        for (stream, signal) in signals.iter_mut() {
            if let std::task::Poll::Ready(Some(())) = stream.poll_recv(context) {
                return std::task::Poll::Ready(*signal);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// Whether the terminal has sent this to the whole group, as it does for Ctrl-C: then the agent has
/// it already, and twice would mean something else.
fn from_terminal(signal: Signal) -> bool {
    if signal != Signal::INT && signal != Signal::QUIT {
        return false;
    }
    let Ok(terminal) = std::fs::File::open("/dev/tty") else {
        return false;
    };
    rustix::termios::tcgetpgrp(terminal).is_ok_and(|group| group == rustix::process::getpgrp())
}
