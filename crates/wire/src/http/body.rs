//! The content of a request: what of it is read, and what is refused for what is in it.

use std::fmt::Write;

use bailiwick_action::{Facts, WRITTEN_BACK};
use sha2::{Digest, Sha256};

use super::fields::{self, MediaType};
use super::path::{self, Parameter};
use super::problem::{Refusal, Sort};
use crate::Veil;
use crate::content::json;

/// Why a parameter is refused, wherever it stands.
const OVERRIDDEN: &str = "a parameter that asks for another method than the request's own";

/// A parameter by which some servers take a credential of the agent's own (RFC 6750, section 2.3).
const CREDENTIAL: &str = "access_token";

/// How content is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// As JSON: the facts come from it.
    Json,
    /// As none: it says that it is in an encoding that is not read, and what stands in it there may be
    /// something else here.
    Foreign,
    Form,
    Multipart,
    Plain,
    Other,
}

impl Reading {
    /// By its type.
    pub(super) fn of(media: &MediaType) -> Self {
        let reading = match &*media.essence {
            _ if media.is_json() => Reading::Json,
            "application/x-www-form-urlencoded" => Reading::Form,
            "text/plain" => Reading::Plain,
            essence if essence.starts_with("multipart/") => Reading::Multipart,
            // What is not looked into may be in any encoding.
            _ => return Reading::Other,
        };
        match media.is_utf8() {
            true => reading,
            false => Reading::Foreign,
        }
    }

    /// Whether it has to be there whole before it is decided.
    pub(super) fn takes_all(self) -> bool {
        matches!(self, Reading::Json | Reading::Foreign | Reading::Form)
    }

    /// Looks at content, and takes the facts from it.
    ///
    /// # Errors
    /// If something is in it that is not let through.
    pub(super) fn look(
        self,
        content: &[u8],
        veil: &dyn Veil,
        facts: &mut Facts,
    ) -> Result<(), Refusal> {
        if veil.has_placeholder(content) {
            return Err(Refusal::not_understood(WRITTEN_BACK));
        }
        match self {
            Reading::Foreign => Err(Refusal::new(
                Sort::MediaType,
                "content in another encoding than UTF-8",
            )),
            Reading::Json => {
                let value = read_json(content, veil, facts)?;
                if holds_placeholder(value, veil) {
                    return Err(Refusal::not_understood(WRITTEN_BACK));
                }
                let mut members = value.members();
                match members.any(|member| fields::overrides_method(&member.name)) {
                    true => Err(Refusal::not_understood(OVERRIDDEN)),
                    false => Ok(()),
                }
            }
            Reading::Form => {
                no_json(content)?;
                let text = std::str::from_utf8(content)
                    .map_err(|_| Refusal::not_understood("a form that is not UTF-8"))?;
                // Some servers take a `;` for an `&`.
                for text in [text, &text.replace(';', "&")] {
                    let parameters = path::parameters(text).map_err(Refusal::not_understood)?;
                    check_parameters(&parameters)?;
                    let values = parameters
                        .iter()
                        .filter_map(|parameter| parameter.value.as_ref());
                    if { values }.any(|value| veil.has_placeholder(value.as_bytes())) {
                        return Err(Refusal::not_understood(WRITTEN_BACK));
                    }
                }
                Ok(())
            }
            Reading::Multipart => match names_method(content) {
                true => Err(Refusal::not_understood(OVERRIDDEN)),
                false => Ok(()),
            },
            Reading::Plain => no_json(content),
            Reading::Other => Ok(()),
        }
    }
}

/// How much of a request's content is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    /// The rest follows.
    Begun,
}

/// Reads JSON that an agent sent, and takes the facts from it.
pub(super) fn read_json<'c>(
    content: &'c [u8],
    veil: &dyn Veil,
    facts: &mut Facts,
) -> Result<json::Value<'c>, Refusal> {
    let document = json::read(content).map_err(|not| Refusal::not_understood(not.to_string()))?;
    document.facts(veil.inputs(), facts);
    Ok(document.root())
}

/// Whether a masked value stands in it once its escapes are resolved.
pub(super) fn holds_placeholder(value: json::Value<'_>, veil: &dyn Veil) -> bool {
    let text = value.text();
    text.is_some_and(|text| veil.has_placeholder(text.as_bytes()))
        || value.members().any(|json::Member { name, value }| {
            veil.has_placeholder(name.as_bytes()) || holds_placeholder(value, veil)
        })
        || value.elements().any(|value| holds_placeholder(value, veil))
}

/// What a query or a form may not say.
pub(super) fn check_parameters(parameters: &[Parameter]) -> Result<(), Refusal> {
    for Parameter { name, .. } in parameters {
        if fields::overrides_method(name) {
            return Err(Refusal::not_understood(OVERRIDDEN));
        }
        if name.eq_ignore_ascii_case(CREDENTIAL) {
            return Err(Refusal::not_understood(
                "a parameter with a credential of its own; the gateway brings the target's",
            ));
        }
    }
    Ok(())
}

/// JSON under a type that says it is something else is not looked into here, and is read by servers that
/// do not look at the type.
fn no_json(content: &[u8]) -> Result<(), Refusal> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    match content.trim_ascii_start().first() {
        Some(b'{' | b'[') => Err(Refusal::new(
            Sort::MediaType,
            "JSON under another type; send it as application/json",
        )),
        _ => Ok(()),
    }
}

/// Content for the record: its text where it is text, else how much and the digest of it.
pub(super) fn shown(content: &[u8], extent: Extent) -> String {
    let is_text = |text: &&str| {
        !text
            .chars()
            .any(|c| c.is_control() && !"\t\r\n".contains(c))
    };
    match std::str::from_utf8(content).ok().filter(is_text) {
        Some(text) if extent == Extent::Whole => text.to_owned(),
        _ => {
            let first = match extent {
                Extent::Whole => "",
                Extent::Begun => "the first ",
            };
            let digest = Sha256::digest(content);
            let mut text = format!("{first}{} bytes, SHA-256 ", content.len());
            for byte in digest {
                // Writing to a string cannot fail.
                let _ = write!(text, "{byte:02x}");
            }
            text
        }
    }
}

/// Looks at content that is not there whole.
#[derive(Debug)]
pub(super) struct Scan {
    multipart: bool,
    /// The end of what was looked at, in which something may begin.
    tail: Vec<u8>,
}

impl Scan {
    /// No placeholder and no name of an [override](fields::overrides_method) is longer, in bytes.
    const TAIL_BYTES: usize = 64;

    /// For what follows content that was looked at already.
    pub(super) fn behind(content: &[u8], reading: Option<Reading>) -> Self {
        let over = content.len().saturating_sub(Self::TAIL_BYTES);
        Self {
            multipart: reading == Some(Reading::Multipart),
            tail: content.get(over..).unwrap_or_default().to_vec(),
        }
    }

    /// Looks at the next piece.
    ///
    /// # Errors
    /// If something is in it that is not let through.
    pub(super) fn look(&mut self, piece: &[u8], veil: &dyn Veil) -> Result<(), Refusal> {
        self.tail.extend_from_slice(piece);
        if veil.has_placeholder(&self.tail) {
            return Err(Refusal::not_understood(WRITTEN_BACK));
        }
        if self.multipart && names_method(&self.tail) {
            return Err(Refusal::not_understood(OVERRIDDEN));
        }
        let over = self.tail.len().saturating_sub(Self::TAIL_BYTES);
        self.tail.drain(..over);
        Ok(())
    }
}

/// Whether a part of a form (RFC 7578, section 4.2) may be called `_method`: quoted, bare, or encoded.
fn names_method(content: &[u8]) -> bool {
    const NAME: &[u8] = b"_method";
    content.windows(NAME.len() + 1).any(|window| match window {
        [b'=' | b'"' | b'\'', name @ ..] => name.eq_ignore_ascii_case(NAME),
        _ => false,
    })
}
