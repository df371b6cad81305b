//! Drives a session of one exchange of HTTP, whatever is spoken in it.

use std::sync::{Arc, LazyLock};

use bailiwick_action::{Denial, Held};
use bailiwick_run::{RunId, Secret, Time, Verifier};
use bailiwick_wire::http::bhttp::{Part, Reader, Request, put_content, put_request};
use bailiwick_wire::{
    Answer, CancelKey, Endpoint, Fault, Knowledge, Protocol, Refused, Seed, Session, Step, Terms,
    Ticket, TlsMode, Why,
};
use bytes::BytesMut;

use crate::input::Input;
use crate::veil::{TestVeil, detectors};

/// The run's.
pub(crate) fn secret() -> Secret {
    Secret::new([5; 32])
}

/// It takes its time to make one.
fn verifier() -> Arc<Verifier> {
    static VERIFIER: LazyLock<Arc<Verifier>> = LazyLock::new(|| {
        let run = RunId::new(Time::from_millis(1), [3; 10]);
        Arc::new(Verifier::new(run, &secret(), [6; 16]))
    });
    Arc::clone(&VERIFIER)
}

/// Drives a session as the gateway does, and looks at every step that it takes.
pub(crate) struct Drive {
    session: Box<dyn Session>,
    /// What the run's exchanges share.
    knowledge: Option<Knowledge>,
    /// What the target's paths begin with.
    base: &'static str,
    /// Looks at what is let through, and panics if that is not what was asked for.
    check: fn(&Held),
    /// What the gateway may send by itself.
    own: fn(&[u8]) -> bool,
    connects: bool,
    pending: Option<(Ticket, Held)>,
    /// What may go to the target by now.
    open: bool,
    /// What the target got.
    pub(crate) sent: Vec<u8>,
    told: BytesMut,
    fault: Option<Fault>,
    done: bool,
}

impl Drive {
    pub(crate) fn new(
        protocol: &Protocol,
        knowledge: Option<Knowledge>,
        base: &'static str,
        check: fn(&Held),
    ) -> Self {
        let seed = Seed {
            nonce: [1; 18],
            cancel: CancelKey([2; 8]),
            token: [3; 8],
        };
        Self {
            session: (protocol.session)(seed),
            knowledge,
            base,
            check,
            own: |_| false,
            connects: false,
            pending: None,
            open: false,
            sent: Vec::new(),
            told: BytesMut::new(),
            fault: None,
            done: false,
        }
    }

    /// With something that the gateway may send by itself.
    pub(crate) fn owning(self, own: fn(&[u8]) -> bool) -> Self {
        Self { own, ..self }
    }

    pub(crate) fn head(&mut self, head: &Request) {
        let mut bytes = BytesMut::new();
        put_request(&mut bytes, head);
        self.agent(&bytes);
    }

    /// Opens the target, if the session wants that.
    pub(crate) fn connect(&mut self) -> bool {
        if !self.connects {
            return false;
        }
        let endpoint = Endpoint {
            host: "crm.internal".into(),
            port: 80,
            user: String::new(),
            password: None,
            database: self.base.into(),
            tls: TlsMode::Disable,
            roots: None,
        };
        let veil = Arc::new(TestVeil(detectors()));
        let result = self
            .session
            .connected(&endpoint, "label", veil, self.knowledge.clone());
        self.after(result);
        true
    }

    pub(crate) fn agent(&mut self, bytes: &[u8]) {
        let result = self.session.agent(bytes);
        self.after(result);
    }

    pub(crate) fn target(&mut self, bytes: &[u8]) {
        let result = self.session.target(bytes);
        self.after(result);
    }

    /// Answers what was asked. A call that was not understood is denied, whatever is wanted.
    pub(crate) fn decide(&mut self, input: &mut Input<'_>) {
        while let Some((ticket, held)) = self.pending.take() {
            let denied = held.call.refusal.is_some() || input.one_in(8);
            let answer = if denied {
                Answer::Deny(Denial {
                    policies: Vec::new(),
                    reason: "out of scope".into(),
                    remedy: "ask".into(),
                })
            } else {
                (self.check)(&held);
                self.open = true;
                self.sent.extend_from_slice(&held.bytes);
                Answer::Allow(Terms::default())
            };
            let result = self.session.answer(ticket, answer);
            self.after(result);
        }
    }

    fn after(&mut self, result: bailiwick_wire::Result<()>) {
        let was_over = self.fault.is_some() || self.done;
        if let Err(fault) = result {
            assert!(!matches!(fault, Fault::Bug(_)), "{fault}");
            assert!(!was_over, "a fault after the end: {fault}");
            self.fault = Some(fault);
        }
        while let Some(step) = self.session.next() {
            assert!(!was_over, "a step after the end");
            match step {
                Step::ToAgent(bytes) => self.told.extend_from_slice(&bytes),
                Step::Rows(_, bytes) => {
                    assert!(!bytes.is_empty(), "no content, which would be the end");
                    put_content(&mut self.told, &bytes);
                }
                Step::Relay(plumbing) => {
                    let bytes = plumbing.into_bytes();
                    assert!(
                        (self.open || (self.own)(&bytes)) && self.fault.is_none(),
                        "something went to the target"
                    );
                    self.sent.extend_from_slice(&bytes);
                }
                Step::Ask(ticket, held) => {
                    assert!(self.fault.is_none(), "a call was asked for after a fault");
                    assert!(self.pending.is_none(), "two calls at once");
                    let nothing = held.call.actions.is_empty() && held.call.refusal.is_none();
                    assert!(!nothing, "a call that does nothing");
                    self.pending = Some((ticket, held));
                }
                Step::Identify(_) => self.session.identified(verifier()).expect("a login"),
                Step::Connect { .. } => self.connects = true,
                Step::Finished(..) => assert!(self.open, "no such call to end"),
                Step::Ready | Step::Cancel(_) => {}
                Step::Done => self.done = true,
                Step::LoginFailed(_)
                | Step::Learned(_)
                | Step::AgentTls(_)
                | Step::TargetTls
                | Step::Did(_)
                | Step::Held(..)
                | Step::Resumed(..) => panic!("a step that has no place here"),
            }
        }
    }

    /// Whatever has come of it, the agent has one answer. Gives what it was told.
    pub(crate) fn end(mut self) -> BytesMut {
        if !self.done {
            self.session.refuse(&Refused {
                why: Why::Ended,
                message: "the run has ended".into(),
                hint: String::new(),
            });
            let mut done = false;
            while let Some(step) = self.session.next() {
                match step {
                    Step::ToAgent(bytes) => self.told.extend_from_slice(&bytes),
                    Step::Done => done = true,
                    _ => {}
                }
            }
            assert!(done, "a session without an end");
        }
        let mut reader = Reader::default();
        reader.push(&self.told);
        let mut heads = 0;
        while let Some(part) = reader.next().expect("what the agent is told is HTTP") {
            match part {
                Part::Response(_) => heads += 1,
                Part::Content(_) | Part::End(_) => {}
                Part::Request(_) => panic!("a request to the agent"),
            }
        }
        assert_eq!(
            (heads, reader.waiting()),
            (1, 0),
            "one answer, in whole parts"
        );
        self.told
    }
}
