//! PostgreSQL's frames (protocol 3.0,
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>): cutting them out of a
//! stream, and reading the fields of a body. Nothing here knows what a message means.

use bytes::{Buf, Bytes, BytesMut};

use crate::limits::{BUFFER_BYTES_KEPT, NAME_BYTES_MAX};
use crate::{Fault, Result};

/// One whole message: its type and its body, without the length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) tag: u8,
    /// The whole message as it was sent: tag, length and body.
    pub(crate) whole: Bytes,
}

/// Bytes of a message before its body: the tag and the length.
const HEADER: usize = 5;

impl Frame {
    pub(crate) fn body(&self) -> Bytes {
        self.whole.slice(HEADER.min(self.whole.len())..)
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader(self.body())
    }
}

/// Who sent a stream of frames, so that a broken one is blamed on the right side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sender {
    Agent,
    Target,
}

impl Sender {
    pub(crate) fn fault(self, what: impl Into<String>) -> Fault {
        match self {
            Sender::Agent => Fault::Agent(what.into()),
            Sender::Target => Fault::Target(what.into()),
        }
    }
}

/// Cuts the next typed message off the buffer; nothing while it is not whole.
pub(crate) fn take(buffer: &mut BytesMut, sender: Sender, max: usize) -> Result<Option<Frame>> {
    let Some(&[tag, a, b, c, d]) = buffer.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = declared(u32::from_be_bytes([a, b, c, d]), 4, max, sender)?;
    if buffer.len() <= length {
        return Ok(None);
    }
    let whole = buffer.split_to(length + 1).freeze();
    Ok(Some(Frame { tag, whole }))
}

/// Lets an empty buffer go that has held a long message: the session may stay idle for long. Its capacity is only
/// what is behind the bytes that were taken.
pub(crate) fn give_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.try_reclaim(BUFFER_BYTES_KEPT + 1) {
        *buffer = BytesMut::new();
    }
}

/// Cuts the next startup packet (which has no type) off the buffer; returns its body.
pub(crate) fn take_startup(buffer: &mut BytesMut, max: usize) -> Result<Option<Bytes>> {
    let Some(&length) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = declared(u32::from_be_bytes(length), 8, max, Sender::Agent)?;
    if buffer.len() < length {
        return Ok(None);
    }
    let mut packet = buffer.split_to(length).freeze();
    packet.advance(4);
    Ok(Some(packet))
}

/// A declared length that is within its limits, before anything is waited for or allocated.
fn declared(length: u32, min: usize, max: usize, sender: Sender) -> Result<usize> {
    match usize::try_from(length) {
        Ok(length) if length < min => Err(sender.fault(format!(
            "a message that says it is {length} bytes long, shorter than its own header"
        ))),
        Ok(length) if length <= max => Ok(length),
        _ => Err(sender.fault(format!(
            "a message of {length} bytes; the limit here is {max}"
        ))),
    }
}

/// Reads the fields of a body, front to back. `None` means that the body is too short or malformed.
pub(crate) struct Reader(pub(crate) Bytes);

impl Reader {
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.0.try_get_u8().ok()
    }

    pub(crate) fn i16(&mut self) -> Option<i16> {
        self.0.try_get_i16().ok()
    }

    pub(crate) fn i32(&mut self) -> Option<i32> {
        self.0.try_get_i32().ok()
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.0.try_get_u32().ok()
    }

    /// A count that must not be negative nor over `max`.
    pub(crate) fn count(&mut self, max: usize) -> Option<usize> {
        // Counts go up to 65,535: PostgreSQL reads them as unsigned.
        let count = usize::from(self.i16()?.cast_unsigned());
        (count <= max).then_some(count)
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Option<Bytes> {
        (length <= self.0.len()).then(|| self.0.split_to(length))
    }

    /// A string up to and without its terminating zero, as bytes.
    pub(crate) fn c_bytes(&mut self) -> Option<Bytes> {
        let end = self.0.iter().position(|byte| *byte == 0)?;
        let bytes = self.0.split_to(end);
        self.0.advance(1);
        Some(bytes)
    }

    /// A string up to its terminating zero, which must be UTF-8.
    pub(crate) fn c_string(&mut self) -> Option<String> {
        String::from_utf8(self.c_bytes()?.to_vec()).ok()
    }

    /// The name of a statement or portal. The server looks at its first 63 bytes alone (NAMEDATALEN),
    /// so that two longer ones could be the same to it and not to us.
    pub(crate) fn name(&mut self) -> Option<String> {
        self.c_string().filter(|name| name.len() <= NAME_BYTES_MAX)
    }

    /// A value preceded by its length; the inner nothing is NULL.
    pub(crate) fn value(&mut self) -> Option<Option<Bytes>> {
        match self.i32()? {
            -1 => Some(None),
            length => Some(Some(self.bytes(usize::try_from(length).ok()?)?)),
        }
    }

    pub(crate) fn rest(self) -> Bytes {
        self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(bytes: &[u8]) -> BytesMut {
        BytesMut::from(bytes)
    }

    #[test]
    fn a_message_is_taken_only_when_whole() {
        let whole = b"Q\0\0\0\x06x\0";
        for cut in 0..whole.len() {
            let mut half = buffer(&whole[..cut]);
            assert_eq!(take(&mut half, Sender::Agent, 100), Ok(None));
            assert_eq!(half.len(), cut, "nothing is lost");
        }
        let mut two = buffer(b"Q\0\0\0\x06x\0S\0\0\0\x04");
        let first = take(&mut two, Sender::Agent, 100).unwrap().unwrap();
        assert_eq!((first.tag, &*first.body()), (b'Q', &b"x\0"[..]));
        let second = take(&mut two, Sender::Agent, 100).unwrap().unwrap();
        assert_eq!((second.tag, second.body().len()), (b'S', 0));
    }

    #[test]
    fn absurd_lengths_are_refused_before_they_are_waited_for() {
        for length in [0u32, 3, 101, 1 << 30, u32::MAX] {
            let mut bytes = buffer(b"Q");
            bytes.extend_from_slice(&length.to_be_bytes());
            assert!(take(&mut bytes, Sender::Agent, 100).is_err(), "{length}");
        }
        let mut startup = buffer(&(1u32 << 30).to_be_bytes());
        assert!(take_startup(&mut startup, 10_000).is_err());
    }

    #[test]
    fn short_bodies_read_as_nothing() {
        let mut reader = Reader(Bytes::from_static(b"\0\0\0\x09abc"));
        assert_eq!(reader.value(), None);
        assert_eq!(Reader(Bytes::from_static(b"abc")).c_bytes(), None);
        assert_eq!(
            Reader(Bytes::from_static(b"\xff\xff\xff\xfe")).value(),
            None
        );
        let mut null = Reader(Bytes::from_static(b"\xff\xff\xff\xff"));
        assert_eq!(null.value(), Some(None));
    }
}
