//! Records as events of the Open Cybersecurity Schema Framework (OCSF), version 1.9: what a SIEM
//! reads. A record alone decides what its event says, so every export says the same.
//! `docs/export.md` has the mapping as a table.

mod call;
mod class;
mod finding;
mod gateway;
mod log;
mod objects;
mod people;
mod run;

use bailiwick_run::Time;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::digest::Digest;
use crate::entry::{Entry, Record};
use crate::reader::ReadError;
use class::{Activity, Body, Class, Control, Severity, Status};
use objects::{
    Actor, AiAgent, Attestation, Fingerprint, Metadata, PreviousEvent, Product, Session, User,
};

/// The version of the schema that events follow.
pub const VERSION: &str = "1.9.0";

/// What the gateway is called in events.
const NAME: &str = "Bailiwick";

/// An event: serialised, one JSON object of a class that OCSF has.
///
/// It holds what the record holds and nothing more, so no payload and no secret; names that agents
/// made up are strings in it.
#[derive(Debug, Serialize)]
pub struct Event<'e> {
    attestation_list: [Attestation<'e>; 1],
    message: String,
    metadata: Metadata<'e>,
    /// The record's exact bytes.
    raw_data: &'e str,
    raw_data_hash: Fingerprint,
    /// Milliseconds since the Unix epoch.
    time: u64,
    type_uid: u32,
    /// What of the record has no place elsewhere.
    unmapped: Map<String, Value>,
    #[serde(flatten)]
    activity: Activity<'e>,
    #[serde(flatten)]
    class: Class,
    #[serde(flatten)]
    severity: Severity,
    #[serde(flatten)]
    status: Status<'e>,
    #[serde(flatten)]
    control: Option<Control<'e>>,
    #[serde(flatten)]
    body: Body<'e>,
}

impl<'e> Event<'e> {
    /// The event of a record in the log of this origin. A type that this version does not know
    /// becomes a Base Event with everything in `unmapped`.
    ///
    /// Fails only for what no gateway has written: a record without a time.
    pub fn of(entry: &'e Entry, origin: &'e str) -> Result<Self, ReadError> {
        let broken = |reason: String| ReadError::Record {
            index: entry.index,
            reason,
        };
        let record = &entry.record;
        let time: Time = record.time.parse().map_err(|_| {
            let reason = "its time is not one";
            broken(reason.to_owned())
        })?;
        let raw_data = std::str::from_utf8(&entry.bytes).map_err(|error| {
            let reason = error.to_string();
            broken(reason)
        })?;
        let mut unmapped: Map<String, Value> =
            serde_json::from_str(raw_data).map_err(|error| broken(error.to_string()))?;
        let source = Source {
            record,
            origin,
            time,
        };
        let mapped = source.map();
        for path in COMMON.iter().chain(mapped.placed) {
            remove(&mut unmapped, path);
        }
        let digest = entry.digest();
        let class = mapped.body.class();
        let profiles = profiles(&mapped);
        Ok(Self {
            attestation_list: [Attestation {
                authority_uid: origin,
                chain_uid: &record.run,
                fingerprint: Fingerprint::sha256(digest),
                prev_event: Digest::parse(&record.prev)
                    .filter(|prev| *prev != Digest::NONE)
                    .map(PreviousEvent::new),
                uid: format!("{origin}#{}", entry.index),
            }],
            message: mapped.message,
            metadata: Metadata {
                correlation_uid: mapped.correlation,
                event_code: &record.r#type,
                is_truncated: mapped.is_truncated,
                log_format: "JSON",
                log_name: origin,
                log_version: record.v.to_string(),
                original_event_uid: entry.id(),
                product: Product {
                    name: NAME,
                    uid: None,
                    vendor_name: NAME,
                    version: Some(env!("CARGO_PKG_VERSION")),
                },
                profiles,
                sequence: entry.index,
                uid: digest,
                version: VERSION,
            },
            raw_data,
            raw_data_hash: Fingerprint::sha256(digest),
            time: time.millis(),
            type_uid: class.type_uid(mapped.activity),
            unmapped,
            activity: mapped.activity,
            class,
            severity: mapped.severity,
            status: mapped.status,
            control: mapped.control,
            body: mapped.body,
        })
    }
}

/// A record, and what is known of it besides.
#[derive(Clone, Copy)]
struct Source<'e> {
    record: &'e Record,
    origin: &'e str,
    time: Time,
}

/// What the record's type makes of its event.
struct Mapped<'e> {
    activity: Activity<'e>,
    body: Body<'e>,
    control: Option<Control<'e>>,
    /// The name of the decision, on what belongs to it.
    correlation: Option<String>,
    /// Whether the record says that it leaves something out.
    is_truncated: bool,
    message: String,
    /// The record's fields that have a place in the event, so that `unmapped` need not have them.
    placed: &'static [&'static str],
    severity: Severity,
    status: Status<'e>,
}

impl<'e> Mapped<'e> {
    /// What went as it should, with nothing more to it.
    fn new(activity: Activity<'e>, body: Body<'e>) -> Self {
        Self {
            activity,
            body,
            control: None,
            correlation: None,
            is_truncated: false,
            message: String::new(),
            placed: &[],
            severity: Severity::INFORMATIONAL,
            status: Status::SUCCESS,
        }
    }
}

/// The fields that have a place in every event.
const COMMON: &[&str] = &["prev", "run", "time", "type", "v"];

impl<'e> Source<'e> {
    fn map(self) -> Mapped<'e> {
        let mapped = match self.record.r#type.as_str() {
            "approval.decided" => people::decided(self),
            "call.decided" => call::decided(self),
            "call.finished" => call::finished(self),
            "call.held" => call::held(self),
            "gateway.started" => gateway::started(self),
            "gateway.stopped" => Some(gateway::stopped(self)),
            "log.continued" => log::continued(self),
            "log.continues" => log::continues(self),
            "log.pruned" => log::pruned(self),
            "login.denied" => run::login_denied(self),
            "payloads.erased" => log::erased(self),
            "payloads.searched" => people::searched(self),
            "payloads.viewed" => people::viewed(self),
            "policy.loaded" => gateway::loaded(self),
            "receipt.taken" => people::taken(self),
            "index.remade" => people::remade(self),
            "link.made" => people::link_made(self),
            "person.signed_in" => people::signed_in(self),
            "person.signed_out" => people::signed_out(self),
            "run.closed" => run::closed(self),
            "run.opened" => run::opened(self),
            "run.resumed" => people::resumed(self),
            "run.suspended" => people::suspended(self),
            "run.verified" => people::verified(self),
            "signal.raised" => people::raised(self),
            "witness.disagreed" => finding::disagreed(self),
            _ => None,
        };
        mapped.unwrap_or_else(|| self.unknown())
    }

    /// A record of a type that is not known here, or without what its type has.
    fn unknown(self) -> Mapped<'e> {
        Mapped {
            message: self.record.r#type.clone(),
            severity: Severity::UNKNOWN,
            status: Status::UNKNOWN,
            ..Mapped::new(Activity::other(&self.record.r#type), Body::Base {})
        }
    }

    /// The run as a session.
    fn session(self) -> Session<'e> {
        Session {
            issuer: self.origin,
            uid: &self.record.run,
            ..Session::default()
        }
    }

    fn agent(self) -> Option<AiAgent<'e>> {
        Some(AiAgent {
            instance_uid: &self.record.run,
            name: self.record.task.as_deref()?,
        })
    }

    fn user(self) -> Option<User<'e>> {
        self.record.launcher.as_deref().map(User::launcher)
    }

    fn actor(self) -> Option<Actor<'e>> {
        Some(Actor {
            session: Some(self.session()),
            user: self.user()?,
        })
    }
}

fn profiles(mapped: &Mapped<'_>) -> Vec<&'static str> {
    let used = [
        (mapped.body.has_agent(), "ai_operation"),
        (true, "record_integrity"),
        (mapped.control.is_some(), "security_control"),
    ];
    used.into_iter()
        .filter_map(|(used, profile)| used.then_some(profile))
        .collect()
}

/// Removes `a.b` from an object, and `a` if nothing else is left in it.
fn remove(object: &mut Map<String, Value>, path: &str) {
    let Some((name, rest)) = path.split_once('.') else {
        object.remove(path);
        return;
    };
    if let Some(Value::Object(inner)) = object.get_mut(name) {
        remove(inner, rest);
        if inner.is_empty() {
            object.remove(name);
        }
    }
}
