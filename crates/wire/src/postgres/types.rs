//! What the gateway needs to know of PostgreSQL's types: how a placeholder fits into each, and how to
//! see the text in some binary formats. OIDs are those of `pg_type.dat`, stable across versions.

/// Types that are treated alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// bytea.
    Bytea,
    /// Too small or too structured to hold anything the detectors look for.
    Harmless,
    /// bigint: may hold a card number.
    Int8,
    /// json: text in both formats.
    Json,
    /// jsonb: its binary format is a version byte and text.
    Jsonb,
    /// numeric: may hold a card number.
    Numeric,
    /// Text, the same bytes in both formats.
    Text,
    /// An array of text.
    TextArray,
    /// Any other.
    Unknown,
}

/// The family of a type.
pub(crate) fn family(type_oid: u32) -> Family {
    match type_oid {
        17 => Family::Bytea,
        // bool, int2, int4, oid, xid, cid, tid, float4, float8, date, time, timestamp, timestamptz,
        // interval, timetz, uuid.
        16 | 21 | 23 | 26 | 27 | 28 | 29 | 700 | 701 | 1082 | 1083 | 1114 | 1184 | 1186 | 1266
        | 2950 => Family::Harmless,
        20 => Family::Int8,
        114 => Family::Json,
        3802 => Family::Jsonb,
        1700 => Family::Numeric,
        // name, text, bpchar, varchar, unknown, xml, cstring.
        19 | 25 | 1042 | 1043 | 705 | 142 | 2275 => Family::Text,
        // _name, _text, _bpchar, _varchar.
        1003 | 1009 | 1014 | 1015 => Family::TextArray,
        _ => Family::Unknown,
    }
}

/// Base-10000 digits of a numeric that are looked at; no identifier the detectors know is longer.
const INTEGER_PLACES_MAX: usize = 16;

/// The integer part of a numeric in binary format
/// (`numeric_send` in PostgreSQL's numeric.c: count of base-10000 digits, weight, sign, scale, digits).
pub(crate) fn numeric_text(value: &[u8]) -> Option<String> {
    let mut words = value
        .chunks_exact(2)
        .map(|pair| pair.try_into().map(u16::from_be_bytes).unwrap_or_default());
    let digits = words.next()?;
    let weight = words.next()?.cast_signed();
    let _sign = words.next()?;
    let _scale = words.next()?;
    let mut words = words.take(usize::from(digits));
    // Trailing zeros are left out of the format: a missing digit is zero.
    let places = usize::try_from(weight).ok()?.min(INTEGER_PLACES_MAX);
    let text: String = (0..=places)
        .map(|_| format!("{:04}", words.next().unwrap_or_default()))
        .collect();
    Some(text.trim_start_matches('0').to_owned())
}

/// The bytes behind a bytea in text format: `\x` and hexadecimal digits; any other form (the old
/// `escape` format) is returned as it is.
pub(crate) fn bytea_text(value: &[u8]) -> Vec<u8> {
    let Some(digits) = value.strip_prefix(b"\\x") else {
        return value.to_vec();
    };
    digits
        .chunks_exact(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_shows_in_a_binary_numeric() {
        // 4111111111111111 = 4111 1111 1111 1111 in base 10000; weight 3.
        let mut value = Vec::new();
        for word in [4u16, 3, 0, 0, 4111, 1111, 1111, 1111] {
            value.extend(word.to_be_bytes());
        }
        assert_eq!(numeric_text(&value).unwrap(), "4111111111111111");
        let round = [0, 1, 0, 1, 0, 0, 0, 0, 0x0f, 0xa1];
        assert_eq!(numeric_text(&round).unwrap(), "40010000");
        assert_eq!(numeric_text(&[0, 1]), None);
    }

    #[test]
    fn hexadecimal_bytea_is_read() {
        assert_eq!(bytea_text(b"\\x6140"), b"a@");
        assert_eq!(bytea_text(b"plain"), b"plain");
    }
}
