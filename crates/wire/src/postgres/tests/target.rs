//! A target that breaks the protocol while the gateway logs in, or while it is asked what it has.

use bytes::{BufMut, Bytes};

use super::*;

/// A session whose target is being logged in to.
fn logging_in(tls: TlsMode) -> Test {
    let mut test = Test {
        session: (PROTOCOL.survey)(SEED),
        ..Test::new()
    };
    let endpoint = endpoint(tls);
    test.session
        .connected(&endpoint, "label", Arc::new(TestVeil), None)
        .unwrap();
    test
}

fn authentication(kind: u32, rest: &[u8]) -> Bytes {
    message::authentication(kind, rest)
}

#[test]
fn nothing_may_come_between_a_targets_yes_and_tls() {
    for behind in [&b"x"[..], b"\x16\x03", &message::ready(b'I')] {
        let mut test = logging_in(TlsMode::Require);
        assert_eq!(
            test.steps().relayed,
            crate::postgres::target_login::TLS_REQUEST
        );
        let answer = [b"S", behind].concat();
        let fault = test.session.target(&answer).unwrap_err();
        assert!(matches!(fault, Fault::Target(_)), "{fault}");
        assert_eq!(test.steps().relayed, b"");
    }
    // An error in the place of the answer could be anybody's (CVE-2024-10977); none of it is shown.
    let mut test = logging_in(TlsMode::Require);
    let fault = test.session.target(&target_error("28000")).unwrap_err();
    assert!(!fault.to_string().contains("28000"), "{fault}");
    let mut test = logging_in(TlsMode::Require);
    assert!(matches!(
        test.session.target(b"N"),
        Err(Fault::TargetLogin(_))
    ));
}

#[test]
fn a_login_is_one_question_and_one_answer() {
    let scram = || authentication(10, b"SCRAM-SHA-256\0\0");
    let cleartext = || authentication(3, b"");
    let challenge = |rounds: &str| {
        let text = format!("r={}abc,s=c2FsdA==,{rounds}", "x");
        authentication(11, text.as_bytes())
    };
    for (what, said) in [
        ("asked twice", vec![cleartext(), cleartext()]),
        ("asked again", vec![scram(), scram()]),
        ("asked otherwise", vec![scram(), cleartext()]),
        (
            "let in without a proof",
            vec![scram(), authentication(0, b"")],
        ),
        ("a challenge of nobody", vec![challenge("i=4096")]),
        ("too much work", vec![scram(), challenge("i=4294967295")]),
        ("more than a second", vec![scram(), challenge("i=1000001")]),
        ("no work", vec![scram(), challenge("")]),
        ("two counts", vec![scram(), challenge("i=1,i=4294967295")]),
        (
            "a proof of nothing",
            vec![scram(), authentication(12, b"v=")],
        ),
        ("ready too early", vec![message::ready(b'I')]),
        ("a setting too early", vec![setting("a", "b")]),
        (
            "asked when it had let us in",
            vec![authentication(0, b""), cleartext()],
        ),
        (
            "a key of protocol 3.2, which nobody asked for",
            vec![
                authentication(0, b""),
                message(b'K', |body| body.put_bytes(1, 36)),
            ],
        ),
        (
            "no status",
            vec![authentication(0, b""), message(b'Z', |_| {})],
        ),
        (
            "a status that does not exist",
            vec![authentication(0, b""), message::ready(b'?')],
        ),
        ("a row", vec![authentication(0, b""), row(&["1"])]),
        (
            "a message that is too long",
            vec![Bytes::from_static(b"S\x00\x10\x00\x00")],
        ),
    ] {
        let mut test = logging_in(TlsMode::Disable);
        let fault = said
            .iter()
            .find_map(|bytes| test.session.target(bytes).err());
        assert!(fault.is_some(), "{what}");
    }
}

#[test]
fn a_target_that_goes_on_and_on_is_not_listened_to() {
    let mut test = logging_in(TlsMode::Disable);
    test.target(&authentication(0, b""));
    let one = setting("search_path", "public");
    let many = (0..10_000).find_map(|_| test.session.target(&one).err());
    assert!(matches!(many, Some(Fault::Target(_))), "{many:?}");

    let mut test = logging_in(TlsMode::Disable);
    test.target(&all(&[authentication(0, b""), message::ready(b'I')]));
    let long = row(&["x".repeat(1024 * 1024).as_str()]);
    let many = (0..1_000).find_map(|_| test.session.target(&long).err());
    let words = many.expect("an end").to_string();
    assert!(words.contains("catalogue of more than"), "{words}");
}
