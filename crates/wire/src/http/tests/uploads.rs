use super::*;
use crate::limits::CONTENT_HELD_BYTES_MAX;

const BINARY: (&str, &str) = ("content-type", "application/octet-stream");

/// A long upload, whose first part is let through.
fn uploading() -> Test {
    let body = vec![b'x'; CONTENT_HELD_BYTES_MAX + 1];
    let (mut test, did) = asked(&request("PUT", "/crm/file", &[BINARY]), &body);
    let held = did.held();
    assert_eq!(held.call.refusal, None);
    assert!(held.call.payload.text.contains("the first "));
    assert!(held.bytes.len() > CONTENT_HELD_BYTES_MAX);
    let last = parts(&held.bytes).pop();
    assert!(matches!(last, Some(Part::Content(_))), "it does not end");
    assert!(!test.session.wants_agent());
    let did = test.allow(&did);
    assert!(did.relayed.is_empty());
    assert!(test.session.wants_agent());
    test
}

#[test]
fn what_does_not_fit_follows_as_it_comes() {
    let mut test = uploading();
    let did = test.agent(&content(b"more"));
    assert_eq!(did.relayed, content(b"more"));
    let did = test.agent(&end());
    assert_eq!(did.relayed, end());
    assert!(!test.session.wants_agent());
    let did = test.target(&response(201, &[]));
    assert!(!did.done);
    let did = test.target(&end());
    assert!(did.done);
}

#[test]
fn a_masked_value_is_found_in_what_follows_too_however_it_is_cut() {
    for pieces in [
        &[&b"a [masked] b"[..]][..],
        &[b"a [mas", b"ked] b"],
        &[b"[m", b"ask", b"ed]"],
    ] {
        let mut test = uploading();
        let mut results = pieces
            .iter()
            .map(|piece| test.session.agent(&content(piece)));
        assert!(results.any(|result| matches!(result, Err(Fault::Agent(_)))));
        let did = test.steps();
        assert!(!String::from_utf8_lossy(&did.relayed).contains("ked]"));
        // Nothing follows, and the request never ends.
        assert!(test.agent(&end()).relayed.is_empty());
    }
    let long = vec![b'x'; CONTENT_HELD_BYTES_MAX - 2];
    let body = [&long[..], b"[masked] and more"].concat();
    let (_, did) = asked(&request("PUT", "/crm/file", &[BINARY]), &body);
    assert!(did.held().call.refusal.is_some());
}

#[test]
fn a_method_override_is_found_in_what_follows_too() {
    let parts = [("content-type", "multipart/form-data; boundary=x")];
    let body = vec![b'x'; CONTENT_HELD_BYTES_MAX + 1];
    let (mut test, did) = asked(&request("POST", "/crm/file", &parts), &body);
    test.allow(&did);
    test.agent(&content(b"; name=\"_me"));
    assert!(
        test.session
            .agent(&content(b"thod\"\r\n\r\nDELETE"))
            .is_err()
    );
}

#[test]
fn what_has_to_be_read_whole_is_refused_when_it_does_not_fit() {
    for kind in ["application/json", "application/x-www-form-urlencoded"] {
        let body = vec![b' '; CONTENT_HELD_BYTES_MAX + 1];
        let head = request("POST", "/crm/a", &[("content-type", kind)]);
        let (mut test, did) = asked(&head, &body);
        assert!(did.held().call.refusal.is_some(), "{kind}");
        assert_eq!(test.deny(&did).status(), 413);
    }
}

#[test]
fn an_answer_before_the_end_of_the_request_is_passed_on() {
    let mut test = uploading();
    let did = test.target(&response(413, &[("content-type", "text/plain")]));
    assert_eq!(did.status(), 413);
    assert!(!test.session.wants_agent());
    assert!(test.agent(&content(b"more")).relayed.is_empty());
    let mut rest = content(b"too large");
    rest.extend_from_slice(&end());
    let did = test.target(&rest);
    assert!(did.done);
    assert_eq!(did.finished[0].1.error.as_deref(), Some("413"));
}
