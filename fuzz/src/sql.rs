//! The statements that the made-up target understands, and what it makes of them. Everything else is a
//! syntax error to it.

use bailiwick_wire::sql::QUERIES;

use crate::catalogue::{CONTACTS, TICKETS};

/// In every value of the masked column, and in nothing else. No detector finds it.
pub(crate) const CANARY: &str = "canary";

/// What is made of the masked column where only a number fits.
pub(crate) const CANARY_NUMBER: i32 = 0x5EC2_E75A;

/// The same as text.
pub(crate) const CANARY_TEXT: &[u8] = b"1589831514";

/// A result column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) table: u32,
    pub(crate) number: i16,
    pub(crate) type_oid: u32,
    pub(crate) value: &'static str,
}

const fn column(table: u32, number: i16, type_oid: u32, value: &'static str) -> Column {
    Column {
        table,
        number,
        type_oid,
        value,
    }
}

const ID: Column = column(TICKETS, 1, 23, "7");
const SUBJECT: Column = column(TICKETS, 2, 25, "plain");
const EMAIL: Column = column(TICKETS, 3, 25, CANARY);
const MADE: Column = column(0, 0, 25, CANARY);

/// Statements with a result, what it has, and the command's tag.
pub(crate) const RESULTS: &[(&str, &[Column], &str)] = &[
    ("SELECT id FROM tickets", &[ID], "SELECT"),
    ("SELECT id, email FROM tickets", &[ID, EMAIL], "SELECT"),
    ("SELECT email AS id FROM tickets", &[EMAIL], "SELECT"),
    ("SELECT subject FROM tickets", &[SUBJECT], "SELECT"),
    ("SELECT subject AS email FROM tickets", &[SUBJECT], "SELECT"),
    ("SELECT * FROM tickets", &[ID, SUBJECT, EMAIL], "SELECT"),
    ("TABLE tickets", &[ID, SUBJECT, EMAIL], "SELECT"),
    (
        "SELECT upper(email), id FROM tickets",
        &[MADE, ID],
        "SELECT",
    ),
    (
        "SELECT length(subject), char_length(email) FROM tickets",
        &[column(0, 0, 23, "5"), column(0, 0, 23, "1589831514")],
        "SELECT",
    ),
    (
        "SELECT json_agg(email) FROM tickets",
        &[column(0, 0, 114, "[\"canary\"]")],
        "SELECT",
    ),
    (
        "SELECT t FROM tickets t",
        &[column(0, 0, 16_500, "(7,plain,canary)")],
        "SELECT",
    ),
    (
        "SELECT array_agg(email) FROM tickets",
        &[column(0, 0, 1009, "{canary}")],
        "SELECT",
    ),
    (
        "SELECT contact FROM contacts",
        &[column(CONTACTS, 2, 25, CANARY)],
        "SELECT",
    ),
    (
        "SELECT who FROM deep",
        &[column(2002, 1, 25, CANARY)],
        "SELECT",
    ),
    (
        "SELECT email FROM tickets WHERE id = $1",
        &[EMAIL],
        "SELECT",
    ),
    (
        "UPDATE tickets SET subject = $1 RETURNING email",
        &[EMAIL],
        "UPDATE",
    ),
    ("VALUES (1)", &[column(0, 0, 23, "1")], "SELECT"),
    (
        "SELECT holder FROM billing.cards",
        &[column(1002, 2, 25, "x")],
        "SELECT",
    ),
];

/// Statements without a result, and the command's tag.
pub(crate) const CHANGES: &[(&str, &str)] = &[
    ("UPDATE tickets SET subject = 'x'", "UPDATE 1"),
    ("DELETE FROM comments", "DELETE 0"),
    ("CREATE TABLE extra (id int)", "CREATE TABLE"),
    ("SET statement_timeout = '1s'", "SET"),
];

/// A statement.
#[derive(Clone, Debug)]
pub(crate) enum Sql {
    /// It has a result: by its place in [`RESULTS`].
    Result(usize),
    /// It has none, and this tag.
    Change(&'static str),
    /// One of the gateway's own questions.
    Own(usize),
    Begin,
    Commit,
    Rollback,
    Savepoint(String),
    RollbackTo(String),
    Release(String),
    Prepare(String, Box<Sql>),
    Execute(String),
    Deallocate(Option<String>),
    Declare(String, usize, bool),
    Fetch(String),
    Close(Option<String>),
    DiscardAll,
    CopyIn,
    Empty,
    /// It is not understood.
    Wrong,
}

impl Sql {
    /// The statements of a text.
    pub(crate) fn all(text: &str) -> Vec<Sql> {
        let parts = text.split(';').map(str::trim);
        let all: Vec<_> = parts
            .filter(|part| !part.is_empty())
            .map(Sql::one)
            .collect();
        match all.is_empty() {
            true => vec![Sql::Empty],
            false => all,
        }
    }

    fn one(text: &str) -> Sql {
        if let Some(at) = RESULTS.iter().position(|(known, ..)| *known == text) {
            return Sql::Result(at);
        }
        if let Some((_, tag)) = CHANGES.iter().find(|(known, _)| *known == text) {
            return Sql::Change(tag);
        }
        if let Some(at) = QUERIES.iter().position(|known| *known == text) {
            return Sql::Own(at);
        }
        let (head, inner) = match text.split_once(" AS ").or(text.split_once(" FOR ")) {
            Some((head, inner)) => (head, Some(Sql::one(inner))),
            None => (text, None),
        };
        let words: Vec<_> = head.split(' ').collect();
        match (words.as_slice(), inner) {
            (["PREPARE", name], Some(inner)) => Sql::Prepare(folded(name), Box::new(inner)),
            (["DECLARE", name, "CURSOR"], Some(Sql::Result(at))) => {
                Sql::Declare(folded(name), at, false)
            }
            (["DECLARE", name, "CURSOR", "WITH", "HOLD"], Some(Sql::Result(at))) => {
                Sql::Declare(folded(name), at, true)
            }
            (["BEGIN"], None) => Sql::Begin,
            (["COMMIT"], None) => Sql::Commit,
            (["ROLLBACK"], None) => Sql::Rollback,
            (["SAVEPOINT", name], None) => Sql::Savepoint(folded(name)),
            (["ROLLBACK", "TO", name], None) => Sql::RollbackTo(folded(name)),
            (["RELEASE", name], None) => Sql::Release(folded(name)),
            (["EXECUTE", name], None) => Sql::Execute(folded(name)),
            (["DEALLOCATE", "ALL"], None) => Sql::Deallocate(None),
            (["DEALLOCATE", name], None) => Sql::Deallocate(Some(folded(name))),
            (["FETCH", "ALL", "FROM", name], None) => Sql::Fetch(folded(name)),
            (["CLOSE", "ALL"], None) => Sql::Close(None),
            (["CLOSE", name], None) => Sql::Close(Some(folded(name))),
            (["DISCARD", "ALL"], None) => Sql::DiscardAll,
            (["COPY", "comments", "FROM", "STDIN"], None) => Sql::CopyIn,
            _ => Sql::Wrong,
        }
    }

    /// Whether it may show a value of the masked column.
    pub(crate) fn is_secret(&self) -> bool {
        match self {
            Sql::Result(at) => RESULTS[*at]
                .1
                .iter()
                .any(|column| column.value.contains(CANARY) || column.value == "1589831514"),
            _ => false,
        }
    }
}

/// A name as PostgreSQL reads it.
fn folded(name: &str) -> String {
    match name
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'))
    {
        Some(quoted) => quoted.to_owned(),
        None => name.to_ascii_lowercase(),
    }
}
