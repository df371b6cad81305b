//! Payment cards: 13 to 19 digits in a grouping that is printed on cards, from a range that is
//! issued (ISO/IEC 7812), with a valid check digit.

use std::ops::Range;

use super::Verdict;
use super::hint::apart;
use crate::text::{before, byte, run_end, slice, stands_alone};

pub(super) const PATTERN: &str = r"[0-9](?:[ -]?[0-9]){12}";

/// No card begins with another digit, and none within a number. Groups as in [`GROUPINGS`].
pub(super) const HINT: &str =
    apart!("[2-689][0-9]{12}|[2-689][0-9]{3}[ -][0-9]{4}(?:[0-9]{2})?[ -][0-9]{4}");

/// The lengths of the groups of digits that cards are printed with, besides all in one.
const GROUPINGS: [&[usize]; 5] = [
    &[4, 4, 4, 4, 3],
    &[4, 4, 4, 4],
    &[4, 4, 5],
    &[4, 6, 5],
    &[4, 6, 4],
];

pub(super) fn judge(text: &[u8], matched: Range<usize>) -> Verdict {
    let sequence = Sequence::at(text, matched.start);
    for first in 0..sequence.groups.len() {
        if let Some(range) = sequence.card_at(first) {
            return Verdict::Found(range);
        }
    }
    Verdict::NoneBefore(sequence.end)
}

/// A run of groups of digits, each but the last followed by one space or hyphen.
struct Sequence<'a> {
    text: &'a [u8],
    groups: Vec<Range<usize>>,
    /// No card starts before this place but in `groups`.
    end: usize,
}

impl<'a> Sequence<'a> {
    /// Bounds the work of one judgement. In a longer sequence the next one starts a card's worth of
    /// groups before the end of this one.
    const GROUPS_MAX: usize = 64;

    fn at(text: &'a [u8], start: usize) -> Self {
        let mut groups = Vec::new();
        let mut end = start;
        while groups.len() < Self::GROUPS_MAX {
            let from = end + usize::from(!groups.is_empty());
            let group = from..run_end(text, from, |byte| byte.is_ascii_digit());
            if group.is_empty() {
                break;
            }
            end = group.end;
            groups.push(group);
            if !matches!(byte(text, end), Some(b' ' | b'-')) {
                break;
            }
        }
        if groups.len() == Self::GROUPS_MAX {
            end = groups.iter().rev().nth(4).map_or(end, |group| group.start);
        }
        Self { text, groups, end }
    }

    fn card_at(&self, first: usize) -> Option<Range<usize>> {
        let one: &[usize] = &[self.groups.get(first)?.len()];
        GROUPINGS.into_iter().chain([one]).find_map(|lengths| {
            let groups = self.groups.get(first..first + lengths.len())?;
            if !groups.iter().map(Range::len).eq(lengths.iter().copied()) {
                return None;
            }
            let range = groups.first()?.start..groups.last()?.end;
            let separator = |group: &Range<usize>| before(self.text, group.start);
            let second = groups.get(1).and_then(separator);
            let uniform = groups
                .iter()
                .skip(1)
                .all(|group| separator(group) == second);
            (uniform && self.is_card(&range, lengths.len() > 1)).then_some(range)
        })
    }

    fn is_card(&self, range: &Range<usize>, grouped: bool) -> bool {
        let digits: Vec<u8> = slice(self.text, range.clone())
            .iter()
            .filter(|byte| byte.is_ascii_digit())
            .map(|byte| byte - b'0')
            .collect();
        is_issued(&digits, grouped)
            && luhn(&digits)
            && stands_alone(self.text, range)
            && !self.is_fraction(range)
    }

    /// Whether the digits are part of a number with a decimal point.
    fn is_fraction(&self, range: &Range<usize>) -> bool {
        let digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
        let point_before = before(self.text, range.start) == Some(b'.')
            && range
                .start
                .checked_sub(1)
                .is_some_and(|point| digit(before(self.text, point)));
        let point_after =
            byte(self.text, range.end) == Some(b'.') && digit(byte(self.text, range.end + 1));
        point_before || point_after
    }
}

/// Whether a network issues numbers of this length that begin so. Rare long numbers count only where
/// they are grouped as on a card, so that ids of 19 digits are left alone.
fn is_issued(digits: &[u8], grouped: bool) -> bool {
    let head = |count: usize| {
        digits
            .iter()
            .take(count)
            .fold(0, |number, digit| number * 10 + u32::from(*digit))
    };
    match digits.len() {
        13 => head(1) == 4,
        14 => matches!(head(2), 36 | 38 | 39) || matches!(head(3), 300..=305 | 309),
        15 => matches!(head(2), 34 | 37),
        16 => {
            head(1) == 4
                || matches!(head(2), 35 | 36 | 38 | 39 | 50..=58 | 60 | 62 | 64..=65 | 67 | 81 | 82)
                || matches!(head(4), 2200..=2204 | 2221..=2720 | 6304 | 9792)
        }
        17 | 18 => {
            head(2) == 62 || matches!(head(4), 5018 | 5020 | 5038 | 6304 | 6759 | 6761..=6763)
        }
        19 => {
            head(2) == 62
                || matches!(head(4), 5018 | 5020 | 5038 | 6304 | 6759 | 6761..=6763)
                || grouped && (head(1) == 4 || matches!(head(2), 35 | 60 | 64..=65))
        }
        _ => false,
    }
}

/// The check digit of ISO/IEC 7812-1, annex B.
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            match (place % 2, digit * 2) {
                (0, _) => digit,
                (_, doubled @ 0..=9) => doubled,
                (_, doubled) => doubled - 9,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}
