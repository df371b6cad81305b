use super::*;

/// The parts of a message behind its head.
fn rest(bytes: &[u8]) -> Vec<Part> {
    let head = response(101, &[]);
    parts(&[&head, bytes].concat()).split_off(1)
}

fn socket(terms: Terms) -> Test {
    let head = request(
        "WEBSOCKET",
        "/crm/feed?notify=1",
        &[("sec-websocket-protocol", "v1")],
    );
    let (mut test, did) = asked(&head, b"");
    assert_eq!(did.held().call.actions[0].resource.name, "WEBSOCKET /feed");
    assert_eq!(parts(&did.held().bytes).len(), 1, "the head, and no end");
    // A message that came early waits.
    assert!(!test.session.wants_agent());
    test.answer(&did, Answer::Allow(terms));
    assert!(!test.session.wants_agent());
    let did = test.target(&response(101, &[("sec-websocket-protocol", "v1")]));
    assert_eq!(did.status(), 101);
    assert!(test.session.wants_agent());
    test
}

#[test]
fn every_message_is_a_call_of_its_own() {
    let mut test = socket(Terms::default());
    let mut both = content(b"\x01{\"visibility\": \"public\"}");
    both.extend_from_slice(&content(b"\x01two"));
    let did = test.agent(&both);
    let held = did.held();
    assert_eq!(held.call.verb, "MESSAGE");
    assert_eq!(held.call.actions[0].resource.name, "WEBSOCKET /feed");
    assert_eq!(
        held.call.actions[0].facts.len(),
        2,
        "the query's and the message's"
    );
    assert_eq!(held.call.payload.text, "{\"visibility\": \"public\"}");
    assert_eq!(held.bytes, content(b"\x01{\"visibility\": \"public\"}"));
    let did = test.allow(&did);
    assert_eq!(did.finished, [(Ticket(2), End::default())]);
    assert_eq!(did.held().call.payload.text, "two");
    let did = test.deny(&did);
    assert!(did.done && !test.session.wants_agent());
    assert!(
        matches!(rest(&did.relayed)[..], [Part::End(_)]),
        "the target is told too"
    );
    let [(Ticket(1), end)] = &did.finished[..] else {
        panic!("{:?}", did.finished);
    };
    assert_eq!(end.error.as_deref(), Some("denied"));
    let Some(Part::End(close)) = rest(&did.agent).pop() else {
        panic!("not closed");
    };
    let close = bhttp::field(&close, "close").unwrap();
    assert!(close.starts_with(b"1008 out of scope"));
    assert!(test.agent(&content(b"\x01three")).asked.is_none());
}

#[test]
fn what_a_message_may_not_be_is_refused_on_record() {
    for message in [
        &b"\x02binary"[..],
        b"\x01\xff",
        b"\x01{\"a\": 1, \"a\": 2}",
        b"\x01[masked]",
        b"\x01{\"a\": \"[mask\\u0065d]\"}",
        b"\x09ping",
    ] {
        let mut test = socket(Terms::default());
        let did = test.agent(&content(message));
        assert!(did.held().call.refusal.is_some(), "{message:?}");
        assert!(did.held().bytes.is_empty());
        assert!(test.deny(&did).done);
    }
    let mut test = socket(Terms { binary: true });
    let did = test.agent(&content(b"\x02binary"));
    assert_eq!(did.held().call.refusal, None);
}

#[test]
fn what_the_target_says_is_masked_message_by_message() {
    let mut test = socket(Terms::default());
    let did = test.target(&content(
        b"\x01{\"customer\": {\"email\": \"x\"}, \"b\": \"c@d\"}",
    ));
    let message = b"\x01{\"customer\": {\"email\": \"[masked]\"}, \"b\": \"c[masked]d\"}";
    assert_eq!(did.agent, content(message));
    let did = test.target(&content(b"\x01plain @"));
    assert_eq!(did.agent, content(b"\x01plain [masked]"));
    let did = test.target(&content(b"\x02binary"));
    assert!(did.done);
    assert_eq!(did.finished[0].1.error.as_deref(), Some("withheld"));
    assert_eq!(did.finished[0].1.masked, 3);
    // What looks like JSON and is none may hold a masked field all the same.
    let mut test = socket(Terms::default());
    let broken = b"\x01{\"customer\": {\"email\": \"x\",}}";
    assert!(test.session.target(&content(broken)).is_err());
    let mut test = socket(Terms::default());
    let within = b"\x0142[\"event\",{\"customer\": {\"email\": \"x\"}}]";
    assert!(test.session.target(&content(within)).is_err());
}

#[test]
fn it_ends_when_either_side_ends_it() {
    let mut test = socket(Terms::default());
    let did = test.agent(&end());
    assert!(!did.relayed.is_empty() && !did.done);
    assert!(!test.session.wants_agent());
    let did = test.target(&end());
    assert!(did.done);
    assert_eq!(did.finished, [(Ticket(1), End::default())]);
    let mut test = socket(Terms::default());
    assert!(test.target(&end()).done);
}

#[test]
fn a_target_may_decline_it() {
    let head = request("WEBSOCKET", "/crm/feed", &[]);
    let (mut test, did) = asked(&head, b"");
    test.allow(&did);
    let mut bytes = response(403, &[("content-type", "text/plain")]);
    bytes.extend_from_slice(&content(b"no"));
    bytes.extend_from_slice(&end());
    let did = test.target(&bytes);
    assert_eq!((did.status(), did.done), (403, true));
    assert!(test.agent(&content(b"\x01hello")).asked.is_none());
}
