//! Why something is denied, and what to ask for instead. Worked out only once it has been denied.
//! Names of resources and columns may appear; nothing else that the agent wrote.

mod matched;

use std::collections::BTreeSet;

use bailiwick_action::{Action, Class, Denial, Kind, Resource, Verb};
use bailiwick_run::Launcher;

use crate::covered::is_matched;
use crate::describe::and;
use crate::guardrail::Guardrail;
use crate::limits::{
    MAX_DENIAL, MAX_DENIAL_POLICIES, MAX_EXPLAINED, MAX_NAMED_COLUMNS, MAX_SHOWN_NAME,
    MAX_SHOWN_TEXT,
};
use crate::name::Quoted;
use crate::scope::Verdict;
use crate::task::{Grant, Task};

use self::matched::{done, general};

/// What was sent could not be understood, so nobody can say whether it is allowed.
pub(crate) fn not_understood(refusal: &str) -> Denial {
    Denial {
        policies: Vec::new(),
        reason: format!("not understood: {}", clip(refusal, MAX_SHOWN_TEXT)),
        remedy:
            "send it in a form that can be understood: what is not understood is never passed on"
                .to_owned(),
    }
}

/// The task has nothing to do with the target.
pub(crate) fn no_target(task: &Task, target: &str) -> Denial {
    let target = clip(target, MAX_SHOWN_NAME);
    Denial {
        policies: Vec::new(),
        reason: format!("task {} has no grant on target {target}", task.name),
        remedy: format!("ask for a grant with target = {}", toml(&target)),
    }
}

/// There is no such task.
pub(crate) fn no_task(name: &str, nearest: Option<&str>) -> Denial {
    Denial {
        policies: Vec::new(),
        reason: format!("no task is called `{}`", clip(name, MAX_SHOWN_NAME)),
        remedy: match nearest {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "name a task that has a file in tasks/".to_owned(),
        },
    }
}

/// The launcher may not open a run of the task.
pub(crate) fn opening(
    task: &Task,
    launcher: &Launcher,
    verdict: &Verdict,
    guardrails: &[Guardrail],
) -> Denial {
    let name = &task.name;
    let explained = match verdict {
        Verdict::Forbidden(policies) => forbidden(policies, guardrails, |guardrail| {
            format!(
                "guardrail {} forbids {launcher} to open a run of task {name}: {}",
                guardrail.name,
                why(guardrail)
            )
        }),
        Verdict::Failed(policies) => failed(policies),
        Verdict::Impossible(why) => {
            Explained::plain(format!("a run of task {name}: {why}"), String::new())
        }
        Verdict::Allowed(_)
        | Verdict::Held(..)
        | Verdict::NotPermitted
        | Verdict::NotPinned
        | Verdict::Unresolved => Explained::plain(
            format!("{launcher} is not among the launchers of task {name}"),
            format!(
                "ask for launchers = [{}] in its task file",
                toml(launcher.as_str())
            ),
        ),
    };
    explained.into_denial()
}

/// Some actions of a call are not allowed.
pub(crate) fn denied(
    task: &Task,
    target: &str,
    denied: &[(&Action, Verdict)],
    masks: &BTreeSet<String>,
    guardrails: &[Guardrail],
) -> Denial {
    let explainer = Explainer {
        task,
        target,
        masks,
        guardrails,
    };
    let mut all = Explained::default();
    for (action, verdict) in denied.iter().take(MAX_EXPLAINED) {
        all.add(explainer.one(action, verdict));
    }
    if let Some(more) = denied
        .len()
        .checked_sub(MAX_EXPLAINED)
        .filter(|more| *more > 0)
    {
        all.reasons.push(format!("and {more} more"));
    }
    all.into_denial()
}

#[derive(Default)]
struct Explained {
    policies: BTreeSet<String>,
    reasons: Vec<String>,
    remedies: Vec<String>,
}

impl Explained {
    fn plain(reason: String, remedy: String) -> Self {
        Self {
            policies: BTreeSet::new(),
            reasons: vec![reason],
            remedies: vec![remedy],
        }
    }

    fn add(&mut self, other: Self) {
        self.policies.extend(other.policies);
        for reason in other.reasons {
            if !self.reasons.contains(&reason) {
                self.reasons.push(reason);
            }
        }
        for remedy in other.remedies {
            if !remedy.is_empty() && !self.remedies.contains(&remedy) {
                self.remedies.push(remedy);
            }
        }
    }

    fn into_denial(self) -> Denial {
        Denial {
            policies: self
                .policies
                .into_iter()
                .take(MAX_DENIAL_POLICIES)
                .collect(),
            reason: within(self.reasons.join("; "), MAX_DENIAL),
            remedy: within(self.remedies.join("; "), MAX_DENIAL),
        }
    }
}

struct Explainer<'a> {
    task: &'a Task,
    target: &'a str,
    masks: &'a BTreeSet<String>,
    guardrails: &'a [Guardrail],
}

impl Explainer<'_> {
    fn one(&self, action: &Action, verdict: &Verdict) -> Explained {
        let what = done(action);
        match verdict {
            Verdict::Forbidden(policies) => self.forbidden(action, &what, policies),
            Verdict::Failed(policies) => failed(policies),
            Verdict::Unresolved if is_matched(action.resource.kind) => Explained::plain(
                format!(
                    "{what} is outside the scope of task {}: it is not spelled the one way that a grant could cover",
                    self.task.name,
                ),
                "send it in its plainest form".to_owned(),
            ),
            Verdict::Unresolved => Explained::plain(
                format!(
                    "{what} is outside the scope of task {}: the name stands for no {} that a grant \
                     could cover",
                    self.task.name,
                    action.resource.kind.as_str(),
                ),
                "check its spelling, or name it in full, with its schema".to_owned(),
            ),
            Verdict::NotPinned => Explained::plain(
                format!(
                    "{what} is in the scope of task {}, but not pinned: nobody has said which definition of it the task was written for",
                    self.task.name
                ),
                format!(
                    "ask for the tool to be looked at and pinned: run `bailiwick task pin {}`",
                    self.task.name
                ),
            ),
            Verdict::Impossible(why) => Explained::plain(
                format!(
                    "{what} is outside the scope of task {}: {why}",
                    self.task.name
                ),
                "no task file can grant this".to_owned(),
            ),
            Verdict::NotPermitted | Verdict::Allowed(_) | Verdict::Held(..)
                if is_matched(action.resource.kind) =>
            {
                self.not_met(action, &what)
            }
            Verdict::NotPermitted | Verdict::Allowed(_) | Verdict::Held(..) => {
                self.not_permitted(action, &what)
            }
        }
    }

    fn forbidden(&self, action: &Action, what: &str, policies: &[String]) -> Explained {
        let mut explained = forbidden(policies, self.guardrails, |guardrail| {
            let unknown = if action.columns.contains("*") || action.exposed.contains("*") {
                " (which columns it touches could not be told)"
            } else {
                ""
            };
            format!(
                "guardrail {} forbids {what}{unknown}: {}",
                guardrail.name,
                why(guardrail)
            )
        });
        if policies.iter().any(|policy| self.masks.contains(policy)) {
            explained.add(self.masked(action));
        }
        explained
    }

    fn masked(&self, action: &Action) -> Explained {
        let resource = &action.resource;
        let table = shown(resource);
        let schema = resource.schema.as_deref().unwrap_or_default();
        let mut tables = self.task.masked(self.target);
        let masked = tables
            .remove(&(schema, &*resource.name))
            .unwrap_or_default();
        let looked_up = |column: &str| action.looked_up.contains(column);
        let used: Vec<&str> = masked
            .iter()
            .filter(|(column, lookup)| {
                action.exposed.contains(**column) && !(**lookup && looked_up(column))
            })
            .map(|(column, _)| *column)
            .collect();
        let lookup = !used.is_empty() && used.iter().all(|column| looked_up(column));
        let (are, reason) = if used.is_empty() {
            let masked: Vec<&str> = masked.into_keys().collect();
            let use_ = "and the statement uses the whole row where its values would show";
            (masked, use_)
        } else if used.iter().all(|column| masked.get(column) == Some(&true)) {
            let use_ = "and may only be looked up in WHERE: as the table's own column, equal to a placeholder or constant, with nothing but AND around that; the statement uses it otherwise, where its value would show";
            (used, use_)
        } else {
            let use_ = "and the statement uses it other than as a plain output column (in a condition, an ordering, a grouping or a write), where its value would show";
            (used, use_)
        };
        let (columns, verb) = named(are.iter().copied(), "column");
        let remedy = if lookup {
            "select it as a plain output column, which comes back masked, leave it out, or ask for lookup = true in its [[mask]]"
        } else {
            "select it as a plain output column, which comes back masked, or leave it out"
        };
        Explained::plain(
            format!("{columns} of {table} {verb} masked, {reason}"),
            remedy.to_owned(),
        )
    }

    fn not_permitted(&self, action: &Action, what: &str) -> Explained {
        let resource = &action.resource;
        let outside = format!("{what} is outside the scope of task {}", self.task.name);
        let covering: Vec<&Grant> = self
            .task
            .grants
            .iter()
            .filter(|grant| grant.target == self.target && grant.covers(resource))
            .collect();
        let fitting: Vec<&Grant> = covering
            .iter()
            .copied()
            .filter(|grant| {
                let mut verbs = grant.verbs_on(resource.kind);
                grant.class == action.class && verbs.any(|verb| verb == action.verb)
            })
            .collect();
        let ask = format!("ask for {}", self.grant_for(action, &action.columns));
        if !fitting.is_empty() {
            return self.columns(action, &outside, &fitting);
        }
        let detail = if covering.is_empty() {
            format!("no grant covers this {}", resource.kind.as_str())
        } else {
            let mut granted: Vec<&str> = if covering.iter().any(|g| g.class == action.class) {
                let same = covering.iter().filter(|grant| grant.class == action.class);
                same.flat_map(|grant| grant.verbs_on(resource.kind))
                    .map(Verb::as_str)
                    .collect()
            } else {
                covering.iter().map(|grant| grant.class.as_str()).collect()
            };
            granted.dedup();
            let wanted = if covering.iter().any(|grant| grant.class == action.class) {
                action.verb.as_str()
            } else {
                action.class.as_str()
            };
            format!("it is granted for {} but not for {wanted}", and(&granted))
        };
        Explained::plain(format!("{outside}: {detail}"), ask)
    }

    /// The verb is granted on the resource, but not for all of the columns.
    fn columns(&self, action: &Action, outside: &str, fitting: &[&Grant]) -> Explained {
        let granted: BTreeSet<&str> = fitting
            .iter()
            .filter_map(|grant| grant.columns.as_ref())
            .flatten()
            .map(String::as_str)
            .collect();
        let missing: BTreeSet<String> = action
            .columns
            .iter()
            .filter(|column| !granted.contains(column.as_str()))
            .cloned()
            .collect();
        if missing.contains("*") {
            let (columns, verb) = named(granted.iter().copied(), "column");
            return Explained::plain(
                format!(
                    "{outside}: it touches the whole row or columns that could not be told, and only {columns} {verb} granted"
                ),
                "name the columns".to_owned(),
            );
        }
        if missing.is_empty() {
            return Explained::plain(
                format!(
                    "{outside}: its columns are granted, but by different grants, and one has to cover them all"
                ),
                format!("ask for {}", self.grant_for(action, &action.columns)),
            );
        }
        let (columns, verb) = named(missing.iter().map(String::as_str), "column");
        Explained::plain(
            format!("{outside}: {columns} {verb} not in the grant"),
            format!("ask for {}", self.grant_with(action, &missing)),
        )
    }

    /// The least grant that would cover the action, as a task file would say it.
    fn grant_for(&self, action: &Action, columns: &BTreeSet<String>) -> String {
        if action.verb == Verb::Select {
            // A grant to read is asked for by the table, as people think of it.
            self.grant_with(action, &BTreeSet::new())
        } else {
            self.grant_with(action, columns)
        }
    }

    fn grant_with(&self, action: &Action, columns: &BTreeSet<String>) -> String {
        let Action {
            class,
            verb,
            resource,
            ..
        } = action;
        let list = match resource.kind {
            Kind::Function => "functions",
            Kind::Object => "objects",
            Kind::Role => "roles",
            Kind::Setting => "settings",
            Kind::Table | Kind::Target => "tables",
            Kind::Feature => "features",
            Kind::Prompt => "prompts",
            Kind::Request => "requests",
            Kind::Tool => "tools",
            Kind::Uri => "resources",
        };
        let name = match resource.method_and_path() {
            Some((method, path)) => clip(&format!("{method} {}", general(path)), MAX_SHOWN_NAME),
            None => clip(&resource.name, MAX_SHOWN_NAME),
        };
        let name = match &resource.schema {
            Some(schema) => format!(
                "{}.{}",
                Quoted(&clip(schema, MAX_SHOWN_NAME)),
                Quoted(&name)
            ),
            None => name,
        };
        let mut grant = format!(
            "[[{class}]] target = {}, {list} = [{}]",
            toml(&clip(self.target, MAX_SHOWN_NAME)),
            toml(&name)
        );
        let default = is_matched(resource.kind)
            || matches!(verb, Verb::Select | Verb::Delete)
            || (*verb == Verb::Execute && *class != Class::Admin);
        if !default {
            grant.push_str(&format!(", verbs = [\"{verb}\"]"));
        }
        let few = columns.len() <= MAX_NAMED_COLUMNS && !columns.contains("*");
        if few && !columns.is_empty() && crate::task::has_columns(*verb) {
            let columns: Vec<String> = columns
                .iter()
                .map(|column| toml(&clip(column, MAX_SHOWN_NAME)))
                .collect();
            grant.push_str(&format!(", columns = [{}]", columns.join(", ")));
        }
        grant
    }
}

/// What guardrails among the policies forbid.
fn forbidden(
    policies: &[String],
    guardrails: &[Guardrail],
    reason: impl Fn(&Guardrail) -> String,
) -> Explained {
    let mut explained = Explained {
        policies: policies.iter().cloned().collect(),
        ..Explained::default()
    };
    for guardrail in guardrails
        .iter()
        .filter(|guardrail| policies.contains(&guardrail.id()))
    {
        explained.reasons.push(reason(guardrail));
        explained.remedies.push(match &guardrail.remedy {
            Some(remedy) => remedy.clone(),
            None => format!(
                "no task can allow it; talk to whoever keeps guardrail {}",
                guardrail.name
            ),
        });
    }
    explained
}

fn why(guardrail: &Guardrail) -> &str {
    guardrail.reason.as_deref().unwrap_or("it gives no @reason")
}

fn failed(policies: &[String]) -> Explained {
    Explained {
        policies: policies.iter().cloned().collect(),
        reasons: vec![format!(
            "{} failed while it was evaluated, which counts as a deny",
            policies.join(", ")
        )],
        remedies: vec!["report it to whoever keeps the guardrails".to_owned()],
    }
}

/// `column a`, `columns a and b`, and the verb that follows.
fn named<'a>(names: impl ExactSizeIterator<Item = &'a str>, what: &str) -> (String, &'static str) {
    let count = names.len();
    let mut shown: Vec<String> = names
        .take(MAX_NAMED_COLUMNS)
        .map(|name| clip(name, MAX_SHOWN_NAME))
        .collect();
    if count > shown.len() {
        shown.push(format!("{} more", count - shown.len()));
    }
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    match count {
        1 => (format!("{what} {}", and(&shown)), "is"),
        _ => (format!("{what}s {}", and(&shown)), "are"),
    }
}

/// A resource by names that are safe to show.
fn shown(resource: &Resource) -> String {
    Resource {
        kind: resource.kind,
        schema: resource
            .schema
            .as_deref()
            .map(|schema| clip(schema, MAX_SHOWN_NAME)),
        name: clip(&resource.name, MAX_SHOWN_NAME),
    }
    .to_string()
}

/// The text without control characters, which could fool a terminal, and not too long.
fn clip(text: &str, limit: usize) -> String {
    let mut shown: String = text
        .chars()
        .take(limit)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

/// The text, cut to so many bytes.
fn within(mut text: String, bytes: usize) -> String {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
        text.push('…');
    }
    text
}

/// A string as TOML writes it. JSON's form of a string without control characters is also TOML's.
fn toml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_calls_things_cannot_fool_a_terminal() {
        let denial = not_understood(&format!("a\u{1b}[2Jb\n{}", "x".repeat(1_000)));
        assert!(
            denial
                .reason
                .starts_with("not understood: a\u{fffd}[2Jb\u{fffd}xx")
        );
        assert!(denial.reason.chars().count() < 330);
        assert_eq!(
            shown(&Resource::table("public", "a\tb")),
            "public.a\u{fffd}b"
        );
    }

    #[test]
    fn names_are_written_as_toml_reads_them() {
        for text in ["plain", "a\"b\\c", "é…"] {
            let line = format!("x = {}", toml(text));
            let table: toml::Table = line.parse().unwrap();
            assert_eq!(table["x"].as_str(), Some(text));
        }
    }
}
