//! The classifier beside a real PostgreSQL, with statements by chance. A role holds exactly what a scope
//! grants: whatever the classifier finds to be within the scope, the server must not refuse to that role.
//! And whatever runs at all, the tables it really touched must be among what was said of it.
//!
//! `BAILIWICK_TEST_SEED` is the seed, `BAILIWICK_TEST_STATEMENTS` how many statements are made.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by a panic"
)]

mod generate;
mod touched;

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_action::{Action, Kind, Verb};
use bailiwick_throwaway::{Options, Throwaway};
use bailiwick_wire::sql::{Catalogue, QUERIES, Row, Statement, classify};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use generate::{Generator, Random};
use touched::Reach;

const SETUP: &str = include_str!("setup.sql");

/// What the scope grants: tables to read, with their columns; nothing for all.
const READ: &[(&str, &[&str])] = &[
    ("public.tickets", &[]),
    ("public.comments", &[]),
    ("public.people", &["id", "name"]),
    ("public.events", &[]),
    ("public.open_tickets", &[]),
    ("public.holders", &[]),
    ("public.ticket_stats", &[]),
    ("public.Odd Name", &[]),
];

/// What it grants to write, by verb.
const WRITE: &[(Verb, &str, &[&str])] = &[
    (Verb::Insert, "public.comments", &[]),
    (Verb::Insert, "public.events", &[]),
    (Verb::Update, "public.tickets", &["priority", "subject"]),
    (Verb::Update, "public.comments", &[]),
    (Verb::Update, "public.events", &[]),
    (Verb::Update, "public.open_tickets", &[]),
    (Verb::Delete, "public.comments", &[]),
    (Verb::Truncate, "public.comments", &[]),
    (Verb::Lock, "public.comments", &[]),
    (Verb::Lock, "public.events", &[]),
];

/// Functions that it grants.
const EXECUTE: &[&str] = &["public.shout", "public.summary", "public.recent"];

fn number(variable: &str, otherwise: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(otherwise, |text| text.parse().expect(variable))
}

/// A server with the schema in it, and a connection.
async fn connect(server: &Throwaway) -> Client {
    let (client, connection) = tokio_postgres::connect(&server.url("postgres"), NoTls)
        .await
        .expect("a connection");
    tokio::spawn(connection);
    client
}

async fn rows(client: &Client, sql: &str) -> Result<Vec<Row>, tokio_postgres::Error> {
    let messages = client.simple_query(sql).await?;
    let cells = |row: &tokio_postgres::SimpleQueryRow| {
        (0..row.len())
            .map(|at| row.get(at).map(str::to_owned))
            .collect()
    };
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(cells(row)),
            _ => None,
        })
        .collect())
}

async fn catalogue(client: &Client) -> Catalogue {
    let mut answers = Vec::new();
    for query in QUERIES {
        answers.push(rows(client, query).await.expect("the catalogue"));
    }
    Catalogue::from_rows(&answers).expect("a catalogue")
}

fn quoted(name: &str) -> String {
    let (schema, name) = name.split_once('.').expect("a schema");
    format!("\"{schema}\".\"{name}\"")
}

/// The scope in the server's own words.
fn grants() -> String {
    let mut sql = String::new();
    let mut grant = |right: &str, table: &str, columns: &[&str]| {
        let columns = match columns {
            [] => String::new(),
            some => format!(" ({})", some.join(", ")),
        };
        sql.push_str(&format!(
            "GRANT {right}{columns} ON {} TO probe;",
            quoted(table)
        ));
    };
    for (table, columns) in READ {
        grant("SELECT", table, columns);
    }
    for (verb, table, columns) in WRITE {
        match verb {
            Verb::Insert => grant("INSERT", table, columns),
            Verb::Update => grant("UPDATE", table, columns),
            Verb::Delete => grant("DELETE", table, columns),
            Verb::Truncate => grant("TRUNCATE", table, columns),
            // The server wants a right to write for a lock.
            Verb::Lock => grant("UPDATE", table, columns),
            verb => panic!("{verb:?} is not granted by the server"),
        }
    }
    sql.push_str("GRANT EXECUTE ON FUNCTION shout(text), recent(int), summary(tickets), summary(comments) TO probe;");
    sql
}

fn name(action: &Action) -> String {
    let schema = action.resource.schema.as_deref().unwrap_or_default();
    format!("{schema}.{}", action.resource.name)
}

/// Whether the scope grants an action.
fn granted(action: &Action) -> bool {
    let covers = |columns: &[&str]| {
        columns.is_empty()
            || action
                .columns
                .iter()
                .all(|column| columns.contains(&&**column))
    };
    let named = name(action);
    match (action.verb, action.resource.kind) {
        (Verb::Session, _) => true,
        (Verb::Select, Kind::Table) => READ
            .iter()
            .any(|(table, columns)| *table == named && covers(columns)),
        (Verb::Execute, _) => EXECUTE.contains(&&*named),
        (verb, Kind::Table) => WRITE
            .iter()
            .any(|(of, table, columns)| *of == verb && *table == named && covers(columns)),
        _ => false,
    }
}

/// What is wrong with what was said of a statement.
struct Checker {
    client: Client,
    catalogue: Catalogue,
    reach: Reach,
    tally: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

impl Checker {
    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    async fn check(&mut self, sql: &str) {
        let statements = match classify(sql, &self.catalogue) {
            Ok(statements) => statements,
            Err(_) => return self.count("not understood"),
        };
        let [statement] = statements.as_slice() else {
            return;
        };
        self.count("understood");
        if statement.actions.iter().all(granted) {
            self.count("within the scope");
            self.as_probe(sql, statement).await;
        }
        self.as_owner(sql, statement).await;
    }

    /// What is within the scope, the server lets the role do.
    async fn as_probe(&mut self, sql: &str, statement: &Statement) {
        let begin = "BEGIN; SET LOCAL ROLE probe";
        self.client
            .batch_execute(begin)
            .await
            .expect("a transaction");
        match self.client.simple_query(sql).await {
            Ok(_) => self.count("run within the scope"),
            Err(error) => {
                if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
                    self.wrong.push(format!(
                        "the server refuses what is said to be within the scope: {sql}\n  {error:?}\n  {:?}",
                        statement.actions
                    ));
                }
            }
        }
        self.client
            .batch_execute("ROLLBACK")
            .await
            .expect("its end");
    }

    /// What a statement touches when nothing stops it was said of it.
    async fn as_owner(&mut self, sql: &str, statement: &Statement) {
        self.client
            .batch_execute("BEGIN")
            .await
            .expect("a transaction");
        let before = touched::counters(&self.client).await;
        let ran = self.client.simple_query(sql).await;
        let mut touched = BTreeSet::new();
        if ran.is_ok() {
            self.count("run");
            touched = touched::since(&before, &touched::counters(&self.client).await);
        }
        self.client
            .batch_execute("ROLLBACK")
            .await
            .expect("its end");
        if ran.is_ok() {
            touched.extend(touched::planned(&self.client, sql).await);
        }
        let may = self.reach.of(&statement.actions);
        let more: Vec<_> = touched.difference(&may).collect();
        if !more.is_empty() {
            self.wrong.push(format!(
                "it touches what was not said: {sql}\n  {more:?}\n  {:?}",
                statement.actions
            ));
        }
        if !touched.is_empty() {
            self.count("touched something");
        }
    }
}

#[tokio::test]
async fn what_is_said_of_a_statement_is_what_the_server_asks_for_and_touches() {
    let seed = number("BAILIWICK_TEST_SEED", 1);
    let statements = number("BAILIWICK_TEST_STATEMENTS", 3_000);
    println!("seed {seed}, {statements} statements");
    let server = Throwaway::start(&Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let client = connect(&server).await;
    client.batch_execute(SETUP).await.expect("the schema");
    client.batch_execute(&grants()).await.expect("the grants");
    let catalogue = catalogue(&client).await;
    let reach = Reach::learn(&client).await;
    client
        .batch_execute("SET statement_timeout = '2s'; SET client_min_messages = error")
        .await
        .expect("settings");
    let mut checker = Checker {
        client,
        catalogue,
        reach,
        tally: BTreeMap::new(),
        wrong: Vec::new(),
    };
    let mut generator = Generator::new(seed);
    let mut texts = vec![String::new()];
    for _ in 0..statements {
        let text = match generator.random.below(4) {
            0 => mixed(&texts, &mut generator.random),
            _ => generator.statement(),
        };
        checker.check(&text).await;
        assert!(
            checker.wrong.len() < 10,
            "seed {seed}:\n{}",
            checker.wrong.join("\n")
        );
        texts.push(text);
    }
    println!("{:?}", checker.tally);
    assert!(
        checker.wrong.is_empty(),
        "seed {seed}:\n{}",
        checker.wrong.join("\n")
    );
    // Chance alone must not make it a test of nothing.
    let share =
        |what| checker.tally.get(what).copied().unwrap_or_default() as u64 * 100 / statements;
    for (what, least) in [
        ("understood", 50),
        ("within the scope", 5),
        ("run within the scope", 3),
        ("run", 20),
        ("touched something", 15),
    ] {
        assert!(share(what) >= least, "{what}: {:?}", checker.tally);
    }
}

/// One text with a part of another in it, cut at words.
fn mixed(texts: &[String], random: &mut Random) -> String {
    let words = |random: &mut Random| -> Vec<&str> {
        texts[random.below(texts.len())].split(' ').collect()
    };
    let (one, other) = (words(random), words(random));
    let (at, from) = (random.below(one.len()), random.below(other.len()));
    let to = (from + 1 + random.below(6)).min(other.len());
    let mut mixed = one.clone();
    match random.below(3) {
        0 => drop(mixed.splice(at..at, other[from..to].iter().copied())),
        1 => drop(mixed.splice(at..=at, other[from..to].iter().copied())),
        _ => drop(mixed.remove(at)),
    }
    mixed.join(" ")
}
