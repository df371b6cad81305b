use std::fmt;

use serde::Serialize;

/// What sort of thing a [`Resource`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A function, procedure or aggregate.
    Function,
    /// Any other named object of the target: an index, type, extension, schema, file, program, …
    Object,
    /// A role or user of the target.
    Role,
    /// A setting of the session, role, database or server.
    Setting,
    /// A table, view, materialised view, foreign table or sequence.
    Table,
    /// The target as a whole.
    Target,
}

impl Kind {
    /// The lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Function => "function",
            Kind::Object => "object",
            Kind::Role => "role",
            Kind::Setting => "setting",
            Kind::Table => "table",
            Kind::Target => "target",
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
            Kind::Table => {}
            Kind::Function | Kind::Object | Kind::Role | Kind::Setting => {
                write!(f, "{} ", self.kind.as_str())?;
            }
        }
        match &self.schema {
            Some(schema) if !schema.is_empty() => write!(f, "{schema}.{}", self.name),
            _ => f.write_str(&self.name),
        }
    }
}
