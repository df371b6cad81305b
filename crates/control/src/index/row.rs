//! What the index takes from a record and its payload.

use bailiwick_audit::Record;
use serde_json::Value;

use crate::clock;
use crate::limits::INDEX_PAYLOAD_BYTES_MAX;

/// The type of records that a rule has matched.
pub(super) const SIGNAL: &str = "signal.raised";

/// What the names of policies begin with that let a session do its housekeeping.
const SESSION: &str = "session/";

/// A record, as it goes into the index.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Its number over all logs.
    pub(super) number: u64,
    /// Its place in its log.
    pub(super) place: u64,
    pub(super) r#type: String,
    pub(super) time: u64,
    pub(super) run: String,
    pub(super) seq: u64,
    pub(super) launcher: Option<String>,
    pub(super) task: Option<String>,
    pub(super) target: Option<String>,
    pub(super) verb: Option<String>,
    pub(super) actions: Vec<String>,
    /// `allow`, `deny` or `hold`.
    pub(super) effect: Option<String>,
    /// The policies that allowed it; those of its task without the prefix that says so.
    pub(super) policies: Vec<String>,
    pub(super) reason: Option<String>,
    pub(super) remedy: Option<String>,
    /// How the call or the run ended.
    pub(super) state: Option<String>,
    pub(super) error: Option<String>,
    pub(super) rows: Option<u64>,
    pub(super) masked: Option<u64>,
    /// The words by which its payload is found.
    pub(super) payload: String,
    /// What goes from the index with it.
    pub(super) removes: Option<Removed>,
    /// What a run's trail was found to be.
    pub(super) verified: Option<Checked>,
}

/// A check of a run's trail.
#[derive(Clone, Debug)]
pub(super) struct Checked {
    pub(super) run: String,
    /// It has found something wrong.
    pub(super) broken: bool,
}

/// What a record says is removed from its log.
#[derive(Clone, Debug)]
pub(super) enum Removed {
    /// A run's payloads.
    Payloads { run: String },
    /// The records before this place in the log.
    Records { before: u64 },
}

impl Row {
    /// Of a record, and its payload if that can be read.
    pub(super) fn new(number: u64, place: u64, mut record: Record, payload: Option<&[u8]>) -> Self {
        let removes = removed(&mut record);
        let verified = checked(&record);
        // What a target answered is long and was not written by the agent; what was searched for would be found by
        // itself.
        let payload =
            payload.filter(|_| record.outcome.is_none() && record.r#type != "payloads.searched");
        let (said, policies) = (said(&record), allowed(&record));
        let (verb, actions) = match record.call {
            None => (None, Vec::new()),
            Some(call) => {
                let actions = call.actions.iter().map(ToString::to_string).collect();
                (Some(call.verb), actions)
            }
        };
        let (effect, reason, remedy) = match (record.decision, record.login) {
            (Some(decision), _) => (Some(decision.effect), decision.reason, decision.remedy),
            (None, Some(login)) => (Some("deny".to_owned()), Some(login.reason), None),
            (None, None) if record.r#type == "call.held" => (Some("hold".to_owned()), said, None),
            (None, None) => (None, said, None),
        };
        let ruling = record.approval.and_then(|approval| approval.effect);
        let outcome = record.outcome;
        Self {
            number,
            place,
            removes,
            verified,
            r#type: record.r#type,
            time: clock::read(&record.time).map_or(0, |time| time.millis()),
            run: record.run,
            seq: record.seq,
            launcher: record.launcher,
            task: record.task,
            target: record.target,
            verb,
            actions,
            effect,
            policies,
            reason,
            remedy,
            rows: outcome.as_ref().map(|outcome| outcome.rows),
            masked: outcome.as_ref().map(|outcome| outcome.masked),
            error: outcome.as_ref().and_then(|outcome| outcome.error.clone()),
            state: outcome
                .map(|outcome| outcome.state)
                .or(record.ending)
                .or(ruling),
            payload: payload.map(texts).unwrap_or_default(),
        }
    }

    /// The words by which the record itself is found.
    pub(super) fn words(&self) -> String {
        let some = [
            &self.launcher,
            &self.task,
            &self.target,
            &self.verb,
            &self.effect,
            &self.reason,
            &self.remedy,
            &self.state,
            &self.error,
        ];
        let some = some.into_iter().flatten();
        let all = [&self.r#type, &self.run].into_iter().chain(some);
        let all: Vec<&str> = all.chain(&self.actions).map(String::as_str).collect();
        all.join("\n")
    }
}

/// The policies that allowed a call, but for those that come with any grant.
fn allowed(record: &Record) -> Vec<String> {
    let decision = record.decision.as_ref();
    let Some(decision) = decision.filter(|decision| decision.effect == "allow") else {
        return Vec::new();
    };
    let task = record.task.as_deref().unwrap_or_default();
    let own = |policy: &str| {
        let rest = policy.strip_prefix("task:")?.strip_prefix(task)?;
        rest.strip_prefix('/').map(str::to_owned)
    };
    let policies = decision.policies.iter();
    policies
        .map(|policy| own(policy).unwrap_or_else(|| policy.clone()))
        .filter(|policy| !policy.starts_with(SESSION))
        .collect()
}

/// What records that are about people and rules say, in words.
fn said(record: &Record) -> Option<String> {
    if let Some(signal) = &record.signal {
        let actions = signal.actions.join(", ");
        let (name, rule, of) = (&signal.name, &signal.rule, &signal.of);
        return Some(format!(
            "signal {name} ({rule}), because of {of}: {actions}"
        ));
    }
    if let Some(viewed) = &record.viewed {
        let (by, chain, from, to) = (&viewed.by, &viewed.chain, viewed.from, viewed.to);
        return Some(match record.r#type.as_str() {
            "receipt.taken" => format!("{by} took the receipt of {chain}/{from}"),
            _ => format!("{by} was shown payloads of {chain}, {from} to {to}"),
        });
    }
    if let Some(verified) = &record.verified {
        let (by, run) = (&verified.by, &verified.run);
        return Some(match &verified.problem {
            None => format!("{by} had the trail of {run} verified: it is whole"),
            Some(problem) => {
                format!("{by} had the trail of {run} verified: it is not whole: {problem}")
            }
        });
    }
    if let Some(approval) = &record.approval {
        return Some(match &approval.by {
            Some(by) => format!("approval {}, by {by}", approval.id),
            None if approval.approvers.is_empty() => format!("approval {}", approval.id),
            None => format!(
                "approval {}, asked of {}",
                approval.id,
                approval.approvers.join(", ")
            ),
        });
    }
    record.by.as_ref().map(|by| format!("by {by}"))
}

/// What this record says of a run's trail. Only the gateway itself can say so.
fn checked(record: &Record) -> Option<Checked> {
    let verified = record.verified.as_ref();
    let verified = verified.filter(|_| record.run == "gateway" && record.r#type == "run.verified");
    verified.map(|verified| Checked {
        run: verified.run.clone(),
        broken: verified.problem.is_some(),
    })
}

/// What this record says is removed. Only the gateway itself can say so.
fn removed(record: &mut Record) -> Option<Removed> {
    if record.run != "gateway" {
        return None;
    }
    match record.r#type.as_str() {
        "payloads.erased" => record
            .erased
            .take()
            .map(|erased| Removed::Payloads { run: erased.run }),
        "log.pruned" => record.pruned.take().map(|pruned| Removed::Records {
            before: pruned.before,
        }),
        _ => None,
    }
}

/// The texts and numbers in a payload, up to the limit.
fn texts(payload: &[u8]) -> String {
    let mut texts = String::new();
    if let Ok(value) = serde_json::from_slice(payload) {
        gather(&value, &mut texts);
    }
    texts
}

fn gather(value: &Value, texts: &mut String) {
    let text = match value {
        Value::Null | Value::Bool(_) => return,
        Value::Array(values) => return values.iter().for_each(|value| gather(value, texts)),
        Value::Object(parts) => return parts.values().for_each(|value| gather(value, texts)),
        Value::String(text) => text.as_str(),
        Value::Number(number) => &number.to_string(),
    };
    let room = INDEX_PAYLOAD_BYTES_MAX.saturating_sub(texts.len());
    let fits = text.get(..text.floor_char_boundary(room)).unwrap_or(text);
    // SQLite's tokenizer takes a zero for the end.
    texts.extend(fits.chars().map(|c| if c == '\0' { ' ' } else { c }));
    texts.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_found_by_what_was_written() {
        let payload = br#"{"text":"SELECT 'a'","values":["b\u0000c",null,7,["d"]]}"#;
        assert_eq!(texts(payload), "SELECT 'a'\nb c\n7\nd\n");
        assert_eq!(texts(b"not JSON"), "");
        let long =
            serde_json::json!({ "text": "é".repeat(INDEX_PAYLOAD_BYTES_MAX), "values": ["x"] });
        let texts = texts(long.to_string().as_bytes());
        assert!(
            texts.len() <= INDEX_PAYLOAD_BYTES_MAX + 2,
            "{}",
            texts.len()
        );
        assert!(!texts.contains('x'));
    }
}
