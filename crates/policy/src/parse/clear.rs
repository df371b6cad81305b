//! `[[clear]]`.

use bailiwick_action::{Detected, DetectedSet, Kind, Resource, Verb};

use crate::TargetName;
use crate::document::Section;
use crate::name::Column;
use crate::problem::nearest;
use crate::task::{Clear, Grant};

use super::target;

/// The columns of which some of what detectors find is let through.
pub(super) fn clears(
    top: &Section<'_, '_>,
    grants: &[Grant],
    targets: &[TargetName],
) -> Vec<Clear> {
    let mut clears = Vec::new();
    for section in top.sections("clear", &["target", "columns", "kinds"]) {
        let Some(target) = target::of_section(&section, targets) else {
            continue;
        };
        if target.kind != "postgres" {
            let message = format!(
                "`{}` is of kind {}, and only columns of a postgres target can be cleared: where a value stands in an \
                 answer is for a request to say, too",
                target.name, target.kind
            );
            section.report("target", message);
            continue;
        }
        let kinds = kinds(&section, "kinds", "say what may be seen, as in [\"email\"]");
        if !section.has("columns") {
            let message = "this key is missing: name columns, as in [\"public.tickets.email\"]";
            section.report("columns", message);
        }
        for entry in section.strings("columns").unwrap_or_default() {
            let report = |message: String| {
                let key = section.key("columns");
                section.document.report(&entry.at, &key, message);
            };
            match Column::parse(entry.value) {
                Err(error) => report(format!("{:?}: {error}", entry.value)),
                Ok(column) => {
                    if let Some(grant) = grants
                        .iter()
                        .find(|grant| grant.target == target.name && could_fill(grant, &column))
                    {
                        report(format!(
                            "the grant at {} lets the task write {:?}: what it may not see could be put there and \
                             read, so that column cannot be cleared",
                            grant.place, entry.value
                        ));
                    }
                    clears.push(Clear {
                        target: target.name.clone(),
                        column,
                        kinds,
                        place: section.document.place(&entry.at),
                    });
                }
            }
        }
    }
    clears
}

/// A list of what detectors find.
pub(super) fn kinds(section: &Section<'_, '_>, key: &str, why: &str) -> DetectedSet {
    if !section.has(key) {
        section.report(key, format!("this key is missing: {why}"));
    }
    let mut kinds = DetectedSet::NONE;
    for entry in section.strings(key).unwrap_or_default() {
        match Detected::named(entry.value) {
            Some(Detected::Secret) => section.document.report(
                &entry.at,
                &section.key(key),
                "a password, key or token is never let through",
            ),
            Some(kind) => kinds = kinds.with(kind),
            None => {
                let names = CLEARABLE.map(Detected::as_str);
                section.document.report_nearest(
                    &entry.at,
                    &section.key(key),
                    format!("{:?} is not one of {}", entry.value, names.join(", ")),
                    nearest(entry.value, names),
                );
            }
        }
    }
    kinds
}

const CLEARABLE: [Detected; 5] = [
    Detected::Card,
    Detected::Email,
    Detected::Iban,
    Detected::Phone,
    Detected::Ssn,
];

/// Whether a grant lets something else come to stand in the column.
fn could_fill(grant: &Grant, column: &Column) -> bool {
    let table = Resource::table(&*column.schema, &*column.table);
    let mut verbs = grant.verbs_on(Kind::Table);
    grant.covers(&table)
        && verbs.any(|verb| match verb {
            Verb::Insert | Verb::Update => grant
                .limited(verb)
                .is_none_or(|columns| columns.contains(&column.name)),
            Verb::Alter | Verb::Create | Verb::Drop => true,
            _ => false,
        })
}
