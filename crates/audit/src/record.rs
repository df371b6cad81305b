//! What a record says, and its exact bytes: one JSON object in RFC 8785 form (keys sorted, no
//! spaces, integers only). `docs/log-format.md` describes every field.

mod event;
mod json;
mod room;
mod said;
mod shape;

use bailiwick_run::Time;
use serde::Serialize;

use crate::chain::ChainId;
use crate::digest::Digest;
use crate::limits;
pub use event::{
    ContinuedBy, Continues, Disagreement, Draft, Event, Found, Outcome, Ruling, State, Subject,
};
use json::Unfit;
use room::Room;

/// Where in its chain a record stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) chain: ChainId,
    pub(crate) seq: u64,
    pub(crate) prev: Digest,
    pub(crate) time: Time,
}

/// What a record says of its payload.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PayloadReference {
    pub(crate) digest: Digest,
    pub(crate) id: String,
    pub(crate) size: u64,
}

/// How much room most records need: what is more costs a move or two.
const USUAL: usize = 1536;

/// The record's bytes, with room behind them for its payload. Where they would be longer than the limit, lists and texts are shortened,
/// step by step, and the record says how many entries it leaves out.
pub(crate) fn encode(
    event: &Event,
    subject: &Subject,
    payload: Option<&PayloadReference>,
    place: &Place,
) -> Result<Vec<u8>, Unfit> {
    let follows = payload.map_or(0, |payload| usize::try_from(payload.size).unwrap_or(0));
    let mut bytes = Vec::with_capacity(USUAL + follows);
    for room in Room::STEPS {
        bytes.clear();
        json::append(
            &said::record(event, subject, payload, place, room),
            &mut bytes,
        )?;
        if bytes.len() <= limits::RECORD {
            break;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
