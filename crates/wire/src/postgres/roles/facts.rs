//! What a target has of what a task grants: the tables, their columns, functions and settings, by their
//! object ids, and who the gateway is there.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_action::{Class, Kind, Verb};

use super::quote::{array, literal};
use super::{cell, flag};
use crate::Granted;
use crate::sql::Row;

/// What a target says of itself and of what a task grants there.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// `server_version_num`.
    pub(super) version: u32,
    /// The database's name and object id.
    pub(super) database: String,
    pub(super) database_oid: u32,
    /// The gateway's own role.
    pub(super) user: String,
    /// Whether that may make roles.
    pub(super) makes_roles: bool,
    /// Whether that may do everything.
    pub(super) superuser: bool,
    pub(super) relations: Vec<Relation>,
    pub(super) routines: Vec<Routine>,
    /// By the table, the sequences that its defaults take numbers from: object id and name.
    pub(super) sequences: BTreeMap<u32, BTreeSet<(u32, String)>>,
    /// The settings that only a superuser sets.
    pub(super) settings: BTreeSet<String>,
}

/// A table, view or sequence.
#[derive(Clone, Debug)]
pub(super) struct Relation {
    pub(super) oid: u32,
    pub(super) schema_oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) is_sequence: bool,
    /// As the target itself writes it in a statement.
    pub(super) sql: String,
    /// Number and name; the system's own have numbers below zero.
    pub(super) columns: Vec<(i16, String)>,
}

/// A function, procedure or aggregate: one overload.
#[derive(Clone, Debug)]
pub(super) struct Routine {
    pub(super) oid: u32,
    pub(super) schema_oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    /// Whether it may change something.
    pub(super) volatile: bool,
    /// With the types of its arguments, as the target itself writes it in a statement.
    pub(super) sql: String,
}

/// How many results [`query`] has.
pub(super) const RESULTS: usize = 6;

/// Asks for them.
pub(super) fn query(grants: &[Granted]) -> String {
    let relations = among(grants, Kind::Table, "c.relname");
    let routines = among(grants, Kind::Function, "p.proname");
    let settings = grants.iter().filter(|grant| grant.kind == Kind::Setting);
    let settings = array(settings.filter_map(|grant| grant.name.as_deref()));
    let from_relations = format!(
        "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND ({relations})"
    );
    format!(
        "SELECT current_setting('server_version_num'), d.datname::text, d.oid::text, r.rolname::text, \
         (r.rolsuper OR r.rolcreaterole)::text, r.rolsuper::text \
         FROM pg_database d, pg_roles r \
         WHERE d.datname = current_database() AND r.rolname = current_user; \
         SELECT c.oid::text, n.oid::text, n.nspname::text, c.relname::text, (c.relkind = 'S')::text, \
         c.oid::regclass::text {from_relations}; \
         SELECT a.attrelid::oid::text, a.attnum::text, a.attname::text FROM pg_attribute a \
         WHERE NOT a.attisdropped AND a.attrelid IN (SELECT c.oid {from_relations}); \
         SELECT p.oid::text, n.oid::text, n.nspname::text, p.proname::text, \
         (p.provolatile = 'v')::text, p.oid::regprocedure::text \
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {routines}; \
         SELECT DISTINCT d.adrelid::oid::text, s.oid::text, s.oid::regclass::text \
         FROM pg_attrdef d JOIN pg_depend x ON x.classid = 'pg_attrdef'::regclass AND x.objid = d.oid \
         AND x.refclassid = 'pg_class'::regclass \
         JOIN pg_class s ON s.oid = x.refobjid AND s.relkind = 'S' \
         WHERE d.adrelid IN (SELECT c.oid {from_relations}); \
         SELECT lower(name) FROM pg_settings WHERE lower(name) = ANY ({settings}) \
         AND context IN ('superuser', 'superuser-backend')"
    )
}

/// The condition under which something is what grants name: in a schema of which everything is
/// granted, or one of those that are granted by name.
fn among(grants: &[Granted], kind: Kind, name: &str) -> String {
    let of_kind = || grants.iter().filter(|grant| grant.kind == kind);
    let whole = of_kind().filter(|grant| grant.name.is_none());
    let whole: BTreeSet<&str> = whole.filter_map(|grant| grant.schema.as_deref()).collect();
    let named: BTreeSet<(&str, &str)> = of_kind()
        .filter_map(|grant| Some((grant.schema.as_deref()?, grant.name.as_deref()?)))
        .collect();
    let mut any = vec![format!("n.nspname::text = ANY ({})", array(whole))];
    if !named.is_empty() {
        let pairs: Vec<_> = named
            .iter()
            .map(|(schema, name)| format!("({}, {})", literal(schema), literal(name)))
            .collect();
        any.push(format!(
            "(n.nspname::text, {name}::text) IN ({})",
            pairs.join(", ")
        ));
    }
    any.join(" OR ")
}

impl Facts {
    /// What the answer to [`query`] says; nothing if it is not one.
    pub(super) fn read(results: &[Vec<Row>]) -> Option<Self> {
        let [session, relations, columns, routines, sequences, settings] = results else {
            return None;
        };
        let [session] = session.as_slice() else {
            return None;
        };
        let mut facts = Self {
            version: cell(session, 0)?.parse().ok()?,
            database: cell(session, 1)?.to_owned(),
            database_oid: cell(session, 2)?.parse().ok()?,
            user: cell(session, 3)?.to_owned(),
            makes_roles: flag(session, 4)?,
            superuser: flag(session, 5)?,
            ..Self::default()
        };
        let mut of: BTreeMap<u32, Vec<(i16, String)>> = BTreeMap::new();
        for row in columns {
            let column = (cell(row, 1)?.parse().ok()?, cell(row, 2)?.to_owned());
            of.entry(cell(row, 0)?.parse().ok()?)
                .or_default()
                .push(column);
        }
        for row in relations {
            let oid = cell(row, 0)?.parse().ok()?;
            facts.relations.push(Relation {
                oid,
                schema_oid: cell(row, 1)?.parse().ok()?,
                schema: cell(row, 2)?.to_owned(),
                name: cell(row, 3)?.to_owned(),
                is_sequence: flag(row, 4)?,
                sql: cell(row, 5)?.to_owned(),
                columns: of.remove(&oid).unwrap_or_default(),
            });
        }
        for row in routines {
            facts.routines.push(routine(row)?);
        }
        for row in sequences {
            let sequence = (cell(row, 1)?.parse().ok()?, cell(row, 2)?.to_owned());
            let table = cell(row, 0)?.parse().ok()?;
            facts.sequences.entry(table).or_default().insert(sequence);
        }
        for row in settings {
            facts.settings.insert(cell(row, 0)?.to_owned());
        }
        Some(facts)
    }

    /// The relations that a grant covers.
    pub(super) fn relations_of<'f>(
        &'f self,
        grant: &'f Granted,
    ) -> impl Iterator<Item = &'f Relation> {
        self.relations.iter().filter(|relation| {
            grant.kind == Kind::Table && covers(grant, &relation.schema, &relation.name)
        })
    }

    /// The class in which a call of a function is decided, as the classifier does it: by the wildest of
    /// its overloads. What the system's own do is known otherwise, and then the grant's class counts.
    pub(super) fn class(&self, routine: &Routine, granted: Class) -> Class {
        let same =
            |other: &&Routine| (&other.schema, &other.name) == (&routine.schema, &routine.name);
        let mut overloads = self.routines.iter().filter(same);
        match &*routine.schema {
            "pg_catalog" => granted,
            _ if overloads.any(|overload| overload.volatile) => Class::Write,
            _ => Class::Read,
        }
    }

    /// The functions that a grant covers.
    pub(super) fn routines_of<'f>(
        &'f self,
        grant: &'f Granted,
    ) -> impl Iterator<Item = &'f Routine> {
        self.routines.iter().filter(|routine| {
            (grant.kind, grant.verb) == (Kind::Function, Verb::Execute)
                && covers(grant, &routine.schema, &routine.name)
        })
    }
}

fn routine(row: &Row) -> Option<Routine> {
    Some(Routine {
        oid: cell(row, 0)?.parse().ok()?,
        schema_oid: cell(row, 1)?.parse().ok()?,
        schema: cell(row, 2)?.to_owned(),
        name: cell(row, 3)?.to_owned(),
        volatile: flag(row, 4)?,
        sql: cell(row, 5)?.to_owned(),
    })
}

fn covers(grant: &Granted, schema: &str, name: &str) -> bool {
    grant.schema.as_deref() == Some(schema) && grant.name.as_deref().is_none_or(|only| only == name)
}
