use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::{Refused, Why};

#[test]
fn a_request_says_whose_it_is_before_anything_else_of_it_is_looked_at() {
    let mut test = Test::new();
    let did = test.head(&request("GET", "/crm/customers/42", &[]));
    assert_eq!(did.wanted, Some(Wanted::Name("crm".into())));
    assert!(!test.session.wants_agent());
    let mut proxied = request("GET", "/api/v2/customers", &[]);
    proxied.scheme = "https".into();
    proxied.authority = "crm.internal".into();
    let did = Test::new().head(&proxied);
    assert!(matches!(did.wanted, Some(Wanted::Url { .. })));
}

#[test]
fn who_does_not_say_it_is_asked_and_on_record() {
    for (proxied, status, field) in [
        (false, 401, "www-authenticate"),
        (true, 407, "proxy-authenticate"),
    ] {
        for wrong in ["", "Bearer bwk_wrong", "Basic eDp5"] {
            let mut head = request("POST", "/crm/x", &[("content-type", "application/json")]);
            head.fields.remove(0);
            if !wrong.is_empty() {
                head.fields.extend(fields(&[("authorization", wrong)]));
            }
            if proxied {
                head.scheme = "http".into();
                head.authority = "crm.internal".into();
            }
            let did = Test::new().head(&head);
            assert!(did.failed.is_some() && did.done && did.wanted.is_none());
            let (head, text, whole) = did.answer();
            assert_eq!((head.status, whole), (status, true));
            let asked = bhttp::field(&head.fields, field).unwrap();
            assert_eq!(asked, b"Bearer realm=\"bailiwick\"");
            let said = format!("{:?}{}", did.failed, String::from_utf8_lossy(&text));
            assert!(!said.contains("bwk_wrong"), "{said}");
        }
    }
}

/// `curl -u "$TOKEN:x"` is how many an API wants its token.
#[test]
fn a_secret_in_the_place_of_a_user_is_told_to_nobody() {
    let mut head = request("GET", "/crm/x", &[]);
    head.fields.remove(0);
    let basic = STANDARD.encode("bwk_live:x");
    head.fields
        .push(("authorization".into(), format!("Basic {basic}").into()));
    let failed = Test::new().head(&head).failed.unwrap();
    assert!(!format!("{failed:?}").contains("bwk_live"), "{failed:?}");
}

#[test]
fn a_refusal_has_a_status_for_each_reason() {
    for (why, status) in [
        (Why::Agent, 400),
        (Why::Busy, 429),
        (Why::Credential, 401),
        (Why::Defect, 500),
        (Why::Ended, 401),
        (Why::NotLive, 401),
        (Why::OutOfScope, 403),
        (Why::Suspended, 403),
        (Why::TargetLost, 502),
        (Why::TargetUnopened, 502),
        (Why::Unrecorded, 503),
        (Why::Unsupported, 501),
    ] {
        let mut test = Test::new();
        test.head(&request("GET", "/crm/", &[]));
        test.session.refuse(&Refused {
            why,
            message: "it is so".into(),
            hint: "do this".into(),
        });
        let did = test.steps();
        assert_eq!((did.status(), did.done), (status, true), "{why:?}");
        let text = did.text();
        assert!(
            text.contains("it is so") && text.contains("do this"),
            "{text}"
        );
    }
}

#[test]
fn a_survey_needs_no_agent_and_learns_nothing() {
    let mut test = Test {
        session: (PROTOCOL.survey)(SEED),
    };
    assert!(test.connect().ready);
    assert!(!test.session.wants_agent());
    assert!(test.agent(b"anything").agent.is_empty());
}
