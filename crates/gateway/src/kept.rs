//! What is kept of a call, encrypted beside its records: what the agent wrote and what it got, as JSON.

use std::borrow::Cow;

use bailiwick_action::{Call, Payload};
use serde::Serialize;

use crate::limits::{PAYLOAD_TEXT_BYTES_MAX, PAYLOAD_VALUE_BYTES_MAX, PAYLOAD_VALUES_MAX};

#[derive(Serialize)]
struct Wrote<'a> {
    text: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<Option<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    values_left_out: Option<usize>,
}

#[derive(Serialize)]
struct Got {
    rows: Vec<Vec<Option<String>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_left_out: Option<u64>,
}

fn value(value: &Option<String>) -> Option<Cow<'_, str>> {
    (value.as_deref()).map(|value| cut(value, PAYLOAD_VALUE_BYTES_MAX))
}

/// What the agent wrote. What is too long to keep is cut, and says so.
pub(crate) fn wrote(call: &Call) -> Vec<u8> {
    let Payload { text, values } = &call.payload;
    let kept = values.iter().take(PAYLOAD_VALUES_MAX);
    let left_out = values.len().saturating_sub(PAYLOAD_VALUES_MAX);
    json(&Wrote {
        text: cut(text, PAYLOAD_TEXT_BYTES_MAX),
        values: kept.map(value).collect(),
        values_left_out: (left_out > 0).then_some(left_out),
    })
}

/// What it got: the first rows, and how many there were besides; nothing where these are all.
pub(crate) fn got(rows: Vec<Vec<Option<String>>>, left_out: Option<u64>) -> Vec<u8> {
    json(&Got {
        rows,
        rows_left_out: left_out,
    })
}

fn json(kept: &impl Serialize) -> Vec<u8> {
    // Texts, numbers and nothing else: there is no such structure that JSON cannot hold.
    serde_json::to_vec(kept).unwrap_or_default()
}

fn cut(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(max);
    let kept = text.get(..end).unwrap_or_default();
    Cow::Owned(format!("{kept}… ({} bytes in all)", text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, values: Vec<Option<String>>) -> String {
        let call = Call {
            protocol: "postgres",
            verb: "SELECT".into(),
            actions: Vec::new(),
            refusal: None,
            payload: Payload {
                text: text.into(),
                values,
            },
        };
        String::from_utf8(wrote(&call)).unwrap()
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        assert_eq!(written("a\"b", Vec::new()), r#"{"text":"a\"b"}"#);
        assert_eq!(
            written("a", vec![Some("1".into()), None]),
            r#"{"text":"a","values":["1",null]}"#
        );
        let long = "ä".repeat(PAYLOAD_TEXT_BYTES_MAX);
        let kept = written(&long, vec![None; PAYLOAD_VALUES_MAX + 2]);
        assert!(kept.contains(&format!("ä… ({} bytes in all)\"", long.len())));
        assert!(kept.ends_with(r#"null],"values_left_out":2}"#), "{kept}");
    }
}
