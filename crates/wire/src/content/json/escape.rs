//! The escapes of strings (RFC 8259, section 7).

/// What stands at a backslash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// This character, written with so many bytes.
    Char(char, usize),
    /// Half of a surrogate pair, without the other.
    Lone,
    /// The bytes end before the escape does.
    Short,
    /// None.
    Invalid,
}

/// How many bytes a half of a surrogate pair takes that stands alone.
pub(super) const LONE_BYTES: usize = 6;

/// Reads the escape that begins with the first of these bytes, a backslash.
pub(super) fn unescape(bytes: &[u8]) -> Escape {
    let short = |char| Escape::Char(char, 2);
    match bytes.get(1) {
        None => Escape::Short,
        Some(b'"') => short('"'),
        Some(b'\\') => short('\\'),
        Some(b'/') => short('/'),
        Some(b'b') => short('\u{8}'),
        Some(b'f') => short('\u{c}'),
        Some(b'n') => short('\n'),
        Some(b'r') => short('\r'),
        Some(b't') => short('\t'),
        Some(b'u') => unicode(bytes),
        Some(_) => Escape::Invalid,
    }
}

fn unicode(bytes: &[u8]) -> Escape {
    let first = match unit(bytes, 2) {
        Ok(unit) => unit,
        Err(other) => return other,
    };
    match first {
        0xd800..=0xdbff => {}
        0xdc00..=0xdfff => return Escape::Lone,
        _ => return char::from_u32(first).map_or(Escape::Invalid, |char| Escape::Char(char, 6)),
    }
    match (bytes.get(6), bytes.get(7)) {
        (None, _) | (Some(b'\\'), None) => return Escape::Short,
        (Some(b'\\'), Some(b'u')) => {}
        _ => return Escape::Lone,
    }
    match unit(bytes, 8) {
        Ok(second @ 0xdc00..=0xdfff) => {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            char::from_u32(code).map_or(Escape::Invalid, |char| Escape::Char(char, 12))
        }
        Ok(_) => Escape::Lone,
        Err(other) => other,
    }
}

/// Four hexadecimal digits.
fn unit(bytes: &[u8], at: usize) -> Result<u32, Escape> {
    (at..at + 4).try_fold(0, |unit, at| {
        let byte = bytes.get(at).ok_or(Escape::Short)?;
        let digit = char::from(*byte).to_digit(16).ok_or(Escape::Invalid)?;
        Ok(unit << 4 | digit)
    })
}

/// Appends a text as it stands between the quotes of a string.
pub(super) fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
}

/// How many bytes at the start of these are plain: no quote, no backslash, no control character.
pub(super) fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // The lowest of the high bits that is set is that of the first byte below 0x20; those above it may
    // be wrong.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut at = 0;
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*word);
        let special = zero(word ^ (ONES * 0x22))
            | zero(word ^ (ONES * 0x5c))
            | (word.wrapping_sub(ONES * 0x20) & !word & HIGH);
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
    at + rest.iter().take_while(is_plain).count()
}

/// Whether a text is a number as JSON has them (RFC 8259, section 6).
pub(super) fn is_number(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").unwrap_or(text);
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(text);
    if whole == 0 || whole > 1 && text.starts_with(b"0") {
        return false;
    }
    let mut rest = text.get(whole..).unwrap_or_default();
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = fraction.get(count..).unwrap_or_default();
    }
    match rest {
        [] => true,
        [b'e' | b'E', exponent @ ..] => {
            let exponent = match exponent {
                [b'+' | b'-', exponent @ ..] => exponent,
                exponent => exponent,
            };
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
        _ => false,
    }
}

/// Whether a byte may be part of a number, or of `true`, `false` or `null`.
pub(super) fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_escape_is_read() {
        for (text, expected) in [
            (&br#"\u0040"#[..], Escape::Char('@', 6)),
            (br#"\ud83D\uDE00x"#, Escape::Char('😀', 12)),
            (br#"\ud83d"#, Escape::Short),
            (br#"\ud83d\"#, Escape::Short),
            (br#"\ud83d\ud"#, Escape::Short),
            (br#"\ud83dx"#, Escape::Lone),
            (br#"\ud83d\n"#, Escape::Lone),
            (br#"\ud83d\ud83d"#, Escape::Lone),
            (br#"\ude00"#, Escape::Lone),
            (br#"\u00"#, Escape::Short),
            (br#"\u00g0"#, Escape::Invalid),
            (br#"\x40"#, Escape::Invalid),
            (br#"\/"#, Escape::Char('/', 2)),
            (br#"\"#, Escape::Short),
        ] {
            assert_eq!(
                unescape(text),
                expected,
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn plain_bytes_are_counted_as_one_by_one() {
        let set = b"aaaaaaaaaaaa!#[]\"\\\x1f\x20\x00\x80\xff\xa2\xdc\x7f";
        let mut seed = 1_u32;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..24)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    set[(seed >> 16) as usize % set.len()]
                })
                .collect();
            let special = bytes
                .iter()
                .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            assert_eq!(plain(&bytes), special.unwrap_or(bytes.len()), "{bytes:?}");
        }
    }

    #[test]
    fn numbers() {
        for yes in [
            "0",
            "-0",
            "10",
            "1.5",
            "1e400",
            "-1.25E-7",
            "0.0",
            "123456789012345678901234567890",
        ] {
            assert!(is_number(yes.as_bytes()), "{yes}");
        }
        for no in [
            "", "-", "01", "1.", ".5", "+1", "1e", "1e+", "NaN", "Infinity", "0x10", "1.5.2", "1-2",
        ] {
            assert!(!is_number(no.as_bytes()), "{no}");
        }
    }
}
