use super::*;
use crate::{Refused, Why};

const JSON: (&str, &str) = ("content-type", "application/json");

/// Everything that the agent gets for an answer to a GET.
fn answered(status: u16, fields: &[(&str, &str)], body: &[u8], terms: Terms) -> Did {
    let (mut test, did) = asked(&request("GET", "/crm/customers/1", &[]), b"");
    test.answer(&did, Answer::Allow(terms));
    let mut bytes = response(status, fields);
    bytes.extend_from_slice(&content(body));
    bytes.extend_from_slice(&end());
    test.target(&bytes)
}

#[test]
fn an_answer_is_masked_and_its_call_ends() {
    let body = br#"{"name": "Ada", "mail": "a@b", "customer": {"email": "hidden"}}"#;
    let fields = [
        JSON,
        ("content-length", "63"),
        ("set-cookie", "a=b"),
        ("x-owner", "c@d"),
        ("etag", "\"1\""),
    ];
    let did = answered(200, &fields, body, Terms::default());
    let (head, text, whole) = did.answer();
    assert!(whole && did.done);
    let (tags, fields): (Vec<_>, Vec<_>) =
        { head.fields.into_iter() }.partition(|(name, _)| name == "etag");
    let expected = super::fields(&[JSON, ("x-owner", "c[masked]d")]);
    assert_eq!((head.status, fields), (200, expected));
    // The target's own tag is of what was not masked yet.
    assert!(matches!(&tags[..], [(_, tag)] if &tag[..] != b"\"1\""));
    let text = String::from_utf8(text).unwrap();
    assert_eq!(
        text,
        r#"{"name": "Ada", "mail": "a[masked]b", "customer": {"email": "[masked]"}}"#
    );
    let [(Ticket(1), end)] = &did.finished[..] else {
        panic!("{:?}", did.finished);
    };
    let expected = End {
        bytes: text.len() as u64,
        masked: 3,
        ..End::default()
    };
    assert_eq!(*end, expected);
}

#[test]
fn the_words_of_an_error_are_masked_too() {
    let did = answered(
        404,
        &[("content-type", "text/plain")],
        b"no a@b",
        Terms::default(),
    );
    assert_eq!((did.status(), &*did.text()), (404, "no a[masked]b"));
    assert_eq!(did.finished[0].1.error.as_deref(), Some("404"));
}

#[test]
fn what_cannot_be_looked_into_is_withheld_unless_it_is_granted() {
    let types: [&[(&str, &str)]; 6] = [
        &[],
        &[("content-type", "application/octet-stream")],
        &[("content-type", "image/png")],
        &[("content-type", "text/plain; charset=utf-16")],
        &[("content-type", "nonsense")],
        &[JSON, ("content-type", "image/png")],
    ];
    for fields in types {
        let did = answered(200, fields, b"a@b", Terms::default());
        let (head, text, whole) = did.answer();
        assert_eq!((head.status, whole, did.done), (502, true, true));
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.contains("binary = true") && !text.contains("a@b"),
            "{text}"
        );
        assert_eq!(did.finished[0].1.error.as_deref(), Some("withheld"));
        assert_eq!(did.finished[0].1.bytes, 0);

        let did = answered(200, fields, b"a@b", Terms { binary: true });
        assert_eq!((did.status(), &*did.text()), (200, "a@b"));
        // Without content there is nothing to withhold.
        let did = answered(201, fields, b"", Terms::default());
        assert_eq!((did.status(), did.done), (201, true));
    }
}

/// The veil of these tests masks a field.
#[test]
fn the_same_in_another_form_is_no_way_around_masked_fields() {
    for (kind, body) in [
        ("text/html", "<td>ada</td>"),
        ("text/csv", "email\nada"),
        ("application/xml", "<email>ada</email>"),
        (
            "application/javascript",
            "f({\"customer\": {\"email\": \"ada\"}})",
        ),
        ("text/x-table", "[1] ada"),
    ] {
        let fields = [("content-type", kind)];
        let did = answered(200, &fields, body.as_bytes(), Terms::default());
        assert_eq!((did.status(), did.done), (502, true), "{kind}");
        assert!(!did.text().contains("ada"), "{kind}");
        assert_eq!(did.finished[0].1.error.as_deref(), Some("withheld"));
        let did = answered(200, &fields, body.as_bytes(), Terms { binary: true });
        assert_eq!((did.status(), &*did.text()), (200, body));
        let did = answered(302, &fields, body.as_bytes(), Terms::default());
        assert_eq!((did.status(), &*did.text()), (302, body));
    }
    let fields = [("content-type", "text/html; charset=utf-8")];
    let json = b" {\"customer\": {\"email\": \"ada\"}}";
    let did = answered(200, &fields, json, Terms::default());
    let masked = " {\"customer\": {\"email\": \"[masked]\"}}";
    assert_eq!((did.status(), &*did.text()), (200, masked));
    assert_eq!(did.finished[0].1.masked, 1);
    for nothing in ["", " \n"] {
        let did = answered(200, &fields, nothing.as_bytes(), Terms::default());
        assert_eq!((did.status(), &*did.text()), (200, nothing));
    }
    let fields = [("content-type", "text/plain")];
    let did = answered(200, &fields, b"OK", Terms::default());
    assert_eq!((did.status(), &*did.text()), (200, "OK"));
}

#[test]
fn an_answer_without_content_has_none() {
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        let (mut test, _) = sent(&request(method, "/crm/x", &[]), b"");
        let did = test.target(&response(status, &[("content-type", "image/png")]));
        assert_eq!(did.status(), status);
        assert!(test.session.target(&content(b"x")).is_err());
        let (mut test, _) = sent(&request(method, "/crm/x", &[]), b"");
        let mut bytes = response(status, &[]);
        bytes.extend_from_slice(&end());
        assert!(test.target(&bytes).done);
    }
}

#[test]
fn a_redirect_within_the_target_leads_through_the_gateway() {
    let location = [("location", "https://crm.internal/api/v2/customers/2?a=b")];
    let (head, ..) = answered(302, &location, b"", Terms::default()).answer();
    let placed = bhttp::field(&head.fields, "location");
    assert_eq!(placed, Some(&b"/crm/customers/2?a=b"[..]));
    let location = [("location", "http://169.254.169.254/latest")];
    let (head, ..) = answered(302, &location, b"", Terms::default()).answer();
    let placed = bhttp::field(&head.fields, "location");
    assert_eq!(placed, Some(&b"http://169.254.169.254/latest"[..]));
}

#[test]
fn a_target_that_breaks_the_protocol_is_cut() {
    let broken: [(&str, Vec<BytesMut>); 7] = [
        ("content first", vec![content(b"x")]),
        ("an end first", vec![end()]),
        ("an interim head", vec![response(103, &[])]),
        (
            "a WebSocket that was not asked for",
            vec![response(101, &[])],
        ),
        ("a status beyond", vec![response(600, &[])]),
        ("a request", {
            let mut bytes = BytesMut::new();
            put_request(&mut bytes, &request("GET", "/", &[]));
            vec![bytes]
        }),
        ("nonsense", vec![BytesMut::from(&b"\x07nonsense"[..])]),
    ];
    for (what, pieces) in broken {
        let (mut test, _) = sent(&request("GET", "/crm/x", &[]), b"");
        let mut results = pieces.iter().map(|piece| test.session.target(piece));
        let fault = results.find_map(std::result::Result::err);
        assert!(matches!(fault, Some(Fault::Target(_))), "{what}: {fault:?}");
        assert!(test.steps().finished.is_empty());
        test.session.refuse(&Refused {
            why: Why::TargetLost,
            message: "it broke the protocol".into(),
            hint: String::new(),
        });
        let did = test.steps();
        assert_eq!((did.status(), did.done), (502, true), "{what}");
    }
}

#[test]
fn an_answer_before_the_request_was_sent_is_none() {
    let mut test = Test::new();
    test.head(&request("POST", "/crm/x", &[JSON]));
    test.connect();
    assert!(test.session.target(&response(200, &[])).is_err());
    let (mut test, _) = asked(&request("GET", "/crm/x", &[]), b"");
    assert!(test.session.target(&response(200, &[])).is_err());
    // Nor does the call go through after that.
    test.session
        .answer(Ticket(1), Answer::Allow(Terms::default()))
        .unwrap();
    assert!(test.session.target(&response(200, &[])).is_ok());
    assert!(test.steps().agent.is_empty());
}

#[test]
fn content_that_is_not_what_it_says_is_cut() {
    let (mut test, _) = sent(&request("GET", "/crm/x", &[]), b"");
    test.target(&response(200, &[JSON]));
    let mut bytes = content(b"{\"a\": nonsense a@b");
    bytes.extend_from_slice(&end());
    let result = test.session.target(&bytes);
    assert!(matches!(result, Err(Fault::Target(_))));
    let did = test.steps();
    assert!(!String::from_utf8_lossy(&did.agent).contains('@'));
    assert!(!did.done && did.finished.is_empty());
    // The head is with the agent: nothing more can be said, and the answer stays without an end.
    test.session.refuse(&Refused {
        why: Why::TargetLost,
        message: "it broke off".into(),
        hint: String::new(),
    });
    let did = test.steps();
    assert!(did.done && did.agent.is_empty());
}

#[test]
fn a_read_that_ran_ahead_of_its_record_and_has_none_is_refused_in_the_place_of_its_answer() {
    for (why, status) in [(Why::Unrecorded, Some(503)), (Why::Ended, None)] {
        for ended in [false, true] {
            let (mut test, _) = sent(&request("GET", "/crm/x", &[]), b"");
            let mut bytes = response(200, &[JSON]);
            if ended {
                bytes.extend_from_slice(&end());
            }
            // The gateway held this back.
            assert_eq!(test.target(&bytes).done, ended);
            test.session.refuse(&Refused {
                why,
                message: "it is so".into(),
                hint: String::new(),
            });
            let did = test.steps();
            assert!(did.done);
            match status {
                Some(status) => assert_eq!(did.status(), status),
                None => assert!(did.agent.is_empty()),
            }
        }
    }
}
