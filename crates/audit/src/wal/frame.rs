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

const RECORD: u8 = 1;
const WITH_KEY: u8 = 2;
const WITH_PAYLOAD: u8 = 4;

/// What a frame holds: a record, perhaps a wrapped key, perhaps an encrypted payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    kind: u8,
    /// Length of the record as u32, record, wrapped key, payload.
    bytes: Vec<u8>,
}

impl Body {
    pub(crate) fn new(record: &[u8], key: Option<&[u8]>, payload: Option<&[u8]>) -> Self {
        let parts = [key.unwrap_or_default(), payload.unwrap_or_default()];
        let mut bytes =
            Vec::with_capacity(4 + record.len() + parts.map(<[u8]>::len).iter().sum::<usize>());
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_be_bytes());
        bytes.extend_from_slice(record);
        for part in parts {
            bytes.extend_from_slice(part);
        }
        let key = if key.is_some() { WITH_KEY } else { 0 };
        let payload = if payload.is_some() { WITH_PAYLOAD } else { 0 };
        Self {
            kind: RECORD | key | payload,
            bytes,
        }
    }

    /// The parts; nothing if they do not fit together.
    fn parse(kind: u8, bytes: &[u8]) -> Option<Self> {
        let body = Self {
            kind,
            bytes: bytes.to_owned(),
        };
        let known = kind & RECORD != 0 && kind & !(RECORD | WITH_KEY | WITH_PAYLOAD) == 0;
        let key_end = body.key_range().end;
        let fits = match kind & WITH_PAYLOAD {
            0 => key_end == bytes.len(),
            _ => key_end < bytes.len(),
        };
        (known && bytes.len() >= 4 && fits).then_some(body)
    }

    /// The record's exact bytes.
    pub(crate) fn record(&self) -> &[u8] {
        self.bytes.get(self.record_range()).unwrap_or_default()
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

    /// How long its frame is.
    pub(crate) fn frame_len(&self) -> usize {
        HEAD + FIXED + self.bytes.len()
    }

    fn record_range(&self) -> Range<usize> {
        let length = self
            .bytes
            .first_chunk::<4>()
            .map_or(0, |length| u32::from_be_bytes(*length));
        4..4 + length as usize
    }

    fn key_range(&self) -> Range<usize> {
        let start = self.record_range().end;
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
    let length = u32::try_from(FIXED + body.bytes.len()).unwrap_or(u32::MAX);
    let mut fixed = [0; FIXED];
    let values = [body.kind]
        .into_iter()
        .chain(index.to_be_bytes())
        .chain(durable.to_be_bytes());
    fixed
        .iter_mut()
        .zip(values)
        .for_each(|(to, from)| *to = from);
    let checksum = checksum(length, &fixed, &body.bytes);
    batch.extend(length.to_be_bytes());
    batch.extend(checksum.to_be_bytes());
    batch.extend(fixed);
    batch.extend_from_slice(&body.bytes);
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
    let (fixed, body) = rest.split_first_chunk::<FIXED>()?;
    if checksum(length, fixed, body) != u32::from_be_bytes(*expected) {
        return None;
    }
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

fn checksum(length: u32, fixed: &[u8; FIXED], body: &[u8]) -> u32 {
    let checksum = crc32c::crc32c(&length.to_be_bytes());
    let checksum = crc32c::crc32c_append(checksum, fixed);
    crc32c::crc32c_append(checksum, body)
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
            let body = Body::new(b"{\"v\":1}", key, payload);
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
