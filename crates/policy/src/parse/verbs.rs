//! What a grant allows to be done, and with which columns.

use std::collections::BTreeSet;

use bailiwick_action::{Class, Kind, Verb};

use crate::covered::is_matched;
use crate::document::{At, Section};
use crate::name;
use crate::problem::nearest;
use crate::task::{Item, applies, has_columns};

use super::items::LISTS;

pub(super) fn verbs(section: &Section<'_, '_>, class: Class, items: &[Item]) -> BTreeSet<Verb> {
    let has = |kind| items.iter().any(|item| item.covered.kind() == kind);
    let mut verbs = BTreeSet::new();
    if section.has("verbs") {
        for At { value, at } in section.strings("verbs").unwrap_or_default() {
            match verb(class, value) {
                Ok(verb) => {
                    verbs.insert(verb);
                }
                Err((message, near)) => {
                    let key = section.key("verbs");
                    section
                        .document
                        .report_nearest(&at, &key, message, near.as_deref());
                }
            }
        }
    } else if class == Class::Admin && !items.iter().any(|item| is_matched(item.covered.kind())) {
        let message = "this key is missing: an admin grant says what it allows, as in [\"create\", \"alter\"]";
        section.report("verbs", message);
    } else if has(Kind::Table) {
        verbs.extend(match class {
            Class::Read => vec![Verb::Select],
            Class::Write => vec![Verb::Insert, Verb::Update],
            Class::Destroy => vec![Verb::Delete],
            Class::Admin | Class::Session => Vec::new(),
        });
    }
    // Functions are there to be run. Only an admin grant may be about their definition alone.
    if class != Class::Admin && has(Kind::Function) {
        verbs.insert(Verb::Execute);
    }
    verbs.extend(items.iter().filter_map(|item| of_kind(item.covered.kind())));
    verbs
}

/// What is done with a thing of a kind that only one thing is done with.
fn of_kind(kind: Kind) -> Option<Verb> {
    match kind {
        Kind::Feature | Kind::Tool => Some(Verb::Execute),
        Kind::Prompt | Kind::Uri => Some(Verb::Get),
        Kind::Request => Some(Verb::Request),
        Kind::Function | Kind::Object | Kind::Role | Kind::Setting | Kind::Table | Kind::Target => {
            None
        }
    }
}

fn verb(class: Class, name: &str) -> Result<Verb, (String, Option<String>)> {
    let of_class = |verb: &Verb| verb.class().is_none_or(|of| of == class);
    let fitting: Vec<_> = Verb::ALL
        .iter()
        .filter(|verb| of_class(verb) && !comes_by_itself(**verb))
        .map(|v| v.as_str())
        .collect();
    match name.parse::<Verb>() {
        Ok(Verb::Session) => Err((
            "session is never granted by itself: it comes with any grant on the target".to_owned(),
            None,
        )),
        Ok(verb) if comes_by_itself(verb) => Err((
            format!("{verb} is not for databases: it comes with what an http or mcp target has"),
            None,
        )),
        Ok(verb) if of_class(&verb) => Ok(verb),
        Ok(verb) => {
            let right = verb.class().unwrap_or(class);
            let message = format!(
                "{verb} is a matter of {right}, not of {class}; put it in a [[{right}]] grant"
            );
            Err((message, None))
        }
        Err(_) => {
            let near = nearest(name, Verb::ALL.iter().map(|verb| verb.as_str()));
            let message = format!(
                "no verb is called {name:?}; a [[{class}]] grant may have {}",
                fitting.join(", ")
            );
            Err((message, near.map(str::to_owned)))
        }
    }
}

/// Whether the verb follows from the kind of thing that a grant names, and so is never written.
fn comes_by_itself(verb: Verb) -> bool {
    matches!(verb, Verb::Get | Verb::Request)
}

/// A verb that fits nothing the grant names, or a thing that no verb fits, can never match.
pub(super) fn check_use(
    section: &Section<'_, '_>,
    class: Class,
    verbs: &BTreeSet<Verb>,
    items: &[Item],
) {
    for verb in verbs {
        if !items.is_empty() && !items.iter().any(|item| applies(*verb, item.covered.kind())) {
            let message = format!("{verb} makes no sense for anything that this grant names");
            section.report("verbs", message);
        }
    }
    for (key, kind) in LISTS {
        let listed = items.iter().any(|item| item.covered.kind() == kind);
        if listed && !verbs.is_empty() && !verbs.iter().any(|verb| applies(*verb, kind)) {
            let message = format!("none of the grant's verbs makes sense for {key}");
            section.report(key, message);
        }
        if listed && verbs.is_empty() && !section.has("verbs") && class != Class::Admin {
            let message = format!("say what may be done with these {key}: add verbs = […]");
            section.report(key, message);
        }
    }
}

pub(super) fn columns(
    section: &Section<'_, '_>,
    verbs: &BTreeSet<Verb>,
    items: &[Item],
) -> Option<BTreeSet<String>> {
    let listed = section.strings("columns")?;
    let mut columns = BTreeSet::new();
    for At { value, at } in listed {
        match name::column(value) {
            Ok(column) => {
                columns.insert(column);
            }
            Err(error) => {
                let key = section.key("columns");
                section
                    .document
                    .report(&at, &key, format!("{value:?}: {error}"));
            }
        }
    }
    if !items.iter().any(|item| item.covered.kind() == Kind::Table) {
        section.report("columns", "columns limit tables, and this grant names none");
    } else if let Some(verb) = verbs
        .iter()
        .find(|verb| applies(**verb, Kind::Table) && !has_columns(**verb) && **verb != Verb::Lock)
    {
        let message = format!("columns cannot limit {verb}; put it in a grant of its own");
        section.report("columns", message);
    }
    Some(columns)
}
