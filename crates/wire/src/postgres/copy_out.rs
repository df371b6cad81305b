//! Masking of COPY to the agent: its data is taken apart as the statement says that it is written, and
//! every value is treated as that of a row is. What cannot be taken apart is refused, never passed on.
//!
//! PostgreSQL sends each row in a message of its own. The protocol allows a row to be split; a target
//! that does so is refused, since nothing but a row that is whole can be masked.

mod fields;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::{BufMut, Bytes};

use self::fields::{csv_field, text_field};
use super::frame::Frame;
use super::message::message;
use super::rows::{Rule, Rules, replace, whole};
use super::types::{family, numeric_text};
use crate::limits::COLUMNS_MAX;
use crate::sql::{CopyFormat, CopyOut};
use crate::{Fault, Result, Veil};

/// A COPY whose data is on its way to the agent.
#[derive(Debug)]
pub(crate) struct Copying {
    copy: CopyOut,
    rules: Rules,
    place: Place,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The names of the columns, or the header of the binary format.
    Head,
    Rows,
    /// Nothing: the binary format has said so.
    End,
}

/// A message of data, as the agent gets it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) bytes: Bytes,
    pub(crate) rows: u64,
    pub(crate) masked: u64,
}

/// What a CopyOutResponse says: how many columns there are, if all of it is as the statement wants it.
pub(crate) fn columns(frame: &Frame, copy: &CopyOut) -> Result<usize> {
    let malformed = || Fault::Target("a malformed answer to a COPY".into());
    let wanted = u8::from(copy.format == CopyFormat::Binary);
    let mut body = frame.reader();
    let format = body.u8().ok_or_else(malformed)?;
    let count = body.count(COLUMNS_MAX).ok_or_else(malformed)?;
    let mut all = format == wanted;
    for _ in 0..count {
        all &= body.i16().ok_or_else(malformed)? == i16::from(wanted);
    }
    match all && body.is_empty() {
        true => Ok(count),
        false => Err(Fault::Target(
            "a COPY in another format than was asked for".into(),
        )),
    }
}

fn unreadable() -> Fault {
    Fault::Target("data of a COPY that is not whole rows in the format that was asked for".into())
}

/// One value of a line.
struct Field<'d> {
    /// Its bytes as they were written.
    raw: &'d [u8],
    /// Its value; nothing for NULL.
    value: Option<Cow<'d, [u8]>>,
}

impl Copying {
    pub(crate) fn new(copy: CopyOut, rules: Rules) -> Self {
        let place = match (&copy.format, &copy.header) {
            (CopyFormat::Binary, _) | (_, Some(_)) => Place::Head,
            _ => Place::Rows,
        };
        Self { copy, rules, place }
    }

    /// Whether the data may end here.
    pub(crate) fn is_whole(&self) -> bool {
        match self.copy.format {
            CopyFormat::Binary => self.place == Place::End,
            CopyFormat::Text { .. } | CopyFormat::Csv { .. } => self.place == Place::Rows,
        }
    }

    /// Masks a message of data.
    pub(crate) fn data(&mut self, frame: &Frame, veil: &dyn Veil) -> Result<Copied> {
        let body = frame.body();
        let mut done = Done {
            out: None,
            rows: 0,
            masked: 0,
        };
        match self.copy.format {
            CopyFormat::Binary => self.binary(&body, veil, &mut done)?,
            CopyFormat::Text { .. } | CopyFormat::Csv { .. } => {
                self.lines(&body, veil, &mut done)?
            }
        }
        Ok(Copied {
            bytes: match done.out {
                Some(out) => message(b'd', |body| body.put_slice(&out)),
                None => frame.whole.clone(),
            },
            rows: done.rows,
            masked: done.masked,
        })
    }

    fn lines(&mut self, data: &[u8], veil: &dyn Veil, done: &mut Done) -> Result<()> {
        let mut rest = data;
        while !rest.is_empty() {
            let before = data.len() - rest.len();
            let mut fields = Vec::with_capacity(self.rules.0.len());
            loop {
                let (field, end, after) = self.field(rest).ok_or_else(unreadable)?;
                fields.push(field);
                rest = after;
                if end == b'\n' {
                    break;
                }
            }
            // A row without columns is an empty line.
            if self.rules.0.is_empty() && fields.len() == 1 {
                fields.retain(|field| !field.raw.is_empty());
            }
            if fields.len() != self.rules.0.len() {
                return Err(unreadable());
            }
            let head = self.place == Place::Head && self.is_names(&fields);
            self.place = Place::Rows;
            let line = data
                .get(before..data.len() - rest.len())
                .unwrap_or_default();
            if head {
                done.pass(line);
            } else {
                done.rows += 1;
                self.line(line, before, data, &fields, veil, done);
            }
        }
        Ok(())
    }

    /// Whether a line has the names of the columns. A line that has others is taken for a row.
    fn is_names(&self, fields: &[Field<'_>]) -> bool {
        let names = self.copy.header.as_deref().unwrap_or_default();
        names.len() == fields.len()
            && names
                .iter()
                .zip(fields)
                .all(|(name, field)| field.value.as_deref() == Some(name.as_bytes()))
    }

    fn line(
        &self,
        line: &[u8],
        before: usize,
        data: &[u8],
        fields: &[Field<'_>],
        veil: &dyn Veil,
        done: &mut Done,
    ) {
        let mut written: Option<Vec<u8>> = None;
        // Where in the line the value stands.
        let mut at = 0;
        for (number, (field, rule)) in fields.iter().zip(&self.rules.0).enumerate() {
            if number > 0 {
                if let Some(written) = &mut written {
                    written.push(self.delimiter());
                }
                at += 1;
            }
            let replacement = match &field.value {
                None if rule.masked => {
                    whole(family(rule.type_oid), false, veil).map(|text| (Some(text), 1))
                }
                None => None,
                Some(value) => replace(value, *rule, veil),
            };
            match replacement {
                None => {
                    if let Some(written) = &mut written {
                        written.extend_from_slice(field.raw);
                    }
                }
                Some((value, masked)) => {
                    done.masked += masked;
                    let written =
                        written.get_or_insert_with(|| line.get(..at).unwrap_or_default().to_vec());
                    // How a masked value was written says something about it, too.
                    let before = if rule.masked { &[][..] } else { field.raw };
                    self.write(value.as_deref(), before, written);
                }
            }
            at += field.raw.len();
        }
        match written {
            None => done.pass(line),
            Some(mut written) => {
                written.push(b'\n');
                done.instead(&written, before, data);
            }
        }
    }

    fn delimiter(&self) -> u8 {
        match &self.copy.format {
            CopyFormat::Text { delimiter, .. } | CopyFormat::Csv { delimiter, .. } => *delimiter,
            CopyFormat::Binary => 0,
        }
    }

    /// The first value of what is left of the data, the byte that ends it, and what comes after that.
    fn field<'d>(&self, data: &'d [u8]) -> Option<(Field<'d>, u8, &'d [u8])> {
        let (value, end) = match &self.copy.format {
            CopyFormat::Text { delimiter, null } => text_field(data, *delimiter, null)?,
            CopyFormat::Csv {
                delimiter,
                null,
                quote,
                escape,
            } => csv_field(data, *delimiter, null, *quote, *escape)?,
            CopyFormat::Binary => return None,
        };
        let (raw, rest) = data.split_at_checked(end)?;
        let (ends, after) = rest.split_first()?;
        Some((Field { raw, value }, *ends, after))
    }

    /// Writes a value as the server would.
    fn write(&self, value: Option<&[u8]>, before: &[u8], out: &mut Vec<u8>) {
        match (&self.copy.format, value) {
            (CopyFormat::Text { null, .. } | CopyFormat::Csv { null, .. }, None) => {
                out.extend_from_slice(null.as_bytes());
            }
            (CopyFormat::Text { delimiter, .. }, Some(value)) => {
                for byte in value {
                    let escaped = match byte {
                        0x08 => Some(b'b'),
                        0x0c => Some(b'f'),
                        b'\n' => Some(b'n'),
                        b'\r' => Some(b'r'),
                        b'\t' => Some(b't'),
                        0x0b => Some(b'v'),
                        byte if *byte == b'\\' || byte == delimiter => Some(*byte),
                        _ => None,
                    };
                    match escaped {
                        Some(escaped) => out.extend_from_slice(&[b'\\', escaped]),
                        None => out.push(*byte),
                    }
                }
            }
            (
                CopyFormat::Csv {
                    delimiter,
                    null,
                    quote,
                    escape,
                },
                Some(value),
            ) => {
                let special = |byte: &u8| [*delimiter, *quote, b'\n', b'\r'].contains(byte);
                let quoted = before.first() == Some(quote)
                    || value == null.as_bytes()
                    || value == b"\\."
                    || value.iter().any(special);
                if !quoted {
                    return out.extend_from_slice(value);
                }
                out.push(*quote);
                for byte in value {
                    if byte == quote || byte == escape {
                        out.push(*escape);
                    }
                    out.push(*byte);
                }
                out.push(*quote);
            }
            (CopyFormat::Binary, _) => {}
        }
    }

    fn binary(&mut self, data: &[u8], veil: &dyn Veil, done: &mut Done) -> Result<()> {
        let mut rest = data;
        if self.place == Place::Head {
            rest = rest.strip_prefix(BINARY_HEAD).ok_or_else(unreadable)?;
            self.place = Place::Rows;
            done.pass(BINARY_HEAD);
        }
        while !rest.is_empty() {
            if self.place == Place::End {
                return Err(unreadable());
            }
            let before = data.len() - rest.len();
            let count = i16::from_be_bytes(taken(&mut rest)?);
            if count == -1 {
                self.place = Place::End;
                done.pass(&count.to_be_bytes());
                continue;
            }
            if usize::try_from(count) != Ok(self.rules.0.len()) {
                return Err(unreadable());
            }
            done.rows += 1;
            let mut written: Option<Vec<u8>> = None;
            for rule in &self.rules.0 {
                let start = data.len() - rest.len();
                let length = i32::from_be_bytes(taken(&mut rest)?);
                let value = match usize::try_from(length) {
                    Ok(length) => {
                        let (value, after) =
                            rest.split_at_checked(length).ok_or_else(unreadable)?;
                        rest = after;
                        Some(value)
                    }
                    Err(_) if length == -1 => None,
                    Err(_) => return Err(unreadable()),
                };
                match binary_replacement(value, *rule, veil) {
                    None => {
                        if let Some(written) = &mut written {
                            let end = data.len() - rest.len();
                            written.extend_from_slice(data.get(start..end).unwrap_or_default());
                        }
                    }
                    Some((value, masked)) => {
                        done.masked += masked;
                        let written = written.get_or_insert_with(|| {
                            data.get(before..start).unwrap_or_default().to_vec()
                        });
                        match value {
                            None => written.put_i32(-1),
                            Some(value) => {
                                written
                                    .put_i32(i32::try_from(value.len()).map_err(|_| unreadable())?);
                                written.extend_from_slice(&value);
                            }
                        }
                    }
                }
            }
            match written {
                None => {
                    let end = data.len() - rest.len();
                    done.pass(data.get(before..end).unwrap_or_default());
                }
                Some(written) => done.instead(&written, before, data),
            }
        }
        Ok(())
    }
}

/// The signature, no flags, and no extension
/// (<https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-FILE-FORMATS>).
const BINARY_HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// What was done of a message. As long as nothing changed, nothing is copied.
struct Done {
    out: Option<Vec<u8>>,
    rows: u64,
    masked: u64,
}

impl Done {
    /// These bytes go on as they are.
    fn pass(&mut self, bytes: &[u8]) {
        if let Some(out) = &mut self.out {
            out.extend_from_slice(bytes);
        }
    }

    /// These go in the place of what follows the first `before` bytes of the data.
    fn instead(&mut self, bytes: &[u8], before: usize, data: &[u8]) {
        self.out
            .get_or_insert_with(|| data.get(..before).unwrap_or_default().to_vec())
            .extend_from_slice(bytes);
    }
}

fn taken<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>().ok_or_else(unreadable)?;
    *rest = after;
    Ok(*bytes)
}

fn binary_replacement(
    value: Option<&[u8]>,
    rule: Rule,
    veil: &dyn Veil,
) -> Option<(Option<Vec<u8>>, u64)> {
    let rule = Rule {
        binary: true,
        ..rule
    };
    let Some(value) = value else {
        let placeholder = rule
            .masked
            .then(|| whole(family(rule.type_oid), true, veil))?;
        return placeholder.map(|placeholder| (Some(placeholder), 1));
    };
    let found = replace(value, rule, veil);
    if found.is_some() || rule.type_oid != 0 {
        return found;
    }
    // Of a type that is not known: it may be a number in which something stands.
    let number = match <[u8; 8]>::try_from(value) {
        Ok(bytes) => Some(i64::from_be_bytes(bytes).to_string()),
        Err(_) => None,
    };
    let numbers = number.into_iter().chain(numeric_text(value));
    let count: u64 = numbers
        .filter_map(|number| veil.rewrite(number.as_bytes()))
        .map(|(_, count)| count)
        .sum();
    (count > 0).then_some((None, count))
}
