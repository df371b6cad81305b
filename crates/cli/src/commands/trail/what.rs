//! What a call is done to, in a few words.

use bailiwick_audit::{RecordedAction, RecordedCall};

/// Columns of a table that a line names.
const COLUMNS_SHOWN: usize = 6;

/// Actions of a call that a line names.
const ACTIONS_SHOWN: usize = 4;

/// What a call is done to. An action that does what the call's name says is named by its resource.
pub(super) fn what(call: &RecordedCall) -> String {
    told(call, |_| true)
}

/// The same without what the call only reads of the very thing it is done to, as to change a row it has to be found.
pub(super) fn object(call: &RecordedCall) -> String {
    let name = call.verb.to_lowercase();
    let is_same = |own: &RecordedAction, action: &RecordedAction| {
        let (own, other) = (&own.resource, &action.resource);
        (&own.kind, &own.schema, &own.name) == (&other.kind, &other.schema, &other.name)
    };
    told(call, |action| {
        let mut own = call.actions.iter().filter(|own| own.verb == name);
        action.verb == name || !own.any(|own| is_same(own, action))
    })
}

fn told(call: &RecordedCall, is_told: impl Fn(&RecordedAction) -> bool) -> String {
    let own_verb = call
        .verb
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .to_lowercase();
    let mut actions: Vec<&RecordedAction> = call
        .actions
        .iter()
        .filter(|action| action.class != "session" && is_told(action))
        .collect();
    // What the call is named after is what it is about; what it needs for that comes later.
    actions.sort_by_key(|action| action.verb != own_verb);
    let left_out = actions.len().saturating_sub(ACTIONS_SHOWN) as u64 + call.more_actions;
    let shown = actions.into_iter().take(ACTIONS_SHOWN);
    let mut parts: Vec<String> = shown.map(|action| part(action, &own_verb)).collect();
    if left_out > 0 {
        parts.push(format!("and {left_out} more"));
    }
    parts.join(", ")
}

fn part(action: &RecordedAction, own_verb: &str) -> String {
    let name = &action.resource.name;
    let mut text = match action.resource.kind.as_str() {
        // The method is the call's name.
        "request" => match name.split_once(' ') {
            Some((method, path)) if method.eq_ignore_ascii_case(own_verb) => path.to_owned(),
            _ => name.clone(),
        },
        // What it is, the call's name says: `tools/call`.
        "tool" | "prompt" | "uri" => name.clone(),
        _ if action.verb == own_verb => action.resource.to_string(),
        _ => format!("{} {}", action.verb, action.resource),
    };
    if !action.columns.is_empty() {
        let shown: Vec<&str> = action
            .columns
            .iter()
            .take(COLUMNS_SHOWN)
            .map(String::as_str)
            .collect();
        let more = action.columns.len().saturating_sub(COLUMNS_SHOWN) as u64 + action.more_columns;
        let more = if more > 0 { ", …" } else { "" };
        text.push_str(&format!(" ({}{more})", shown.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn requests_and_tools_are_named_as_people_name_them() {
        for (verb, action, expected) in [
            (
                "GET",
                json!(["read", "request", "request", "GET /customers/42"]),
                "/customers/42",
            ),
            (
                "MESSAGE",
                json!(["write", "request", "request", "WEBSOCKET /live"]),
                "WEBSOCKET /live",
            ),
            (
                "tools/call",
                json!(["write", "execute", "tool", "add_comment"]),
                "add_comment",
            ),
            (
                "resources/read",
                json!(["read", "get", "uri", "file:///a"]),
                "file:///a",
            ),
            (
                "sampling/createMessage",
                json!(["write", "execute", "feature", "sampling"]),
                "execute feature sampling",
            ),
            (
                "initialize",
                json!(["session", "session", "target", ""]),
                "",
            ),
        ] {
            let call: RecordedCall = serde_json::from_value(json!({
                "protocol": "http", "verb": verb, "fingerprint": "f",
                "actions": [{"class": action[0], "verb": action[1], "columns": [],
                             "resource": {"kind": action[2], "name": action[3]}}],
            }))
            .unwrap();
            assert_eq!(what(&call), expected);
        }
    }
}
