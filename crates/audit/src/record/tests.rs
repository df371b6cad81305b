use bailiwick_action::{
    Action, Call, Decision, Denial, Fingerprint, FingerprintKey, Payload, Resource, Verb,
};
use bailiwick_run::{Confinement, Ending, Run, RunId};
use serde_json::Value;

use super::*;

fn fingerprint() -> Fingerprint {
    let call = Call {
        protocol: "postgres",
        verb: "SELECT".into(),
        actions: Vec::new(),
        refusal: None,
        payload: Payload::default(),
    };
    Fingerprint::of(&FingerprintKey::new([0; 32]), &call)
}

fn run() -> Run {
    Run {
        id: RunId::new(Time::from_millis(0), [0; 10]),
        launcher: "human:alice@acme.com".parse().unwrap(),
        task: "triage-tickets".into(),
        time_box: bailiwick_run::TimeBox {
            opened: Time::from_millis(0),
            expires: Time::from_millis(1),
        },
        confinement: Confinement::Landlock,
        reason: None,
    }
}

fn place(chain: ChainId) -> Place {
    Place {
        chain,
        seq: 7,
        prev: Digest::of(b"before"),
        time: Time::from_millis(1_700_000_000_123),
    }
}

fn decided(actions: Vec<Action>, reason: &str) -> Event {
    Event::CallDecided {
        target: "tickets".into(),
        protocol: "postgres",
        verb: "SELECT".into(),
        actions,
        fingerprint: fingerprint(),
        decision: Decision::Deny(Denial {
            policies: vec!["guardrail".into()],
            reason: reason.into(),
            remedy: "ask".into(),
        }),
        policy_digest: "sha256:00".into(),
    }
}

/// RFC 8785, written down once more for what our records hold.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<_> = fields.keys().collect();
            keys.sort();
            let fields = keys
                .into_iter()
                .map(|key| format!("{}:{}", Value::from(key.as_str()), canonical(&fields[key])));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(entries) => {
            let entries: Vec<_> = entries.iter().map(canonical).collect();
            format!("[{}]", entries.join(","))
        }
        other => other.to_string(),
    }
}

fn events() -> Vec<Event> {
    let tables = Action::new(Verb::Select, Resource::table("public", "tickets")).with_columns([
        "subject",
        "id",
        "naïve \"x\"\u{1}",
    ]);
    let outcome = Outcome {
        state: State::Indeterminate,
        rows: u64::MAX,
        bytes: 1,
        digest: None,
        masked: 2,
        error: Some("42501".into()),
        micros: 3,
    };
    vec![
        decided(vec![tables, Action::session()], "outside"),
        Event::CallFinished {
            of: 3,
            target: "tickets".into(),
            protocol: "postgres".into(),
            verb: "SELECT".into(),
            outcome,
        },
        Event::GatewayStarted {
            version: "1".into(),
        },
        Event::GatewayStopped,
        Event::WitnessDisagreed {
            witness: "w1".into(),
            problem: Disagreement::Larger,
            size: u64::MAX,
            ours: 7,
        },
        Event::LoginDenied {
            target: Some("tickets".into()),
            reason: "wrong secret".into(),
        },
        Event::PolicyLoaded {
            by: "SIGHUP".into(),
            before: "sha256:11".into(),
            after: "sha256:22".into(),
        },
        Event::RunClosed {
            ending: Ending::GatewayStopped,
            by: None,
        },
        Event::RunClosed {
            ending: Ending::Revoked,
            by: Some("human:eve@acme.com".into()),
        },
        Event::RunOpened {
            confinement: Confinement::GatewayOnly,
            expires: Time::from_millis(5),
            scope_digest: "sha256:11".into(),
        },
    ]
}

#[test]
fn every_record_is_canonical() {
    let payload = PayloadReference {
        digest: Digest::of(b"x"),
        id: "00".into(),
        size: 9,
    };
    for event in events() {
        for subject in [Subject::Gateway, Subject::Run(run())] {
            let chain = match &subject {
                Subject::Gateway => ChainId::Gateway,
                Subject::Run(run) => ChainId::Run(run.id),
            };
            let bytes = encode(&event, &subject, Some(&payload), &place(chain)).unwrap();
            let text = String::from_utf8(bytes).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(canonical(&value), text);
            assert_eq!(value["seq"], 7);
            assert_eq!(value["run"], chain.to_string());
        }
    }
}

#[test]
fn a_login_to_a_run_that_is_not_open_names_the_run() {
    let event = Event::LoginDenied {
        target: None,
        reason: "ended".into(),
    };
    let bytes = encode(&event, &Subject::Run(run()), None, &place(ChainId::Gateway)).unwrap();
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(value["login"]["run"], run().id.to_string());
    assert!(value.get("launcher").is_none());
}

#[test]
fn no_record_is_longer_than_the_limit() {
    let nasty = "\u{1}".repeat(2000);
    let actions: Vec<_> = (0..100)
        .map(|n| {
            Action::new(
                Verb::Select,
                Resource::table(nasty.as_str(), nasty.as_str()),
            )
            .with_columns((0..100).map(|column| format!("{column}{nasty}{n}")))
        })
        .collect();
    let mut event = decided(actions, &nasty);
    if let Event::CallDecided {
        target,
        verb,
        decision,
        policy_digest,
        ..
    } = &mut event
    {
        (*target, *verb, *policy_digest) = (nasty.clone(), nasty.clone(), nasty.clone());
        *decision = Decision::Deny(Denial {
            policies: vec![nasty.clone(); 100],
            reason: nasty.clone(),
            remedy: nasty.clone(),
        });
    }
    let mut run = run();
    run.task = nasty.clone();
    run.launcher = format!("human:{}", "\"".repeat(250)).parse().unwrap();
    let place = place(ChainId::Run(run.id));
    let bytes = encode(&event, &Subject::Run(run), None, &place).unwrap();
    assert!(bytes.len() <= limits::RECORD, "{}", bytes.len());
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(value["call"]["more_actions"], 98);
    assert_eq!(value["call"]["actions"][0]["more_columns"], 98);
}

#[test]
fn an_ordinary_record_keeps_everything() {
    let columns: Vec<_> = (0..60).map(|n| format!("column_{n:02}")).collect();
    let action = Action::new(Verb::Select, Resource::table("public", "t")).with_columns(columns);
    let bytes = encode(
        &decided(vec![action], "r"),
        &Subject::Gateway,
        None,
        &place(ChainId::Gateway),
    )
    .unwrap();
    let value: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        value["call"]["actions"][0]["columns"]
            .as_array()
            .unwrap()
            .len(),
        60
    );
    assert!(value["call"]["actions"][0].get("more_columns").is_none());
    assert!(value["call"].get("more_actions").is_none());
}
