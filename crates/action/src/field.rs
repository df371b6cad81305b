use std::fmt;

use serde::{Serialize, Serializer};

/// Where in a JSON value something stands: `$.customer.email`, `$.items[*].email`, `$..email`,
/// `$['odd name'].x`. A part of JSONPath (RFC 9535): member names, `[*]` for every element of an array,
/// and `..name` for every member of that name at any depth. An index into an array is not among it.
///
/// Names are compared exactly, as they are after their escapes are resolved.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(Vec<FieldStep>);

/// One step of a [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldStep {
    /// The member of this name.
    Member(String),
    /// Every element of an array.
    Elements,
    /// Every member of this name, at any depth.
    Descendant(String),
}

/// A text that is no [`FieldPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidPath {
    /// It does not begin with `$`, or names nothing behind it.
    Start,
    /// A name is missing behind a dot.
    NoName,
    /// A bracket holds neither `*` nor a name in single quotes.
    Bracket,
    /// More than [`FieldPath::STEPS_MAX`] steps, or more than [`FieldPath::BYTES_MAX`] bytes.
    TooLong,
    /// Something stands behind a name that begins no step.
    Rest,
}

impl fmt::Display for InvalidPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InvalidPath::Start => "a field begins with `$.`, as in \"$.customer.email\"",
            InvalidPath::NoName => "a name is missing behind a dot",
            InvalidPath::Bracket => {
                "brackets hold `*`, for every element, or a name in single quotes, as in \"$.items[*]['odd name']\""
            }
            InvalidPath::TooLong => "it is too long",
            InvalidPath::Rest => "what stands behind a name has to begin with `.` or `[`",
        })
    }
}

impl std::error::Error for InvalidPath {}

impl FieldPath {
    /// The most steps.
    pub const STEPS_MAX: usize = 16;

    /// The longest text of one, in bytes.
    pub const BYTES_MAX: usize = 512;

    /// Its steps; at least one.
    pub fn steps(&self) -> &[FieldStep] {
        &self.0
    }

    /// Reads one.
    ///
    /// # Errors
    /// If the text is none; says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidPath> {
        if text.len() > Self::BYTES_MAX {
            return Err(InvalidPath::TooLong);
        }
        let mut rest = text.strip_prefix('$').ok_or(InvalidPath::Start)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = if let Some(after) = rest.strip_prefix("..") {
                let (name, after) = name(after)?;
                (FieldStep::Descendant(name), after)
            } else if let Some(after) = rest.strip_prefix('.') {
                let (name, after) = name(after)?;
                (FieldStep::Member(name), after)
            } else if let Some(after) = rest.strip_prefix("[*]") {
                (FieldStep::Elements, after)
            } else if let Some(after) = rest.strip_prefix("['") {
                let (name, after) = quoted(after)?;
                (FieldStep::Member(name), after)
            } else if rest.starts_with('[') {
                return Err(InvalidPath::Bracket);
            } else if steps.is_empty() {
                return Err(InvalidPath::Start);
            } else {
                return Err(InvalidPath::Rest);
            };
            steps.push(step);
            if steps.len() > Self::STEPS_MAX {
                return Err(InvalidPath::TooLong);
            }
            rest = after;
        }
        if steps.is_empty() {
            return Err(InvalidPath::Start);
        }
        Ok(Self(steps))
    }
}

/// A bare name: everything up to the next `.` or `[`.
fn name(text: &str) -> Result<(String, &str), InvalidPath> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    match name {
        "" | "*" => Err(InvalidPath::NoName),
        name => Ok((name.to_owned(), after)),
    }
}

/// A name behind `['`, up to its `']`; a quote within is written `\'` and a backslash `\\`.
fn quoted(text: &str) -> Result<(String, &str), InvalidPath> {
    let mut name = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next().ok_or(InvalidPath::Bracket)? {
            '\'' => break,
            '\\' => match chars.next() {
                Some(escaped @ ('\'' | '\\')) => name.push(escaped),
                _ => return Err(InvalidPath::Bracket),
            },
            other => name.push(other),
        }
    }
    let after = chars.as_str().strip_prefix(']');
    Ok((name, after.ok_or(InvalidPath::Bracket)?))
}

/// As it is written in a task file; reads back as the same.
impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for step in &self.0 {
            match step {
                FieldStep::Elements => f.write_str("[*]")?,
                FieldStep::Descendant(name) => write!(f, "..{name}")?,
                FieldStep::Member(name)
                    if name.is_empty() || name == "*" || name.contains(['.', '[', '\'', '\\']) =>
                {
                    let name = name.replace('\\', "\\\\").replace('\'', "\\'");
                    write!(f, "['{name}']")?;
                }
                FieldStep::Member(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for FieldPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_back_as_the_same() {
        for text in [
            "$.email",
            "$.customer.email",
            "$.items[*].email",
            "$..email",
            "$[*].id",
            "$['odd.name'].x",
            "$['it\\'s']",
            "$['']",
        ] {
            assert_eq!(FieldPath::parse(text).unwrap().to_string(), text);
        }
        let same = FieldPath::parse("$['plain']").unwrap();
        assert_eq!(same, FieldPath::parse("$.plain").unwrap());
    }

    #[test]
    fn anything_else_is_refused() {
        use InvalidPath as E;
        for (text, error) in [
            ("email", E::Start),
            ("$", E::Start),
            ("", E::Start),
            ("$email", E::Start),
            ("$.", E::NoName),
            ("$.a..", E::NoName),
            ("$.*", E::NoName),
            ("$.a[0]", E::Bracket),
            ("$['a", E::Bracket),
            ("$['a'", E::Bracket),
            ("$['a']b", E::Rest),
            ("$.a[*]b", E::Rest),
        ] {
            assert_eq!(FieldPath::parse(text), Err(error), "{text}");
        }
        let deep = format!("${}", ".a".repeat(17));
        assert_eq!(FieldPath::parse(&deep), Err(E::TooLong));
    }
}
