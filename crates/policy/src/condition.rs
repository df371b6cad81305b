use std::fmt;

use bailiwick_action::{Fact, Facts, Input};

use crate::number::Number;

/// What a request or a tool call has to have at one place, for the grant that says so to cover it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The place.
    pub input: Input,
    /// What every value there has to be; all of it.
    pub(crate) tests: Vec<Test>,
    /// Whether there may be no value at all.
    pub optional: bool,
}

/// What one value has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// One of these.
    In(Vec<Scalar>),
    /// A text like this.
    Like(Like),
    /// A number of at least this.
    Min(Number),
    /// A number of at most this.
    Max(Number),
    /// A text of at most so many characters.
    MaxLength(usize),
}

/// A value that a task file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Text(String),
    Number(Number),
    Bool(bool),
}

/// A text in which `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Like(pub(crate) String);

impl Condition {
    /// Whether a call with these facts meets it. A place that was not looked at meets nothing, and a value
    /// of another type than the condition is about meets nothing.
    pub(crate) fn met(&self, facts: &Facts) -> bool {
        match facts.get(&self.input).map(Vec::as_slice) {
            None => false,
            Some([]) => self.optional,
            Some(values) => values.iter().all(|value| self.judge(value) == Some(true)),
        }
    }

    /// Whether a call with these facts might meet it, as the target reads it: there is no value, so the
    /// target takes one of its own, or one value meets it, or it cannot be told.
    pub(crate) fn might_be_met(&self, facts: &Facts) -> bool {
        match facts.get(&self.input).map(Vec::as_slice) {
            None | Some([]) => true,
            Some(values) => values.iter().any(|value| self.judge(value) != Some(false)),
        }
    }

    /// Nothing where it cannot be told, because the value is of another type.
    fn judge(&self, value: &Fact) -> Option<bool> {
        let mut met = true;
        for test in &self.tests {
            met &= test.judge(value)?;
        }
        Some(met)
    }
}

impl Test {
    fn judge(&self, value: &Fact) -> Option<bool> {
        match (self, value) {
            (Test::In(listed), value) => {
                let mut same_type = false;
                for one in listed {
                    match one.equals(value) {
                        Some(true) => return Some(true),
                        Some(false) => same_type = true,
                        None => {}
                    }
                }
                same_type.then_some(false)
            }
            (Test::Like(like), Fact::Text(text)) => Some(like.matches(text)),
            (Test::MaxLength(most), Fact::Text(text)) => Some(text.chars().count() <= *most),
            (Test::Min(least), Fact::Number(text)) => Some(Number::parse(text)? >= *least),
            (Test::Max(most), Fact::Number(text)) => Some(Number::parse(text)? <= *most),
            (Test::Like(_) | Test::MaxLength(_) | Test::Min(_) | Test::Max(_), _) => None,
        }
    }
}

impl Scalar {
    /// Nothing where the two are of different types: text is never a number.
    fn equals(&self, value: &Fact) -> Option<bool> {
        match (self, value) {
            (Scalar::Text(one), Fact::Text(other)) => Some(one == other),
            (Scalar::Number(one), Fact::Number(other)) => Some(*one == Number::parse(other)?),
            (Scalar::Bool(one), Fact::Bool(other)) => Some(one == other),
            _ => None,
        }
    }
}

impl Like {
    fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|start| text.strip_prefix(start)) else {
            return false;
        };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            // The first place will do: whatever follows has the most room behind it.
            match rest.find(part).and_then(|at| rest.get(at + part.len()..)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        true
    }
}

impl Condition {
    /// `visibility`, `query parameter notify`: its place, as people call it.
    pub(crate) fn place(&self) -> String {
        match &self.input {
            Input::Field(path) => {
                let path = path.to_string();
                match path.strip_prefix("$.") {
                    Some(name) if !name.starts_with('.') => name.to_owned(),
                    _ => path,
                }
            }
            Input::Query(_) => self.input.to_string(),
        }
    }

    /// `"internal" or "public"`, `at least 1 and at most 3`: what a value has to be.
    pub(crate) fn wanted(&self) -> String {
        let tests: Vec<String> = self.tests.iter().map(ToString::to_string).collect();
        tests.join(" and ")
    }
}

/// `visibility is "internal"`, `priority, if given, is at least 1 and at most 3`.
impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = if self.optional { ", if given," } else { "" };
        write!(f, "{}{given} is {}", self.place(), self.wanted())
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Test::In(listed) => {
                let listed: Vec<String> = listed.iter().map(ToString::to_string).collect();
                match listed.as_slice() {
                    [first @ .., last] if !first.is_empty() => {
                        write!(f, "{} or {last}", first.join(", "))
                    }
                    other => f.write_str(&other.concat()),
                }
            }
            Test::Like(Like(text)) => write!(f, "like {}", Scalar::Text(text.clone())),
            Test::Min(least) => write!(f, "at least {least}"),
            Test::Max(most) => write!(f, "at most {most}"),
            Test::MaxLength(most) => write!(f, "no longer than {most} characters"),
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Scalar::Text(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
            Scalar::Number(number) => number.fmt(f),
            Scalar::Bool(value) => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (like, text, matches) in [
            ("C-*", "C-1", true),
            ("C-*", "C-", true),
            ("C-*", "c-1", false),
            ("C-*", "XC-1", false),
            ("*", "", true),
            ("C", "C", true),
            ("C", "CC", false),
            ("*@acme.com", "a@acme.com@evil.com", false),
            ("*@acme.com", "a@evil.com@acme.com", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("ab*ba", "aba", false),
            ("a**b", "ab", true),
            ("", "", true),
            ("", "x", false),
            ("é*", "éa", true),
        ] {
            assert_eq!(Like(like.into()).matches(text), matches, "{like} {text}");
        }
    }
}
