//! What the classifier knows of the target: its relations, functions and operators, and where it looks
//! for a name without a schema. Plain data; the session reads it with [`QUERIES`].

use std::collections::{BTreeMap, HashMap, HashSet};

/// Reads a target's catalogue: each is one statement for the simple protocol, and every column it
/// returns is text. They qualify every name and operator, because the search path may hold others of
/// the same name. One row is one fact; nothing has to be taken apart, whatever an object is called.
pub const QUERIES: [&str; 6] = [
    // The session.
    "SELECT pg_catalog.current_database()::pg_catalog.text, \
            CURRENT_USER::pg_catalog.text, \
            (SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace n \
              WHERE n.oid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())",
    // Where names are looked for, in order, with the implicit schemas.
    "SELECT s.name::pg_catalog.text \
       FROM pg_catalog.unnest(pg_catalog.current_schemas(true)) WITH ORDINALITY AS s(name, place) \
      ORDER BY s.place USING OPERATOR(pg_catalog.<)",
    // Relations. Views of the system are read like tables: what they show is the system's.
    "SELECT c.oid::pg_catalog.text, n.nspname::pg_catalog.text, c.relname::pg_catalog.text, \
            c.relkind::pg_catalog.text, \
            CASE WHEN c.relkind OPERATOR(pg_catalog.=) ANY \
                      ('{v,m}'::pg_catalog.\"char\"[]) \
                  AND n.nspname OPERATOR(pg_catalog.<>) ALL \
                      ('{pg_catalog,information_schema}'::pg_catalog.name[]) \
                 THEN pg_catalog.pg_get_viewdef(c.oid) END \
       FROM pg_catalog.pg_class c \
       JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
      WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S,c}'::pg_catalog.\"char\"[])",
    // Their columns.
    "SELECT a.attrelid::pg_catalog.oid::pg_catalog.text, a.attnum::pg_catalog.text, \
            a.attname::pg_catalog.text \
       FROM pg_catalog.pg_attribute a \
       JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) a.attrelid \
      WHERE a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped \
        AND c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f,S,c}'::pg_catalog.\"char\"[]) \
      ORDER BY a.attrelid USING OPERATOR(pg_catalog.<), a.attnum USING OPERATOR(pg_catalog.<)",
    // Functions that are not the system's own.
    "SELECT n.nspname::pg_catalog.text, p.proname::pg_catalog.text, \
            p.provolatile::pg_catalog.text, l.lanname::pg_catalog.text, \
            p.proretset::pg_catalog.text, \
            EXISTS (SELECT 1 FROM pg_catalog.pg_depend d \
                     WHERE d.classid OPERATOR(pg_catalog.=) \
                           'pg_catalog.pg_proc'::pg_catalog.regclass::pg_catalog.oid \
                       AND d.objid OPERATOR(pg_catalog.=) p.oid \
                       AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog.\"char\" \
                   )::pg_catalog.text \
       FROM pg_catalog.pg_proc p \
       JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) p.pronamespace \
       JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang \
      WHERE n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.name \
         OR p.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid",
    // Operators that are not the system's own.
    "SELECT n.nspname::pg_catalog.text, o.oprname::pg_catalog.text, \
            p.provolatile::pg_catalog.text, l.lanname::pg_catalog.text, \
            EXISTS (SELECT 1 FROM pg_catalog.pg_depend d \
                     WHERE d.classid OPERATOR(pg_catalog.=) \
                           'pg_catalog.pg_operator'::pg_catalog.regclass::pg_catalog.oid \
                       AND d.objid OPERATOR(pg_catalog.=) o.oid \
                       AND d.deptype OPERATOR(pg_catalog.=) 'e'::pg_catalog.\"char\" \
                   )::pg_catalog.text \
       FROM pg_catalog.pg_operator o \
       JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) o.oprnamespace \
       LEFT JOIN pg_catalog.pg_proc p \
         ON p.oid OPERATOR(pg_catalog.=) o.oprcode::pg_catalog.oid \
       LEFT JOIN pg_catalog.pg_language l ON l.oid OPERATOR(pg_catalog.=) p.prolang \
      WHERE n.nspname OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.name \
         OR o.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid",
];

/// One row of an answer to one of [`QUERIES`].
pub type Row = Vec<Option<String>>;

/// An answer to [`QUERIES`] that is not one: the target is not what it says it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} of catalogue query {query} is not understood")]
pub struct BadRow {
    /// Which of [`QUERIES`], from 0.
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

    /// The catalogue that answers to [`QUERIES`] describe, in their order.
    pub fn from_rows(answers: &[Vec<Row>]) -> Result<Self, BadRow> {
        let mut catalogue = Self::default();
        let mut built_columns: HashMap<u32, Vec<Column>> = HashMap::new();
        let [session, path, relations, columns, functions, operators] = answers else {
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
        each(columns, bad(3), |[oid, number, name]| {
            built_columns
                .entry(oid?.parse().ok()?)
                .or_default()
                .push(Column {
                    number: number?.parse().ok()?,
                    name: name?.to_owned(),
                });
            Some(())
        })?;
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

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Whom the gateway is logged in as.
    pub fn user(&self) -> &str {
        &self.user
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
