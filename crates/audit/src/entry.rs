//! Stored records, as they are read back.

use std::fmt;

use serde::Deserialize;

use crate::digest::Digest;
use crate::record::{ContinuedBy, Continues};

/// One stored record.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the log, from 0.
    pub index: u64,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
    /// What they say.
    pub record: Record,
}

impl Entry {
    /// Reads what the bytes of a record say.
    pub(crate) fn parse(index: u64, bytes: Vec<u8>) -> Result<Self, serde_json::Error> {
        Ok(Self {
            index,
            record: Record::parse(&bytes)?,
            bytes,
        })
    }

    /// The record's name: `RUN/SEQ`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.record.run, self.record.seq)
    }

    /// The digest of its exact bytes, which the next record of its chain holds as `prev`.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.bytes)
    }
}

/// What a record says. Parts that its type does not have are absent; types that this version does
/// not know are read like any other.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    /// The version of the format: 1.
    pub v: u64,
    /// What happened: `run.opened`, `call.decided`, …
    pub r#type: String,
    /// When it was recorded, in RFC 3339 form.
    pub time: String,
    /// Whose chain it belongs to: a run's id, or `gateway`.
    pub run: String,
    /// Its number in the chain, from 1, without gaps.
    pub seq: u64,
    /// The digest of the chain's previous record.
    pub prev: String,
    /// Who launched the run.
    pub launcher: Option<String>,
    /// The run's task.
    pub task: Option<String>,
    /// The target's name.
    pub target: Option<String>,
    /// The call that was decided about.
    pub call: Option<RecordedCall>,
    /// What was decided.
    pub decision: Option<RecordedDecision>,
    /// How the call ended.
    pub outcome: Option<RecordedOutcome>,
    /// The protocol of the call that ended. Older records do not say.
    pub protocol: Option<String>,
    /// What its protocol calls the command that ended.
    pub verb: Option<String>,
    /// The `seq` of the decision that this is the outcome of.
    pub of: Option<u64>,
    /// The payload that goes with it.
    pub payload: Option<RecordedPayload>,
    /// The login that was denied.
    pub login: Option<RecordedLogin>,
    /// The log that continues this one.
    pub continued_by: Option<ContinuedBy>,
    /// The log that this one continues.
    pub continues: Option<Continues>,
    /// Which records were removed.
    pub pruned: Option<RecordedPruned>,
    /// Whose payloads were erased.
    pub erased: Option<RecordedErased>,
    /// How the run's process is confined.
    pub confinement: Option<String>,
    /// When the run ends at the latest, in RFC 3339 form.
    pub expires: Option<String>,
    /// The digest of the run's scope.
    pub scope_digest: Option<String>,
    /// Why the run ended.
    pub ending: Option<String>,
    /// How many records the closed run has, this one included.
    pub count: Option<u64>,
    /// The digest of the closed run's record before this one.
    pub last: Option<String>,
    /// The gateway's version.
    pub version: Option<String>,
    /// The witness that has signed another history.
    pub witness: Option<RecordedWitness>,
    /// The approval that was asked for or decided.
    pub approval: Option<RecordedApproval>,
    /// Who closed, revoked, suspended or resumed the run, had the index made anew or the policy loaded, or signed in.
    pub by: Option<String>,
    /// What took the place of what.
    pub policy: Option<RecordedPolicy>,
    /// How it is known who signed in.
    pub via: Option<String>,
    /// What whoever signed in may do.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The rule that matched.
    pub signal: Option<RecordedSignal>,
    /// Whose payloads were shown.
    pub viewed: Option<RecordedViewed>,
    /// What a run's trail was found to be.
    pub verified: Option<RecordedVerified>,
}

impl Record {
    /// Reads a record from its bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}

/// The digests of all tasks and guardrails that were in force and that are, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedPolicy {
    /// Those that were.
    pub before: String,
    /// Those that are from this record on.
    pub after: String,
}

/// A call, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedCall {
    /// The protocol's name.
    pub protocol: String,
    /// What the protocol calls the command.
    pub verb: String,
    /// What it does.
    pub actions: Vec<RecordedAction>,
    /// How many actions were left out, to keep the record short.
    #[serde(default)]
    pub more_actions: u64,
    /// The keyed digest of exactly what the agent sent.
    pub fingerprint: String,
}

/// An action, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedAction {
    /// The authority it needs.
    pub class: String,
    /// What it does.
    pub verb: String,
    /// What it does it to.
    pub resource: RecordedResource,
    /// The columns it touches.
    #[serde(default)]
    pub columns: Vec<String>,
    /// How many columns were left out.
    #[serde(default)]
    pub more_columns: u64,
}

/// `select public.tickets (id, subject, and 3 more)`.
impl fmt::Display for RecordedAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.resource.kind.as_str() {
            // It has a verb of its own.
            "request" => self.resource.fmt(f)?,
            _ => write!(f, "{} {}", self.verb, self.resource)?,
        }
        if !self.columns.is_empty() {
            write!(f, " ({}", self.columns.join(", "))?;
            if self.more_columns > 0 {
                write!(f, ", and {} more", self.more_columns)?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// A resource, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedResource {
    /// What sort of thing it is.
    pub kind: String,
    /// The schema it lives in, if its kind has one.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
}

/// `public.tickets`, `function public.f`, `GET /customers/42`, `the target`.
impl fmt::Display for RecordedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind.as_str() {
            "target" => return f.write_str("the target"),
            "table" | "request" => {}
            kind => write!(f, "{kind} ")?,
        }
        match &self.schema {
            Some(schema) if !schema.is_empty() => write!(f, "{schema}.{}", self.name),
            _ => f.write_str(&self.name),
        }
    }
}

/// A decision, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedDecision {
    /// `allow` or `deny`.
    pub effect: String,
    /// The approval that was used up for it.
    pub approval: Option<String>,
    /// The policies that decided it.
    pub policies: Vec<String>,
    /// How many policies were left out.
    #[serde(default)]
    pub more_policies: u64,
    /// The digest of the policies in force.
    pub policy_digest: String,
    /// Why it was denied.
    pub reason: Option<String>,
    /// What to ask for.
    pub remedy: Option<String>,
}

/// An outcome, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedOutcome {
    /// `ok`, `error`, `skipped`, `cut` or `indeterminate`.
    pub state: String,
    /// Rows returned or changed.
    pub rows: u64,
    /// Bytes returned to the agent.
    pub bytes: u64,
    /// The keyed digest of the result as the agent got it.
    pub digest: Option<String>,
    /// Values that were masked.
    pub masked: u64,
    /// The target's error code.
    pub error: Option<String>,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// A reference to a payload, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedPayload {
    /// Its name within the run.
    pub id: String,
    /// The SHA-256 digest of its encrypted form.
    pub digest: String,
    /// The length of its encrypted form.
    pub size: u64,
}

/// A denied login, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedLogin {
    /// Why it was denied.
    pub reason: String,
    /// The run it named, where that run was not open.
    pub run: Option<String>,
}

/// An erasure, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedErased {
    /// Who wanted it.
    pub by: String,
    /// The run whose payloads are gone.
    pub run: String,
}

/// A pruning, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedPruned {
    /// The index of the first record that stays.
    pub before: u64,
    /// The logs that this one continued and that are removed whole.
    #[serde(default)]
    pub logs: Vec<String>,
    /// Who wanted it.
    pub by: String,
}

/// A witness that disagrees, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedWitness {
    /// What the trust policy calls it.
    pub name: String,
    /// `larger` or `inconsistent`.
    pub problem: String,
    /// How many records the last checkpoint covers that it has signed.
    pub size: u64,
    /// How many there were in this log.
    pub ours: u64,
}

/// An approval, as it was asked for or decided.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedApproval {
    /// Its id.
    pub id: String,
    /// Who is asked: `group:data-owners`.
    #[serde(default)]
    pub approvers: Vec<String>,
    /// What was decided: `agree` (one yes of several), `approve`, `deny` or `lapse`.
    pub effect: Option<String>,
    /// Who decided.
    pub by: Option<String>,
    /// Until when it can be decided or, once approved, used, in RFC 3339 form.
    pub expires: Option<String>,
    /// The digest of the policies that hold the call.
    pub policy_digest: Option<String>,
}

/// A signal, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedSignal {
    /// What the configuration calls the rule.
    pub name: String,
    /// What the rule looks for.
    pub rule: String,
    /// The record that made it match: `RUN/SEQ`.
    pub of: String,
    /// What is done about it.
    pub actions: Vec<String>,
}

/// A check of a run's trail, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedVerified {
    /// Who wanted it.
    pub by: String,
    /// Whose trail.
    pub run: String,
    /// How many records were found whole.
    pub records: u64,
    /// How many of the last of them were not under the checkpoint yet.
    #[serde(default)]
    pub tail: u64,
    /// How many records of the log the checkpoint covers.
    #[serde(default)]
    pub size: u64,
    /// The witnesses that have cosigned it, by their names in the trust policy.
    #[serde(default)]
    pub witnesses: Vec<String>,
    /// What is wrong; nothing if it is whole.
    pub problem: Option<String>,
}

/// A view of payloads, as recorded.
#[derive(Clone, Debug, Deserialize)]
pub struct RecordedViewed {
    /// Who was shown them.
    pub by: String,
    /// Whose they are: a run's id, or `gateway`.
    pub chain: String,
    /// The `seq` of the first record whose payload was shown.
    pub from: u64,
    /// Of the last one.
    pub to: u64,
}
