//! Telephone numbers in the international form of E.164, with the plus sign. Without it they look
//! like any other number.

use std::ops::Range;

use super::Verdict;
use super::hint::apart;
use crate::text::{before, byte};

pub(super) const PATTERN: &str = r"\+[1-9][ ()-]{0,2}[0-9]";

pub(super) const HINT: &str = apart!(r"\+[1-9][ ()-]{0,2}[0-9]");

const DIGITS_MAX: usize = 15;

pub(super) fn judge(text: &[u8], matched: Range<usize>) -> Verdict {
    let mut digits: Vec<u8> = Vec::with_capacity(DIGITS_MAX + 1);
    let mut end = None;
    let mut at = matched.start + 1;
    let mut gap = 0;
    while let Some(next) = byte(text, at) {
        at += 1;
        match next {
            b'0'..=b'9' => {
                digits.push(next - b'0');
                gap = 0;
                let group_ends = !byte(text, at).is_some_and(|byte| byte.is_ascii_alphanumeric());
                if group_ends && is_plausible(&digits) {
                    end = Some(at);
                }
            }
            b' ' | b'(' | b')' | b'-' if gap < 2 => gap += 1,
            _ => break,
        }
        if digits.len() > DIGITS_MAX {
            break;
        }
    }
    let apart = !before(text, matched.start).is_some_and(|byte| byte.is_ascii_alphanumeric());
    match end {
        Some(end) if apart => Verdict::Found(matched.start..end),
        _ => Verdict::No,
    }
}

/// Whether a number of these digits may exist. Of North America and Russia the length is known.
fn is_plausible(digits: &[u8]) -> bool {
    match digits {
        [1, area, ..] => digits.len() == 11 && *area >= 2,
        [7, ..] => digits.len() == 11,
        _ => (8..=DIGITS_MAX).contains(&digits.len()),
    }
}
