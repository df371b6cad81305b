//! Reading a TOML document key by key, collecting every problem with its place.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::limits::{MAX_ENTRIES, MAX_LIST};
use crate::problem::{Place, Problem, nearest};

/// A document that is being read, and what was found wrong with it.
pub(crate) struct Document<'a> {
    file: Arc<Path>,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Document<'a> {
    pub(crate) fn new(file: &Path, text: &'a str) -> Self {
        Self {
            file: file.into(),
            text,
            problems: RefCell::default(),
        }
    }

    /// The document as a tree; nothing if it is not TOML, and then the problems say why.
    pub(crate) fn parse(&self) -> Option<DeTable<'a>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = error.span().unwrap_or_default();
            // The parser's messages span lines; a problem is one line.
            let message = error.message().lines().collect::<Vec<_>>().join("; ");
            self.report(&at, "", format!("not valid TOML: {message}"));
        }
        errors.is_empty().then(|| table.into_inner())
    }

    pub(crate) fn place(&self, at: &Range<usize>) -> Place {
        Place::of_byte(&self.file, self.text, at.start)
    }

    pub(crate) fn report(&self, at: &Range<usize>, key: &str, message: impl Into<String>) {
        self.report_nearest(at, key, message, None);
    }

    pub(crate) fn report_nearest(
        &self,
        at: &Range<usize>,
        key: &str,
        message: impl Into<String>,
        nearest: Option<&str>,
    ) {
        self.problems.borrow_mut().push(Problem {
            place: self.place(at),
            key: key.to_owned(),
            message: message.into(),
            nearest: nearest.map(str::to_owned),
        });
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) at: Range<usize>,
}

/// One table of a document, whose keys are all known.
pub(crate) struct Section<'d, 'a> {
    pub(crate) document: &'d Document<'a>,
    /// Where its header stands.
    pub(crate) at: Range<usize>,
    table: &'d DeTable<'a>,
    path: String,
}

impl<'d, 'a> Section<'d, 'a> {
    /// The document's top level.
    pub(crate) fn top(
        document: &'d Document<'a>,
        table: &'d DeTable<'a>,
        known: &[&'static str],
    ) -> Self {
        Self::new(document, table, String::new(), 0..0, known)
    }

    /// The top level of a document whose keys are names of the writer's own.
    pub(crate) fn open(document: &'d Document<'a>, table: &'d DeTable<'a>) -> Self {
        Self {
            document,
            at: 0..0,
            table,
            path: String::new(),
        }
    }

    fn new(
        document: &'d Document<'a>,
        table: &'d DeTable<'a>,
        path: String,
        at: Range<usize>,
        known: &[&'static str],
    ) -> Self {
        let section = Self {
            document,
            at,
            table,
            path,
        };
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                document.report_nearest(
                    &key.span(),
                    &section.key(name),
                    "this key is not known",
                    nearest(name, known.iter().copied()),
                );
            }
        }
        section
    }

    /// The full name of one of its keys, for a problem.
    pub(crate) fn key(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Reports a problem with the value of a key, or with the table where the key is absent.
    pub(crate) fn report(&self, name: &str, message: impl Into<String>) {
        let at = match self.table.get(name) {
            Some(value) => value.span(),
            None => self.at.clone(),
        };
        self.document.report(&at, &self.key(name), message);
    }

    /// Its keys, in the order of their names.
    pub(crate) fn keys(&self) -> Vec<At<&'d str>> {
        let key = |key: &'d Spanned<DeString<'a>>| At {
            value: key.get_ref().as_ref(),
            at: key.span(),
        };
        self.table.keys().map(key).collect()
    }

    /// Any value.
    pub(crate) fn value(&self, name: &str) -> Option<At<&'d DeValue<'a>>> {
        let value = self.table.get(name)?;
        Some(At {
            value: value.get_ref(),
            at: value.span(),
        })
    }

    /// The table of this name; reports any other type. `known` are its keys, if they are not names of the
    /// writer's own.
    pub(crate) fn table(
        &self,
        name: &str,
        known: Option<&[&'static str]>,
    ) -> Option<Section<'d, 'a>> {
        let value = self.table.get(name)?;
        let DeValue::Table(table) = value.get_ref() else {
            self.report(name, wrong_type("a table", value.get_ref()));
            return None;
        };
        let (path, at) = (self.key(name), value.span());
        Some(match known {
            Some(known) => Self::new(self.document, table, path, at, known),
            None => Self {
                document: self.document,
                at,
                table,
                path,
            },
        })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    /// A string; reports any other type.
    pub(crate) fn string(&self, name: &str) -> Option<At<&'d str>> {
        let value = self.table.get(name)?;
        match value.get_ref() {
            DeValue::String(text) => Some(At {
                value: text.as_ref(),
                at: value.span(),
            }),
            other => {
                self.report(name, wrong_type("a string", other));
                None
            }
        }
    }

    /// A boolean, which is false where it is absent; reports any other type.
    pub(crate) fn boolean(&self, name: &str) -> bool {
        match self.table.get(name).map(|value| value.get_ref()) {
            None => false,
            Some(DeValue::Boolean(value)) => *value,
            Some(other) => {
                self.report(name, wrong_type("true or false", other));
                false
            }
        }
    }

    /// A string; reports if it is absent.
    pub(crate) fn required_string(&self, name: &str, why: &str) -> Option<At<&'d str>> {
        if !self.has(name) {
            self.report(name, format!("this key is missing: {why}"));
        }
        self.string(name)
    }

    /// A list of different strings with at least one in it.
    pub(crate) fn strings(&self, name: &str) -> Option<Vec<At<&'d str>>> {
        let value = self.table.get(name)?;
        let DeValue::Array(array) = value.get_ref() else {
            self.report(name, wrong_type("a list of strings", value.get_ref()));
            return None;
        };
        if array.is_empty() {
            self.report(
                name,
                "the list is empty; name something or leave the key out",
            );
            return None;
        }
        if array.len() > MAX_LIST {
            self.report(name, format!("the list has more than {MAX_LIST} values"));
            return None;
        }
        let mut strings: Vec<At<&'d str>> = Vec::with_capacity(array.len());
        for item in array.iter() {
            let at = item.span();
            let DeValue::String(text) = item.get_ref() else {
                let message = wrong_type("a string", item.get_ref());
                self.document.report(&at, &self.key(name), message);
                continue;
            };
            let value = text.as_ref();
            if strings.iter().any(|other| other.value == value) {
                let message = format!("{value:?} is listed twice");
                self.document.report(&at, &self.key(name), message);
                continue;
            }
            strings.push(At { value, at });
        }
        Some(strings)
    }

    /// The key-value pairs of a table whose values are strings, such as `[env]`.
    pub(crate) fn pairs(&self, name: &str) -> Vec<(At<&'d str>, At<&'d str>)> {
        let Some(value) = self.table.get(name) else {
            return Vec::new();
        };
        let DeValue::Table(table) = value.get_ref() else {
            self.report(name, wrong_type("a table", value.get_ref()));
            return Vec::new();
        };
        if table.len() > MAX_LIST {
            self.report(name, format!("the table has more than {MAX_LIST} keys"));
            return Vec::new();
        }
        let mut pairs = Vec::with_capacity(table.len());
        for (key, value) in table {
            let path = format!("{}.{}", self.key(name), key.get_ref());
            match value.get_ref() {
                DeValue::String(text) => pairs.push((
                    At {
                        value: key.get_ref().as_ref(),
                        at: key.span(),
                    },
                    At {
                        value: text.as_ref(),
                        at: value.span(),
                    },
                )),
                other => {
                    let message = wrong_type("a string", other);
                    self.document.report(&value.span(), &path, message);
                }
            }
        }
        pairs
    }

    /// The tables of `[[name]]`.
    pub(crate) fn sections(&self, name: &str, known: &[&'static str]) -> Vec<Section<'d, 'a>> {
        let Some(value) = self.table.get(name) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            let brackets = format!("it has to be written [[{name}]], with two brackets");
            self.report(name, brackets);
            return Vec::new();
        };
        if array.len() > MAX_ENTRIES {
            self.report(name, format!("there are more than {MAX_ENTRIES} of them"));
            return Vec::new();
        }
        let mut sections = Vec::with_capacity(array.len());
        for (index, item) in array.iter().enumerate() {
            let path = format!("{}[{}]", self.key(name), index + 1);
            match item.get_ref() {
                DeValue::Table(table) => {
                    let at = item.span();
                    sections.push(Section::new(self.document, table, path, at, known));
                }
                other => {
                    let message = wrong_type("a table", other);
                    self.document.report(&item.span(), &path, message);
                }
            }
        }
        sections
    }
}

/// What is said of a value of the wrong type.
pub(crate) fn wrong_type(wanted: &str, found: &DeValue<'_>) -> String {
    format!(
        "it has to be {wanted}, not a value of type {}",
        found.type_str()
    )
}
