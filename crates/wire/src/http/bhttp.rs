//! HTTP messages between the gateway's sockets and a session, in the binary form of RFC 9292 with
//! contents of indeterminate length. It has one way to say each thing: which bytes are the path, a field's
//! value or the content is never a matter of parsing, so a message cannot mean one thing to the session
//! that decides it and another to whoever sends it on.
//!
//! A session is one exchange: it takes one request and gives one response. In both directions messages
//! come in pieces, cut anywhere; [`Reader`] puts them together. A WebSocket is an exchange whose request
//! has the method [`WEBSOCKET`]; then each chunk of content is one message: its opcode (one byte: 1 text,
//! 2 binary), then its data. The end closes it, and its field `close` says why: a status code (RFC 6455,
//! section 7.4.1), a space, and words.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The method by which a request for a WebSocket (RFC 6455, RFC 8441) is known here and in task files.
pub const WEBSOCKET: &str = "WEBSOCKET";

/// The largest head of a message, in bytes.
pub const HEAD_BYTES_MAX: usize = 128 * 1024;

/// The most fields of a head or trailer.
pub const FIELDS_MAX: usize = 256;

/// The largest chunk of content, in bytes. Longer content goes in several; a WebSocket's message may not
/// be longer.
pub const CHUNK_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A head's fields in order: names in lower case, values as they are.
pub type Fields = Vec<(String, Bytes)>;

/// The head of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The method, as sent.
    pub method: String,
    /// `http` or `https`, of a request that takes the gateway for a proxy; else empty.
    pub scheme: String,
    /// The host, and the port if there is one, of a request that takes the gateway for a proxy; else empty:
    /// then the path begins with the target's name.
    pub authority: String,
    /// The path and the query, exactly as sent.
    pub path: String,
    /// The header fields, without those of the connection itself (RFC 9110, section 7.6.1).
    pub fields: Fields,
}

/// The head of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status; of a final response only (200 to 599), or 101 for a WebSocket that was accepted.
    pub status: u16,
    /// The header fields, without those of the connection itself.
    pub fields: Fields,
}

/// The value of the first field of this name.
pub fn field<'a>(fields: &'a [(String, Bytes)], name: &str) -> Option<&'a [u8]> {
    let mut fields = fields.iter();
    fields
        .find(|(key, _)| key == name)
        .map(|(_, value)| &value[..])
}

const REQUEST: u64 = 2;
const RESPONSE: u64 = 3;

/// Appends the head of a request.
pub fn put_request(out: &mut BytesMut, head: &Request) {
    put_varint(out, REQUEST);
    for part in [&head.method, &head.scheme, &head.authority, &head.path] {
        put_bytes(out, part.as_bytes());
    }
    put_fields(out, &head.fields);
}

/// Appends the head of a response.
pub fn put_response(out: &mut BytesMut, head: &Response) {
    put_varint(out, RESPONSE);
    put_varint(out, u64::from(head.status));
    put_fields(out, &head.fields);
}

/// Appends content. Nothing for no bytes: an empty chunk would be the end. For a WebSocket, one message;
/// else cut into several chunks where it is too long for one.
pub fn put_content(out: &mut BytesMut, content: &[u8]) {
    for chunk in content.chunks(CHUNK_BYTES_MAX) {
        put_bytes(out, chunk);
    }
}

/// Appends the end of the content, and the trailer fields.
pub fn put_end(out: &mut BytesMut, trailers: &[(String, Bytes)]) {
    put_varint(out, 0);
    put_fields(out, trailers);
}

fn put_fields(out: &mut BytesMut, fields: &[(String, Bytes)]) {
    for (name, value) in fields {
        put_bytes(out, name.as_bytes());
        put_bytes(out, value);
    }
    put_varint(out, 0);
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// A variable-length integer (RFC 9000, section 16).
fn put_varint(out: &mut BytesMut, value: u64) {
    match value {
        0..0x40 => out.put_u8(value as u8),
        0x40..0x4000 => out.put_u16(value as u16 | 0x4000),
        0x4000..0x4000_0000 => out.put_u32(value as u32 | 0x8000_0000),
        // No length in memory has more than 62 bits.
        _ => out.put_u64(value | 0xc000_0000_0000_0000),
    }
}

/// The next part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The head of a request.
    Request(Request),
    /// The head of a response.
    Response(Response),
    /// Content; at least one byte. A chunk exactly as it was put in.
    Content(Bytes),
    /// The end of the message, with its trailer fields.
    End(Fields),
}

/// The bytes are no message in this form. Both sides of it are ours, so it is a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a malformed message between session and socket")]
pub struct Malformed;

/// Reads messages from pieces.
#[derive(Debug, Default)]
pub struct Reader {
    input: BytesMut,
    in_content: bool,
}

impl Reader {
    /// Takes a piece.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Bytes that were taken and are in no part yet.
    pub fn waiting(&self) -> usize {
        self.input.len()
    }

    /// The next part, once it is there whole.
    ///
    /// # Errors
    /// If the bytes are no message.
    #[expect(
        clippy::should_implement_trait,
        reason = "it goes on after there was nothing, once more is taken"
    )]
    pub fn next(&mut self) -> Result<Option<Part>, Malformed> {
        let mut cursor = Cursor(&self.input);
        let parsed = if self.in_content {
            cursor.content()
        } else {
            cursor.head()
        };
        match parsed {
            Ok(parsed) => {
                let used = self.input.len() - cursor.0.len();
                let part = match parsed {
                    Parsed::Part(part) => {
                        self.input.advance(used);
                        part
                    }
                    Parsed::Chunk(length) => {
                        self.input.advance(used - length);
                        Part::Content(self.input.split_to(length).freeze())
                    }
                };
                self.in_content = !matches!(part, Part::End(_));
                Ok(Some(part))
            }
            Err(Stop::More) => Ok(None),
            Err(Stop::Malformed) => Err(Malformed),
        }
    }
}

enum Parsed {
    Part(Part),
    /// The last so many bytes that were read are a chunk.
    Chunk(usize),
}

enum Stop {
    More,
    Malformed,
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn head(&mut self) -> Result<Parsed, Stop> {
        let part = match self.varint()? {
            REQUEST => Part::Request(Request {
                method: self.text()?,
                scheme: self.text()?,
                authority: self.text()?,
                path: self.text()?,
                fields: self.fields()?,
            }),
            RESPONSE => Part::Response(Response {
                status: u16::try_from(self.varint()?).map_err(|_| Stop::Malformed)?,
                fields: self.fields()?,
            }),
            _ => return Err(Stop::Malformed),
        };
        Ok(Parsed::Part(part))
    }

    fn content(&mut self) -> Result<Parsed, Stop> {
        let length = self.varint()?;
        if length == 0 {
            return Ok(Parsed::Part(Part::End(self.fields()?)));
        }
        let length = usize::try_from(length).map_err(|_| Stop::Malformed)?;
        if length > CHUNK_BYTES_MAX {
            return Err(Stop::Malformed);
        }
        self.take(length)?;
        Ok(Parsed::Chunk(length))
    }

    fn fields(&mut self) -> Result<Fields, Stop> {
        let mut fields = Fields::new();
        loop {
            let name = self.text()?;
            if name.is_empty() {
                return Ok(fields);
            }
            if fields.len() == FIELDS_MAX {
                return Err(Stop::Malformed);
            }
            let value = self.bytes()?;
            fields.push((name, Bytes::copy_from_slice(value)));
        }
    }

    fn text(&mut self) -> Result<String, Stop> {
        let bytes = self.bytes()?;
        let text = std::str::from_utf8(bytes).map_err(|_| Stop::Malformed)?;
        Ok(text.to_owned())
    }

    fn bytes(&mut self) -> Result<&'a [u8], Stop> {
        let length = usize::try_from(self.varint()?).map_err(|_| Stop::Malformed)?;
        if length > HEAD_BYTES_MAX {
            return Err(Stop::Malformed);
        }
        self.take(length)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Stop> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Stop::More)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Stop> {
        let first = *self.0.first().ok_or(Stop::More)?;
        let length = 1_usize << (first >> 6);
        let bytes = self.take(length)?;
        let value = bytes
            .iter()
            .fold(0, |value: u64, byte| value << 8 | u64::from(*byte));
        Ok(value & (u64::MAX >> (64 - (8 * length - 2))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request {
            method: "POST".into(),
            scheme: String::new(),
            authority: String::new(),
            path: "/crm/tickets/5/comments?notify=false".into(),
            fields: vec![
                (
                    "content-type".into(),
                    Bytes::from_static(b"application/json"),
                ),
                ("x-odd".into(), Bytes::from_static(b"\xff: 1\r\nHost: evil")),
            ],
        }
    }

    #[test]
    fn a_message_comes_back_as_it_was_however_it_is_cut() {
        let mut bytes = BytesMut::new();
        put_request(&mut bytes, &request());
        put_content(&mut bytes, b"one");
        put_content(&mut bytes, b"");
        put_content(&mut bytes, &[b'x'; 70_000]);
        put_end(&mut bytes, &[("x-sum".into(), Bytes::from_static(b"9"))]);
        put_response(
            &mut bytes,
            &Response {
                status: 204,
                fields: Fields::new(),
            },
        );
        put_end(&mut bytes, &[]);
        let expected = [
            Part::Request(request()),
            Part::Content(Bytes::from_static(b"one")),
            Part::Content(Bytes::from(vec![b'x'; 70_000])),
            Part::End(vec![("x-sum".into(), Bytes::from_static(b"9"))]),
            Part::Response(Response {
                status: 204,
                fields: Fields::new(),
            }),
            Part::End(Fields::new()),
        ];
        for size in [1, 7, 4096, bytes.len()] {
            let mut reader = Reader::default();
            let mut parts = Vec::new();
            for piece in bytes.chunks(size) {
                reader.push(piece);
                while let Some(part) = reader.next().unwrap() {
                    parts.push(part);
                }
            }
            assert_eq!(parts, expected, "{size}");
            assert_eq!(reader.waiting(), 0);
        }
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_there() {
        let mut reader = Reader::default();
        let mut bytes = BytesMut::new();
        put_varint(&mut bytes, REQUEST);
        put_varint(&mut bytes, 1 << 40);
        reader.push(&bytes);
        assert_eq!(reader.next(), Err(Malformed));
    }
}
