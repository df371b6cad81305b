//! A session from login to end, with a scripted target: bytes in, steps out.

mod limits;
mod messages;
mod nested;
mod target;

use std::sync::Arc;

use bailiwick_action::{Action, Class, Denial, Held};
use bailiwick_run::{RunId, Secret, Time, Verifier};
use bytes::{BufMut, Bytes, BytesMut};
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

use super::PROTOCOL;
use super::message::{self, message, put_c_string};
use crate::sql::{Catalogue, Column, Relation, RelationKind};
use crate::{
    Answer, CancelKey, Endpoint, Fault, Knowledge, Masked, Refused, Seed, Session, Step, Terms,
    Ticket, TlsMode, Veil, Why,
};

/// Masks `public.tickets.email` and every `@`.
struct TestVeil;

impl Veil for TestVeil {
    fn masked(&self) -> Vec<Masked> {
        vec![Masked {
            schema: "public".into(),
            table: "tickets".into(),
            column: "email".into(),
            lookup: false,
        }]
    }
    fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        let text = String::from_utf8_lossy(text);
        text.contains('@')
            .then(|| (text.replace('@', "[masked]").into_bytes(), 1))
    }
    fn placeholder(&self) -> &'static str {
        "[masked]"
    }
    fn has_placeholder(&self, bytes: &[u8]) -> bool {
        bytes.windows(7).any(|window| window == b"[masked")
    }
}

fn catalogue() -> Knowledge {
    let mut catalogue = Catalogue::new("app", "svc", ["public"]);
    let columns = ["id", "subject", "email"];
    catalogue.add(Relation {
        oid: 1000,
        schema: "public".into(),
        name: "tickets".into(),
        kind: RelationKind::Table,
        columns: (1..)
            .zip(columns)
            .map(|(number, name)| Column {
                number,
                name: name.into(),
                type_oid: 25,
                generated: false,
            })
            .collect(),
        definition: None,
    });
    Arc::new(catalogue)
}

/// What a session did in answer to some bytes.
#[derive(Default)]
struct Did {
    agent: Vec<u8>,
    relayed: Vec<u8>,
    asked: Vec<(Ticket, Held)>,
    finished: Vec<(Ticket, crate::End)>,
    done: bool,
}

const SEED: Seed = Seed {
    nonce: [1; 18],
    cancel: CancelKey([2; 8]),
    token: [4; 8],
};

fn endpoint(tls: TlsMode) -> Endpoint {
    Endpoint {
        host: "db".into(),
        port: 5432,
        user: "svc".into(),
        password: Some("secret".into()),
        database: "app".into(),
        tls,
        roots: None,
    }
}

struct Test {
    session: Box<dyn Session>,
    secret: Secret,
    run: RunId,
}

impl Test {
    fn new() -> Self {
        let run = RunId::new(Time::from_millis(1), [3; 10]);
        Self {
            session: (PROTOCOL.session)(SEED),
            secret: Secret::new([5; 32]),
            run,
        }
    }

    fn steps(&mut self) -> Did {
        let mut did = Did::default();
        while let Some(step) = self.session.next() {
            match step {
                Step::ToAgent(bytes) | Step::Rows(_, bytes) => did.agent.extend(bytes),
                Step::Relay(plumbing) => did.relayed.extend(plumbing.into_bytes()),
                Step::Ask(ticket, held) => did.asked.push((ticket, held)),
                Step::Finished(ticket, end) => did.finished.push((ticket, end)),
                Step::Done => did.done = true,
                Step::Ready | Step::Learned(_) => {}
                _ => panic!("a step of a login"),
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

    fn allow(&mut self, did: &Did) -> Did {
        let (ticket, held) = did.asked.first().expect("a question");
        assert_eq!(held.call.refusal, None);
        self.session
            .answer(*ticket, Answer::Allow(Terms::default()))
            .unwrap();
        self.steps()
    }

    fn deny(&mut self, did: &Did) -> Did {
        let (ticket, _) = did.asked.first().expect("a question");
        let denial = Denial {
            policies: Vec::new(),
            reason: "out of scope".into(),
            remedy: "ask".into(),
        };
        self.session.answer(*ticket, Answer::Deny(denial)).unwrap();
        self.steps()
    }

    /// Logs the agent in; returns whether it was believed.
    fn log_in(&mut self, secret: &Secret) -> bool {
        self.session.agent(&startup(&self.run.to_string())).unwrap();
        assert!(matches!(self.session.next(), Some(Step::Identify(_))));
        let verifier = Verifier::new(self.run, &self.secret, [6; 16]);
        self.session.identified(Arc::new(verifier)).unwrap();
        let Some(Step::ToAgent(offer)) = self.session.next() else {
            panic!("no offer of a mechanism");
        };
        assert!(offer.ends_with(b"SCRAM-SHA-256\0\0"));
        let binding = ChannelBinding::unsupported();
        let mut scram = ScramSha256::new(secret.reveal().as_bytes(), binding);
        let first = message(b'p', |body| {
            put_c_string(body, "SCRAM-SHA-256");
            body.put_u32(scram.message().len() as u32);
            body.put_slice(scram.message());
        });
        self.session.agent(&first).unwrap();
        let Some(Step::ToAgent(server_first)) = self.session.next() else {
            panic!("no challenge");
        };
        scram.update(&server_first[9..]).unwrap();
        let last = message(b'p', |body| body.put_slice(scram.message()));
        self.session.agent(&last).unwrap();
        match self.session.next() {
            Some(Step::ToAgent(server_final)) => {
                let length = u32::from_be_bytes(server_final[1..5].try_into().unwrap()) as usize;
                scram.finish(&server_final[9..=length]).unwrap();
                assert!(matches!(self.session.next(), Some(Step::Connect { .. })));
                true
            }
            Some(Step::LoginFailed(_)) => false,
            _ => panic!("neither in nor out"),
        }
    }

    /// A session that is ready. As a survey it needs no login, which takes its time.
    fn ready() -> Self {
        Self::connected((PROTOCOL.survey)(SEED))
    }

    fn connected(session: Box<dyn Session>) -> Self {
        let mut test = Self {
            session,
            ..Self::new()
        };
        let endpoint = endpoint(TlsMode::Disable);
        test.session
            .connected(&endpoint, "label", Arc::new(TestVeil), Some(catalogue()))
            .unwrap();
        test.steps();
        let mut hello = BytesMut::new();
        hello.put_slice(&message::authentication(0, b""));
        hello.put_slice(&setting("standard_conforming_strings", "on"));
        hello.put_slice(&message(b'K', |body| body.put_slice(&[9; 8])));
        hello.put_slice(&message::ready(b'I'));
        let did = test.target(&hello);
        let agent = String::from_utf8_lossy(&did.agent).into_owned();
        assert!(agent.contains("standard_conforming_strings"));
        assert!(
            did.agent.windows(8).any(|key| key == [2; 8]),
            "our own cancel key"
        );
        assert!(
            !did.agent.windows(8).any(|key| key == [9; 8]),
            "not the target's"
        );
        test
    }
}

fn startup(user: &str) -> Bytes {
    let mut body = BytesMut::new();
    body.put_u32(3 << 16);
    for text in ["user", user, "database", "tickets", ""] {
        put_c_string(&mut body, text);
    }
    let mut packet = BytesMut::new();
    packet.put_u32(body.len() as u32 + 4);
    packet.put_slice(&body);
    packet.freeze()
}

fn setting(name: &str, value: &str) -> Bytes {
    message(b'S', |body| {
        put_c_string(body, name);
        put_c_string(body, value);
    })
}

fn parse(name: &str, sql: &str) -> Bytes {
    message(b'P', |body| {
        put_c_string(body, name);
        put_c_string(body, sql);
        body.put_u16(0);
    })
}

fn bind(statement: &str) -> Bytes {
    message(b'B', |body| {
        put_c_string(body, "");
        put_c_string(body, statement);
        body.put_u16(0);
        body.put_u16(0);
        body.put_u16(0);
    })
}

fn row_description(columns: &[(u32, i16, u32)]) -> Bytes {
    message(b'T', |body| {
        body.put_u16(columns.len() as u16);
        for (table, number, type_oid) in columns {
            put_c_string(body, "name");
            body.put_u32(*table);
            body.put_i16(*number);
            body.put_u32(*type_oid);
            body.put_i16(-1);
            body.put_i32(-1);
            body.put_i16(0);
        }
    })
}

fn row(values: &[&str]) -> Bytes {
    message(b'D', |body| {
        body.put_u16(values.len() as u16);
        for value in values {
            body.put_u32(value.len() as u32);
            body.put_slice(value.as_bytes());
        }
    })
}

fn complete(tag: &str) -> Bytes {
    message(b'C', |body| put_c_string(body, tag))
}

fn target_error(code: &str) -> Bytes {
    message(b'E', |body| {
        body.put_slice(format!("SERROR\0C{code}\0Mno\0\0").as_bytes());
    })
}

fn all(parts: &[Bytes]) -> Vec<u8> {
    parts.concat()
}

/// The tags of the messages in some bytes.
fn tags(mut bytes: &[u8]) -> String {
    let mut tags = String::new();
    while let [tag, a, b, c, d, ..] = bytes {
        tags.push(char::from(*tag));
        bytes = &bytes[1 + u32::from_be_bytes([*a, *b, *c, *d]) as usize..];
    }
    tags
}

#[test]
fn the_right_secret_is_believed() {
    let mut test = Test::new();
    let secret = test.secret.clone();
    assert!(test.log_in(&secret));
    let mut test = Test::connected(test.session);
    let asked = test.agent(&message::query("SELECT id FROM tickets"));
    assert_eq!(asked.asked.len(), 1);
}

#[test]
fn a_wrong_secret_is_not_believed() {
    let mut test = Test::new();
    assert!(!test.log_in(&Secret::new([0; 32])));
    let did = test.steps();
    assert!(String::from_utf8_lossy(&did.agent).contains("28P01"));
    assert!(did.done);
}

#[test]
fn a_statement_waits_for_its_answer_and_its_rows_are_masked() {
    let mut test = Test::ready();
    let sql = "SELECT id, email FROM tickets";
    let asked = test.agent(&message::query(sql));
    assert!(asked.relayed.is_empty(), "nothing goes before the answer");
    let (_, held) = &asked.asked[0];
    assert_eq!(held.bytes, message::query(sql));
    assert_eq!(held.call.class(), Class::Read);
    test.allow(&asked);
    let did = test.target(&all(&[
        row_description(&[(1000, 1, 23), (1000, 3, 25)]),
        row(&["1", "bob"]),
        complete("SELECT 1"),
        message::ready(b'I'),
    ]));
    assert_eq!(tags(&did.agent), "TDCZ");
    let text = String::from_utf8_lossy(&did.agent).into_owned();
    assert!(text.contains("[masked]") && !text.contains("bob"), "{text}");
    let (_, end) = &did.finished[0];
    assert_eq!((end.rows, end.masked, end.skipped), (1, 1, false));
}

#[test]
fn a_denied_statement_fails_at_the_target_without_reaching_it() {
    let mut test = Test::ready();
    let asked = test.agent(&message::query("SELECT subject FROM tickets"));
    let did = test.deny(&asked);
    assert_eq!(
        tags(&did.relayed),
        "ES",
        "an Execute that fails, and a Sync"
    );
    assert!(!String::from_utf8_lossy(&did.relayed).contains("tickets"));
    let did = test.target(&all(&[target_error("34000"), message::ready(b'E')]));
    assert_eq!(tags(&did.agent), "EZ");
    let text = String::from_utf8_lossy(&did.agent).into_owned();
    assert!(
        text.contains("42501") && text.contains("out of scope"),
        "{text}"
    );
    assert!(!text.contains("34000"), "{text}");
    // The session goes on.
    let asked = test.agent(&message::query("SELECT id FROM tickets"));
    assert_eq!(asked.asked.len(), 1);
}

#[test]
fn what_stands_for_a_denied_call_must_fail() {
    let mut test = Test::ready();
    let asked = test.agent(&message::query("SELECT subject FROM tickets"));
    test.deny(&asked);
    let fault = test.session.target(&row(&["leak"])).unwrap_err();
    assert!(matches!(fault, Fault::Target(_)));
}

#[test]
fn a_denial_in_a_pipeline_skips_to_its_sync() {
    let mut test = Test::ready();
    let asked = test.agent(&all(&[
        parse("", "SELECT subject FROM tickets"),
        bind(""),
        message::execute(""),
        parse("", "SELECT id FROM tickets"),
        message::sync(),
    ]));
    assert_eq!(asked.asked.len(), 1, "one at a time");
    let did = test.deny(&asked);
    assert_eq!(tags(&did.relayed), "ES");
    assert!(
        did.asked.is_empty(),
        "the rest of the pipeline is not even asked for"
    );
    let did = test.target(&all(&[target_error("34000"), message::ready(b'I')]));
    assert_eq!(tags(&did.agent), "EZ");
}

#[test]
fn a_prepared_statement_is_asked_for_whenever_it_runs() {
    let mut test = Test::ready();
    let asked = test.agent(&all(&[
        parse("s", "SELECT email FROM tickets"),
        message::sync(),
    ]));
    let (_, held) = &asked.asked[0];
    assert_eq!(held.call.verb, "PREPARE SELECT");
    assert_eq!(tags(&held.bytes), "PD", "with a Describe of our own");
    let did = test.allow(&asked);
    assert_eq!(tags(&did.relayed), "S");
    let did = test.target(&all(&[
        message(b'1', |_| {}),
        message(b't', |body| body.put_u16(0)),
        row_description(&[(1000, 3, 25)]),
        message::ready(b'I'),
    ]));
    assert_eq!(tags(&did.agent), "1Z", "the Describe was not the agent's");
    for _ in 0..2 {
        let asked = test.agent(&all(&[bind("s"), message::execute(""), message::sync()]));
        let (_, held) = &asked.asked[0];
        assert_eq!((&*held.call.verb, &*tags(&held.bytes)), ("SELECT", "BE"));
        test.allow(&asked);
        let did = test.target(&all(&[
            message(b'2', |_| {}),
            row(&["bob"]),
            complete("SELECT 1"),
            message::ready(b'I'),
        ]));
        assert_eq!(tags(&did.agent), "2DCZ");
        assert!(!String::from_utf8_lossy(&did.agent).contains("bob"));
    }
}

/// What was understood of the call that an Execute of `s` is, beside its text.
fn sense_of(asked: &Did) -> Vec<u8> {
    let (_, held) = asked.asked.first().expect("a question");
    assert_eq!(held.call.verb, "SELECT");
    held.sense.clone()
}

#[test]
fn an_approval_is_for_a_text_as_it_is_read() {
    let run = |name: &str| all(&[bind(name), message::execute("")]);
    let date = || parse("s", "SELECT id FROM tickets WHERE id = '01/02/2026'");
    let set = || parse("set", "SET datestyle = 'SQL, DMY'");
    let parsed = || {
        all(&[
            message(b'1', |_| {}),
            message(b't', |body| body.put_u16(0)),
            message(b'n', |_| {}),
        ])
    };
    let prepare = |test: &mut Test, statement: Bytes| {
        let asked = test.agent(&all(&[statement, message::sync()]));
        test.allow(&asked);
        test.target(&all(&[parsed().into(), message::ready(b'I')]));
    };
    let style = |style: &str| setting("DateStyle", style);

    let mut plain = Test::ready();
    prepare(&mut plain, date());
    let usual = sense_of(&plain.agent(&run("s")));
    let mut again = Test::ready();
    prepare(&mut again, date());
    assert_eq!(sense_of(&again.agent(&run("s"))), usual);

    // Read otherwise from the start, or by the time that it runs.
    for before in [true, false] {
        let mut test = Test::ready();
        if before {
            test.target(&style("SQL, DMY"));
        }
        prepare(&mut test, date());
        test.target(&style(if before { "" } else { "SQL, DMY" }));
        assert_ne!(sense_of(&test.agent(&run("s"))), usual, "{before}");
    }

    // The target says so at the end of the segment, which is too late for what is in it.
    let mut test = Test::ready();
    prepare(&mut test, date());
    prepare(&mut test, set());
    let asked = test.agent(&all(&[run("set").into(), run("s").into()]));
    assert_eq!(asked.asked[0].1.call.verb, "SET");
    let asked = test.allow(&asked);
    assert_ne!(sense_of(&asked), usual);
}

#[test]
fn a_statement_unknown_here_is_refused_and_recorded() {
    let mut test = Test::ready();
    let asked = test.agent(&all(&[
        bind("nobody"),
        message::execute(""),
        message::sync(),
    ]));
    let (_, held) = &asked.asked[0];
    assert!(held.call.refusal.is_some());
    let did = test.deny(&asked);
    assert_eq!(tags(&did.relayed), "ES");
    let did = test.target(&all(&[target_error("34000"), message::ready(b'I')]));
    assert!(String::from_utf8_lossy(&did.agent).contains("26000"));
}

#[test]
fn a_placeholder_is_never_written_back() {
    let mut test = Test::ready();
    let asked = test.agent(&message::query(
        "UPDATE tickets SET subject = '[masked:email]'",
    ));
    let why = asked.asked[0].1.call.refusal.as_deref();
    assert!(
        why.is_some_and(|why| why.contains("placeholder")),
        "{why:?}"
    );
}

#[test]
fn a_result_unlike_the_decision_is_not_released() {
    for description in [
        row_description(&[(1000, 1, 23), (1000, 2, 25)]),
        row_description(&[(1001, 1, 23)]),
        row_description(&[(1000, 9, 23)]),
    ] {
        let mut test = Test::ready();
        let asked = test.agent(&message::query("SELECT id FROM tickets"));
        test.allow(&asked);
        assert!(test.session.target(&description).is_err());
    }
}

#[test]
fn an_error_of_a_statement_on_masked_data_loses_its_text() {
    let mut test = Test::ready();
    let asked = test.agent(&message::query("SELECT email::int FROM tickets"));
    test.allow(&asked);
    let error = message(b'E', |body| {
        body.put_slice(b"SERROR\0C22P02\0Minvalid input syntax: \"bob\"\0\0");
    });
    let did = test.target(&all(&[error, message::ready(b'I')]));
    let text = String::from_utf8_lossy(&did.agent).into_owned();
    assert!(text.contains("22P02") && !text.contains("bob"), "{text}");
    assert_eq!(did.finished[0].1.error.as_deref(), Some("22P02"));
}

#[test]
fn the_same_comes_out_wherever_the_bytes_are_cut() {
    let agent = all(&[
        parse("s", "SELECT id FROM tickets"),
        bind("s"),
        message::execute(""),
        message::sync(),
    ]);
    let target = all(&[
        message(b'1', |_| {}),
        message(b't', |body| body.put_u16(0)),
        row_description(&[(1000, 1, 23)]),
        message(b'2', |_| {}),
        row(&["7"]),
        complete("SELECT 1"),
        message::ready(b'I'),
    ]);
    let run = |agent: &[&[u8]], target: &[&[u8]]| {
        let mut test = Test::ready();
        let (mut sent, mut said) = (Vec::new(), Vec::new());
        for piece in agent {
            let mut did = test.agent(piece);
            loop {
                sent.extend(did.relayed.clone());
                said.extend(did.agent.clone());
                match did.asked.first() {
                    Some((_, held)) => {
                        sent.extend(held.bytes.clone());
                        did = test.allow(&did);
                    }
                    None => break,
                }
            }
        }
        for piece in target {
            let did = test.target(piece);
            sent.extend(did.relayed);
            said.extend(did.agent);
        }
        (sent, said)
    };
    let whole = run(&[&agent], &[&target]);
    assert_eq!((&*tags(&whole.0), &*tags(&whole.1)), ("PDBES", "12DCZ"));
    for cut in 1..agent.len() {
        let (one, two) = agent.split_at(cut);
        assert_eq!(run(&[one, two], &[&target]), whole, "agent cut at {cut}");
    }
    for cut in 1..target.len() {
        let (one, two) = target.split_at(cut);
        assert_eq!(run(&[&agent], &[one, two]), whole, "target cut at {cut}");
    }
}

#[test]
fn a_target_that_reads_statements_otherwise_is_refused() {
    let mut test = Test::ready();
    assert!(
        test.session
            .target(&setting("standard_conforming_strings", "off"))
            .is_err()
    );
    let mut test = Test::ready();
    assert!(
        test.session
            .target(&setting("client_encoding", "SJIS"))
            .is_err()
    );
}

#[test]
fn the_end_of_a_run_is_said_in_the_protocols_words() {
    let mut test = Test::ready();
    test.session.refuse(&Refused {
        why: Why::Ended,
        message: "this run has ended".into(),
        hint: "open another".into(),
    });
    let did = test.steps();
    assert_eq!((&*tags(&did.agent), &*tags(&did.relayed)), ("E", "X"));
    assert!(did.done);
    assert!(!test.session.wants_agent());
}

#[test]
fn the_catalogue_is_read_again_between_pipelines_and_nowhere_else() {
    let mut test = Test::ready();
    let asked = test.agent(&parse("", "SELECT id FROM tickets"));
    test.allow(&asked);
    test.target(&all(&[
        message(b'1', |_| {}),
        message(b't', |body| body.put_u16(0)),
        row_description(&[(1000, 1, 23)]),
    ]));
    test.session.refresh();
    // Nothing is on its way, but the pipeline is not over.
    let asked = test.agent(&all(&[bind(""), message::execute(""), message::sync()]));
    assert_eq!(asked.asked.len(), 1);
    test.allow(&asked);
    let did = test.target(&all(&[
        message(b'2', |_| {}),
        row(&["7"]),
        complete("SELECT 1"),
        message::ready(b'I'),
    ]));
    assert_eq!(tags(&did.relayed), "PBECCS");
    let did = test.agent(&message::query("SELECT id FROM tickets"));
    assert!(did.asked.is_empty(), "not before the catalogue is read");
}

#[test]
fn ways_around_masking_are_seen() {
    for sql in [
        // The server names an unnamed sub-select by what it turns out to be.
        "SELECT (SELECT subject FROM (SELECT (SELECT email AS subject FROM tickets WHERE id = o.id \
         UNION ALL SELECT 'x' LIMIT 1)) q) FROM tickets o",
        "SELECT (SELECT subject FROM (SELECT (SELECT q2.* FROM (SELECT email AS subject FROM \
         tickets) q2)) q) FROM tickets o",
        // A row in GROUP BY is flattened, and its numbers stand for result columns.
        "SELECT email, count(*) FROM tickets GROUP BY (1, 1)",
        // What was run shows which branch was taken.
        "EXPLAIN ANALYZE SELECT CASE WHEN email = 'a' THEN (SELECT max(id) FROM tickets) END FROM tickets",
    ] {
        let asked = Test::ready().agent(&message::query(sql));
        let call = &asked.asked[0].1.call;
        let exposed = |action: &Action| action.exposed.contains("email");
        assert!(
            call.refusal.is_some() || call.actions.iter().any(exposed),
            "{sql}: {call:?}"
        );
    }
}

#[test]
fn names_that_the_server_would_cut_are_refused() {
    for message in [
        parse(&"a".repeat(64), "SELECT id FROM tickets"),
        bind(&"a".repeat(64)),
        message::execute(&"a".repeat(64)),
        message::describe_statement(&"a".repeat(64)),
    ] {
        let mut test = Test::ready();
        assert!(matches!(test.session.agent(&message), Err(Fault::Agent(_))));
    }
}

#[test]
fn a_portal_that_fetches_cannot_be_executed_again_under_another_meaning() {
    let mut test = Test::ready();
    for (sql, tag) in [
        ("BEGIN", "BEGIN"),
        (
            "DECLARE c CURSOR FOR SELECT email FROM tickets",
            "DECLARE CURSOR",
        ),
    ] {
        let asked = test.agent(&message::query(sql));
        test.allow(&asked);
        test.target(&all(&[complete(tag), message::ready(b'T')]));
    }
    let asked = test.agent(&all(&[
        parse("f", "FETCH ALL FROM c"),
        bind("f"),
        message::execute(""),
    ]));
    let asked = test.allow(&asked);
    let did = test.allow(&asked);
    assert!(did.asked.is_empty());
    test.target(&all(&[
        message(b'1', |_| {}),
        message(b't', |body| body.put_u16(0)),
        row_description(&[(1000, 3, 25)]),
        message(b'2', |_| {}),
        row(&["bob"]),
        message(b's', |_| {}),
    ]));
    let asked = test.agent(&message::execute(""));
    let (_, held) = asked.asked.first().expect("a question");
    assert!(held.call.refusal.is_some());
}

#[test]
fn housekeeping_is_a_call_too() {
    let mut test = Test::ready();
    let asked = test.agent(&message::query("BEGIN"));
    assert_eq!(asked.asked[0].1.call.actions, [Action::session()]);
}
