//! Messages built here: what the gateway says to an agent in the server's place, and the few
//! messages of its own it sends to a target.

use bailiwick_action::Denial;
use bytes::{BufMut, Bytes, BytesMut};

use super::frame::Frame;
use crate::{Fault, Refused, Result, Why};

/// insufficient_privilege: PostgreSQL's own code for what somebody may not do.
pub(crate) const INSUFFICIENT_PRIVILEGE: &str = "42501";
/// query_canceled.
const QUERY_CANCELED: &str = "57014";
/// io_error: the record could not be written.
pub(crate) const IO_ERROR: &str = "58030";

/// One message: tag, length, body.
pub(crate) fn message(tag: u8, body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut bytes = BytesMut::new();
    append(&mut bytes, tag, body);
    bytes.freeze()
}

/// Appends one message.
pub(crate) fn append(bytes: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    let mut content = BytesMut::new();
    body(&mut content);
    bytes.put_u8(tag);
    // A message built here is far below 2 GiB: its parts are limited on the way in.
    bytes.put_u32(u32::try_from(content.len() + 4).unwrap_or(u32::MAX));
    bytes.put_slice(&content);
}

/// A string and its terminating zero. A zero inside would end it early, so there it is dropped.
pub(crate) fn put_c_string(bytes: &mut BytesMut, text: &str) {
    bytes.extend(text.bytes().filter(|byte| *byte != 0));
    bytes.put_u8(0);
}

/// The fields of an ErrorResponse that the gateway itself writes.
pub(crate) struct ErrorFields<'a> {
    pub(crate) severity: &'a str,
    pub(crate) code: &'a str,
    pub(crate) message: &'a str,
    pub(crate) detail: Option<&'a str>,
    pub(crate) hint: Option<&'a str>,
}

/// An ErrorResponse.
pub(crate) fn error(fields: &ErrorFields<'_>) -> Bytes {
    message(b'E', |body| {
        let mut field = |tag: u8, text: &str| {
            body.put_u8(tag);
            put_c_string(body, text);
        };
        field(b'S', fields.severity);
        field(b'V', fields.severity);
        field(b'C', fields.code);
        field(b'M', fields.message);
        if let Some(detail) = fields.detail {
            field(b'D', detail);
        }
        if let Some(hint) = fields.hint {
            field(b'H', hint);
        }
        body.put_u8(0);
    })
}

/// The denial of a call.
pub(crate) fn denied(denial: &Denial) -> Bytes {
    error(&ErrorFields {
        severity: "ERROR",
        code: INSUFFICIENT_PRIVILEGE,
        message: "call denied: outside the scope of this run",
        detail: Some(&denial.reason),
        hint: Some(&denial.remedy),
    })
}

/// A call that is not made for want of an approval.
pub(crate) fn unapproved(denial: &Denial) -> Bytes {
    error(&ErrorFields {
        severity: "ERROR",
        code: INSUFFICIENT_PRIVILEGE,
        message: "call not made: it needs approval",
        detail: Some(&denial.reason),
        hint: (!denial.remedy.is_empty()).then_some(&*denial.remedy),
    })
}

/// A call that the agent took back while it was held.
pub(crate) fn withdrawn() -> Bytes {
    error(&ErrorFields {
        severity: "ERROR",
        code: QUERY_CANCELED,
        message: "canceling statement due to user request",
        detail: Some("It was waiting for approval, and nothing of it was done."),
        hint: None,
    })
}

/// The failure to record a call.
pub(crate) fn unrecorded(why: &str) -> Bytes {
    error(&ErrorFields {
        severity: "ERROR",
        code: IO_ERROR,
        message: "call not sent: it could not be recorded",
        detail: Some(why),
        hint: Some("The target was not touched. Tell whoever runs the gateway; then try again."),
    })
}

/// PostgreSQL's own codes for what ends a session
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn sqlstate(why: Why) -> &'static str {
    match why {
        Why::Agent => "08P01",
        Why::Busy => "53300",
        Why::Credential => "28P01",
        Why::Defect => "XX000",
        // admin_shutdown, as when an administrator ends a session.
        Why::Ended | Why::Suspended | Why::Stopping => "57P01",
        Why::NotLive => "28000",
        Why::OutOfScope => INSUFFICIENT_PRIVILEGE,
        Why::TargetLost => "08006",
        Why::TargetUnopened => "08001",
        Why::Unrecorded => IO_ERROR,
        Why::Unsupported => "0A000",
    }
}

/// The end of a session.
pub(crate) fn fatal(refused: &Refused) -> Bytes {
    error(&ErrorFields {
        severity: "FATAL",
        code: sqlstate(refused.why),
        message: &refused.message,
        detail: None,
        hint: (!refused.hint.is_empty()).then_some(&refused.hint),
    })
}

/// An Authentication message: its kind, and what follows.
pub(crate) fn authentication(kind: u32, rest: &[u8]) -> Bytes {
    message(b'R', |body| {
        body.put_u32(kind);
        body.put_slice(rest);
    })
}

/// ReadyForQuery.
pub(crate) fn ready(status: u8) -> Bytes {
    message(b'Z', |body| body.put_u8(status))
}

/// The transaction status that a ReadyForQuery says.
pub(crate) fn status(ready: &Frame) -> Result<u8> {
    match *ready.body() {
        [status @ (b'I' | b'T' | b'E')] => Ok(status),
        _ => Err(Fault::Target("a malformed ReadyForQuery".into())),
    }
}

/// Query, of the simple protocol.
pub(crate) fn query(sql: &str) -> Bytes {
    message(b'Q', |body| put_c_string(body, sql))
}

/// Sync.
pub(crate) fn sync() -> Bytes {
    message(b'S', |_| {})
}

/// Flush.
pub(crate) fn flush() -> Bytes {
    message(b'H', |_| {})
}

/// Terminate.
pub(crate) fn terminate() -> Bytes {
    message(b'X', |_| {})
}

/// Describe of a prepared statement.
pub(crate) fn describe_statement(name: &str) -> Bytes {
    message(b'D', |body| {
        body.put_u8(b'S');
        put_c_string(body, name);
    })
}

/// Execute of a portal, without a row limit.
pub(crate) fn execute(portal: &str) -> Bytes {
    message(b'E', |body| {
        put_c_string(body, portal);
        body.put_i32(0);
    })
}

/// CopyFail.
pub(crate) fn copy_fail(why: &str) -> Bytes {
    message(b'f', |body| put_c_string(body, why))
}

/// CancelRequest: a packet of its own kind, on a connection of its own.
pub(crate) fn cancel(key: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u32(u32::try_from(8 + key.len()).unwrap_or(u32::MAX));
    bytes.put_u32(super::login::CANCEL_REQUEST);
    bytes.put_slice(key);
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out_of_its_field() {
        let bytes = denied(&Denial {
            policies: Vec::new(),
            reason: "a\0CXX000".into(),
            remedy: "ask".into(),
        });
        let zeros = bytes.iter().skip(5).filter(|byte| **byte == 0).count();
        assert_eq!(zeros, 7, "six fields and the end");
    }
}
