use std::fmt;

use bailiwick_action::{Kind, Resource};

use crate::name::Pattern;
use crate::request::RequestPattern;
use crate::uri::UriPattern;

/// What one entry of a grant covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Covered {
    /// What has a name: all that PostgreSQL has; tools, prompts and features of an MCP server.
    Named(Pattern),
    /// Requests to an HTTP target.
    Requests(RequestPattern),
    /// Resources of an MCP server.
    Uris(UriPattern),
}

impl Covered {
    /// What has this one name, in no schema.
    pub(crate) fn one(kind: Kind, name: String) -> Self {
        Self::Named(Pattern {
            kind,
            schema: None,
            name: Some(name),
        })
    }

    /// The kind of what it covers.
    pub fn kind(&self) -> Kind {
        match self {
            Covered::Named(pattern) => pattern.kind,
            Covered::Requests(_) => Kind::Request,
            Covered::Uris(_) => Kind::Uri,
        }
    }

    /// Whether the resource is among it.
    pub fn covers(&self, resource: &Resource) -> bool {
        match self {
            Covered::Named(pattern) => pattern.covers(resource),
            Covered::Requests(pattern) => pattern.covers(resource),
            Covered::Uris(pattern) => {
                resource.kind == Kind::Uri
                    && resource.schema.is_none()
                    && pattern.covers(&resource.name)
            }
        }
    }

    /// The pattern of names, where it is one.
    pub fn named(&self) -> Option<&Pattern> {
        match self {
            Covered::Named(pattern) => Some(pattern),
            Covered::Requests(_) | Covered::Uris(_) => None,
        }
    }
}

/// As it is written in a task file.
impl fmt::Display for Covered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Covered::Named(pattern) => pattern.fmt(f),
            Covered::Requests(pattern) => pattern.fmt(f),
            Covered::Uris(pattern) => pattern.fmt(f),
        }
    }
}

/// Whether patterns and conditions decide, before Cedar is asked, which entries of grants cover a
/// resource of this kind: Cedar gets the entries' names.
pub(crate) fn is_matched(kind: Kind) -> bool {
    match kind {
        Kind::Feature | Kind::Prompt | Kind::Request | Kind::Tool | Kind::Uri => true,
        Kind::Function | Kind::Object | Kind::Role | Kind::Setting | Kind::Table | Kind::Target => {
            false
        }
    }
}
