//! Masks text of any other sort while it passes.

use std::sync::Arc;

use bytes::BytesMut;

use super::Broken;
use crate::Veil;
use crate::limits::TEXT_HELD_BYTES_MAX;

/// How much of a piece is taken at once.
const BATCH_BYTES: usize = 16 * 1024;

/// The detectors over a text that comes in pieces. What they would look at again, were more to follow, is
/// held; the veil says what that is ([`Veil::rewrite_start`]).
pub(super) struct Window {
    veil: Arc<dyn Veil>,
    held: Vec<u8>,
    /// How long `held` has to be before it is looked at again. As it grows with it, the work is linear
    /// however small the pieces are.
    next_look: usize,
    masked: u64,
}

impl Window {
    pub(super) fn new(veil: Arc<dyn Veil>) -> Self {
        Self {
            veil,
            held: Vec::new(),
            next_look: 0,
            masked: 0,
        }
    }

    pub(super) fn masked(&self) -> u64 {
        self.masked
    }

    pub(super) fn feed(&mut self, piece: &[u8], out: &mut BytesMut) -> Result<(), Broken> {
        for piece in piece.chunks(BATCH_BYTES) {
            self.held.extend_from_slice(piece);
            if self.held.len() < self.next_look {
                continue;
            }
            let (settled, rewritten) = self.veil.rewrite_start(&self.held);
            let settled = settled.min(self.held.len());
            self.put(settled, rewritten, out);
            self.held.drain(..settled);
            if self.held.len() > TEXT_HELD_BYTES_MAX {
                return Err(Broken::TooLong);
            }
            self.next_look = match settled {
                0 => self.held.len() + self.held.len() / 8,
                _ => 0,
            };
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut BytesMut) {
        let rewritten = self.veil.rewrite(&self.held);
        self.put(self.held.len(), rewritten, out);
        self.held.clear();
    }

    fn put(&mut self, length: usize, rewritten: Option<(Vec<u8>, u64)>, out: &mut BytesMut) {
        match rewritten {
            Some((bytes, count)) => {
                out.extend_from_slice(&bytes);
                self.masked += count;
            }
            None => out.extend_from_slice(self.held.get(..length).unwrap_or_default()),
        }
    }
}

/// Masks a text: bytes in pieces that are cut anywhere, bytes out. Bytes that are not UTF-8 are kept.
///
/// Whole lines go out at once; what is at the end of a line that is not whole may have to wait for the
/// rest. Of one finding that is longer than the limit nothing goes out.
pub struct Text {
    window: Window,
    /// The first bytes, until there are enough of them to tell what it is; then nothing.
    start: Option<Vec<u8>>,
}

/// How many bytes tell what it is: an XML declaration fits.
const START_BYTES: usize = 128;

impl Text {
    /// A masker for one content.
    pub fn new(veil: Arc<dyn Veil>) -> Self {
        Self {
            window: Window::new(veil),
            start: Some(Vec::new()),
        }
    }

    /// How many placeholders were put in.
    pub fn masked(&self) -> u64 {
        self.window.masked()
    }

    /// Takes a piece and appends what can go out.
    ///
    /// # Errors
    /// If its bytes are not the text that they are said to be (UTF-16, for one), so that whoever reads it
    /// sees what the detectors did not; or if one finding is longer than can be held. The rest must not go
    /// out.
    pub fn feed(&mut self, piece: &[u8], out: &mut BytesMut) -> Result<(), Broken> {
        // UTF-16 and UTF-32 have it in every ASCII character; no text has it.
        if piece.contains(&0) {
            return Err(Broken::Encoding);
        }
        let Some(start) = &mut self.start else {
            return self.window.feed(piece, out);
        };
        start.extend_from_slice(piece);
        // Only what begins like a declaration has to wait.
        if start.len() < START_BYTES && may_declare(start) && !start.contains(&b'>') {
            return Ok(());
        }
        self.begin(out)
    }

    /// There is no more: appends what is left.
    ///
    /// # Errors
    /// As [`Text::feed`].
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        self.begin(out)?;
        self.window.finish(out);
        Ok(())
    }

    fn begin(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        let Some(start) = self.start.take() else {
            return Ok(());
        };
        if is_other_encoding(&start) {
            return Err(Broken::Encoding);
        }
        self.window.feed(&start, out)
    }
}

const DECLARATION: &[u8] = b"<?xml";
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What begins a text in UTF-16, in EBCDIC (`<?xm`; XML 1.0, appendix F) and in UTF-7.
const OTHERS: [&[u8]; 7] = [
    b"\xfe\xff",
    b"\xff\xfe",
    b"\x4c\x6f\xa7\x94",
    b"+/v8",
    b"+/v9",
    b"+/v+",
    b"+/v/",
];

/// Whether more may make it one that [`is_other_encoding`] speaks of.
fn may_declare(start: &[u8]) -> bool {
    let marks = OTHERS.iter().chain([&MARK]);
    let start = start.strip_prefix(MARK).unwrap_or(start);
    start.starts_with(DECLARATION)
        || marks
            .chain([&DECLARATION])
            .any(|known| known.starts_with(start))
}

/// Whether a text says of itself that it is in an encoding that the detectors do not read: by a mark, or
/// in an XML declaration (XML 1.0, section 4.3.3).
fn is_other_encoding(start: &[u8]) -> bool {
    if OTHERS.iter().any(|mark| start.starts_with(mark)) {
        return true;
    }
    let start = start.strip_prefix(MARK).unwrap_or(start);
    if !start.starts_with(DECLARATION) {
        return false;
    }
    // A declaration that does not end here is longer than any honest one.
    let Some(end) = start.iter().position(|byte| *byte == b'>') else {
        return true;
    };
    let declaration = String::from_utf8_lossy(start.get(..end).unwrap_or_default());
    let Some((_, after)) = declaration.split_once("encoding") else {
        return false;
    };
    let name = after.trim_matches(|c: char| c.is_ascii_whitespace() || "='\"?".contains(c));
    let name = name.split(['"', '\'']).next().unwrap_or_default();
    !super::masker::is_known_charset(name)
}

#[cfg(test)]
mod tests;
