//! What the classifier says of many statements, next to this file in `golden.txt`. After a change that
//! is meant, run with `BAILIWICK_BLESS=1` and read the difference.

use std::fmt::Write;
use std::path::Path;

use bailiwick_action::Verb;

use super::*;

/// A ticket store beside a billing schema, with a view on a view, an extension's functions, and names
/// that hide the system's.
pub(super) fn catalogue() -> Catalogue {
    let mut catalogue = Catalogue::new("shop", "svc", ["pg_catalog", "public"]);
    let mut oid = 16_384;
    let mut relation = |schema: &str, name: &str, kind, columns: &str, definition: Option<&str>| {
        oid += 1;
        catalogue.add(Relation {
            oid,
            schema: schema.into(),
            name: name.into(),
            kind,
            columns: columns
                .split_whitespace()
                .zip(1..)
                .map(|(name, number)| Column {
                    number,
                    name: name.into(),
                    type_oid: 25,
                    generated: false,
                })
                .collect(),
            definition: definition.map(Into::into),
        });
    };
    use RelationKind::{Composite, Foreign, Materialised, Sequence, Table, View};
    for (schema, name, columns) in [
        (
            "public",
            "tickets",
            "id subject body email priority status created_at",
        ),
        ("public", "comments", "id ticket_id author body"),
        ("public", "drafts", "id body"),
        ("public", "customers", "id name email phone"),
        ("public", "Odd Name", "id \"quoted\""),
        ("billing", "cards", "id holder number cvc"),
        ("billing", "invoices", "id customer_id total"),
        (
            "pg_catalog",
            "pg_class",
            "oid relname relnamespace relkind relowner",
        ),
        ("pg_catalog", "pg_namespace", "oid nspname"),
        (
            "pg_catalog",
            "pg_attribute",
            "attrelid attname atttypid attnum attisdropped",
        ),
        ("pg_catalog", "pg_settings", "name setting"),
        ("information_schema", "tables", "table_schema table_name"),
    ] {
        relation(schema, name, Table, columns, None);
    }
    relation(
        "public",
        "open_tickets",
        View,
        "id subject email",
        Some("SELECT id, subject, email FROM tickets WHERE status = 'open'::text;"),
    );
    relation(
        "public",
        "contacts",
        View,
        "id contact who",
        Some(
            "SELECT t.id, lower(t.email) AS contact, (c.name || ' '::text) || c.phone AS who
               FROM open_tickets t JOIN customers c ON c.email = t.email;",
        ),
    );
    relation("public", "broken", View, "id", Some("SELECT"));
    relation(
        "public",
        "unreadable",
        View,
        "id",
        Some("DROP TABLE tickets"),
    );
    relation(
        "public",
        "ticket_stats",
        Materialised,
        "status n",
        Some("SELECT status, count(*) AS n FROM tickets GROUP BY status;"),
    );
    relation(
        "public",
        "tickets_id_seq",
        Sequence,
        "last_value log_cnt is_called",
        None,
    );
    relation("public", "remote", Foreign, "id payload", None);
    relation("public", "address", Composite, "street city", None);
    let function = |volatility, set, installed| Function {
        volatility,
        set,
        installed,
    };
    use Volatility::{Immutable, Stable, Volatile};
    for (schema, name, known) in [
        ("public", "escalate", function(Volatile, false, false)),
        ("public", "score", function(Stable, false, false)),
        ("public", "recent", function(Stable, true, false)),
        ("public", "length", function(Immutable, false, false)),
        // As citext has it.
        ("public", "lower", function(Immutable, false, true)),
        ("public", "pg_read_file", function(Immutable, false, false)),
        ("billing", "refund", function(Volatile, false, false)),
        ("billing", "total", function(Stable, false, false)),
    ] {
        catalogue.add_function(schema, name, known);
    }
    for (schema, name, volatility, installed) in [
        ("public", "===", Volatile, false),
        ("public", "<->", Immutable, true),
        ("public", "=", Immutable, true),
        ("billing", "@@@", Stable, false),
    ] {
        catalogue.add_operator(
            schema,
            name,
            Operator {
                volatility,
                installed,
            },
        );
    }
    // A domain with a constraint, its array, a composite type with a column of it, and types with casts.
    catalogue.add(Relation {
        oid: 30_000,
        schema: "public".into(),
        name: "holder".into(),
        kind: RelationKind::Composite,
        columns: vec![Column {
            number: 1,
            name: "part".into(),
            type_oid: 30_001,
            generated: false,
        }],
        definition: None,
    });
    for (oid, name, over, relation) in [
        (30_001, "positive", [23, 0], 0),
        (30_002, "_positive", [0, 30_001], 0),
        (30_003, "holder", [0, 0], 30_000),
        (30_004, "mood", [0, 0], 0),
        (30_005, "plain", [0, 0], 0),
    ] {
        catalogue.add_type(oid, "public", name, over, relation);
    }
    catalogue.add_made_by(30_001, "public", "positive", ("public", "escalate"));
    catalogue.add_made_by(30_004, "public", "mood", ("public", "score"));
    catalogue.add_made_by(30_004, "public", "mood", ("public", "lower"));
    catalogue.add_made_by(790, "pg_catalog", "money", ("billing", "total"));
    catalogue
}

/// The answer for one text, as `golden.txt` has it.
fn answer(sql: &str, catalogue: &Catalogue) -> String {
    let mut out = String::new();
    match classify(sql, catalogue) {
        Err(refusal) => writeln!(out, "! {refusal}").unwrap(),
        Ok(statements) if statements.is_empty() => writeln!(out, "= nothing").unwrap(),
        Ok(statements) => {
            for statement in &statements {
                describe(statement, &mut out);
            }
        }
    }
    out
}

fn describe(statement: &Statement, out: &mut String) {
    write!(out, "= {}", statement.verb).unwrap();
    match &statement.kind {
        StatementKind::Plain => {}
        StatementKind::Prepare { name, .. } => write!(out, " [prepare {name}]").unwrap(),
        kind => write!(out, " [{kind:?}]").unwrap(),
    }
    out.push('\n');
    let mut shown = BTreeSet::new();
    for action in &statement.actions {
        write!(
            out,
            "  {} {} {}",
            action.class, action.verb, action.resource
        )
        .unwrap();
        if action.resource.schema.as_deref() == Some("") {
            out.push_str(" UNKNOWN");
        }
        let columns: Vec<_> = action
            .columns
            .iter()
            .map(|column| {
                let looked_up = action.looked_up.contains(column);
                match action.exposed.contains(column) {
                    true if looked_up => format!("{column}?"),
                    true => format!("{column}!"),
                    false => column.clone(),
                }
            })
            .collect();
        if !columns.is_empty() {
            write!(out, " ({})", columns.join(", ")).unwrap();
        }
        if action.verb == Verb::Select {
            shown.extend(action.exposed.iter().map(|column| Source {
                schema: action.resource.schema.clone().unwrap_or_default(),
                table: action.resource.name.clone(),
                column: column.clone(),
            }));
        }
        out.push('\n');
    }
    let behind: BTreeSet<_> = statement
        .exposed_sources
        .difference(&shown)
        .cloned()
        .collect();
    if !behind.is_empty() {
        writeln!(out, "  exposed behind views: {}", sources(&behind)).unwrap();
    }
    match &statement.outputs {
        Outputs::None => {}
        Outputs::Unknown => writeln!(out, "  -> any of {}", sources(&statement.touched)).unwrap(),
        Outputs::Columns(columns) => {
            let columns: Vec<_> = columns
                .iter()
                .map(|column| sources(&column.sources))
                .collect();
            writeln!(out, "  -> {}", columns.join(" | ")).unwrap();
        }
    }
}

fn sources(sources: &BTreeSet<Source>) -> String {
    if sources.is_empty() {
        return "-".into();
    }
    let one = |source: &Source| format!("{}.{}.{}", source.schema, source.table, source.column);
    sources.iter().map(one).collect::<Vec<_>>().join(" + ")
}

#[test]
fn every_statement_is_understood_as_written_down() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sql/golden.txt");
    let before = std::fs::read_to_string(&path).unwrap();
    let catalogue = catalogue();
    let mut after = String::new();
    let mut texts = 0;
    let mut lines = before.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(first) = line.strip_prefix('>') else {
            if line.is_empty() || line.starts_with('#') {
                after.push_str(line);
                after.push('\n');
            }
            continue;
        };
        texts += 1;
        writeln!(after, "{line}").unwrap();
        let mut sql = first.trim_start().to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with('|')) {
            writeln!(after, "{more}").unwrap();
            sql.push('\n');
            sql.push_str(more.trim_start_matches('|'));
        }
        after.push_str(&answer(&sql, &catalogue));
    }
    assert!(texts >= 200, "golden.txt has {texts} texts");
    if before == after {
        return;
    }
    if std::env::var_os("BAILIWICK_BLESS").is_some() {
        std::fs::write(&path, after).unwrap();
        return;
    }
    for (number, (old, new)) in before.lines().zip(after.lines()).enumerate() {
        if old != new {
            panic!(
                "golden.txt, line {}:\n  was: {old}\n  now: {new}\nrun with BAILIWICK_BLESS=1 if it is meant",
                number + 1
            );
        }
    }
    panic!(
        "golden.txt has more or fewer lines than before; run with BAILIWICK_BLESS=1 if it is meant"
    );
}
