use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::{Class, Facts, Resource, Verb};

/// One thing a call does: a verb on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Action {
    /// The authority it needs.
    pub class: Class,
    /// What it does.
    pub verb: Verb,
    /// What it does it to.
    pub resource: Resource,
    /// For a table: every column touched (read by a read, set by a write). `*` stands for columns
    /// that could not be named, and only a grant without a column list covers it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub columns: BTreeSet<String>,
    /// Those of `columns` whose value can show itself other than as an output column that masking
    /// covers: in a condition, an ordering, a grouping, or as the source of a write. A masked column
    /// here is a way to learn its value, so the call is denied.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub exposed: BTreeSet<String>,
    /// Those of `exposed` that show themselves only by being compared for equality with a value that
    /// the call brings along: whoever looks a row up by one knows it already, or guesses.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub looked_up: BTreeSet<String>,
    /// For a request or a tool call: what it has where the scope's conditions look.
    #[serde(skip)]
    pub facts: Facts,
}

impl Action {
    /// An action whose class follows from its verb; what depends on the resource ([`Verb::Execute`],
    /// [`Verb::Request`]) counts as a write (use [`Action::of_class`] where the class is known).
    pub fn new(verb: Verb, resource: Resource) -> Self {
        Self {
            class: verb.class().unwrap_or(Class::Write),
            verb,
            resource,
            columns: BTreeSet::new(),
            exposed: BTreeSet::new(),
            looked_up: BTreeSet::new(),
            facts: Facts::new(),
        }
    }

    /// Running a function, with the class its definition gives it.
    pub fn execute(class: Class, function: Resource) -> Self {
        Self::of_class(class, Verb::Execute, function)
    }

    /// An action of a verb whose class depends on its resource.
    pub fn of_class(class: Class, verb: Verb, resource: Resource) -> Self {
        Self {
            class,
            ..Self::new(verb, resource)
        }
    }

    /// Housekeeping of the connection.
    pub fn session() -> Self {
        Self::new(Verb::Session, Resource::target())
    }

    /// The same action, touching these columns too.
    pub fn with_columns<I, S>(mut self, columns: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        self.columns.extend(columns.into_iter().map(Into::into));
        self
    }
}

/// `select public.tickets (id, subject)`.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        let mut columns = self.columns.iter();
        if let Some(first) = columns.next() {
            write!(f, " ({first}")?;
            for column in columns {
                write!(f, ", {column}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}
