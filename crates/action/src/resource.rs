use std::fmt;

use serde::Serialize;

/// What sort of thing a [`Resource`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Something that an MCP server asks of its client: `sampling`, `elicitation`, `roots`.
    Feature,
    /// A function, procedure or aggregate.
    Function,
    /// Any other named object of the target: an index, type, extension, schema, file, program, …
    Object,
    /// A prompt of an MCP server, by name.
    Prompt,
    /// An HTTP request, by method and path: `GET /customers/42`. The path is the target's own, without its
    /// base and without the query, in the one spelling that [`crate::Resource::request`] names.
    Request,
    /// A role or user of the target.
    Role,
    /// A setting of the session, role, database or server.
    Setting,
    /// A table, view, materialised view, foreign table or sequence.
    Table,
    /// The target as a whole.
    Target,
    /// A tool of an MCP server, by name.
    Tool,
    /// A resource of an MCP server, by its URI.
    Uri,
}

impl Kind {
    /// The lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Feature => "feature",
            Kind::Function => "function",
            Kind::Object => "object",
            Kind::Prompt => "prompt",
            Kind::Request => "request",
            Kind::Role => "role",
            Kind::Setting => "setting",
            Kind::Table => "table",
            Kind::Target => "target",
            Kind::Tool => "tool",
            Kind::Uri => "uri",
        }
    }
}

/// What an action is done to, named as the target itself would resolve it. The target's own name is
/// the call's, not repeated here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Resource {
    /// What sort of thing it is.
    pub kind: Kind,
    /// The schema it lives in. Nothing for kinds without one; empty where it could not be resolved
    /// (then no grant matches).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Its name within the schema, exactly as the catalogue spells it (case kept, no quotes).
    pub name: String,
}

impl Resource {
    /// A table, view or sequence.
    pub fn table(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind: Kind::Table,
            schema: Some(schema.into()),
            name: name.into(),
        }
    }

    /// A function or procedure.
    pub fn function(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            kind: Kind::Function,
            schema: Some(schema.into()),
            name: name.into(),
        }
    }

    /// A kind without a schema.
    pub fn named(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            schema: None,
            name: name.into(),
        }
    }

    /// An HTTP request. `method` is in upper case. `path` begins with `/`, has no query, and is spelled one
    /// way only: every byte that RFC 3986 calls unreserved stands for itself and every other is
    /// percent-encoded in upper case, `/` alone separates segments, and no segment is empty (but the last),
    /// `.` or `..`.
    pub fn request(method: &str, path: &str) -> Self {
        Self::named(Kind::Request, format!("{method} {path}"))
    }

    /// For a request: its method and its path.
    pub fn method_and_path(&self) -> Option<(&str, &str)> {
        match self.kind {
            Kind::Request => self.name.split_once(' '),
            _ => None,
        }
    }

    /// The target as a whole.
    pub fn target() -> Self {
        Self::named(Kind::Target, "")
    }
}

/// `public.tickets`, `function public.f`, `setting work_mem`, `the target`.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Target => return f.write_str("the target"),
            Kind::Table | Kind::Request => {}
            Kind::Feature
            | Kind::Function
            | Kind::Object
            | Kind::Prompt
            | Kind::Role
            | Kind::Setting
            | Kind::Tool
            | Kind::Uri => {
                write!(f, "{} ", self.kind.as_str())?;
            }
        }
        match &self.schema {
            Some(schema) if !schema.is_empty() => write!(f, "{schema}.{}", self.name),
            _ => f.write_str(&self.name),
        }
    }
}
