//! Targets that say again what they were sent.

use http::{Response, header};

use super::house::{House, There, said};
use crate::upstream::{Credential, Upstream};

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_credential_does_not_come_back_by_a_target_that_repeats_it() {
    let there = There::new(|parts| {
        let sent = parts.headers.get(header::AUTHORIZATION).unwrap();
        let text = sent.to_str().unwrap();
        // In a long line it may be cut in two.
        let filler = "x ".repeat(parts.uri.path().len() * 400);
        let mut response = Response::new(said(&format!("{filler}{text}{filler}{text}{filler}")));
        response.headers_mut().insert("x-seen", sent.clone());
        if parts.uri.path().ends_with("/json") {
            let json = serde_json::json!({ text: [text, { "a": text }] });
            *response.body_mut() = said(&json.to_string());
            let kind = header::HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        response
    })
    .await;
    for (credential, secret) in [
        (
            Credential::Bearer("plain-words-of-its-own".into()),
            "plain-words-of-its-own",
        ),
        (
            Credential::Basic {
                user: "svc".into(),
                password: "pass word".into(),
            },
            "c3ZjOnBhc3Mgd29yZA",
        ),
    ] {
        let upstream = Upstream {
            credential,
            ..Upstream::default()
        };
        let house = House::with("http", there.port, upstream).await;
        for path in [
            "/open/a",
            "/open/json",
            &format!("/open/{}", "b".repeat(60)),
        ] {
            let answer = house.ask(&format!("GET /crm{path}")).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(!answer.contains(secret), "{path}: {answer}");
            assert!(answer.matches("[masked").count() >= 3, "{path}: {answer}");
        }
        let got = there.got.lock().unwrap();
        let sent = got.last().unwrap().0.headers[header::AUTHORIZATION].to_str();
        assert!(sent.unwrap().contains(secret));
    }
}
