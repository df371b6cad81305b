//! What the classifier knows of the target: its relations, functions and operators, and where it looks
//! for a name without a schema. Plain data; the session reads it with
//! [`QUERIES`](super::QUERIES).

use std::collections::{BTreeMap, HashMap, HashSet};

use super::types::Types;

/// One row of an answer to one of [`QUERIES`](super::QUERIES).
pub type Row = Vec<Option<String>>;

/// An answer to [`QUERIES`](super::QUERIES) that is not one: the target is not what it says it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} of catalogue query {query} is not understood")]
pub struct BadRow {
    /// Which of the queries, from 0.
    pub query: usize,
    /// Which of its rows, from 0.
    pub row: usize,
}

/// A target's relations, functions, operators and search path, as they were when it was read. It has
/// to be read again when a definition may have changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    database: String,
    user: String,
    /// The session's own schema for temporary objects, once there is one.
    temporary: Option<String>,
    path: Vec<String>,
    relations: Vec<Relation>,
    column_names: HashSet<String>,
    by_oid: HashMap<u32, usize>,
    /// By schema, then name.
    by_name: HashMap<String, HashMap<String, usize>>,
    /// By name, then schema. Every overload counts.
    functions: HashMap<String, BTreeMap<String, Function>>,
    operators: HashMap<String, BTreeMap<String, Operator>>,
    /// The parents and children of a table, by object id.
    relatives: HashMap<u32, Vec<u32>>,
    /// The generated columns of a table: their own number, and that of one column they are made of.
    generated: HashMap<u32, Vec<(i16, i16)>>,
    types: Types,
}

/// What a relation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelationKind {
    /// A table, partitioned or not.
    Table,
    /// A view.
    View,
    /// A materialised view.
    Materialised,
    /// A foreign table.
    Foreign,
    /// A sequence.
    Sequence,
    /// A composite type: not to be read, but its fields have names.
    Composite,
}

/// A relation of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation {
    /// Its object id.
    pub oid: u32,
    /// The schema it lives in.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// Its columns in order, without dropped ones.
    pub columns: Vec<Column>,
    /// For a view that is not the system's: the query that defines it.
    pub definition: Option<String>,
}

/// A column of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its number, as the protocol's row description gives it.
    pub number: i16,
    /// Its name.
    pub name: String,
    /// The OID of its type.
    pub type_oid: u32,
    /// Whether it is generated from other columns, or from nothing.
    pub generated: bool,
}

impl Relation {
    /// The name of the column with this number, unless it is a system column, dropped, or newer than
    /// the catalogue.
    pub fn column_by_number(&self, number: i16) -> Option<&str> {
        self.columns
            .iter()
            .find(|column| column.number == number)
            .map(|column| &*column.name)
    }

    /// The number of the column with this name.
    fn number_of(&self, name: &str) -> Option<i16> {
        self.columns
            .iter()
            .find(|column| column.name == name)
            .map(|column| column.number)
    }
}

/// What a function may do, by its definition; the worst of all overloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// It depends on its arguments alone.
    Immutable,
    /// It reads.
    Stable,
    /// It may do anything.
    Volatile,
}

/// A function, procedure or aggregate that is not the system's own, all overloads together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// What it may do.
    pub volatility: Volatility,
    /// Whether it returns a set of rows.
    pub set: bool,
    /// Whether it is an extension's, or compiled code: made by someone who administers the target.
    pub installed: bool,
}

/// An operator that is not the system's own, all overloads together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// What its function may do.
    pub volatility: Volatility,
    /// As [`Function::installed`].
    pub installed: bool,
}

impl Catalogue {
    /// A catalogue of a database, with nothing in it yet but the path.
    pub fn new(
        database: impl Into<String>,
        user: impl Into<String>,
        path: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            database: database.into(),
            user: user.into(),
            path: path.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// The catalogue that answers to [`QUERIES`](super::QUERIES) describe, in their order.
    pub fn from_rows(answers: &[Vec<Row>]) -> Result<Self, BadRow> {
        let mut catalogue = Self::default();
        let mut built_columns: HashMap<u32, Vec<Column>> = HashMap::new();
        let [
            session,
            path,
            relations,
            columns,
            functions,
            operators,
            inherits,
            generated,
            types,
            made_by,
        ] = answers
        else {
            return Err(BadRow {
                query: answers.len(),
                row: 0,
            });
        };
        let bad = |query| move |row| BadRow { query, row };
        each(session, bad(0), |[database, user, temporary]| {
            catalogue.database = database?.to_owned();
            catalogue.user = user?.to_owned();
            catalogue.temporary = temporary.map(str::to_owned);
            Some(())
        })?;
        each(path, bad(1), |[schema]| {
            catalogue.path.push(schema?.to_owned());
            Some(())
        })?;
        each(
            columns,
            bad(3),
            |[oid, number, name, type_oid, generated]| {
                built_columns
                    .entry(oid?.parse().ok()?)
                    .or_default()
                    .push(Column {
                        number: number?.parse().ok()?,
                        name: name?.to_owned(),
                        type_oid: type_oid?.parse().ok()?,
                        generated: boolean(generated?)?,
                    });
                Some(())
            },
        )?;
        each(
            relations,
            bad(2),
            |[oid, schema, name, kind, definition]| {
                let oid = oid?.parse().ok()?;
                catalogue.add(Relation {
                    oid,
                    schema: schema?.to_owned(),
                    name: name?.to_owned(),
                    kind: relation_kind(kind?)?,
                    columns: built_columns.remove(&oid).unwrap_or_default(),
                    definition: definition.map(str::to_owned),
                });
                Some(())
            },
        )?;
        each(
            functions,
            bad(4),
            |[schema, name, volatility, language, set, extension]| {
                let function = Function {
                    volatility: self::volatility(volatility?)?,
                    set: boolean(set?)?,
                    installed: compiled(language?) || boolean(extension?)?,
                };
                catalogue.add_function(schema?, name?, function);
                Some(())
            },
        )?;
        each(
            operators,
            bad(5),
            |[schema, name, volatility, language, extension]| {
                let operator = Operator {
                    // An operator without a function yet is a shell that cannot be used.
                    volatility: volatility.map_or(Some(Volatility::Volatile), self::volatility)?,
                    installed: language.is_some_and(compiled) || boolean(extension?)?,
                };
                catalogue.add_operator(schema?, name?, operator);
                Some(())
            },
        )?;
        each(inherits, bad(6), |[child, parent]| {
            catalogue.add_child(child?.parse().ok()?, parent?.parse().ok()?);
            Some(())
        })?;
        each(generated, bad(7), |[relation, column, of]| {
            catalogue.add_generated(
                relation?.parse().ok()?,
                column?.parse().ok()?,
                of?.parse().ok()?,
            );
            Some(())
        })?;
        each(
            types,
            bad(8),
            |[oid, schema, name, base, element, relation]| {
                let part = |oid: Option<&str>| oid?.parse().ok();
                let parts = [part(base)?, part(element)?];
                catalogue.add_type(part(oid)?, schema?, name?, parts, part(relation)?);
                Some(())
            },
        )?;
        each(
            made_by,
            bad(9),
            |[oid, schema, name, function_schema, function]| {
                let oid = oid?.parse().ok()?;
                catalogue.add_made_by(oid, schema?, name?, (function_schema?, function?));
                Some(())
            },
        )?;
        Ok(catalogue)
    }

    /// Adds a relation; one of the same schema and name is replaced.
    pub fn add(&mut self, relation: Relation) {
        let at = self.relations.len();
        let columns = relation.columns.iter();
        self.column_names
            .extend(columns.map(|column| column.name.clone()));
        self.by_oid.insert(relation.oid, at);
        self.by_name
            .entry(relation.schema.clone())
            .or_default()
            .insert(relation.name.clone(), at);
        self.relations.push(relation);
    }

    /// Adds a function, or one more overload of it.
    pub fn add_function(&mut self, schema: &str, name: &str, function: Function) {
        self.functions
            .entry(name.to_owned())
            .or_default()
            .entry(schema.to_owned())
            .and_modify(|known| {
                known.volatility = known.volatility.max(function.volatility);
                known.set |= function.set;
                known.installed &= function.installed;
            })
            .or_insert(function);
    }

    /// Adds an operator, or one more overload of it.
    pub fn add_operator(&mut self, schema: &str, name: &str, operator: Operator) {
        self.operators
            .entry(name.to_owned())
            .or_default()
            .entry(schema.to_owned())
            .and_modify(|known| {
                known.volatility = known.volatility.max(operator.volatility);
                known.installed &= operator.installed;
            })
            .or_insert(operator);
    }

    /// Adds that a table is a partition or an inheritance child of another, both by object id.
    pub fn add_child(&mut self, child: u32, parent: u32) {
        self.relatives.entry(child).or_default().push(parent);
        self.relatives.entry(parent).or_default().push(child);
    }

    /// Adds that a column of a relation is generated from another of its columns, both by number.
    pub fn add_generated(&mut self, relation: u32, column: i16, of: i16) {
        let columns = self.generated.entry(relation).or_default();
        columns.push((column, of));
    }

    /// Adds a type that is not the system's own, with the object ids of what it is over or an array of,
    /// and of the relation whose columns it has; zero where there is none.
    pub fn add_type(&mut self, oid: u32, schema: &str, name: &str, over: [u32; 2], relation: u32) {
        self.types.add(oid, schema, name, over, relation);
    }

    /// Adds a function (its schema and name) that making a value of a type may call.
    pub fn add_made_by(&mut self, oid: u32, schema: &str, name: &str, function: (&str, &str)) {
        self.types.add_made_by(oid, schema, name, function);
    }

    /// The type that a type is a domain over, or itself.
    pub(super) fn base_type(&self, oid: u32) -> u32 {
        self.types.base(oid)
    }

    /// Every type that a name may mean.
    pub(super) fn visible_types(&self, name: &str) -> Vec<u32> {
        let on_path =
            |schema: &str| schema == "pg_catalog" || self.path.iter().any(|on| on == schema);
        self.types.named(name, on_path)
    }

    /// The type with exactly this name.
    pub(super) fn types_named(&self, schema: &str, name: &str) -> Vec<u32> {
        let schema = match schema {
            "pg_temp" => self.temporary_schema(),
            schema => schema,
        };
        self.types.named(name, |of| of == schema)
    }

    /// The functions that making a value of a type may call: its own, and those of its parts.
    pub(crate) fn made_by(&self, oid: u32) -> Vec<(&str, &str, Function)> {
        let columns = |relation| {
            let relation = self.relation_by_oid(relation).into_iter();
            let columns = relation.flat_map(|relation| &relation.columns);
            columns.map(|column| column.type_oid).collect()
        };
        let called = self.types.made_by(oid, columns).into_iter();
        let known = called.map(|(schema, name)| {
            // One that came in between the two answers may be anything.
            let unknown = Function {
                volatility: Volatility::Volatile,
                set: false,
                installed: false,
            };
            (schema, name, self.function(schema, name).unwrap_or(unknown))
        });
        // What an extension's own functions only compute is as good as the system's.
        known
            .filter(|(_, _, function)| {
                !(function.installed && function.volatility == Volatility::Immutable)
            })
            .collect()
    }

    /// The columns of the same name in the parents and children of a relation: a row of one is a row
    /// of the other.
    pub(crate) fn inherited<'a>(
        &'a self,
        relation: &Relation,
        column: &'a str,
    ) -> impl Iterator<Item = (&'a Relation, &'a str)> {
        let relatives = self.relatives.get(&relation.oid).into_iter().flatten();
        relatives
            .filter_map(|oid| self.relation_by_oid(*oid))
            .filter(move |relative| relative.number_of(column).is_some())
            .map(move |relative| (relative, column))
    }

    /// The columns of a relation that are generated from one of its columns.
    pub(crate) fn generated_from<'a>(
        &'a self,
        relation: &'a Relation,
        column: &str,
    ) -> impl Iterator<Item = (&'a Relation, &'a str)> {
        let number = relation.number_of(column);
        let generated = self.generated.get(&relation.oid).into_iter().flatten();
        generated
            .filter(move |(_, of)| Some(*of) == number)
            .filter_map(|(own, _)| relation.column_by_number(*own))
            .map(move |name| (relation, name))
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Whom the gateway is logged in as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether a name without a schema is looked for in the same places.
    pub(crate) fn is_placed_like(&self, other: &Self) -> bool {
        self.path == other.path && self.temporary == other.temporary
    }

    /// Every relation.
    pub(crate) fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.relations.iter()
    }

    /// The relation with this object id.
    pub fn relation_by_oid(&self, oid: u32) -> Option<&Relation> {
        self.relations.get(*self.by_oid.get(&oid)?)
    }

    /// The relation with exactly this name. `pg_temp` is the session's own.
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        let schema = match (schema, &self.temporary) {
            ("pg_temp", Some(temporary)) => temporary,
            (schema, _) => schema,
        };
        let at = self.by_name.get(schema)?.get(name)?;
        self.relations.get(*at)
    }

    /// The relation that a name without a schema means.
    pub fn visible_relation(&self, name: &str) -> Option<&Relation> {
        self.path
            .iter()
            .find_map(|schema| self.relation(schema, name))
    }

    /// Whether a temporary relation is in the way of another of its name.
    pub(super) fn hides(&self, relation: &Relation) -> bool {
        let temporary = |schema: &str| Some(schema) == self.temporary.as_deref();
        temporary(&relation.schema)
            && self
                .path
                .iter()
                .any(|schema| !temporary(schema) && self.relation(schema, &relation.name).is_some())
    }

    /// The schema in which a new object without one is made.
    pub(super) fn creation_schema(&self) -> Option<&str> {
        self.path
            .iter()
            .find(|schema| *schema != "pg_catalog" && Some(*schema) != self.temporary.as_ref())
            .map(|schema| &**schema)
    }

    /// The session's own name for temporary objects, as its relations have it.
    pub(super) fn temporary_schema(&self) -> &str {
        self.temporary.as_deref().unwrap_or("pg_temp")
    }

    /// The function with exactly this name.
    pub(crate) fn function(&self, schema: &str, name: &str) -> Option<Function> {
        self.functions.get(name)?.get(schema).copied()
    }

    /// Every function that a call without a schema may mean. Which one it is depends on the types of
    /// its arguments; functions of the temporary schema are never meant.
    pub(super) fn visible_functions<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = (&'a str, Function)> {
        self.functions
            .get(name)
            .into_iter()
            .flatten()
            .map(|(schema, function)| (&**schema, *function))
            .filter(|(schema, _)| {
                (self.path.iter().any(|on| on == schema) || *schema == "pg_catalog")
                    && Some(*schema) != self.temporary.as_deref()
            })
    }

    /// The operator with exactly this name.
    pub(super) fn operator(&self, schema: &str, name: &str) -> Option<Operator> {
        self.operators.get(name)?.get(schema).copied()
    }

    /// Every operator that a use without a schema may mean.
    pub(super) fn visible_operators<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = (&'a str, Operator)> {
        self.operators
            .get(name)
            .into_iter()
            .flatten()
            .map(|(schema, operator)| (&**schema, *operator))
            .filter(|(schema, _)| {
                self.path.iter().any(|on| on == schema) || *schema == "pg_catalog"
            })
    }

    /// Whether any relation or composite type has a column of this name.
    pub(super) fn is_column(&self, name: &str) -> bool {
        self.column_names.contains(name)
    }
}

/// Calls `take` with every row; all must have exactly the columns it wants, and be taken.
fn each<const N: usize>(
    rows: &[Row],
    bad: impl Fn(usize) -> BadRow,
    mut take: impl FnMut([Option<&str>; N]) -> Option<()>,
) -> Result<(), BadRow> {
    for (at, row) in rows.iter().enumerate() {
        let cells: Vec<_> = row.iter().map(Option::as_deref).collect();
        let cells = cells.try_into().map_err(|_| bad(at))?;
        take(cells).ok_or_else(|| bad(at))?;
    }
    Ok(())
}

fn relation_kind(kind: &str) -> Option<RelationKind> {
    Some(match kind {
        "r" | "p" => RelationKind::Table,
        "v" => RelationKind::View,
        "m" => RelationKind::Materialised,
        "f" => RelationKind::Foreign,
        "S" => RelationKind::Sequence,
        "c" => RelationKind::Composite,
        _ => return None,
    })
}

fn volatility(letter: &str) -> Option<Volatility> {
    Some(match letter {
        "i" => Volatility::Immutable,
        "s" => Volatility::Stable,
        "v" => Volatility::Volatile,
        _ => return None,
    })
}

/// A boolean as text: PostgreSQL casts to `true`, and shows `t`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "t" => Some(true),
        "false" | "f" => Some(false),
        _ => None,
    }
}

/// Only a superuser makes functions in these languages.
fn compiled(language: &str) -> bool {
    matches!(language, "internal" | "c")
}
