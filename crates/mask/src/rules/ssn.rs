//! US social security numbers, written with hyphens. Without them they are any nine digits.

use std::ops::Range;

use super::Verdict;
use super::hint::apart;
use crate::text::{before, byte, slice, stands_alone};

pub(super) const PATTERN: &str = "[0-9]{3}-[0-9]{2}-[0-9]{4}";

pub(super) const HINT: &str = apart!("[0-8][0-9]{2}-[0-9]{2}-[0-9]{4}");

pub(super) fn judge(text: &[u8], matched: Range<usize>) -> Verdict {
    let part = |from: usize, to: usize| slice(text, matched.start + from..matched.start + to);
    let issued = !matches!(part(0, 3), b"000" | b"666")
        && !part(0, 3).starts_with(b"9")
        && part(4, 6) != b"00"
        && part(7, 11) != b"0000";
    // A longer number with hyphens is something else.
    let longer = before(text, matched.start) == Some(b'-') || byte(text, matched.end) == Some(b'-');
    if issued && !longer && stands_alone(text, &matched) {
        Verdict::Found(matched)
    } else {
        Verdict::No
    }
}
