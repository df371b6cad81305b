//! What a task names and a target does not have.

use bailiwick_action::Kind;

use crate::sql::{Catalogue, Relation};
use crate::{Knowledge, Named};

/// As [`crate::Protocol::lacks`].
pub(super) fn lacks(knowledge: &Knowledge, named: &Named<'_>) -> Vec<String> {
    let Some(catalogue) = knowledge.downcast_ref::<Catalogue>() else {
        return Vec::new();
    };
    match (named.kind, named.name) {
        (Kind::Table, Some(name)) => table(catalogue, named, name),
        (Kind::Table, None) => {
            let any = catalogue
                .relations()
                .any(|relation| relation.schema == named.schema);
            missing(any, || {
                format!("there is no table in schema {}", named.schema)
            })
        }
        // The system's own functions are not in the catalogue one by one.
        (Kind::Function, Some(name)) if named.schema != "pg_catalog" => {
            let any = catalogue.function(named.schema, name).is_some();
            missing(any, || {
                format!("there is no function {}.{name}", named.schema)
            })
        }
        _ => Vec::new(),
    }
}

fn missing(is_there: bool, words: impl FnOnce() -> String) -> Vec<String> {
    if is_there { Vec::new() } else { vec![words()] }
}

fn table(catalogue: &Catalogue, named: &Named<'_>, name: &str) -> Vec<String> {
    let Some(relation) = catalogue.relation(named.schema, name) else {
        let wanted = format!("{}.{name}", named.schema);
        let all = catalogue
            .relations()
            .filter(|relation| !is_system(relation));
        let all = all.map(|relation| format!("{}.{}", relation.schema, relation.name));
        let nearest = nearest(&wanted, all);
        return vec![format!("there is no table {wanted}{nearest}")];
    };
    let unknown = named
        .columns
        .iter()
        .filter(|column| !relation.columns.iter().any(|known| known.name == **column));
    unknown
        .map(|column| {
            let nearest = nearest(column, relation.columns.iter().map(|known| &known.name));
            format!(
                "table {}.{name} has no column {column}{nearest}",
                named.schema
            )
        })
        .collect()
}

fn is_system(relation: &Relation) -> bool {
    matches!(&*relation.schema, "pg_catalog" | "information_schema")
}

/// `; did you mean …?`, where one is near enough.
fn nearest(wanted: &str, all: impl Iterator<Item = impl AsRef<str>>) -> String {
    all.map(|name| (strsim::damerau_levenshtein(wanted, name.as_ref()), name))
        .filter(|(distance, _)| *distance <= 1 + wanted.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| format!("; did you mean {}?", name.as_ref()))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sql::{Column, RelationKind};

    #[test]
    fn names_what_is_missing_and_what_is_near() {
        let mut catalogue = Catalogue::new("app", "svc", ["public"]);
        catalogue.add(Relation {
            oid: 1,
            schema: "public".into(),
            name: "tickets".into(),
            kind: RelationKind::Table,
            columns: vec![Column {
                number: 1,
                name: "priority".into(),
                type_oid: 25,
                generated: false,
            }],
            definition: None,
        });
        let knowledge: Knowledge = Arc::new(catalogue);
        let ask = |kind, schema, name, columns: &[&str]| {
            let named = Named {
                kind,
                schema,
                name,
                columns,
            };
            lacks(&knowledge, &named).join(" ")
        };
        let table = Kind::Table;
        assert_eq!(ask(table, "public", Some("tickets"), &["priority"]), "");
        assert_eq!(ask(table, "public", None, &[]), "");
        assert_eq!(
            ask(table, "public", Some("tickest"), &[]),
            "there is no table public.tickest; did you mean public.tickets?"
        );
        assert_eq!(
            ask(table, "public", Some("tickets"), &["prio", "priorty"]),
            "table public.tickets has no column prio table public.tickets has no column priorty; \
             did you mean priority?"
        );
        assert_eq!(
            ask(table, "sales", None, &[]),
            "there is no table in schema sales"
        );
        assert_eq!(
            ask(Kind::Function, "public", Some("f"), &[]),
            "there is no function public.f"
        );
    }
}
