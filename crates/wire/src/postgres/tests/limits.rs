//! What one session may hold at once.

use bytes::BufMut;

use super::*;
use crate::limits::{NAMES_MAX, PIPELINE_MAX};

/// Allows whatever is asked for, up to when nothing is. Returns what went to the target, as tags.
fn allow_all(test: &mut Test, mut did: Did) -> String {
    let mut sent = String::new();
    loop {
        sent.push_str(&tags(&did.relayed));
        let Some((_, held)) = did.asked.first() else {
            return sent;
        };
        if held.call.refusal.is_some() {
            return sent;
        }
        sent.push_str(&tags(&held.bytes));
        did = test.allow(&did);
    }
}

fn bind_to(portal: &str, value: &[u8]) -> Bytes {
    message(b'B', |body| {
        put_c_string(body, portal);
        put_c_string(body, "s");
        body.put_u16(0);
        body.put_u16(1);
        body.put_u32(value.len() as u32);
        body.put_slice(value);
        body.put_u16(0);
    })
}

/// A session in a transaction, with a statement `s` of one parameter.
fn prepared() -> Test {
    let mut test = Test::ready();
    let asked = test.agent(&message::query("BEGIN"));
    test.allow(&asked);
    test.target(&all(&[complete("BEGIN"), message::ready(b'T')]));
    let asked = test.agent(&all(&[
        parse("s", "SELECT id FROM tickets WHERE id = $1"),
        message::sync(),
    ]));
    test.allow(&asked);
    test.target(&all(&[
        message(b'1', |_| {}),
        message(b't', |body| body.put_u16(0)),
        row_description(&[(1000, 1, 23)]),
        message::ready(b'T'),
    ]));
    test
}

#[test]
fn a_pipeline_that_is_full_is_flushed_and_goes_on() {
    let mut test = prepared();
    let one = all(&[bind_to("", b"1"), message::execute("")]);
    let did = test.agent(&one.repeat(PIPELINE_MAX));
    let sent = allow_all(&mut test, did);
    assert!(!test.session.wants_agent(), "no more for now");
    let flushes = sent.matches('H').count();
    assert_eq!((flushes, sent.ends_with('H')), (1, true));
    let calls = sent.matches('E').count();
    assert!(calls >= PIPELINE_MAX / 2, "{calls}");
    // The answers make room, and it goes on where it stopped.
    let answer = all(&[message(b'2', |_| {}), row(&["7"]), complete("SELECT 1")]);
    let did = test.target(&answer.repeat(calls));
    let more = allow_all(&mut test, did).matches('E').count();
    assert_eq!(calls + more, PIPELINE_MAX);
}

#[test]
fn a_pipeline_is_full_of_large_values_too() {
    let mut test = prepared();
    let large = vec![b'1'; 12 * 1024 * 1024];
    let mut calls = 0;
    while test.session.wants_agent() {
        let did = test.agent(&all(&[bind_to("", &large), message::execute("")]));
        calls += allow_all(&mut test, did).matches('E').count();
        assert!(calls < 10, "there is no limit");
    }
    assert_eq!(calls, 3);
}

#[test]
fn a_session_names_only_so_much() {
    // By their number.
    let mut test = prepared();
    let refused = (0..=NAMES_MAX).find_map(|number| {
        let portal = format!("p{number}");
        let did = test.agent(&all(&[bind_to(&portal, b"1"), message(b'H', |_| {})]));
        let why = did.asked.first()?.1.call.refusal.clone();
        if why.is_none() {
            test.allow(&did);
            test.target(&message(b'2', |_| {}));
        }
        why
    });
    let words = refused.expect("an end");
    assert!(
        words.contains("more prepared statements, portals"),
        "{words}"
    );
    // By their size.
    let mut test = prepared();
    let large = vec![b'1'; 12 * 1024 * 1024];
    let held = (0..10).find(|number| {
        let portal = format!("p{number}");
        let did = test.agent(&all(&[bind_to(&portal, &large), message(b'H', |_| {})]));
        let refused = did.asked[0].1.call.refusal.is_some();
        if !refused {
            test.allow(&did);
            test.target(&message(b'2', |_| {}));
        }
        refused
    });
    assert_eq!(held, Some(6));
}

#[test]
fn data_for_a_copy_that_has_not_begun_is_left_in_the_socket() {
    let mut test = Test::ready();
    let did = test.agent(&all(&[
        parse("", "COPY tickets (id, subject) FROM STDIN"),
        bind(""),
        message::execute(""),
    ]));
    allow_all(&mut test, did);
    assert!(test.session.wants_agent());
    // The target waits for a lock, say.
    let data = message(b'd', |body| body.put_slice(b"1\tone\n"));
    let did = test.agent(&data);
    assert!(did.relayed.is_empty());
    assert!(!test.session.wants_agent(), "it would be kept here");
    test.target(&all(&[
        message(b'1', |_| {}),
        message(b't', |body| body.put_u16(0)),
        message(b'n', |_| {}),
        message(b'2', |_| {}),
    ]));
    assert!(!test.session.wants_agent());
    let did = test.target(&message(b'G', |body| body.put_slice(&[0, 0, 0])));
    assert_eq!(did.relayed, data);
    assert!(test.session.wants_agent());
    // And where it fails, the data is dropped.
    let mut test = Test::ready();
    let did = test.agent(&all(&[
        parse("", "COPY tickets (id, subject) FROM STDIN"),
        bind(""),
        message::execute(""),
        data.clone(),
    ]));
    allow_all(&mut test, did);
    let did = test.target(&target_error("55P03"));
    assert!(did.relayed.is_empty());
    assert!(test.session.wants_agent());
    let did = test.agent(&all(&[data, message::sync()]));
    assert_eq!(tags(&did.relayed), "S");
}
