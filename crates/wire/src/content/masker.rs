use std::sync::Arc;

use bytes::BytesMut;

use super::events::Events;
use super::json::Json;
use super::{Broken, Text};
use crate::Veil;

/// What masks one content, by its media type.
pub enum Masker {
    /// JSON: by field and by detectors.
    Json(Box<Json>),
    /// Other text: by detectors.
    Text(Box<Text>),
    /// Text that may be JSON all the same, in a run that masks fields: whichever it turns out to begin as.
    Guess(Guess),
    /// Server-sent events: the data as JSON or text.
    Events(Box<Events>),
    /// Nothing that can be masked: goes through as it is. Whether it may, the grant says.
    Bare,
}

/// The first bytes of a text that may be JSON.
pub struct Guess {
    veil: Arc<dyn Veil>,
    start: Vec<u8>,
}

impl Masker {
    /// The masker for a content of this type (the value of `Content-Type`, RFC 9110, section 8.3). Nothing
    /// but [`Masker::Bare`] for what has no type, is no text, or is in an encoding in which the detectors
    /// would see something else than the agent.
    pub fn for_type(content_type: Option<&[u8]>, veil: Arc<dyn Veil>) -> Self {
        match content_type.and_then(MediaType::read) {
            Some(MediaType::Json) => Masker::Json(Box::new(Json::new(veil))),
            Some(MediaType::Events) => Masker::Events(Box::new(Events::new(veil))),
            Some(MediaType::Text) if veil.fields().is_empty() => {
                Masker::Text(Box::new(Text::new(veil)))
            }
            Some(MediaType::Text) => Masker::Guess(Guess {
                veil,
                start: Vec::new(),
            }),
            None => Masker::Bare,
        }
    }

    /// Whether nothing is masked, because it is nothing that could be.
    pub fn is_bare(&self) -> bool {
        matches!(self, Masker::Bare)
    }

    /// Takes a piece and appends what can go out.
    ///
    /// # Errors
    /// If it cannot be masked any further: the rest must not go out.
    pub fn feed(&mut self, piece: &[u8], out: &mut BytesMut) -> Result<(), Broken> {
        match self {
            Masker::Json(json) => json.feed(piece, out),
            Masker::Text(text) => text.feed(piece, out),
            Masker::Events(events) => events.feed(piece, out),
            Masker::Bare => {
                out.extend_from_slice(piece);
                Ok(())
            }
            Masker::Guess(guess) => {
                guess.start.extend_from_slice(piece);
                match guess.is_json() {
                    Some(is_json) => self.decide(is_json, out),
                    None => Ok(()),
                }
            }
        }
    }

    /// There is no more: appends what is left.
    ///
    /// # Errors
    /// If it ends where it cannot.
    pub fn finish(&mut self, out: &mut BytesMut) -> Result<(), Broken> {
        match self {
            Masker::Json(json) => json.finish(out),
            Masker::Text(text) => text.finish(out),
            Masker::Events(events) => events.finish(out),
            Masker::Bare => Ok(()),
            Masker::Guess(_) => {
                self.decide(false, out)?;
                self.finish(out)
            }
        }
    }

    /// How many placeholders were put in.
    pub fn masked(&self) -> u64 {
        match self {
            Masker::Json(json) => json.masked(),
            Masker::Text(text) => text.masked(),
            Masker::Events(events) => events.masked(),
            Masker::Guess(_) | Masker::Bare => 0,
        }
    }

    fn decide(&mut self, is_json: bool, out: &mut BytesMut) -> Result<(), Broken> {
        let Masker::Guess(Guess { veil, start }) = self else {
            return Ok(());
        };
        let (veil, start) = (veil.clone(), std::mem::take(start));
        *self = if is_json {
            Masker::Json(Box::new(Json::new(veil)))
        } else {
            Masker::Text(Box::new(Text::new(veil)))
        };
        self.feed(&start, out)
    }
}

impl Guess {
    /// More white space than this no JSON begins with.
    const START_BYTES_MAX: usize = 4 * 1024;

    /// Whether it begins as an object or an array of objects, or of arrays of them; nothing while that cannot be told.
    fn is_json(&self) -> Option<bool> {
        let start = self.start.trim_ascii_start();
        let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
        let mut inner = start;
        while let Some(rest) = inner.strip_prefix(b"[") {
            inner = rest.trim_ascii_start();
        }
        match inner.first() {
            Some(b'{') => Some(true),
            None if self.start.len() < Self::START_BYTES_MAX => None,
            Some(0xef) if start.len() < 3 => None,
            _ => Some(false),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MediaType {
    Json,
    Events,
    Text,
}

impl MediaType {
    /// What can be masked, and in an encoding in which it can.
    fn read(value: &[u8]) -> Option<Self> {
        let value = str::from_utf8(value).ok()?.to_ascii_lowercase();
        let (name, parameters) = value.split_once(';').unwrap_or((&value, ""));
        let kind = Self::named(name.trim())?;
        let mut charsets = charsets(parameters)?.into_iter();
        let is_known = match kind {
            // Always UTF-8 (RFC 8259, section 8.1; HTML, section 9.2.5).
            MediaType::Json | MediaType::Events => {
                charsets.all(|charset| matches!(&*charset, "utf-8" | "utf8" | "us-ascii"))
            }
            MediaType::Text => charsets.all(|charset| is_known_charset(&charset)),
        };
        is_known.then_some(kind)
    }

    fn named(name: &str) -> Option<Self> {
        let (kind, subtype) = name.split_once('/')?;
        // Two types in one value are read by some as the first and by some as the second.
        if subtype.contains(|c: char| c == ',' || c.is_ascii_whitespace()) {
            return None;
        }
        let is_json = subtype.ends_with("+json")
            || subtype.ends_with("+json-seq")
            || matches!(
                subtype.strip_prefix("x-").unwrap_or(subtype),
                "json" | "ndjson" | "jsonl" | "jsonlines" | "json-lines" | "json-seq"
            );
        let is_text = kind == "text"
            || subtype.ends_with("xml")
            || subtype.ends_with("+yaml")
            || matches!(
                subtype.strip_prefix("x-").unwrap_or(subtype),
                "www-form-urlencoded"
                    | "javascript"
                    | "ecmascript"
                    | "yaml"
                    | "csv"
                    | "toml"
                    | "graphql"
                    | "sql"
                    | "sh"
            );
        match name {
            "text/event-stream" => Some(MediaType::Events),
            _ if is_json => Some(MediaType::Json),
            _ if is_text => Some(MediaType::Text),
            _ => None,
        }
    }
}

/// Whether what is ASCII in this encoding is ASCII to the detectors, and nothing else becomes ASCII.
pub(super) fn is_known_charset(name: &str) -> bool {
    let known = [
        "utf-8",
        "utf8",
        "us-ascii",
        "ascii",
        "iso-8859-1",
        "latin1",
        "windows-1252",
    ];
    known.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Every `charset` among the parameters of a media type; nothing if they cannot be read.
fn charsets(parameters: &str) -> Option<Vec<String>> {
    let mut charsets = Vec::new();
    let mut rest = parameters;
    loop {
        rest = rest.trim_matches(|c: char| c == ';' || c.is_ascii_whitespace());
        if rest.is_empty() {
            return Some(charsets);
        }
        let (name, after) = rest.split_once('=')?;
        let value;
        (value, rest) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(';').unwrap_or((after, "")),
        };
        if name.trim() == "charset" {
            charsets.push(value.trim().to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
