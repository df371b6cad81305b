//! Reading the target's catalogue, with statements of the gateway's own. They go by the extended
//! protocol under a name of their own, which leaves the agent's unnamed statement alone.

use bytes::{BufMut, Bytes, BytesMut};

use super::Outbox;
use super::frame::{Frame, Sender, take};
use super::message;
use super::rows::{report_field, texts};
use crate::limits::{CATALOGUE_BYTES_MAX, CATALOGUE_ROWS_MAX, TARGET_FRAME_BYTES_MAX};
use crate::sql::{Catalogue, QUERIES, Row};
use crate::{Fault, Result};

/// The name of the statement and of its portal.
const NAME: &str = "bailiwick learns";

/// No formats and no values, as a Bind has them.
const NO_VALUES: &[u8] = &[0; 4];

/// Asks one query, and leaves nothing behind.
fn ask(sql: &str) -> Bytes {
    ask_with(NAME, sql, &[], NO_VALUES)
}

/// Asks one query under this name, with these values as a Bind has them, of these types; and leaves nothing
/// behind.
pub(super) fn ask_with(name: &str, sql: &str, types: &[u32], values: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    message::append(&mut bytes, b'P', |body| {
        message::put_c_string(body, name);
        message::put_c_string(body, sql);
        body.put_u16(u16::try_from(types.len()).unwrap_or_default());
        for oid in types {
            body.put_u32(*oid);
        }
    });
    let values = if values.is_empty() { NO_VALUES } else { values };
    message::append(&mut bytes, b'B', |body| {
        message::put_c_string(body, name);
        message::put_c_string(body, name);
        body.put_slice(values);
        // No result formats: all is text.
        body.put_u16(0);
    });
    bytes.extend_from_slice(&message::execute(name));
    for what in [b'P', b'S'] {
        message::append(&mut bytes, b'C', |body| {
            body.put_u8(what);
            message::put_c_string(body, name);
        });
    }
    bytes.extend_from_slice(&message::sync());
    bytes.freeze()
}

/// A catalogue that is being read: one query after the other.
#[derive(Default)]
pub(super) struct Learning {
    answers: Vec<Vec<Row>>,
    rows: Vec<Row>,
    total: usize,
    bytes: usize,
}

impl Learning {
    /// Starts; returns what to send.
    pub(super) fn start() -> (Self, Bytes) {
        (
            Self::default(),
            QUERIES.first().map(|sql| ask(sql)).unwrap_or_default(),
        )
    }

    /// Reads on; returns the catalogue once it is whole.
    pub(super) fn advance(
        &mut self,
        input: &mut BytesMut,
        out: &mut Outbox,
    ) -> Result<Option<Catalogue>> {
        while let Some(frame) = take(input, Sender::Target, TARGET_FRAME_BYTES_MAX)? {
            match frame.tag {
                b'D' => self.row(&frame)?,
                b'Z' => {
                    self.answers.push(std::mem::take(&mut self.rows));
                    match QUERIES.get(self.answers.len()) {
                        Some(sql) => out.relay(ask(sql)),
                        None => {
                            return Catalogue::from_rows(&self.answers)
                                .map(Some)
                                .map_err(|bad| {
                                    Fault::Target(format!("its catalogue cannot be read: {bad}"))
                                });
                        }
                    }
                }
                // Completions, notices and settings say nothing new.
                b'1' | b'2' | b'3' | b'C' | b'N' | b'S' => {}
                b'E' => {
                    let code = report_field(&frame, b'C').unwrap_or_default();
                    let text = report_field(&frame, b'M').unwrap_or_default();
                    return Err(Fault::Target(format!(
                        "its catalogue cannot be read: {text} ({code})"
                    )));
                }
                tag => {
                    return Err(Fault::Target(format!(
                        "a message of type {:?} while its catalogue was read",
                        char::from(tag)
                    )));
                }
            }
        }
        Ok(None)
    }

    fn row(&mut self, frame: &Frame) -> Result<()> {
        let malformed = || Fault::Target("a malformed row of its catalogue".into());
        self.total += 1;
        if self.total > CATALOGUE_ROWS_MAX {
            return Err(Fault::Target(format!(
                "a catalogue of more than {CATALOGUE_ROWS_MAX} rows"
            )));
        }
        self.bytes += frame.whole.len();
        if self.bytes > CATALOGUE_BYTES_MAX {
            return Err(Fault::Target(format!(
                "a catalogue of more than {CATALOGUE_BYTES_MAX} bytes"
            )));
        }
        self.rows.push(texts(frame).ok_or_else(malformed)?);
        Ok(())
    }
}
