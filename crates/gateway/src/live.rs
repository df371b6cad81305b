//! A live session: bytes between agent and target, every call through the gate, until either side,
//! the run or the gateway ends it.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;

use bailiwick_action::{Decision, Denial, Fingerprint, Held};
use bailiwick_audit::{AppendError, Draft, Event, Pending, Receipt, State, Subject, Written};
use bailiwick_policy::Allow;
use bailiwick_run::Ending;
use bailiwick_wire::{Answer, End, Fault, Refused, Session, Step, Ticket};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf, split};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::directory::Admission;
use crate::gate::{Permit, Recorded, Way, WayBack};
use crate::gateway::{Cancellable, Gateway, payload};
use crate::limits::{
    FAREWELL_TIME_MAX, HELD_BYTES_MAX, READ_BYTES, RECORD_TIME_USUAL, REFRESH_EVERY,
};
use crate::running::Running;
use crate::stream::Stream;
use crate::target::{Open, ReadMode, Target, cancel};

/// A session between a run and a target.
pub(crate) struct Live<'g> {
    gateway: &'g Arc<Gateway>,
    admission: Admission,
    target: &'g Target,
    session: Box<dyn Session>,
    from_agent: ReadHalf<Stream>,
    to_agent: WriteHalf<Stream>,
    from_target: ReadHalf<Stream>,
    way: Way<WriteHalf<Stream>>,
    endpoint: bailiwick_wire::Endpoint,
    back: WayBack,
    /// Bytes of the agent that the session does not want yet.
    unread: BytesMut,
    /// The call that is being decided.
    asking: Option<Asking>,
    /// The records of reads that run ahead of them, in order.
    ahead: VecDeque<Ahead>,
    /// The first of these takes longer than usual: what has become of it is of interest though nothing
    /// waits for it yet.
    overdue: bool,
    /// Calls that were let through and have not ended.
    running: BTreeMap<Ticket, Running>,
}

/// A call whose record is on its way to the disk.
struct Asking {
    ticket: Ticket,
    held: Held,
    decided: Result<Allow, Denial>,
    pending: Pending,
}

/// The record of a read that runs already.
enum Ahead {
    Durable(Pending<Receipt>),
    Written(Pending<Written>),
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
        let mut back = WayBack::default();
        back.push(&opened.to_agent);
        Self {
            gateway,
            admission,
            target,
            session,
            from_agent,
            to_agent,
            from_target,
            way: Way::new(to_target),
            endpoint: opened.endpoint,
            back,
            unread: BytesMut::new(),
            asking: None,
            ahead: VecDeque::new(),
            overdue: false,
            running: BTreeMap::new(),
        }
    }

    /// Serves the session to its end, and leaves an outcome on record for every call.
    pub(crate) async fn serve(mut self, cancellable: &Cancellable) {
        let over = self.run(cancellable).await;
        // What a session had taken in before it failed goes the way of all before it: what reads have
        // brought is held with the rest, and a call is on record.
        while self.steps().is_err() {}
        if !self.running.is_empty() {
            // Whatever the target is still doing for this session, nobody waits for it any more.
            self.cancel();
        }
        // What reads have brought goes out if their records are there in time, or not at all.
        let _ = timeout(FAREWELL_TIME_MAX, self.release_all()).await;
        self.back.drop_held();
        if let Over::Refused(refused) = &over {
            // A fault leaves steps that were not taken, perhaps with a result that was to be held:
            // from here on there are only the last words.
            while self.session.next().is_some() {}
            self.session.refuse(refused);
            let _ = self.steps();
        }
        if !matches!(over, Over::AgentGone) {
            let words = self.back.write(&mut self.to_agent);
            let _ = timeout(FAREWELL_TIME_MAX, words).await;
        }
        let _ = timeout(FAREWELL_TIME_MAX, self.way.write()).await;
        for (_, cut) in std::mem::take(&mut self.running) {
            self.record_end(cut, State::Cut, &End::default());
        }
        if let Some(asking) = self.asking.take()
            && asking.decided.is_ok()
            && asking.pending.seq() > 0
        {
            // Allowed, and never sent: the session ended while its record was on its way. The
            // outcome follows it there; nobody has to wait for the disk.
            let unsent = Running::new(asking.pending.seq());
            self.record_end(unsent, State::Skipped, &End::default());
        }
    }

    async fn run(&mut self, cancellable: &Cancellable) -> Over {
        let mut ended = self.admission.ended.clone();
        // Waited for from the start to the end: to begin waiting costs more than to go on.
        let mut ending = pin!(ended_because(&mut ended));
        let mut cancelled = pin!(cancellable.wake.notified());
        let mut from_agent = BytesMut::with_capacity(READ_BYTES);
        let mut from_target = BytesMut::with_capacity(READ_BYTES);
        let mut refresh = interval(REFRESH_EVERY);
        refresh.reset();
        let mut glance = interval(RECORD_TIME_USUAL);
        glance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            match self.steps() {
                Ok(true) => return Over::Done,
                Ok(false) => {}
                Err(fault) => return Over::Refused(self.blame(&fault)),
            }
            if self.session.wants_agent() && !self.unread.is_empty() {
                let bytes = self.unread.split();
                if let Err(fault) = self.session.agent(&bytes) {
                    return Over::Refused(self.blame(&fault));
                }
                continue;
            }
            let read_agent =
                self.unread.len() < HELD_BYTES_MAX && self.way.waiting() < HELD_BYTES_MAX;
            let read_target = self.back.waiting() < HELD_BYTES_MAX;
            tokio::select! {
                biased;
                ending = &mut ending => {
                    return Over::Refused(ended_words(ending));
                }
                recorded = recorded(&mut self.asking) => {
                    if let Err(fault) = self.recorded(recorded) {
                        return Over::Refused(self.blame(&fault));
                    }
                }
                // A record that nothing waits for yet wakes nobody: most are there before the result.
                released = next_released(&mut self.ahead), if self.back.is_holding() || self.overdue => match released {
                    Ok(recorded) => {
                        self.overdue = false;
                        self.back.release(recorded);
                    }
                    Err(error) => {
                        // Nor may what comes after it be shown, recorded or not.
                        self.ahead.clear();
                        self.back.drop_held();
                        return Over::Refused(self.unrecorded(&error));
                    }
                },
                () = &mut cancelled => {
                    cancelled.set(cancellable.wake.notified());
                    self.cancel();
                }
                _ = glance.tick(), if !self.ahead.is_empty() => self.overdue = true,
                _ = refresh.tick() => self.session.refresh(),
                written = self.back.write(&mut self.to_agent), if self.back.wants_write() => {
                    if written.is_err() {
                        return Over::AgentGone;
                    }
                }
                written = self.way.write(), if self.way.wants_write() => {
                    if let Err(error) = written {
                        return Over::Refused(self.target_gone(&error.to_string()));
                    }
                }
                read = self.from_target.read_buf(&mut from_target), if read_target => {
                    match read {
                        Ok(0) => return Over::Refused(self.target_gone("it closed the connection")),
                        Ok(_) => {
                            if let Err(fault) = self.session.target(&from_target.split()) {
                                return Over::Refused(self.blame(&fault));
                            }
                            from_target.reserve(READ_BYTES);
                        }
                        Err(error) => return Over::Refused(self.target_gone(&error.to_string())),
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

    /// Takes the session's steps; says whether it is done.
    fn steps(&mut self) -> Result<bool, Fault> {
        while let Some(step) = self.session.next() {
            match step {
                Step::ToAgent(bytes) => self.back.push(&bytes),
                Step::Rows(ticket, bytes) => {
                    self.back.push(&bytes);
                    if let Some(running) = self.running.get_mut(&ticket) {
                        running.result(&bytes, self.target.keep_results);
                    }
                }
                Step::Relay(plumbing) => self.way.relay(plumbing),
                Step::Ask(ticket, held) => self.ask(ticket, held)?,
                Step::Finished(ticket, end) => self.finished(ticket, &end),
                Step::Learned(_) => self.gateway.targets.outdated(&self.target.name),
                Step::Done => return Ok(true),
                Step::AgentTls(_)
                | Step::Identify { .. }
                | Step::LoginFailed(_)
                | Step::Connect { .. }
                | Step::TargetTls
                | Step::Did(_)
                | Step::Ready
                | Step::Cancel(_) => {
                    return Err(Fault::Bug("a step that does not belong to a live session"));
                }
            }
        }
        Ok(false)
    }

    /// Decides a call and submits the decision to the record. What does nothing but read, and is
    /// allowed, need not wait for the disk; everything else does.
    fn ask(&mut self, ticket: Ticket, held: Held) -> Result<(), Fault> {
        let scope = &self.admission.scope;
        let decided = scope.decide(&self.target.name, &held.call);
        let decision = match &decided {
            Ok(allow) => allow.decision(),
            Err(denial) => Decision::Deny(denial.clone()),
        };
        let draft = Draft {
            subject: Subject::Run(self.admission.run.clone()),
            event: Event::CallDecided {
                target: self.target.name.clone(),
                protocol: held.call.protocol,
                verb: held.call.verb.clone(),
                actions: held.call.actions.clone(),
                fingerprint: Fingerprint::of(&self.gateway.key, &held.call),
                decision,
                policy_digest: scope.digest().to_owned(),
            },
            payload: Some(payload(&held.call)),
        };
        let decided = match decided {
            Ok(allow) if held.call.only_reads() => {
                return self.read_ahead(ticket, held, allow, draft);
            }
            decided => decided,
        };
        self.asking = Some(Asking {
            ticket,
            held,
            decided,
            pending: self.gateway.log.append(draft),
        });
        Ok(())
    }

    /// Sends a read while its record is on its way to the disk, and holds what it brings until then.
    fn read_ahead(
        &mut self,
        ticket: Ticket,
        held: Held,
        allow: Allow,
        draft: Draft,
    ) -> Result<(), Fault> {
        let log = &self.gateway.log;
        let (seq, submitted, ahead) = match self.target.reads {
            ReadMode::Durable => {
                let mut pending = log.append(draft);
                (pending.seq(), pending.submitted(), Ahead::Durable(pending))
            }
            ReadMode::Written => {
                let mut pending = log.append_written(draft);
                (pending.seq(), pending.submitted(), Ahead::Written(pending))
            }
        };
        let submitted = match submitted {
            Ok(submitted) => submitted,
            Err(error) => return self.not_recorded(ticket, &error),
        };
        let read = Permit::for_read(allow, submitted, held, &self.gateway.key)
            .map_err(|_| Fault::Bug("a read was to run ahead of another call's record"))?;
        let permit = self.back.hold(read);
        self.way.send(permit);
        self.ahead.push_back(ahead);
        self.admission.tally.allow();
        self.running.insert(ticket, Running::new(seq));
        self.session.answer(ticket, Answer::Allow)
    }

    /// The record of the asked call is durable, or cannot be made: answer accordingly.
    fn recorded(&mut self, recorded: Result<Receipt, AppendError>) -> Result<(), Fault> {
        let Some(asking) = self.asking.take() else {
            return Err(Fault::Bug("a record that nobody waited for"));
        };
        let Asking {
            ticket,
            held,
            decided,
            ..
        } = asking;
        let answer = match (recorded, decided) {
            (Err(error), _) => return self.not_recorded(ticket, &error),
            (Ok(_), Err(denial)) => {
                self.admission.tally.deny();
                Answer::Deny(denial)
            }
            (Ok(receipt), Ok(allow)) => {
                let seq = receipt.seq();
                let permit = Permit::new(allow, receipt, held, &self.gateway.key)
                    .map_err(|_| Fault::Bug("a receipt for another call"))?;
                self.way.send(permit);
                self.admission.tally.allow();
                self.running.insert(ticket, Running::new(seq));
                Answer::Allow
            }
        };
        self.session.answer(ticket, answer)
    }

    /// A call that was not sent, because it could not be recorded.
    fn not_recorded(&mut self, ticket: Ticket, error: &AppendError) -> Result<(), Fault> {
        tracing::error!(run = %self.admission.run.id, %error, "a call could not be recorded");
        let answer = Answer::Unrecorded(error.to_string());
        self.session.answer(ticket, answer)
    }

    /// Waits for the records of all reads that run ahead, up to the first that will not be.
    async fn release_all(&mut self) {
        while !self.ahead.is_empty() {
            match next_released(&mut self.ahead).await {
                Ok(recorded) => self.back.release(recorded),
                Err(_) => return,
            }
        }
    }

    fn finished(&mut self, ticket: Ticket, end: &End) {
        if let Some(running) = self.running.remove(&ticket) {
            self.admission.tally.mask(end.masked);
            let state = match (end.skipped, &end.error) {
                (true, _) => State::Skipped,
                (false, Some(_)) => State::Error,
                (false, None) => State::Ok,
            };
            self.record_end(running, state, end);
        }
    }

    /// Submits the outcome of a call. Nobody waits for it to be durable: should it be lost in a
    /// crash, the call is on record, and its outcome as indeterminate.
    fn record_end(&self, running: Running, state: State, end: &End) {
        let readable = self.target.protocol.readable;
        let (event, payload) =
            running.ended(state, end, &self.target.name, &self.gateway.key, readable);
        let draft = |payload| Draft {
            subject: Subject::Run(self.admission.run.clone()),
            event: event.clone(),
            payload,
        };
        let had_payload = payload.is_some();
        let mut noted = self.gateway.log.note(draft(payload));
        if matches!(noted, Err(AppendError::DiskFull | AppendError::Behind)) && had_payload {
            // There is room for the outcome where there is none for the result.
            noted = self.gateway.log.note(draft(None));
        }
        if let Err(error) = noted {
            tracing::error!(run = %self.admission.run.id, %error, "an outcome could not be recorded");
        }
    }

    fn cancel(&self) {
        if let Some(request) = self.session.cancel_request() {
            let protocol = self.target.protocol;
            tokio::spawn(cancel(protocol, self.endpoint.clone(), request));
        }
    }

    fn target_gone(&self, how: &str) -> Refused {
        let run = self.admission.run.id;
        tracing::error!(%run, target = self.target.name, how, "the target went away");
        Refused {
            code: "08006",
            message: format!("target `{}` went away", self.target.name),
            hint: "What was running may or may not have happened; the trail says what was sent."
                .into(),
        }
    }

    /// A read ran, and its record is lost: nothing of it may be shown, and nothing can follow.
    fn unrecorded(&self, error: &AppendError) -> Refused {
        let run = self.admission.run.id;
        tracing::error!(%run, %error, "a read could not be recorded; its session ends");
        Refused {
            code: "58030",
            message: "the call could not be recorded, so its result is withheld".into(),
            hint: error.to_string(),
        }
    }

    fn blame(&self, fault: &Fault) -> Refused {
        let run = self.admission.run.id;
        tracing::error!(%run, target = self.target.name, %fault, "session ended");
        let code = match fault {
            Fault::Agent(_) => "08P01",
            Fault::Target(_) | Fault::TargetLogin(_) | Fault::Errand(_) => "08006",
            Fault::Bug(_) => "XX000",
        };
        Refused {
            code,
            message: fault.to_string(),
            hint: String::new(),
        }
    }
}

/// Waits until the asked call is on record; for ever where none is asked. Cancel safe.
async fn recorded(asking: &mut Option<Asking>) -> Result<Receipt, AppendError> {
    match asking {
        Some(asking) => (&mut asking.pending).await,
        None => std::future::pending().await,
    }
}

/// Waits for the record of the first read that runs ahead; for ever where none does. Cancel safe.
async fn next_released(ahead: &mut VecDeque<Ahead>) -> Result<Recorded, AppendError> {
    let recorded = match ahead.front_mut() {
        Some(Ahead::Durable(pending)) => pending.await.map(Recorded::Durable),
        Some(Ahead::Written(pending)) => pending.await.map(Recorded::Written),
        None => std::future::pending().await,
    };
    ahead.pop_front();
    recorded
}

/// Waits until a run has ended; says why. Cancel safe.
pub(crate) async fn ended_because(ended: &mut watch::Receiver<Option<Ending>>) -> Option<Ending> {
    // Whoever keeps the runs is gone only when the gateway stops.
    ended
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|ending| *ending)
}

/// What an agent is told when its run ends under it.
pub(crate) fn ended_words(ending: Option<Ending>) -> Refused {
    let why = match ending {
        Some(Ending::Expired) => "its time box is over",
        Some(Ending::Revoked) => "it was revoked",
        Some(Ending::Closed) => "it was closed",
        Some(Ending::GatewayStopped) | None => "the gateway is stopping",
    };
    Refused {
        // admin_shutdown, as when an administrator ends a session.
        code: "57P01",
        message: format!("this run has ended: {why}"),
        hint: "Open another run; its credential is its own.".into(),
    }
}
