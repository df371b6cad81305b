//! The body of OpenTelemetry's log export over HTTP with JSON (OTLP 1.x, `ExportLogsServiceRequest`): names in
//! lower camel case, and numbers of 64 bits as texts.

use bailiwick_run::Time;
use serde_json::{Value, json};

use super::deliver::Said;
use super::{Notice, NoticeKind};

/// The body, at this moment. `link` is where people look at it.
pub(super) fn body(notice: &Notice, link: Option<&str>, now: Time) -> Vec<u8> {
    let (number, text) = match notice.kind {
        NoticeKind::SignalRaised => (13, "WARN"),
        NoticeKind::CallHeld => (9, "INFO"),
    };
    let mut attributes = vec![attribute("bailiwick.notice.id", &notice.id)];
    let facts = notice.facts();
    attributes
        .extend((facts.iter()).map(|(name, value)| attribute(&format!("bailiwick.{name}"), value)));
    attributes.extend(link.map(|link| attribute("url.full", link)));
    let body = json!({
        "resourceLogs": [{
            "resource": { "attributes": [attribute("service.name", "bailiwick")] },
            "scopeLogs": [{
                "scope": { "name": "bailiwick", "version": env!("CARGO_PKG_VERSION") },
                "logRecords": [{
                    "timeUnixNano": nanos(notice.time),
                    "observedTimeUnixNano": nanos(now),
                    "severityNumber": number,
                    "severityText": text,
                    "eventName": format!("bailiwick.{}", notice.kind.as_str()),
                    "body": { "stringValue": notice.title },
                    "attributes": attributes,
                }],
            }],
        }],
    });
    body.to_string().into_bytes()
}

/// What an answer of a server that took the request says of the record in it (`ExportLogsServiceResponse`): one that was
/// rejected is not to be sent again. Numbers of 64 bits are texts, and taken as numbers as well.
pub(super) fn said(body: &[u8]) -> Said {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let none = match answer.pointer("/partialSuccess/rejectedLogRecords") {
        Some(Value::String(count)) => count == "0",
        Some(Value::Number(count)) => count.as_u64() == Some(0),
        _ => true,
    };
    match none {
        true => Said::Taken,
        false => Said::Refused("it rejected the log record".to_owned()),
    }
}

fn attribute(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn nanos(time: Time) -> String {
    (u128::from(time.millis()) * 1_000_000).to_string()
}
