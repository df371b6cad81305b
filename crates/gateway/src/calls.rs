//! The calls of one session, whatever brings its bytes: each is decided, recorded and let through or
//! not, its result held until it may be shown, and its outcome recorded. What drives a session moves
//! bytes, and comes here with everything else.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bailiwick_action::{Decision, Fingerprint, Held};
use bailiwick_audit::{AppendError, Draft, Event, Pending, Receipt, State, Subject, Written};
use bailiwick_policy::{Allow, Ruling, Scope};
use bailiwick_run::{Cut, Ending};
use bailiwick_wire::{Answer, End, Fault, Refused, Session, Step, Terms, Ticket, Why};
use bytes::BytesMut;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::approval::{Heard, Holding, heard, withdrawn};
use crate::directory::Admission;
use crate::discreet;
use crate::gate::{Permit, Recorded, Way, WayBack};
use crate::gateway::Gateway;
use crate::kept;
use crate::limits::FAREWELL_TIME_MAX;
use crate::meters::{Meter, Verdict};
use crate::running::Running;
use crate::target::{ReadMode, Target};

/// A session between a run and a target: what it asks, and what has become of it.
pub(crate) struct Calls<'g, W> {
    pub(crate) gateway: &'g Arc<Gateway>,
    pub(crate) admission: Admission,
    pub(crate) target: &'g Target,
    pub(crate) session: Box<dyn Session>,
    /// The way to the target.
    pub(crate) way: Way<W>,
    /// The way back to the agent.
    pub(crate) back: WayBack,
    /// Records on their way to the disk.
    pub(crate) records: Records,
    /// How the bare bytes of a result are put on the way back.
    frame: Frame,
    /// What is counted of the target's calls.
    pub(crate) meter: Arc<Meter>,
    /// Calls that were let through and have not ended.
    running: BTreeMap<Ticket, Running>,
}

/// Appends the bare bytes of a result to what goes to the agent, as its transport has them.
pub(crate) type Frame = fn(&mut BytesMut, &[u8]);

/// The records of a session that are on their way to the disk.
#[derive(Default)]
pub(crate) struct Records {
    /// The call that is being decided.
    asking: Option<Asking>,
    /// The call that is held while people are asked about it.
    pub(crate) holding: Option<Holding>,
    /// The records of reads that run ahead of them, in order.
    ahead: VecDeque<Ahead>,
    /// The first of these takes longer than usual: what has become of it is of interest though nothing
    /// waits for it yet.
    overdue: bool,
}

/// A call whose record is on its way to the disk.
struct Asking {
    ticket: Ticket,
    held: Held,
    /// What permits it; or the answer that does not.
    decided: Result<Allow, Answer>,
    pending: Pending,
}

/// The record of a read that runs already.
enum Ahead {
    Durable(Pending<Receipt>),
    Written(Pending<Written>),
}

/// What has become of a record.
pub(crate) enum Became {
    /// Of the call that was asked.
    Asked(Result<Receipt, AppendError>),
    /// Of a call that is held.
    Held(Heard),
    /// Of the first read that runs ahead.
    Read(Result<Recorded, AppendError>),
}

impl Records {
    /// Waits for what becomes of the next record that matters: the asked call's, and the first read's once
    /// its result is `held`, or the record late. A record that nothing waits for yet wakes nobody: most
    /// are there before the result. For ever where there is none. Cancel safe.
    pub(crate) async fn next(&mut self, held: bool) -> Became {
        let matters = held || self.overdue;
        let Self {
            asking,
            holding,
            ahead,
            ..
        } = self;
        tokio::select! {
            biased;
            recorded = recorded(asking) => Became::Asked(recorded),
            heard = heard(holding) => Became::Held(heard),
            read = next_released(ahead), if matters => Became::Read(read),
        }
    }

    /// Whether a call waits, for its record or for people.
    pub(crate) fn is_asking(&self) -> bool {
        self.asking.is_some() || self.holding.is_some()
    }

    /// Whether the session looks whether a call that was held still is what people saw, for which it may need its
    /// target.
    pub(crate) fn is_looking(&self) -> bool {
        self.holding.as_ref().is_some_and(Holding::is_looking)
    }

    /// Whether reads run ahead of their records.
    pub(crate) fn are_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// The first read has run for longer than its record usually takes.
    pub(crate) fn are_overdue(&mut self) {
        self.overdue = true;
    }
}

impl<'g, W> Calls<'g, W> {
    pub(crate) fn new(
        gateway: &'g Arc<Gateway>,
        admission: Admission,
        target: &'g Target,
        session: Box<dyn Session>,
        way: Way<W>,
        frame: Frame,
    ) -> Self {
        Self {
            gateway,
            meter: gateway.meters.of(target),
            admission,
            target,
            session,
            way,
            back: WayBack::default(),
            records: Records::default(),
            frame,
            running: BTreeMap::new(),
        }
    }

    /// Takes the session's steps; says whether it is done.
    pub(crate) fn steps(&mut self) -> Result<bool, Fault> {
        while let Some(step) = self.session.next() {
            match step {
                Step::ToAgent(bytes) => self.back.push(&bytes),
                Step::Rows(ticket, bytes) => {
                    self.back.push_framed(self.frame, &bytes);
                    if let Some(running) = self.running.get_mut(&ticket) {
                        running.result(&bytes, self.target.keep_results);
                    }
                }
                Step::Relay(plumbing) => self.way.relay(plumbing),
                Step::Ask(ticket, held) => self.ask(ticket, held)?,
                Step::Held(ticket, rows) => self.readied(ticket, rows)?,
                Step::Resumed(ticket, same) => self.resumed(ticket, same)?,
                Step::Finished(ticket, end) => self.finished(ticket, &end),
                Step::Learned(_) => self.gateway.targets.outdated(&self.target.name),
                Step::Cancel(key) => self.gateway.cancel(key),
                Step::Done => return Ok(true),
                Step::AgentTls(_)
                | Step::Identify(_)
                | Step::LoginFailed(_)
                | Step::Connect { .. }
                | Step::TargetTls
                | Step::Did(_)
                | Step::Ready => {
                    return Err(Fault::Bug("a step that does not belong to a live session"));
                }
            }
        }
        Ok(false)
    }

    /// Decides a call and submits the decision to the record. What does nothing but read, and is
    /// allowed, need not wait for the disk; everything else does. What is held waits for people, whatever it
    /// does.
    fn ask(&mut self, ticket: Ticket, mut held: Held) -> Result<(), Fault> {
        // One for the whole of it: the run may come under other guardrails meanwhile.
        let scope = self.admission.scope();
        scope.settle(&self.target.name, &mut held.call);
        let decided = match scope.decide(&self.target.name, &held.call) {
            Ok(Ruling::Allow(allow)) if held.call.only_reads() => {
                self.meter.decided(Verdict::Allow, held.call.class());
                let draft = self.draft(&held, allow.decision(), &scope);
                return self.read_ahead(ticket, held, allow, draft);
            }
            Ok(Ruling::Allow(allow)) => Ok(allow),
            Ok(Ruling::Hold(hold)) => match hold.prepared(&held) {
                Ok(allow) => Ok(allow),
                Err(hold) => return self.hold(ticket, held, *hold, scope),
            },
            Err(denial) => Err(Answer::Deny(denial)),
        };
        self.decided(ticket, held, decided, &scope);
        Ok(())
    }

    /// Submits what this scope decided to the record; what becomes of that is answered.
    pub(crate) fn decided(
        &mut self,
        ticket: Ticket,
        held: Held,
        decided: Result<Allow, Answer>,
        scope: &Scope,
    ) {
        let verdict = match &decided {
            Ok(_) => Verdict::Allow,
            Err(_) => Verdict::Deny,
        };
        self.meter.decided(verdict, held.call.class());
        let decision = match &decided {
            Ok(allow) => allow.decision(),
            Err(Answer::Deny(denial) | Answer::Unapproved(denial, _)) => {
                Decision::Deny(denial.clone())
            }
            Err(Answer::Allow(_) | Answer::Withdrawn | Answer::Unrecorded(_)) => {
                Decision::Deny(withdrawn())
            }
        };
        let pending = self.gateway.log.append(self.draft(&held, decision, scope));
        self.records.asking = Some(Asking {
            ticket,
            held,
            decided,
            pending,
        });
    }

    /// The record of this scope's decision.
    pub(crate) fn draft(&self, held: &Held, decision: Decision, scope: &Scope) -> Draft {
        let detectors = &self.gateway.detectors;
        let (actions, decision) = discreet::put(detectors, &held.call.actions, decision);
        Draft {
            subject: Subject::Run(self.admission.run.clone()),
            event: Event::CallDecided {
                target: self.target.name.clone(),
                protocol: held.call.protocol,
                verb: held.call.verb.clone(),
                actions,
                fingerprint: Fingerprint::of(&self.gateway.key, &held.call),
                decision,
                policy_digest: scope.digest().to_owned(),
            },
            payload: Some(kept::wrote(&held.call)),
        }
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
        let (terms, verb) = (terms(&allow), held.call.verb.clone());
        let read = Permit::for_read(allow, submitted, held, &self.gateway.key)
            .map_err(|_| Fault::Bug("a read was to run ahead of another call's record"))?;
        let permit = self.back.hold(read);
        self.way.send(permit);
        self.records.ahead.push_back(ahead);
        self.admission.tally.allow();
        self.runs(ticket, seq, &verb);
        self.session.answer(ticket, Answer::Allow(terms))
    }

    /// Takes what has become of a record.
    ///
    /// # Errors
    /// If the session cannot go on; says what its agent is told.
    pub(crate) fn became(&mut self, became: Became) -> Result<(), Refused> {
        match became {
            Became::Asked(recorded) => self.recorded(recorded).map_err(|fault| self.blame(&fault)),
            Became::Held(heard) => self.heard(heard).map_err(|fault| self.blame(&fault)),
            Became::Read(Ok(recorded)) => {
                self.records.overdue = false;
                self.back.release(recorded);
                Ok(())
            }
            Became::Read(Err(error)) => {
                // Nor may what comes after it be shown, recorded or not.
                self.records.ahead.clear();
                self.back.drop_held();
                Err(self.unrecorded(&error))
            }
        }
    }

    /// The record of the asked call is durable, or cannot be made: answer accordingly.
    fn recorded(&mut self, recorded: Result<Receipt, AppendError>) -> Result<(), Fault> {
        let Some(asking) = self.records.asking.take() else {
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
            (Ok(_), Err(answer)) => {
                self.admission.tally.deny();
                answer
            }
            (Ok(receipt), Ok(allow)) => {
                let seq = receipt.seq();
                let (terms, verb) = (terms(&allow), held.call.verb.clone());
                let permit = Permit::new(allow, receipt, held, &self.gateway.key)
                    .map_err(|_| Fault::Bug("a receipt for another call"))?;
                self.way.send(permit);
                self.admission.tally.allow();
                self.runs(ticket, seq, &verb);
                Answer::Allow(terms)
            }
        };
        self.session.answer(ticket, answer)
    }

    /// A call was let through. Whoever stops the gateway waits for those that are counted.
    fn runs(&mut self, ticket: Ticket, seq: u64, verb: &str) {
        let running = match self.session.listens() {
            true => Running::new(seq, verb),
            false => Running::new(seq, verb).counted(self.meter.begun()),
        };
        self.running.insert(ticket, running);
    }

    /// Whether the session has nothing under way: no call, no record, and nothing for either side.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.running.is_empty()
            && !self.records.is_asking()
            && !self.records.are_ahead()
            && self.back.waiting() == 0
            && self.way.waiting() == 0
    }

    /// A call that was not sent, because it could not be recorded.
    fn not_recorded(&mut self, ticket: Ticket, error: &AppendError) -> Result<(), Fault> {
        tracing::error!(run = %self.admission.run.id, %error, "a call could not be recorded");
        let answer = Answer::Unrecorded(error.to_string());
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
            self.record_end(running, state, end);
        }
    }

    /// Submits the outcome of a call. Nobody waits for it to be durable: should it be lost in a
    /// crash, the call is on record, and its outcome as indeterminate.
    fn record_end(&self, running: Running, state: State, end: &End) {
        let (target, protocol) = (self.target, self.target.protocol);
        let (event, payload) = running.ended(
            state,
            end,
            &target.name,
            protocol.name,
            &self.gateway.key,
            protocol.readable,
        );
        if let Event::CallFinished { outcome, .. } = &event {
            self.meter.ended(outcome);
        }
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

    /// Takes what steps a session that is over has left, and says whether calls are still running. What
    /// it had taken in before it failed goes the way of all before it: what reads have brought is held
    /// with the rest, and a call is on record.
    pub(crate) fn take_the_rest(&mut self) -> bool {
        while self.steps().is_err() {}
        !self.running.is_empty()
    }

    /// Leaves on the way back what the agent still gets of a session that is over: what reads have
    /// brought if their records are there in time, and the session's last words.
    pub(crate) async fn last_words(&mut self, refused: Option<&Refused>) {
        let _ = timeout(FAREWELL_TIME_MAX, self.release_all()).await;
        self.back.drop_held();
        if let Some(refused) = refused {
            // A fault leaves steps that were not taken, perhaps with a result that was to be held:
            // from here on there are only the last words.
            while self.session.next().is_some() {}
            self.session.refuse(refused);
            let _ = self.steps();
        }
    }

    /// Waits for the records of all reads that run ahead, up to the first that will not be.
    async fn release_all(&mut self) {
        while self.records.are_ahead() {
            match next_released(&mut self.records.ahead).await {
                Ok(recorded) => self.back.release(recorded),
                Err(_) => return,
            }
        }
    }

    /// Leaves an outcome on record for every call that has none: `cut` for those that were sent.
    pub(crate) fn close(&mut self, cut: State, end: &End) {
        for (_, running) in std::mem::take(&mut self.running) {
            self.record_end(running, cut, end);
        }
        self.close_held();
        if let Some(asking) = self.records.asking.take()
            && asking.decided.is_ok()
            && asking.pending.seq() > 0
        {
            // Allowed, and never sent: the session ended while its record was on its way. The
            // outcome follows it there; nobody has to wait for the disk.
            let unsent = Running::new(asking.pending.seq(), &asking.held.call.verb);
            self.record_end(unsent, State::Skipped, &End::default());
        }
    }

    /// What an agent is told whose target is gone.
    pub(crate) fn target_gone(&self, how: &str) -> Refused {
        let run = self.admission.run.id;
        tracing::error!(%run, target = self.target.name, how, "the target went away");
        Refused {
            why: Why::TargetLost,
            message: format!("target `{}` went away", self.target.name),
            hint: UNSURE.into(),
        }
    }

    /// A read ran, and its record is lost: nothing of it may be shown, and nothing can follow.
    fn unrecorded(&self, error: &AppendError) -> Refused {
        let run = self.admission.run.id;
        tracing::error!(%run, %error, "a read could not be recorded; its session ends");
        Refused {
            why: Why::Unrecorded,
            message: "the call could not be recorded, so its result is withheld".into(),
            hint: error.to_string(),
        }
    }

    /// What an agent is told whose session failed.
    pub(crate) fn blame(&self, fault: &Fault) -> Refused {
        let run = self.admission.run.id;
        tracing::error!(%run, target = self.target.name, %fault, "session ended");
        let (why, hint) = match fault {
            Fault::Agent(_) => (Why::Agent, "Send it in a form that can be understood."),
            Fault::Target(_) | Fault::TargetLogin(_) | Fault::Errand(_) => {
                (Why::TargetLost, UNSURE)
            }
            Fault::Bug(_) => (Why::Defect, UNSURE),
        };
        Refused {
            why,
            message: fault.to_string(),
            hint: hint.into(),
        }
    }
}

/// What an agent can do whose target or gateway failed.
const UNSURE: &str = "What was running may or may not have happened; the trail says what was sent.";

/// What comes with an allowed call, for the session.
fn terms(allow: &Allow) -> Terms {
    Terms {
        binary: allow.binary(),
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

/// Waits until what a run has open is cut; says why. Cancel safe.
pub(crate) async fn ended_because(ended: &mut watch::Receiver<Option<Cut>>) -> Option<Cut> {
    // Whoever keeps the runs is gone only when the gateway stops.
    ended
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|cut| *cut)
}

/// What an agent is told when its run is cut under it.
pub(crate) fn ended_words(cut: Option<Cut>) -> Refused {
    let why = match cut {
        Some(Cut::Suspended) => return suspended_words(),
        Some(Cut::Ended(Ending::Expired)) => "its time box is over",
        Some(Cut::Ended(Ending::Revoked)) => "it was revoked",
        Some(Cut::Ended(Ending::Closed)) => "it was closed",
        Some(Cut::Ended(Ending::GatewayStopped)) | None => return stopping(),
    };
    Refused {
        why: Why::Ended,
        message: format!("this run has ended: {why}"),
        hint: "Open another run; its credential is its own.".into(),
    }
}

/// What an agent is told whose run is suspended.
pub(crate) fn suspended_words() -> Refused {
    Refused {
        why: Why::Suspended,
        message: "this run is suspended".into(),
        hint: "It can do nothing until a person resumes it. Wait, or end the work here.".into(),
    }
}

/// What an agent is told when the gateway stops under it.
pub(crate) fn stopping() -> Refused {
    Refused {
        why: Why::Stopping,
        message: "the gateway is stopping, and every run ends with it".into(),
        hint: "Open another run once the gateway is there again.".into(),
    }
}
