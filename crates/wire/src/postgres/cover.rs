//! Which columns a session masks: those that the scope names, and every copy of one that the target's
//! catalogue knows. What is made of a column within a statement is told by lineage; this is about what
//! the target itself makes: a row of a partition or an inheritance child is a row of its parent too, and
//! a generated column shows what it is made of. And the planner's statistics hold values of any column.

use std::collections::{HashMap, HashSet};

use bailiwick_action::DetectedSet;

use crate::sql::{Catalogue, Source};
use crate::{Masked, Veil};

/// Every masked column, by schema and table.
#[derive(Clone, Debug, Default)]
pub(super) struct Cover {
    tables: HashMap<String, HashMap<String, HashMap<String, Covered>>>,
    /// What the scope lets through of columns that are not masked, for exactly those that it names.
    cleared: HashMap<Source, DetectedSet>,
}

/// A column that is masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Covered {
    /// Whether the scope names it, and whether it says that rows may be looked up by it. If not, it is
    /// a copy of one that the scope names, of which the scope's own rule knows nothing.
    pub(super) named: Option<bool>,
    /// Whether rows may be looked up by it: everything that it is a copy of allows it, or the scope
    /// itself says so of a generated column.
    pub(super) lookup: bool,
}

/// Where the system itself shows values of other tables: samples that ANALYZE took, and what other
/// sessions are running.
const SHOWS_VALUES: [(&str, &[&str]); 6] = [
    (
        "pg_statistic",
        &[
            "stavalues1",
            "stavalues2",
            "stavalues3",
            "stavalues4",
            "stavalues5",
        ],
    ),
    ("pg_statistic_ext_data", &["stxdmcv", "stxdexpr"]),
    (
        "pg_stats",
        &[
            "most_common_vals",
            "histogram_bounds",
            "most_common_elems",
            "range_bounds_histogram",
        ],
    ),
    ("pg_stats_ext", &["most_common_vals"]),
    (
        "pg_stats_ext_exprs",
        &[
            "most_common_vals",
            "histogram_bounds",
            "most_common_elems",
            "range_bounds_histogram",
        ],
    ),
    ("pg_stat_activity", &["query"]),
];

impl Cover {
    /// What a veil masks on a target with this catalogue.
    pub(super) fn new(veil: &dyn Veil, catalogue: &Catalogue) -> Self {
        let mut cover = Self::default();
        for cleared in veil.cleared() {
            let source = Source {
                schema: cleared.schema,
                table: cleared.table,
                column: cleared.column,
            };
            // Who may write what it is generated from can have anything stand there.
            if is_generated(&source, catalogue) {
                continue;
            }
            let kinds = cover.cleared.entry(source).or_default();
            *kinds = kinds.union(cleared.kinds);
        }
        let named = veil.masked();
        // First what the scope names, with all of the same name in its table's family: there a lookup
        // is allowed if all that is named allows it.
        let mut left = Vec::new();
        for Masked {
            schema,
            table,
            column,
            lookup,
        } in &named
        {
            let covered = cover.column(schema, table, column, *lookup);
            covered.named = Some(covered.named.unwrap_or(true) && *lookup);
            if let Some(relation) = catalogue.relation(schema, table) {
                left.push((relation, &**column, *lookup));
            }
        }
        let mut seen = HashSet::new();
        let mut followed = Vec::new();
        while let Some((relation, column, lookup)) = left.pop() {
            if seen.insert((relation.oid, column, lookup)) {
                cover.column(&relation.schema, &relation.name, column, lookup);
                let family = catalogue.inherited(relation, column);
                left.extend(family.map(|(relative, column)| (relative, column, lookup)));
                followed.push((relation, column));
            }
        }
        // Then what is generated from those. An expression may make many values one, so that only the
        // scope itself can allow lookups by it.
        let mut seen: HashSet<_> = seen
            .iter()
            .map(|(oid, column, _)| (*oid, *column))
            .collect();
        while let Some((relation, column)) = followed.pop() {
            let copies = catalogue
                .generated_from(relation, column)
                .chain(catalogue.inherited(relation, column));
            for (relative, column) in copies {
                if seen.insert((relative.oid, column)) {
                    cover.column(&relative.schema, &relative.name, column, false);
                    followed.push((relative, column));
                }
            }
        }
        if !named.is_empty() {
            for (table, columns) in SHOWS_VALUES {
                for column in columns {
                    cover.column("pg_catalog", table, column, false);
                }
            }
        }
        cover
    }

    /// A column, which is masked from now on.
    fn column(&mut self, schema: &str, table: &str, column: &str, lookup: bool) -> &mut Covered {
        let tables = self.tables.entry(schema.to_owned()).or_default();
        let columns = tables.entry(table.to_owned()).or_default();
        let covered = columns.entry(column.to_owned()).or_insert(Covered {
            named: None,
            lookup: true,
        });
        covered.lookup &= lookup;
        covered
    }

    fn columns(&self, schema: &str, table: &str) -> Option<&HashMap<String, Covered>> {
        self.tables.get(schema)?.get(table)
    }

    /// What there is to know of a column, if it is masked. `*` is whichever column of the table.
    pub(super) fn of(&self, schema: &str, table: &str, column: &str) -> Option<Covered> {
        let columns = self.columns(schema, table)?;
        match column {
            // It is not known which, so nothing is known but that.
            "*" => columns.values().next().map(|_| Covered {
                named: None,
                lookup: false,
            }),
            column => columns.get(column).copied(),
        }
    }

    /// What the scope lets through of a column.
    pub(super) fn cleared(&self, source: &Source) -> DetectedSet {
        self.cleared.get(source).copied().unwrap_or_default()
    }

    /// What there is to know of a source of a value, if it is masked.
    pub(super) fn of_source(&self, source: &Source) -> Option<Covered> {
        self.of(&source.schema, &source.table, &source.column)
    }
}

/// Whether an expression makes what stands in a column, in its table or another one of the family.
fn is_generated(column: &Source, catalogue: &Catalogue) -> bool {
    let mut left: Vec<_> = catalogue
        .relation(&column.schema, &column.table)
        .into_iter()
        .collect();
    let mut seen = HashSet::new();
    while let Some(relation) = left.pop() {
        let of = relation.columns.iter().find(|of| of.name == column.column);
        if of.is_some_and(|of| of.generated) {
            return true;
        }
        if seen.insert(relation.oid) {
            let family = catalogue.inherited(relation, &column.column);
            left.extend(family.map(|(relative, _)| relative));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Column, Relation, RelationKind};

    /// Masks these columns of `public`; `?` after a name allows lookups.
    struct Names(&'static [(&'static str, &'static str)]);

    impl Veil for Names {
        fn masked(&self) -> Vec<Masked> {
            let masked = |(table, column): &(&str, &str)| Masked {
                schema: "public".into(),
                table: (*table).into(),
                column: column.trim_end_matches('?').into(),
                lookup: column.ends_with('?'),
            };
            self.0.iter().map(masked).collect()
        }
        fn rewrite(&self, _: &[u8]) -> Option<(Vec<u8>, u64)> {
            None
        }
        fn placeholder(&self) -> &'static str {
            "[masked]"
        }
        fn has_placeholder(&self, _: &[u8]) -> bool {
            false
        }
    }

    /// `people` has the children `staff` and `guests`, `staff` the child `chiefs`, which is one of
    /// `rich` as well. `login` of each is generated from `email`, and `short` of `guests` from `login`.
    fn catalogue() -> Catalogue {
        let mut catalogue = Catalogue::new("app", "svc", ["public"]);
        let tables = [
            ("people", "email login id"),
            ("staff", "id email login"),
            ("guests", "login short email"),
            ("chiefs", "id email login wage"),
            ("rich", "wage"),
            ("others", "email login"),
        ];
        for ((name, columns), oid) in tables.into_iter().zip(1..) {
            catalogue.add(Relation {
                oid,
                schema: "public".into(),
                name: name.into(),
                kind: RelationKind::Table,
                columns: columns
                    .split(' ')
                    .zip(1..)
                    .map(|(name, number)| Column {
                        number,
                        name: name.into(),
                        type_oid: 25,
                        generated: false,
                    })
                    .collect(),
                definition: None,
            });
        }
        for (child, parent) in [(2, 1), (3, 1), (4, 2), (4, 5)] {
            catalogue.add_child(child, parent);
        }
        for (relation, column, of) in [(1, 2, 1), (2, 3, 2), (3, 1, 3), (4, 3, 2), (3, 2, 1)] {
            catalogue.add_generated(relation, column, of);
        }
        catalogue
    }

    fn masked(names: &'static [(&'static str, &'static str)]) -> Vec<String> {
        let cover = Cover::new(&Names(names), &catalogue());
        let mut all = Vec::new();
        for (schema, tables) in &cover.tables {
            if schema == "pg_catalog" {
                continue;
            }
            for (table, columns) in tables {
                all.extend(columns.iter().map(|(column, covered)| {
                    let named = if covered.named.is_some() { "!" } else { "" };
                    let lookup = if covered.lookup { "?" } else { "" };
                    format!("{table}.{column}{named}{lookup}")
                }));
            }
        }
        all.sort();
        all
    }

    #[test]
    fn copies_are_followed_up_down_and_across() {
        let family = |named: &str| {
            let all = [
                "chiefs.email",
                "chiefs.login",
                "guests.email",
                "guests.login",
                "guests.short",
                "people.email",
                "people.login",
                "staff.email",
                "staff.login",
            ];
            let mark = |name: &&str| match *name == named {
                true => format!("{name}!"),
                false => (*name).to_owned(),
            };
            all.iter().map(mark).collect::<Vec<_>>()
        };
        assert_eq!(masked(&[("people", "email")]), family("people.email"));
        assert_eq!(masked(&[("chiefs", "email")]), family("chiefs.email"));
        // What is generated says nothing of what else its source holds.
        assert_eq!(
            masked(&[("staff", "login")]),
            [
                "chiefs.login",
                "guests.login",
                "guests.short",
                "people.login",
                "staff.login!"
            ]
        );
        assert_eq!(masked(&[("guests", "short")]), ["guests.short!"]);
        assert_eq!(masked(&[("rich", "wage")]), ["chiefs.wage", "rich.wage!"]);
        assert_eq!(masked(&[("chiefs", "id")]).len(), 3);
    }

    #[test]
    fn what_the_catalogue_does_not_know_is_masked_all_the_same() {
        assert_eq!(masked(&[("later", "email")]), ["later.email!"]);
        let cover = Cover::new(&Names(&[("later", "email")]), &catalogue());
        assert!(
            cover
                .of("public", "later", "*")
                .is_some_and(|of| !of.lookup)
        );
        assert_eq!(cover.of("public", "others", "*"), None);
        assert!(
            cover
                .of("pg_catalog", "pg_stats", "most_common_vals")
                .is_some()
        );
        assert_eq!(cover.of("pg_catalog", "pg_stats", "n_distinct"), None);
        let nothing = Cover::new(&Names(&[]), &catalogue());
        assert_eq!(nothing.of("pg_catalog", "pg_stats", "*"), None);
        assert_eq!(cover.of("billing", "later", "email"), None);
    }

    #[test]
    fn a_lookup_is_allowed_where_everything_allows_it() {
        assert_eq!(
            masked(&[("staff", "login?")]),
            [
                "chiefs.login?",
                "guests.login?",
                "guests.short",
                "people.login?",
                "staff.login!?"
            ]
        );
        // What one of a family does not allow, none does.
        assert_eq!(
            masked(&[("rich", "wage?"), ("chiefs", "wage")]),
            ["chiefs.wage!", "rich.wage!"]
        );
        assert_eq!(masked(&[("rich", "wage?"), ("rich", "wage")]).len(), 2);
        let both = masked(&[("people", "email?"), ("people", "login?")]);
        assert!(both.contains(&"people.login!?".to_owned()), "{both:?}");
        assert!(both.contains(&"staff.email?".to_owned()), "{both:?}");
        // A generated column that only its source allows may say less than its source, or more.
        let source = masked(&[("people", "email?")]);
        assert!(source.contains(&"people.login".to_owned()), "{source:?}");
    }
}
