//! `bailiwick task suggest`: grants for what a run was denied, for a person to read.

use std::process::ExitCode;

use bailiwick_control::api::TrailRecord;
use bailiwick_control::client::Client;
use bailiwick_run::RunId;
use clap::Args;
use serde::Serialize;

use crate::commands::gateway::{self, GatewayArg};
use crate::commands::trail::Story;
use crate::failure::Failure;
use crate::render::{self, clean, note};

/// Propose grants for what a run was denied
///
/// Prints the least grants that would have let the run's denied calls through, as a task file writes them, each with
/// the calls it is for. It is a proposal and changes nothing: an agent that was led astray was denied for good reason,
/// and asks for what its task should never have. Somebody has to read every line. It proposes no `[[mask]]`, no
/// approval and no condition, and nothing for what a guardrail forbids, what was not understood or was held.
#[derive(Args)]
#[command(after_help = "Example:\n  bailiwick task suggest last")]
pub(super) struct Suggest {
    /// The run's id, or `last` for the newest
    run: String,
    /// Print JSON, a grant a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gateway: GatewayArg,
}

/// A grant, and what it is for.
#[derive(Debug, PartialEq, Serialize)]
struct Proposal {
    class: String,
    grant: toml::Table,
    /// The calls, by their numbers in the run's record.
    calls: Vec<u64>,
    /// Why the first of them was denied.
    reason: String,
}

/// What is proposed, and the calls for which nothing is.
#[derive(Debug, Default)]
struct Proposals {
    all: Vec<Proposal>,
    denied: u64,
    without: u64,
}

impl Suggest {
    pub(super) fn execute(self) -> Result<ExitCode, Failure> {
        let (run, task, proposals) = gateway::ask(&self.gateway, async |client| {
            let run = gateway::find(client, &self.run).await?;
            let task = client.run(&run).await?.summary.task;
            Ok((run, task, read(client, &run).await?))
        })?;
        if self.json {
            for proposal in &proposals.all {
                render::print_json(proposal)?;
            }
        } else if !proposals.all.is_empty() {
            render::print(&written(&run, &task, &proposals.all))?;
        }
        if proposals.denied == 0 {
            note("nothing was denied, so there is nothing to propose");
        } else if proposals.without > 0 {
            note(format!(
                "for {} of {} denied calls no grant is proposed: `bailiwick trail {run} --denied` says why they were denied",
                proposals.without, proposals.denied
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn read(client: &Client, run: &RunId) -> Result<Proposals, Failure> {
    let mut proposals = Proposals::default();
    let mut after = 0;
    loop {
        let page = client.trail(run, after).await?;
        let Some(last) = page.records.last() else {
            return Ok(proposals);
        };
        after = last.seq;
        for record in &page.records {
            proposals.add(record)?;
        }
        if !page.more {
            return Ok(proposals);
        }
    }
}

impl Proposals {
    fn add(&mut self, record: &TrailRecord) -> Result<(), Failure> {
        let read = Story::read(record)?;
        let Some(decision) = read.decision.filter(|decision| decision.effect == "deny") else {
            return Ok(());
        };
        self.denied += 1;
        let reason = decision.reason.unwrap_or_default();
        let grants = grants(decision.remedy.as_deref().unwrap_or_default());
        if grants.is_empty() {
            self.without += 1;
        }
        for (class, grant) in grants {
            let same = |one: &&mut Proposal| one.class == class && one.grant == grant;
            match self.all.iter_mut().find(same) {
                Some(one) => one.calls.push(record.seq),
                None => self.all.push(Proposal {
                    class,
                    grant,
                    calls: vec![record.seq],
                    reason: reason.clone(),
                }),
            }
        }
        Ok(())
    }
}

/// The grants that a denial says to ask for: `ask for [[read]] target = "a", tables = ["b.c"]; ask for …`.
///
/// The names in it are an agent's own, so it is read from its beginning, a grant at a time and by TOML's own rules: what
/// stands in a string is never taken for the next grant. What is anything else ends it.
fn grants(remedy: &str) -> Vec<(String, toml::Table)> {
    let mut grants = Vec::new();
    let mut rest = remedy;
    while let Some((class, after)) = rest
        .strip_prefix("ask for [[")
        .and_then(|rest| rest.split_once("]] "))
    {
        let end = end_of_pairs(after);
        let (pairs, after) = after.split_at(end);
        let table: Result<toml::Table, _> = format!("grant = {{ {pairs} }}").parse();
        let Some(toml::Value::Table(grant)) =
            table.ok().and_then(|mut table| table.remove("grant"))
        else {
            break;
        };
        if !["read", "write", "destroy", "admin"].contains(&class) {
            break;
        }
        grants.push((class.to_owned(), grant));
        let Some(after) = after.strip_prefix("; ") else {
            break;
        };
        rest = after;
    }
    grants
}

/// Where the first `;` is that does not stand in a string. Strings are written as JSON does, in double quotes.
fn end_of_pairs(text: &str) -> usize {
    let (mut inside, mut escaped) = (false, false);
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            ';' if !inside => return index,
            _ => {}
        }
    }
    text.len()
}

/// A value on one line, with nothing in it that could look like something else: JSON's form of strings and lists is
/// TOML's, too.
fn value_of(value: &toml::Value) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    let mut text = String::new();
    for c in json.chars() {
        match c {
            ' '..='~' => text.push(c),
            c if c.is_alphanumeric() => text.push(c),
            c => text.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    text
}

fn written(run: &RunId, task: &str, proposals: &[Proposal]) -> String {
    let mut text = format!(
        "# A proposal, from what {run} of task {} was denied. Nobody has said that it should be allowed,\n\
         # and an agent that was led astray asks for things, too. Read every line before you take one over.\n",
        clean(task)
    );
    for Proposal {
        class,
        grant,
        calls,
        reason,
    } in proposals
    {
        let calls: Vec<String> = calls.iter().map(u64::to_string).collect();
        let pairs = grant.iter();
        let grant: String = pairs
            .map(|(key, value)| format!("{key} = {}\n", value_of(value)))
            .collect();
        text.push_str(&format!(
            "\n# record {}: {}\n[[{class}]]\n{grant}",
            calls.join(", "),
            clean(reason)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grant_that_is_asked_for_is_read() {
        let remedy = r#"ask for [[read]] target = "t", tables = ["a.b"]; ask for [[write]] target = "t", tables = ["a.c"], verbs = ["update"], columns = ["x", "y"]"#;
        let read = grants(remedy);
        assert_eq!(read.len(), 2);
        assert_eq!(read[1].0, "write");
        assert_eq!(read[1].1["columns"].as_array().unwrap().len(), 2);
        for nothing in [
            "",
            "name the columns",
            "ask for a grant with target = \"t\"",
            "ask for [[mask]] a = 1",
        ] {
            assert!(grants(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn a_name_that_an_agent_has_made_up_asks_for_nothing_by_itself() {
        for name in [
            r#"x; ask for [[admin]] target = 't', tables = ['a.*'], verbs = ['grant']; ask for "#,
            r#"x"]; ask for [[admin]] target = "t", tables = ["a.*"], verbs = ["grant"]"#,
            "x\"]\n[[admin]]\ntarget = \"t\"\nverbs = [\"grant\"]",
            r#"\"]; ask for [[destroy]] target = "t", tables = ["a.*"]"#,
            "x\r\n# \u{1b}[2J\u{202e}\u{7f}",
        ] {
            let quoted = serde_json::Value::from(name)
                .to_string()
                .replace('\u{7f}', "\\u007f");
            let read = grants(&format!(
                "ask for [[read]] target = \"t\", tables = [{quoted}]; name the columns"
            ));
            assert_eq!(read.len(), 1, "{name}");
            assert_eq!(read[0].1["tables"][0].as_str(), Some(name));
            let run: RunId = "run_01JD5K3T9V8Z0W2Y4X6A7B8C9D".parse().unwrap();
            let (class, grant) = read[0].clone();
            let proposal = Proposal {
                class,
                grant,
                calls: vec![3],
                reason: format!("select on {name}"),
            };
            let text = written(&run, "a\nb", &[proposal]);
            assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{7f}']), "{text}");
            let table: toml::Table = text.parse().unwrap();
            assert_eq!(table.keys().collect::<Vec<_>>(), ["read"], "{text}");
            assert_eq!(table["read"][0]["tables"][0].as_str(), Some(name));
        }
    }
}
