//! From what a statement's result is made of (lineage, worked out here) and what the target says of it
//! (types and origins) to how its rows are treated. The two must agree: if they do not, the catalogue
//! has changed under the session, and nothing of the result is released.

use bailiwick_action::{DetectedSet, Kind};

use super::cover::Cover;
use super::names::Prepared;
use super::rows::{Described, Rule, Rules};
use crate::sql::{Catalogue, Outputs, Source};
use crate::{Fault, Result};

/// How to treat the rows of a statement's result.
pub(super) fn rules(
    prepared: &Prepared,
    described: &[Described],
    catalogue: &Catalogue,
    cover: &Cover,
) -> Result<Rules> {
    check_count(prepared, described.len())?;
    let rule = |(at, column): (usize, &Described)| {
        Ok(Rule {
            type_oid: column.type_oid,
            binary: column.binary,
            masked: derived_masked(prepared, at, cover)
                || origin_masked(prepared, column, catalogue, cover)?,
            cleared: cleared(prepared, at, column, catalogue, cover),
        })
    };
    let rules: Result<_> = described.iter().enumerate().map(rule).collect();
    Ok(Rules(rules?))
}

/// How to treat rows that the target has not described: by lineage, and by what the values look like.
pub(super) fn blind_rules(prepared: &Prepared, count: usize, cover: &Cover) -> Result<Rules> {
    check_count(prepared, count)?;
    let rule = |at| Rule {
        type_oid: 0,
        binary: false,
        masked: derived_masked(prepared, at, cover),
        cleared: DetectedSet::NONE,
    };
    Ok(Rules((0..count).map(rule).collect()))
}

/// How to treat the data of a COPY, which the target does not describe.
pub(super) fn copy_rules(prepared: &Prepared, count: usize, cover: &Cover) -> Result<Rules> {
    let mut rules = blind_rules(prepared, count, cover)?;
    if let Outputs::Columns(columns) = &prepared.statement.outputs {
        for (rule, column) in rules.0.iter_mut().zip(columns) {
            rule.type_oid = column.type_oid;
        }
    }
    Ok(rules)
}

fn check_count(prepared: &Prepared, count: usize) -> Result<()> {
    match &prepared.statement.outputs {
        Outputs::Columns(columns) if columns.len() != count => {
            Err(changed("it has another number of columns"))
        }
        Outputs::Columns(_) | Outputs::None | Outputs::Unknown => Ok(()),
    }
}

/// Whether what a result column is made of is masked.
fn derived_masked(prepared: &Prepared, at: usize, cover: &Cover) -> bool {
    match &prepared.statement.outputs {
        Outputs::Columns(columns) => columns.get(at).is_some_and(|lineage| {
            lineage
                .sources
                .iter()
                .any(|source| cover.of_source(source).is_some())
        }),
        Outputs::None | Outputs::Unknown => prepared.reads_masked,
    }
}

/// What may stay of what detectors find in a result column. It has to be a table's own column, by the target's
/// account: what a function or an expression makes may be anything. And every source that it has by ours has to be
/// cleared for it, as where several queries are put together.
fn cleared(
    prepared: &Prepared,
    at: usize,
    column: &Described,
    catalogue: &Catalogue,
    cover: &Cover,
) -> DetectedSet {
    let Outputs::Columns(columns) = &prepared.statement.outputs else {
        return DetectedSet::NONE;
    };
    let origin = catalogue
        .relation_by_oid(column.table)
        .and_then(|relation| {
            let name = relation.column_by_number(column.number)?;
            Some(Source {
                schema: relation.schema.clone(),
                table: relation.name.clone(),
                column: name.to_owned(),
            })
        });
    match (origin, columns.get(at)) {
        (Some(origin), Some(lineage)) if lineage.sources.contains(&origin) => {
            let sources = lineage.sources.iter();
            let each = sources.map(|source| cover.cleared(source));
            each.fold(DetectedSet::ALL, DetectedSet::and)
        }
        _ => DetectedSet::NONE,
    }
}

/// The same rules for the formats that a Bind asked for.
pub(super) fn with_formats(mut rules: Rules, formats: &[bool]) -> Rules {
    for (at, rule) in rules.0.iter_mut().enumerate() {
        rule.binary = match formats {
            [] => false,
            [all] => *all,
            each => each.get(at).copied().unwrap_or_default(),
        };
    }
    rules
}

/// Whether the table column that the target says a result column is taken from is masked. It must be
/// one that the call was decided on.
fn origin_masked(
    prepared: &Prepared,
    column: &Described,
    catalogue: &Catalogue,
    cover: &Cover,
) -> Result<bool> {
    if column.table == 0 {
        return Ok(false);
    }
    let relation = catalogue
        .relation_by_oid(column.table)
        .ok_or_else(|| changed("it comes from a table that was not there before"))?;
    let decided = prepared.statement.actions.iter().any(|action| {
        action.resource.kind == Kind::Table
            && action.resource.schema.as_deref() == Some(&relation.schema)
            && action.resource.name == relation.name
    });
    if !decided {
        return Err(changed(
            "it comes from a table that the call was not decided on",
        ));
    }
    Ok(match relation.column_by_number(column.number) {
        Some(name) => cover.of(&relation.schema, &relation.name, name).is_some(),
        // A system column, or one added since.
        None if column.number <= 0 => false,
        None => return Err(changed("it comes from a column that was not there before")),
    })
}

fn changed(what: &str) -> Fault {
    Fault::Target(format!(
        "a result is not what was decided on: {what}. The target's definitions have changed; \
         connect again"
    ))
}
