//! Masks JSON while it passes, of any size, with bounded memory.
//!
//! Bytes are held until the value that they belong to is whole. Of all that came with one piece a plain
//! form is written beside it: without white space, its strings without escapes. The detectors look at
//! that form once; where they find nothing, which is nearly always, the bytes go out as they came. Where
//! they find something each string and number is looked at by itself, a string with the one before it in
//! front: `"password":"…"` is known by its name.

use std::ops::Range;
use std::sync::Arc;

use bailiwick_action::FieldPath;
use bytes::BytesMut;

use super::escape::{Escape, LONE_BYTES, escape, is_number, is_scalar, plain, unescape};
use super::path::{Key, Place, arrived, descend, roots};
use crate::Veil;
use crate::content::text::Window;
use crate::content::{Broken, slice};
use crate::limits::{JSON_DEPTH_MASKED_MAX, JSON_SCALAR_BYTES_MAX, JSON_STRING_HELD_BYTES_MAX};

/// How many bytes are looked at together. What is worked on fits the processor's caches.
const BATCH_BYTES: usize = 16 * 1024;

/// How many tokens are looked at together where something was found.
const TOKENS_TOGETHER: usize = 12;

/// How much of a string is looked at together with the next.
const CONTEXT_BYTES_MAX: usize = 256;

/// Masks a JSON text, or several after one another (NDJSON, RFC 7464): bytes in pieces that are cut
/// anywhere, bytes out.
///
/// Every value at one of the veil's fields is replaced whole by its placeholder; in every other string,
/// member names included, and every number, what the detectors find. All else goes out byte for byte,
/// white space too; of a string that is too long to be held the escapes may be written in another way. A
/// member that is there twice is masked twice.
pub struct Json {
    veil: Arc<dyn Veil>,
    paths: Vec<FieldPath>,
    /// What has not gone out.
    raw: Vec<u8>,
    /// How far it was walked.
    at: usize,
    lex: Lex,
    expect: Expect,
    stack: Vec<Frame>,
    /// Of the containers that are open and of the value that comes.
    places: Vec<Place>,
    /// Those of the value that comes.
    coming: Range<usize>,
    dropping: Option<Dropping>,
    /// The plain form of what is held; before it, of what went out, what is looked at with the next.
    look: Vec<u8>,
    /// How long that is.
    looked: usize,
    /// Where in `look` the string before begins, with its quote.
    previous: usize,
    tokens: Vec<Token>,
    begun: bool,
    masked: u64,
}

/// Where in a token the walk is.
enum Lex {
    Between,
    /// In a string.
    String {
        /// Where its quote is.
        raw: usize,
        /// Where its text begins in the plain form.
        look: usize,
        is_name: bool,
    },
    /// In a number, or in `true`, `false` or `null`.
    Scalar {
        raw: usize,
    },
    /// In a string that is too long to be held.
    Long(Window),
}

/// What the grammar has next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    /// A value that stands in nothing, or the end.
    Root,
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
}

/// An object or array that is open.
struct Frame {
    is_object: bool,
    /// Its places.
    of: Range<usize>,
}

/// A value that is masked whole is passing.
struct Dropping {
    /// How many containers are open around it.
    depth: usize,
    /// From where on nothing goes out.
    from: usize,
}

/// Something to be changed, or that may have to be.
struct Token {
    raw: Range<usize>,
    what: What,
}

enum What {
    /// The placeholder goes here.
    Placeholder,
    /// This does not go out.
    Dropped,
    Number(Range<usize>),
    /// A string. Its text is looked at together with what is before it, from `context` on.
    Text {
        look: Range<usize>,
        context: usize,
    },
}

impl Token {
    /// Where what is to be looked at begins in the plain form.
    fn look_start(&self) -> Option<usize> {
        match &self.what {
            What::Placeholder | What::Dropped => None,
            What::Number(look) => Some(look.start),
            What::Text { context, .. } => Some(*context),
        }
    }

    /// Where it ends, with its quote.
    fn look_end(&self) -> Option<usize> {
        match &self.what {
            What::Placeholder | What::Dropped => None,
            What::Number(look) => Some(look.end),
            What::Text { look, .. } => Some(look.end + 1),
        }
    }
}

impl Json {
    /// A masker for one content.
    pub fn new(veil: Arc<dyn Veil>) -> Self {
        Self {
            paths: veil.fields().to_vec(),
            veil,
            raw: Vec::new(),
            at: 0,
            lex: Lex::Between,
            expect: Expect::Root,
            stack: Vec::new(),
            places: Vec::new(),
            coming: 0..0,
            dropping: None,
            look: Vec::new(),
            looked: 0,
            previous: 0,
            tokens: Vec::new(),
            begun: false,
            masked: 0,
        }
    }

    /// How many placeholders were put in.
    pub fn masked(&self) -> u64 {
        self.masked
    }

    /// Takes a piece and appends what can go out. All of it goes out at once but for a string or number
    /// that is not whole.
    ///
    /// # Errors
    /// If it is not JSON, or beyond a limit: the rest must not go out.
    pub fn feed(&mut self, piece: &[u8], out: &mut BytesMut) -> Result<(), Broken> {
        for piece in piece.chunks(BATCH_BYTES) {
            self.raw.extend_from_slice(piece);
            self.walk(false, out)?;
            self.flush(out)?;
        }
        Ok(())
    }

    /// There is no more: appends what is left. Afterwards another content may begin.
    ///
    /// # Errors
    /// If it ends within a value.
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        self.walk(true, out)?;
        if !matches!(self.lex, Lex::Between) || self.expect != Expect::Root {
            return Err(Broken::Incomplete);
        }
        self.flush(out)?;
        self.look.clear();
        self.looked = 0;
        self.previous = 0;
        self.begun = false;
        Ok(())
    }

    fn walk(&mut self, is_last: bool, out: &mut BytesMut) -> Result<(), Broken> {
        loop {
            let goes_on = match self.lex {
                Lex::Between => self.between()?,
                Lex::String { raw, look, is_name } => self.string(raw, look, is_name)?,
                Lex::Scalar { raw } => self.scalar(raw, is_last)?,
                Lex::Long(_) => self.long(out)?,
            };
            if !goes_on {
                break;
            }
        }
        if is_last && self.at < self.raw.len() {
            return Err(Broken::Incomplete);
        }
        Ok(())
    }

    /// Between tokens. Says whether one has begun.
    fn between(&mut self) -> Result<bool, Broken> {
        while let Some(byte) = self.raw.get(self.at).copied() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => {
                    self.at += 1;
                    continue;
                }
                b'"' => {
                    let is_name = matches!(self.expect, Expect::Name | Expect::NameOrEnd);
                    if !is_name {
                        self.value_begins()?;
                    }
                    self.plain_byte(byte);
                    self.lex = Lex::String {
                        raw: self.at,
                        look: self.look.len(),
                        is_name,
                    };
                    self.at += 1;
                    return Ok(true);
                }
                b'{' | b'[' => self.open(byte == b'{')?,
                b'}' | b']' => self.close(byte == b'}')?,
                b':' if self.expect == Expect::Colon => self.expect = Expect::Value,
                b',' if self.expect == Expect::CommaOrEnd => {
                    self.expect = match self.stack.last() {
                        Some(Frame {
                            is_object: true, ..
                        }) => Expect::Name,
                        _ => Expect::Value,
                    }
                }
                // A record separator (RFC 7464).
                0x1e if self.expect == Expect::Root => {}
                0xef if !self.begun => return self.byte_order_mark(),
                byte if is_scalar(byte) => {
                    self.value_begins()?;
                    self.lex = Lex::Scalar { raw: self.at };
                    return Ok(true);
                }
                _ => return Err(Broken::Syntax),
            }
            self.begun = true;
            self.plain_byte(byte);
            self.at += 1;
            self.value_closed();
        }
        Ok(false)
    }

    fn byte_order_mark(&mut self) -> Result<bool, Broken> {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let rest = self.raw.get(self.at..).unwrap_or_default();
        if rest.starts_with(MARK) {
            self.at += MARK.len();
            self.begun = true;
            Ok(true)
        } else if MARK.starts_with(rest) {
            Ok(false)
        } else {
            Err(Broken::Syntax)
        }
    }

    fn plain_byte(&mut self, byte: u8) {
        if self.dropping.is_none() {
            self.look.push(byte);
        }
    }

    fn open(&mut self, is_object: bool) -> Result<(), Broken> {
        self.value_begins()?;
        if self.stack.len() >= JSON_DEPTH_MASKED_MAX {
            return Err(Broken::TooDeep);
        }
        let of = self.coming.clone();
        self.stack.push(Frame { is_object, of });
        self.expect = if is_object {
            Expect::NameOrEnd
        } else {
            Expect::ValueOrEnd
        };
        Ok(())
    }

    fn close(&mut self, is_object: bool) -> Result<(), Broken> {
        let may_end = match self.expect {
            Expect::CommaOrEnd => true,
            Expect::NameOrEnd => is_object,
            Expect::ValueOrEnd => !is_object,
            _ => false,
        };
        match self.stack.pop() {
            Some(frame) if may_end && frame.is_object == is_object => {
                self.value_ends(frame.of.start);
                Ok(())
            }
            _ => Err(Broken::Syntax),
        }
    }

    /// A value begins here.
    fn value_begins(&mut self) -> Result<(), Broken> {
        self.begun = true;
        if !matches!(
            self.expect,
            Expect::Root | Expect::Value | Expect::ValueOrEnd
        ) {
            return Err(Broken::Syntax);
        }
        if self.stack.is_empty() {
            // Or the numbers of two texts would become one.
            self.plain_byte(b'\n');
        }
        if self.paths.is_empty() || self.dropping.is_some() {
            return Ok(());
        }
        match self.stack.last() {
            None => {
                self.places.clear();
                self.places.extend(roots(&self.paths));
                self.coming = 0..self.places.len();
            }
            Some(frame) if !frame.is_object => {
                let of = frame.of.clone();
                self.coming = descend(&self.paths, &mut self.places, of, Key::Element);
            }
            // Its name said where it is.
            Some(_) => {}
        }
        let coming = self.places.get(self.coming.clone()).unwrap_or_default();
        if arrived(&self.paths, coming).next().is_some() {
            self.tokens.push(Token {
                raw: self.at..self.at,
                what: What::Placeholder,
            });
            self.dropping = Some(Dropping {
                depth: self.stack.len(),
                from: self.at,
            });
            self.masked += 1;
        }
        Ok(())
    }

    /// A value has ended, of which the places begin there.
    fn value_ends(&mut self, places: usize) {
        if self.dropping.is_none() || self.stack.len() == self.dropped_depth() {
            self.places.truncate(places);
        }
        self.expect = if self.stack.is_empty() {
            Expect::Root
        } else {
            Expect::CommaOrEnd
        };
    }

    fn dropped_depth(&self) -> usize {
        let dropping = self.dropping.as_ref();
        dropping.map_or(usize::MAX, |dropping| dropping.depth)
    }

    /// Ends the dropping, if the value that is dropped has just ended: the walk is behind it.
    fn value_closed(&mut self) {
        let is_over = matches!(self.expect, Expect::Root | Expect::CommaOrEnd)
            && self.stack.len() == self.dropped_depth();
        if is_over && let Some(Dropping { from, .. }) = self.dropping.take() {
            self.tokens.push(Token {
                raw: from..self.at,
                what: What::Dropped,
            });
        }
    }

    fn string(&mut self, raw: usize, look: usize, is_name: bool) -> Result<bool, Broken> {
        loop {
            let rest = self.raw.get(self.at..).unwrap_or_default();
            let count = plain(rest);
            if self.dropping.is_none() {
                self.look.extend_from_slice(slice(rest, 0..count));
            }
            self.at += count;
            let rest = rest.get(count..).unwrap_or_default();
            match rest.first() {
                None => return Ok(false),
                Some(b'"') => break,
                Some(b'\\') => match escaped(rest)? {
                    None => return Ok(false),
                    Some((char, width)) => {
                        if self.dropping.is_none() {
                            let mut utf8 = [0; 4];
                            let utf8 = char.encode_utf8(&mut utf8);
                            self.look.extend_from_slice(utf8.as_bytes());
                        }
                        self.at += width;
                    }
                },
                Some(_) => return Err(Broken::Syntax),
            }
        }
        self.at += 1;
        self.lex = Lex::Between;
        let text = look..self.look.len();
        if self.dropping.is_none() {
            let quote = look.saturating_sub(1);
            let context = match is_name {
                true => quote,
                false => self.previous.max(quote.saturating_sub(CONTEXT_BYTES_MAX)),
            };
            self.tokens.push(Token {
                raw: raw..self.at,
                what: What::Text {
                    look: text.clone(),
                    context,
                },
            });
            self.look.push(b'"');
            self.previous = quote;
        }
        if !is_name {
            self.value_ends(self.coming.start);
            self.value_closed();
            return Ok(true);
        }
        self.expect = Expect::Colon;
        if self.dropping.is_none()
            && let Some(frame) = self.stack.last()
            && !frame.of.is_empty()
        {
            let key = Key::Member(slice(&self.look, text));
            let of = frame.of.clone();
            self.coming = descend(&self.paths, &mut self.places, of, key);
        } else if self.dropping.is_none() {
            self.coming = self.places.len()..self.places.len();
        }
        Ok(true)
    }

    fn scalar(&mut self, raw: usize, is_last: bool) -> Result<bool, Broken> {
        let rest = self.raw.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| is_scalar(**byte)).count();
        if self.at - raw > JSON_SCALAR_BYTES_MAX {
            return Err(Broken::TooLong);
        }
        if self.at == self.raw.len() && !is_last {
            return Ok(false);
        }
        let text = slice(&self.raw, raw..self.at);
        let is_word = matches!(text, b"true" | b"false" | b"null");
        if !is_word && !is_number(text) {
            return Err(Broken::Syntax);
        }
        if self.dropping.is_none() {
            let start = self.look.len();
            self.look.extend_from_slice(text);
            if !is_word {
                self.tokens.push(Token {
                    raw: raw..self.at,
                    what: What::Number(start..self.look.len()),
                });
            }
        }
        self.lex = Lex::Between;
        self.value_ends(self.coming.start);
        self.value_closed();
        Ok(true)
    }

    /// On in a string that is not held.
    fn long(&mut self, out: &mut BytesMut) -> Result<bool, Broken> {
        let Lex::Long(window) = &mut self.lex else {
            return Ok(true);
        };
        let mut text = Vec::new();
        let mut is_over = false;
        loop {
            let rest = self.raw.get(self.at..).unwrap_or_default();
            let count = plain(rest);
            text.extend_from_slice(slice(rest, 0..count));
            self.at += count;
            let rest = rest.get(count..).unwrap_or_default();
            match rest.first() {
                None => break,
                Some(b'"') => {
                    is_over = true;
                    self.at += 1;
                    break;
                }
                Some(b'\\') => match escaped(rest)? {
                    None => break,
                    Some((char, width)) => {
                        let mut utf8 = [0; 4];
                        text.extend_from_slice(char.encode_utf8(&mut utf8).as_bytes());
                        self.at += width;
                    }
                },
                Some(_) => return Err(Broken::Syntax),
            }
        }
        let mut masked = BytesMut::new();
        window.feed(&text, &mut masked)?;
        if is_over {
            window.finish(&mut masked);
        }
        let mut escaped = Vec::with_capacity(masked.len());
        escape(&masked, &mut escaped);
        out.extend_from_slice(&escaped);
        if is_over {
            out.extend_from_slice(b"\"");
            self.masked += window.masked();
            self.lex = Lex::Between;
            self.value_ends(self.coming.start);
        }
        self.raw.drain(..self.at);
        self.at = 0;
        Ok(is_over)
    }

    /// Gives out what is whole.
    fn flush(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        let (raw_end, look_end) = match self.lex {
            Lex::String { raw, look, .. } if self.dropping.is_none() => (raw, look - 1),
            Lex::Scalar { raw } => (raw, self.look.len()),
            _ => (self.at, self.look.len()),
        };
        if raw_end > 0 {
            if let Some(dropping) = &mut self.dropping {
                self.tokens.push(Token {
                    raw: dropping.from..raw_end,
                    what: What::Dropped,
                });
                dropping.from = 0;
            }
            self.give(raw_end, look_end, out)?;
            self.forget(raw_end, look_end);
        }
        match self.lex {
            Lex::String { look, is_name, .. }
                if self.look.len() - look > JSON_STRING_HELD_BYTES_MAX =>
            {
                if is_name {
                    return Err(Broken::TooLong);
                }
                self.stop_holding(look, out)
            }
            _ => Ok(()),
        }
    }

    fn give(&mut self, raw_end: usize, look_end: usize, out: &mut BytesMut) -> Result<(), Broken> {
        let whole = slice(&self.look, 0..look_end);
        str::from_utf8(slice(whole, self.looked..look_end)).map_err(|_| Broken::Encoding)?;
        let is_dense = self.veil.rewrite(whole).is_some();
        let mut given = 0;
        let mut masked = 0;
        // Where something was found, it is looked for in some tokens, and then in each of these.
        for some in self.tokens.chunks(TOKENS_TOGETHER) {
            let is_dense = is_dense && {
                // What is before a string may be before the number before it.
                let start = some.iter().filter_map(Token::look_start).min();
                let end = some.iter().filter_map(Token::look_end).max();
                let (start, end) = (start.unwrap_or(0), end.unwrap_or(0));
                self.veil.rewrite(slice(whole, start..end)).is_some()
            };
            for Token { raw, what } in some {
                let replaced = match what {
                    What::Placeholder => Some((self.veil.placeholder().as_bytes().to_vec(), 0)),
                    What::Dropped => None,
                    What::Number(_) | What::Text { .. } if !is_dense => continue,
                    What::Number(look) => {
                        let number = slice(whole, look.clone());
                        match self.veil.rewrite(number) {
                            Some(replaced) if replaced.0 != number => Some(replaced),
                            _ => continue,
                        }
                    }
                    What::Text { look, context } => {
                        match in_context(&*self.veil, whole, *context, look.clone()) {
                            Some(replaced) => Some(replaced),
                            None => continue,
                        }
                    }
                };
                out.extend_from_slice(slice(&self.raw, given..raw.start));
                given = raw.end;
                if let Some((text, count)) = replaced {
                    let mut escaped = Vec::with_capacity(text.len() + 2);
                    escaped.push(b'"');
                    escape(&text, &mut escaped);
                    escaped.push(b'"');
                    out.extend_from_slice(&escaped);
                    masked += count;
                }
            }
        }
        out.extend_from_slice(slice(&self.raw, given..raw_end));
        self.masked += masked;
        Ok(())
    }

    /// Lets go of what went out.
    fn forget(&mut self, raw_end: usize, look_end: usize) {
        self.tokens.clear();
        self.raw.drain(..raw_end);
        self.at -= raw_end;
        let kept = self
            .previous
            .max(look_end.saturating_sub(CONTEXT_BYTES_MAX));
        let kept = kept.min(look_end);
        self.look.drain(..kept);
        self.looked = look_end - kept;
        self.previous = self.previous.saturating_sub(kept);
        match &mut self.lex {
            Lex::String { raw, look, .. } => {
                *raw = raw.saturating_sub(raw_end);
                *look = look.saturating_sub(kept);
            }
            Lex::Scalar { raw } => *raw -= raw_end,
            Lex::Between | Lex::Long(_) => {}
        }
    }

    /// The string that begins what is held has become too long for it.
    fn stop_holding(&mut self, look: usize, out: &mut BytesMut) -> Result<(), Broken> {
        let mut window = Window::new(self.veil.clone());
        let mut masked = BytesMut::new();
        window.feed(self.look.get(look..).unwrap_or_default(), &mut masked)?;
        let mut escaped = vec![b'"'];
        escape(&masked, &mut escaped);
        out.extend_from_slice(&escaped);
        self.lex = Lex::Long(window);
        self.raw.drain(..self.at);
        self.at = 0;
        self.look.clear();
        self.looked = 0;
        self.previous = 0;
        Ok(())
    }
}

/// The character that an escape stands for and how long that is; nothing if it is not whole.
fn escaped(rest: &[u8]) -> Result<Option<(char, usize)>, Broken> {
    match unescape(rest) {
        Escape::Char(char, width) => Ok(Some((char, width))),
        Escape::Lone => Ok(Some((char::REPLACEMENT_CHARACTER, LONE_BYTES))),
        Escape::Short => Ok(None),
        Escape::Invalid => Err(Broken::Syntax),
    }
}

/// A string's text with what is found in it replaced; nothing if there was nothing.
fn in_context(
    veil: &dyn Veil,
    whole: &[u8],
    context: usize,
    text: Range<usize>,
) -> Option<(Vec<u8>, u64)> {
    let before = slice(whole, context..text.start);
    let (found, count) = veil.rewrite(slice(whole, context..text.end + 1))?;
    let plain = slice(whole, text.clone());
    let (replaced, count) = match between(&found, before) {
        Some(replaced) => (replaced.to_vec(), count),
        // Something was found in what is before it: once more, with that masked.
        None => match veil.rewrite(before) {
            Some((before, _)) => {
                let text = [&before, plain, b"\""].concat();
                let (found, count) = veil.rewrite(&text)?;
                match between(&found, &before) {
                    Some(replaced) => (replaced.to_vec(), count),
                    None => (veil.placeholder().as_bytes().to_vec(), 1),
                }
            }
            None => (veil.placeholder().as_bytes().to_vec(), 1),
        },
    };
    if replaced == plain {
        return None;
    }
    let alone = veil.rewrite(slice(whole, text.start.saturating_sub(1)..text.end + 1));
    let alone = alone.as_ref().and_then(|(found, _)| between(found, b"\""));
    let end = replaced.iter().position(|byte| *byte == b']');
    let is_one = end.is_some_and(|end| end + 1 == replaced.len());
    if alone.unwrap_or(plain) != replaced && !(is_one && replaced.starts_with(b"[")) {
        // It is its name that tells, and that goes for all of it, also behind a quote within.
        return Some((veil.placeholder().as_bytes().to_vec(), 1));
    }
    Some((replaced, count))
}

/// What is between this and the closing quote.
fn between<'a>(found: &'a [u8], before: &[u8]) -> Option<&'a [u8]> {
    found.strip_prefix(before)?.strip_suffix(b"\"")
}

#[cfg(test)]
mod tests;
