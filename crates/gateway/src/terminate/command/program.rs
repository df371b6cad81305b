//! A program: started apart from the gateway, watched, and ended with all that it started.

use std::io;
use std::process::Stdio;
use std::sync::Arc;

use bailiwick_run::{Cut, RunId};
use bytes::Bytes;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use super::line::{self, Line, Message};
use super::routes::{Answers, Routes, Taken};
use crate::limits::{
    PROGRAM_END_TIME_MAX, PROGRAM_IDLE_EVERY, PROGRAM_IDLE_TIME_MAX, PROGRAM_LAST_WORDS_TIME_MAX,
    PROGRAM_LINE_BYTES_MAX, PROGRAM_LOG_LINE_BYTES_MAX, PROGRAM_STUCK_TIME_MAX,
};
use crate::terminate::upstream::Lost;
use crate::upstream::Command;

/// What of the gateway's own environment a program gets.
const HANDED_ON: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// Has Python take no code from the home directory, where an agent of the same user may leave some that every
/// Python runs at its start.
const NO_USER_SITE: &str = "PYTHONNOUSERSITE";

/// A program that runs. It ends when this is dropped.
pub(super) struct Program {
    routes: Arc<Routes>,
    input: mpsc::Sender<Bytes>,
    /// Told, or gone: the program is to end.
    end: watch::Sender<bool>,
}

impl Program {
    /// Starts it, in a process group of its own and with nothing of the gateway's but what it needs. `shared` says
    /// that it serves clients that know nothing of each other.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn start(
        target: &str,
        run: RunId,
        command: &Command,
        ended: watch::Receiver<Option<Cut>>,
        shared: bool,
    ) -> io::Result<Self> {
        let (word, arguments) = command
            .words
            .split_first()
            .ok_or_else(|| io::Error::other("no program is named"))?;
        let handed_on = HANDED_ON.iter().filter_map(|name| {
            let value = std::env::var_os(name)?;
            Some((*name, value))
        });
        let mut child = tokio::process::Command::new(word)
            .args(arguments)
            .env_clear()
            .envs(handed_on)
            .env(NO_USER_SITE, "1")
            .envs(&command.env)
            .current_dir(&command.folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let missing = || io::Error::other("it has no input or output");
        let group = Group::of(&child).ok_or_else(missing)?;
        let input = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        let log = child.stderr.take().ok_or_else(missing)?;
        #[allow(
            deprecated,
            reason = "an owned descriptor stays the same, so it is sound; what replaces it is unsafe code"
        )]
        let exit = AsyncFd::new(pidfd_open(group.0, PidfdFlags::empty())?)?;

        let routes = Arc::new(Routes::new(shared));
        let (to_input, lines) = mpsc::channel(4);
        let (end, told) = watch::channel(false);
        let of = format!("{target} {run}");
        let keeper = Keeper {
            child,
            group,
            exit,
            routes: Arc::clone(&routes),
            writing: tokio::spawn(write(input, lines)),
            logging: tokio::spawn(keep_log(log, of.clone())),
            reading: tokio::spawn(read(output, Arc::clone(&routes), of)),
        };
        tokio::spawn(keeper.keep(told, ended));
        Ok(Self {
            routes,
            input: to_input,
            end,
        })
    }

    /// Makes room for the answers to a message that will be sent; none for one that is not answered.
    pub(super) fn expect(&self, message: &Message, events: bool) -> Result<Option<Answers>, Taken> {
        self.routes.expect(message, events)
    }

    /// Makes room for what is no answer.
    pub(super) fn listen(&self) -> Result<Answers, Taken> {
        self.routes.listen()
    }

    /// Sends a line.
    ///
    /// # Errors
    /// If the program does not read, or is over.
    pub(super) async fn send(&self, line: Bytes) -> Result<(), Lost> {
        let sent = self.input.send_timeout(line, PROGRAM_STUCK_TIME_MAX).await;
        sent.map_err(|_| Lost::Unsent("the program does not read what it is sent".into()))
    }

    /// Sends a line that may as well be lost.
    pub(super) fn send_if_it_reads(&self, line: Bytes) {
        let _ = self.input.try_send(line);
    }

    /// Has it end: at once no more is sent, and within a few seconds it is gone.
    pub(super) fn end(&self) {
        self.end.send_replace(true);
    }

    pub(super) fn is_over(&self) -> bool {
        self.routes.is_over()
    }
}

/// A program's process group.
struct Group(Pid);

impl Group {
    fn of(child: &Child) -> Option<Self> {
        let id = i32::try_from(child.id()?).ok()?;
        Pid::from_raw(id).map(Self)
    }

    /// Signals all in it. That there is nobody left is as good.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(self.0, signal);
    }
}

/// Watches over a program. It ends with its keeper, also where that is dropped.
struct Keeper {
    child: Child,
    group: Group,
    /// Readable once the program has ended; it is not reaped before, so its id is no other's.
    exit: AsyncFd<std::os::fd::OwnedFd>,
    routes: Arc<Routes>,
    writing: JoinHandle<()>,
    logging: JoinHandle<()>,
    reading: JoinHandle<()>,
}

impl Keeper {
    async fn keep(
        mut self,
        mut told: watch::Receiver<bool>,
        mut ended: watch::Receiver<Option<Cut>>,
    ) {
        let mut look = interval(PROGRAM_IDLE_EVERY);
        let gently = loop {
            tokio::select! {
                _ = self.exit.readable() => break false,
                _ = ended.wait_for(Option::is_some) => break false,
                _ = told.wait_for(|told| *told) => break true,
                _ = &mut self.reading => break true,
                _ = look.tick() => {
                    let idle = self.routes.idle_since();
                    if idle.is_some_and(|since| since.elapsed() > PROGRAM_IDLE_TIME_MAX) {
                        break true;
                    }
                }
            }
        };
        if gently {
            // As MCP has it for stdio: close its input, then ask, then insist.
            self.routes.end();
            self.writing.abort();
            if !self.ends_by_itself().await {
                self.group.signal(Signal::TERM);
                self.ends_by_itself().await;
            }
        }
        self.group.signal(Signal::KILL);
        if !self.reading.is_finished() {
            let _ = timeout(PROGRAM_LAST_WORDS_TIME_MAX, &mut self.reading).await;
        }
        self.routes.end();
        let _ = self.child.wait().await;
    }

    async fn ends_by_itself(&self) -> bool {
        timeout(PROGRAM_END_TIME_MAX, self.exit.readable())
            .await
            .is_ok()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.routes.end();
        self.writing.abort();
        self.reading.abort();
        self.logging.abort();
        // Reaped it has no id any more, and what it started was ended before.
        if self.child.id().is_some() {
            self.group.signal(Signal::KILL);
        }
    }
}

/// Writes lines to a program, each whole or not at all.
async fn write(mut input: ChildStdin, mut lines: mpsc::Receiver<Bytes>) {
    while let Some(line) = lines.recv().await {
        let writing = async {
            input.write_all(&line).await?;
            input.write_all(b"\n").await?;
            input.flush().await
        };
        if writing.await.is_err() {
            break;
        }
    }
}

/// Reads what a program says. Who it is for may not take it at once; then no more is read, and the
/// program's output fills up.
async fn read(output: impl AsyncRead + Unpin, routes: Arc<Routes>, of: String) {
    let mut output = BufReader::with_capacity(64 * 1024, output);
    loop {
        let line = match line::next(&mut output, PROGRAM_LINE_BYTES_MAX).await {
            Ok(Line::Whole(line)) => line,
            Ok(Line::Cut(_)) => {
                tracing::warn!(
                    of,
                    "a program's line of more than {PROGRAM_LINE_BYTES_MAX} bytes"
                );
                break;
            }
            Ok(Line::End) | Err(_) => break,
        };
        match Message::read(line) {
            Some(message) => routes.route(message).await,
            None => tracing::debug!(of, "a program wrote a line that is no message"),
        }
    }
}

/// Passes a program's log on to the gateway's.
async fn keep_log(log: impl AsyncRead + Unpin, of: String) {
    let mut log = BufReader::new(log);
    while let Ok(line) = line::next(&mut log, PROGRAM_LOG_LINE_BYTES_MAX).await {
        match line {
            Line::Whole(line) | Line::Cut(line) => {
                let line = String::from_utf8_lossy(&line);
                tracing::debug!(of, "{}", line.escape_debug());
            }
            Line::End => break,
        }
    }
}
