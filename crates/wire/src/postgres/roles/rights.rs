//! What a task's runs need of the target's own privileges, and no more: each privilege is asked of the
//! run's scope before it is one.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_action::{Action, Kind, Resource, Verb};
use sha2::{Digest, Sha256};

use super::TEMPLATE;
use super::facts::{Facts, Relation};
use super::quote::{identifier, literal};
use crate::limits::PRIVILEGES_MAX;
use crate::{Fence, Granted};

/// The oldest server whose privileges are known here, as `server_version_num`.
const VERSION_MIN: u32 = 150_000;

/// Something that a privilege is on, by its object id: a name may come to stand for something else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum On {
    Database(u32),
    Schema(u32),
    Table(u32),
    Column(u32, i16),
    Sequence(u32),
    Routine(u32),
    Setting(String),
}

/// One privilege.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    pub(super) on: On,
    pub(super) what: &'static str,
}

/// Everything that a task's runs need, with the names to write it by.
#[derive(Clone, Debug, Default)]
pub(super) struct Rights {
    all: BTreeSet<Right>,
    names: BTreeMap<On, String>,
}

/// What the target's own privileges cannot hold a run to.
pub(in crate::postgres) fn beyond(grants: &[Granted]) -> Vec<String> {
    let mut beyond = BTreeSet::new();
    for grant in grants {
        let why = match (grant.verb, grant.kind) {
            (
                Verb::Select | Verb::Insert | Verb::Update | Verb::Delete | Verb::Truncate,
                Kind::Table,
            )
            | (Verb::Execute, Kind::Function)
            | (Verb::Set, Kind::Setting)
            | (Verb::Session, _) => continue,
            (Verb::Lock, Kind::Table) if grants.iter().any(|other| updates(other, grant)) => {
                continue;
            }
            (Verb::Lock, _) => "PostgreSQL lets only those lock rows who may update them",
            (Verb::Set, _) => "a run has one role, its own",
            (Verb::Create, _) => "what a run made would belong to a role that ends with it",
            _ => "PostgreSQL leaves that to owners and administrators",
        };
        beyond.insert(format!("{} on {}: {why}", grant.verb, described(grant)));
    }
    beyond.into_iter().collect()
}

/// Whether a grant lets update what the other lets lock.
fn updates(grant: &Granted, lock: &Granted) -> bool {
    (grant.verb, grant.kind) == (Verb::Update, Kind::Table)
        && grant.schema == lock.schema
        && (grant.name.is_none() || grant.name == lock.name)
}

fn described(grant: &Granted) -> String {
    let name = grant.name.as_deref().unwrap_or("*");
    let kind = match grant.kind {
        Kind::Table => "",
        kind => kind.as_str(),
    };
    match &grant.schema {
        Some(schema) => format!("{kind} {schema}.{name}").trim_start().to_owned(),
        None => format!("{kind} {name}").trim_start().to_owned(),
    }
}

impl Rights {
    /// Works them out. The error is for whoever runs the gateway.
    pub(super) fn new(fence: &dyn Fence, facts: &Facts) -> Result<Self, String> {
        if facts.version < VERSION_MIN {
            return Err("credentials = \"per-run\" takes PostgreSQL 15 or newer".into());
        }
        let mut rights = Self::default();
        let database = On::Database(facts.database_oid);
        rights.add(database, "CONNECT", &identifier(&facts.database));
        for grant in &fence.grants() {
            for relation in facts.relations_of(grant) {
                rights.relation(fence, facts, grant, relation);
            }
            for routine in facts.routines_of(grant) {
                let resource = Resource::function(&*routine.schema, &*routine.name);
                let class = facts.class(routine, grant.class);
                if fence.allows(&Action::execute(class, resource)) {
                    rights.add(On::Routine(routine.oid), "EXECUTE", &routine.sql);
                    rights.schema(routine.schema_oid, &routine.schema);
                }
            }
            if let (Verb::Set, Kind::Setting, Some(name)) = (grant.verb, grant.kind, &grant.name)
                && facts.settings.contains(name)
                && fence.allows(&Action::new(
                    Verb::Set,
                    Resource::named(Kind::Setting, &**name),
                ))
            {
                rights.add(On::Setting(name.clone()), "SET", name);
            }
            if rights.all.len() > PRIVILEGES_MAX {
                return Err(format!(
                    "the task comes to more than {PRIVILEGES_MAX} privileges; name fewer tables \
                     and columns in it, or whole tables"
                ));
            }
        }
        rights.whole_tables();
        Ok(rights)
    }

    /// What a verb on a relation takes, as far as the scope allows it: on all of it, or column by
    /// column.
    fn relation(&mut self, fence: &dyn Fence, facts: &Facts, grant: &Granted, relation: &Relation) {
        let Some(what) = privilege(grant.verb) else {
            return;
        };
        let action = |columns: &[&str]| {
            let resource = Resource::table(&*relation.schema, &*relation.name);
            Action::new(grant.verb, resource).with_columns(columns.iter().copied())
        };
        let own = || relation.columns.iter().filter(|(number, _)| *number > 0);
        let all: Vec<&str> = own().map(|(_, name)| &**name).collect();
        let before = self.all.len();
        if relation.is_sequence {
            if matches!(what, "SELECT" | "UPDATE") && fence.allows(&action(&all)) {
                self.add(On::Sequence(relation.oid), what, &relation.sql);
            }
        } else if grant.columns.is_none() && fence.allows(&action(&all)) {
            self.add(On::Table(relation.oid), what, &relation.sql);
        } else if matches!(what, "SELECT" | "INSERT" | "UPDATE") {
            for (number, name) in &relation.columns {
                let listed = match &grant.columns {
                    Some(columns) => columns.contains(name),
                    None => *number > 0,
                };
                if listed && fence.allows(&action(&[name])) {
                    let on = On::Column(relation.oid, *number);
                    self.names.insert(on.clone(), name.clone());
                    self.names
                        .insert(On::Table(relation.oid), relation.sql.clone());
                    self.all.insert(Right { on, what });
                }
            }
        }
        if self.all.len() == before {
            return;
        }
        self.schema(relation.schema_oid, &relation.schema);
        if what == "INSERT" {
            // A default that takes the next number takes it with the rights of who inserts.
            for (oid, sql) in facts.sequences.get(&relation.oid).into_iter().flatten() {
                self.add(On::Sequence(*oid), "USAGE", sql);
            }
        }
    }

    fn schema(&mut self, oid: u32, name: &str) {
        self.add(On::Schema(oid), "USAGE", &identifier(name));
    }

    fn add(&mut self, on: On, what: &'static str, sql: &str) {
        self.names.insert(on.clone(), sql.to_owned());
        self.all.insert(Right { on, what });
    }

    /// A privilege on a table is one on each of its columns.
    fn whole_tables(&mut self) {
        let whole: BTreeSet<_> = self.all.iter().cloned().collect();
        self.all.retain(|right| match right.on {
            On::Column(table, _) => !whole.contains(&Right {
                on: On::Table(table),
                what: right.what,
            }),
            _ => true,
        });
    }

    /// All of them.
    pub(super) fn all(&self) -> &BTreeSet<Right> {
        &self.all
    }

    /// The name of what holds them: a digest of all that it is for. What it holds never changes, so
    /// that a run's login cannot come to more, or less, while it lasts.
    pub(super) fn template(&self, gateway: &str, task: &str, facts: &Facts) -> String {
        let mut digest = Sha256::new();
        let mut part = |text: &str| {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        };
        for text in [gateway, task, &facts.user, &facts.database] {
            part(text);
        }
        for right in &self.all {
            part(&format!("{right:?}"));
        }
        let digest = digest.finalize();
        let hex = digest.iter().take(16).map(|byte| format!("{byte:02x}"));
        format!("{TEMPLATE}{}", hex.collect::<String>())
    }

    /// Statements that give these rights to a role; the columns of a table in one.
    pub(super) fn grant(&self, rights: &BTreeSet<&Right>, to: &str, more: &str) -> Vec<String> {
        let mut statements = Vec::new();
        let mut columns: BTreeMap<(u32, &str), Vec<String>> = BTreeMap::new();
        for right in rights {
            let name = self.names.get(&right.on).map_or("", String::as_str);
            if let On::Column(table, _) = right.on {
                let listed = columns.entry((table, right.what)).or_default();
                listed.push(identifier(name));
                continue;
            }
            let on = match &right.on {
                On::Database(_) => "DATABASE",
                On::Schema(_) => "SCHEMA",
                On::Table(_) | On::Column(..) => "TABLE",
                On::Sequence(_) => "SEQUENCE",
                On::Routine(_) => "ROUTINE",
                On::Setting(_) => "PARAMETER",
            };
            statements.push(format!(
                "GRANT {} ON {on} {name} TO {}{more}",
                right.what,
                identifier(to)
            ));
        }
        for ((table, what), columns) in columns {
            let name = self.names.get(&On::Table(table)).map_or("", String::as_str);
            statements.push(format!(
                "GRANT {what} ({}) ON TABLE {name} TO {}{more}",
                columns.join(", "),
                identifier(to)
            ));
        }
        statements
    }
}

/// The privilege that a verb on a table takes.
fn privilege(verb: Verb) -> Option<&'static str> {
    Some(match verb {
        Verb::Select => "SELECT",
        Verb::Insert => "INSERT",
        Verb::Update => "UPDATE",
        Verb::Delete => "DELETE",
        Verb::Truncate => "TRUNCATE",
        _ => return None,
    })
}

impl Right {
    /// Asks whether a role has it, and whether the gateway's own may pass it on; `place` comes back
    /// with the answer.
    pub(super) fn row(&self, place: usize) -> String {
        let (kind, oid, column, setting) = match &self.on {
            On::Database(oid) => ('d', *oid, 0, ""),
            On::Schema(oid) => ('n', *oid, 0, ""),
            On::Table(oid) => ('t', *oid, 0, ""),
            On::Column(oid, number) => ('c', *oid, *number, ""),
            On::Sequence(oid) => ('s', *oid, 0, ""),
            On::Routine(oid) => ('f', *oid, 0, ""),
            On::Setting(name) => ('p', 0, 0, &**name),
        };
        format!(
            "({place}, '{kind}', {oid}::oid, ({column})::int2, {}, {})",
            literal(setting),
            literal(self.what)
        )
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_action::Class;

    use super::*;
    use crate::postgres::roles::facts::Routine;

    /// Grants everything that it is given, but the column `secret`, and functions that write.
    struct Lenient(Vec<Granted>);

    impl Fence for Lenient {
        fn task(&self) -> &str {
            "t"
        }
        fn grants(&self) -> Vec<Granted> {
            self.0.clone()
        }
        fn allows(&self, action: &Action) -> bool {
            !action.columns.contains("secret")
                && (action.verb, action.class) != (Verb::Execute, Class::Write)
        }
    }

    fn granted(verb: Verb, kind: Kind, name: Option<&str>, columns: Option<&[&str]>) -> Granted {
        Granted {
            verb,
            class: verb.class().unwrap_or(Class::Read),
            kind,
            schema: Some("public".into()),
            name: name.map(str::to_owned),
            columns: columns.map(|all| all.iter().map(|name| (*name).to_owned()).collect()),
        }
    }

    fn facts() -> Facts {
        let table = |oid, name: &str, columns: &[&str]| Relation {
            oid,
            schema_oid: 2200,
            schema: "public".into(),
            name: name.into(),
            is_sequence: false,
            sql: format!("public.{name}"),
            columns: std::iter::once((-1, "ctid".to_owned()))
                .chain((1..).zip(columns.iter().map(|name| (*name).to_owned())))
                .collect(),
        };
        Facts {
            version: 180_000,
            database: "app".into(),
            database_oid: 5,
            user: "gw".into(),
            relations: vec![
                table(10, "open", &["id", "na\"me"]),
                table(11, "closed", &["id", "secret"]),
            ],
            routines: [
                (20, "f", "f(integer)", false),
                (21, "g", "g(integer)", false),
                (22, "g", "g(text)", true),
            ]
            .map(|(oid, name, sql, volatile)| Routine {
                oid,
                schema_oid: 2200,
                schema: "public".into(),
                name: name.into(),
                volatile,
                sql: format!("public.{sql}"),
            })
            .into(),
            sequences: BTreeMap::from([(10, BTreeSet::from([(30, "public.open_id_seq".into())]))]),
            ..Facts::default()
        }
    }

    fn statements(grants: Vec<Granted>) -> Vec<String> {
        let rights = Rights::new(&Lenient(grants), &facts()).unwrap();
        rights.grant(&rights.all().iter().collect(), "x", "")
    }

    #[test]
    fn rights_are_what_the_scope_allows_and_no_more() {
        let table = Kind::Table;
        assert_eq!(
            statements(vec![granted(Verb::Select, table, None, None)]),
            [
                "GRANT CONNECT ON DATABASE \"app\" TO \"x\"",
                "GRANT USAGE ON SCHEMA \"public\" TO \"x\"",
                "GRANT SELECT ON TABLE public.open TO \"x\"",
                "GRANT SELECT (\"id\") ON TABLE public.closed TO \"x\"",
            ]
        );
        // Rows cannot be deleted by column, so where a column is forbidden they are not deleted, nor
        // is anything of a schema used of which nothing is granted.
        let delete = statements(vec![granted(Verb::Delete, table, Some("other"), None)]);
        assert_eq!(delete, ["GRANT CONNECT ON DATABASE \"app\" TO \"x\""]);
        let insert = granted(Verb::Insert, table, Some("open"), Some(&["na\"me", "gone"]));
        assert_eq!(
            statements(vec![insert])[2..],
            [
                "GRANT USAGE ON SEQUENCE public.open_id_seq TO \"x\"",
                "GRANT INSERT (\"na\"\"me\") ON TABLE public.open TO \"x\"",
            ]
        );
        let both = statements(vec![
            granted(Verb::Select, table, Some("open"), Some(&["id", "ctid"])),
            granted(Verb::Select, table, Some("open"), None),
            // One of the overloads of `g` writes, so that a call of `g` is decided as a write.
            granted(Verb::Execute, Kind::Function, None, None),
        ]);
        assert_eq!(
            both[2..],
            [
                "GRANT SELECT ON TABLE public.open TO \"x\"",
                "GRANT EXECUTE ON ROUTINE public.f(integer) TO \"x\"",
            ]
        );
    }

    #[test]
    fn a_template_is_named_by_all_that_it_is_for() {
        let grants = vec![granted(Verb::Select, Kind::Table, Some("open"), None)];
        let name = |facts: &Facts, gateway: &str, task: &str| {
            let rights = Rights::new(&Lenient(grants.clone()), facts).unwrap();
            rights.template(gateway, task, facts)
        };
        let first = name(&facts(), "g", "t");
        assert!(first.len() < 60 && first.starts_with(TEMPLATE), "{first}");
        assert_eq!(first, name(&facts(), "g", "t"));
        let mut made_anew = facts();
        made_anew.relations[0].oid = 99;
        let mut elsewhere = facts();
        elsewhere.database = "other".into();
        let mut as_another = facts();
        as_another.user = "gw2".into();
        for other in [
            name(&made_anew, "g", "t"),
            name(&elsewhere, "g", "t"),
            name(&as_another, "g", "t"),
            name(&facts(), "g2", "t"),
            name(&facts(), "g", "t2"),
        ] {
            assert_ne!(other, first);
        }
    }

    #[test]
    fn what_no_privilege_expresses_is_said() {
        let table = Kind::Table;
        let update = granted(Verb::Update, table, Some("open"), None);
        let lock = granted(Verb::Lock, table, Some("open"), None);
        assert!(beyond(&[update.clone(), lock.clone()]).is_empty());
        assert!(beyond(std::slice::from_ref(&lock))[0].starts_with("lock on public.open: "));
        let other = granted(Verb::Update, table, Some("closed"), None);
        assert_eq!(beyond(&[other, lock]).len(), 1);
        for verb in [
            Verb::Create,
            Verb::Drop,
            Verb::Alter,
            Verb::Grant,
            Verb::Maintain,
        ] {
            assert_eq!(beyond(&[granted(verb, table, None, None)]).len(), 1);
        }
    }

    #[test]
    fn an_old_server_and_too_much_are_refused() {
        let old = Facts {
            version: 140_010,
            ..facts()
        };
        assert!(Rights::new(&Lenient(Vec::new()), &old).is_err());
        let mut wide = facts();
        wide.relations = (0..PRIVILEGES_MAX as u32)
            .map(|oid| Relation {
                oid,
                ..wide.relations[0].clone()
            })
            .collect();
        let all = vec![granted(Verb::Select, Kind::Table, None, None)];
        assert!(Rights::new(&Lenient(all), &wide).is_err());
    }
}
