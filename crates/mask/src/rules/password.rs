//! Passwords and the like that are known by the name before them: `password=…` in a connection
//! string or query, `"password": "…"` in JSON, and the password in a URL.

use std::ops::Range;

use super::Verdict;
use crate::kind::PREFIX;
use crate::text::{byte, run_end, slice, starts_at};

/// The name, what separates it from the value, and the value's first byte. In prose a colon follows
/// the word too, so a colon counts only between quotes.
pub(super) const ASSIGNED: &str = concat!(
    "(?i:pass(?:word|wd|phrase)|pwd|client[_-]?secret|secret[_-]?key|api[_-]?key",
    "|access[_-]?token|refresh[_-]?token|auth[_-]?token|account[_-]?key)",
    r#"(?:(?:[ ]?=[ ]?|[ ])\\{0,3}["']|="#,
    r#"|\\{0,3}["'][ ]?:[ ]?\\{0,3}["']"#,
    // `Key (password)=(…) already exists.`
    r"|\)=\()",
    r#"[^"'\\\s]"#,
);

pub(super) const ASSIGNED_HINT: &str = ASSIGNED;

/// Up to the colon before the password.
pub(super) const IN_URL: &str =
    r#"[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s/:@"'<>?#]{0,128}:[^\s/@"'<>]"#;

/// Whatever the scheme.
pub(super) const IN_URL_HINT: &str = r#"://[^\s/:@"'<>?#]*:[^\s/@"'<>]"#;

/// Shorter values are flags (`reset_password=1`) more often than passwords.
const LENGTH_MIN: usize = 4;

/// Longer values are not passwords; also bounds the look-ahead in a URL.
const LENGTH_MAX: usize = 1_024;

pub(super) fn judge_assigned(text: &[u8], matched: Range<usize>) -> Verdict {
    let start = matched.end - 1;
    let quote = match byte(text, start - 1) {
        Some(quote @ (b'"' | b'\'')) => Some(quote),
        _ => None,
    };
    let end = value_end(text, start, quote);
    let value = slice(text, start..end);
    if value.len() < LENGTH_MIN || stands_for_a_value(value) || is_working_folder(text, &matched) {
        return Verdict::NoneBefore(end);
    }
    Verdict::Found(start..end)
}

pub(super) fn judge_in_url(text: &[u8], matched: Range<usize>) -> Verdict {
    let start = matched.end - 1;
    let limit = text.len().min(start + LENGTH_MAX);
    let authority = run_end(slice(text, 0..limit), start, |byte| {
        !byte.is_ascii_whitespace()
            && !matches!(byte, b'/' | b'"' | b'\'' | b'<' | b'>' | b'?' | b'#')
    });
    // A password may hold the sign itself; the host cannot.
    let sign = slice(text, start..authority)
        .iter()
        .rposition(|byte| *byte == b'@');
    match sign.map(|length| start..start + length) {
        Some(range) if !stands_for_a_value(slice(text, range.clone())) => Verdict::Found(range),
        _ => Verdict::No,
    }
}

/// Where a value ends: at its closing quote, or where a bare one cannot go on. What follows an
/// escaping backslash is taken along, except for a quote, which may be the end of both.
fn value_end(text: &[u8], start: usize, quote: Option<u8>) -> usize {
    let mut at = start;
    while at - start < LENGTH_MAX {
        match (byte(text, at), quote) {
            (None, _) | (Some(b'"' | b'\n' | b'\r'), _) => break,
            (Some(b'\\'), _) => match byte(text, at + 1) {
                Some(b'"' | b'\'') | None => break,
                Some(_) => at += 2,
            },
            (Some(b'\''), Some(b'"')) => at += 1,
            (Some(b'\''), _) => break,
            (Some(b' ' | b'\t' | b'&' | b';' | b',' | b')' | b'}' | b']' | b'<' | b'>'), None) => {
                break;
            }
            (Some(_), _) => at += 1,
        }
    }
    at
}

/// Whether the value is a variable, a placeholder or a word for none.
fn stands_for_a_value(value: &[u8]) -> bool {
    let starts = [PREFIX, "${", "$(", "{{", "<", "***", "%s", "os.environ"];
    let words = ["null", "none", "true", "false", "undefined", "required"];
    starts
        .iter()
        .any(|start| starts_at(value, 0, start.as_bytes()))
        || words
            .iter()
            .any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// A shell's `PWD=/home/…`.
fn is_working_folder(text: &[u8], matched: &Range<usize>) -> bool {
    let text = slice(text, matched.clone());
    text.ends_with(b"/") && slice(text, 0..4) == b"PWD="
}
