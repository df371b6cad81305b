//! What a PostgreSQL statement does: its actions, what its results are made of, and what it changes of
//! the session. Pure: text and catalogue in, facts out.
//!
//! Complete by construction. The text is parsed with PostgreSQL's own grammar and the tree is walked
//! by hand: every kind of node has its place, a kind that has none is refused, and the fields of every
//! struct that is handled are listed, so that one more is a compile error. What is not understood is
//! a [`Refusal`], never an action less.

mod builtins;
mod catalogue;
mod copy;
#[cfg(test)]
mod corpus;
mod define;
mod expr;
mod flow;
mod from;
mod functions;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
mod json;
mod limits;
mod lookup;
mod names;
#[cfg(test)]
mod oracle;
mod parse;
mod queries;
#[cfg(test)]
mod resolve;
mod scope;
mod select;
mod settings;
mod titles;
mod types;
mod utility;
mod walk;
mod write;

pub use catalogue::{
    BadRow, Catalogue, Column, Function, Operator, Relation, RelationKind, Row, Volatility,
};
pub use copy::{CopyFormat, CopyOut};
pub use queries::QUERIES;
pub use settings::harmless_setting;

use std::collections::BTreeSet;

use bailiwick_action::Action;

/// What each statement of a text does, in order. A text without a statement (empty, or only comments)
/// has none.
///
/// The catalogue must be the session's own as it is now: it has to be read again after a definition or
/// the search path may have changed, also by a rollback or by the end of a transaction. The target must
/// read text as this parser does: PostgreSQL 15 or newer, a database and `client_encoding` in UTF8, and
/// `standard_conforming_strings` on. The gateway's own settings belong in the startup packet, since
/// `RESET` goes back to those.
pub fn classify(sql: &str, catalogue: &Catalogue) -> Result<Vec<Statement>, Refusal> {
    let parsed = parse::parse(sql)?;
    let mut walker = walk::Walker::new(catalogue);
    parsed
        .stmts
        .iter()
        .map(|raw| match &raw.stmt {
            Some(node) => walker.statement(node),
            None => walk::refuse("a statement with a gap where something is expected"),
        })
        .collect()
}

/// What a value of a type with this object id takes, where a statement is to be given one: the functions
/// that making it calls.
pub fn of_type(oid: u32, catalogue: &Catalogue) -> Vec<Action> {
    let functions = catalogue.made_by(oid).into_iter();
    functions
        .map(|(schema, name, function)| functions::execute(schema, name, function))
        .collect()
}

/// Why a text was not understood. The words are this crate's own and hold no literal of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What was not understood, and what to do instead.
    pub reason: String,
}

impl Refusal {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

/// What one statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The command, as PostgreSQL calls it: `SELECT`, `CREATE TABLE`, `EXPLAIN ANALYZE`, …
    pub verb: &'static str,
    /// Everything it does, sorted, one per class, verb and resource. Never empty: housekeeping is
    /// [`Action::session`].
    pub actions: Vec<Action>,
    /// What its result's columns are made of.
    pub outputs: Outputs,
    /// Every column that can show itself other than as a result column: in a condition, an ordering, a
    /// row count, or as the source of a write. Through views: the view's own columns and those they
    /// are made of.
    pub exposed_sources: BTreeSet<Source>,
    /// Those of them that show themselves only by a lookup: a table's own column in WHERE, compared for
    /// equality with a placeholder or a constant, and nothing but AND around that.
    pub looked_up: BTreeSet<Source>,
    /// Every column that is read at all, through views in the same way. With [`Outputs::Unknown`], each
    /// result column has to be taken as made of all of these.
    pub touched: BTreeSet<Source>,
    /// What the session must know of it.
    pub kind: StatementKind,
}

impl Statement {
    /// A statement that does nothing but housekeeping.
    pub fn housekeeping(verb: &'static str, kind: StatementKind, outputs: Outputs) -> Self {
        Self {
            verb,
            actions: vec![Action::session()],
            outputs,
            exposed_sources: BTreeSet::new(),
            looked_up: BTreeSet::new(),
            touched: BTreeSet::new(),
            kind,
        }
    }

    /// Whether it can change anything on the target.
    pub fn has_effect(&self) -> bool {
        self.actions.iter().any(|action| action.class.has_effect())
    }
}

/// What the columns of a statement's result are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outputs {
    /// It returns no rows.
    None,
    /// Each result column, in order.
    Columns(Vec<Lineage>),
    /// It returns rows whose columns cannot be told here; take each as made of everything that the
    /// statement has [touched](Statement::touched).
    Unknown,
}

/// What one result column is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// Every column that its value depends on; nothing for a constant.
    pub sources: BTreeSet<Source>,
    /// The OID of its type, where that is plainly a column's; else zero.
    pub type_oid: u32,
}

/// A column of a relation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// The relation's schema; empty if the relation could not be resolved.
    pub schema: String,
    /// The relation's name.
    pub table: String,
    /// The column's name; `*` where any of them may be meant.
    pub column: String,
}

/// What the session must know of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatementKind {
    /// Nothing.
    Plain,
    /// It starts a transaction.
    Begin,
    /// It commits.
    Commit {
        /// And starts the next transaction at once.
        chain: bool,
    },
    /// It rolls back.
    Rollback {
        /// And starts the next transaction at once.
        chain: bool,
    },
    /// It sets a savepoint.
    Savepoint {
        /// The savepoint's name.
        name: String,
    },
    /// It forgets a savepoint.
    Release {
        /// The savepoint's name.
        name: String,
    },
    /// It rolls back to a savepoint.
    RollbackTo {
        /// The savepoint's name.
        name: String,
    },
    /// It prepares a statement. The actions are those of the inner statement.
    Prepare {
        /// The prepared statement's name.
        name: String,
        /// What executing it does and returns.
        inner: Box<Statement>,
    },
    /// It executes a prepared statement, whose actions come on top.
    Execute {
        /// The prepared statement's name.
        name: String,
    },
    /// It forgets a prepared statement.
    Deallocate {
        /// Its name; nothing for all of them.
        name: Option<String>,
    },
    /// It opens a cursor. The actions and outputs are those of the cursor's query, for `FETCH` too.
    Declare {
        /// The cursor's name.
        cursor: String,
    },
    /// It fetches from a cursor (or moves it), whose actions come on top.
    Fetch {
        /// The cursor's name.
        cursor: String,
    },
    /// It closes a cursor.
    Close {
        /// Its name; nothing for all of them.
        cursor: Option<String>,
    },
    /// It reads rows from the agent.
    CopyIn,
    /// It sends rows to the agent, as a text or file would have them.
    CopyOut(CopyOut),
    /// It forgets prepared statements, cursors and settings: `DISCARD ALL`.
    Discard,
    /// It sets or resets a setting.
    Set {
        /// The setting; nothing for all of them.
        name: Option<String>,
    },
}
