//! The body that Slack takes, and what is compatible with it.
//!
//! An agent has a say in names, reasons and actions. None of it may become a link, a mention or a style. In blocks
//! it is a text element of `rich_text`, which Slack shows as it is. In `text`, for what does not know such blocks,
//! it stands as code, with Slack's three characters escaped.

use serde_json::{Value, json};

use super::Notice;
use crate::limits::SLACK_VALUE_CHARS_MAX;

/// The body. `link` is where people look at it.
pub(super) fn body(notice: &Notice, link: Option<&str>) -> Vec<u8> {
    let mut elements = vec![text(&line(&notice.title), true), text("\n", false)];
    let mut plain = code(&notice.title);
    for (name, value) in notice.facts() {
        elements.push(text(&format!("{name}: "), true));
        elements.push(text(&format!("{}\n", line(&value)), false));
        plain.push_str(&format!("\n{name}: {}", code(&value)));
    }
    if let Some(link) = link {
        elements.push(json!({ "type": "link", "url": link, "text": LOOK }));
        plain.push_str(&format!("\n<{}|{LOOK}>", escaped(link)));
    }
    let body = json!({
        "text": plain,
        "blocks": [{
            "type": "rich_text",
            "elements": [{ "type": "rich_text_section", "elements": elements }],
        }],
        "link_names": false,
        "parse": "none",
        "unfurl_links": false,
        "unfurl_media": false,
    });
    body.to_string().into_bytes()
}

const LOOK: &str = "Look at it in the console";

fn text(text: &str, bold: bool) -> Value {
    match bold {
        true => json!({ "type": "text", "text": text, "style": { "bold": true } }),
        false => json!({ "type": "text", "text": text }),
    }
}

/// On one line, whatever is in it, and no longer than Slack takes it: what it refuses stands before all that comes
/// after it.
fn line(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() || is_hidden(c) {
            ' '
        } else {
            c
        }
    };
    let mut line: String = text
        .chars()
        .take(SLACK_VALUE_CHARS_MAX)
        .map(shown)
        .collect();
    if text.chars().nth(SLACK_VALUE_CHARS_MAX).is_some() {
        line.push('…');
    }
    line
}

/// What changes how the text around it reads.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// As code, which it cannot leave.
fn code(text: &str) -> String {
    format!("`{}`", escaped(&line(text)).replace('`', "ˋ"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
