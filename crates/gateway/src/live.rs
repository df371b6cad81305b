//! A live session: bytes between agent and target, every call through the gate, until either side,
//! the run or the gateway ends it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bailiwick_action::{Decision, Denial, Fingerprint, Held};
use bailiwick_audit::{AppendError, Draft, Event, Outcome, Pending, Receipt, State, Subject};
use bailiwick_policy::Allow;
use bailiwick_run::Ending;
use bailiwick_wire::{Answer, End, Fault, Refused, Session, Step, Ticket};
use bytes::BytesMut;
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf, split};
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use crate::directory::Admission;
use crate::gate::{Permit, Way, write_all};
use crate::gateway::{Cancellable, Gateway, payload};
use crate::limits::{FAREWELL_TIME_MAX, HELD_BYTES_MAX, READ_BYTES, REFRESH_EVERY};
use crate::stream::Stream;
use crate::target::{Open, Target, cancel};

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
    /// Bytes for the agent that are not written yet.
    for_agent: BytesMut,
    /// Bytes of the agent that the session does not want yet.
    unread: BytesMut,
    /// The call that is being decided.
    asking: Option<Asking>,
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

struct Running {
    seq: u64,
    since: Instant,
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
            for_agent: opened.to_agent,
            unread: BytesMut::new(),
            asking: None,
            running: BTreeMap::new(),
        }
    }

    /// Serves the session to its end, and leaves an outcome on record for every call.
    pub(crate) async fn serve(mut self, cancellable: &Cancellable) {
        let over = self.run(cancellable).await;
        if !self.running.is_empty() {
            // Whatever the target is still doing for this session, nobody waits for it any more.
            self.cancel();
        }
        if let Over::Refused(refused) = &over {
            self.session.refuse(refused);
        }
        let _ = self.steps();
        if !matches!(over, Over::AgentGone) {
            let words = write_all(&mut self.to_agent, &mut self.for_agent);
            let _ = timeout(FAREWELL_TIME_MAX, words).await;
        }
        let _ = timeout(FAREWELL_TIME_MAX, self.way.write()).await;
        for (_, cut) in std::mem::take(&mut self.running) {
            self.record_end(&cut, State::Cut, &End::default());
        }
        if let Some(asking) = self.asking.take()
            && let Ok(receipt) = asking.pending.await
            && asking.decided.is_ok()
        {
            // Allowed, recorded, and never sent: the session ended in between.
            let unsent = Running {
                seq: receipt.seq(),
                since: Instant::now(),
            };
            self.record_end(&unsent, State::Skipped, &End::default());
        }
    }

    async fn run(&mut self, cancellable: &Cancellable) -> Over {
        let mut ended = self.admission.ended.clone();
        let mut from_agent = BytesMut::with_capacity(READ_BYTES);
        let mut from_target = BytesMut::with_capacity(READ_BYTES);
        let mut refresh = interval(REFRESH_EVERY);
        refresh.reset();
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
            let read_target = self.for_agent.len() < HELD_BYTES_MAX;
            tokio::select! {
                biased;
                ending = ended_because(&mut ended) => {
                    return Over::Refused(ended_words(ending));
                }
                recorded = recorded(&mut self.asking) => {
                    if let Err(fault) = self.recorded(recorded) {
                        return Over::Refused(self.blame(&fault));
                    }
                }
                () = cancellable.wake.notified() => self.cancel(),
                _ = refresh.tick() => self.session.refresh(),
                written = write_all(&mut self.to_agent, &mut self.for_agent),
                    if !self.for_agent.is_empty() =>
                {
                    if written.is_err() {
                        return Over::AgentGone;
                    }
                }
                written = self.way.write(), if self.way.waiting() > 0 => {
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
                Step::ToAgent(bytes) => self.for_agent.extend_from_slice(&bytes),
                Step::Relay(plumbing) => self.way.relay(plumbing),
                Step::Ask(ticket, held) => self.ask(ticket, held),
                Step::Finished(ticket, end) => self.finished(ticket, &end),
                Step::Learned(knowledge) => {
                    self.gateway.targets.learned(&self.target.name, knowledge);
                }
                Step::Done => return Ok(true),
                Step::AgentTls(_)
                | Step::Identify { .. }
                | Step::LoginFailed(_)
                | Step::Connect { .. }
                | Step::TargetTls
                | Step::Ready
                | Step::Cancel(_) => {
                    return Err(Fault::Bug("a step that does not belong to a live session"));
                }
            }
        }
        Ok(false)
    }

    /// Decides a call and submits the decision to the record.
    fn ask(&mut self, ticket: Ticket, held: Held) {
        let scope = &self.admission.scope;
        let decided = scope.decide(&self.target.name, &held.call);
        let decision = match &decided {
            Ok(allow) => allow.decision(),
            Err(denial) => Decision::Deny(denial.clone()),
        };
        let pending = self.gateway.log.append(Draft {
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
        });
        self.asking = Some(Asking {
            ticket,
            held,
            decided,
            pending,
        });
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
            (Err(error), _) => {
                tracing::error!(run = %self.admission.run.id, %error, "a call could not be recorded");
                Answer::Unrecorded(error.to_string())
            }
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
                let since = Instant::now();
                self.running.insert(ticket, Running { seq, since });
                Answer::Allow
            }
        };
        self.session.answer(ticket, answer)
    }

    fn finished(&mut self, ticket: Ticket, end: &End) {
        if let Some(running) = self.running.remove(&ticket) {
            self.admission.tally.mask(end.masked);
            let state = match (end.skipped, &end.error) {
                (true, _) => State::Skipped,
                (false, Some(_)) => State::Error,
                (false, None) => State::Ok,
            };
            self.record_end(&running, state, end);
        }
    }

    /// Submits the outcome of a call. Nobody waits for it to be durable: should it be lost in a
    /// crash, the call is on record, and its outcome as indeterminate.
    fn record_end(&self, running: &Running, state: State, end: &End) {
        let micros = running.since.elapsed().as_micros();
        drop(self.gateway.log.append(Draft {
            subject: Subject::Run(self.admission.run.clone()),
            event: Event::CallFinished {
                of: running.seq,
                target: self.target.name.clone(),
                outcome: Outcome {
                    state,
                    rows: end.rows,
                    bytes: end.bytes,
                    masked: end.masked,
                    error: end.error.clone(),
                    micros: u64::try_from(micros).unwrap_or(u64::MAX),
                },
            },
            payload: None,
        }));
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

    fn blame(&self, fault: &Fault) -> Refused {
        let run = self.admission.run.id;
        tracing::error!(%run, target = self.target.name, %fault, "session ended");
        let code = match fault {
            Fault::Agent(_) => "08P01",
            Fault::Target(_) | Fault::TargetLogin(_) => "08006",
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
