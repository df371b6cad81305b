//! Reading a TOML document key by key, collecting every problem with its place.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, nearest};
use super::sealed::Sealed;
use super::template::Template;

/// Where a secret is named in a value that takes none.
const NOT_FILLED_IN: &str = "`${…}` is not filled in here: secrets are named in a target's `url`, `auth` and `env`, in \
     `payload_key`, in `client_secret`, in a token's `secret`, and in the `url`, `secret` and `authorization` of \
     [notify]";

#[cfg(test)]
thread_local! {
    /// The keys that tables may have which were read, for the test that holds the documentation to them.
    pub(super) static KNOWN: RefCell<std::collections::BTreeSet<String>> = RefCell::default();
}

/// A document that is being read, and what was found wrong with it.
pub(super) struct Document<'a> {
    file: &'a Path,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Document<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str) -> Self {
        Self {
            file,
            text,
            problems: RefCell::default(),
        }
    }

    /// The document as a tree; nothing if it is not TOML, and then the problems say why.
    pub(super) fn parse(&self) -> Option<DeTable<'a>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            let at = error.span().unwrap_or_default();
            // The parser's messages span lines; a problem is one line.
            let message = error.message().lines().collect::<Vec<_>>().join("; ");
            self.report(&at, "", format!("not valid TOML: {message}"), None);
        }
        errors.is_empty().then(|| table.into_inner())
    }

    pub(super) fn problem(
        &self,
        at: &Range<usize>,
        key: &str,
        message: String,
        nearest: Option<&str>,
    ) -> Problem {
        Problem::at(self.file, self.text, at.start, key, message, nearest)
    }

    fn report(&self, at: &Range<usize>, key: &str, message: String, nearest: Option<&str>) {
        let problem = self.problem(at, key, message, nearest);
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// One table of a document, whose keys are all known.
pub(super) struct Section<'d, 'a> {
    document: &'d Document<'a>,
    table: &'d DeTable<'a>,
    path: String,
    /// Where its header stands.
    header: Range<usize>,
}

impl<'d, 'a> Section<'d, 'a> {
    /// The document's top level.
    pub(super) fn top(document: &'d Document<'a>, table: &'d DeTable<'a>, known: &[&str]) -> Self {
        Self::new(document, table, String::new(), 0..0, Some(known))
    }

    fn new(
        document: &'d Document<'a>,
        table: &'d DeTable<'a>,
        path: String,
        header: Range<usize>,
        known: Option<&[&str]>,
    ) -> Self {
        let section = Self {
            document,
            table,
            path,
            header,
        };
        #[cfg(test)]
        KNOWN.with_borrow_mut(|all| {
            all.extend(known.into_iter().flatten().map(|&key| key.to_owned()))
        });
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if let Some(known) = known
                && !known.contains(&name)
            {
                document.report(
                    &key.span(),
                    &section.key(name),
                    "this key is not known".into(),
                    nearest(name, known.iter().copied()),
                );
            }
        }
        section
    }

    /// The full name of one of its keys.
    pub(super) fn key(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// Where the value of a key stands, or the table where the key is absent.
    pub(super) fn at(&self, name: &str) -> Range<usize> {
        self.table
            .get(name)
            .map_or_else(|| self.header.clone(), Spanned::span)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.table.contains_key(name)
    }

    pub(super) fn report(&self, name: &str, message: impl Into<String>) {
        self.report_nearest(name, message, None);
    }

    pub(super) fn report_nearest(
        &self,
        name: &str,
        message: impl Into<String>,
        nearest: Option<&str>,
    ) {
        let (at, key) = (self.at(name), self.key(name));
        self.document.report(&at, &key, message.into(), nearest);
    }

    /// Reports a problem with the table as such.
    pub(super) fn report_itself(&self, message: impl Into<String>) {
        self.document
            .report(&self.header, &self.path, message.into(), None);
    }

    /// A string in which nothing is filled in.
    pub(super) fn plain(&self, name: &str) -> Option<&'d str> {
        let text = self.string(name)?;
        if text.contains("${") {
            self.report(name, NOT_FILLED_IN);
            return None;
        }
        Some(text)
    }

    /// A string in which nothing is filled in; reports if it is absent.
    pub(super) fn required(&self, name: &str, why: &str) -> Option<&'d str> {
        if !self.has(name) {
            self.report(name, format!("this key is missing: {why}"));
        }
        self.plain(name)
    }

    /// A string in which secrets may be named.
    pub(super) fn sealed(&self, name: &str) -> Option<Sealed> {
        match Template::parse(self.string(name)?) {
            Ok(template) => Some(Sealed::new(template, self.problem(name))),
            Err(message) => {
                self.report(name, message);
                None
            }
        }
    }

    /// The same; reports if it is absent.
    pub(super) fn required_sealed(&self, name: &str, why: &str) -> Option<Sealed> {
        if !self.has(name) {
            self.report(name, format!("this key is missing: {why}"));
        }
        self.sealed(name)
    }

    /// A problem with the value of a key that is yet to be said.
    fn problem(&self, name: &str) -> Problem {
        let (at, key) = (self.at(name), self.key(name));
        self.document.problem(&at, &key, String::new(), None)
    }

    /// The strings of a list, at least one and at most `max`.
    pub(super) fn list(&self, name: &str, max: usize) -> Option<Vec<String>> {
        let DeValue::Array(array) = self.table.get(name)?.get_ref() else {
            let found = self.table.get(name)?.get_ref();
            self.report(name, wrong_type("a list of strings", found));
            return None;
        };
        if array.is_empty() || array.len() > max {
            self.report(name, format!("it has to have 1 to {max} entries"));
            return None;
        }
        let mut list = Vec::new();
        for value in array.iter() {
            match value.get_ref() {
                DeValue::String(text) if text.contains("${") => {
                    self.report(name, NOT_FILLED_IN);
                    return None;
                }
                DeValue::String(text) => list.push(text.as_ref().to_owned()),
                other => {
                    self.report(name, wrong_type("a list of strings", other));
                    return None;
                }
            }
        }
        Some(list)
    }

    /// The same; reports if it is absent.
    pub(super) fn required_list(&self, name: &str, max: usize, why: &str) -> Option<Vec<String>> {
        if !self.has(name) {
            self.report(name, format!("this key is missing: {why}"));
        }
        self.list(name, max)
    }

    /// The names of its keys.
    pub(super) fn names(&self) -> impl Iterator<Item = &'d str> {
        self.table.keys().map(|key| key.get_ref().as_ref())
    }

    /// Yes or no.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.table.get(name)?.get_ref() {
            DeValue::Boolean(flag) => Some(*flag),
            other => {
                self.report(name, wrong_type("true or false", other));
                None
            }
        }
    }

    /// A number.
    pub(super) fn number(&self, name: &str, min: u32, max: u32) -> Option<u32> {
        let number = match self.table.get(name)?.get_ref() {
            DeValue::Integer(number) => u32::from_str_radix(number.as_str(), number.radix()).ok(),
            other => {
                self.report(name, wrong_type("a number", other));
                return None;
            }
        };
        let number = number.filter(|number| (min..=max).contains(number));
        if number.is_none() {
            self.report(name, format!("it has to be a number from {min} to {max}"));
        }
        number
    }

    /// A number of bytes, at most `max`.
    pub(super) fn bytes(&self, name: &str, max: usize) -> Option<usize> {
        let number = match self.table.get(name)?.get_ref() {
            DeValue::Integer(number) => usize::from_str_radix(number.as_str(), number.radix()).ok(),
            other => {
                self.report(name, wrong_type("a number of bytes", other));
                return None;
            }
        };
        let number = number.filter(|number| *number <= max);
        if number.is_none() {
            self.report(
                name,
                format!("it has to be a number of bytes from 0 to {max}"),
            );
        }
        number
    }

    /// A table.
    pub(super) fn section(&self, name: &str, known: &[&str]) -> Option<Section<'d, 'a>> {
        let (key, value) = self.table.get_key_value(name)?;
        self.table(key.span(), name, value, Some(known))
    }

    /// A table whose keys are not the configuration's own.
    pub(super) fn open_section(&self, name: &str) -> Option<Section<'d, 'a>> {
        let (key, value) = self.table.get_key_value(name)?;
        self.table(key.span(), name, value, None)
    }

    /// The tables of a table, by their names.
    pub(super) fn named_sections(
        &self,
        name: &str,
        known: &[&str],
    ) -> Vec<(&'d str, Section<'d, 'a>)> {
        let Some((key, value)) = self.table.get_key_value(name) else {
            return Vec::new();
        };
        let Some(outer) = self.table(key.span(), name, value, None) else {
            return Vec::new();
        };
        let table = outer.table;
        table
            .iter()
            .filter_map(|(key, value)| {
                let name = key.get_ref().as_ref();
                // The name stands in the header, which is a better place than the table's start.
                let section = outer.table(key.span(), name, value, Some(known))?;
                Some((name, section))
            })
            .collect()
    }

    /// The tables of a list of tables, `[[NAME]]`.
    pub(super) fn listed_sections(&self, name: &str, known: &[&str]) -> Vec<Section<'d, 'a>> {
        let Some(value) = self.table.get(name) else {
            return Vec::new();
        };
        let DeValue::Array(array) = value.get_ref() else {
            self.report(name, wrong_type("a list of tables", value.get_ref()));
            return Vec::new();
        };
        array
            .iter()
            .filter_map(|value| self.table(value.span(), name, value, Some(known)))
            .collect()
    }

    fn string(&self, name: &str) -> Option<&'d str> {
        match self.table.get(name)?.get_ref() {
            DeValue::String(text) => Some(text.as_ref()),
            other => {
                self.report(name, wrong_type("a string", other));
                None
            }
        }
    }

    fn table(
        &self,
        header: Range<usize>,
        name: &str,
        value: &'d Spanned<DeValue<'a>>,
        known: Option<&[&str]>,
    ) -> Option<Section<'d, 'a>> {
        match value.get_ref() {
            DeValue::Table(table) => {
                let path = self.key(name);
                Some(Section::new(self.document, table, path, header, known))
            }
            other => {
                self.report(name, wrong_type("a table", other));
                None
            }
        }
    }
}

fn wrong_type(wanted: &str, found: &DeValue<'_>) -> String {
    format!(
        "it has to be {wanted}, not a value of type {}",
        found.type_str()
    )
}
