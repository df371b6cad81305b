//! Reading the record for people: trails in pages, and what a run did, counted.

use std::collections::BTreeSet;
use std::time::Instant;

use bailiwick_audit::{Entry, InOrder, ReadError, Reader};
use serde_json::value::RawValue;

use crate::api::{Counts, Trail, TrailRecord};
use crate::limits::{TRAIL_BYTES_MAX, TRAIL_RECORDS_MAX, TRAIL_TIME_MAX};

/// The records after this number, with their payloads, as many as fit an answer. Waits for the disk.
pub(crate) fn page(reader: &Reader, entries: &[Entry], after: u64) -> Result<Trail, ReadError> {
    let begun = Instant::now();
    let mut records = Vec::new();
    let mut bytes = 0;
    let mut entries = entries
        .iter()
        .filter(|entry| entry.record.seq > after)
        .peekable();
    let mut payloads = reader.payloads()?;
    while records.len() < TRAIL_RECORDS_MAX
        && bytes < TRAIL_BYTES_MAX
        && begun.elapsed() < TRAIL_TIME_MAX
    {
        let Some(entry) = entries.next() else { break };
        let (record, size) = show(&mut payloads, entry)?;
        records.push(record);
        bytes += size;
    }
    Ok(Trail {
        records,
        more: entries.peek().is_some(),
    })
}

/// One record with its payload, and how large they are.
pub(crate) fn show(
    payloads: &mut InOrder,
    entry: &Entry,
) -> Result<(TrailRecord, usize), ReadError> {
    let unreadable = |reason: &str| ReadError::Record {
        index: entry.index,
        reason: reason.to_owned(),
    };
    let text = std::str::from_utf8(&entry.bytes).map_err(|_| unreadable("it is not UTF-8"))?;
    let record =
        RawValue::from_string(text.to_owned()).map_err(|_| unreadable("it is not JSON"))?;
    let mut size = entry.bytes.len();
    let (payload, payload_missing) = match payloads.payload(entry) {
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
    for Entry { record, .. } in entries {
        match record
            .decision
            .as_ref()
            .map(|decision| decision.effect.as_str())
        {
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
    counts
}

/// The calls that were allowed and have no outcome: their numbers and targets.
pub(crate) fn unfinished(entries: &[Entry]) -> Vec<(u64, String)> {
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
        .map(|record| (record.seq, record.target.clone().unwrap_or_default()))
        .collect()
}
