use std::cmp::Ordering;
use std::fmt;

use crate::limits::MAX_NUMBER;

/// A decimal number, exactly: `1`, `1.0` and `10e-1` are the same one, and none is rounded.
#[derive(Clone, Debug)]
pub(crate) struct Number {
    negative: bool,
    /// Without zeros at either end; empty for zero.
    digits: String,
    /// Where the point is: the value is `0.DIGITS` times ten to this power.
    point: i64,
    /// As it was written.
    text: String,
}

impl Number {
    /// Reads a number as JSON or TOML writes it. Nothing if it is none, is longer than [`MAX_NUMBER`] or
    /// has an exponent that no computer knows.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_NUMBER {
            return None;
        }
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, i64::from(exponent.parse::<i32>().ok()?)),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
            Some(_) => return None,
            None => (mantissa, ""),
        };
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let digits = format!("{whole}{fraction}");
        let significant = digits.trim_start_matches('0');
        let zeros = i64::try_from(digits.len() - significant.len()).ok()?;
        let significant = significant.trim_end_matches('0');
        let zero = significant.is_empty();
        Some(Self {
            negative: negative && !zero,
            point: if zero {
                0
            } else {
                exponent + i64::try_from(whole.len()).ok()? - zeros
            },
            digits: significant.to_owned(),
            text: text.to_owned(),
        })
    }

    fn magnitude(&self) -> (bool, i64, &str) {
        (!self.digits.is_empty(), self.point, &self.digits)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.magnitude().cmp(&other.magnitude()),
            (true, true) => other.magnitude().cmp(&self.magnitude()),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

/// As it was written.
impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn one_number_has_many_spellings() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("100", "1E+2"),
            ("0.05", "5e-2"),
            ("0", "-0.0e7"),
            ("-12.50", "-125e-1"),
            ("0012", "12"),
        ] {
            assert_eq!(number(one), number(other));
        }
    }

    #[test]
    fn numbers_are_in_order_and_none_is_rounded() {
        let ordered = [
            "-1e30",
            "-9007199254740993",
            "-9007199254740992",
            "-1.5",
            "-1",
            "-0.001",
            "0",
            "1e-2147483648",
            "0.1",
            "0.10000000000000000001",
            "1",
            "9",
            "10",
            "9007199254740992",
            "9007199254740993",
            "1e2147483647",
        ];
        for (index, low) in ordered.iter().enumerate() {
            for high in ordered.iter().skip(index + 1) {
                assert!(number(low) < number(high), "{low} {high}");
                assert!(number(high) > number(low), "{low} {high}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in [
            "",
            "-",
            "+",
            ".",
            "1.",
            ".5",
            "1e",
            "e1",
            "0x10",
            "1_000",
            "NaN",
            "inf",
            "1e2147483648",
            "1 ",
            "--1",
            "١",
        ] {
            assert!(Number::parse(text).is_none(), "{text}");
        }
        assert!(Number::parse(&"1".repeat(MAX_NUMBER + 1)).is_none());
    }
}
