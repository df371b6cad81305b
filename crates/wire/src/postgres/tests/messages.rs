//! Every type of message in every state of a session: it is handled, dropped where PostgreSQL drops
//! it too, or refused by name. And what each side may not do before a login is over.

use bytes::{BufMut, Bytes, BytesMut};

use super::*;
use crate::postgres::login::CANCEL_REQUEST;

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// What came of a message.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// A call was asked for.
    Asked,
    /// These went to the target, as plumbing.
    Relayed(String),
    /// Nothing came of it.
    Dropped,
    /// The session ends in good order.
    Ended,
    /// The session ends with these words.
    Refused(String),
}

impl Test {
    /// The fate of a message, of the type that it is.
    fn fate(&mut self, message: &[u8]) -> Fate {
        if let Err(fault) = self.session.agent(message) {
            assert!(matches!(fault, Fault::Agent(_)), "{fault:?}");
            let did = self.steps();
            assert_eq!((did.asked.len(), &*did.relayed), (0, &[][..]));
            return Fate::Refused(fault.to_string());
        }
        let did = self.steps();
        match (did.done, did.asked.is_empty(), &*tags(&did.relayed)) {
            (true, true, "X" | "") => Fate::Ended,
            (false, false, "") => Fate::Asked,
            (false, true, "") => Fate::Dropped,
            (false, true, relayed) => Fate::Relayed(relayed.to_owned()),
            _ => panic!("more than one fate"),
        }
    }

    /// A COPY that the target has confirmed.
    fn copying() -> Self {
        let mut test = Self::ready();
        let asked = test.agent(&message::query("COPY tickets (id, subject) FROM STDIN"));
        test.allow(&asked);
        let did = test.target(&message(b'G', |body| body.put_slice(&[0, 0, 0])));
        assert_eq!(tags(&did.agent), "G");
        test
    }

    /// A pipeline that failed, and has not come to its Sync.
    fn failed() -> Self {
        let mut test = Self::ready();
        let asked = test.agent(&parse("", "SELECT subject FROM tickets"));
        test.deny(&asked);
        test.target(&target_error("34000"));
        test
    }

    fn terminated() -> Self {
        let mut test = Self::ready();
        assert_eq!(test.fate(&message::terminate()), Fate::Ended);
        test
    }
}

/// A message of this type that is well formed, if clients send it once they are logged in.
fn well_formed(tag: u8) -> Bytes {
    match tag {
        b'Q' => message::query("SELECT id FROM tickets"),
        b'P' => parse("new", "SELECT id FROM tickets"),
        b'B' => bind("missing"),
        b'D' => message::describe_statement("s"),
        b'E' => message::execute("p"),
        b'C' => message(b'C', |body| body.put_slice(b"Ss\0")),
        b'f' => message::copy_fail("changed my mind"),
        b'F' => message(b'F', |body| {
            body.put_u32(715);
            body.put_bytes(0, 6);
        }),
        tag => message(tag, |_| {}),
    }
}

#[test]
fn every_type_of_message_has_its_place_in_every_state() {
    for tag in 0..=u8::MAX {
        let sent = well_formed(tag);
        let relayed = |tags: &str| Fate::Relayed(tags.to_owned());
        let refused = |fate: &Fate| {
            let Fate::Refused(words) = fate else {
                return false;
            };
            words.contains(&format!("{:?}", char::from(tag)))
        };

        let logged_in = Test::ready().fate(&sent);
        match tag {
            b'Q' | b'P' | b'B' | b'E' | b'F' => assert_eq!(logged_in, Fate::Asked, "{tag}"),
            b'D' | b'C' | b'H' | b'S' => {
                assert_eq!(logged_in, relayed(&char::from(tag).to_string()));
            }
            b'd' | b'c' | b'f' => assert_eq!(logged_in, Fate::Dropped, "{tag}"),
            b'X' => assert_eq!(logged_in, Fate::Ended),
            _ => assert!(refused(&logged_in), "{tag}: {logged_in:?}"),
        }

        let in_copy = Test::copying().fate(&sent);
        match tag {
            b'd' | b'c' | b'f' => assert_eq!(in_copy, relayed(&char::from(tag).to_string())),
            b'H' | b'S' => assert_eq!(in_copy, Fate::Dropped, "{tag}"),
            b'X' => assert_eq!(in_copy, Fate::Ended),
            _ => assert!(refused(&in_copy), "{tag}: {in_copy:?}"),
        }

        let in_failed = Test::failed().fate(&sent);
        match tag {
            b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'F' | b'd' | b'c' | b'f' => {
                assert_eq!(in_failed, Fate::Dropped, "{tag}");
            }
            b'S' => assert_eq!(in_failed, relayed("S")),
            b'X' => assert_eq!(in_failed, Fate::Ended),
            _ => assert!(refused(&in_failed), "{tag}: {in_failed:?}"),
        }

        assert_eq!(Test::terminated().fate(&sent), Fate::Dropped, "{tag}");

        // In the place of the password.
        let mut test = Test::new();
        test.session.agent(&startup(&test.run.to_string())).unwrap();
        assert!(matches!(test.session.next(), Some(Step::Identify(_))));
        let verifier = Verifier::new(test.run, &test.secret, [6; 16]);
        test.session.identified(Arc::new(verifier)).unwrap();
        test.steps();
        assert!(
            matches!(test.fate(&sent), Fate::Refused(_)),
            "{tag} before the login"
        );
    }
}

#[test]
fn a_bind_that_belongs_to_nothing_waits_for_what_follows_it() {
    let mut test = Test::ready();
    let asked = test.agent(&parse("s", "SELECT id FROM tickets"));
    test.allow(&asked);
    assert_eq!(test.fate(&bind("s")), Fate::Dropped, "it waits");
    assert_eq!(test.fate(&well_formed(b'H')), Fate::Asked);
}

#[test]
fn what_is_malformed_is_refused_here_and_not_at_the_target() {
    let with = |whole: &[u8], more: &[u8]| {
        message(whole[0], |body| {
            body.put_slice(&whole[5..]);
            body.put_slice(more);
        })
    };
    for tag in b"QPBDEC" {
        let whole = well_formed(*tag);
        for cut in 5..whole.len() {
            let cut = message(*tag, |body| body.put_slice(&whole[5..cut]));
            let fate = Test::ready().fate(&cut);
            assert!(matches!(fate, Fate::Refused(_)), "{cut:?}: {fate:?}");
        }
        let fate = Test::ready().fate(&with(&whole, b"\0"));
        assert!(matches!(fate, Fate::Refused(_)), "{tag} and more: {fate:?}");
    }
    for tag in b"HS" {
        let fate = Test::ready().fate(&message(*tag, |body| body.put_u8(0)));
        assert!(matches!(fate, Fate::Refused(_)), "{tag} and more: {fate:?}");
    }
    // Counts that are not borne out, and formats that do not exist.
    for body in [
        &b"\0s\0\0\0\xff\xff"[..],
        b"\0s\0\0\0\0\x01\xff\xff\xff\xfe\0\0",
        b"\0s\0\0\0\0\x01\0\0\0\x09x\0\0",
        b"\0s\0\0\x01\0\x02\0\0\0\0",
    ] {
        let fate = Test::ready().fate(&message(b'B', |out| out.put_slice(body)));
        assert!(matches!(fate, Fate::Refused(_)), "{body:?}: {fate:?}");
    }
}

#[test]
fn nothing_is_looked_at_after_a_fault() {
    let mut test = Test::ready();
    // What came just before the fault and starts nothing does not go either.
    let mut sent = BytesMut::from(&*message::describe_statement("s"));
    sent.put_slice(&message(b'!', |_| {}));
    assert!(matches!(test.fate(&sent), Fate::Refused(_)));
    assert_eq!(
        test.fate(&message::query("SELECT id FROM tickets")),
        Fate::Dropped
    );
    let did = test.target(&message::ready(b'I'));
    assert_eq!((did.agent.len(), did.relayed.len()), (0, 0));
    assert!(!test.session.wants_agent());
    assert!(test.session.cancel_request().is_some());
}

#[test]
fn an_answer_that_comes_after_a_fault_sends_nothing() {
    let mut test = Test::ready();
    let asked = test.agent(&all(&[
        parse("", "SELECT id FROM tickets"),
        message::sync(),
    ]));
    assert!(test.session.target(&message(b'!', |_| {})).is_err());
    let did = test.allow(&asked);
    assert_eq!((did.agent.len(), did.relayed.len()), (0, 0));
}

fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.put_u32(body.len() as u32 + 8);
    packet.put_u32(code);
    packet.put_slice(body);
    packet
}

fn said(test: &mut Test) -> Vec<u8> {
    test.steps().agent
}

#[test]
fn encryption_is_asked_for_once_and_with_nothing_behind_it() {
    let ssl = packet(SSL_REQUEST, b"");
    let gss = packet(GSS_REQUEST, b"");
    let hello = startup("run_x");
    // As libpq does: GSSAPI is refused, then TLS.
    let mut test = Test::new();
    test.session.agent(&gss).unwrap();
    assert_eq!(said(&mut test), b"N");
    test.session.agent(&ssl).unwrap();
    assert!(matches!(test.session.next(), Some(Step::AgentTls(say)) if say == "S"));
    test.session.agent_secured();
    test.session.agent(&hello).unwrap();
    assert!(matches!(test.session.next(), Some(Step::Identify(_))));
    // Without TLS in the end.
    let mut test = Test::new();
    test.session.agent(&gss).unwrap();
    test.session.agent(&hello).unwrap();
    // Anything buffered behind a request would be taken for what comes within TLS.
    for request in [&ssl, &gss] {
        for behind in [&hello[..], &hello[..1], &ssl, b"\0"] {
            let mut test = Test::new();
            let fate = test.fate(&[request, behind].concat());
            assert!(matches!(fate, Fate::Refused(_)), "{behind:?}: {fate:?}");
            assert_eq!(said(&mut test), b"", "not a word of it");
        }
    }
    for request in [packet(SSL_REQUEST, b"x"), packet(GSS_REQUEST, b"x")] {
        assert!(Test::new().session.agent(&request).is_err());
    }
    // Again, in every order.
    for (first, again) in [(&ssl, &ssl), (&ssl, &gss), (&gss, &gss)] {
        let mut test = Test::new();
        test.session.agent(first).unwrap();
        if let Some(Step::AgentTls(_)) = test.session.next() {
            test.session.agent_secured();
        }
        assert!(test.session.agent(again).is_err());
    }
}

#[test]
fn cancel_keys_have_one_length() {
    let mut test = Test::new();
    test.session
        .agent(&packet(CANCEL_REQUEST, &[7; 8]))
        .unwrap();
    assert!(matches!(test.session.next(), Some(Step::Cancel(key)) if key == CancelKey([7; 8])));
    // Protocol 3.2 has longer ones; the gateway never hands one out.
    for length in [0, 4, 7, 9, 36, 260] {
        let request = packet(CANCEL_REQUEST, &vec![7; length]);
        assert!(Test::new().session.agent(&request).is_err(), "{length}");
    }
}

/// A startup packet of this version with these parameters.
fn startup_of(version: u32, parameters: &[(&str, &str)], behind: &[u8]) -> Vec<u8> {
    let mut body = BytesMut::new();
    for (name, value) in parameters {
        put_c_string(&mut body, name);
        put_c_string(&mut body, value);
    }
    body.put_u8(0);
    body.put_slice(behind);
    packet(version, &body)
}

#[test]
fn protocol_3_0_is_what_is_spoken() {
    let who = ("user", "run_x");
    let negotiated = |version: u32, more: &[(&str, &str)]| {
        let mut test = Test::new();
        let parameters = [&[who], more].concat();
        test.session
            .agent(&startup_of(version, &parameters, b""))
            .unwrap();
        let mut said = None;
        loop {
            match test.session.next() {
                Some(Step::ToAgent(bytes)) => said = Some(bytes),
                Some(Step::Identify(crate::Claim::Name(user))) => {
                    assert_eq!(user, "run_x");
                    return said;
                }
                _ => panic!("not identified"),
            }
        }
    };
    let offer = |unknown: &[&str]| {
        Some(message(b'v', |body| {
            body.put_u32(3 << 16);
            body.put_u32(unknown.len() as u32);
            for name in unknown {
                put_c_string(body, name);
            }
        }))
    };
    assert_eq!(negotiated(3 << 16, &[]), None);
    assert_eq!(negotiated((3 << 16) + 2, &[]), offer(&[]));
    assert_eq!(negotiated((3 << 16) + 9999, &[]), offer(&[]));
    let option = ("_pq_.something", "on");
    assert_eq!(
        negotiated(3 << 16, &[option]),
        offer(&["_pq_.something"]),
        "an option that is not known is said to be so"
    );
    assert_eq!(
        negotiated((3 << 16) + 2, &[option]),
        offer(&["_pq_.something"])
    );
    for version in [2 << 16, 4 << 16, 0, (1234 << 16) + 5677] {
        let mut test = Test::new();
        test.session
            .agent(&startup_of(version, &[who], b""))
            .unwrap();
        let did = test.steps();
        assert!(did.done);
        assert!(String::from_utf8_lossy(&did.agent).contains("0A000"));
    }
    let more = startup_of(3 << 16, &[who], b"Q\0\0\0\x05\0");
    assert!(Test::new().session.agent(&more).is_err());
}

#[test]
fn replication_is_refused_however_it_is_spelt() {
    for (name, value) in [
        ("replication", "true"),
        ("replication", "on"),
        ("replication", "yes"),
        ("replication", "1"),
        ("replication", "database"),
        ("replication", "DATABASE"),
        // Even where it would ask for nothing: nobody needs it.
        ("replication", "false"),
        ("replication", ""),
        ("Replication", "true"),
        ("REPLICATION", "database"),
        ("options", "-c replication=database"),
        ("options", "--replication=database"),
        ("options", "-creplication=on"),
    ] {
        let mut test = Test::new();
        let parameters = [("user", "run_x"), ("database", "tickets"), (name, value)];
        test.session
            .agent(&startup_of(3 << 16, &parameters, b""))
            .unwrap();
        assert!(matches!(test.session.next(), Some(Step::LoginFailed(_))));
        let did = test.steps();
        assert!(did.done);
        let words = String::from_utf8_lossy(&did.agent).to_lowercase();
        assert!(words.contains("replication"), "{words}");
    }
}

#[test]
fn only_the_mechanism_that_was_offered_logs_in() {
    let sasl = |mechanism: &str, first: &str| {
        message(b'p', |body| {
            put_c_string(body, mechanism);
            body.put_u32(first.len() as u32);
            body.put_slice(first.as_bytes());
        })
    };
    let fate = |sent: &[u8]| {
        let mut test = Test::new();
        test.session.agent(&startup("run_x")).unwrap();
        test.session.next();
        let verifier = Verifier::new(test.run, &test.secret, [6; 16]);
        test.session.identified(Arc::new(verifier)).unwrap();
        test.steps();
        test.session.agent(sent).is_ok()
    };
    assert!(fate(&sasl("SCRAM-SHA-256", "n,,n=,r=abc")));
    // It could bind to the channel, and saw that this was not offered.
    assert!(fate(&sasl("SCRAM-SHA-256", "y,,n=,r=abc")));
    for (mechanism, first) in [
        ("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=abc"),
        ("SCRAM-SHA-256", "p=tls-server-end-point,,n=,r=abc"),
        ("SCRAM-SHA-1", "n,,n=,r=abc"),
        ("OAUTHBEARER", "n,,\u{1}auth=Bearer x\u{1}\u{1}"),
        ("", "n,,n=,r=abc"),
        ("SCRAM-SHA-256", "n,,m=x,n=,r=abc"),
        ("SCRAM-SHA-256", "n,,n=,r="),
        ("SCRAM-SHA-256", "n,,n="),
        ("SCRAM-SHA-256", ""),
        // To act for somebody else.
        ("SCRAM-SHA-256", "n,a=run_y,n=,r=abc"),
    ] {
        assert!(!fate(&sasl(mechanism, first)), "{mechanism} {first}");
    }
    // A password in clear, as `password` and `md5` have it.
    assert!(!fate(&message(b'p', |body| body.put_slice(b"secret\0"))));
    assert!(!fate(&message(b'p', |_| {})));
    let without = message(b'p', |body| {
        body.put_slice(b"SCRAM-SHA-256\0\xff\xff\xff\xff")
    });
    assert!(!fate(&without));
}
