//! Addresses for electronic mail, as people write them (not all that RFC 5322 allows), with letters
//! beyond ASCII from the scripts that put spaces between words.

use std::ops::Range;

use super::Verdict;
use crate::text::{before, byte, slice};

pub(super) const PATTERN: &str = r"[a-zA-Z0-9_.+%\x80-\xbf-](?:@|%40)[a-zA-Z0-9\xc3-\xdf]";

pub(super) const HINT: &str = PATTERN;

const LOCAL_BYTES_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 253;

pub(super) fn judge(text: &[u8], matched: Range<usize>) -> Verdict {
    // The match is one byte of the local part, the sign, and one byte of the domain.
    let (sign, domain) = (matched.start + 1, matched.end - 1);
    let start = local_start(text, sign);
    if start == sign || is_password_of_url(text, start) {
        return Verdict::No;
    }
    match domain_end(text, domain) {
        Some(end) => Verdict::Found(start..end),
        None => Verdict::No,
    }
}

fn local_start(text: &[u8], sign: usize) -> usize {
    let mut start = sign;
    while sign - start < LOCAL_BYTES_MAX {
        match letter_before(text, start) {
            Some(width) => start -= width,
            None => match before(text, start) {
                Some(b'_' | b'.' | b'+' | b'%' | b'-') => start -= 1,
                _ => break,
            },
        }
    }
    start
}

/// Where a domain name of at least two labels, of which the last is a word, ends.
fn domain_end(text: &[u8], start: usize) -> Option<usize> {
    let mut end = None;
    let mut label = start;
    while label - start < DOMAIN_BYTES_MAX {
        let word_end = letters_end(text, label);
        let mut label_end = word_end;
        while let Some(width) = letter_at(text, label_end)
            .or_else(|| (byte(text, label_end) == Some(b'-')).then_some(1))
            .filter(|_| label_end - label < 64)
        {
            label_end += width;
        }
        if label_end == label {
            break;
        }
        if label > start {
            if slice(text, label..label_end).starts_with(b"xn--") {
                end = Some(label_end);
            } else if word_end - label >= 2 {
                end = Some(word_end);
            }
        }
        if byte(text, label_end) != Some(b'.') {
            break;
        }
        label = label_end + 1;
    }
    end
}

fn letters_end(text: &[u8], start: usize) -> usize {
    let mut end = start;
    while let Some(width) = letter_at(text, end)
        .filter(|_| !byte(text, end).is_some_and(|byte| byte.is_ascii_digit()))
        .filter(|_| end - start < 64)
    {
        end += width;
    }
    end
}

/// The width of the letter or digit at a place: ASCII, or U+00C0 to U+07FF (Latin, Greek, Cyrillic,
/// …), which are two bytes each.
fn letter_at(text: &[u8], at: usize) -> Option<usize> {
    match byte(text, at)? {
        byte if byte.is_ascii_alphanumeric() => Some(1),
        0xc3..=0xdf if matches!(byte(text, at + 1), Some(0x80..=0xbf)) => Some(2),
        _ => None,
    }
}

fn letter_before(text: &[u8], at: usize) -> Option<usize> {
    [1, 2]
        .into_iter()
        .find(|width| at.checked_sub(*width).and_then(|at| letter_at(text, at)) == Some(*width))
}

/// Whether what would be the local part is the password of `scheme://user:password@host`, which is
/// masked by itself, so that the host stays readable.
fn is_password_of_url(text: &[u8], start: usize) -> bool {
    const LOOK_BACK: usize = 256;
    let window = slice(text, start.saturating_sub(LOOK_BACK)..start);
    let user = window
        .iter()
        .rev()
        .take_while(|byte| !matches!(byte, b'@' | b'/' | b'?' | b'#' | b'=' | b'&' | b'"' | b'\''))
        .take_while(|byte| !byte.is_ascii_whitespace())
        .count();
    let (rest, user) = window.split_at(window.len() - user);
    rest.ends_with(b"://") && user.contains(&b':')
}
