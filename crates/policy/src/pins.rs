//! `tasks/NAME.pins`: which definition of each tool a task was written for.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use crate::TargetName;
use crate::document::{At, Document, Section};
use crate::limits::MAX_LIST;
use crate::problem::{Problem, nearest};

/// The SHA-256 digests of tools' definitions, by target and tool.
pub type Pins = BTreeMap<String, BTreeMap<String, [u8; 32]>>;

const PREFIX: &str = "sha256:";

/// Reads a file of pins.
pub(crate) fn read(file: &Path, text: &str, targets: &[TargetName]) -> Result<Pins, Vec<Problem>> {
    let document = Document::new(file, text);
    let pins = document.parse().map(|table| {
        let top = Section::open(&document, &table);
        let mut pins = Pins::new();
        for target in top.keys() {
            if known_target(&top, &target, targets) {
                let tools = tools(&top, target.value);
                pins.insert(target.value.to_owned(), tools);
            }
        }
        pins
    });
    let problems = document.into_problems();
    match pins {
        Some(pins) if problems.is_empty() => Ok(pins),
        _ => Err(problems),
    }
}

fn known_target(top: &Section<'_, '_>, name: &At<&str>, targets: &[TargetName]) -> bool {
    let target = targets.iter().find(|target| target.name == name.value);
    let message = match target {
        Some(target) if target.kind == "mcp" => return true,
        Some(target) => format!(
            "target `{}` is of kind {}, which has no tools",
            name.value, target.kind
        ),
        None => format!("no target is called `{}`", name.value),
    };
    let near = match target {
        Some(_) => None,
        None => nearest(name.value, targets.iter().map(|target| &*target.name)),
    };
    top.document
        .report_nearest(&name.at, name.value, message, near);
    false
}

fn tools(top: &Section<'_, '_>, target: &str) -> BTreeMap<String, [u8; 32]> {
    let mut tools = BTreeMap::new();
    let Some(section) = top.table(target, Some(&["tools"])) else {
        return tools;
    };
    let Some(listed) = section.table("tools", None) else {
        if !section.has("tools") {
            section.report(
                "tools",
                "this key is missing; `bailiwick task pin` writes it",
            );
        }
        return tools;
    };
    let names = listed.keys();
    if names.len() > MAX_LIST {
        section.report("tools", format!("there are more than {MAX_LIST} of them"));
        return tools;
    }
    for name in names {
        let Some(text) = listed.string(name.value) else {
            continue;
        };
        match digest(text.value) {
            Some(digest) => {
                tools.insert(name.value.to_owned(), digest);
            }
            None => listed.report(
                name.value,
                "it has to be \"sha256:\" and 64 hexadecimal digits in lower case, as `bailiwick task pin` writes it",
            ),
        }
    }
    tools
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix(PREFIX)?.as_bytes();
    if digits.len() != 64
        || !digits
            .iter()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

/// The text of `tasks/NAME.pins`. The same pins give the same text.
pub fn pins_text(task: &str, pins: &Pins) -> String {
    let mut text = format!(
        "# Written by `bailiwick task pin {task}`. Each tool is the one that the task was written for: a server\n\
         # that changes a tool's description or schema is stopped until the tool is looked at and pinned again.\n"
    );
    for (target, tools) in pins {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n[{}.tools]\n", key(target));
        for (tool, digest) in tools {
            let _ = write!(text, "{} = \"{PREFIX}", key(tool));
            for byte in digest {
                let _ = write!(text, "{byte:02x}");
            }
            text.push_str("\"\n");
        }
    }
    text
}

/// A key as TOML writes it. A quoted string of JSON is one of TOML, but for DEL, which TOML escapes.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        serde_json::Value::from(name)
            .to_string()
            .replace('\u{7f}', "\\u007f")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets() -> Vec<TargetName> {
        vec![
            TargetName::new("helpdesk", "mcp", &[]),
            TargetName::new("odd name", "mcp", &[]),
            TargetName::new("crm", "http", &[]),
        ]
    }

    #[test]
    fn what_is_written_is_read_back() {
        let tools = ["list_tickets", "a.b", "\"q\"\\\u{7f}é\n"];
        let tools: BTreeMap<_, _> = (1..)
            .zip(tools)
            .map(|(byte, tool)| (tool.to_owned(), [byte; 32]))
            .collect();
        let pins = Pins::from([
            ("helpdesk".to_owned(), tools.clone()),
            ("odd name".to_owned(), tools),
        ]);
        let text = pins_text("triage", &pins);
        assert_eq!(
            read(Path::new("triage.pins"), &text, &targets()),
            Ok(pins),
            "{text}"
        );
        assert!(text.contains("\n[helpdesk.tools]\n"), "{text}");
        assert!(text.contains(&format!(
            "\nlist_tickets = \"sha256:{}\"\n",
            "01".repeat(32)
        )));
        assert_eq!(
            read(
                Path::new("t.pins"),
                &pins_text("t", &Pins::new()),
                &targets()
            ),
            Ok(Pins::new())
        );
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        let good = "a".repeat(64);
        for (text, problem) in [
            (
                "[helpdsk.tools]\n".to_owned(),
                "t.pins:1:2: helpdsk: no target is called `helpdsk`; did you mean `helpdesk`?",
            ),
            (
                "[crm.tools]\n".to_owned(),
                "t.pins:1:2: crm: target `crm` is of kind http, which has no tools",
            ),
            (
                "helpdesk = 1".to_owned(),
                "t.pins:1:12: helpdesk: it has to be a table, not a value of type integer",
            ),
            (
                "[helpdesk]\n".to_owned(),
                "t.pins:1:1: helpdesk.tools: this key is missing",
            ),
            (
                "[helpdesk.tool]\n".to_owned(),
                "t.pins:1:11: helpdesk.tool: this key is not known; did you mean `tools`?",
            ),
            (
                format!("[helpdesk.tools]\nx = \"sha256:{}\"", good.to_uppercase()),
                "t.pins:2:5: helpdesk.tools.x: it has to be \"sha256:\"",
            ),
            (
                format!("[helpdesk.tools]\nx = \"{good}\""),
                "t.pins:2:5: helpdesk.tools.x: it has to be \"sha256:\"",
            ),
            (
                "[helpdesk.tools]\nx = 1".to_owned(),
                "t.pins:2:5: helpdesk.tools.x: it has to be a string",
            ),
            (
                "[helpdesk.tools]\nx = \"sha256:0\"\nx = \"\"".to_owned(),
                "t.pins:3:1: not valid TOML: duplicate key",
            ),
        ] {
            let problems = read(Path::new("t.pins"), &text, &targets()).unwrap_err();
            let first = problems.first().unwrap().to_string();
            assert!(first.starts_with(problem), "{text}\n{first}");
        }
    }
}
