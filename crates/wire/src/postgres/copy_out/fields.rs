//! Values as the text formats of COPY write them. Only what PostgreSQL itself writes is read.

use std::borrow::Cow;

/// A value in the text format, and where it ends.
pub(super) fn text_field<'d>(
    data: &'d [u8],
    delimiter: u8,
    null: &str,
) -> Option<(Option<Cow<'d, [u8]>>, usize)> {
    let mut plain: Option<Vec<u8>> = None;
    let mut at = 0;
    loop {
        let byte = *data.get(at)?;
        if byte == delimiter || byte == b'\n' {
            break;
        }
        let (value, length) = match byte {
            b'\\' => (escaped(*data.get(at + 1)?, delimiter), 2),
            // PostgreSQL would have escaped these.
            0x08 | 0x0b | 0x0c | b'\r' | b'\t' => return None,
            byte => (Some(byte), 1),
        };
        if length == 2 && plain.is_none() {
            plain = Some(data.get(..at)?.to_vec());
        }
        match (value, &mut plain) {
            (Some(value), Some(plain)) => plain.push(value),
            (Some(_), None) => {}
            // `\N` and its like are no values, only what may stand for NULL.
            (None, _) => return null_field(data, delimiter, null),
        }
        at += length;
    }
    let raw = data.get(..at)?;
    let value = match plain {
        _ if raw == null.as_bytes() => None,
        Some(plain) => Some(Cow::Owned(plain)),
        None => Some(Cow::Borrowed(raw)),
    };
    Some((value, at))
}

/// NULL, where what stands for it is no value.
fn null_field<'d>(
    data: &'d [u8],
    delimiter: u8,
    null: &str,
) -> Option<(Option<Cow<'d, [u8]>>, usize)> {
    let rest = data.strip_prefix(null.as_bytes())?;
    let end = *rest.first()?;
    (end == delimiter || end == b'\n').then_some((None, null.len()))
}

/// What a character after a backslash stands for, of those that PostgreSQL writes.
fn escaped(byte: u8, delimiter: u8) -> Option<u8> {
    Some(match byte {
        byte if byte == b'\\' || byte == delimiter => byte,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        _ => return None,
    })
}

/// A value in the CSV format, and where it ends.
pub(super) fn csv_field<'d>(
    data: &'d [u8],
    delimiter: u8,
    null: &str,
    quote: u8,
    escape: u8,
) -> Option<(Option<Cow<'d, [u8]>>, usize)> {
    let ends = |byte: u8| byte == delimiter || byte == b'\n';
    if data.first() != Some(&quote) {
        let end = data.iter().position(|byte| ends(*byte))?;
        let raw = data.get(..end)?;
        // PostgreSQL would have quoted these.
        if raw.iter().any(|byte| *byte == quote || *byte == b'\r') {
            return None;
        }
        let value = (raw != null.as_bytes()).then_some(Cow::Borrowed(raw));
        return Some((value, end));
    }
    let mut value = Vec::new();
    let mut at = 1;
    loop {
        let byte = *data.get(at)?;
        let next = data.get(at + 1).copied();
        match next {
            Some(next) if byte == escape && (next == quote || next == escape) => {
                value.push(next);
                at += 2;
            }
            _ if byte == quote => break,
            // PostgreSQL would have escaped it.
            _ if byte == escape => return None,
            _ => {
                value.push(byte);
                at += 1;
            }
        }
    }
    let end = at + 1;
    ends(*data.get(end)?).then_some((Some(Cow::Owned(value)), end))
}
