//! How an agent's requests may be framed in HTTP/1.1: in the one way that everybody reads alike. What
//! stands on the connection is looked at before it is parsed, because the parser forgives: it takes a bare
//! line feed for the end of a line, and lets one of two lengths win. Whoever reads the same bytes in front
//! of the gateway may forgive otherwise, and would see other requests in them (request smuggling; RFC 9112,
//! section 11.2).
//!
//! What is refused here reaches the parser as what no message has there, so that it answers as it
//! does to every malformed message, and ends the connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits::FIELDS_BYTES_MAX;

/// Stands in no head and no chunk's size. The parser waits for the end of a head before it looks at it again.
const IN_NO_MESSAGE: &[u8] = b"\0\r\n\r\n";

/// How HTTP/2 begins (RFC 9113, section 3.4); it frames in binary.
const HTTP2: &[u8] = b"PRI * HTTP/2.0";

/// A connection of an agent whose requests are framed in one way.
pub(crate) struct Strict<S> {
    stream: S,
    scanner: Scanner,
    /// What the parser is still to get instead of what was refused.
    instead: &'static [u8],
    switched: Switched,
}

/// What a connection and whoever serves it say to one another.
#[derive(Clone, Default)]
pub(crate) struct Switched(Arc<Marks>);

#[derive(Default)]
struct Marks {
    switched: AtomicBool,
    refused: AtomicBool,
}

impl Switched {
    /// What comes from now on is not HTTP/1.1 any more. To be called before the agent is told.
    pub(crate) fn switch(&self) {
        self.0.switched.store(true, Ordering::Release);
    }

    /// Whether something was refused.
    pub(crate) fn has_refused(&self) -> bool {
        self.0.refused.load(Ordering::Acquire)
    }
}

impl<S> Strict<S> {
    pub(crate) fn new(stream: S, switched: Switched) -> Self {
        Self {
            stream,
            scanner: Scanner::default(),
            instead: IN_NO_MESSAGE,
            switched,
        }
    }

    fn put_instead(&mut self, buffer: &mut ReadBuf<'_>) {
        let room = self.instead.len().min(buffer.remaining());
        let (now, later) = self.instead.split_at(room);
        buffer.put_slice(now);
        self.instead = later;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if matches!(self.scanner.at, At::Refused) {
            self.put_instead(buffer);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if matches!(self.scanner.at, At::Binary) || self.switched.0.switched.load(Ordering::Acquire)
        {
            return Poll::Ready(Ok(()));
        }
        let read = buffer.filled().get(before..).unwrap_or_default();
        if let Err(good) = self.scanner.scan(read) {
            self.scanner.at = At::Refused;
            self.switched.0.refused.store(true, Ordering::Release);
            buffer.set_filled(before + good);
            self.put_instead(buffer);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Where in its requests a connection is.
#[derive(Default)]
struct Scanner {
    at: At,
    /// Whether a request has begun before.
    begun: bool,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Bytes of the head or the trailer fields so far.
    bytes: usize,
    /// What the head says of its content.
    length: Option<u64>,
    chunked: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before or within a request's first line.
    #[default]
    Start,
    /// In its header fields.
    Fields,
    /// In content, with so many bytes to come.
    Content(u64),
    /// In a line with a chunk's size.
    ChunkSize,
    /// In a chunk, with so many bytes to come.
    Chunk(u64),
    /// Behind a chunk.
    ChunkEnd,
    /// In trailer fields.
    Trailers,
    /// In HTTP/2.
    Binary,
    /// Behind what was refused.
    Refused,
}

struct Odd;

impl Scanner {
    /// Looks at the next bytes. If not all of them are good, says how many are; there is at least one more.
    fn scan(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            at += match self.at {
                At::Content(left) => self.skip(left, rest, At::Content, At::Start),
                At::Chunk(left) => self.skip(left, rest, At::Chunk, At::ChunkEnd),
                At::Binary | At::Refused => return Ok(()),
                At::Start | At::Fields | At::ChunkSize | At::ChunkEnd | At::Trailers => {
                    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                        self.bytes += rest.len();
                        self.line.extend_from_slice(rest);
                        return match self.bytes > FIELDS_BYTES_MAX {
                            true => Err(at),
                            false => Ok(()),
                        };
                    };
                    let (line, _) = rest.split_at(end);
                    if self.ended(line).is_err() {
                        // Not the end of the line: what is without it says nothing yet.
                        return Err(at + end.saturating_sub(1));
                    }
                    end + 1
                }
            };
        }
        Ok(())
    }

    /// Passes over content; says how much.
    fn skip(&mut self, left: u64, rest: &[u8], same: fn(u64) -> At, then: At) -> usize {
        let skipped = left.min(rest.len() as u64);
        self.at = match left - skipped {
            0 => then,
            left => same(left),
        };
        // No more than there are bytes in memory.
        skipped as usize
    }

    /// A line has ended, with this behind what there was of it.
    fn ended(&mut self, more: &[u8]) -> Result<(), Odd> {
        self.bytes += more.len() + 1;
        if self.bytes > FIELDS_BYTES_MAX {
            return Err(Odd);
        }
        let before = std::mem::take(&mut self.line);
        let joined;
        let line = if before.is_empty() {
            more
        } else {
            joined = [&before[..], more].concat();
            &joined[..]
        };
        let line = line.strip_suffix(b"\r").ok_or(Odd)?;
        if line.contains(&b'\r') {
            return Err(Odd);
        }
        self.at = match (self.at, line) {
            (At::Start, HTTP2) if !self.begun => At::Binary,
            // RFC 9112, section 2.2: an empty line before a request is passed over.
            (At::Start, b"") => At::Start,
            (At::Start, _) => {
                self.begun = true;
                (self.length, self.chunked) = (None, false);
                At::Fields
            }
            (At::Fields, b"") => {
                self.bytes = 0;
                match (self.length, self.chunked) {
                    (None, true) => At::ChunkSize,
                    (None | Some(0), false) => At::Start,
                    (Some(length), false) => At::Content(length),
                    (Some(_), true) => return Err(Odd),
                }
            }
            (At::Fields, field) => {
                self.field(field)?;
                At::Fields
            }
            (At::ChunkSize, size) => {
                self.bytes = 0;
                match chunk_size(size)? {
                    0 => At::Trailers,
                    size => At::Chunk(size),
                }
            }
            (At::ChunkEnd, b"") => At::ChunkSize,
            (At::Trailers, b"") => {
                self.bytes = 0;
                At::Start
            }
            (At::Trailers, _) => At::Trailers,
            _ => return Err(Odd),
        };
        Ok(())
    }

    /// Looks at a header field for what it says of the content.
    fn field(&mut self, field: &[u8]) -> Result<(), Odd> {
        let colon = field.iter().position(|byte| *byte == b':').ok_or(Odd)?;
        let (name, value) = field.split_at(colon);
        // A field that begins with a space would be the rest of the one before it (RFC 9112, section 5.2).
        if name.is_empty() || name.iter().any(|byte| byte.is_ascii_whitespace()) {
            return Err(Odd);
        }
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            if self.chunked || self.length.replace(decimal(value)?).is_some() {
                return Err(Odd);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding")
            && (self.length.is_some()
                || std::mem::replace(&mut self.chunked, true)
                || !value.eq_ignore_ascii_case(b"chunked"))
        {
            return Err(Odd);
        }
        Ok(())
    }
}

/// Digits and nothing else.
fn decimal(text: &[u8]) -> Result<u64, Odd> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(Odd);
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Odd)
}

/// The size of a chunk, without extensions: nobody uses them for anything good.
fn chunk_size(text: &[u8]) -> Result<u64, Odd> {
    if text.is_empty() || text.len() > 15 || !text.iter().all(u8::is_ascii_hexdigit) {
        return Err(Odd);
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| u64::from_str_radix(text, 16).ok())
        .ok_or(Odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes are good, cut into pieces of this size; nothing if all are.
    fn good(bytes: &[u8], size: usize) -> Option<usize> {
        let mut scanner = Scanner::default();
        for (index, piece) in bytes.chunks(size).enumerate() {
            if let Err(good) = scanner.scan(piece) {
                assert!(good < piece.len());
                return Some(index * size + good);
            }
        }
        None
    }

    #[test]
    fn what_can_be_read_in_one_way_passes_however_it_is_cut() {
        let requests = b"\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n\
            POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n\n\n\r\n\rGET / HTTP/1.1\r\n\r\n\
            POST /a HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n\
            3\r\n\n\n\n\r\n0A\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n\
            GET /b HTTP/1.1\r\n\r\n";
        for size in [1, 2, 3, 7, 64, requests.len()] {
            assert_eq!(good(requests, size), None, "{size}");
        }
        let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\n\n";
        for size in [1, 5, http2.len()] {
            assert_eq!(good(http2, size), None, "{size}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_stops_before_it_can_be_read_at_all() {
        let head = "POST / HTTP/1.1\r\nhost: a\r\n";
        for bad in [
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
            "content-length: 5\r\ncontent-length: 5\r\n",
            "content-length: 5, 5\r\n",
            "content-length: +5\r\n",
            "content-length: 0x5\r\n",
            "content-length:\r\n",
            "content-length: 99999999999999999999\r\n",
            "content-length : 5\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: \u{b}chunked\r\n",
            "transfer-encoding: identity\r\n",
            "a: b\r\n c: d\r\n",
            "a: b\n",
            "a: b\rc: d\r\n",
            "a\r\n",
            "transfer-encoding: chunked\r\n\r\n5;a=b\r\n",
            "transfer-encoding: chunked\r\n\r\n 5\r\n",
            "transfer-encoding: chunked\r\n\r\n5\n",
            "transfer-encoding: chunked\r\n\r\n-5\r\n",
            "transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "transfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
        ] {
            let all = format!("{head}{bad}");
            for size in [1, 2, 3, 7, all.len()] {
                let good = good(all.as_bytes(), size);
                assert!(good.is_some_and(|good| good < all.len()), "{bad:?} {size}");
            }
        }
        let long = format!("{head}a: {}", "x".repeat(FIELDS_BYTES_MAX));
        assert!(good(long.as_bytes(), 1024).is_some());
        let many = format!("{head}{}", "a: b\r\n".repeat(FIELDS_BYTES_MAX));
        assert!(good(many.as_bytes(), 1024).is_some());
        // HTTP/2 begins at the beginning only.
        assert!(good(b"GET / HTTP/1.1\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\n\n", 9).is_some());
    }
}
