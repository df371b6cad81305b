use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The kind of authority an action needs. Read, write, destroy and admin are granted separately and
/// none implies another. [`Class::Session`] is the housekeeping of a connection (`BEGIN`, `SHOW`, …):
/// it touches no resource and comes with any grant on the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Housekeeping of the connection itself.
    Session,
    /// Looks at data.
    Read,
    /// Adds or changes data.
    Write,
    /// Removes data: delete, truncate, drop.
    Destroy,
    /// Changes definitions, roles, settings or the server.
    Admin,
}

impl Class {
    /// Whether a call of this class can change anything on the target; such a call reaches the
    /// target only after its record is durable.
    pub fn has_effect(self) -> bool {
        matches!(self, Class::Write | Class::Destroy | Class::Admin)
    }

    /// The lower-case name, as written in a task file.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Session => "session",
            Class::Read => "read",
            Class::Write => "write",
            Class::Destroy => "destroy",
            Class::Admin => "admin",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an action does to its resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Change a definition (`ALTER`, `COMMENT`, `CREATE OR REPLACE` of what exists, …).
    Alter,
    /// Make a new object.
    Create,
    /// Remove rows.
    Delete,
    /// Remove an object.
    Drop,
    /// Run a function, procedure or tool, or let a server use a feature of its client. Its class depends on
    /// what is run.
    Execute,
    /// Get what an MCP server offers to be read: a resource or a prompt.
    Get,
    /// Change who may do what, or who exists.
    Grant,
    /// Add rows.
    Insert,
    /// Lock rows or a table against others.
    Lock,
    /// Maintain the server or its storage (`VACUUM`, `CHECKPOINT`, server files and programs).
    Maintain,
    /// Send an HTTP request. Its class depends on its method, or on what the task says of it.
    Request,
    /// Look at rows.
    Select,
    /// Housekeeping of the connection: transactions, cursors, harmless settings.
    Session,
    /// Change a setting that changes what other calls mean or may do.
    Set,
    /// Remove all rows.
    Truncate,
    /// Change rows.
    Update,
}

impl Verb {
    /// Every verb, in alphabetical order.
    pub const ALL: [Verb; 16] = [
        Verb::Alter,
        Verb::Create,
        Verb::Delete,
        Verb::Drop,
        Verb::Execute,
        Verb::Get,
        Verb::Grant,
        Verb::Insert,
        Verb::Lock,
        Verb::Maintain,
        Verb::Request,
        Verb::Select,
        Verb::Session,
        Verb::Set,
        Verb::Truncate,
        Verb::Update,
    ];

    /// The class of the verb, or nothing where it depends on the resource ([`Verb::Execute`],
    /// [`Verb::Request`]).
    pub fn class(self) -> Option<Class> {
        Some(match self {
            Verb::Alter | Verb::Create | Verb::Grant | Verb::Maintain | Verb::Set => Class::Admin,
            Verb::Delete | Verb::Drop | Verb::Truncate => Class::Destroy,
            Verb::Execute | Verb::Request => return None,
            Verb::Insert | Verb::Lock | Verb::Update => Class::Write,
            Verb::Get | Verb::Select => Class::Read,
            Verb::Session => Class::Session,
        })
    }

    /// The lower-case name, as written in a task file.
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Alter => "alter",
            Verb::Create => "create",
            Verb::Delete => "delete",
            Verb::Drop => "drop",
            Verb::Execute => "execute",
            Verb::Get => "get",
            Verb::Grant => "grant",
            Verb::Insert => "insert",
            Verb::Lock => "lock",
            Verb::Maintain => "maintain",
            Verb::Request => "request",
            Verb::Select => "select",
            Verb::Session => "session",
            Verb::Set => "set",
            Verb::Truncate => "truncate",
            Verb::Update => "update",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A verb's name that is none of [`Verb::ALL`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVerb(pub String);

impl fmt::Display for UnknownVerb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no verb is called `{}`", self.0)
    }
}

impl std::error::Error for UnknownVerb {}

impl FromStr for Verb {
    type Err = UnknownVerb;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Verb::ALL
            .into_iter()
            .find(|verb| verb.as_str() == name)
            .ok_or_else(|| UnknownVerb(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_parses_back_from_its_name() {
        for verb in Verb::ALL {
            assert_eq!(verb.as_str().parse(), Ok(verb));
        }
        assert!("SELECT".parse::<Verb>().is_err());
    }

    #[test]
    fn removing_data_is_never_a_write() {
        for verb in [Verb::Delete, Verb::Drop, Verb::Truncate] {
            assert_eq!(verb.class(), Some(Class::Destroy));
        }
    }
}
