//! Masking of result rows: a value from a masked column goes whole, and what is found to be sensitive
//! in any other value is replaced, in the type and the format that the agent asked for.

use bailiwick_action::DetectedSet;
use bytes::{BufMut, Bytes, BytesMut};

use super::calls::value_text;
use super::frame::{Frame, Reader, Sender, take};
use super::types::{Family, bytea_text, family, numeric_text};
use crate::limits::{COLUMNS_MAX, TARGET_FRAME_BYTES_MAX};
use crate::sql::Row;
use crate::{Fault, Result, Veil};

/// One column of a result as the target describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// The table the column is taken from, or zero.
    pub(crate) table: u32,
    /// Its number within the table.
    pub(crate) number: i16,
    /// The OID of its type.
    pub(crate) type_oid: u32,
    /// Whether its values come in binary format.
    pub(crate) binary: bool,
}

/// Reads a RowDescription.
pub(crate) fn described(frame: &Frame) -> Result<Vec<Described>> {
    let malformed = || Fault::Target("a malformed row description".into());
    let mut body = frame.reader();
    let count = body.count(COLUMNS_MAX).ok_or_else(malformed)?;
    let mut columns = Vec::with_capacity(count);
    for _ in 0..count {
        let mut column = || {
            body.c_bytes()?;
            let table = body.u32()?;
            let number = body.i16()?;
            let type_oid = body.u32()?;
            let _size = body.i16()?;
            let _modifier = body.i32()?;
            Some(Described {
                table,
                number,
                type_oid,
                binary: body.i16()? == 1,
            })
        };
        columns.push(column().ok_or_else(malformed)?);
    }
    Ok(columns)
}

/// How many columns a DataRow has.
pub(crate) fn columns(frame: &Frame) -> Result<usize> {
    frame
        .reader()
        .count(COLUMNS_MAX)
        .ok_or_else(|| Fault::Target("a malformed row".into()))
}

/// Reads DataRows for people, up to the first that is not whole: text where a value is text, else
/// hexadecimal. What a COPY has brought is one value for each message.
pub(crate) fn readable(rows: &[u8]) -> Vec<Vec<Option<String>>> {
    let mut rest = BytesMut::from(rows);
    let mut readable = Vec::new();
    while let Ok(Some(frame)) = take(&mut rest, Sender::Target, TARGET_FRAME_BYTES_MAX) {
        if frame.tag == b'd' {
            let body = frame.body();
            let line = body.strip_suffix(b"\n").unwrap_or(&body);
            readable.push(vec![Some(value_text(line, false))]);
            continue;
        }
        let mut body = frame.reader();
        let count = body.count(COLUMNS_MAX).unwrap_or_default();
        let values = (0..count).map_while(|_| body.value());
        // Which format a value has is not known here; binary text is the same as text.
        let text = |value: Option<Bytes>| value.map(|value| value_text(&value, true));
        readable.push(values.map(text).collect());
    }
    readable
}

/// How to treat one column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The OID of its type; zero where it is not known.
    pub(crate) type_oid: u32,
    /// Whether its values come in binary format.
    pub(crate) binary: bool,
    /// Whether every value is masked whole.
    pub(crate) masked: bool,
    /// What detectors find in other values and stays there.
    pub(crate) cleared: DetectedSet,
}

/// How to treat the rows of a result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules(pub(crate) Vec<Rule>);

/// Rewrites a DataRow. Returns the message for the agent and how many values were masked.
pub(crate) fn mask(frame: &Frame, rules: &Rules, veil: &dyn Veil) -> Result<(Bytes, u64)> {
    let malformed = || Fault::Target("a malformed row".into());
    let mut body = frame.reader();
    let count = body.count(COLUMNS_MAX).ok_or_else(malformed)?;
    if count != rules.0.len() {
        return Err(Fault::Target(format!(
            "a row of {count} columns where {} were described",
            rules.0.len()
        )));
    }
    let mut rewritten: Option<BytesMut> = None;
    let mut masked = 0;
    let mut done = 7; // The header and the count of columns.
    for rule in &rules.0 {
        let value = body.value().ok_or_else(malformed)?;
        let length = 4 + value.as_ref().map_or(0, Bytes::len);
        let replacement = match &value {
            // Whether a masked value is NULL says something about it, too.
            None if rule.masked => {
                let placeholder = whole(family(rule.type_oid), rule.binary, veil);
                placeholder.map(|placeholder| (Some(placeholder), 1))
            }
            None => None,
            Some(value) => replace(value, *rule, veil),
        };
        match replacement {
            None => {
                if let Some(out) = &mut rewritten {
                    out.put_slice(frame.whole.get(done..done + length).unwrap_or_default());
                }
            }
            Some((replacement, found)) => {
                masked += found;
                let out = rewritten.get_or_insert_with(|| {
                    BytesMut::from(frame.whole.get(..done).unwrap_or_default())
                });
                match replacement {
                    None => out.put_i32(-1),
                    Some(bytes) => {
                        out.put_i32(i32::try_from(bytes.len()).map_err(|_| malformed())?);
                        out.put_slice(&bytes);
                    }
                }
            }
        }
        done += length;
    }
    if !body.is_empty() {
        return Err(malformed());
    }
    match rewritten {
        None => Ok((frame.whole.clone(), 0)),
        Some(mut out) => {
            let length = u32::try_from(out.len() - 1).map_err(|_| malformed())?;
            if let Some(header) = out.get_mut(1..5) {
                header.copy_from_slice(&length.to_be_bytes());
            }
            Ok((out.freeze(), masked))
        }
    }
}

/// What takes a value's place (the inner nothing is NULL, valid in every type) and how many sensitive
/// values it held; nothing where it may pass as it is.
pub(super) fn replace(value: &[u8], rule: Rule, veil: &dyn Veil) -> Option<(Option<Vec<u8>>, u64)> {
    let family = family(rule.type_oid);
    if rule.masked {
        return Some((whole(family, rule.binary, veil), 1));
    }
    let look = Look {
        veil,
        cleared: rule.cleared,
    };
    match (family, rule.binary) {
        (Family::Harmless, _) => None,
        (Family::Text, _) | (Family::TextArray, false) => found(look, value),
        (Family::Json, _) | (Family::Jsonb, false) => found_in_json(look, value),
        (Family::Jsonb, true) => {
            // The first byte is the version of the format.
            let (version, text) = value.split_first()?;
            let (text, count) = found_in_json(look, text)?;
            let text = text.unwrap_or_default();
            Some((Some([&[*version], &*text].concat()), count))
        }
        (Family::Int8, true) => {
            let number = i64::from_be_bytes(value.try_into().ok()?);
            absent(look, number.to_string().as_bytes())
        }
        (Family::Numeric, true) => absent(look, numeric_text(value)?.as_bytes()),
        (Family::Int8 | Family::Numeric, false) => absent(look, value),
        (Family::Bytea, false) => absent(look, &bytea_text(value)),
        (Family::Bytea | Family::TextArray | Family::Unknown, true) => absent(look, value),
        (Family::Unknown, false) => {
            // A type not known here: a placeholder might not be valid in it, unless it is plainly
            // not a number.
            if value.iter().any(u8::is_ascii_alphabetic) {
                found(look, value)
            } else {
                absent(look, value)
            }
        }
    }
}

/// Looks for what is to be masked in a value of one column.
#[derive(Clone, Copy)]
struct Look<'v> {
    veil: &'v dyn Veil,
    cleared: DetectedSet,
}

impl Look<'_> {
    fn rewrite(self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
        match self.cleared.is_empty() {
            true => self.veil.rewrite(text),
            false => self.veil.rewrite_but(text, self.cleared),
        }
    }
}

fn found(look: Look<'_>, value: &[u8]) -> Option<(Option<Vec<u8>>, u64)> {
    let (text, count) = look.rewrite(value)?;
    Some((Some(text), count))
}

/// As [`found`], for a whole JSON value: the placeholder for a bare number needs quotes around it.
fn found_in_json(look: Look<'_>, value: &[u8]) -> Option<(Option<Vec<u8>>, u64)> {
    let (text, count) = look.rewrite(value)?;
    let first = value.trim_ascii_start().first();
    if first.is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-') {
        return Some((Some([b"\"", &*text, b"\""].concat()), count));
    }
    Some((Some(text), count))
}

/// A type that cannot hold a placeholder: what holds something sensitive becomes NULL.
fn absent(look: Look<'_>, text: &[u8]) -> Option<(Option<Vec<u8>>, u64)> {
    let (_, count) = look.rewrite(text)?;
    Some((None, count))
}

pub(super) fn whole(family: Family, binary: bool, veil: &dyn Veil) -> Option<Vec<u8>> {
    let placeholder = veil.placeholder();
    match (family, binary) {
        (Family::Text, _) => Some(placeholder.as_bytes().to_vec()),
        (Family::Json, _) | (Family::Jsonb, false) => Some(format!("\"{placeholder}\"").into()),
        (Family::Jsonb, true) => Some(format!("\u{1}\"{placeholder}\"").into()),
        (
            Family::Harmless
            | Family::Int8
            | Family::Numeric
            | Family::Bytea
            | Family::TextArray
            | Family::Unknown,
            _,
        ) => None,
    }
}

/// Rewrites the texts of an ErrorResponse or NoticeResponse. With `withhold`, the texts that may
/// quote a value are replaced altogether, because the statement reads a masked column.
pub(crate) fn mask_report(frame: &Frame, withhold: bool, veil: &dyn Veil) -> Result<(Bytes, u64)> {
    const WITHHELD: &str = "text withheld: the statement reads a masked column";
    let malformed = || Fault::Target("a malformed error or notice".into());
    // "Failing row contains (…)" of a violated constraint: columns that no grant let the agent see.
    let shows_row = report_field(frame, b'C')
        .is_some_and(|code| code.starts_with("23") || code.starts_with("44"));
    let mut body: Reader = frame.reader();
    let mut masked = 0;
    let mut out = BytesMut::new();
    loop {
        let field = body.u8().ok_or_else(malformed)?;
        if field == 0 {
            break;
        }
        let value = body.c_bytes().ok_or_else(malformed)?;
        let quotes_values = matches!(field, b'M' | b'D' | b'H' | b'W' | b'q');
        if shows_row && field == b'D' {
            masked += 1;
            continue;
        }
        if withhold && quotes_values {
            if field == b'M' {
                masked += 1;
                out.put_u8(field);
                super::message::put_c_string(&mut out, WITHHELD);
            }
            continue;
        }
        out.put_u8(field);
        match veil.rewrite(&value) {
            Some((text, count)) => {
                masked += count;
                out.put_slice(&text);
            }
            None => out.put_slice(&value),
        }
        out.put_u8(0);
    }
    out.put_u8(0);
    Ok((
        super::message::message(frame.tag, |body| body.put_slice(&out)),
        masked,
    ))
}

/// The values of a row that is all text, as an answer to the gateway's own questions is; nothing if it is
/// malformed.
pub(crate) fn texts(frame: &Frame) -> Option<Row> {
    let mut body = frame.reader();
    let count = body.count(COLUMNS_MAX)?;
    let text = |value: Option<Bytes>| match value {
        None => Some(None),
        Some(value) => String::from_utf8(value.to_vec()).ok().map(Some),
    };
    (0..count).map(|_| text(body.value()?)).collect()
}

/// A field of an ErrorResponse.
pub(crate) fn report_field(frame: &Frame, wanted: u8) -> Option<String> {
    let mut body = frame.reader();
    while let Some(field) = body.u8().filter(|field| *field != 0) {
        let value = body.c_bytes()?;
        if field == wanted {
            return String::from_utf8(value.to_vec()).ok();
        }
    }
    None
}

/// Cuts the one frame out of a message that was built whole.
#[cfg(test)]
pub(crate) fn frame_of(whole: Bytes) -> Result<Frame> {
    let mut bytes = BytesMut::from(&*whole);
    super::frame::take(
        &mut bytes,
        super::frame::Sender::Target,
        crate::limits::TARGET_FRAME_BYTES_MAX,
    )?
    .ok_or(Fault::Bug("a message that is not whole"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::message::message;

    /// Replaces every `@`.
    struct At;

    impl Veil for At {
        fn masked(&self) -> Vec<crate::Masked> {
            Vec::new()
        }
        fn rewrite(&self, text: &[u8]) -> Option<(Vec<u8>, u64)> {
            let text = String::from_utf8_lossy(text);
            let count = text.matches('@').count() as u64 + text.matches("4111").count() as u64;
            (count > 0).then(|| (text.replace('@', "[masked]").into(), count))
        }
        fn placeholder(&self) -> &'static str {
            "[masked]"
        }
        fn has_placeholder(&self, bytes: &[u8]) -> bool {
            bytes.windows(7).any(|w| w == b"[masked")
        }
    }

    fn row(values: &[Option<&[u8]>]) -> Frame {
        let whole = message(b'D', |body| {
            body.put_u16(values.len() as u16);
            for value in values {
                match value {
                    None => body.put_i32(-1),
                    Some(value) => {
                        body.put_i32(value.len() as i32);
                        body.put_slice(value);
                    }
                }
            }
        });
        frame_of(whole).unwrap()
    }

    fn rule(type_oid: u32, binary: bool, masked: bool) -> Rule {
        Rule {
            type_oid,
            binary,
            masked,
            cleared: DetectedSet::NONE,
        }
    }

    #[test]
    fn an_unmasked_row_passes_untouched() {
        let frame = row(&[Some(b"abc"), None]);
        let rules = Rules(vec![rule(25, false, false), rule(25, false, false)]);
        let (bytes, masked) = mask(&frame, &rules, &At).unwrap();
        assert_eq!((bytes, masked), (frame.whole, 0));
    }

    #[test]
    fn each_type_stays_valid() {
        let int8 = 4111i64.to_be_bytes();
        for (type_oid, binary, masked, value, expected) in [
            (25, false, true, &b"x"[..], Some(&b"[masked]"[..])),
            (25, true, true, b"x", Some(b"[masked]")),
            (3802, true, true, b"\x01{}", Some(b"\x01\"[masked]\"")),
            (114, false, true, b"{}", Some(b"\"[masked]\"")),
            (23, false, true, b"7", None),
            (23, true, true, b"\0\0\0\x07", None),
            (1184, false, true, b"2024-01-01", None),
            (25, false, false, b"a@b", Some(b"a[masked]b")),
            (3802, true, false, b"\x01\"@\"", Some(b"\x01\"[masked]\"")),
            (20, false, false, b"4111", None),
            (114, false, false, b"4111", Some(b"\"4111\"")),
            (3802, true, false, b"\x014111", Some(b"\x01\"4111\"")),
            (20, true, false, &int8, None),
            (1009, true, false, b"..@..", None),
            (17, false, false, b"\\x6140", None),
            (0, true, false, b"a@", None),
            (0, false, false, b"4111", None),
        ] {
            let frame = row(&[Some(b"before"), Some(value), Some(b"after")]);
            let plain = rule(25, false, false);
            let rules = Rules(vec![plain, rule(type_oid, binary, masked), plain]);
            let (bytes, _) = mask(&frame, &rules, &At).unwrap();
            let expected = row(&[Some(b"before"), expected, Some(b"after")]);
            assert_eq!(bytes, expected.whole, "{type_oid} {binary} {masked}");
        }
    }

    #[test]
    fn a_masked_null_looks_like_any_masked_value() {
        let (bytes, masked) =
            mask(&row(&[None]), &Rules(vec![rule(25, false, true)]), &At).unwrap();
        assert_eq!((bytes, masked), (row(&[Some(b"[masked]")]).whole, 1));
    }

    #[test]
    fn a_violated_constraint_does_not_show_the_row() {
        let whole = message(b'E', |body| {
            body.put_slice(b"SERROR\0C23514\0Mnew row violates\0DFailing row contains (Bob)\0\0");
        });
        let (bytes, _) = mask_report(&frame_of(whole).unwrap(), false, &At).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains("violates") && !text.contains("Bob"), "{text}");
    }

    #[test]
    fn a_row_unlike_its_description_is_refused() {
        let rules = Rules(vec![rule(25, false, false)]);
        assert!(mask(&row(&[Some(b"a"), Some(b"b")]), &rules, &At).is_err());
    }

    #[test]
    fn an_error_about_masked_data_keeps_its_code_and_loses_its_text() {
        let whole = message(b'E', |body| {
            body.put_slice(b"SERROR\0C22P02\0Minvalid input: \"Bob\"\0Wcontext Bob\0\0");
        });
        let (bytes, _) = mask_report(&frame_of(whole).unwrap(), true, &At).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains("22P02") && !text.contains("Bob"), "{text}");
    }
}
