//! Which resources of an MCP server an entry of `resources` covers.

use std::fmt;

use crate::limits::MAX_PATH;
use crate::request::{decoded, is_harmless};

/// The URIs of one pattern. They are compared as text, byte by byte: a server may read any URI as it
/// likes, so none is taken for another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UriPattern(Vec<Segment>);

/// What stands between two slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Segment {
    /// This.
    Exact(String),
    /// This and something more.
    Begins(String),
    /// Whatever follows, also nothing.
    Rest,
}

/// A text that is no [`UriPattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidUri {
    #[error("a URI begins with a scheme, as in \"ticket://*\"")]
    Scheme,
    #[error(
        "`*` stands only at the end of a segment, for the rest of it, and `**` as the last segment, for whatever follows"
    )]
    Star,
    #[error("it holds a control character or a space")]
    Character,
    #[error("it is longer than {MAX_PATH} bytes")]
    TooLong,
}

impl UriPattern {
    /// Reads `ticket://*`.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidUri> {
        if text.len() > MAX_PATH {
            return Err(InvalidUri::TooLong);
        }
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(InvalidUri::Character);
        }
        let scheme = text.split_once(':').map(|(scheme, _)| scheme);
        if !scheme.is_some_and(is_scheme) {
            return Err(InvalidUri::Scheme);
        }
        let mut segments = Vec::new();
        let mut rest = text.split('/').peekable();
        while let Some(text) = rest.next() {
            segments.push(match text.strip_suffix('*') {
                Some("*") if rest.peek().is_none() => Segment::Rest,
                Some(start) if !start.contains('*') => Segment::Begins(start.to_owned()),
                None if !text.contains('*') => Segment::Exact(text.to_owned()),
                _ => return Err(InvalidUri::Star),
            });
        }
        Ok(Self(segments))
    }

    /// Whether it covers the URI.
    pub(crate) fn covers(&self, uri: &str) -> bool {
        let mut segments = uri.split('/');
        for wanted in &self.0 {
            match wanted {
                Segment::Rest => {
                    let rest: Vec<&str> = segments.collect();
                    let whole = rest.iter().rev().skip(1).all(|segment| !segment.is_empty());
                    return whole && rest.iter().all(|segment| is_plain(segment));
                }
                Segment::Begins(start) => {
                    let Some(segment) = segments.next() else {
                        return false;
                    };
                    let fits = segment.strip_prefix(start.as_str()).is_some_and(|more| {
                        !more.is_empty() && is_plain(more) && is_plain(segment)
                    });
                    if !fits {
                        return false;
                    }
                }
                Segment::Exact(exact) => {
                    if segments.next() != Some(exact) {
                        return false;
                    }
                }
            }
        }
        segments.next().is_none()
    }
}

/// As it is written in a task file.
impl fmt::Display for UriPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            match segment {
                Segment::Exact(exact) => f.write_str(exact)?,
                Segment::Begins(start) => write!(f, "{start}*")?,
                Segment::Rest => f.write_str("**")?,
            }
        }
        Ok(())
    }
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Whether a wildcard may stand for it, by the same rule as in the path of a request.
fn is_plain(segment: &str) -> bool {
    decoded(segment).is_some_and(|bytes| is_harmless(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_it_says() {
        let text = |pattern: &str, uri: &str| UriPattern::parse(pattern).unwrap().covers(uri);
        for (pattern, uri) in [
            ("ticket://*", "ticket://5"),
            ("ticket://*/notes", "ticket://5/notes"),
            ("file:///logs/**", "file:///logs/a/b.txt"),
            ("file:///logs/**", "file:///logs/"),
            ("file:///logs/**", "file:///logs"),
            ("file:///logs/2024-*", "file:///logs/2024-01"),
            ("note:*", "note:5"),
            ("note:5?a=b#c", "note:5?a=b#c"),
        ] {
            assert!(text(pattern, uri), "{pattern} {uri}");
        }
        for (pattern, uri) in [
            ("ticket://*", "ticket://"),
            ("ticket://*", "ticket://5/notes"),
            ("ticket://*", "TICKET://5"),
            ("ticket://*", "ticket:///5"),
            ("ticket://*", "ticket://5?all=1"),
            ("ticket://*", "ticket://5#x"),
            ("ticket://*", "ticket://.."),
            ("ticket://*", "ticket://%2e%2e"),
            ("ticket://*", "ticket://5%2f..%2f6"),
            ("ticket://*", "ticket://5\\..\\6"),
            ("ticket://*", "ticket://%252e%252e"),
            ("ticket://*", "ticket://5%00"),
            ("ticket://*", "ticket://5;x"),
            ("ticket://*", "ticket://%c0%ae%c0%ae"),
            ("ticket://.*", "ticket://.."),
            ("ticket://%2*", "ticket://%2e"),
            ("ticket://a%*", "ticket://a%2f..%2fb"),
            ("file:///logs/**", "file:///logs/../etc/passwd"),
            ("file:///logs/**", "file:///logs//etc/passwd"),
            ("file:///logs/**", "file:///logs/a/%2E%2E/b"),
            ("file:///logs/**", "file:///logsx"),
            ("note:5", "note:5#x"),
        ] {
            assert!(!text(pattern, uri), "{pattern} {uri}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, error) in [
            ("*", InvalidUri::Scheme),
            ("tickets", InvalidUri::Scheme),
            ("1t://x", InvalidUri::Scheme),
            ("*://x", InvalidUri::Scheme),
            ("t://a*b", InvalidUri::Star),
            ("t://**/b", InvalidUri::Star),
            ("t://a**", InvalidUri::Star),
            ("t://a b", InvalidUri::Character),
            ("t://a\u{7f}", InvalidUri::Character),
        ] {
            assert_eq!(UriPattern::parse(text), Err(error), "{text}");
        }
        for text in ["ticket://*", "file:///logs/**", "note:5?a=b"] {
            assert_eq!(UriPattern::parse(text).unwrap().to_string(), text);
        }
    }
}
