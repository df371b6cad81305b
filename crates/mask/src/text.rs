//! Looking at bytes around a place, without ever stepping outside.

use std::ops::Range;

/// The byte at a place.
pub(crate) fn byte(text: &[u8], at: usize) -> Option<u8> {
    text.get(at).copied()
}

/// The byte before a place.
pub(crate) fn before(text: &[u8], at: usize) -> Option<u8> {
    byte(text, at.checked_sub(1)?)
}

/// What lies in a range; nothing where it is not inside.
pub(crate) fn slice(text: &[u8], range: Range<usize>) -> &[u8] {
    text.get(range).unwrap_or_default()
}

/// Where the run of bytes of a kind that starts at `at` ends.
pub(crate) fn run_end(text: &[u8], at: usize, of: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| of(**byte)).count()
}

/// Whether no letter or digit touches the range from outside.
pub(crate) fn stands_alone(text: &[u8], range: &Range<usize>) -> bool {
    let touches = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    !touches(before(text, range.start)) && !touches(byte(text, range.end))
}

/// Whether a place begins with this.
pub(crate) fn starts_at(text: &[u8], at: usize, with: &[u8]) -> bool {
    text.get(at..).is_some_and(|rest| rest.starts_with(with))
}
