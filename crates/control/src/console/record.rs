//! One record: what it says, its place, its proof, and what was kept beside it.

use askama::Template;
use bailiwick_audit::{Entry, Record};
use bailiwick_run::{RunId, Time};
use serde_json::Value;

use super::layout::{Here, Layout};
use super::said;
use super::text::Text;
use super::words::{Moment, bytes, count, number};
use crate::clock;

/// A record.
#[derive(Template)]
#[template(path = "record.html")]
pub(crate) struct Page {
    layout: Layout,
    id: String,
    chain: String,
    chain_short: String,
    is_run: bool,
    seq: u64,
    index: String,
    class: &'static str,
    decision: &'static str,
    word: Text,
    what: Text,
    target: Text,
    task: Text,
    launcher: Text,
    time: Moment,
    reason: Text,
    remedy: Text,
    facts: Vec<Fact>,
    payload_what: &'static str,
    payload_size: String,
    sees_payload: bool,
    pretty: Text,
    exact: Text,
    digest: String,
    prev_ok: bool,
    prev_words: &'static str,
    has_next: bool,
    proof: Option<Proof>,
    no_proof: String,
}

struct Fact {
    name: &'static str,
    value: Text,
    link: String,
    link_words: String,
}

impl Fact {
    /// Whether it is read digit by digit, if at all.
    fn is_digest(&self) -> bool {
        matches!(self.name, "Fingerprint" | "Policies in force" | "Scope")
    }
}

/// What shows that a record is in the log.
pub(crate) struct Proof {
    pub(crate) size: String,
    pub(crate) is_witnessed: bool,
    pub(crate) hashes: usize,
    pub(crate) path: Vec<String>,
}

impl Proof {
    /// From a receipt (C2SP tlog-proof): the hashes stand between the index and the checkpoint.
    pub(crate) fn of(text: &str, size: u64, is_witnessed: bool) -> Self {
        let path: Vec<String> = (text.lines())
            .skip_while(|line| !line.starts_with("index "))
            .skip(1)
            .take_while(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        Self {
            size: number(size),
            is_witnessed,
            hashes: path.len(),
            path,
        }
    }
}

/// What the page is made of.
pub(crate) struct Shown<'a> {
    pub(crate) entry: &'a Entry,
    /// The records of its chain before and after it, as far as they are there.
    pub(crate) before: Option<&'a Entry>,
    pub(crate) has_next: bool,
    pub(crate) proof: Result<Proof, String>,
    /// Whoever looks may see what was kept beside it.
    pub(crate) sees_payload: bool,
    pub(crate) now: Time,
}

impl Page {
    pub(crate) fn new(layout: Layout, shown: Shown<'_>) -> Self {
        let Shown { entry, now, .. } = shown;
        let record = &entry.record;
        let chain = record.run.clone();
        let short = chain
            .chars()
            .rev()
            .take(6)
            .collect::<Vec<_>>()
            .into_iter()
            .rev();
        let (class, word, what) = head(record);
        let (reason, remedy) = match (&record.decision, &record.login) {
            (Some(decision), _) => (decision.reason.as_deref(), decision.remedy.as_deref()),
            (None, Some(login)) => (Some(login.reason.as_str()), None),
            (None, None) => (None, None),
        };
        let (prev_ok, prev_words) = match shown.before {
            Some(before) if before.digest().to_string() == record.prev => {
                (true, "whose digest this one holds")
            }
            Some(_) => (false, "whose digest this one does not hold"),
            None => (true, "which is not there any more"),
        };
        let (proof, no_proof) = match shown.proof {
            Ok(proof) => (Some(proof), String::new()),
            Err(why) => (None, why),
        };
        Self {
            layout: Layout {
                here: Here::Runs,
                ..layout
            },
            id: entry.id(),
            chain_short: match chain.as_str() {
                "gateway" => chain.clone(),
                _ => format!("…{}", short.collect::<String>()),
            },
            is_run: chain.parse::<RunId>().is_ok(),
            chain,
            seq: record.seq,
            index: number(entry.index),
            class,
            decision: match class {
                "allowed" => "Allowed",
                "denied" => "Denied",
                "held" => "Held",
                _ => "",
            },
            word: Text::line(&word),
            what: Text::line(&what),
            target: text(record.target.as_ref()),
            task: text(record.task.as_ref()),
            launcher: text(record.launcher.as_ref()),
            time: Moment::new(said::time(record), now),
            reason: Text::line(reason.unwrap_or_default()),
            remedy: Text::line(remedy.unwrap_or_default()),
            facts: facts(record, now),
            payload_what: payload_what(record),
            payload_size: (record.payload.as_ref())
                .map_or_else(String::new, |payload| bytes(payload.size)),
            sees_payload: shown.sees_payload,
            pretty: Text::block(&pretty(&entry.bytes)),
            exact: Text::whole(&String::from_utf8_lossy(&entry.bytes)),
            digest: entry.digest().to_string(),
            prev_ok,
            prev_words,
            has_next: shown.has_next,
            proof,
            no_proof,
        }
    }
}

fn text(text: Option<&String>) -> Text {
    Text::line(text.map(String::as_str).unwrap_or_default())
}

fn pretty(bytes: &[u8]) -> String {
    serde_json::from_slice::<Value>(bytes)
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned())
}

/// How a record is drawn, and what it is about.
fn head(record: &Record) -> (&'static str, String, String) {
    if let Some(call) = &record.call {
        let class = match &record.decision {
            Some(decision) if decision.effect == "allow" => "allowed",
            Some(_) => "denied",
            None => "held",
        };
        return (class, String::new(), said::call(call));
    }
    if let Some(outcome) = &record.outcome {
        let of = record
            .of
            .map_or_else(String::new, |of| format!(" of call {of}"));
        return (
            "event",
            "Outcome".to_owned(),
            format!("{}{of}", outcome.state).trim().to_owned(),
        );
    }
    if record.login.is_some() {
        return (
            "denied",
            "access".to_owned(),
            record.target.clone().unwrap_or_default(),
        );
    }
    let (word, what) = said::event(record);
    ("event", word, what)
}

fn payload_what(record: &Record) -> &'static str {
    match record.r#type.as_str() {
        "call.decided" | "call.held" => "What the agent sent",
        "call.finished" => "What it was answered, masked",
        "run.opened" => "What the launcher said",
        _ => "More",
    }
}

/// What a record says, as pairs.
fn facts(record: &Record, now: Time) -> Vec<Fact> {
    let mut facts = Facts(Vec::new());
    facts.add("Type", &record.r#type);
    if let Some(call) = &record.call {
        facts.add("Command", &format!("{} ({})", call.verb, call.protocol));
        for action in &call.actions {
            facts.add("Action", &format!("{action} ({})", action.class));
        }
        if call.more_actions > 0 {
            facts.add(
                "More",
                &format!("{} actions were left out of the record", call.more_actions),
            );
        }
        facts.add("Fingerprint", &call.fingerprint);
    }
    if let Some(decision) = &record.decision {
        facts.add("Decision", &decision.effect);
        if !decision.policies.is_empty() {
            facts.add("Decided by", &decision.policies.join(", "));
        }
        facts.add("Policies in force", &decision.policy_digest);
        if let Some(approval) = &decision.approval {
            facts.add("Approval used", approval);
        }
    }
    if let Some(outcome) = &record.outcome {
        facts.add("Outcome", &outcome.state);
        if let Some(error) = &outcome.error {
            facts.add("Error", error);
        }
        facts.add("Rows", &number(outcome.rows));
        facts.add("Bytes", &bytes(outcome.bytes));
        facts.add("Masked", &count(outcome.masked, "value"));
        facts.add("Took", &format!("{} µs", number(outcome.micros)));
    }
    if let Some(of) = record.of {
        facts.add("About", &format!("record {of}"));
        facts.link(&format!("/records/{}/{of}", record.run), "show it");
    }
    if let Some(approval) = &record.approval {
        facts.add("Approval", &approval.id);
        facts.link("/approvals", "approvals");
        if !approval.approvers.is_empty() {
            facts.add("Asked", &approval.approvers.join(", "));
        }
        if let Some(by) = &approval.by {
            facts.add("Decided by", by);
        }
        facts.moment("Until", approval.expires.as_deref(), now);
    }
    if let Some(signal) = &record.signal {
        facts.add("Rule", &format!("{} ({})", signal.name, signal.rule));
        facts.add("Because of", &signal.of);
        if is_record(&signal.of) {
            facts.link(&format!("/records/{}", signal.of), "show it");
        }
        facts.add("Done about it", &signal.actions.join(", "));
    }
    if let Some(viewed) = &record.viewed {
        let (chain, from, to) = (&viewed.chain, viewed.from, viewed.to);
        match from == to {
            true => facts.add("Record", &format!("{chain}/{from}")),
            false => facts.add("Records", &format!("{chain}/{from} to {chain}/{to}")),
        }
        if is_record(&format!("{chain}/{from}")) {
            facts.link(&format!("/records/{chain}/{from}"), "show it");
        }
        facts.add("By", &viewed.by);
    }
    if let Some(verified) = &record.verified {
        facts.add("Trail of", &verified.run);
        if verified.run.parse::<RunId>().is_ok() {
            facts.link(&format!("/runs/{}", verified.run), "show it");
        }
        facts.add("Found", verified.problem.as_deref().unwrap_or("whole"));
        facts.add("Whole", &count(verified.records, "record"));
        if verified.problem.is_none() {
            facts.add(
                "Checkpoint",
                &format!("over {}", count(verified.size, "record")),
            );
            facts.add(
                "Cosigned by",
                &match verified.witnesses.as_slice() {
                    [] => "nobody".to_owned(),
                    names => names.join(", "),
                },
            );
        }
        facts.add("By", &verified.by);
    }
    if let Some(by) = &record.by {
        facts.add("By", by);
    }
    if let Some(policy) = &record.policy {
        facts.add("Policies before", &policy.before);
        facts.add("Policies now", &policy.after);
    }
    if let Some(confinement) = &record.confinement {
        facts.add("Confinement", confinement);
    }
    facts.moment("Ends", record.expires.as_deref(), now);
    if let Some(scope) = &record.scope_digest {
        facts.add("Scope", scope);
    }
    if let Some(records) = record.count {
        facts.add("Records of the run", &number(records));
    }
    facts.0
}

/// Whether a text is the name of a record, and nothing else.
fn is_record(text: &str) -> bool {
    text.split_once('/').is_some_and(|(chain, seq)| {
        (chain == "gateway" || chain.parse::<RunId>().is_ok())
            && !seq.is_empty()
            && seq.bytes().all(|byte| byte.is_ascii_digit())
    })
}

struct Facts(Vec<Fact>);

impl Facts {
    fn add(&mut self, name: &'static str, value: &str) {
        self.0.push(Fact {
            name,
            value: Text::line(value),
            link: String::new(),
            link_words: String::new(),
        });
    }

    /// Where the last one leads.
    fn link(&mut self, link: &str, words: &str) {
        if let Some(last) = self.0.last_mut() {
            last.link = link.to_owned();
            last.link_words = words.to_owned();
        }
    }

    fn moment(&mut self, name: &'static str, moment: Option<&str>, now: Time) {
        if let Some(moment) = moment.and_then(clock::read) {
            self.add(name, &Moment::new(moment, now).full);
        }
    }
}

/// What was kept beside a record.
pub(crate) struct Payload {
    pub(crate) id: String,
    pub(crate) missing: Text,
    pub(crate) parts: Vec<PayloadPart>,
}

pub(crate) struct PayloadPart {
    pub(crate) name: Text,
    pub(crate) value: Text,
}

impl Payload {
    /// Each member of it is a part.
    pub(crate) fn of(id: String, payload: Option<&Value>, missing: Option<&str>) -> Self {
        let part = |name: &str, value: &Value| PayloadPart {
            name: Text::line(name),
            value: Text::block(&match value {
                Value::String(text) => text.clone(),
                other => serde_json::to_string_pretty(other).unwrap_or_default(),
            }),
        };
        let parts = match payload {
            None => Vec::new(),
            Some(Value::Object(members)) => (members.iter())
                .map(|(name, value)| part(name, value))
                .collect(),
            Some(other) => vec![part("payload", other)],
        };
        Self {
            id,
            missing: Text::line(missing.unwrap_or(match parts.is_empty() {
                true => "Nothing was kept beside this record.",
                false => "",
            })),
            parts,
        }
    }
}

/// A payload, for the script to put into a page.
#[derive(Template)]
#[template(path = "payload_shown.html")]
pub(crate) struct PayloadFragment {
    id: String,
    missing: Text,
    parts: Vec<PayloadPart>,
}

/// A payload as a page of its own.
#[derive(Template)]
#[template(path = "payload.html")]
pub(crate) struct PayloadPage {
    layout: Layout,
    id: String,
    missing: Text,
    parts: Vec<PayloadPart>,
}

impl From<Payload> for PayloadFragment {
    fn from(payload: Payload) -> Self {
        let Payload { id, missing, parts } = payload;
        Self { id, missing, parts }
    }
}

impl PayloadPage {
    pub(crate) fn new(layout: Layout, payload: Payload) -> Self {
        let Payload { id, missing, parts } = payload;
        Self {
            layout,
            id,
            missing,
            parts,
        }
    }
}
