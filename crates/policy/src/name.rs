use std::fmt;

use bailiwick_action::{Kind, Resource};

use crate::limits::MAX_NAME;

/// The resources of a target that one entry of a grant covers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern {
    /// Their kind.
    pub kind: Kind,
    /// Their schema. Nothing for kinds without one.
    pub schema: Option<String>,
    /// The one name, exactly as the catalogue spells it; nothing where the whole schema is meant.
    pub name: Option<String>,
}

/// Schemas of the target's own, where each name is another matter.
const SYSTEM_SCHEMAS: [&str; 3] = ["pg_catalog", "information_schema", "pg_toast"];

impl Pattern {
    /// Reads `schema.name` or `schema.*`. A part with a dot in it is written in double quotes, as in
    /// SQL, but names are never folded to lower case.
    pub(crate) fn in_schema(kind: Kind, text: &str) -> Result<Self, InvalidName> {
        let parts = split(text)?;
        let (schema, name) = match parts.as_slice() {
            [schema, name] => (schema, name),
            [name] => return Err(InvalidName::NoSchema(name.to_string())),
            _ => return Err(InvalidName::Parts),
        };
        if schema.is_star() {
            return Err(InvalidName::EverySchema);
        }
        if name.is_star() && SYSTEM_SCHEMAS.contains(&&*schema.text) {
            return Err(InvalidName::SystemSchema(schema.text.clone()));
        }
        Ok(Self {
            kind,
            schema: Some(schema.exact()?),
            name: if name.is_star() {
                None
            } else {
                Some(name.exact()?)
            },
        })
    }

    /// Reads the name of a role, setting or other object without a schema.
    pub(crate) fn plain(kind: Kind, text: &str) -> Result<Self, InvalidName> {
        Ok(Self {
            kind,
            schema: None,
            name: Some(Part::plain(text).exact()?),
        })
    }

    /// Whether the resource is one of these.
    pub fn covers(&self, resource: &Resource) -> bool {
        self.kind == resource.kind
            && self.schema == resource.schema
            && self.name.as_ref().is_none_or(|name| *name == resource.name)
    }
}

/// As it is written in a task file: `public.tickets`, `public.*`, `"odd.schema".t`, `work_mem`.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{}.", Quoted(schema))?;
        }
        match (&self.schema, &self.name) {
            (_, None) => f.write_str("*"),
            (Some(_), Some(name)) => Quoted(name).fmt(f),
            (None, Some(name)) => f.write_str(name),
        }
    }
}

/// A column that a mask names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Column {
    /// Its table's schema.
    pub schema: String,
    /// Its table.
    pub table: String,
    /// Its own name.
    pub name: String,
}

impl Column {
    /// Reads `schema.table.column`.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidName> {
        match split(text)?.as_slice() {
            [schema, table, name] => Ok(Self {
                schema: schema.exact()?,
                table: table.exact()?,
                name: name.exact()?,
            }),
            _ => Err(InvalidName::NotAColumn),
        }
    }
}

/// Text that names nothing a task can grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidName {
    #[error("`{0}` has no schema; write the schema too, as in \"public.{0}\"")]
    NoSchema(String),
    #[error("it has too many parts; write \"schema.name\", and a part with a dot in double quotes")]
    Parts,
    #[error("write \"schema.table.column\", as in \"public.tickets.email\"")]
    NotAColumn,
    #[error("every schema at once cannot be granted; name one, as in \"public.*\"")]
    EverySchema,
    #[error(
        "everything of {0} at once cannot be granted: beside what clients look up there, it has what other sessions run, passwords' verifiers, and statistics with values of columns; name what is needed (docs/postgres-clients.md has a list for each client)"
    )]
    SystemSchema(String),
    #[error(
        "`*` stands only for every name of one schema, as in \"public.*\", not for part of a name or for a column"
    )]
    Star,
    #[error("a part of the name is empty")]
    Empty,
    #[error("a part of the name is longer than {MAX_NAME} bytes")]
    TooLong,
    #[error("the name holds a control character or begins or ends with a space")]
    Character,
    #[error("a double quote opens a part but does not close it at the part's end")]
    Quote,
}

/// Checks the name of a column by itself.
pub(crate) fn column(text: &str) -> Result<String, InvalidName> {
    Part::plain(text).exact()
}

/// A name as a task file would have to write it as part of a dotted name.
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains('.') || self.0.starts_with('"') {
            write!(f, "\"{}\"", self.0.replace('"', "\"\""))
        } else {
            f.write_str(self.0)
        }
    }
}

struct Part {
    text: String,
    quoted: bool,
}

impl Part {
    fn plain(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            quoted: false,
        }
    }

    fn is_star(&self) -> bool {
        !self.quoted && self.text == "*"
    }

    /// The part as one exact name.
    fn exact(&self) -> Result<String, InvalidName> {
        let text = &self.text;
        if text.is_empty() {
            Err(InvalidName::Empty)
        } else if text.len() > MAX_NAME {
            Err(InvalidName::TooLong)
        } else if text.chars().any(char::is_control)
            || (!self.quoted && text.trim().len() != text.len())
        {
            Err(InvalidName::Character)
        } else if text == "*" || (!self.quoted && text.contains('*')) {
            // A call uses `*` for what it could not name, so nothing may be granted under that name.
            Err(InvalidName::Star)
        } else {
            Ok(text.clone())
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Quoted(&self.text).fmt(f)
    }
}

fn split(text: &str) -> Result<Vec<Part>, InvalidName> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => closing(quoted)?,
            None => {
                let (name, after) = match rest.split_once('.') {
                    Some((name, after)) => (name, Some(after)),
                    None => (rest, None),
                };
                (Part::plain(name), after)
            }
        };
        parts.push(part);
        match after {
            Some(after) => rest = after,
            None => return Ok(parts),
        }
    }
}

/// Reads a quoted part after its opening quote, and what follows the dot behind it.
fn closing(quoted: &str) -> Result<(Part, Option<&str>), InvalidName> {
    let mut text = String::new();
    let mut rest = quoted;
    loop {
        let (before, after) = rest.split_once('"').ok_or(InvalidName::Quote)?;
        text.push_str(before);
        if let Some(after) = after.strip_prefix('"') {
            text.push('"');
            rest = after;
            continue;
        }
        let after = match after.strip_prefix('.') {
            Some(after) => Some(after),
            None if after.is_empty() => None,
            None => return Err(InvalidName::Quote),
        };
        return Ok((Part { text, quoted: true }, after));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<Pattern, InvalidName> {
        Pattern::in_schema(Kind::Table, text)
    }

    #[test]
    fn names_are_exact_and_round_trip() {
        for text in [
            "public.tickets",
            "public.*",
            "Public.Tickets",
            "\"odd.schema\".t",
            "public.\"\"\"]; permit(principal, action, resource);.\"",
            "public.it's",
        ] {
            assert_eq!(table(text).unwrap().to_string(), text);
        }
        let odd = table("public.\"\"\"];.\"").unwrap();
        assert_eq!(odd.name.as_deref(), Some("\"];."));
    }

    #[test]
    fn anything_else_is_refused() {
        use InvalidName as E;
        for (text, error) in [
            ("tickets", E::NoSchema("tickets".into())),
            ("a.b.c", E::Parts),
            ("*.*", E::EverySchema),
            ("*.tickets", E::EverySchema),
            ("pg_catalog.*", E::SystemSchema("pg_catalog".into())),
            (
                "\"information_schema\".*",
                E::SystemSchema("information_schema".into()),
            ),
            ("pg_toast.*", E::SystemSchema("pg_toast".into())),
            ("public.t*", E::Star),
            ("public.\"*\"", E::Star),
            ("public.", E::Empty),
            (".tickets", E::Empty),
            ("public. tickets", E::Character),
            ("public.a\nb", E::Character),
            ("\"public.tickets", E::Quote),
            ("\"]; permit(principal,action,resource);", E::Quote),
            ("\"public\"x.tickets", E::Quote),
        ] {
            assert_eq!(table(text), Err(error), "{text}");
        }
        assert_eq!(
            table(&format!("public.{}", "x".repeat(257))),
            Err(E::TooLong)
        );
        assert_eq!(Column::parse("tickets.email"), Err(E::NotAColumn));
        assert_eq!(Column::parse("public.tickets.*"), Err(E::Star));
    }

    #[test]
    fn a_pattern_covers_its_own_kind_and_schema_only() {
        let all = table("public.*").unwrap();
        assert!(all.covers(&Resource::table("public", "tickets")));
        assert!(!all.covers(&Resource::table("billing", "cards")));
        assert!(!all.covers(&Resource::function("public", "tickets")));
    }
}
