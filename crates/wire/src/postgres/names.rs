//! What a session has named on its target: prepared statements, portals and cursors. A name is
//! registered when the target says that it exists, and looked up through what is still on its way.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::cover::Cover;
use super::rows::Described;
use super::waiting::Reported;
use crate::limits::{NAMES_BYTES_MAX, NAMES_MAX};
use crate::sql::{Outputs, Statement};

/// A statement that the target has prepared.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What it does.
    pub(crate) statement: Statement,
    /// Its text as the agent wrote it.
    pub(crate) text: String,
    /// The types that its Parse gave its placeholders.
    pub(crate) types: Vec<u32>,
    /// How the target read its constants.
    pub(crate) reported: Arc<Reported>,
    /// It reads a masked column.
    pub(crate) reads_masked: bool,
    /// Its result columns, once the target has described them.
    pub(crate) columns: OnceLock<Vec<Described>>,
}

/// Bytes that a name takes beside its text.
const NAME_COST: usize = 256;

/// Bytes that one column takes in what is known of a statement.
const COLUMN_COST: usize = 128;

impl Prepared {
    /// About how many bytes it takes.
    pub(crate) fn held(&self) -> usize {
        let statement = &self.statement;
        let outputs = match &statement.outputs {
            Outputs::Columns(columns) => columns.iter().map(|of| 1 + of.sources.len()).sum(),
            Outputs::None | Outputs::Unknown => 0,
        };
        let columns = statement.exposed_sources.len() + statement.touched.len() + outputs;
        let types = self.types.len() * size_of::<u32>();
        NAME_COST + self.text.len() + types + columns * COLUMN_COST
    }

    pub(crate) fn new(
        statement: Statement,
        text: String,
        types: Vec<u32>,
        cover: &Cover,
        reported: Arc<Reported>,
    ) -> Arc<Self> {
        Arc::new(Self {
            types,
            reported,
            reads_masked: super::calls::reads_masked(&statement, cover),
            statement,
            text,
            columns: OnceLock::new(),
        })
    }
}

/// A statement whose results can be fetched: a portal of the extended protocol or an SQL cursor
/// (PostgreSQL keeps both under one set of names).
#[derive(Clone, Debug)]
pub(crate) struct Portal {
    /// What is fetched.
    pub(crate) prepared: Arc<Prepared>,
    /// The values bound to it, as text.
    pub(crate) values: Vec<Option<String>>,
    /// A digest of how they were sent: the same text may be two values, by its type and its format.
    pub(crate) sense: [u8; 32],
    /// The formats asked for its columns: none for all text, one for all, or one for each.
    pub(crate) formats: Vec<bool>,
    /// It was made by SQL, and does not end with its transaction as far as we can see.
    pub(crate) cursor: bool,
}

impl Portal {
    /// About how many bytes it takes; its statement counts by itself.
    pub(crate) fn held(&self) -> usize {
        let values: usize = self.values.iter().flatten().map(String::len).sum();
        let slots = self.values.len() * size_of::<Option<String>>() + self.formats.len();
        NAME_COST + values + slots
    }
}

/// A change to the names, made when the target confirms it.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Prepare(String, Arc<Prepared>),
    Deallocate(Option<String>),
    Open(String, Arc<Portal>),
    Close(Option<String>),
    DiscardAll,
}

/// The names of a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Arc<Portal>>,
}

impl Names {
    pub(crate) fn statement(&self, name: &str) -> Option<&Arc<Prepared>> {
        self.statements.get(name)
    }

    pub(crate) fn portal(&self, name: &str) -> Option<&Arc<Portal>> {
        self.portals.get(name)
    }

    pub(crate) fn is_full(&self) -> bool {
        let statements = self.statements.values().map(|prepared| prepared.held());
        let portals = self
            .portals
            .values()
            .map(|portal| portal.held() + portal.prepared.held());
        self.statements.len() >= NAMES_MAX
            || self.portals.len() >= NAMES_MAX
            || statements.chain(portals).sum::<usize>() >= NAMES_BYTES_MAX
    }

    /// The target confirmed the change, so whatever had the name before is gone.
    pub(crate) fn confirm(&mut self, change: Change) {
        match change {
            Change::Prepare(name, prepared) => {
                self.statements.insert(name, prepared);
            }
            Change::Deallocate(Some(name)) => {
                self.statements.remove(&name);
            }
            Change::Deallocate(None) => self.statements.clear(),
            Change::Open(name, portal) => {
                self.portals.insert(name, portal);
            }
            Change::Close(Some(name)) => {
                self.portals.remove(&name);
            }
            Change::Close(None) => self.portals.clear(),
            Change::DiscardAll => {
                self.statements.clear();
                self.portals.clear();
            }
        }
    }

    /// The change as it will be if everything before it succeeds. A name that seems to be taken is
    /// forgotten instead: either the target refuses, and skips whatever relies on it, or the name
    /// was freed unseen (with its transaction), and then it would be wrong to go by the old meaning.
    pub(crate) fn foresee(&mut self, change: Change) {
        match change {
            Change::Prepare(name, _) if !name.is_empty() && self.statements.contains_key(&name) => {
                self.statements.remove(&name);
            }
            Change::Open(name, _) if !name.is_empty() && self.portals.contains_key(&name) => {
                self.portals.remove(&name);
            }
            change => self.confirm(change),
        }
    }

    /// The transaction is over: its portals are gone.
    pub(crate) fn transaction_over(&mut self) {
        self.portals.retain(|_, portal| portal.cursor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::StatementKind;

    fn prepared(text: &str) -> Arc<Prepared> {
        Arc::new(Prepared {
            statement: Statement::housekeeping("SELECT", StatementKind::Plain, Outputs::None),
            text: text.into(),
            types: Vec::new(),
            reported: Arc::default(),
            reads_masked: false,
            columns: OnceLock::new(),
        })
    }

    #[test]
    fn a_name_that_seems_taken_means_nothing_until_the_target_says() {
        let mut names = Names::default();
        names.confirm(Change::Prepare("s".into(), prepared("one")));
        let mut foreseen = names.clone();
        foreseen.foresee(Change::Prepare("s".into(), prepared("two")));
        assert!(foreseen.statement("s").is_none());
        names.foresee(Change::Deallocate(Some("s".into())));
        names.foresee(Change::Prepare("s".into(), prepared("two")));
        assert_eq!(names.statement("s").unwrap().text, "two");
        names.foresee(Change::Prepare(String::new(), prepared("a")));
        names.foresee(Change::Prepare(String::new(), prepared("b")));
        assert_eq!(names.statement("").unwrap().text, "b");
    }
}
