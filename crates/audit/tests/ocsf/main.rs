//! Events against the OCSF schema: every kind of record, whole and with parts missing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

#[path = "../kit/mod.rs"]
mod kit;
mod schema;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bailiwick_action::{Action, Class, Decision, Denial, Resource, Verb};
use bailiwick_audit::ocsf::Event as Ocsf;
use bailiwick_audit::{Digest, Draft, Entry, Event, Outcome, Record, Ruling, State, Subject};
use bailiwick_run::{Ending, Run};
use kit::*;
use schema::Schema;
use serde_json::{Value, json};

static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::new);

/// The event of an entry, which has to be valid.
#[track_caller]
fn event(entry: &Entry) -> Value {
    let event = Ocsf::of(entry, ORIGIN).unwrap();
    let text = serde_json::to_string(&event).unwrap();
    assert!(!text.contains('\n'));
    let event: Value = serde_json::from_str(&text).unwrap();
    let problems = SCHEMA.problems(&event);
    assert!(problems.is_empty(), "{problems:#?}\n{event:#}");
    event
}

/// An entry from what its record says.
fn entry(record: &Value) -> Entry {
    let bytes = serde_json::to_vec(record).unwrap();
    Entry {
        index: 4711,
        record: serde_json::from_slice(&bytes).unwrap(),
        bytes,
    }
}

/// What a real log says of these drafts, the last of them.
fn logged(drafts: Vec<Draft>) -> Entry {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    for draft in drafts {
        append(&log, draft);
    }
    log.reader().newest(1).unwrap().remove(0)
}

fn in_run(event: Event) -> Entry {
    let run = run(1);
    let mut drafts = vec![opened(&run)];
    if matches!(event, Event::CallFinished { .. }) {
        drafts.push(decided(&run, true));
    }
    drafts.push(draft(&run, event));
    logged(drafts)
}

fn decision(actions: Vec<Action>, decision: Decision) -> Event {
    Event::CallDecided {
        target: "tickets".to_owned(),
        protocol: "postgres",
        verb: "NOT UNDERSTOOD".to_owned(),
        actions,
        fingerprint: fingerprint("x"),
        decision,
        policy_digest: "sha256:0d1ce".to_owned(),
    }
}

fn denied(actions: Vec<Action>) -> Event {
    decision(
        actions,
        Decision::Deny(Denial {
            policies: vec!["no-billing".to_owned(), "no-drops".to_owned()],
            reason: "it is outside the scope".to_owned(),
            remedy: "ask for it".to_owned(),
        }),
    )
}

fn outcome(state: State, error: Option<&str>) -> Event {
    outcome_of("postgres", "SELECT", state, error)
}

fn outcome_of(protocol: &'static str, verb: &str, state: State, error: Option<&str>) -> Event {
    Event::CallFinished {
        of: 2,
        target: "tickets".to_owned(),
        protocol: protocol.into(),
        verb: verb.to_owned(),
        outcome: Outcome {
            state,
            rows: 3,
            bytes: 120,
            digest: None,
            masked: 1,
            error: error.map(str::to_owned),
            micros: 850,
        },
    }
}

fn stopped() -> Draft {
    Draft {
        event: Event::GatewayStopped,
        ..started()
    }
}

fn login(target: Option<&str>) -> Event {
    Event::LoginDenied {
        target: target.map(str::to_owned),
        reason: "the run has ended".to_owned(),
    }
}

/// A login to a run that is not open, or to none.
fn stray_login(run: Option<Run>) -> Draft {
    Draft {
        event: login(None),
        subject: run.map_or(Subject::Gateway, Subject::Run),
        payload: None,
    }
}

/// A record of every kind.
fn every_kind() -> Vec<Entry> {
    let run = run(1);
    let table = || Action::new(Verb::Select, Resource::table("public", "tickets"));
    let states = [
        State::Cut,
        State::Error,
        State::Indeterminate,
        State::Ok,
        State::Skipped,
    ];
    let mut entries = vec![
        logged(vec![started()]),
        logged(vec![stopped()]),
        logged(vec![with_payload(opened(&run), r#"{"reason":"x"}"#)]),
        logged(vec![opened(&run), with_payload(decided(&run, true), "{}")]),
        logged(vec![opened(&run), decided(&run, false)]),
        in_run(denied(vec![table()])),
        in_run(denied(Vec::new())),
        in_run(login(Some("tickets"))),
        in_run(login(None)),
        logged(vec![stray_login(Some(run.clone()))]),
        logged(vec![stray_login(None)]),
        logged(vec![opened(&run), closed(&run)]),
    ];
    let held = Event::CallHeld {
        target: "tickets".to_owned(),
        protocol: "postgres",
        verb: "DELETE".to_owned(),
        actions: vec![Action::new(
            Verb::Delete,
            Resource::table("public", "drafts"),
        )],
        fingerprint: fingerprint("x"),
        approval: "apr_01KB0000000000000000000000".parse().unwrap(),
        approvers: ["group:data-owners".to_owned()].into(),
        expires: run.time_box.expires,
        policy_digest: "sha256:0d1ce".to_owned(),
    };
    entries.push(in_run(held));
    for (ruling, by) in [
        (Ruling::Agree, Some("human:eve@acme.com")),
        (Ruling::Approve, Some("human:eve@acme.com")),
        (Ruling::Deny, Some("human:eve@acme.com")),
        (Ruling::Lapse, None),
    ] {
        entries.push(in_run(Event::ApprovalDecided {
            approval: "apr_01KB0000000000000000000000".parse().unwrap(),
            of: 2,
            ruling,
            by: by.map(|by| by.parse().unwrap()),
            expires: None,
        }));
    }
    for event in [
        Event::RunSuspended {
            by: "signal:first-denied".to_owned(),
        },
        Event::RunResumed {
            by: "human:eve@acme.com".parse().unwrap(),
        },
        Event::SignalRaised {
            signal: "first-denied".to_owned(),
            rule: "denials",
            of: format!("{}/2", run.id),
            actions: vec!["suspend"],
        },
    ] {
        entries.push(in_run(event));
    }
    entries.extend(states.map(|state| in_run(outcome(state, Some("40001")))));
    for (protocol, verb) in [("http", "GET"), ("mcp", "tools/call"), ("gopher", "1")] {
        entries.push(in_run(outcome_of(protocol, verb, State::Ok, None)));
    }
    let of_gateway = |kind: &str, mut fields: Value| {
        let common = json!({
            "prev": "0".repeat(64), "run": "gateway", "seq": 1,
            "time": "2026-03-01T09:30:00.125Z", "type": kind, "v": 1,
        });
        let fields = fields.as_object_mut().unwrap();
        fields.extend(common.as_object().unwrap().clone());
        entry(&json!(fields))
    };
    let other = json!({"origin": "other.example/log", "root": "AA==", "size": 9, "vkey": "o+1+A"});
    entries.extend([
        of_gateway(
            "payloads.erased",
            json!({"erased": {"by": "human:root@localhost", "run": run.id}}),
        ),
        of_gateway(
            "log.pruned",
            json!({"pruned": {"before": 256, "by": "human:root@localhost"}}),
        ),
        of_gateway("log.continues", json!({"continues": other})),
        of_gateway("log.continued", json!({"continued_by": other})),
        of_gateway(
            "witness.disagreed",
            json!({"witness": {"name": "w1", "ours": 7, "problem": "larger", "size": 9}}),
        ),
        of_gateway(
            "payloads.viewed",
            json!({"viewed": {"by": "human:eve@acme.com", "chain": run.id, "from": 2, "to": 9}}),
        ),
        of_gateway("payloads.searched", json!({"by": "human:eve@acme.com"})),
        of_gateway(
            "receipt.taken",
            json!({"viewed": {"by": "human:eve@acme.com", "chain": run.id, "from": 2, "to": 2}}),
        ),
        of_gateway(
            "run.verified",
            json!({"verified": {"by": "human:eve@acme.com", "records": 2, "run": run.id, "size": 9, "witnesses": ["w1"]}}),
        ),
        of_gateway(
            "run.verified",
            json!({"verified": {"by": "human:eve@acme.com", "problem": "altered", "records": 1, "run": run.id}}),
        ),
        of_gateway("index.remade", json!({"by": "human:eve@acme.com"})),
        of_gateway(
            "policy.loaded",
            json!({"by": "human:eve@acme.com", "policy": {"after": "sha256:22", "before": "sha256:11"}}),
        ),
        of_gateway(
            "person.signed_in",
            json!({"by": "human:eve@acme.com", "roles": ["viewer"], "via": "oidc"}),
        ),
        of_gateway("person.signed_out", json!({"by": "human:eve@acme.com"})),
        of_gateway("link.made", json!({"by": "human:eve@acme.com"})),
        of_gateway(
            "signal.raised",
            json!({"signal": {"actions": ["notify"], "name": "first", "of": "gateway/1", "rule": "denials"}}),
        ),
        of_gateway("some.day", json!({"keys": ["a"], "more": {"of": "it"}})),
    ]);
    entries
}

#[test]
fn every_kind_of_record_is_a_valid_event() {
    let mut kinds = BTreeSet::new();
    for entry in every_kind() {
        let event = event(&entry);
        kinds.insert(entry.record.r#type.clone());

        let metadata = &event["metadata"];
        assert_eq!(metadata["event_code"], entry.record.r#type);
        assert_eq!(metadata["sequence"], entry.index);
        assert_eq!(metadata["log_name"], ORIGIN);
        assert_eq!(metadata["original_event_uid"], entry.id());
        assert_eq!(event["unmapped"]["seq"], entry.record.seq);

        // The record is there whole, with what shows that it is the one in the log.
        let digest = Digest::of(event["raw_data"].as_str().unwrap().as_bytes()).to_string();
        let attestation = &event["attestation_list"][0];
        assert_eq!(attestation["fingerprint"]["value"], digest);
        assert_eq!(attestation["chain_uid"], entry.record.run);
        assert_eq!(attestation["uid"], format!("{ORIGIN}#{}", entry.index));
        assert_eq!(metadata["uid"], digest);
        match entry.record.seq {
            1 => assert_eq!(attestation.get("prev_event"), None),
            _ => assert_eq!(attestation["prev_event"]["uid"], entry.record.prev),
        }
    }
    // Those that docs/log-format.md names, and one that it may name some day.
    let known = [
        "approval.decided",
        "call.decided",
        "call.finished",
        "call.held",
        "gateway.started",
        "gateway.stopped",
        "index.remade",
        "link.made",
        "log.continued",
        "log.continues",
        "log.pruned",
        "login.denied",
        "payloads.erased",
        "payloads.searched",
        "payloads.viewed",
        "person.signed_in",
        "person.signed_out",
        "policy.loaded",
        "receipt.taken",
        "run.closed",
        "run.opened",
        "run.resumed",
        "run.suspended",
        "run.verified",
        "signal.raised",
        "some.day",
        "witness.disagreed",
    ];
    assert!(kinds.iter().eq(known), "{kinds:?}");
}

#[test]
fn a_record_without_one_of_its_parts_is_a_valid_event() {
    let mut events = 0;
    for whole in every_kind() {
        let record: Value = serde_json::from_slice(&whole.bytes).unwrap();
        for path in paths(&record) {
            let mut record = record.clone();
            let (above, name) = path.rsplit_once('/').unwrap();
            remove(record.pointer_mut(above).unwrap(), name);
            // What is not a record is no event, either.
            if serde_json::from_value::<Record>(record.clone()).is_ok() {
                event(&entry(&record));
                events += 1;
            }
        }
    }
    assert!(events > 50, "{events}");
}

/// The paths to all the fields of an object.
fn paths(value: &Value) -> Vec<String> {
    let fields = value.as_object().into_iter().flatten();
    fields
        .flat_map(|(name, value)| {
            let within = paths(value).into_iter();
            let within = within.map(move |path| format!("/{name}{path}"));
            std::iter::once(format!("/{name}")).chain(within)
        })
        .collect()
}

#[test]
fn nothing_that_a_record_says_is_lost() {
    for entry in every_kind() {
        let event = event(&entry);
        let mut record: Value = serde_json::from_slice(&entry.bytes).unwrap();
        // These have a place, if not as they are.
        for changed in ["time", "expires", "v", "last"] {
            record.as_object_mut().unwrap().remove(changed);
        }
        let mut without_copy = event.clone();
        without_copy.as_object_mut().unwrap().remove("raw_data");
        let text = without_copy.to_string();
        for value in leaves(&record) {
            // What an event says otherwise.
            let otherwise = match value.as_str() {
                Some("allow") => "Allowed",
                Some("deny") => "Denied",
                Some(text) => text,
                None => &value.to_string(),
            };
            assert!(
                entry.record.prev == otherwise || text.contains(otherwise),
                "{otherwise} is not in {event:#}"
            );
        }
    }
}

fn leaves(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(object) => object.values().flat_map(leaves).collect(),
        Value::Array(values) => values.iter().flat_map(leaves).collect(),
        leaf => vec![leaf],
    }
}

#[test]
fn a_call_is_what_its_strongest_action_does() {
    let table = |name: &str| Resource::table("public", name);
    let function = || Resource::function("public", "f");
    let select = || Action::new(Verb::Select, table("tickets"));
    let of = |verb| Action::new(verb, table("tickets"));
    for (actions, activity, name) in [
        (vec![select()], 1, "Read"),
        (vec![select(), of(Verb::Update)], 2, "Update"),
        (vec![of(Verb::Insert), select()], 5, "Write"),
        (vec![of(Verb::Lock)], 99, "lock"),
        (vec![of(Verb::Delete), of(Verb::Insert)], 7, "Delete"),
        (vec![of(Verb::Truncate)], 7, "Delete"),
        (vec![of(Verb::Create), of(Verb::Drop)], 6, "Create"),
        (vec![of(Verb::Alter)], 99, "alter"),
        (vec![Action::session()], 99, "session"),
        (vec![Action::execute(Class::Read, function())], 1, "Read"),
        (vec![Action::execute(Class::Write, function())], 5, "Write"),
        (
            vec![Action::execute(Class::Admin, function())],
            99,
            "execute",
        ),
        (vec![], 0, "Unknown"),
    ] {
        let shown = format!("{actions:?}");
        let event = event(&in_run(denied(actions)));
        assert_eq!(event["activity_id"], activity, "{shown}");
        assert_eq!(event["activity_name"], name, "{shown}");
        assert_eq!(event["type_uid"], 600_500 + activity, "{shown}");
    }

    let event = event(&in_run(denied(vec![select(), of(Verb::Update)])));
    assert_eq!(event["table"]["uid"], "public.tickets");
    let two = vec![select(), Action::new(Verb::Select, table("drafts"))];
    let event = self::event(&in_run(denied(two)));
    assert_eq!(event.get("table"), None);
    assert_eq!(
        event["query_info"]["query_string"],
        "select public.tickets; select public.drafts"
    );
}

#[test]
fn what_was_denied_stands_out() {
    let of = |verb| Action::new(verb, Resource::table("public", "tickets"));
    let allowed = event(&logged(vec![opened(&run(1)), decided(&run(1), true)]));
    assert_eq!(allowed["severity"], "Informational");
    assert_eq!(allowed["is_alert"], false);
    assert_eq!(allowed["disposition"], "Allowed");
    assert_eq!(allowed["status"], "Unknown");
    for (verb, severity) in [(Verb::Select, "Medium"), (Verb::Drop, "High")] {
        let denied = event(&in_run(denied(vec![of(verb)])));
        assert_eq!(denied["severity"], severity);
        assert_eq!(denied["action"], "Denied");
        assert_eq!(denied["disposition"], "Blocked");
        assert_eq!(denied["is_alert"], true);
        assert_eq!(denied["status"], "Failure");
        assert_eq!(denied["status_detail"], "it is outside the scope");
        assert_eq!(denied["authorizations"][1]["policy"]["uid"], "no-drops");
    }
    let nobody = event(&logged(vec![stray_login(None)]));
    assert_eq!(nobody["severity"], "Medium");
    assert_eq!(nobody["user"]["name"], "unknown");
    assert_eq!(nobody.get("actor"), None, "nobody knows who it was");
}

#[test]
fn an_outcome_is_found_by_its_decision() {
    let run = run(1);
    let decision = event(&logged(vec![opened(&run), decided(&run, true)]));
    let name = &decision["metadata"]["correlation_uid"];
    assert_eq!(*name, format!("{}/2", run.id));
    for (state, status, severity, code) in [
        (State::Ok, "Success", "Informational", None),
        (State::Error, "Failure", "Informational", Some("40001")),
        (State::Cut, "Failure", "Low", None),
        (State::Skipped, "skipped", "Informational", None),
        (State::Indeterminate, "Unknown", "Medium", None),
    ] {
        let outcome = event(&in_run(outcome(state, code)));
        assert_eq!(outcome["metadata"]["correlation_uid"], *name);
        assert_eq!(outcome["status"], status);
        assert_eq!(outcome["severity"], severity);
        assert_eq!(outcome["status_code"].as_str(), code);
        assert_eq!(outcome["unmapped"]["outcome"]["rows"], 3);
    }
}

#[test]
fn an_outcome_is_of_the_class_of_its_decision() {
    for (protocol, verb, class) in [
        ("postgres", "SELECT", 6005),
        ("http", "GET", 6003),
        ("mcp", "tools/call", 6003),
        ("gopher", "1", 0),
    ] {
        let entry = in_run(outcome_of(protocol, verb, State::Ok, None));
        let outcome = event(&entry);
        assert_eq!(outcome["class_uid"], class, "{protocol}");
        assert_eq!(outcome["activity_name"], "Finish");
        if class == 6003 {
            assert_eq!(outcome["api"]["operation"], verb);
            assert_eq!(outcome["api"]["service"]["name"], "tickets");
        }
        // As records were before they said so.
        let mut record: Value = serde_json::from_slice(&entry.bytes).unwrap();
        remove(&mut record, "protocol");
        remove(&mut record, "verb");
        let old = event(&self::entry(&record));
        assert_eq!(old["class_uid"], 6005);
        assert_eq!(old["database"]["type_id"], 0);
    }
}

#[test]
fn a_run_is_a_session_of_its_launcher() {
    let mut run = run(1);
    let begin = event(&logged(vec![opened(&run)]));
    let ended = |by: Option<&str>| {
        let (ending, by) = (Ending::Revoked, by.map(str::to_owned));
        let closed = draft(&run, Event::RunClosed { ending, by });
        event(&logged(vec![opened(&run), closed]))
    };
    let end = ended(None);
    for event in [&begin, &end] {
        assert_eq!(event["session"]["uid"], run.id.to_string());
        assert_eq!(event["ai_agent"]["instance_uid"], run.id.to_string());
        assert_eq!(event["ai_agent"]["name"], "triage-tickets");
        assert_eq!(event["user"]["uid"], "human:alice@acme.com");
        assert_eq!(event["user"]["name"], "alice@acme.com");
        assert_eq!(event["actor"]["user"], event["user"]);
    }
    assert_eq!(begin["iam_roles"][0]["name"], "triage-tickets");
    assert_eq!(begin["session"]["expiration_time"], 1_700_000_100_000_u64);
    assert_eq!(end["session"]["expiration_reason"], "revoked");
    // Who ended it is the actor, and not whose run it was.
    let ended = ended(Some("human:eve@acme.com"));
    assert_eq!(ended["actor"]["user"]["uid"], "human:eve@acme.com");
    assert_eq!(ended["user"]["uid"], "human:alice@acme.com");
    assert!(
        ended["message"]
            .as_str()
            .unwrap()
            .ends_with("revoked, by human:eve@acme.com")
    );
    assert!(ended["unmapped"].get("by").is_none());
    run.launcher = "workflow:github:acme/support".parse().unwrap();
    let workflow = event(&logged(vec![opened(&run)]));
    assert_eq!(workflow["user"]["type"], "Service");
    assert_eq!(workflow["user"]["name"], "github:acme/support");
}

#[test]
fn names_are_data() {
    let nasty = "x\",\"severity_id\":1,\"y\":\"\u{1b}[31m\n\u{2028}\\";
    let table = Resource::table(nasty, nasty);
    let entry = in_run(denied(vec![Action::new(Verb::Drop, table)]));
    let line = serde_json::to_string(&Ocsf::of(&entry, ORIGIN).unwrap()).unwrap();
    assert!(!line.contains(['\n', '\u{1b}']), "{line}");
    let event = event(&entry);
    assert_eq!(event["severity_id"], 4);
    assert_eq!(event["table"]["name"], nasty);
}

#[test]
fn a_record_that_leaves_something_out_says_so() {
    let columns = (0..100).map(|column| format!("column_{column}"));
    let table = Resource::table("public", "wide");
    let entry = in_run(denied(vec![
        Action::new(Verb::Select, table).with_columns(columns),
    ]));
    assert_eq!(event(&entry)["metadata"]["is_truncated"], true);
}

/// A denied call of this protocol, as a record, with one action.
fn denied_call(protocol: &str, verb: &str, action: Value) -> Value {
    let whole = logged(vec![opened(&run(1)), decided(&run(1), false)]);
    let mut record: Value = serde_json::from_slice(&whole.bytes).unwrap();
    record["call"]["protocol"] = protocol.into();
    record["call"]["verb"] = verb.into();
    record["call"]["actions"] = json!([action]);
    record
}

#[test]
fn what_is_spoken_in_http_is_an_api() {
    let action = |class: &str, verb: &str, kind: &str, name: &str| json!({"class": class, "verb": verb, "columns": [], "resource": {"kind": kind, "name": name}});
    for (protocol, verb, action, activity, message) in [
        (
            "http",
            "GET",
            action("read", "request", "request", "GET /customers/42"),
            "Read",
            "denied on tickets: GET /customers/42",
        ),
        (
            "http",
            "DELETE",
            action("destroy", "request", "request", "DELETE /customers/42"),
            "Delete",
            "denied on tickets: DELETE /customers/42",
        ),
        (
            "mcp",
            "tools/call",
            action("write", "execute", "tool", "add_comment"),
            "Update",
            "denied on tickets: execute tool add_comment",
        ),
        (
            "mcp",
            "initialize",
            action("session", "session", "target", ""),
            "initialize",
            "denied on tickets: initialize",
        ),
    ] {
        let resource = action["resource"].clone();
        let event = event(&entry(&denied_call(protocol, verb, action)));
        assert_eq!(event["class_uid"], 6003);
        assert_eq!(event["activity_name"], activity);
        assert_eq!(event["message"], message);
        assert_eq!(event["api"]["operation"], verb);
        assert_eq!(event["api"]["service"]["name"], "tickets");
        assert_eq!(event["disposition"], "Blocked");
        assert_eq!(event["ai_agent"]["name"], "triage-tickets");
        match resource["kind"].as_str() {
            Some("target") => assert!(event.get("resources").is_none()),
            _ => {
                let named = &event["resources"][0];
                assert_eq!(
                    (&named["type"], &named["name"]),
                    (&resource["kind"], &resource["name"])
                );
            }
        }
    }
}

#[test]
fn a_protocol_that_is_not_known_is_a_base_event() {
    let whole = logged(vec![opened(&run(1)), decided(&run(1), false)]);
    let mut record: Value = serde_json::from_slice(&whole.bytes).unwrap();
    record["call"]["protocol"] = "gopher".into();
    record["call"]["verb"] = "GET".into();
    let event = event(&entry(&record));
    assert_eq!(event["class_uid"], 0);
    assert_eq!(event["activity_name"], "GET");
    assert_eq!(event["disposition"], "Blocked");
    assert_eq!(event["unmapped"]["task"], "triage-tickets");
}

#[test]
fn the_example_in_the_docs_is_one() {
    let page = include_str!("../../../../docs/export.md");
    let (_, rest) = page.split_once("```json\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let mut example: Value = serde_json::from_str(example).unwrap();
    let bytes = example["raw_data"].as_str().unwrap().as_bytes().to_vec();
    let entry = Entry {
        index: example["metadata"]["sequence"].as_u64().unwrap(),
        record: serde_json::from_slice(&bytes).unwrap(),
        bytes,
    };
    let origin = example["metadata"]["log_name"].as_str().unwrap();
    let event = serde_json::to_value(Ocsf::of(&entry, origin).unwrap()).unwrap();
    assert_eq!(SCHEMA.problems(&event), Vec::<String>::new());
    // The example stays when the version does not.
    example["metadata"]["product"]["version"] = event["metadata"]["product"]["version"].clone();
    assert_eq!(event, example, "{event}");
}

#[test]
fn the_check_finds_what_is_wrong() {
    let right = event(&in_run(denied(Vec::new())));
    type Spoil = fn(&mut Value);
    let broken: [(&str, Spoil); 12] = [
        ("time is missing", |event| remove(event, "time")),
        ("src_endpoint is missing", |event| {
            remove(event, "src_endpoint");
        }),
        ("type_uid is not", |event| {
            event["type_uid"] = 600_501.into()
        }),
        ("activity_id cannot be 77", |event| {
            event["activity_id"] = 77.into()
        }),
        ("severity_id is High", |event| {
            event["severity_id"] = 4.into()
        }),
        ("secret is not in the schema", |event| {
            event["secret"] = "x".into()
        }),
        ("actor.session.run is not", |event| {
            event["actor"]["session"]["run"] = "x".into()
        }),
        ("actor has none of", |event| event["actor"] = json!({})),
        ("metadata.product.name is no string_t", |event| {
            event["metadata"]["product"]["name"] = 7.into();
        }),
        ("attestation_list.0.fingerprint.value is missing", |event| {
            remove(&mut event["attestation_list"][0]["fingerprint"], "value");
        }),
        ("ai_agent is of the profile", |event| {
            event["metadata"]["profiles"] = json!(["record_integrity", "security_control"]);
        }),
        ("metadata.profiles osint is not used", |event| {
            event["metadata"]["profiles"][0] = "osint".into();
        }),
    ];
    for (problem, spoil) in broken {
        let mut event = right.clone();
        spoil(&mut event);
        let problems = SCHEMA.problems(&event);
        assert!(
            problems.iter().any(|found| found.starts_with(problem)),
            "{problem}: {problems:?}"
        );
    }
}

fn remove(object: &mut Value, name: &str) {
    object.as_object_mut().unwrap().remove(name).unwrap();
}
