//! A live session on a connection of its own: bytes between agent and target, every call through the gate
//! ([`Calls`]), until either side, the run or the gateway ends it.

use std::pin::pin;
use std::sync::Arc;

use bailiwick_audit::State;
use bailiwick_wire::{End, Refused, Session};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf, split};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::calls::{Calls, ended_because, ended_words, stopping};
use crate::directory::Admission;
use crate::gate::Way;
use crate::gateway::{Cancellable, Gateway};
use crate::limits::{
    FAREWELL_TIME_MAX, HELD_BYTES_MAX, READ_BYTES, RECORD_TIME_USUAL, REFRESH_EVERY,
};
use crate::listen::Phase;
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
        // Waited for from the start to the end: to begin waiting costs more than to go on.
        let mut ending = pin!(ended_because(&mut ended));
        let mut stops = pin!(Phase::stops(phase));
        let mut cancelled = pin!(cancellable.wake.notified());
        let mut from_agent = BytesMut::with_capacity(READ_BYTES);
        let mut from_target = BytesMut::with_capacity(READ_BYTES);
        let mut refresh = interval(REFRESH_EVERY);
        refresh.reset();
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
            let read_agent =
                self.unread.len() < HELD_BYTES_MAX && calls.way.waiting() < HELD_BYTES_MAX;
            let read_target = calls.back.waiting() < HELD_BYTES_MAX;
            let held = calls.back.is_holding();
            tokio::select! {
                biased;
                ending = &mut ending => {
                    return Over::Refused(ended_words(ending));
                }
                // Whoever has something under way may finish it.
                () = &mut stops, if self.unread.is_empty() && calls.is_at_rest() => {
                    return Over::Refused(stopping());
                }
                became = calls.records.next(held) => {
                    if let Err(refused) = calls.became(became) {
                        return Over::Refused(refused);
                    }
                }
                () = &mut cancelled => {
                    cancelled.set(cancellable.wake.notified());
                    if !calls.withdraw() {
                        self.cancel();
                    }
                }
                _ = glance.tick(), if calls.records.are_ahead() => calls.records.are_overdue(),
                _ = refresh.tick() => calls.session.refresh(),
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
