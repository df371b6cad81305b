//! Reading the record for people: trails in pages, and what a run did, counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bailiwick_audit::{Entry, InOrder, ReadError, Reader, Record};
use bailiwick_run::ApprovalId;
use serde_json::value::RawValue;

use crate::api::{Counts, Trail, TrailRecord};
use crate::limits::{TRAIL_BYTES_MAX, TRAIL_RECORDS_MAX, TRAIL_TIME_MAX};
use crate::people::{Person, Role};

/// Which payloads come along with records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payloads {
    All,
    /// Nobody asked for them.
    Left,
    /// Those of calls that were put to one of these: `group:data-owners`, or the person themselves.
    PutTo(BTreeSet<String>),
    /// Whoever asks may see none.
    Withheld,
    /// Their gateway is there, or may be, to show them, and to record to whom.
    OfLive,
}

/// What somebody may see who wants payloads; nobody, where they are not wanted.
impl From<Option<&Person>> for Payloads {
    fn from(who: Option<&Person>) -> Self {
        match who {
            None => Self::Left,
            Some(who) if who.may(Role::Auditor) => Self::All,
            Some(who) if who.may(Role::Approver) => {
                let groups = who.groups.iter().map(|group| format!("group:{group}"));
                Self::PutTo(groups.chain([who.name.to_string()]).collect())
            }
            Some(_) => Self::Withheld,
        }
    }
}

impl Payloads {
    /// Why this record's payload does not come along, if it does not.
    fn missing(&self, entry: &Entry) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::Left => Some("it was not asked for"),
            Self::OfLive => Some(
                "a gateway has this folder, or may have it, and records who is shown payloads: ask without --data",
            ),
            Self::PutTo(names) => {
                let approval = entry.record.approval.as_ref();
                let approval = approval.filter(|_| entry.record.r#type == "call.held");
                let put = approval
                    .is_some_and(|asked| asked.approvers.iter().any(|name| names.contains(name)));
                (!put).then_some(
                    "an approver sees the payloads of calls that are put to them, and no others; the role \
                     `auditor` is for seeing them all",
                )
            }
            Self::Withheld => Some(
                "payloads are shown to whoever has the role `auditor`, under [roles] in bailiwick.toml",
            ),
        }
    }
}

/// As many of these records as fit an answer. Waits for the disk.
pub(crate) fn page(
    reader: &Reader,
    entries: &[Entry],
    payloads: &Payloads,
) -> Result<Trail, ReadError> {
    let begun = Instant::now();
    let mut records = Vec::new();
    let mut bytes = 0;
    let mut entries = entries.iter().peekable();
    let mut opened = reader.payloads()?;
    while records.len() < TRAIL_RECORDS_MAX
        && bytes < TRAIL_BYTES_MAX
        && begun.elapsed() < TRAIL_TIME_MAX
    {
        let Some(entry) = entries.next() else { break };
        let (record, size) = show(&mut opened, entry, payloads)?;
        records.push(record);
        bytes += size;
    }
    Ok(Trail {
        records,
        more: entries.peek().is_some(),
    })
}

/// One record, with its payload if that comes along, and how large they are.
pub(crate) fn show(
    opened: &mut InOrder,
    entry: &Entry,
    payloads: &Payloads,
) -> Result<(TrailRecord, usize), ReadError> {
    let unreadable = |reason: &str| ReadError::Record {
        index: entry.index,
        reason: reason.to_owned(),
    };
    let text = std::str::from_utf8(&entry.bytes).map_err(|_| unreadable("it is not UTF-8"))?;
    let record =
        RawValue::from_string(text.to_owned()).map_err(|_| unreadable("it is not JSON"))?;
    let mut size = entry.bytes.len();
    let has_payload = entry.record.payload.as_ref();
    let missing = has_payload.and_then(|_| payloads.missing(entry));
    let (payload, payload_missing) = match missing {
        Some(missing) => (None, Some(missing.to_owned())),
        None => match opened.payload(entry) {
            Ok(Some(payload)) => {
                size += payload.len();
                match serde_json::from_slice(&payload) {
                    Ok(payload) => (Some(payload), None),
                    Err(_) => (None, Some("the payload is not JSON".to_owned())),
                }
            }
            Ok(None) => (None, None),
            // A trail can be read without its payloads; that is what erasing them is for.
            Err(error) => (None, Some(error.to_string())),
        },
    };
    let record = TrailRecord {
        id: entry.id(),
        seq: entry.record.seq,
        index: entry.index,
        digest: entry.digest().to_string(),
        record,
        payload,
        payload_missing,
    };
    Ok((record, size))
}

/// What a run did.
pub(crate) fn counts(entries: &[Entry]) -> Counts {
    let mut counts = Counts::default();
    entries
        .iter()
        .for_each(|entry| count(&mut counts, &entry.record));
    counts
}

/// One record more of what a run did.
pub(crate) fn count(counts: &mut Counts, record: &Record) {
    let decision = record.decision.as_ref();
    match decision.map(|decision| decision.effect.as_str()) {
        Some("allow") => counts.allowed += 1,
        Some(_) => counts.denied += 1,
        None => {}
    }
    if record.login.is_some() {
        counts.denied += 1;
    }
    if let Some(outcome) = &record.outcome {
        counts.masked = counts.masked.saturating_add(outcome.masked);
    }
}

/// A call that was allowed and has no outcome.
pub(crate) struct Unfinished {
    /// The `seq` of its decision.
    pub(crate) of: u64,
    pub(crate) target: String,
    pub(crate) protocol: String,
    pub(crate) verb: String,
}

/// The calls that were allowed and have no outcome.
pub(crate) fn unfinished(entries: &[Entry]) -> Vec<Unfinished> {
    let finished: BTreeSet<u64> = entries.iter().filter_map(|entry| entry.record.of).collect();
    entries
        .iter()
        .map(|entry| &entry.record)
        .filter(|record| {
            record
                .decision
                .as_ref()
                .is_some_and(|d| d.effect == "allow")
        })
        .filter(|record| !finished.contains(&record.seq))
        .map(|record| {
            let call = record.call.as_ref();
            let text = |text: Option<&String>| text.cloned().unwrap_or_default();
            Unfinished {
                of: record.seq,
                target: text(record.target.as_ref()),
                protocol: text(call.map(|call| &call.protocol)),
                verb: text(call.map(|call| &call.verb)),
            }
        })
        .collect()
}

/// The calls that were held and can still be decided or made, as far as the record says: their approvals and the
/// numbers of their `call.held`.
pub(crate) fn unanswered(entries: &[Entry]) -> Vec<(ApprovalId, u64)> {
    let mut waiting = BTreeMap::new();
    for Entry { record, .. } in entries {
        let used = record.decision.as_ref().and_then(|d| d.approval.as_deref());
        if let Some(used) = used {
            waiting.remove(used);
        }
        let Some(approval) = &record.approval else {
            continue;
        };
        match approval.effect.as_deref() {
            None => drop(waiting.insert(approval.id.as_str(), record.seq)),
            // Approved is not made.
            Some("agree" | "approve") => {}
            Some(_) => drop(waiting.remove(approval.id.as_str())),
        }
    }
    let waiting = waiting.into_iter();
    waiting
        .filter_map(|(id, seq)| Some((id.parse().ok()?, seq)))
        .collect()
}
