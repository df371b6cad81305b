//! The golden texts put to a real PostgreSQL. A role that may do exactly what the actions of a text say
//! must not be refused by the server: then the text needs nothing that was not said. Texts by chance are
//! put to one in `tests/differential`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use bailiwick_action::{Kind, Verb};
use bailiwick_throwaway::{Options, Throwaway};

use super::*;

const SETUP: &str = r#"
CREATE SCHEMA billing;
CREATE TABLE tickets (id int PRIMARY KEY, subject text, body text, email text UNIQUE, priority int,
                      status text, created_at timestamptz);
CREATE TABLE comments (id int PRIMARY KEY, ticket_id int, author text, body text);
CREATE TABLE drafts (id int PRIMARY KEY, body text);
CREATE TABLE customers (id int PRIMARY KEY, name text, email text, phone text);
CREATE TABLE "Odd Name" (id int, """quoted""" text);
CREATE TABLE billing.cards (id int, holder text, number text, cvc text);
CREATE TABLE billing.invoices (id int, customer_id int, total numeric);
CREATE VIEW open_tickets AS SELECT id, subject, email FROM tickets WHERE status = 'open';
CREATE VIEW contacts AS SELECT t.id, lower(t.email) AS contact, c.name || ' ' || c.phone AS who
  FROM open_tickets t JOIN customers c ON c.email = t.email;
CREATE MATERIALIZED VIEW ticket_stats AS SELECT status, count(*) AS n FROM tickets GROUP BY status;
CREATE SEQUENCE tickets_id_seq;
CREATE TYPE address AS (street text, city text);
CREATE FUNCTION escalate(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE FUNCTION escalate(text) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT 1::text';
CREATE FUNCTION escalate(tickets) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE FUNCTION score(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION score(tickets) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION recent(int) RETURNS SETOF tickets LANGUAGE sql STABLE AS 'SELECT NULL::tickets';
CREATE FUNCTION length(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION billing.total(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE PROCEDURE billing.refund(int) LANGUAGE sql AS 'SELECT 1';
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
"#;

fn psql(server: &str, sql: &str) -> (String, String) {
    let mut child = Command::new("psql")
        .args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "VERBOSITY=verbose",
            "-F",
            "\u{1}",
            "-R",
            "\u{2}",
        ])
        .args(["-P", "null=\u{3}", "-d", server, "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(sql.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

fn rows(server: &str, sql: &str) -> Vec<Row> {
    let (out, errors) = psql(server, sql);
    assert_eq!(errors, "", "{sql}");
    let cell = |text: &str| (text != "\u{3}").then(|| text.to_owned());
    out.trim_end_matches('\n')
        .split('\u{2}')
        .filter(|row| !row.is_empty())
        .map(|row| row.split('\u{1}').map(cell).collect())
        .collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The server's own word for what an action says.
fn grant(action: &Action) -> Option<String> {
    if action.resource.kind != Kind::Table {
        return None;
    }
    let schema = action
        .resource
        .schema
        .as_deref()
        .filter(|schema| !schema.is_empty())?;
    let table = format!("{}.{}", quoted(schema), quoted(&action.resource.name));
    let columns: Vec<_> = action.columns.iter().map(|column| quoted(column)).collect();
    let columns = match columns.is_empty() {
        true => String::new(),
        false => format!(" ({})", columns.join(", ")),
    };
    let system = action
        .columns
        .iter()
        .any(|column| scope::SYSTEM_COLUMNS.contains(&&**column));
    Some(match action.verb {
        // System columns come with any right to read the table.
        Verb::Select if system || columns.is_empty() => {
            format!("GRANT SELECT ON {table} TO bailiwick_probe;")
        }
        Verb::Select => format!("GRANT SELECT{columns} ON {table} TO bailiwick_probe;"),
        Verb::Insert => format!("GRANT INSERT{columns} ON {table} TO bailiwick_probe;"),
        Verb::Update => format!("GRANT UPDATE{columns} ON {table} TO bailiwick_probe;"),
        Verb::Delete => format!("GRANT DELETE ON {table} TO bailiwick_probe;"),
        Verb::Truncate => format!("GRANT TRUNCATE ON {table} TO bailiwick_probe;"),
        // The server wants a right to write for a lock.
        Verb::Lock => format!("GRANT UPDATE ON {table} TO bailiwick_probe;"),
        _ => return None,
    })
}

/// Fresh rows for every table; or for the table of one column (by its place among all of them), which
/// then has other values than usual. They come in the same order each time.
fn data(other: Option<usize>) -> String {
    let mut sql = String::new();
    let mut first = 0;
    for (table, columns) in TABLES {
        let places = first..first + columns.len();
        first = places.end;
        if other.is_some_and(|other| !places.contains(&other)) {
            continue;
        }
        let row = |row: u32| {
            let value = |(at, (_, usual, changed)): (usize, &Values)| {
                let changes = other == Some(places.start + at);
                let value = if changes { changed } else { usual };
                value.replace('#', &row.to_string())
            };
            let values: Vec<_> = columns.iter().enumerate().map(value).collect();
            format!("({})", values.join(", "))
        };
        let rows: Vec<_> = (1..=4).map(row).collect();
        write!(
            sql,
            "TRUNCATE {table}; INSERT INTO {table} VALUES {};",
            rows.join(", ")
        )
        .unwrap();
    }
    sql
}

/// A column with its usual and its changed value; `#` is the row's number.
type Values = (&'static str, &'static str, &'static str);

const TABLES: [(&str, &[Values]); 5] = [
    (
        "public.tickets",
        &[
            ("id", "#", "#0"),
            ("subject", "'s#'", "'other #'"),
            ("body", "'{\"a\": #}'", "'[{\"a\": 7}, {\"b\": [#]}]'"),
            ("email", "'a#@example.com'", "'zz#@example.org'"),
            ("priority", "#", "7 - #"),
            ("status", "'open'", "'x'"),
            ("created_at", "'2020-01-0#'", "'2021-02-0#'"),
        ],
    ),
    (
        "public.comments",
        &[
            ("id", "#", "#0"),
            ("ticket_id", "#", "#1"),
            ("author", "'author#'", "'x'"),
            ("body", "'a#@example.com'", "'s#'"),
        ],
    ),
    (
        "public.drafts",
        &[
            ("id", "#", "#0"),
            ("body", "'<a><x>#</x></a>'", "'<a><x>n</x></a>'"),
        ],
    ),
    (
        "public.customers",
        &[
            ("id", "#", "#0"),
            ("name", "'name#'", "'x'"),
            ("email", "'a#@example.com'", "'yy#@example.org'"),
            ("phone", "'555-#'", "'#-999'"),
        ],
    ),
    (
        "billing.cards",
        &[
            ("id", "#", "#0"),
            ("holder", "'x'", "'holder#'"),
            ("number", "'4111#'", "'5500#'"),
            ("cvc", "'12#'", "'99#'"),
        ],
    ),
];

/// What changes by itself, or because rows are put anew.
const MOVING: [&str; 3] = ["xmin", "pg_class", "information_schema"];

/// The columns in the conditions of the views.
const HIDDEN: [(&str, &str); 3] = [
    ("tickets", "status"),
    ("tickets", "email"),
    ("customers", "email"),
];

/// The texts of `golden.txt`.
fn texts() -> Vec<String> {
    include_str!("golden.txt")
        .replace("\n|", " ")
        .lines()
        .filter_map(|line| line.strip_prefix("> "))
        // What is a comment's end there would swallow the rest here.
        .filter(|text| !text.contains("--"))
        .map(str::to_owned)
        .collect()
}

/// The results of a query on fresh data, as it is twice (to see what changes by itself) and then with
/// each column changed in turn.
fn results(server: &str, sql: &str, columns: &[usize]) -> Vec<Vec<Vec<String>>> {
    let variants = [None, None]
        .into_iter()
        .chain(columns.iter().copied().map(Some));
    let limited = format!("SELECT * FROM ({sql}) limited LIMIT 100");
    let sql = match sql.contains("recursive") {
        true => &limited,
        false => sql,
    };
    let script: String = variants
        .map(|other| {
            let changed = other.map(|other| data(Some(other))).unwrap_or_default();
            format!("BEGIN;{changed}\n\\echo \u{4}\n{sql};\nROLLBACK;\n")
        })
        .collect();
    // Some recursive queries do not end by themselves.
    let (out, errors) = psql(server, &format!("SET statement_timeout = '2s';{script}"));
    if errors.contains("57014") {
        return Vec::new();
    }
    out.split('\u{4}')
        .skip(1)
        .map(|result| {
            let rows = result.trim_matches('\n').split('\u{2}');
            rows.map(|row| row.split('\u{1}').map(str::to_owned).collect())
                .collect()
        })
        .collect()
}

/// Whatever a change of one column's values changes of a result was said to be made of it.
fn unsaid(server: &str, catalogue: &Catalogue) -> Vec<String> {
    let mut columns = Vec::new();
    for (table, of) in TABLES {
        let (schema, table) = table.split_once('.').unwrap();
        columns.extend(of.iter().map(|(column, ..)| Source {
            schema: schema.into(),
            table: table.into(),
            column: (*column).into(),
        }));
    }
    let mut wrong = Vec::new();
    let (mut compared, mut differed) = (0, 0);
    for sql in texts() {
        let Ok(statements) = classify(&sql, catalogue) else {
            continue;
        };
        let [statement] = statements.as_slice() else {
            continue;
        };
        // What a function does that needs a grant of its own is not known.
        let opaque = |action: &Action| action.verb == Verb::Execute;
        if statement.verb != "SELECT"
            || MOVING.iter().any(|word| sql.contains(word))
            || statement.actions.iter().any(opaque)
        {
            continue;
        }
        let reads_view = statement.actions.iter().any(|action| {
            let schema = action.resource.schema.as_deref().unwrap_or_default();
            let relation = catalogue.relation(schema, &action.resource.name);
            relation.is_some_and(|relation| relation.definition.is_some())
        });
        // A table that is named nowhere is not read, but for those behind a view.
        let named = |column: &Source| reads_view || sql.contains(&column.table);
        let places: Vec<_> = (0..columns.len())
            .filter(|at| named(&columns[*at]))
            .collect();
        let results = results(server, &sql, &places);
        let [usual, again, changed @ ..] = results.as_slice() else {
            continue;
        };
        if usual != again {
            continue;
        }
        let changes = places.iter().map(|at| &columns[*at]);
        for (column, result) in changes.zip(changed) {
            compared += 1;
            differed += usize::from(result != usual);
            if result == usual || statement.exposed_sources.contains(column) {
                continue;
            }
            // Which rows a view shows is its owner's choice, and shows as that.
            if reads_view && HIDDEN.contains(&(&*column.table, &*column.column)) {
                continue;
            }
            if result.len() != usual.len() {
                wrong.push(format!(
                    "{sql}\n  {column:?} changes how many rows there are"
                ));
            }
            for (row, before) in result.iter().zip(usual) {
                for (at, (cell, old)) in row.iter().zip(before).enumerate() {
                    let said = match &statement.outputs {
                        Outputs::Columns(columns) => columns
                            .get(at)
                            .is_some_and(|lineage| lineage.sources.contains(column)),
                        Outputs::Unknown => statement.touched.contains(column),
                        Outputs::None => false,
                    };
                    if cell != old && !said {
                        wrong.push(format!(
                            "{sql}\n  {column:?} changes result column {at}: {old} to {cell}"
                        ));
                    }
                }
            }
        }
    }
    println!("{compared} results compared, {differed} differ");
    assert!(compared > 1_000 && differed > 100, "{compared}, {differed}");
    wrong
}

#[test]
fn a_real_server_asks_for_and_returns_nothing_that_was_not_said() {
    let started = Throwaway::start(&Options::default()).unwrap_or_else(|error| panic!("{error}"));
    psql(
        &started.url("postgres"),
        "CREATE DATABASE bailiwick_oracle;",
    );
    let server = started.url("bailiwick_oracle");
    let (_, errors) = psql(&server, SETUP);
    assert_eq!(errors, "");
    psql(
        &server,
        "CREATE ROLE bailiwick_probe; GRANT CREATE ON SCHEMA public TO bailiwick_probe; \
         GRANT USAGE ON SCHEMA billing TO bailiwick_probe;",
    );
    let answers: Vec<_> = QUERIES.iter().map(|query| rows(&server, query)).collect();
    let catalogue = Catalogue::from_rows(&answers).unwrap();
    assert_eq!(catalogue.database(), "bailiwick_oracle");
    assert!(catalogue.relation("public", "tickets").is_some());
    assert!(catalogue.relation("pg_catalog", "pg_class").is_some());
    assert!(catalogue.visible_relation("Odd Name").is_some());

    let mut asked = 0;
    let mut wrong = Vec::new();
    for sql in texts() {
        let Ok(statements) = classify(&sql, &catalogue) else {
            continue;
        };
        let [statement] = statements.as_slice() else {
            continue;
        };
        let explained = match statement.verb {
            "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "MERGE" => format!("EXPLAIN {sql}"),
            "TRUNCATE" => sql.clone(),
            _ => continue,
        };
        asked += 1;
        let grants: String = statement.actions.iter().filter_map(grant).collect();
        let (_, errors) = psql(
            &server,
            &format!("BEGIN;{grants}SET LOCAL ROLE bailiwick_probe;{explained};ROLLBACK;"),
        );
        if std::env::var_os("BAILIWICK_TEST_VERBOSE").is_some() && !errors.is_empty() {
            println!("{sql}\n  {}", errors.lines().next().unwrap_or_default());
        }
        // Functions that were said to need a grant of their own may be refused.
        let known = statement.actions.iter().any(|action| {
            action.verb == Verb::Execute
                && errors.contains(&format!("denied for function {}\n", action.resource.name))
        });
        if errors.contains("42501") && !known {
            wrong.push(format!("{sql}\n  {}\n  {errors}", grants));
        }
        // As many columns as were said, where the server gives a result at all.
        if let Outputs::Columns(columns) = &statement.outputs
            && statement.verb == "SELECT"
        {
            let count = format!(
                "BEGIN;CREATE TEMP VIEW counted AS {sql};\
                 SELECT count(*) FROM pg_attribute WHERE attrelid = 'counted'::regclass AND attnum > 0;\
                 ROLLBACK;"
            );
            let (out, errors) = psql(&server, &count);
            if errors.is_empty()
                && out.trim_end_matches(['\n', '\u{2}']) != columns.len().to_string()
            {
                wrong.push(format!("{sql}\n  has {out} columns, not {}", columns.len()));
            }
        }
    }
    assert!(asked > 100, "only {asked} texts were asked");
    psql(&server, &data(None));
    wrong.extend(unsaid(&server, &catalogue));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
