//! What a statement touched, as the server counts it and plans it; and what may be touched when
//! something was said of it, because the server does that by itself.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_action::{Action, Kind, Verb};
use serde_json::Value;
use tokio_postgres::Client;

use crate::{name, rows};

/// What was done to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Touch {
    Read,
    Insert,
    Update,
    Delete,
}

/// A table, as `schema.name`, and what was done to it.
pub(crate) type Touched = (String, Touch);

/// The server's counters of this session, by table.
pub(crate) type Counters = BTreeMap<String, [i64; 4]>;

pub(crate) async fn counters(client: &Client) -> Counters {
    let sql = "SELECT schemaname || '.' || relname, \
               coalesce(seq_scan, 0) + coalesce(idx_scan, 0), n_tup_ins, n_tup_upd, n_tup_del \
               FROM pg_stat_xact_all_tables \
               WHERE schemaname NOT LIKE 'pg\\_%' AND schemaname <> 'information_schema'";
    let number = |cell: &Option<String>| {
        cell.as_ref()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    rows(client, sql)
        .await
        .expect("the counters")
        .iter()
        .map(|row| {
            let counts = [
                number(&row[1]),
                number(&row[2]),
                number(&row[3]),
                number(&row[4]),
            ];
            (row[0].clone().unwrap_or_default(), counts)
        })
        .collect()
}

/// What was touched between two looks at the counters.
pub(crate) fn since(before: &Counters, after: &Counters) -> BTreeSet<Touched> {
    let kinds = [Touch::Read, Touch::Insert, Touch::Update, Touch::Delete];
    let mut touched = BTreeSet::new();
    for (table, counts) in after {
        let old = before.get(table).copied().unwrap_or_default();
        for ((kind, new), old) in kinds.iter().zip(counts).zip(old) {
            if *new > old {
                touched.insert((table.clone(), *kind));
            }
        }
    }
    touched
}

/// The tables in a statement's plan, run or not.
pub(crate) async fn planned(client: &Client, sql: &str) -> BTreeSet<Touched> {
    let mut found = BTreeSet::new();
    let sql = sql
        .strip_prefix("EXPLAIN (ANALYZE, VERBOSE) ")
        .or(sql.strip_prefix("EXPLAIN "))
        .unwrap_or(sql);
    let explain = format!("EXPLAIN (VERBOSE, FORMAT JSON) {sql}");
    let Ok(plan) = rows(client, &explain).await else {
        return found;
    };
    for row in plan {
        let text = row.first().cloned().flatten().unwrap_or_default();
        if let Ok(plan) = serde_json::from_str(&text) {
            in_plan(&plan, &mut found);
        }
    }
    found
}

fn in_plan(plan: &Value, found: &mut BTreeSet<Touched>) {
    match plan {
        Value::Array(parts) => parts.iter().for_each(|part| in_plan(part, found)),
        Value::Object(node) => {
            let text = |key: &str| node.get(key).and_then(Value::as_str);
            if let (Some(schema), Some(relation)) = (text("Schema"), text("Relation Name"))
                && !["pg_catalog", "information_schema"].contains(&schema)
            {
                let kind = match text("Operation") {
                    Some("Insert") => Touch::Insert,
                    Some("Update") => Touch::Update,
                    Some("Delete") => Touch::Delete,
                    // A MERGE may do several things, or none.
                    Some(_) => return node.values().for_each(|part| in_plan(part, found)),
                    None => Touch::Read,
                };
                found.insert((format!("{schema}.{relation}"), kind));
            }
            node.values().for_each(|part| in_plan(part, found));
        }
        _ => {}
    }
}

/// Which tables stand behind a name.
pub(crate) struct Reach {
    /// Views and what they read, tables and their children.
    behind: BTreeMap<String, BTreeSet<String>>,
    /// Tables whose rows a foreign key looks at, from either side.
    keys: BTreeMap<String, BTreeSet<String>>,
}

/// What the functions read that have a grant of their own.
const FUNCTIONS: &[(&str, &str)] = &[
    ("public.peek", "secret.cards"),
    ("public.leak", "secret.cards"),
    ("public.recent", "public.tickets"),
    ("public.summary", "public.tickets"),
    ("secret.unlock", "secret.keys"),
    ("public.^^^", "secret.keys"),
];

impl Reach {
    pub(crate) async fn learn(client: &Client) -> Self {
        let full = |alias: &str| {
            format!(
                "(SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {alias})"
            )
        };
        let pairs = |rows: Vec<bailiwick_wire::sql::Row>| {
            let mut map: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for row in rows {
                if let [Some(from), Some(to)] = row.as_slice()
                    && from != to
                {
                    map.entry(from.clone()).or_default().insert(to.clone());
                }
            }
            map
        };
        let behind = format!(
            "SELECT {}, {} FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid \
             AND d.refclassid = 'pg_class'::regclass \
             UNION SELECT {}, {} FROM pg_inherits i",
            full("r.ev_class"),
            full("d.refobjid"),
            full("i.inhparent"),
            full("i.inhrelid")
        );
        let keys = format!(
            "SELECT {0}, {1} FROM pg_constraint k WHERE contype = 'f' UNION SELECT {1}, {0} FROM pg_constraint k WHERE contype = 'f'",
            full("k.conrelid"),
            full("k.confrelid")
        );
        Self {
            behind: pairs(rows(client, &behind).await.expect("what views read")),
            keys: pairs(rows(client, &keys).await.expect("foreign keys")),
        }
    }

    /// What may be touched by what was said.
    pub(crate) fn of(&self, actions: &[Action]) -> BTreeSet<Touched> {
        let mut may = BTreeSet::new();
        for action in actions {
            let named = name(action);
            if action.verb == Verb::Execute {
                let read = FUNCTIONS.iter().filter(|(function, _)| *function == named);
                for (_, table) in read {
                    self.add(table, &[Touch::Read], &mut may);
                }
                // It may read whatever it is given, or have been given as text.
                if named.starts_with("pg_catalog.") {
                    for table in ["secret.cards", "secret.keys"] {
                        self.add(table, &[Touch::Read], &mut may);
                    }
                }
                continue;
            }
            if !matches!(action.resource.kind, Kind::Table) {
                continue;
            }
            let touches: &[Touch] = match action.verb {
                Verb::Select | Verb::Lock => &[Touch::Read],
                Verb::Insert => &[Touch::Read, Touch::Insert],
                // CREATE TABLE … AS fills what it makes.
                Verb::Create => &[Touch::Insert],
                // A row may move to another partition.
                Verb::Update => &[Touch::Read, Touch::Update, Touch::Insert, Touch::Delete],
                Verb::Delete | Verb::Truncate => &[Touch::Read, Touch::Delete],
                _ => &[],
            };
            self.add(&named, touches, &mut may);
        }
        may
    }

    fn add(&self, table: &str, touches: &[Touch], may: &mut BTreeSet<Touched>) {
        let mut seen = BTreeSet::new();
        let mut rest = vec![table.to_owned()];
        while let Some(table) = rest.pop() {
            if seen.insert(table.clone()) {
                rest.extend(self.behind.get(&table).into_iter().flatten().cloned());
            }
        }
        for table in seen {
            if touches.len() > 1 {
                let keys = self.keys.get(&table).into_iter().flatten();
                may.extend(keys.map(|key| (key.clone(), Touch::Read)));
            }
            may.extend(touches.iter().map(|touch| (table.clone(), *touch)));
        }
    }
}
