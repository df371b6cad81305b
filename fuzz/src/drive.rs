//! Drives a session as the gateway does, and looks at every step that it takes.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_action::{Denial, Held};
use bailiwick_wire::postgres::PROTOCOL;
use bailiwick_wire::{
    Answer, CancelKey, Endpoint, Fault, Knowledge, Seed, Session, Step, Terms, Ticket, TlsMode,
};

use crate::catalogue::catalogue;
use crate::message::{all, holds, string, values};
use crate::server::{CANARY_BYTES, Server};
use crate::sql::{CANARY, CANARY_TEXT};
use crate::veil::{TestVeil, detectors};

/// The gateway's own names at the target start so.
const OWN: &str = "bailiwick ";

/// A session that is ready, and everything that has come of it.
pub(crate) struct Drive {
    session: Box<dyn Session>,
    /// A call that waits for its answer.
    pub(crate) pending: Option<(Ticket, Held)>,
    last_ticket: Option<Ticket>,
    /// Calls that were let through and have not ended.
    pub(crate) running: BTreeSet<Ticket>,
    /// What went to the target, and has not been taken from here.
    pub(crate) to_target: Vec<u8>,
    /// Everything that the agent was told.
    pub(crate) told: Vec<u8>,
    pub(crate) fault: Option<Fault>,
    pub(crate) done: bool,
    /// Whether some COPY was let through, so that its data may go.
    copies: bool,
}

impl Drive {
    pub(crate) fn new() -> Self {
        let seed = Seed {
            nonce: [1; 18],
            cancel: CancelKey([2; 8]),
            token: [3; 8],
        };
        let mut drive = Self {
            session: (PROTOCOL.survey)(seed),
            pending: None,
            last_ticket: None,
            running: BTreeSet::new(),
            to_target: Vec::new(),
            told: Vec::new(),
            fault: None,
            done: false,
            copies: false,
        };
        let endpoint = Endpoint {
            host: "db".into(),
            port: 5432,
            user: "svc".into(),
            password: None,
            database: "app".into(),
            tls: TlsMode::Disable,
            roots: None,
        };
        let veil = Arc::new(TestVeil(detectors()));
        let knowledge: Knowledge = Arc::clone(catalogue()) as Knowledge;
        let result = drive
            .session
            .connected(&endpoint, "label", veil, Some(knowledge));
        result.expect("a session that begins");
        // The startup packet, which is no typed message.
        while drive.session.next().is_some() {}
        drive.target(&Server::greeting());
        drive.told.clear();
        drive
    }

    pub(crate) fn wants_agent(&self) -> bool {
        self.session.wants_agent()
    }

    pub(crate) fn agent(&mut self, bytes: &[u8]) {
        let result = self.session.agent(bytes);
        self.after(result);
    }

    pub(crate) fn target(&mut self, bytes: &[u8]) {
        let result = self.session.target(bytes);
        self.after(result);
    }

    pub(crate) fn refresh(&mut self) {
        self.session.refresh();
        self.after(Ok(()));
    }

    /// Whether the scope would let it through: nothing that was not understood, and nothing that shows
    /// the masked column where masking cannot reach.
    pub(crate) fn may(held: &Held) -> bool {
        let exposes = |action: &bailiwick_action::Action| action.exposed.contains("email");
        held.call.refusal.is_none() && !held.call.actions.iter().any(exposes)
    }

    /// Answers the pending call. One that may not be let through is denied, whatever is wanted.
    pub(crate) fn answer(&mut self, wanted: Wanted) {
        let Some((ticket, held)) = self.pending.take() else {
            return;
        };
        let answer = match wanted {
            Wanted::Allow if Self::may(&held) => {
                assert!(self.fault.is_none(), "sent after a fault");
                self.copies |= held.call.verb.contains("COPY") || held.call.verb == "EXECUTE";
                self.to_target.extend_from_slice(&held.bytes);
                assert!(self.running.insert(ticket), "let through twice");
                Answer::Allow(Terms::default())
            }
            Wanted::Unrecorded => Answer::Unrecorded("the disk is full".into()),
            Wanted::Allow | Wanted::Deny => Answer::Deny(Denial {
                policies: Vec::new(),
                reason: "out of scope".into(),
                remedy: "ask".into(),
            }),
        };
        let result = self.session.answer(ticket, answer);
        self.after(result);
    }

    fn after(&mut self, result: bailiwick_wire::Result<()>) {
        let was_over = self.fault.is_some() || self.done;
        if let Err(fault) = result {
            assert!(!matches!(fault, Fault::Bug(_)), "{fault}");
            assert!(!was_over, "a fault after the end: {fault}");
            self.fault = Some(fault);
        }
        let faulted = self.fault.is_some();
        while let Some(step) = self.session.next() {
            assert!(!was_over, "a step after the end");
            match step {
                Step::ToAgent(bytes) => self.tell(&bytes),
                Step::Rows(ticket, bytes) => {
                    assert!(self.running.contains(&ticket), "rows of no call");
                    self.tell(&bytes);
                }
                Step::Relay(plumbing) => {
                    assert!(!faulted, "something went to the target after a fault");
                    let bytes = plumbing.into_bytes();
                    self.is_plumbing(&bytes);
                    self.to_target.extend_from_slice(&bytes);
                }
                Step::Ask(ticket, held) => {
                    assert!(!faulted, "a call was asked for after a fault");
                    assert!(self.pending.is_none(), "two calls at once");
                    assert!(self.last_ticket.is_none_or(|last| last < ticket));
                    assert!(
                        held.call.refusal.is_some() || !held.call.actions.is_empty(),
                        "a call that does nothing"
                    );
                    self.last_ticket = Some(ticket);
                    self.pending = Some((ticket, held));
                }
                Step::Finished(ticket, _) => {
                    assert!(self.running.remove(&ticket), "no such call to end");
                }
                Step::Done => self.done = true,
                Step::Learned(_) | Step::Ready => {}
                Step::AgentTls(_)
                | Step::Identify(_)
                | Step::LoginFailed(_)
                | Step::Connect { .. }
                | Step::TargetTls
                | Step::Did(_)
                | Step::Held(..)
                | Step::Resumed(..)
                | Step::Cancel(_) => panic!("a step of a login"),
            }
        }
    }

    /// What the agent is told is whole, and nothing of the masked column is in it.
    fn tell(&mut self, bytes: &[u8]) {
        for message in all(bytes) {
            let text = String::from_utf8_lossy(&message.body);
            assert!(
                !text.contains(CANARY),
                "a masked value got out: {message:?}"
            );
            if message.tag == b'D' {
                for value in values(message.body.clone()) {
                    let secret = holds(&value, &CANARY_BYTES) || holds(&value, CANARY_TEXT);
                    assert!(!secret, "a masked value got out: {message:?}");
                }
            }
        }
        self.told.extend_from_slice(bytes);
    }

    /// What goes to the target without a permit starts nothing.
    fn is_plumbing(&self, bytes: &[u8]) {
        for mut message in all(bytes) {
            let own = |body: &mut bytes::Bytes| {
                let name = string(body);
                name.is_some_and(|name| name.starts_with(OWN))
            };
            let fine = match message.tag {
                b'S' | b'H' | b'X' => message.body.is_empty(),
                b'D' | b'C' => matches!(message.body.first(), Some(b'S' | b'P')),
                // One that does not exist, to fail; or one of the gateway's own questions.
                b'E' | b'P' | b'B' => own(&mut message.body),
                b'd' | b'c' | b'f' => self.copies,
                _ => false,
            };
            assert!(fine, "this is more than plumbing: {message:?}");
        }
    }
}

/// What becomes of a call, if the scope has nothing against it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    Allow,
    Deny,
    Unrecorded,
}
