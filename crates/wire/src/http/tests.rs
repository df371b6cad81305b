//! A session from the head of a request to the end of its answer, with a scripted agent, gateway and
//! target.

mod answers;
mod login;
mod property;
mod requests;
mod uploads;
mod websocket;

use std::sync::{Arc, LazyLock};

use bailiwick_action::{Denial, FieldPath, Held, Input};
use bailiwick_run::{RunId, Secret, Time, Verifier};
use bytes::{Bytes, BytesMut};

use super::bhttp::{
    self, Fields, Part, Reader, Request, Response, put_content, put_end, put_request, put_response,
};
use super::{PROTOCOL, place};
use crate::{
    Answer, CancelKey, End, Fault, LoginFailure, Masked, Seed, Session, Step, Terms, Ticket, Veil,
    Wanted,
};

/// Masks every `@`.
struct TestVeil {
    inputs: Vec<Input>,
    fields: Vec<FieldPath>,
}

impl TestVeil {
    fn new() -> Self {
        let path = |text| FieldPath::parse(text).unwrap();
        Self {
            inputs: vec![
                Input::Query("notify".into()),
                Input::Field(path("$.visibility")),
            ],
            fields: vec![path("$.customer.email")],
        }
    }
}

impl Veil for TestVeil {
    fn masked(&self) -> Vec<Masked> {
        Vec::new()
    }
    fn fields(&self) -> &[FieldPath] {
        &self.fields
    }
    fn inputs(&self) -> &[Input] {
        &self.inputs
    }
    fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        let at = text.iter().filter(|byte| **byte == b'@').count();
        let bytes = text.iter().flat_map(|byte| match byte {
            b'@' => b"[masked]".to_vec(),
            other => vec![*other],
        });
        (at > 0).then(|| (bytes.collect(), at as u64))
    }
    fn placeholder(&self) -> &'static str {
        "[masked]"
    }
    fn has_placeholder(&self, bytes: &[u8]) -> bool {
        bytes.windows(8).any(|window| window == b"[masked]")
    }
}

/// What a session did in answer to something.
#[derive(Default)]
struct Did {
    /// What the agent was sent; rows as content.
    agent: BytesMut,
    relayed: Vec<u8>,
    asked: Option<(Ticket, Held)>,
    finished: Vec<(Ticket, End)>,
    wanted: Option<Wanted>,
    failed: Option<LoginFailure>,
    ready: bool,
    done: bool,
}

impl Did {
    /// The answer that the agent has, and whether it is whole.
    fn answer(&self) -> (Response, Vec<u8>, bool) {
        let mut parts = parts(&self.agent).into_iter();
        let Some(Part::Response(head)) = parts.next() else {
            panic!("no answer");
        };
        let mut content = Vec::new();
        let mut whole = false;
        for part in parts {
            match part {
                Part::Content(piece) => content.extend_from_slice(&piece),
                Part::End(_) => whole = true,
                other => panic!("{other:?}"),
            }
        }
        (head, content, whole)
    }

    fn status(&self) -> u16 {
        self.answer().0.status
    }

    fn text(&self) -> String {
        String::from_utf8(self.answer().1).unwrap()
    }

    fn held(&self) -> &Held {
        &self.asked.as_ref().expect("a question").1
    }

    /// What the agent would be sent on, as the target reads it.
    fn sent(&self) -> (Request, Vec<u8>) {
        let mut parts = parts(&self.held().bytes).into_iter();
        let Some(Part::Request(head)) = parts.next() else {
            panic!("no request");
        };
        let content = parts.filter_map(|part| match part {
            Part::Content(piece) => Some(piece.to_vec()),
            _ => None,
        });
        (head, content.flatten().collect())
    }
}

fn parts(bytes: &[u8]) -> Vec<Part> {
    let mut reader = Reader::default();
    reader.push(bytes);
    let parts = std::iter::from_fn(|| reader.next().unwrap()).collect();
    assert_eq!(reader.waiting(), 0, "something that is no part");
    parts
}

const SEED: Seed = Seed {
    nonce: [1; 18],
    cancel: CancelKey([2; 8]),
    token: [4; 8],
};

fn secret() -> Secret {
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

fn fields(fields: &[(&str, &str)]) -> Fields {
    fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Bytes::from((*value).to_owned())))
        .collect()
}

/// A request with the run's credential.
fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Request {
    let bearer = format!("Bearer {}", secret().reveal());
    let mut all = fields(&[("authorization", &bearer)]);
    all.extend(fields(more));
    Request {
        method: method.into(),
        path: path.into(),
        fields: all,
        ..Request::default()
    }
}

fn response(status: u16, more: &[(&str, &str)]) -> BytesMut {
    let mut bytes = BytesMut::new();
    let fields = fields(more);
    put_response(&mut bytes, &Response { status, fields });
    bytes
}

fn content(content: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    put_content(&mut bytes, content);
    bytes
}

fn end() -> BytesMut {
    let mut bytes = BytesMut::new();
    put_end(&mut bytes, &[]);
    bytes
}

struct Test {
    session: Box<dyn Session>,
}

impl Test {
    fn new() -> Self {
        Self {
            session: (PROTOCOL.session)(SEED),
        }
    }

    fn steps(&mut self) -> Did {
        let mut did = Did::default();
        while let Some(step) = self.session.next() {
            assert!(!did.done, "a step after the end");
            match step {
                Step::ToAgent(bytes) => did.agent.extend_from_slice(&bytes),
                Step::Rows(_, bytes) => put_content(&mut did.agent, &bytes),
                Step::Relay(plumbing) => did.relayed.extend(plumbing.into_bytes()),
                Step::Ask(ticket, held) => {
                    assert!(did.asked.is_none(), "two questions at once");
                    did.asked = Some((ticket, held));
                }
                Step::Finished(ticket, end) => did.finished.push((ticket, end)),
                Step::LoginFailed(failure) => did.failed = Some(failure),
                Step::Connect { target, .. } => did.wanted = Some(target),
                Step::Ready => did.ready = true,
                Step::Done => did.done = true,
                Step::Identify(_) => self.session.identified(verifier()).unwrap(),
                Step::Learned(_) => {}
                _ => panic!("a step of another protocol"),
            }
        }
        did
    }

    fn agent(&mut self, bytes: &[u8]) -> Did {
        self.session.agent(bytes).unwrap();
        self.steps()
    }

    fn target(&mut self, bytes: &[u8]) -> Did {
        self.session.target(bytes).unwrap();
        self.steps()
    }

    fn head(&mut self, head: &Request) -> Did {
        let mut bytes = BytesMut::new();
        put_request(&mut bytes, head);
        self.agent(&bytes)
    }

    fn connect(&mut self) -> Did {
        let endpoint = place::parse("https://crm.internal/api/v2").unwrap();
        let veil = Arc::new(TestVeil::new());
        self.session
            .connected(&endpoint, "label", veil, None)
            .unwrap();
        self.steps()
    }

    fn answer(&mut self, did: &Did, answer: Answer) -> Did {
        let (ticket, held) = did.asked.as_ref().expect("a question");
        if matches!(answer, Answer::Allow(_)) {
            assert_eq!(held.call.refusal, None);
        }
        self.session.answer(*ticket, answer).unwrap();
        self.steps()
    }

    fn allow(&mut self, did: &Did) -> Did {
        self.answer(did, Answer::Allow(Terms::default()))
    }

    fn deny(&mut self, did: &Did) -> Did {
        let refusal = did.held().call.refusal.clone();
        let denial = Denial {
            policies: Vec::new(),
            reason: refusal.unwrap_or_else(|| "out of scope".into()),
            remedy: "ask for more".into(),
        };
        self.answer(did, Answer::Deny(denial))
    }
}

/// A request that is with its target's gate: logged in, its head and its content (if any) and its end
/// sent.
fn asked(head: &Request, body: &[u8]) -> (Test, Did) {
    let mut test = Test::new();
    let did = test.head(head);
    assert!(did.wanted.is_some(), "not let in");
    let mut did = test.connect();
    assert!(did.ready);
    if did.asked.is_none() {
        for piece in body.chunks(1 << 20) {
            did = test.agent(&content(piece));
            if did.asked.is_some() {
                return (test, did);
            }
        }
        did = test.agent(&end());
    }
    (test, did)
}

/// The same, let through.
fn sent(head: &Request, body: &[u8]) -> (Test, Ticket) {
    let (mut test, did) = asked(head, body);
    let ticket = did.asked.as_ref().unwrap().0;
    let did = test.allow(&did);
    assert!(did.agent.is_empty() && !did.done);
    (test, ticket)
}
