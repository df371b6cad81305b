//! JSON as a message of this protocol is changed: with the place of every value in the text, so that what is
//! not changed goes on byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use crate::content::json::{self as content, NotJson, Type};

/// A value and where it stands.
#[derive(Debug)]
pub(super) struct Node<'a> {
    /// Its bytes in the text.
    pub(super) span: Range<usize>,
    /// What it is.
    pub(super) value: Value<'a>,
}

/// A JSON value.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    /// As written.
    Number(&'a str),
    /// After its escapes are resolved.
    Text(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<Member<'a>>),
}

/// A member of an object.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// Its name, after its escapes are resolved.
    pub(super) name: Cow<'a, str>,
    /// Where the name stands, with its quotes.
    pub(super) name_span: Range<usize>,
    /// Its value.
    pub(super) node: Node<'a>,
}

impl<'a> Node<'a> {
    /// The members, if it is an object.
    pub(super) fn members(&self) -> Option<&[Member<'a>]> {
        match &self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    pub(super) fn elements(&self) -> Option<&[Node<'a>]> {
        match &self.value {
            Value::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The member of this name, if it is an object that has one.
    pub(super) fn get(&self, name: &str) -> Option<&Node<'a>> {
        self.members()?
            .iter()
            .find(|member| member.name == name)
            .map(|member| &member.node)
    }

    /// What a chain of member names leads to.
    pub(super) fn path(&self, names: &[&str]) -> Option<&Node<'a>> {
        names.iter().try_fold(self, |node, name| node.get(name))
    }

    /// Its bytes in the text that it was read from.
    pub(super) fn raw<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.span.clone()).unwrap_or_default()
    }

    /// Whether a test holds for any text in it, member names among them.
    pub(super) fn any_text(&self, test: &dyn Fn(&str) -> bool) -> bool {
        match &self.value {
            Value::Text(text) => test(text),
            Value::Array(elements) => elements.iter().any(|node| node.any_text(test)),
            Value::Object(members) => members
                .iter()
                .any(|member| test(&member.name) || member.node.any_text(test)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

/// Reads a whole text.
///
/// # Errors
/// If it is not one JSON value, could be read in two ways, or is beyond a limit.
pub(super) fn read(text: &[u8]) -> Result<Node<'_>, NotJson> {
    let document = content::read_held(text)?;
    let text = str::from_utf8(text).map_err(|_| NotJson::Encoding)?;
    Ok(node(text, document.root()))
}

/// Where a part of a text stands in it.
fn span(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
    start..start + part.len()
}

fn node<'a>(text: &'a str, value: content::Value<'a>) -> Node<'a> {
    let span = span(text, value.raw());
    let read = match value.kind() {
        Type::Null => Value::Null,
        Type::Bool => Value::Bool(value.raw() == "true"),
        Type::Number => Value::Number(value.raw()),
        Type::String => Value::Text(value.text().unwrap_or_default()),
        Type::Array => Value::Array(value.elements().map(|value| node(text, value)).collect()),
        Type::Object => {
            let mut members: Vec<Member<'a>> = Vec::new();
            for member in value.members() {
                let node = node(text, member.value);
                // Its name stands between the value before and its own.
                let before = members.last().map_or(span.start, |last| last.node.span.end);
                let between = text.get(before..node.span.start).unwrap_or_default();
                let quotes = between.find('"').zip(between.rfind('"'));
                let (open, close) = quotes.unwrap_or_default();
                members.push(Member {
                    name: member.name,
                    name_span: before + open..before + close + 1,
                    node,
                });
            }
            Value::Object(members)
        }
    };
    Node { span, value: read }
}

/// Appends a text as a JSON string, in the one spelling of RFC 8785, section 3.2.2.2.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for char in text.chars() {
        match char {
            '"' => out.extend(b"\\\""),
            '\\' => out.extend(b"\\\\"),
            '\n' => out.extend(b"\\n"),
            '\r' => out.extend(b"\\r"),
            '\t' => out.extend(b"\\t"),
            '\u{8}' => out.extend(b"\\b"),
            '\u{c}' => out.extend(b"\\f"),
            '\0'..' ' => out.extend(format!("\\u{:04x}", u32::from(char)).bytes()),
            _ => out.extend(char.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    out.push(b'"');
}

/// A text as a JSON string.
pub(super) fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    put_text(&mut out, text);
    out
}

/// Changes to a text: parts of it, none inside another, and what each is replaced by.
#[derive(Debug, Default)]
pub(super) struct Edits(Vec<(Range<usize>, Vec<u8>)>);

impl Edits {
    /// Replaces a part. What was to be replaced inside of it is forgotten.
    pub(super) fn replace(&mut self, span: Range<usize>, with: Vec<u8>) {
        let inside = |edit: &Range<usize>| span.start <= edit.start && edit.end <= span.end;
        self.0.retain(|(edit, _)| !inside(edit));
        self.0.push((span, with));
    }

    /// Both; where they meet, these others.
    pub(super) fn and(mut self, others: Self) -> Self {
        for (span, with) in others.0 {
            self.replace(span, with);
        }
        self
    }

    /// Appends a part of the text with the changes in it.
    pub(super) fn part(&mut self, text: &[u8], span: Range<usize>, out: &mut Vec<u8>) {
        self.0.sort_by_key(|(edit, _)| edit.start);
        let mut at = span.start;
        for (edit, with) in &self.0 {
            if edit.start < at || edit.end > span.end {
                continue;
            }
            out.extend(text.get(at..edit.start).unwrap_or_default());
            out.extend(with);
            at = edit.end;
        }
        out.extend(text.get(at..span.end).unwrap_or_default());
    }

    /// The whole text with the changes.
    pub(super) fn apply(mut self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        self.part(text, 0..text.len(), &mut out);
        out
    }
}

/// Appends an object or array without some of what is in it, and with the changes inside of the rest.
pub(super) fn put_kept(
    out: &mut Vec<u8>,
    edits: &mut Edits,
    text: &[u8],
    node: &Node<'_>,
    mut keep: impl FnMut(Entry<'_, '_>) -> bool,
) {
    let mut kept = Vec::new();
    let brackets = match &node.value {
        Value::Array(elements) => {
            for element in elements {
                if keep(Entry::Element(element)) {
                    kept.push(element.span.clone());
                }
            }
            b"[]"
        }
        Value::Object(members) => {
            for member in members {
                if keep(Entry::Member(member)) {
                    kept.push(member.name_span.start..member.node.span.end);
                }
            }
            b"{}"
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {
            return edits.part(text, node.span.clone(), out);
        }
    };
    let [open, close] = *brackets;
    out.push(open);
    for (index, span) in kept.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        edits.part(text, span, out);
    }
    out.push(close);
}

/// What is in an object or array.
#[derive(Clone, Copy)]
pub(super) enum Entry<'n, 'a> {
    Element(&'n Node<'a>),
    Member(&'n Member<'a>),
}
