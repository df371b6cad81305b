//! What a scope allows, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bailiwick_action::{Class, Detected, Kind, Verb};

use crate::condition::Condition;
use crate::covered::{Covered, is_matched};
use crate::guardrail::Guardrail;
use crate::name::{Column, Pattern};
use crate::problem::Place;
use crate::task::{Clear, Grant, Item, Task, applies};

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
            let everywhere = |column: &str| {
                task.masks.iter().any(|mask| {
                    let Column {
                        schema: its_schema,
                        table: its_table,
                        name: its_name,
                    } = &mask.column;
                    mask.target == target
                        && (&**its_schema, &**its_table, &**its_name) == (schema, name, column)
                        && is_above(&mask.place, task)
                })
            };
            for (lookup, may) in [
                (false, ""),
                (true, "; rows may be looked up by exact values"),
            ] {
                let columns = columns.iter().filter(|(_, looks)| **looks == lookup);
                let (above, own): (Vec<&str>, Vec<&str>) = columns
                    .map(|(column, _)| *column)
                    .partition(|column| everywhere(column));
                for (columns, whose) in [(own, ""), (above, EVERYWHERE)] {
                    let Some(verb) = is_or_are(columns.len()) else {
                        continue;
                    };
                    let columns = and(&columns);
                    lines.push(Line {
                        sort: Sort::Masked,
                        text: format!("{columns} of {table} on {target} {verb} masked{whose}{may}"),
                    });
                }
            }
        }
    }
    lines.extend(fields(task));
    lines.extend(clears(task));
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

/// What is said of what no task can leave out.
const EVERYWHERE: &str = " in every task";

/// Whether something is said above the task, and not in its file.
fn is_above(place: &Place, task: &Task) -> bool {
    place.file != task.place.file
}

fn is_or_are(count: usize) -> Option<&'static str> {
    match count {
        0 => None,
        1 => Some("is"),
        _ => Some("are"),
    }
}

/// A line for each column of which some of what detectors find is let through, and that is not masked.
fn clears(task: &Task) -> impl Iterator<Item = Line> {
    let masked = |clear: &Clear| {
        let mut masks = task.masks.iter();
        masks.any(|mask| mask.target == clear.target && mask.column == clear.column)
    };
    let clears = task.clears.iter().filter(move |clear| !masked(clear));
    clears.map(|clear| Line {
        sort: Sort::Allowed,
        text: cleared(clear),
    })
}

/// `may see mail addresses in email of public.people on tickets`.
pub(crate) fn cleared(clear: &Clear) -> String {
    let kinds: Vec<&str> = clear.kinds.iter().map(in_words).collect();
    let Column {
        schema,
        table,
        name,
    } = &clear.column;
    format!(
        "may see {} in {name} of {schema}.{table} on {}",
        and(&kinds),
        clear.target
    )
}

fn in_words(kind: Detected) -> &'static str {
    match kind {
        Detected::Card => "card numbers",
        Detected::Email => "mail addresses",
        Detected::Iban => "IBANs",
        Detected::Phone => "phone numbers",
        Detected::Secret => "secrets",
        Detected::Ssn => "social security numbers",
    }
}

/// A line for each target of which fields are masked, and another for those that every task masks.
fn fields(task: &Task) -> Vec<Line> {
    // By path, whether it is masked in every task.
    let mut of_target: BTreeMap<&str, BTreeMap<String, bool>> = BTreeMap::new();
    for field in &task.fields {
        let paths = of_target.entry(&field.target).or_default();
        *paths.entry(field.path.to_string()).or_default() |= is_above(&field.place, task);
    }
    let mut lines = Vec::new();
    for (target, paths) in of_target {
        for (above, whose) in [(false, ""), (true, EVERYWHERE)] {
            let paths = paths.iter().filter(|(_, is)| **is == above);
            let paths: Vec<&str> = paths.map(|(path, _)| path.as_str()).collect();
            if let Some(verb) = is_or_are(paths.len()) {
                let paths = and(&paths);
                lines.push(Line {
                    sort: Sort::Masked,
                    text: format!("{paths} of what {target} answers {verb} masked{whose}"),
                });
            }
        }
    }
    lines
}

/// In the order in which they are described.
const KINDS: [Kind; 10] = [
    Kind::Table,
    Kind::Function,
    Kind::Object,
    Kind::Role,
    Kind::Setting,
    Kind::Request,
    Kind::Tool,
    Kind::Uri,
    Kind::Prompt,
    Kind::Feature,
];

/// A line for each verb and kind of resource.
fn grant(grant: &Grant) -> Vec<Line> {
    // With those that others bring.
    let verbs = KINDS.iter().flat_map(|kind| grant.verbs_on(*kind));
    lines(grant, &verbs.collect())
}

/// The same of one of its entries and some of its verbs.
pub(crate) fn entry(grant: &Grant, item: &Item, verbs: &BTreeSet<Verb>) -> Vec<Line> {
    let only = Grant {
        items: vec![item.clone()],
        ..grant.clone()
    };
    lines(&only, verbs)
}

fn lines(grant: &Grant, verbs: &BTreeSet<Verb>) -> Vec<Line> {
    let mut lines = Vec::new();
    for verb in verbs {
        for kind in KINDS {
            let names = names(grant, *verb, kind);
            if names.is_empty() {
                continue;
            }
            let what = phrase(grant, *verb, kind, &names);
            let target = format!("{}{}", grant.target, terms(grant, kind));
            let (sort, text) = match &grant.approve {
                None => (Sort::Allowed, format!("may {what} on {target}")),
                Some(who) => (
                    Sort::Approval,
                    format!("may {what} on {target} once {who} approves"),
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
    for item in &grant.items {
        if item.covered.kind() != kind {
            continue;
        }
        let name = match &item.covered {
            Covered::Named(Pattern {
                schema: Some(schema),
                name: None,
                ..
            }) => format!("everything in {schema}"),
            covered => covered.to_string(),
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
        (_, Kind::Request, _) => format!("send {names}{}", weight(grant)),
        (_, Kind::Tool, _) => format!("call the tool {names}{}", weight(grant)),
        (_, Kind::Uri, _) => format!("read the resource {names}"),
        (_, Kind::Prompt, _) => format!("get the prompt {names}"),
        (_, Kind::Feature, _) => format!("be asked for {names}"),
        (Verb::Execute, _, _) => match grant.class {
            Class::Read => format!("run the reading function {names}"),
            Class::Write => format!("run the writing function {names}"),
            Class::Destroy => format!("run the destroying function {names}"),
            Class::Admin | Class::Session => format!("run the administrating function {names}"),
        },
        (Verb::Maintain, Kind::Table, _) => format!("maintain and lock the whole of {names}"),
        (verb, Kind::Table, _) => format!("{verb} {names}"),
        (verb, kind, _) => format!("{verb} {} {names}", kind.as_str()),
    }
}

/// What a request or a tool counts as, where its grant is not one to read.
fn weight(grant: &Grant) -> String {
    match grant.class {
        Class::Read | Class::Session => String::new(),
        class => format!(" ({class})"),
    }
}

/// `, if visibility is "internal"`: what a grant asks and gives along with a request or a tool.
fn terms(grant: &Grant, kind: Kind) -> String {
    let mut terms = String::new();
    if !is_matched(kind) {
        return terms;
    }
    let conditions: Vec<String> = grant.conditions.iter().map(Condition::to_string).collect();
    let conditions: Vec<&str> = conditions.iter().map(String::as_str).collect();
    if !conditions.is_empty() {
        terms.push_str(&format!(", if {}", and(&conditions)));
    }
    if kind == Kind::Tool && grant.unpinned {
        terms.push_str(", whatever the server makes of it (unpinned)");
    }
    if grant.binary {
        terms.push_str(", with results that cannot be masked (binary)");
    }
    terms
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn and(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
