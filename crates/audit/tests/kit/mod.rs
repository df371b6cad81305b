//! What the tests of the log share.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod forger;
pub(crate) mod witness;

use std::path::{Path, PathBuf};

use bailiwick_action::{
    Action, Call, Decision, Denial, Fingerprint, FingerprintKey, Payload, Resource, Verb,
};
use bailiwick_audit::{
    Broken, Config, DirSource, Draft, Event, Log, Outcome, Receipt, Recovered, Report, State,
    Subject, VerifyOptions, verify,
};
use bailiwick_run::{Confinement, Ending, Run, RunId, Time, TimeBox};

pub(crate) const ORIGIN: &str = "test.example/bailiwick";

pub(crate) fn open(dir: &Path) -> (Log, Recovered) {
    Log::open(config(dir)).unwrap()
}

pub(crate) fn config(dir: &Path) -> Config {
    Config::new(dir.to_owned(), ORIGIN)
}

pub(crate) fn run(n: u64) -> Run {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&n.to_be_bytes());
    Run {
        id: RunId::new(Time::from_millis(1_700_000_000_000), random),
        launcher: "human:alice@acme.com".parse().unwrap(),
        task: "triage-tickets".to_owned(),
        time_box: TimeBox {
            opened: Time::from_millis(1_700_000_000_000),
            expires: Time::from_millis(1_700_000_100_000),
        },
        confinement: Confinement::Landlock,
        reason: None,
    }
}

pub(crate) fn draft(run: &Run, event: Event) -> Draft {
    Draft {
        event,
        subject: Subject::Run(run.clone()),
        payload: None,
    }
}

pub(crate) fn opened(run: &Run) -> Draft {
    draft(
        run,
        Event::RunOpened {
            confinement: run.confinement,
            expires: run.time_box.expires,
            scope_digest: "sha256:5c0be".to_owned(),
        },
    )
}

pub(crate) fn closed(run: &Run) -> Draft {
    draft(
        run,
        Event::RunClosed {
            ending: Ending::Closed,
            by: None,
        },
    )
}

pub(crate) fn fingerprint(text: &str) -> Fingerprint {
    let call = Call {
        protocol: "postgres",
        verb: "SELECT".to_owned(),
        actions: Vec::new(),
        refusal: None,
        payload: Payload {
            text: text.to_owned(),
            values: Vec::new(),
        },
    };
    Fingerprint::of(&FingerprintKey::new([0; 32]), &call)
}

pub(crate) fn decided(run: &Run, allow: bool) -> Draft {
    let table = Resource::table("public", "tickets");
    let decision = if allow {
        Decision::Allow {
            policies: vec!["triage-tickets/read/0".to_owned()],
            approval: None,
        }
    } else {
        Decision::Deny(Denial {
            policies: Vec::new(),
            reason: "select on billing.cards is outside the scope".to_owned(),
            remedy: "ask for it".to_owned(),
        })
    };
    draft(
        run,
        Event::CallDecided {
            target: "tickets".to_owned(),
            protocol: "postgres",
            verb: "SELECT".to_owned(),
            actions: vec![Action::new(Verb::Select, table).with_columns(["id", "subject"])],
            fingerprint: fingerprint("select"),
            decision,
            policy_digest: "sha256:0d1ce".to_owned(),
        },
    )
}

pub(crate) fn finished(run: &Run, of: u64) -> Draft {
    draft(
        run,
        Event::CallFinished {
            of,
            target: "tickets".to_owned(),
            protocol: "postgres".into(),
            verb: "SELECT".into(),
            outcome: Outcome {
                state: State::Ok,
                rows: 3,
                bytes: 120,
                digest: None,
                masked: 1,
                error: None,
                micros: 850,
            },
        },
    )
}

pub(crate) fn started() -> Draft {
    Draft {
        event: Event::GatewayStarted {
            version: "0.1.0".to_owned(),
        },
        subject: Subject::Gateway,
        payload: None,
    }
}

pub(crate) fn with_payload(mut draft: Draft, payload: &str) -> Draft {
    draft.payload = Some(payload.as_bytes().to_vec());
    draft
}

pub(crate) fn append(log: &Log, draft: Draft) -> Receipt {
    log.append(draft).wait().unwrap()
}

/// A whole run: opened, `calls` allowed calls with outcomes, one denied, closed.
pub(crate) fn whole_run(log: &Log, n: u64, calls: u64) -> Run {
    let run = run(n);
    append(log, opened(&run));
    for _ in 0..calls {
        let receipt = append(
            log,
            with_payload(decided(&run, true), r#"{"text":"select 1"}"#),
        );
        append(log, finished(&run, receipt.seq()));
    }
    append(log, decided(&run, false));
    append(log, closed(&run));
    run
}

pub(crate) fn vkey(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("log.vkey")).unwrap()
}

pub(crate) fn check(dir: &Path) -> Result<Report, Broken> {
    check_run(dir, None)
}

pub(crate) fn check_run(dir: &Path, run: Option<RunId>) -> Result<Report, Broken> {
    let source = DirSource::new(dir.join("log"));
    verify(&source, &vkey(dir), &VerifyOptions::for_data_dir(dir, run))
}

/// Every file below a folder.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Copies a folder. What somebody who still writes there removes meanwhile is not in the copy.
pub(crate) fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        match std::fs::copy(&file, target) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            copied => drop(copied.unwrap()),
        }
    }
}
