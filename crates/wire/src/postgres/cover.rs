//! Which columns a session masks: those that the scope names, and every copy of one that the target's
//! catalogue knows. What is made of a column within a statement is told by lineage; this is about what
//! the target itself makes: a row of a partition or an inheritance child is a row of its parent too, and
//! a generated column shows what it is made of.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::Veil;
use crate::sql::{Catalogue, Source};

/// Every masked column, by schema and table.
#[derive(Clone, Debug, Default)]
pub(super) struct Cover {
    tables: HashMap<String, HashMap<String, HashMap<String, Why>>>,
}

/// Why a column is masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The scope names it, and the scope's own rule looks after its use.
    Named,
    /// It is a copy of one that the scope names, of which the scope's rule knows nothing.
    Copy,
}

impl Cover {
    /// What a veil masks on a target with this catalogue.
    pub(super) fn new(veil: &dyn Veil, catalogue: &Catalogue) -> Self {
        let mut cover = Self::default();
        let mut seen: HashSet<(u32, &str)> = HashSet::new();
        let mut left = Vec::new();
        let named: BTreeSet<_> = veil.masked().into_iter().collect();
        for column in &named {
            cover.add(&column.schema, &column.table, &column.column, Why::Named);
            if let Some(relation) = catalogue.relation(&column.schema, &column.table) {
                left.push((relation, &*column.column));
            }
        }
        while let Some((relation, column)) = left.pop() {
            if !seen.insert((relation.oid, column)) {
                continue;
            }
            cover.add(&relation.schema, &relation.name, column, Why::Copy);
            left.extend(catalogue.inherited(relation, column));
            left.extend(catalogue.generated_from(relation, column));
        }
        cover
    }

    fn add(&mut self, schema: &str, table: &str, column: &str, why: Why) {
        let tables = self.tables.entry(schema.to_owned()).or_default();
        let columns = tables.entry(table.to_owned()).or_default();
        columns.entry(column.to_owned()).or_insert(why);
    }

    fn columns(&self, schema: &str, table: &str) -> Option<&HashMap<String, Why>> {
        self.tables.get(schema)?.get(table)
    }

    /// Whether a column is masked, and why. `*` is whichever column of the table.
    pub(super) fn of(&self, schema: &str, table: &str, column: &str) -> Option<Why> {
        let columns = self.columns(schema, table)?;
        match column {
            "*" => columns.values().next().copied(),
            column => columns.get(column).copied(),
        }
    }

    /// The same for a source of a value.
    pub(super) fn of_source(&self, source: &Source) -> Option<Why> {
        self.of(&source.schema, &source.table, &source.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Masked;
    use crate::sql::{Column, Relation, RelationKind};

    /// Masks these columns of `public`.
    struct Names(&'static [(&'static str, &'static str)]);

    impl Veil for Names {
        fn masked(&self) -> Vec<Masked> {
            let masked = |(table, column): &(&str, &str)| Masked {
                schema: "public".into(),
                table: (*table).into(),
                column: (*column).into(),
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
            assert_eq!(schema, "public");
            for (table, columns) in tables {
                all.extend(columns.iter().map(|(column, why)| match why {
                    Why::Named => format!("{table}.{column}!"),
                    Why::Copy => format!("{table}.{column}"),
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
        assert_eq!(cover.of("public", "later", "*"), Some(Why::Named));
        assert_eq!(cover.of("public", "others", "*"), None);
        assert_eq!(cover.of("billing", "later", "email"), None);
    }
}
