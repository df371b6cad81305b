//! What a scope allows, in words.

use std::collections::BTreeSet;
use std::fmt;

use bailiwick_action::{Class, Kind, Verb};

use crate::guardrail::Guardrail;
use crate::name::Pattern;
use crate::task::{Grant, Task, applies};

/// One line of a scope in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What sort of statement it is.
    pub sort: Sort,
    /// The statement.
    pub text: String,
}

/// What a [`Line`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Something is allowed.
    Allowed,
    /// Something would be allowed once somebody approved.
    Approval,
    /// A column's values are masked.
    Masked,
    /// A guardrail stands above the task.
    Guardrail,
    /// What holds for the rest.
    Rest,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A task within the guardrails.
pub(crate) fn scope(task: &Task, guardrails: &[Guardrail]) -> Vec<Line> {
    let mut lines: Vec<Line> = task.grants.iter().flat_map(grant).collect();
    let targets: BTreeSet<&str> = task.masks.iter().map(|mask| &*mask.target).collect();
    for target in targets {
        for ((schema, name), columns) in task.masked(target) {
            let table = Pattern {
                kind: Kind::Table,
                schema: Some(schema.to_owned()),
                name: Some(name.to_owned()),
            };
            for (lookup, may) in [
                (false, ""),
                (true, "; rows may be looked up by exact values"),
            ] {
                let columns: Vec<&str> = columns
                    .iter()
                    .filter(|(_, looks)| **looks == lookup)
                    .map(|(column, _)| *column)
                    .collect();
                let verb = match columns.len() {
                    0 => continue,
                    1 => "is",
                    _ => "are",
                };
                let columns = and(&columns);
                lines.push(Line {
                    sort: Sort::Masked,
                    text: format!("{columns} of {table} on {target} {verb} masked{may}"),
                });
            }
        }
    }
    lines.extend(guardrails.iter().map(|guardrail| Line {
        sort: Sort::Guardrail,
        text: match &guardrail.reason {
            Some(reason) => format!("guardrail {}: {reason}", guardrail.name),
            None => format!("guardrail {} applies ({})", guardrail.name, guardrail.place),
        },
    }));
    lines.push(Line {
        sort: Sort::Rest,
        text: "everything else is denied".to_owned(),
    });
    lines
}

/// A line for each verb and kind of resource.
fn grant(grant: &Grant) -> Vec<Line> {
    let mut lines = Vec::new();
    for verb in &grant.verbs {
        for kind in [
            Kind::Table,
            Kind::Function,
            Kind::Object,
            Kind::Role,
            Kind::Setting,
        ] {
            let names = names(grant, *verb, kind);
            if names.is_empty() {
                continue;
            }
            let what = phrase(grant, *verb, kind, &names);
            let target = &grant.target;
            let (sort, text) = match &grant.approve {
                None => (Sort::Allowed, format!("may {what} on {target}")),
                Some(who) => (
                    Sort::Approval,
                    format!(
                        "may {what} on {target} only when {who} approves, which this version cannot give: denied"
                    ),
                ),
            };
            lines.push(Line { sort, text });
        }
    }
    lines
}

fn names(grant: &Grant, verb: Verb, kind: Kind) -> String {
    if !applies(verb, kind) {
        return String::new();
    }
    let mut names: Vec<String> = Vec::new();
    for item in grant.items.iter().filter(|item| item.pattern.kind == kind) {
        let name = match (&item.pattern.schema, &item.pattern.name) {
            (Some(schema), None) => format!("everything in {schema}"),
            _ => item.pattern.to_string(),
        };
        // An object is listed once though it stands for two.
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

fn phrase(grant: &Grant, verb: Verb, kind: Kind, names: &str) -> String {
    let columns = grant.limited(verb).map(|columns| {
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        and(&columns)
    });
    match (verb, kind, columns) {
        (Verb::Select, _, None) => format!("read {names}"),
        (Verb::Select, _, Some(columns)) => format!("read {columns} of {names}"),
        (Verb::Insert, _, None) => format!("insert into {names}"),
        (Verb::Insert, _, Some(columns)) => format!("insert into {names}, giving only {columns}"),
        (Verb::Update, _, None) => format!("update {names}"),
        (Verb::Update, _, Some(columns)) => format!("update {columns} of {names}"),
        (Verb::Delete, _, _) => format!("delete from {names}"),
        (Verb::Lock, _, _) => format!("lock rows of {names}"),
        (Verb::Execute, _, _) => match grant.class {
            Class::Read => format!("run the reading function {names}"),
            Class::Write => format!("run the writing function {names}"),
            Class::Destroy => format!("run the destroying function {names}"),
            Class::Admin | Class::Session => format!("run the administrating function {names}"),
        },
        (verb, Kind::Table, _) => format!("{verb} {names}"),
        (verb, kind, _) => format!("{verb} {} {names}", kind.as_str()),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn and(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
