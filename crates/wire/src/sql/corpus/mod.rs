//! PostgreSQL's own regression tests, statement by statement: what the classifier says of each must
//! cover everything that an independent look at the parse tree finds. What it does not understand it
//! may refuse, but not more often than it does now. `scripts/test` puts the files into `target/corpus`.

mod psql;
mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use bailiwick_action::{Class, Kind, Verb};
use serde_json::Value;

use self::reference::{Does, Reference, reference};
use super::builtins::{Builtin, builtin};
use super::*;

/// The files, in order.
fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/corpus");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        panic!(
            "PostgreSQL's regression tests are not in {}; run scripts/test, which fetches them",
            folder.display()
        );
    };
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "sql"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let bytes = std::fs::read(&path).unwrap();
            // Tests of other encodings are none for us.
            (name, String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect();
    files.sort();
    files
}

/// The statements of a text, as the server's own lexer tells them apart.
fn split(text: &str) -> Vec<String> {
    match pg_query::split_with_scanner(text) {
        Ok(statements) => statements.into_iter().map(str::to_owned).collect(),
        // Something in it is no token, which is what it tests: then line by line, as far as that goes.
        Err(_) if text.contains(";\n") => {
            let chunks = text.split_inclusive(";\n");
            chunks
                .flat_map(|chunk| split(chunk.strip_suffix('\n').unwrap_or(chunk)))
                .collect()
        }
        Err(_) => vec![text.to_owned()],
    }
}

/// What became of all statements.
#[derive(Default)]
struct Tally {
    statements: usize,
    /// The grammar does not accept it: a test of an error, or what psql made of a variable.
    not_sql: usize,
    understood: usize,
    /// What the independent look has found in all that was understood.
    facts: usize,
    /// The most work that one statement was.
    work: usize,
    refused: BTreeMap<String, usize>,
    mismatches: Vec<String>,
}

impl Tally {
    fn take(&mut self, file: &str, sql: &str, catalogue: &Catalogue) {
        self.statements += 1;
        let parsed = pg_query::parse(sql, 0);
        let answer = classify(sql, catalogue);
        let Ok(parsed) = parsed else {
            self.not_sql += 1;
            assert!(answer.is_err(), "{file}: no SQL, and understood: {sql}");
            return;
        };
        let mut walker = walk::Walker::new(catalogue);
        for raw in &parsed.protobuf.stmts {
            let _ = raw.stmt.as_ref().map(|node| walker.statement(node));
        }
        self.work = self.work.max(walker.work());
        match answer {
            Err(refusal) => *self.refused.entry(refusal.reason).or_default() += 1,
            Ok(statements) => {
                self.understood += 1;
                let raws = &parsed.protobuf.stmts;
                assert_eq!(raws.len(), statements.len(), "{file}: {sql}");
                for (raw, statement) in raws.iter().zip(&statements) {
                    let tree = serde_json::to_value(&raw.stmt).unwrap();
                    let reference = reference(&tree);
                    self.facts += reference.facts();
                    for missing in missing(&reference, statement) {
                        self.mismatches
                            .push(format!("{file}: {missing}: {}", sql.trim()));
                    }
                }
            }
        }
    }

    fn report(&self) -> String {
        let refused: usize = self.refused.values().sum();
        let mut out = format!(
            "{} statements: {} understood ({} facts to see in them), {refused} refused, {} not SQL; \
             the most work was {}\n",
            self.statements, self.understood, self.facts, self.not_sql, self.work
        );
        let mut reasons: Vec<_> = self.refused.iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for (reason, count) in reasons {
            writeln!(out, "{count:6}  {reason}").unwrap();
        }
        out
    }
}

/// What an independent look found and a statement's actions do not say.
fn missing(reference: &Reference, statement: &Statement) -> Vec<String> {
    let mut missing = Vec::new();
    let actions = &statement.actions;
    let acts = |verb| actions.iter().any(|action: &Action| action.verb == verb);
    for relation in &reference.relations {
        let dotted = format!("{}.{}", relation.schema, relation.name);
        let named = |action: &&Action| {
            let resource = &action.resource;
            match (resource.kind, &*relation.schema) {
                (Kind::Table, "") => resource.name == relation.name,
                (Kind::Table, schema) => {
                    resource.name == dotted
                        || resource.name == relation.name
                            && resource.schema.as_deref() == Some(schema)
                }
                (Kind::Object, _) => resource.name.contains(&relation.name),
                _ => false,
            }
        };
        let verb = match relation.does {
            Does::Read => Some(Verb::Select),
            Does::Insert => Some(Verb::Insert),
            Does::Update => Some(Verb::Update),
            Does::Delete => Some(Verb::Delete),
            Does::Create => Some(Verb::Create),
            Does::Truncate => Some(Verb::Truncate),
            Does::Lock => Some(Verb::Lock),
            Does::Maintain => Some(Verb::Maintain),
            Does::Other => None,
        };
        let fits = |action: &Action| match verb {
            Some(verb) => action.verb == verb && action.resource.kind == Kind::Table,
            None => true,
        };
        if !actions.iter().filter(named).any(fits) {
            missing.push(format!("{:?} of relation {dotted}", relation.does));
        }
    }
    for names in &reference.functions {
        if !calls(names, statement) {
            missing.push(format!("call of {}", names.join(".")));
        }
    }
    for effect in &reference.effects {
        let seen = match *effect {
            "MERGE that updates" | "an update on conflict" => acts(Verb::Update),
            "MERGE that inserts" => acts(Verb::Insert),
            "MERGE that deletes" => acts(Verb::Delete),
            "a definition or upkeep" => statement.has_effect(),
            _ => actions.iter().any(|action| action.class == Class::Admin),
        };
        if !seen {
            missing.push((*effect).to_owned());
        }
    }
    for name in &reference.dropped {
        let dropped =
            |action: &Action| action.verb == Verb::Drop && action.resource.name.contains(name);
        if !actions.iter().any(dropped) {
            missing.push(format!("drop of {name}"));
        }
    }
    if reference.locks && !acts(Verb::Lock) {
        missing.push("locks".to_owned());
    }
    for name in &reference.runs {
        let (StatementKind::Execute { name: run } | StatementKind::Fetch { cursor: run }) =
            &statement.kind
        else {
            missing.push(format!("run of {name}"));
            continue;
        };
        if run != name {
            missing.push(format!("run of {name}"));
        }
    }
    missing
}

/// Whether a call of a function is in the actions, or needs not be.
fn calls(names: &[String], statement: &Statement) -> bool {
    let Some((name, schema)) = names.split_last() else {
        return false;
    };
    let system = schema.is_empty() || schema == ["pg_catalog"];
    if system && builtin(name) == Builtin::Harmless {
        return true;
    }
    if system && name == "set_config" {
        // As SET: only what is not harmless takes anything.
        return true;
    }
    // `column(row)` is a column, where the table has one and no function has its name.
    if schema.is_empty()
        && statement
            .actions
            .iter()
            .any(|action| action.columns.contains(name))
    {
        return true;
    }
    let dotted = names.join(".");
    statement.actions.iter().any(|action| {
        action.resource.kind == Kind::Function
            && (action.resource.name == *name || action.resource.name == dotted)
    })
}

/// A catalogue with every table that the files create, as they create it first.
fn catalogue(files: &[(String, Vec<String>)]) -> Catalogue {
    let mut catalogue = Catalogue::new("regression", "svc", ["pg_catalog", "public"]);
    let mut seen = BTreeSet::new();
    let mut oid = 16_384;
    for sql in files.iter().flat_map(|(_, statements)| statements) {
        let Ok(parsed) = pg_query::parse(sql, 0) else {
            continue;
        };
        for raw in &parsed.protobuf.stmts {
            let Ok(tree) = serde_json::to_value(&raw.stmt) else {
                continue;
            };
            let Some(create) = tree.pointer("/node/CreateStmt") else {
                continue;
            };
            let text = |pointer: &str| {
                create
                    .pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            let schema = match &*text("/relation/schemaname") {
                "" => "public".to_owned(),
                schema => schema.to_owned(),
            };
            let name = text("/relation/relname");
            let columns: Vec<_> = create
                .get("table_elts")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|element| element.pointer("/node/ColumnDef/colname")?.as_str())
                .zip(1..)
                .map(|(name, number)| Column {
                    number,
                    name: name.to_owned(),
                    type_oid: 25,
                    generated: false,
                })
                .collect();
            // Without columns of its own it may have any.
            if !columns.is_empty() && seen.insert((schema.clone(), name.clone())) {
                oid += 1;
                catalogue.add(Relation {
                    oid,
                    schema,
                    name,
                    kind: RelationKind::Table,
                    columns,
                    definition: None,
                });
            }
        }
    }
    catalogue
}

#[test]
fn nothing_in_postgresqls_own_tests_goes_unseen() {
    let files: Vec<(String, Vec<String>)> = files()
        .into_iter()
        .map(|(name, script)| {
            let statements = split(&psql::cleaned(&script));
            (name, statements)
        })
        .collect();
    let empty = Catalogue::new("regression", "svc", ["pg_catalog", "public"]);
    // A text that has not become rarer in PostgreSQL may not be refused more often than this.
    for (what, catalogue, refused_max) in [
        ("nothing known", empty, 523),
        ("tables known", catalogue(&files), 555),
    ] {
        let mut tally = Tally::default();
        for (file, statements) in &files {
            for sql in statements {
                tally.take(file, sql, &catalogue);
            }
        }
        println!("{what}: {}", tally.report());
        let unseen = tally.mismatches.join("\n");
        assert!(
            unseen.is_empty(),
            "{what}: understood, and not all seen:\n{unseen}"
        );
        assert!(
            tally.statements >= 49_000,
            "{what}: only {} statements",
            tally.statements
        );
        assert!(
            tally.not_sql <= 206,
            "{what}: {} statements are no SQL",
            tally.not_sql
        );
        assert!(
            tally.facts >= FACTS_MIN,
            "{what}: only {} facts were found",
            tally.facts
        );
        let refused: usize = tally.refused.values().sum();
        assert!(
            refused <= refused_max,
            "{what}: {refused} statements were refused"
        );
        // The classifier gives up at WORK_MAX, of which ordinary statements are far.
        assert!(tally.work <= 2_000, "{what}: {} of work", tally.work);
    }
}

/// Names and effects that there are to be seen in the files, counted once for each statement.
const FACTS_MIN: usize = 64_900;
