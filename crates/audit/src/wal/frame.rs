//! One record in the write-ahead log, with what must become durable together with it.
//!
//! `length u32 | crc32c u32 | kind u8 | index u64 | durable u64 | body`, integers big-endian, the
//! length that of everything after the checksum, the checksum over length and everything after it.
//! `durable` is how many records were known to be durable before this frame was written: it is
//! what tells a batch that never became whole from a record that was lost later.

use std::ops::Range;

use crate::limits;
use crate::payload::WRAPPED_KEY;

/// Length and checksum.
const HEAD: usize = 8;
/// Kind, index and durable.
const FIXED: usize = 17;
/// The length of the record, before it.
const LENGTH: usize = 4;

const RECORD: u8 = 1;
const WITH_KEY: u8 = 2;
const WITH_PAYLOAD: u8 = 4;

/// What a frame holds: a record, perhaps a wrapped key, perhaps an encrypted payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    kind: u8,
    /// How long the record is.
    length: u32,
    /// Record, wrapped key, payload.
    bytes: Vec<u8>,
}

impl Body {
    pub(crate) fn new(record: Vec<u8>, key: Option<&[u8]>, payload: Option<&[u8]>) -> Self {
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
        let mut bytes = record;
        let parts = [key.unwrap_or_default(), payload.unwrap_or_default()];
        bytes.reserve_exact(parts.iter().map(|part| part.len()).sum());
        for part in parts {
            bytes.extend_from_slice(part);
        }
        let key = if key.is_some() { WITH_KEY } else { 0 };
        let payload = if payload.is_some() { WITH_PAYLOAD } else { 0 };
        Self {
            kind: RECORD | key | payload,
            length,
            bytes,
        }
    }

    /// The parts; nothing if they do not fit together.
    fn parse(kind: u8, bytes: &[u8]) -> Option<Self> {
        let (length, bytes) = bytes.split_first_chunk::<LENGTH>()?;
        let body = Self {
            kind,
            length: u32::from_be_bytes(*length),
            bytes: bytes.to_owned(),
        };
        let known = kind & RECORD != 0 && kind & !(RECORD | WITH_KEY | WITH_PAYLOAD) == 0;
        let key_end = body.key_range().end;
        let fits = match kind & WITH_PAYLOAD {
            0 => key_end == bytes.len(),
            _ => key_end < bytes.len(),
        };
        (known && fits).then_some(body)
    }

    /// The record's exact bytes.
    pub(crate) fn record(&self) -> &[u8] {
        self.bytes.get(..self.length as usize).unwrap_or_default()
    }

    /// The chain's wrapped payload key, where it is used for the first time.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        (self.kind & WITH_KEY != 0).then(|| self.bytes.get(self.key_range()).unwrap_or_default())
    }

    /// The encrypted payload.
    pub(crate) fn payload(&self) -> Option<&[u8]> {
        let start = self.key_range().end;
        (self.kind & WITH_PAYLOAD != 0).then(|| self.bytes.get(start..).unwrap_or_default())
    }

    /// The record and the payload.
    pub(crate) fn into_parts(mut self) -> (Vec<u8>, Option<Vec<u8>>) {
        let payload = self.payload().map(<[u8]>::to_vec);
        self.bytes.truncate(self.length as usize);
        (self.bytes, payload)
    }

    /// How long its frame is.
    pub(crate) fn frame_len(&self) -> usize {
        HEAD + FIXED + self.len()
    }

    /// How long it is in its frame.
    fn len(&self) -> usize {
        LENGTH + self.bytes.len()
    }

    fn key_range(&self) -> Range<usize> {
        let start = self.length as usize;
        let length = if self.kind & WITH_KEY != 0 {
            WRAPPED_KEY
        } else {
            0
        };
        start..start.saturating_add(length)
    }
}

/// A frame, as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) index: u64,
    pub(crate) durable: u64,
    pub(crate) body: Body,
}

/// Writes a frame at the end of a batch.
pub(crate) fn encode(index: u64, durable: u64, body: &Body, batch: &mut Vec<u8>) {
    let length = u32::try_from(FIXED + body.len()).unwrap_or(u32::MAX);
    let begin = batch.len();
    batch.reserve(body.frame_len());
    batch.extend_from_slice(&length.to_be_bytes());
    batch.extend_from_slice(&[0; 4]);
    batch.push(body.kind);
    batch.extend_from_slice(&index.to_be_bytes());
    batch.extend_from_slice(&durable.to_be_bytes());
    batch.extend_from_slice(&body.length.to_be_bytes());
    batch.extend_from_slice(&body.bytes);
    let frame = batch.get_mut(begin..).unwrap_or_default();
    if let Some((head, rest)) = frame.split_first_chunk_mut::<HEAD>() {
        let checksum = checksum(length, rest);
        let (_, place) = head.split_at_mut(4);
        place.copy_from_slice(&checksum.to_be_bytes());
    }
}

/// Reads the frame at the start of these bytes, and how long it is; nothing if there is no whole
/// one.
pub(crate) fn decode(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (expected, rest) = rest.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*length);
    if !(FIXED..=limits::FRAME).contains(&(length as usize)) {
        return None;
    }
    let rest = rest.get(..length as usize)?;
    if checksum(length, rest) != u32::from_be_bytes(*expected) {
        return None;
    }
    let (fixed, body) = rest.split_first_chunk::<FIXED>()?;
    let [kind, numbers @ ..] = fixed;
    let (index, durable) = numbers.split_first_chunk::<8>()?;
    let frame = Frame {
        index: u64::from_be_bytes(*index),
        durable: u64::from_be_bytes(durable.try_into().ok()?),
        body: Body::parse(*kind, body)?,
    };
    Some((frame, HEAD + length as usize))
}

/// What a frame that begins here says was durable, unchecked.
pub(crate) fn durable(bytes: &[u8]) -> Option<u64> {
    let durable = bytes.get(HEAD + 9..HEAD + FIXED)?;
    Some(u64::from_be_bytes(durable.try_into().ok()?))
}

fn checksum(length: u32, rest: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length.to_be_bytes()), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_back_and_any_change_shows() {
        let key = [7; WRAPPED_KEY];
        for (key, payload) in [
            (None, None),
            (Some(&key[..]), None),
            (None, Some(&b"sealed"[..])),
            (Some(&key[..]), Some(&b"sealed"[..])),
        ] {
            let body = Body::new(b"{\"v\":1}".to_vec(), key, payload);
            let mut bytes = Vec::new();
            encode(9, 4, &body, &mut bytes);
            assert_eq!(bytes.len(), body.frame_len());
            bytes.extend([0; 10]);
            let (frame, length) = decode(&bytes).unwrap();
            assert_eq!(
                (frame.index, frame.durable, length),
                (9, 4, bytes.len() - 10)
            );
            assert_eq!(frame.body.record(), b"{\"v\":1}");
            assert_eq!(frame.body.key(), key);
            assert_eq!(frame.body.payload(), payload);
            for position in 0..length {
                for bit in 0..8 {
                    let mut altered = bytes.clone();
                    altered[position] ^= 1 << bit;
                    assert_eq!(decode(&altered), None, "{position}");
                }
            }
            assert_eq!(decode(&bytes[..length - 1]), None);
        }
        assert_eq!(decode(&[]), None);
        assert_eq!(decode(&[0; 64]), None);
    }
}
