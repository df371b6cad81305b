//! Messages, built and taken apart.

use bytes::{Buf, BufMut, Bytes};

/// One message: its type and its body.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) tag: u8,
    pub(crate) body: Bytes,
}

/// Appends a message.
pub(crate) fn put(out: &mut Vec<u8>, tag: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    body(&mut content);
    out.put_u8(tag);
    out.put_u32(content.len() as u32 + 4);
    out.extend(content);
}

/// Appends a string and its end.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.put_u8(0);
}

/// Cuts the next message off, if it is whole.
pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Message> {
    let [tag, a, b, c, d] = *bytes.first_chunk::<5>()?;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    assert!(length >= 4, "a message shorter than its own header");
    if bytes.len() < length + 1 {
        return None;
    }
    let whole: Vec<u8> = bytes.drain(..length + 1).collect();
    Some(Message {
        tag,
        body: Bytes::from(whole).slice(5..),
    })
}

/// All messages in some bytes, which hold nothing else.
pub(crate) fn all(bytes: &[u8]) -> Vec<Message> {
    let mut rest = bytes.to_vec();
    let mut messages = Vec::new();
    while let Some(message) = take(&mut rest) {
        messages.push(message);
    }
    assert!(rest.is_empty(), "half a message: {rest:?}");
    messages
}

/// Reads a string off the front.
pub(crate) fn string(body: &mut Bytes) -> Option<String> {
    let end = body.iter().position(|byte| *byte == 0)?;
    let text = body.split_to(end);
    body.advance(1);
    String::from_utf8(text.to_vec()).ok()
}

/// Whether these bytes stand anywhere in others.
pub(crate) fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The values of a row, without those that are NULL.
pub(crate) fn values(mut row: Bytes) -> Vec<Bytes> {
    let count = row.get_u16();
    let mut values = Vec::new();
    for _ in 0..count {
        if let Ok(length) = usize::try_from(row.get_i32()) {
            values.push(row.split_to(length));
        }
    }
    values
}
