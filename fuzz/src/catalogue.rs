//! What the made-up target has: as the answers to the gateway's own questions, and as what it makes of
//! them.

use std::sync::{Arc, OnceLock};

use bailiwick_wire::sql::{Catalogue, QUERIES, Row};

/// The table of tickets, and the view on it.
pub(crate) const TICKETS: u32 = 1000;
pub(crate) const CONTACTS: u32 = 2000;

type Relation = (
    u32,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
);

/// Relations: object id, schema, name, kind, columns, and what a view shows.
const RELATIONS: &[Relation] = &[
    (TICKETS, "public", "tickets", "r", "id subject email", None),
    (
        1001,
        "public",
        "comments",
        "r",
        "id ticket author body",
        None,
    ),
    (1002, "billing", "cards", "r", "id holder number", None),
    (1003, "public", "events", "p", "id at what", None),
    (1004, "public", "events_2024", "r", "id at what", None),
    (1005, "public", "remote", "f", "id payload", None),
    (
        1006,
        "public",
        "numbers",
        "S",
        "last_value log_cnt is_called",
        None,
    ),
    (1007, "public", "address", "c", "street city", None),
    (1008, "public", "Odd Name", "r", "id \"quoted\"", None),
    (
        CONTACTS,
        "public",
        "contacts",
        "v",
        "id contact",
        Some("SELECT id, email AS contact FROM tickets;"),
    ),
    (
        2001,
        "public",
        "stats",
        "m",
        "author n",
        Some("SELECT author, count(*) AS n FROM comments GROUP BY author;"),
    ),
    (
        2002,
        "public",
        "deep",
        "v",
        "who",
        Some("SELECT upper(contact) AS who FROM contacts;"),
    ),
    (2003, "public", "broken", "v", "x", Some("SELECT")),
    (
        2004,
        "public",
        "loop",
        "v",
        "x",
        Some("SELECT x FROM loop;"),
    ),
    (
        3000,
        "pg_catalog",
        "pg_class",
        "r",
        "oid relname relkind",
        None,
    ),
    (
        3001,
        "information_schema",
        "tables",
        "v",
        "table_schema table_name",
        None,
    ),
];

/// Functions: schema, name, volatility, language, whether it returns a set, whether an extension's.
const FUNCTIONS: &[[&str; 6]] = &[
    ["public", "touch", "v", "sql", "false", "false"],
    ["public", "score", "s", "plpgsql", "false", "false"],
    ["public", "recent", "s", "sql", "true", "false"],
    ["public", "lower", "i", "c", "false", "true"],
    ["public", "length", "i", "sql", "false", "false"],
    ["billing", "refund", "v", "sql", "false", "false"],
];

/// Operators: schema, name, volatility, language, whether an extension's.
const OPERATORS: &[[&str; 5]] = &[
    ["public", "===", "v", "sql", "false"],
    ["public", "=", "i", "c", "true"],
    ["billing", "<<<", "s", "sql", "false"],
];

/// The answers to [`bailiwick_wire::sql::QUERIES`], in their order.
pub(crate) fn answers() -> &'static [Vec<Row>] {
    static ANSWERS: OnceLock<Vec<Vec<Row>>> = OnceLock::new();
    ANSWERS.get_or_init(|| {
        let some = |text: &str| Some(text.to_owned());
        let rows = |rows: &[&[&str]]| -> Vec<Row> {
            rows.iter()
                .map(|row| row.iter().map(|cell| some(cell)).collect())
                .collect()
        };
        let relation = |(oid, schema, name, kind, _, definition): &Relation| {
            vec![
                Some(oid.to_string()),
                some(schema),
                some(name),
                some(kind),
                definition.map(str::to_owned),
            ]
        };
        let columns = RELATIONS.iter().flat_map(|(oid, _, _, _, columns, _)| {
            columns.split(' ').zip(1..).map(move |(name, number)| {
                vec![
                    Some(oid.to_string()),
                    Some(i16::to_string(&number)),
                    Some(name.to_owned()),
                    some(if name == "id" { "23" } else { "25" }),
                    some("false"),
                ]
            })
        });
        let functions: Vec<&[&str]> = FUNCTIONS.iter().map(|row| &row[..]).collect();
        let operators: Vec<&[&str]> = OPERATORS.iter().map(|row| &row[..]).collect();
        let mut all = vec![
            vec![vec![some("app"), some("svc"), None]],
            rows(&[&["pg_catalog"], &["public"]]),
            RELATIONS.iter().map(relation).collect(),
            columns.collect(),
            rows(&functions),
            rows(&operators),
            // A partition and its table; no generated columns.
            rows(&[&["1004", "1003"]]),
            Vec::new(),
        ];
        // It has nothing of whatever else is asked for.
        all.resize(QUERIES.len(), Vec::new());
        all
    })
}

/// What the gateway makes of it.
pub(crate) fn catalogue() -> &'static Arc<Catalogue> {
    static CATALOGUE: OnceLock<Arc<Catalogue>> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        let catalogue = Catalogue::from_rows(answers());
        Arc::new(catalogue.expect("a catalogue that can be read"))
    })
}
