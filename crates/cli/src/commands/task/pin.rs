//! `bailiwick task pin`: which definition of each tool a task is for.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use bailiwick_policy::{Task, pins_text};
use bailiwick_wire::mcp::{Tool, definition_digest};
use clap::Args;

use super::difference::{Line, between};
use super::{find, load, tools};
use crate::commands::{gateway, serve};
use crate::config::ConfigArg;
use crate::failure::Failure;
use crate::render::{self, clean, clean_lines, count, style};

/// The exit status of `--check` where a tool is not as it was pinned.
const DIFFERENT: u8 = 1;

/// Pin the tools of a task: show what its MCP servers say that they are, and keep them to it
///
/// Asks each server itself, with the gateway's own credential or by starting its command; needs no gateway
/// that runs. Read what is shown before a run goes by it: a model obeys a tool's description. Writes the digests
/// to tasks/TASK.pins, which a gateway reads at its start, and the definitions to tasks/TASK.tools.json, for
/// the next comparison.
#[derive(Args)]
#[command(after_help = "Examples:\n  bailiwick task pin triage-tickets\n  \
    bailiwick task pin triage-tickets --check")]
pub(super) struct Pin {
    /// The task
    task: String,
    /// Only the tools of this target
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// Only compare; exits with 1 if a tool is not as it was pinned
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    config: ConfigArg,
}

/// The definitions that were pinned, by target and tool.
type Definitions = BTreeMap<String, BTreeMap<String, String>>;

impl Pin {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let (config, engine) = load(&self.config)?;
        let task = find(&engine, &self.task)?;
        let all = serve::targets(&config)?;
        let mut targets: Vec<_> = tools::targets(&all, task).collect();
        if let Some(name) = &self.target {
            targets.retain(|target| target.name == *name);
        }
        if targets.is_empty() {
            let what = match &self.target {
                Some(target) => {
                    format!("task {} grants no tools of a target `{target}`", task.name)
                }
                None => format!("task {} grants no tools of an MCP target", task.name),
            };
            return Err(Failure::new(what).help(format!(
                "`bailiwick task check {}` says what it grants",
                task.name
            )));
        }
        let known = config.tasks.join(format!("{}.tools.json", task.name));
        let mut definitions = read(&known)?;
        let mut pins = task.pins.clone();
        let runtime = gateway::runtime()?;
        let mut different = 0;
        for target in targets {
            let offered = runtime.block_on(tools::ask(target)).map_err(|why| {
                Failure::new(format!(
                    "target {} did not say what its tools are: {why}",
                    target.name
                ))
                .help("see to the target in bailiwick.toml, and that its server runs")
            })?;
            let told = Told {
                task,
                target: &target.name,
                offered: &offered,
                before: definitions.get(&target.name),
            };
            different += told.show()?;
            let granted = task.tools(&target.name).into_iter();
            let granted: Vec<&Tool> = granted.filter_map(|name| offered.get(name)).collect();
            let digests = granted.iter().map(|tool| (tool.name.clone(), tool.digest));
            pins.insert(target.name.clone(), digests.collect());
            let texts = granted
                .iter()
                .map(|tool| (tool.name.clone(), tool.definition.clone()));
            definitions.insert(target.name.clone(), texts.collect());
        }
        if self.check {
            let status = if different > 0 { DIFFERENT } else { 0 };
            return Ok(ExitCode::from(status));
        }
        let file = config.tasks.join(format!("{}.pins", task.name));
        let text = serde_json::to_string_pretty(&definitions).unwrap_or_default();
        write(&known, &format!("{text}\n"))?;
        write(&file, &pins_text(&task.name, &pins))?;
        let pinned = pins.values().map(BTreeMap::len).sum::<usize>() as u64;
        // As whoever stands in the gateway's folder would name it.
        let here = std::env::current_dir().unwrap_or_default();
        let shown = file.strip_prefix(&here).unwrap_or(&file);
        render::print(&format!(
            "\nwrote {}: {}\n",
            clean(&shown.display().to_string()),
            count(pinned, "tool")
        ))?;
        render::note("a gateway that runs goes by it when it is started again");
        Ok(ExitCode::SUCCESS)
    }
}

/// What a server says of the tools that a task grants.
struct Told<'t> {
    task: &'t Task,
    target: &'t str,
    offered: &'t BTreeMap<String, Tool>,
    before: Option<&'t BTreeMap<String, String>>,
}

impl Told<'_> {
    /// Shows each of them; says how many are not as they were pinned.
    fn show(&self) -> Result<u64, Failure> {
        let heading = style::HEADING;
        render::print(&format!("{heading}{}{heading:#}\n", clean(self.target)))?;
        let mut different = 0;
        for name in self.task.tools(self.target) {
            let pins = self.task.pins.get(self.target);
            let pin = pins.and_then(|pins| pins.get(name));
            let (mark, word, text) = match (self.offered.get(name), pin) {
                (None, _) => {
                    different += 1;
                    ("✗", "the server has no such tool", String::new())
                }
                (Some(tool), Some(pin)) if tool.digest == *pin => {
                    ("✓", "as it was pinned", String::new())
                }
                (Some(tool), Some(pin)) => {
                    different += 1;
                    ("!", "CHANGED since it was pinned", self.change(tool, pin))
                }
                (Some(tool), None) => {
                    different += u64::from(!tools::may_be_any(self.task, self.target, name));
                    ("+", "new", indented(&readable(&tool.definition)))
                }
            };
            let dim = style::DIM;
            render::print(&format!(
                "  {mark} {} {dim}{word}{dim:#}\n{text}",
                clean(name)
            ))?;
        }
        Ok(different)
    }

    /// What is other than it was, where it is known what it was.
    fn change(&self, tool: &Tool, pin: &[u8; 32]) -> String {
        let before = self.before.and_then(|before| before.get(&tool.name));
        // What somebody has changed since is not what was pinned.
        let before = before.filter(|text| definition_digest(text.as_bytes()).as_ref() == Ok(pin));
        let after = readable(&tool.definition);
        let Some(before) = before else {
            let text = indented(&after);
            return format!(
                "      (what it was is not kept here; this is all of what it is)\n{text}"
            );
        };
        let mut text = String::new();
        for line in between(&readable(before), &after) {
            let (mark, line, style) = match line {
                Line::Same(line) => (' ', line, style::DIM),
                Line::Gone(line) => ('-', line, style::DENIED),
                Line::New(line) => ('+', line, style::FINE),
            };
            text.push_str(&format!("      {style}{mark} {}{style:#}\n", clean(line)));
        }
        text
    }
}

fn indented(text: &str) -> String {
    clean_lines(text)
        .map(|line| format!("        {line}\n"))
        .collect()
}

/// A definition as people read it: a member a line, and the lines of a text as lines.
fn readable(definition: &str) -> String {
    let mut text = String::new();
    match serde_json::from_str::<serde_json::Value>(definition) {
        Ok(definition) => put(&mut text, 0, "", &definition),
        // One that cannot be read is shown as it is.
        Err(_) => text.push_str(definition),
    }
    text
}

fn put(text: &mut String, depth: usize, name: &str, value: &serde_json::Value) {
    use serde_json::Value;
    let space = "  ".repeat(depth);
    match value {
        Value::Object(members) if !members.is_empty() => {
            let depth = match name.is_empty() {
                true => depth,
                false => {
                    text.push_str(&format!("{space}{name}:\n"));
                    depth + 1
                }
            };
            for (name, value) in members {
                // A name is the server's text, too.
                put(text, depth, &name.escape_debug().to_string(), value);
            }
        }
        Value::String(words) if words.contains('\n') => {
            text.push_str(&format!("{space}{name}:\n"));
            for line in words.lines() {
                text.push_str(&format!("{space}  | {line}\n"));
            }
        }
        other => text.push_str(&format!("{space}{name}: {other}\n")),
    }
}

/// The definitions that were pinned last; none where there is no such file.
fn read(file: &Path) -> Result<Definitions, Failure> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Definitions::new()),
        Err(error) => {
            return Err(Failure::new(format!(
                "cannot read `{}`: {error}",
                file.display()
            )));
        }
    };
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(format!(
            "`{}` is not what was written to it: {error}",
            file.display()
        ))
        .help("remove it; it only serves to show what has changed")
    })
}

/// Replaces a file whole.
fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut new| {
        new.write_all(text.as_bytes())?;
        new.as_file().sync_all()?;
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        new.as_file().set_permissions(permissions)?;
        new.persist(file).map_err(|error| error.error)
    });
    written.map(drop).map_err(|error| {
        Failure::new(format!("cannot write `{}`: {error}", file.display()))
            .help("it wants a user who may change the tasks")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_shown_as_people_read_it() {
        let definition = r#"{"description":"Adds\na comment","inputSchema":{"properties":{"a b":{"type":"string"},"e":{}},"required":["a b"]},"name":"x"}"#;
        assert_eq!(
            readable(definition),
            "description:\n  | Adds\n  | a comment\ninputSchema:\n  properties:\n    a b:\n      type: \
             \"string\"\n    e: {}\n  required: [\"a b\"]\nname: \"x\"\n"
        );
        // What a server writes stays text.
        let odd = indented(&readable("{\"name\":\"a\u{1b}[2J\u{202e}\"}"));
        assert!(
            !odd.contains('\u{1b}') && !odd.contains('\u{202e}'),
            "{odd:?}"
        );
    }
}
