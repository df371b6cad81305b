//! Server-sent events, `text/event-stream` (WHATWG HTML, section 9.2): a [`Reader`], a writer, and
//! [`Events`], which masks a stream while it passes.

use std::sync::Arc;

use bytes::BytesMut;

use super::json::Json;
use super::{Broken, slice};
use crate::Veil;
use crate::limits::EVENT_BYTES_MAX;

/// What is in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A whole event.
    Event(Event),
    /// A comment, without its colon; it may stand within an event.
    Comment(Vec<u8>),
}

/// One event: its fields as they came. Fields that the specification does not know are not kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type.
    pub event: Option<Vec<u8>>,
    /// Its data: the lines, with line feeds between them.
    pub data: Option<Vec<u8>>,
    /// The id that the client reconnects with.
    pub id: Option<Vec<u8>>,
    /// After how many milliseconds it does.
    pub retry: Option<u64>,
}

impl Event {
    /// An event with this data.
    pub fn with_data(data: impl Into<Vec<u8>>) -> Self {
        Self {
            data: Some(data.into()),
            ..Self::default()
        }
    }

    /// Appends it as it stands in a stream, with the empty line that ends it.
    pub fn write(&self, out: &mut BytesMut) {
        self.write_fields(out);
        out.extend_from_slice(b"\n");
    }

    fn write_fields(&self, out: &mut BytesMut) {
        if let Some(event) = &self.event {
            write_line(out, b"event: ", first_line(event));
        }
        if let Some(id) = &self.id {
            write_line(out, b"id: ", first_line(id));
        }
        if let Some(retry) = &self.retry {
            write_line(out, b"retry: ", retry.to_string().as_bytes());
        }
        let Some(mut data) = self.data.as_deref() else {
            return;
        };
        loop {
            let end = line_end(data).unwrap_or(data.len());
            write_line(out, b"data: ", slice(data, 0..end));
            let rest = data.get(end..).unwrap_or_default();
            data = match rest {
                [] => return,
                [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            };
        }
    }
}

/// Appends a comment.
pub fn write_comment(comment: &[u8], out: &mut BytesMut) {
    write_line(out, b":", first_line(comment));
}

fn write_line(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\n");
}

fn line_end(text: &[u8]) -> Option<usize> {
    text.iter().position(|byte| matches!(byte, b'\n' | b'\r'))
}

/// A value that has line ends would be several fields.
fn first_line(text: &[u8]) -> &[u8] {
    slice(text, 0..line_end(text).unwrap_or(text.len()))
}

/// Reads a stream in pieces that are cut anywhere.
#[derive(Debug, Default)]
pub struct Reader {
    /// What came of a line.
    line: Vec<u8>,
    event: Event,
    /// How many bytes of lines `event` is made of.
    size: usize,
    /// A line feed that comes next belongs to the line end before.
    after_return: bool,
    begun: bool,
}

impl Reader {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a piece and appends what became whole with it.
    ///
    /// # Errors
    /// If an event is too long, or the stream cannot be UTF-8.
    pub fn feed(&mut self, piece: &[u8], items: &mut Vec<Item>) -> Result<(), Broken> {
        // It would be UTF-16, which nobody is to read this as.
        if piece.contains(&0) {
            return Err(Broken::Encoding);
        }
        let mut rest = piece;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_return)
                && let Some(after) = rest.strip_prefix(b"\n")
            {
                rest = after;
                continue;
            }
            let end = line_end(rest);
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
            if self.size + self.line.len() + part.len() > EVENT_BYTES_MAX {
                return Err(Broken::TooLong);
            }
            let Some((line_end, after)) = after.split_first() else {
                self.line.extend_from_slice(part);
                break;
            };
            self.after_return = *line_end == b'\r';
            rest = after;
            if self.line.is_empty() {
                items.extend(self.line(part));
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(part);
                items.extend(self.line(&line));
            }
        }
        Ok(())
    }

    /// There is no more. What is left of an event that was not ended: to clients it is none.
    pub fn finish(mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() && !line.starts_with(b":") {
            self.line(&line);
        }
        (self.event != Event::default()).then_some(self.event)
    }

    fn line(&mut self, line: &[u8]) -> Option<Item> {
        let line = match std::mem::replace(&mut self.begun, true) {
            false => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line),
            true => line,
        };
        self.size += line.len() + 1;
        if line.is_empty() {
            self.size = 0;
            let event = std::mem::take(&mut self.event);
            return (event != Event::default()).then_some(Item::Event(event));
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        if colon == Some(0) {
            self.size -= line.len() + 1;
            return Some(Item::Comment(value.to_vec()));
        }
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"event" => self.event.event = Some(value.to_vec()),
            b"id" => self.event.id = Some(value.to_vec()),
            b"data" => match &mut self.event.data {
                None => self.event.data = Some(value.to_vec()),
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
            },
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                let retry = str::from_utf8(value)
                    .ok()
                    .and_then(|value| value.parse().ok());
                self.event.retry = retry.or(self.event.retry);
            }
            _ => {}
        }
        None
    }
}

/// Masks a stream while it passes. An event goes out as soon as it is whole, a comment at once. Data that
/// reads as JSON is masked as JSON, other data and the other fields by the detectors. What goes out says
/// the same in one spelling: line feeds, one space after the colon, no byte order mark, no unknown fields.
pub struct Events {
    veil: Arc<dyn Veil>,
    reader: Reader,
    items: Vec<Item>,
    /// Masks the data of one event after the other.
    json: Json,
    masked: u64,
}

impl Events {
    /// A masker for one stream.
    pub fn new(veil: Arc<dyn Veil>) -> Self {
        Self {
            json: Json::new(veil.clone()),
            veil,
            reader: Reader::new(),
            items: Vec::new(),
            masked: 0,
        }
    }

    /// How many placeholders were put in.
    pub fn masked(&self) -> u64 {
        self.masked + self.json.masked()
    }

    /// Takes a piece and appends what can go out.
    ///
    /// # Errors
    /// If an event is too long or cannot be masked: the rest must not go out.
    pub fn feed(&mut self, piece: &[u8], out: &mut BytesMut) -> Result<(), Broken> {
        let mut items = std::mem::take(&mut self.items);
        let read = self.reader.feed(piece, &mut items);
        for item in items.drain(..) {
            match item {
                Item::Event(event) => self.event(event)?.write(out),
                Item::Comment(comment) => write_comment(&self.text(comment), out),
            }
        }
        self.items = items;
        read
    }

    /// There is no more: appends what is left of an event that was not ended, as unended as it came.
    ///
    /// # Errors
    /// As [`Events::feed`].
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        if let Some(event) = std::mem::take(&mut self.reader).finish() {
            self.event(event)?.write_fields(out);
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<Event, Broken> {
        Ok(Event {
            event: event.event.map(|event| self.text(event)),
            id: event.id.map(|id| self.text(id)),
            data: event.data.map(|data| self.data(data)).transpose()?,
            retry: event.retry,
        })
    }

    fn text(&mut self, text: Vec<u8>) -> Vec<u8> {
        match self.veil.rewrite(&text) {
            Some((text, count)) => {
                self.masked += count;
                text
            }
            None => text,
        }
    }

    fn data(&mut self, data: Vec<u8>) -> Result<Vec<u8>, Broken> {
        let before = self.json.masked();
        let mut out = BytesMut::with_capacity(data.len());
        let read = self.json.feed(&data, &mut out);
        match read.and_then(|()| self.json.finish(&mut out)) {
            Ok(()) => return Ok(out.into()),
            Err(broken) => {
                // What it put into the data did not go out.
                self.masked += before;
                self.json = Json::new(self.veil.clone());
                // Nearly JSON may be JSON to a reader that forgives: its fields could not be masked.
                if data.contains(&b'{') && !self.veil.fields().is_empty() {
                    return Err(broken);
                }
            }
        }
        Ok(self.text(data))
    }
}

#[cfg(test)]
mod tests;
