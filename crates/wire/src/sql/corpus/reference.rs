//! What a statement does, worked out anew: by a walk over the parse tree as JSON, which knows nothing of
//! most kinds of node and goes into every field. It shares no code with the classifier.
//!
//! It looks at names only, and knows where a name does not stand for something that the statement itself
//! reaches:
//!
//! - names of WITH, within the reach of their WITH;
//! - FOR UPDATE OF names items of FROM, not relations;
//! - the bodies of functions, rules, policies and triggers, and the defaults of parameters, run later,
//!   when something else calls them;
//! - constraints are no relations, and neither is what a foreign schema is imported without.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What the parse tree says.
#[derive(Debug, Default)]
pub(super) struct Reference {
    /// Relations that are named, and how.
    pub(super) relations: BTreeSet<Relation>,
    /// Functions that are called.
    pub(super) functions: BTreeSet<Vec<String>>,
    /// Statements with an effect that are not about a relation.
    pub(super) effects: BTreeSet<&'static str>,
    /// Objects that are dropped, by the last part of their names.
    pub(super) dropped: BTreeSet<String>,
    /// Rows are locked by name of what is in FROM.
    pub(super) locks: bool,
    /// Prepared statements and cursors that are run.
    pub(super) runs: BTreeSet<String>,
}

/// A relation as a statement names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Relation {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) does: Does,
}

/// What is done to a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Does {
    Read,
    Insert,
    Update,
    Delete,
    Create,
    Truncate,
    Lock,
    /// Locks it against everybody else.
    Maintain,
    /// A definition that names it, or other upkeep.
    Other,
}

/// Looks at one statement's tree.
pub(super) fn reference(statement: &Value) -> Reference {
    let mut reference = Reference::default();
    reference.visit(statement, "", &[]);
    reference
}

fn text<'v>(map: &'v Map<String, Value>, key: &str) -> &'v str {
    map.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(map: &Map<String, Value>, key: &str) -> i64 {
    map.get(key).and_then(Value::as_i64).unwrap_or_default()
}

/// The names in a list of strings, whatever else is around them.
fn names(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Object(map)) => match map.get("sval").and_then(Value::as_str) {
            Some(name) => vec![name.to_owned()],
            None => map.values().flat_map(|value| names(Some(value))).collect(),
        },
        Some(Value::Array(list)) => list.iter().flat_map(|value| names(Some(value))).collect(),
        _ => Vec::new(),
    }
}

/// Statements that do no more than their parts.
const HARMLESS: [&str; 17] = [
    "SelectStmt",
    "ExplainStmt",
    "PrepareStmt",
    "ExecuteStmt",
    "DeallocateStmt",
    "DeclareCursorStmt",
    "FetchStmt",
    "ClosePortalStmt",
    "TransactionStmt",
    "VariableShowStmt",
    "VariableSetStmt",
    "ConstraintsSetStmt",
    "UnlistenStmt",
    "DiscardStmt",
    // What these do is taken down for the relations that they name.
    "CopyStmt",
    "CallStmt",
    "ReturnStmt",
];

/// Writes, whose target is taken down as such.
const WRITES: [&str; 4] = ["InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"];

/// Where a body begins that does not run now.
const LATER: [(&str, &str); 9] = [
    ("CreateFunctionStmt", "sql_body"),
    ("FunctionParameter", "defexpr"),
    ("CreateTrigStmt", "when_clause"),
    ("RuleStmt", "actions"),
    ("RuleStmt", "where_clause"),
    ("CreatePolicyStmt", "qual"),
    ("CreatePolicyStmt", "with_check"),
    ("AlterPolicyStmt", "qual"),
    ("AlterPolicyStmt", "with_check"),
];

impl Reference {
    /// How much it found.
    pub(super) fn facts(&self) -> usize {
        self.relations.len()
            + self.functions.len()
            + self.effects.len()
            + self.dropped.len()
            + self.runs.len()
            + usize::from(self.locks)
    }

    /// Goes into a value; `place` is the field that it stands in.
    fn visit(&mut self, value: &Value, place: &str, with: &[String]) {
        match value {
            Value::Array(list) => {
                for item in list {
                    self.visit(item, place, with);
                }
            }
            Value::Object(map) => match map.iter().next() {
                Some((name, inner)) if map.len() == 1 && name == "node" => {
                    self.visit(inner, place, with);
                }
                Some((name, Value::Object(inner)))
                    if map.len() == 1 && name.starts_with(|c: char| c.is_ascii_uppercase()) =>
                {
                    self.node(name, inner, place, with);
                }
                // A struct without its name: what the field is called tells what it is.
                _ => self.node(named_by_place(place), map, place, with),
            },
            _ => {}
        }
    }

    fn node(&mut self, kind: &str, map: &Map<String, Value>, place: &str, with: &[String]) {
        if map.contains_key("relname") && map.contains_key("relpersistence") {
            return self.relation(map, place, with);
        }
        if map.contains_key("funcname") && map.contains_key("agg_star") {
            self.functions.insert(names(map.get("funcname")));
        }
        if kind == "List" {
            // A list in between does not change where something is.
            return map
                .values()
                .for_each(|value| self.visit(value, place, with));
        }
        self.statement(kind, map);
        let mut with = with.to_vec();
        if let Some(Value::Object(clause)) = map.get("with_clause") {
            self.with(clause, &mut with);
        }
        if map
            .get("locking_clause")
            .is_some_and(|locks| *locks != Value::Array(Vec::new()))
        {
            // FOR UPDATE locks what stands in FROM, and nothing within queries of WITH.
            let from = map.get("from_clause").and_then(Value::as_array);
            self.locks |= from.into_iter().flatten().any(|item| {
                let named = item.pointer("/node/RangeVar").and_then(Value::as_object);
                named.is_some_and(|named| {
                    !text(named, "schemaname").is_empty()
                        || !with.iter().any(|one| one == text(named, "relname"))
                })
            });
        }
        for (field, value) in map {
            if field == "with_clause" || LATER.contains(&(kind, field)) {
                continue;
            }
            let mut place = format!("{kind}.{field}");
            if place == "CopyStmt.relation" {
                let from = map.get("is_from") == Some(&Value::Bool(true));
                place.push_str(if from { ".in" } else { ".out" });
            } else if place == "LockStmt.relations" && number(map, "mode") > 3 {
                // Stronger than ROW EXCLUSIVE.
                place.push_str(".whole");
            } else if kind == "ImportForeignSchemaStmt" && number(map, "list_type") == 3 {
                place.push_str(".except");
            }
            self.visit(value, &place, &with);
        }
    }

    fn relation(&mut self, map: &Map<String, Value>, place: &str, with: &[String]) {
        let (schema, name) = (text(map, "schemaname"), text(map, "relname"));
        let mut add = |does| {
            self.relations.insert(Relation {
                schema: schema.to_owned(),
                name: name.to_owned(),
                does,
            });
        };
        match place {
            "LockingClause.locked_rels" | "ConstraintsSetStmt.constraints" => {}
            "ImportForeignSchemaStmt.table_list.except" => {}
            "InsertStmt.relation" => add(Does::Insert),
            "UpdateStmt.relation" => add(Does::Update),
            "DeleteStmt.relation" => add(Does::Delete),
            // What MERGE does to its target is in its arms.
            "MergeStmt.relation" => {}
            "IntoClause.rel"
            | "CreateStmt.relation"
            | "ViewStmt.view"
            | "CreateSeqStmt.sequence" => {
                add(Does::Create);
            }
            "TruncateStmt.relations" => add(Does::Truncate),
            "LockStmt.relations" => add(Does::Lock),
            "LockStmt.relations.whole" => add(Does::Maintain),
            "CopyStmt.relation.in" => add(Does::Insert),
            "CopyStmt.relation.out" => add(Does::Read),
            place if reads(place) => {
                if !schema.is_empty() || !with.contains(&name.to_owned()) {
                    add(Does::Read);
                }
            }
            _ => add(Does::Other),
        }
    }

    /// The queries of a WITH; their names go to what follows, and to all of them if it is recursive.
    fn with(&mut self, clause: &Map<String, Value>, with: &mut Vec<String>) {
        let queries: Vec<&Map<String, Value>> = clause
            .get("ctes")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|node| node.pointer("/node/CommonTableExpr")?.as_object())
            .collect();
        if clause.get("recursive") == Some(&Value::Bool(true)) {
            with.extend(
                queries
                    .iter()
                    .map(|query| text(query, "ctename").to_owned()),
            );
        }
        for query in queries {
            self.node("CommonTableExpr", query, "", with);
            with.push(text(query, "ctename").to_owned());
        }
    }

    fn statement(&mut self, kind: &str, map: &Map<String, Value>) {
        match kind {
            "DropStmt" => {
                for object in map
                    .get("objects")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                {
                    // What comes after a function's or an operator's name are types.
                    let name = object.pointer("/node/ObjectWithArgs/objname");
                    self.dropped.extend(names(name.or(Some(object))).pop());
                }
            }
            "ExecuteStmt" => drop(self.runs.insert(text(map, "name").to_owned())),
            "FetchStmt" => drop(self.runs.insert(text(map, "portalname").to_owned())),
            "MergeWhenClause" => {
                // The target is named above; which it is does not matter, only that it is written.
                let effect = match number(map, "command_type") {
                    3 => "MERGE that updates",
                    4 => "MERGE that inserts",
                    5 => "MERGE that deletes",
                    _ => return,
                };
                self.effects.insert(effect);
            }
            "CopyStmt"
                if !text(map, "filename").is_empty()
                    || map.get("is_program") == Some(&Value::Bool(true)) =>
            {
                self.effects.insert("COPY of a file or program");
            }
            "TransactionStmt" if number(map, "kind") >= 8 => {
                self.effects
                    .insert("a transaction that outlives its session");
            }
            "VariableSetStmt" if number(map, "kind") < 5 && !harmless(map) => {
                self.effects.insert("a setting");
            }
            kind if !kind.ends_with("Stmt")
                || HARMLESS.contains(&kind)
                || WRITES.contains(&kind) => {}
            _ => drop(self.effects.insert("a definition or upkeep")),
        }
        if map
            .get("on_conflict_clause")
            .is_some_and(|clause| clause.pointer("/action") == Some(&Value::from(3)))
        {
            self.effects.insert("an update on conflict");
        }
    }
}

/// What a struct is that stands alone in a field.
fn named_by_place(place: &str) -> &str {
    match place {
        "SelectStmt.larg" | "SelectStmt.rarg" => "SelectStmt",
        "SelectStmt.into_clause" | "CreateTableAsStmt.into" => "IntoClause",
        "CreateForeignTableStmt.base_stmt" => "CreateStmt",
        place => place,
    }
}

/// Whether a name in this place is that of a relation which is read.
fn reads(place: &str) -> bool {
    const PLACES: [&str; 9] = [
        "SelectStmt.from_clause",
        "UpdateStmt.from_clause",
        "DeleteStmt.using_clause",
        "MergeStmt.source_relation",
        "JoinExpr.larg",
        "JoinExpr.rarg",
        "RangeTableSample.relation",
        "TableLikeClause.relation",
        "CommonTableExpr.ctequery",
    ];
    PLACES.contains(&place)
}

/// Whether a setting changes neither what statements mean nor what they may do.
fn harmless(set: &Map<String, Value>) -> bool {
    let name = text(set, "name").to_ascii_lowercase();
    let value = names(set.get("args")).concat().to_ascii_lowercase();
    match &*name {
        "client_encoding" => value == "utf8",
        "default_transaction_read_only"
        | "row_security"
        | "standard_conforming_strings"
        | "transaction_read_only" => value == "on" || value == "true",
        "transaction" | "session characteristics" => {
            let modes = set.get("args").map(Value::to_string).unwrap_or_default();
            !modes.contains("transaction_read_only") || !modes.contains("\"ival\":0")
        }
        _ => HARMLESS_SETTINGS.contains(&&*name),
    }
}

/// Settings that do so whatever their value.
const HARMLESS_SETTINGS: [&str; 21] = [
    "application_name",
    "bytea_output",
    "client_min_messages",
    "datestyle",
    "default_transaction_deferrable",
    "default_transaction_isolation",
    "escape_string_warning",
    "extra_float_digits",
    "geqo",
    "intervalstyle",
    "jit",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "lock_timeout",
    "plan_cache_mode",
    "statement_timeout",
    "synchronize_seqscans",
    "timezone",
    "xmlbinary",
    "xmloption",
];
