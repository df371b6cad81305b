//! Which requests an entry of `requests` covers.

use std::fmt;

use bailiwick_action::{Kind, Resource};

use crate::limits::MAX_PATH;
use crate::problem::nearest;

/// The methods that a request may have. `WEBSOCKET` stands for a `GET` that asks for a WebSocket.
pub(crate) const METHODS: [&str; 8] = [
    "DELETE",
    "GET",
    "HEAD",
    "OPTIONS",
    "PATCH",
    "POST",
    "PUT",
    "WEBSOCKET",
];

/// Requests of one method on the paths of one pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestPattern {
    /// The method, in upper case.
    pub method: String,
    path: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Segment {
    /// This one, in the spelling of [`Resource::request`].
    Exact(String),
    /// Any one.
    One,
    /// Whatever follows, also nothing.
    Rest,
}

/// A text that is no [`RequestPattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidRequest {
    #[error("write a method and a path, as in \"GET /customers/*\"")]
    Form,
    #[error("{0:?} is no method; it is one of {list}, in upper case", list = METHODS.join(", "))]
    Method(String, Option<&'static str>),
    #[error("the path begins with `/`")]
    Start,
    #[error(
        "`?` and `#` are no part of a path; what the query has to be is said with query = {{ … }}"
    )]
    Query,
    #[error("a segment of the path is empty; only the last may be")]
    Empty,
    #[error("a segment of the path is `.` or `..`")]
    Dots,
    #[error("the path holds a control character or a space; a space is written %20")]
    Character,
    #[error("a `%` in the path is not followed by two hexadecimal digits")]
    Percent,
    #[error(
        "`*` and {{name}} stand for one whole segment; a star itself is written %2A, braces %7B and %7D"
    )]
    Partial,
    #[error("`**` stands only at the end of the path, for whatever follows")]
    Rest,
    #[error("it is longer than {MAX_PATH} bytes")]
    TooLong,
}

impl RequestPattern {
    /// Reads `GET /customers/*`.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidRequest> {
        let (method, path) = text.split_once(' ').ok_or(InvalidRequest::Form)?;
        Self::new(method, path)
    }

    /// Of a method and a path.
    pub(crate) fn new(method: &str, path: &str) -> Result<Self, InvalidRequest> {
        if !METHODS.contains(&method) {
            let near = nearest(method, METHODS);
            return Err(InvalidRequest::Method(method.to_owned(), near));
        }
        if path.len() > MAX_PATH {
            return Err(InvalidRequest::TooLong);
        }
        let path = path.strip_prefix('/').ok_or(InvalidRequest::Start)?;
        if path.contains(['?', '#']) {
            return Err(InvalidRequest::Query);
        }
        let mut segments = Vec::new();
        let mut rest = path.split('/').peekable();
        while let Some(text) = rest.next() {
            let last = rest.peek().is_none();
            segments.push(match text {
                "" if !last => return Err(InvalidRequest::Empty),
                "*" => Segment::One,
                "**" if last => Segment::Rest,
                "**" => return Err(InvalidRequest::Rest),
                text => match text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) {
                    Some(name) if !name.is_empty() && !name.contains(['{', '}', '*']) => {
                        Segment::One
                    }
                    _ => Segment::Exact(spelled(text)?),
                },
            });
        }
        Ok(Self {
            method: method.to_owned(),
            path: segments,
        })
    }

    /// Whether it covers the request.
    pub fn covers(&self, resource: &Resource) -> bool {
        resource
            .method_and_path()
            .is_some_and(|(method, path)| self.method == method && self.covers_path(path))
    }

    /// Whether it covers the path, whatever the method.
    pub(crate) fn covers_path(&self, path: &str) -> bool {
        // Most patterns do not match at all, which is the quicker thing to see.
        self.matches(path) && is_spelled(path)
    }

    fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/').skip(1);
        for wanted in &self.path {
            match wanted {
                Segment::Rest => return segments.all(is_plain),
                Segment::One => match segments.next() {
                    Some(segment) if !segment.is_empty() && is_plain(segment) => {}
                    _ => return false,
                },
                Segment::Exact(exact) => match segments.next() {
                    Some(segment) if segment == exact => {}
                    _ => return false,
                },
            }
        }
        segments.next().is_none()
    }
}

/// As it is written in a task file, with `*` for a segment that may be any.
impl fmt::Display for RequestPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.method)?;
        for segment in &self.path {
            match segment {
                Segment::Exact(exact) => write!(f, "/{exact}")?,
                Segment::One => f.write_str("/*")?,
                Segment::Rest => f.write_str("/**")?,
            }
        }
        Ok(())
    }
}

/// Whether it is a request in the one spelling of [`Resource::request`].
pub(crate) fn is_one(resource: &Resource) -> bool {
    resource.kind == Kind::Request
        && resource
            .method_and_path()
            .is_some_and(|(method, path)| METHODS.contains(&method) && is_spelled(path))
}

/// Whether a path is in the one spelling of [`Resource::request`].
fn is_spelled(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else {
        return false;
    };
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let fits = match segment {
            "" => last,
            segment => decoded(segment).is_some_and(|bytes| {
                encoded(&bytes) == segment && !matches!(bytes.as_slice(), b"." | b"..")
            }),
        };
        if !fits {
            return false;
        }
    }
    true
}

/// A segment of a pattern, in that spelling.
fn spelled(segment: &str) -> Result<String, InvalidRequest> {
    if segment.contains(['*', '{', '}']) {
        return Err(InvalidRequest::Partial);
    }
    if segment.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(InvalidRequest::Character);
    }
    let bytes = decoded(segment).ok_or(InvalidRequest::Percent)?;
    if bytes.iter().any(u8::is_ascii_control) {
        return Err(InvalidRequest::Character);
    }
    if matches!(bytes.as_slice(), b"." | b"..") {
        return Err(InvalidRequest::Dots);
    }
    Ok(encoded(&bytes))
}

/// Whether a wildcard may stand for the segment. Some servers take an encoded delimiter for the delimiter
/// itself, decode twice, or cut a segment at `;`; what they might read as more than one segment has to be
/// granted as it is written.
fn is_plain(segment: &str) -> bool {
    decoded(segment).is_some_and(|bytes| is_harmless(&bytes))
}

/// Whether nobody could take the bytes of one segment for more than that.
pub(crate) fn is_harmless(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes);
    text.is_ok_and(|text| {
        !text.contains(|c: char| c.is_control() || matches!(c, '/' | '\\' | ';' | '%' | '?' | '#'))
            && !matches!(text, "." | "..")
    })
}

/// The bytes that a segment stands for; nothing if a `%` in it begins no escape.
pub(crate) fn decoded(segment: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    Some(bytes)
}

/// Bytes as a segment: what RFC 3986 calls unreserved stands for itself, every other is percent-encoded
/// in upper case.
fn encoded(bytes: &[u8]) -> String {
    use fmt::Write;
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte));
            }
            byte => {
                // Writing to a string cannot fail.
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}
