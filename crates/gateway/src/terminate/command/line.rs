//! Lines to and from a program: a JSON-RPC message each.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// A message, and as much of it as says to whom it belongs.
pub(super) struct Message {
    line: BytesMut,
    pub(super) what: What,
}

/// What sort of message it is. Ids and tokens are in their one spelling as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A request, to be answered.
    Request {
        id: String,
        begins_session: bool,
        /// By what news of its progress is known.
        progress: Option<String>,
    },
    /// An answer to a request.
    Response { id: String },
    /// What is not answered, and which request it is about, if it says so.
    Notification { about: Option<About> },
}

/// The request that a notification belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    Id(String),
    Progress(String),
}

#[derive(Deserialize)]
struct Envelope<'m> {
    #[serde(borrow)]
    id: Option<&'m RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'m, str>>,
    #[serde(borrow)]
    params: Option<&'m RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params<'m> {
    #[serde(borrow)]
    progress_token: Option<&'m RawValue>,
    #[serde(borrow)]
    request_id: Option<&'m RawValue>,
    #[serde(borrow, rename = "_meta")]
    meta: Option<Meta<'m>>,
}

#[derive(Deserialize)]
struct Meta<'m> {
    #[serde(borrow, rename = "progressToken")]
    progress_token: Option<&'m RawValue>,
    #[serde(borrow, rename = "io.modelcontextprotocol/subscriptionId")]
    subscription: Option<&'m RawValue>,
}

impl Message {
    /// Reads a message; nothing if it is none.
    pub(super) fn read(bytes: Bytes) -> Option<Self> {
        let mut line = BytesMut::from(bytes);
        let what = What::of(&line)?;
        // The only line's ends that JSON can have are between its parts, where they mean nothing; to a
        // program, and in an event, they would mean its end.
        for byte in line.iter_mut() {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        Some(Self { line, what })
    }

    pub(super) fn begins_session(&self) -> bool {
        matches!(
            self.what,
            What::Request {
                begins_session: true,
                ..
            }
        )
    }

    /// The line that says that this request is not waited for any more.
    pub(super) fn cancellation(&self) -> Option<Bytes> {
        let What::Request { id, .. } = &self.what else {
            return None;
        };
        Some(Bytes::from(format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
        )))
    }

    /// The message in one line, without its end.
    pub(super) fn into_line(self) -> Bytes {
        self.line.freeze()
    }
}

impl What {
    fn of(line: &[u8]) -> Option<Self> {
        let envelope: Envelope<'_> = serde_json::from_slice(line).ok()?;
        let params: Params<'_> = envelope
            .params
            .and_then(|params| serde_json::from_str(params.get()).ok())
            .unwrap_or_default();
        let meta = params.meta.as_ref();
        Some(match (envelope.method, envelope.id) {
            (Some(method), Some(id)) => What::Request {
                id: spelled(id)?,
                begins_session: method == "initialize",
                progress: meta.and_then(|meta| meta.progress_token).and_then(spelled),
            },
            (None, Some(id)) => What::Response { id: spelled(id)? },
            (Some(_), None) => {
                let id = meta
                    .and_then(|meta| meta.subscription)
                    .or(params.request_id)
                    .and_then(spelled)
                    .map(About::Id);
                let progress = || {
                    let token = params.progress_token.and_then(spelled);
                    token.map(About::Progress)
                };
                What::Notification {
                    about: id.or_else(progress),
                }
            }
            (None, None) => return None,
        })
    }
}

/// A string or a number in its one spelling; nothing for anything else.
fn spelled(value: &RawValue) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(value.get()).ok()?;
    (value.is_string() || value.is_number()).then(|| value.to_string())
}

/// How reading a line went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The whole, without its end.
    Whole(Bytes),
    /// It is longer than it may be; as much as may be of it, and the rest is gone.
    Cut(Bytes),
    /// There is no more.
    End,
}

/// Reads the next line, keeping `max` bytes of it at most.
pub(super) async fn next(
    from: &mut (impl AsyncBufRead + Unpin),
    max: usize,
) -> std::io::Result<Line> {
    let mut line = BytesMut::new();
    let mut cut = false;
    loop {
        let there = from.fill_buf().await?;
        if there.is_empty() {
            // What has no end was not said to its end.
            return Ok(Line::End);
        }
        let end = there.iter().position(|byte| *byte == b'\n');
        let part = there.get(..end.unwrap_or(there.len())).unwrap_or(there);
        let room = max - line.len();
        cut |= part.len() > room;
        line.extend_from_slice(part.get(..room).unwrap_or(part));
        let used = part.len() + usize::from(end.is_some());
        from.consume(used);
        if end.is_some() {
            let line = line.freeze();
            return Ok(if cut {
                Line::Cut(line)
            } else {
                Line::Whole(line)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(text: &str) -> Option<What> {
        Message::read(Bytes::from(text.to_owned())).map(|message| message.what)
    }

    #[test]
    fn of_a_message_it_is_read_to_whom_it_belongs() {
        let request = |id: &str, begins_session, progress: Option<&str>| What::Request {
            id: id.into(),
            begins_session,
            progress: progress.map(str::to_owned),
        };
        let about = |about| Some(What::Notification { about });
        for (text, expected) in [
            (
                r#"{"id":1,"method":"tools/call"}"#,
                Some(request("1", false, None)),
            ),
            (
                r#"{"id":"\u0061","method":"initi\u0061lize","params":[]}"#,
                Some(request("\"a\"", true, None)),
            ),
            (
                r#"{"id":1,"method":"x","params":{"_meta":{"progressToken":"p"}}}"#,
                Some(request("1", false, Some("\"p\""))),
            ),
            (
                r#"{"id":7,"result":{}}"#,
                Some(What::Response { id: "7".into() }),
            ),
            (
                r#"{"method":"x","params":{"progressToken":3}}"#,
                about(Some(About::Progress("3".into()))),
            ),
            (
                r#"{"method":"x","params":{"requestId":3}}"#,
                about(Some(About::Id("3".into()))),
            ),
            (
                r#"{"method":"x","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":3}}}"#,
                about(Some(About::Id("3".into()))),
            ),
            (r#"{"method":"x"}"#, about(None)),
            (r#"{"id":null,"error":{}}"#, None),
            (r#"{"id":1,"id":2,"method":"x"}"#, None),
            (r#"{"id":{},"method":"x"}"#, None),
            (r#"[{"id":1,"method":"x"}]"#, None),
            ("debug: started", None),
            ("", None),
            (r#"{"id":1,"method":"x"}{"id":2,"method":"y"}"#, None),
            ("{\"id\":1,\"method\":\"x\",\"params\":\"a\nb\"}", None),
        ] {
            assert_eq!(what(text), expected, "{text}");
        }
    }

    #[test]
    fn a_message_is_one_line_whatever_it_was() {
        let text = "{\"id\":1,\r\n \"method\":\"x\",\r\"params\":{\"text\":\"a\\nb\"}}\r";
        let line = Message::read(Bytes::from(text)).unwrap().into_line();
        assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
        let (one, other): (serde_json::Value, serde_json::Value) = (
            serde_json::from_str(text).unwrap(),
            serde_json::from_slice(&line).unwrap(),
        );
        assert_eq!(one, other);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_gone_and_the_next_is_there() {
        let mut from = &b"one\n\n12345678\n123456789\nlast\nnot ended"[..];
        let mut lines = Vec::new();
        loop {
            match next(&mut from, 8).await.unwrap() {
                Line::End => break,
                line => lines.push(line),
            }
        }
        let whole = |text: &'static str| Line::Whole(Bytes::from(text));
        let expected = [
            whole("one"),
            whole(""),
            whole("12345678"),
            Line::Cut(Bytes::from("12345678")),
            whole("last"),
        ];
        assert_eq!(lines, expected);
    }
}
