//! What a template holds, and whether that is what it should.

use std::collections::BTreeSet;

use super::quote::literal;
use super::rights::{On, Right, Rights};
use super::{cell, flag};
use crate::sql::Row;

/// A template as it is, beside what it should be.
#[derive(Debug, Default)]
pub(super) struct Holdings<'r> {
    /// Whether it is there at all.
    pub(super) exists: bool,
    /// What it has not, and the gateway's own role may give it.
    pub(super) missing: BTreeSet<&'r Right>,
    /// What it has not, and the gateway's own role may not give it either.
    pub(super) lacking: BTreeSet<&'r Right>,
    /// What it has, and should not; in words.
    pub(super) excess: BTreeSet<String>,
}

/// Asks what a template holds, and what the gateway's own role could give it.
pub(super) fn query(template: &str, rights: &Rights) -> String {
    let name = literal(template);
    let rows: Vec<_> = rights.all().iter().zip(0..).map(row).collect();
    format!(
        "SELECT (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication \
         OR rolbypassrls)::text, \
         EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = r.oid)::text \
         FROM pg_roles r WHERE rolname = {name}; \
         SELECT w.place::text, {has}, {may_give} FROM (VALUES {rows}) \
         AS w(place, kind, o, number, setting, what), \
         (SELECT COALESCE((SELECT rolname FROM pg_roles WHERE rolname = {name}), 'public'::name) \
         AS who) AS template; \
         {held}",
        rows = rows.join(", "),
        has = has("template.who", ""),
        may_give = has("current_user", " || ' WITH GRANT OPTION'"),
        held = held(template),
    )
}

fn row((right, place): (&Right, usize)) -> String {
    right.row(place)
}

/// Whether somebody has a right, also by being one of everybody.
fn has(who: &str, option: &str) -> String {
    format!(
        "(CASE w.kind WHEN 'd' THEN has_database_privilege({who}, w.o, w.what{option}) \
         WHEN 'n' THEN has_schema_privilege({who}, w.o, w.what{option}) \
         WHEN 't' THEN has_table_privilege({who}, w.o, w.what{option}) \
         WHEN 'c' THEN has_column_privilege({who}, w.o, w.number, w.what{option}) \
         WHEN 's' THEN has_sequence_privilege({who}, w.o, w.what{option}) \
         WHEN 'f' THEN has_function_privilege({who}, w.o, w.what{option}) \
         WHEN 'p' THEN has_parameter_privilege({who}, w.setting, w.what{option}) END)::text"
    )
}

/// A kind of thing that rights are given on, as SQL: its sign in [`given`], where it is, its rights, the
/// number of its column, its name if it has no object id, and how a statement names its column and it.
const KINDS: [[&str; 7]; 6] = [
    [
        "CASE pg_class.relkind WHEN 'S' THEN 's' ELSE 't' END",
        "pg_class ON d.classid = 'pg_class'::regclass AND pg_class.oid = d.objid AND d.objsubid = 0",
        "pg_class.relacl",
        "'0'",
        "''",
        "''",
        "CASE pg_class.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || pg_class.oid::regclass::text",
    ],
    [
        "'c'",
        "pg_attribute ON d.classid = 'pg_class'::regclass AND pg_attribute.attrelid = d.objid \
         AND pg_attribute.attnum = d.objsubid AND d.objsubid <> 0",
        "pg_attribute.attacl",
        "pg_attribute.attnum::text",
        "''",
        "format(' (%I)', pg_attribute.attname)",
        "'TABLE ' || pg_attribute.attrelid::regclass::text",
    ],
    [
        "'f'",
        "pg_proc ON d.classid = 'pg_proc'::regclass AND pg_proc.oid = d.objid",
        "pg_proc.proacl",
        "'0'",
        "''",
        "''",
        "'ROUTINE ' || pg_proc.oid::regprocedure::text",
    ],
    [
        "'n'",
        "pg_namespace ON d.classid = 'pg_namespace'::regclass AND pg_namespace.oid = d.objid",
        "pg_namespace.nspacl",
        "'0'",
        "''",
        "''",
        "format('SCHEMA %I', pg_namespace.nspname)",
    ],
    [
        "'d'",
        "pg_database ON d.classid = 'pg_database'::regclass AND pg_database.oid = d.objid",
        "pg_database.datacl",
        "'0'",
        "''",
        "''",
        "format('DATABASE %I', pg_database.datname)",
    ],
    [
        "'p'",
        "pg_parameter_acl ON d.classid = 'pg_parameter_acl'::regclass \
         AND pg_parameter_acl.oid = d.objid",
        "pg_parameter_acl.paracl",
        "'0'",
        "pg_parameter_acl.parname",
        "''",
        "'PARAMETER ' || pg_parameter_acl.parname",
    ],
];

/// Asks for everything that was given to a template itself, each with the statement that takes it away
/// again. Of what is of no kind that the gateway gives there is only the place.
pub(super) fn held(template: &str) -> String {
    let name = literal(template);
    let kinds = KINDS.map(|[sign, from, acl, number, setting, column, on]| {
        format!(
            "SELECT {sign}, d.objid::text, {number}, {setting}, a.privilege_type, \
             a.is_grantable::text, \
             format('REVOKE %s%s ON %s FROM %I', a.privilege_type, {column}, {on}, {name}::text) \
             FROM d JOIN {from} CROSS JOIN aclexplode({acl}) a WHERE a.grantee = d.refobjid \
             UNION ALL "
        )
    });
    format!(
        "WITH d AS (SELECT * FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass \
         AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = {name}) \
         AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))) \
         {} \
         SELECT 'x', d.objid::text, '0', d.classid::regclass::text, d.deptype::text, 'false', '' \
         FROM d WHERE d.deptype <> 'a' OR d.classid::regclass <> ALL (ARRAY['pg_class', 'pg_proc', \
         'pg_namespace', 'pg_database', 'pg_parameter_acl']::regclass[])",
        kinds.concat()
    )
}

impl<'r> Holdings<'r> {
    /// What the answer to [`query`] says; nothing if it is not one.
    pub(super) fn read(results: &[Vec<Row>], rights: &'r Rights) -> Option<Self> {
        let [role, wanted, held] = results else {
            return None;
        };
        let mut holdings = Self {
            exists: !role.is_empty(),
            ..Self::default()
        };
        for row in role {
            if flag(row, 0)? {
                holdings
                    .excess
                    .insert("it may log in, or has another right of its own".into());
            }
            if flag(row, 1)? {
                holdings
                    .excess
                    .insert("it is a member of another role".into());
            }
        }
        let rights: Vec<&Right> = rights.all().iter().collect();
        if wanted.len() != rights.len() {
            return None;
        }
        for row in wanted {
            let right = *rights.get(cell(row, 0)?.parse::<usize>().ok()?)?;
            match (flag(row, 1)?, flag(row, 2)?) {
                (true, _) => {}
                (false, true) => drop(holdings.missing.insert(right)),
                (false, false) => drop(holdings.lacking.insert(right)),
            }
        }
        for row in held {
            let given = given(row)?;
            let fine = given.as_ref().is_some_and(|(on, what, grantable)| {
                let same = |right: &&Right| right.on == *on && right.what == what;
                !grantable && rights.iter().any(same)
            });
            if !fine {
                let undo = match cell(row, 6)? {
                    "" => format!("something of {}", cell(row, 3)?),
                    undo => undo.to_owned(),
                };
                holdings.excess.insert(undo);
            }
        }
        Some(holdings)
    }
}

/// One right that was given: on what, what, and whether it may be passed on. The inner nothing is of
/// no kind that the gateway gives.
#[expect(
    clippy::option_option,
    reason = "not an answer, and an answer that fits nothing"
)]
fn given(row: &Row) -> Option<Option<(On, String, bool)>> {
    let oid = cell(row, 1)?.parse().ok()?;
    let on = match cell(row, 0)? {
        "d" => On::Database(oid),
        "n" => On::Schema(oid),
        "t" => On::Table(oid),
        "c" => On::Column(oid, cell(row, 2)?.parse().ok()?),
        "s" => On::Sequence(oid),
        "f" => On::Routine(oid),
        "p" => On::Setting(cell(row, 3)?.to_owned()),
        _ => return Some(None),
    };
    Some(Some((on, cell(row, 4)?.to_owned(), flag(row, 5)?)))
}
