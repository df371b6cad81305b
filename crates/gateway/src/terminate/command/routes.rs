//! To whom goes what a program says.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::line::{About, Message, What};
use crate::limits::{
    PROGRAM_KEPT_BYTES_MAX, PROGRAM_KEPT_MAX, PROGRAM_REQUESTS_MAX, PROGRAM_STUCK_TIME_MAX,
};

/// What came for somebody.
#[derive(Debug)]
pub(super) struct Routed {
    pub(super) line: Bytes,
    /// It is the answer, and nothing follows.
    pub(super) last: bool,
}

/// There is somebody there already.
#[derive(Debug)]
pub(super) struct Taken;

/// Where what came for somebody is had.
pub(super) struct Answers {
    kept: VecDeque<Bytes>,
    coming: mpsc::Receiver<Routed>,
    of_nobody: bool,
}

impl Answers {
    /// The next of it; nothing if there is no more.
    pub(super) async fn next(&mut self) -> Option<Routed> {
        match self.kept.pop_front() {
            Some(line) => Some(Routed { line, last: false }),
            None => self.coming.recv().await,
        }
    }

    /// Whether they are of no request.
    pub(super) fn is_of_nobody(&self) -> bool {
        self.of_nobody
    }
}

/// Who waits for what.
pub(super) struct Routes(Mutex<State>);

struct State {
    /// Whether several clients ask, so that what is said to nobody in particular is nobody's.
    shared: bool,
    /// In the order in which they were asked. One that is not waited for any more stays until it is
    /// answered: its answer is for no later request of the same id.
    asked: Vec<Asked>,
    listening: Option<mpsc::Sender<Routed>>,
    /// What came while nobody listened.
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
    used: Instant,
    over: bool,
}

struct Asked {
    id: String,
    progress: Option<String>,
    /// Whether it may be sent more than its answer.
    events: bool,
    to: mpsc::Sender<Routed>,
}

impl Routes {
    /// Of a program that is one client's own, or `shared` by several that know nothing of each other.
    pub(super) fn new(shared: bool) -> Self {
        Self(Mutex::new(State {
            shared,
            asked: Vec::new(),
            listening: None,
            kept: VecDeque::new(),
            kept_bytes: 0,
            used: Instant::now(),
            over: false,
        }))
    }

    /// Makes room for the answers to a message; none for one that is not answered.
    pub(super) fn expect(&self, message: &Message, events: bool) -> Result<Option<Answers>, Taken> {
        let mut state = self.state();
        state.used = Instant::now();
        let What::Request { id, progress, .. } = &message.what else {
            return Ok(None);
        };
        let taken = state.asked.iter().any(|asked| asked.id == *id);
        if taken || state.asked.len() >= PROGRAM_REQUESTS_MAX || state.over {
            return Err(Taken);
        }
        let (to, coming) = mpsc::channel(1);
        state.asked.push(Asked {
            id: id.clone(),
            progress: progress.clone(),
            events,
            to,
        });
        let kept = match events {
            true => state.take_kept(),
            false => VecDeque::new(),
        };
        Ok(Some(Answers {
            kept,
            coming,
            of_nobody: false,
        }))
    }

    /// Makes room for what is no answer.
    pub(super) fn listen(&self) -> Result<Answers, Taken> {
        let mut state = self.state();
        state.used = Instant::now();
        let there = state.listening.as_ref();
        if there.is_some_and(|there| !there.is_closed()) || state.over {
            return Err(Taken);
        }
        let (to, coming) = mpsc::channel(1);
        state.listening = Some(to);
        Ok(Answers {
            kept: state.take_kept(),
            coming,
            of_nobody: true,
        })
    }

    /// Takes what the program said to whom it is for. Who does not take it in time gets no more.
    pub(super) async fn route(&self, message: Message) {
        let last = matches!(message.what, What::Response { .. });
        let to = self.state().whose(&message.what);
        let line = message.into_line();
        let Some(to) = to else {
            if !last {
                self.state().keep(line);
            }
            return;
        };
        let routed = Routed { line, last };
        let sent = to.send_timeout(routed, PROGRAM_STUCK_TIME_MAX).await;
        if let Err(mpsc::error::SendTimeoutError::Timeout(_)) = sent {
            self.state().drop_stuck(&to);
        }
    }

    /// The program says nothing more.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.over = true;
        state.asked.clear();
        state.listening = None;
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().over
    }

    /// Since when nobody has been waiting for anything; nothing if somebody is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        let waiting = state
            .asked
            .iter()
            .map(|asked| &asked.to)
            .chain(&state.listening)
            .any(|to| !to.is_closed());
        (!waiting).then_some(state.used)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Entries go in and out whole, so a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn whose(&mut self, what: &What) -> Option<mpsc::Sender<Routed>> {
        self.used = Instant::now();
        let about = match what {
            What::Response { id } => {
                let at = self.asked.iter().position(|asked| asked.id == *id)?;
                return Some(self.asked.remove(at).to);
            }
            What::Request { .. } => None,
            What::Notification { about } => about.as_ref(),
        };
        let open = |asked: &&Asked| asked.events && !asked.to.is_closed();
        if let Some(about) = about {
            let its = self.asked.iter().find(|asked| match about {
                About::Id(id) => asked.id == *id,
                About::Progress(token) => asked.progress.as_ref() == Some(token),
            });
            if let Some(asked) = its.filter(open) {
                return Some(asked.to.clone());
            }
        }
        if self.shared {
            // Whose it is can be told where one alone asks, and nothing says that it is another's.
            let only = about.is_none() && self.asked.len() == 1;
            let mut asked = self.asked.iter().filter(open);
            return asked.next().filter(|_| only).map(|asked| asked.to.clone());
        }
        let listening = self.listening.as_ref().filter(|to| !to.is_closed());
        let newest = || self.asked.iter().rev().find(open).map(|asked| &asked.to);
        listening.or_else(newest).cloned()
    }

    fn keep(&mut self, line: Bytes) {
        if self.shared || line.len() > PROGRAM_KEPT_BYTES_MAX {
            return;
        }
        self.kept_bytes += line.len();
        self.kept.push_back(line);
        while self.kept.len() > PROGRAM_KEPT_MAX || self.kept_bytes > PROGRAM_KEPT_BYTES_MAX {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            self.kept_bytes -= oldest.len();
        }
    }

    fn take_kept(&mut self) -> VecDeque<Bytes> {
        self.kept_bytes = 0;
        std::mem::take(&mut self.kept)
    }

    fn drop_stuck(&mut self, stuck: &mpsc::Sender<Routed>) {
        for asked in &mut self.asked {
            if asked.to.same_channel(stuck) {
                // To nobody: its answer may still come.
                (asked.to, _) = mpsc::channel(1);
            }
        }
        self.listening.take_if(|to| to.same_channel(stuck));
    }
}
