//! A live session on a connection of its own: bytes between agent and target, every call through the gate
//! ([`Calls`]), until either side, the run or the gateway ends it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bailiwick_audit::State;
use bailiwick_run::Cut;
use bailiwick_wire::{End, Refused, Session};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf, split};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::calls::{Calls, ended_because, ended_words, stopping as stopping_words};
use crate::directory::Admission;
use crate::gate::Way;
use crate::gateway::{Cancellable, Gateway};
use crate::limits::{
    FAREWELL_TIME_MAX, HELD_BYTES_MAX, READ_BYTES, RECORD_TIME_USUAL, REFRESH_EVERY,
};
use crate::listen::Phase;
use crate::seldom::Seldom;
use crate::stream::Stream;
use crate::target::{Open, Target, cancel};

/// A session between a run and a target, and the connections of both.
pub(crate) struct Live<'g> {
    calls: Calls<'g, WriteHalf<Stream>>,
    from_agent: ReadHalf<Stream>,
    to_agent: WriteHalf<Stream>,
    from_target: ReadHalf<Stream>,
    endpoint: bailiwick_wire::Endpoint,
    /// Bytes of the agent that the session does not want yet.
    unread: BytesMut,
}

/// What a session has to look at, but seldom has to do with.
enum Event {
    /// The run may not go on.
    Ended(Option<Cut>),
    /// The gateway stops.
    Stops,
    /// The agent cancels what it has running.
    Cancelled,
    /// What is known of the target may be old.
    Refresh,
}

/// Why the loop ended.
enum Over {
    /// In good order.
    Done,
    /// The agent went away.
    AgentGone,
    /// With these words for the agent.
    Refused(Refused),
}

impl<'g> Live<'g> {
    pub(crate) fn new(
        gateway: &'g Arc<Gateway>,
        admission: Admission,
        target: &'g Target,
        session: Box<dyn Session>,
        agent: Stream,
        opened: Open,
    ) -> Self {
        let (from_agent, to_agent) = split(agent);
        let (from_target, to_target) = split(opened.stream);
        let way = Way::new(to_target);
        let bare = |out: &mut BytesMut, bytes: &[u8]| out.extend_from_slice(bytes);
        let mut calls = Calls::new(gateway, admission, target, session, way, bare);
        calls.back.push(&opened.to_agent);
        Self {
            calls,
            from_agent,
            to_agent,
            from_target,
            endpoint: opened.endpoint,
            unread: BytesMut::new(),
        }
    }

    /// Serves the session to its end, and leaves an outcome on record for every call.
    pub(crate) async fn serve(
        mut self,
        cancellable: &Cancellable,
        mut phase: watch::Receiver<Phase>,
    ) {
        let over = self.run(cancellable, &mut phase).await;
        if self.calls.take_the_rest() {
            // Whatever the target is still doing for this session, nobody waits for it any more.
            self.cancel();
        }
        let refused = match &over {
            Over::Refused(refused) => Some(refused),
            Over::Done | Over::AgentGone => None,
        };
        self.calls.last_words(refused).await;
        if !matches!(over, Over::AgentGone) {
            let words = self.calls.back.write(&mut self.to_agent);
            let _ = timeout(FAREWELL_TIME_MAX, words).await;
        }
        let _ = timeout(FAREWELL_TIME_MAX, self.calls.way.write()).await;
        self.calls.close(State::Cut, &End::default());
    }

    async fn run(&mut self, cancellable: &Cancellable, phase: &mut watch::Receiver<Phase>) -> Over {
        let mut ended = self.calls.admission.ended.clone();
        let mut ending = pin!(ended_because(&mut ended));
        let mut stops = pin!(Phase::stops(phase));
        let mut cancelled = pin!(cancellable.wake.notified());
        let mut refresh = interval(REFRESH_EVERY);
        refresh.reset();
        let mut told = false;
        let mut events = Seldom::new(|context| {
            if let Poll::Ready(cut) = ending.as_mut().poll(context) {
                return Poll::Ready(Event::Ended(cut));
            }
            if !told && stops.as_mut().poll(context).is_ready() {
                told = true;
                return Poll::Ready(Event::Stops);
            }
            if cancelled.as_mut().poll(context).is_ready() {
                cancelled.set(cancellable.wake.notified());
                return Poll::Ready(Event::Cancelled);
            }
            refresh.poll_tick(context).map(|_| Event::Refresh)
        });
        let mut stopping = false;
        let mut from_agent = BytesMut::with_capacity(READ_BYTES);
        let mut from_target = BytesMut::with_capacity(READ_BYTES);
        let mut glance = interval(RECORD_TIME_USUAL);
        glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let calls = &mut self.calls;
            match calls.steps() {
                Ok(true) => return Over::Done,
                Ok(false) => {}
                Err(fault) => return Over::Refused(calls.blame(&fault)),
            }
            if calls.session.wants_agent() && !self.unread.is_empty() {
                let bytes = self.unread.split();
                if let Err(fault) = calls.session.agent(&bytes) {
                    return Over::Refused(calls.blame(&fault));
                }
                continue;
            }
            if calls.records.holding.is_some() {
                if calls.session.leaves(&self.unread) {
                    return Over::AgentGone;
                }
                if self.unread.len() >= HELD_BYTES_MAX {
                    // No more is read, and so nobody would notice if the agent went away.
                    calls.wait_no_more();
                }
            }
            // Most of what there is to write can be written at once. What cannot waits with the rest.
            if calls.back.wants_write()
                && let Some(Err(_)) = at_once(calls.back.write(&mut self.to_agent)).await
            {
                return Over::AgentGone;
            }
            if calls.way.wants_write()
                && let Some(Err(error)) = at_once(calls.way.write()).await
            {
                return Over::Refused(calls.target_gone(&error.to_string()));
            }
            // Whoever has something under way may finish it.
            if stopping && self.unread.is_empty() && calls.is_at_rest() {
                return Over::Refused(stopping_words());
            }
            let read_agent =
                self.unread.len() < HELD_BYTES_MAX && calls.way.waiting() < HELD_BYTES_MAX;
            let read_target = calls.back.waiting() < HELD_BYTES_MAX;
            let held = calls.back.is_holding();
            tokio::select! {
                biased;
                event = events.next() => match event {
                    Event::Ended(cut) => return Over::Refused(ended_words(cut)),
                    Event::Stops => stopping = true,
                    Event::Cancelled => {
                        if !calls.withdraw() {
                            self.cancel();
                        }
                    }
                    Event::Refresh => calls.session.refresh(),
                },
                became = calls.records.next(held) => {
                    if let Err(refused) = calls.became(became) {
                        return Over::Refused(refused);
                    }
                }
                _ = glance.tick(), if calls.records.are_ahead() => calls.records.are_overdue(),
                written = calls.back.write(&mut self.to_agent), if calls.back.wants_write() => {
                    if written.is_err() {
                        return Over::AgentGone;
                    }
                }
                written = calls.way.write(), if calls.way.wants_write() => {
                    if let Err(error) = written {
                        return Over::Refused(calls.target_gone(&error.to_string()));
                    }
                }
                read = self.from_target.read_buf(&mut from_target), if read_target => {
                    match read {
                        Ok(0) => return Over::Refused(calls.target_gone("it closed the connection")),
                        Ok(_) => {
                            if let Err(fault) = calls.session.target(&from_target.split()) {
                                return Over::Refused(calls.blame(&fault));
                            }
                            from_target.reserve(READ_BYTES);
                        }
                        Err(error) => return Over::Refused(calls.target_gone(&error.to_string())),
                    }
                }
                read = self.from_agent.read_buf(&mut from_agent), if read_agent => {
                    match read {
                        Ok(0) | Err(_) => return Over::AgentGone,
                        Ok(_) => {
                            self.unread.unsplit(from_agent.split());
                            from_agent.reserve(READ_BYTES);
                        }
                    }
                }
            }
        }
    }

    fn cancel(&self) {
        if let Some(request) = self.calls.session.cancel_request() {
            let protocol = self.calls.target.protocol;
            tokio::spawn(cancel(protocol, self.endpoint.clone(), request));
        }
    }
}

/// What becomes of a future that is polled once; nothing if it would have to wait.
async fn at_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        })
    })
    .await
}
