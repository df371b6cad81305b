//! Masking of what a server says: every text of a message goes through the detectors, a text that is JSON is
//! read as such, and what cannot be looked into is left out.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::BytesMut;

use super::field::At;
use super::json::{self, Edits, Member, Node, Value, quoted};
use crate::Veil;
use crate::content::Broken;
use crate::content::json::Json;
use crate::limits::MCP_VALUES_MAX;

/// How many texts may be JSON within each other and still be looked into.
const LEVELS_MAX: usize = 3;

const BINARY: &str = "[withheld: a content of this type cannot be looked into, and so not masked; the grant \
                      would have to say `binary = true`]";

const BROKEN: &str = "[withheld: it begins like JSON and is none, so the fields that this run's task masks \
                      cannot be found in it]";

/// Collects what is to be changed in one message.
pub(super) struct Mask<'v> {
    veil: &'v Arc<dyn Veil>,
    /// Whether contents that cannot be looked into may pass.
    binary: bool,
    /// How many texts this one is in.
    level: usize,
    /// Values of masked fields of the same message: they are masked wherever else they stand.
    values: Values,
    /// What is to be changed.
    pub(super) edits: Edits,
    /// Values that were masked.
    pub(super) masked: u64,
}

impl<'v> Mask<'v> {
    /// Masks a part of a message whose members the protocol knows. A server often says the same twice: as data and
    /// as a text for people, in which no field can be found. So what a masked field has is masked in texts, too.
    pub(super) fn of(veil: &'v Arc<dyn Veil>, binary: bool, node: &Node<'_>) -> Self {
        let mut mask = Self::new(veil, binary);
        mask.message(node);
        if mask.values.0.is_empty() {
            return mask;
        }
        // What stands before its field, too.
        let mut again = Self {
            values: mask.values,
            ..Self::new(veil, binary)
        };
        again.message(node);
        again
    }

    fn new(veil: &'v Arc<dyn Veil>, binary: bool) -> Self {
        Self {
            veil,
            binary,
            level: 0,
            values: Values::default(),
            edits: Edits::default(),
            masked: 0,
        }
    }

    /// Masks a part of a message whose members the protocol knows.
    fn message(&mut self, node: &Node<'_>) {
        let Some(members) = node.members() else {
            return self.elements(node);
        };
        if self.is_withheld(node, members) {
            return;
        }
        for member in members {
            self.name(member);
            match &*member.name {
                // What these have is the server's own.
                "structuredContent" | "data" => self.data(&member.node),
                // Words of the protocol.
                "type" | "role" | "mimeType" | "resultType" if member.node.text().is_some() => {
                    let values = std::mem::take(&mut self.values);
                    self.message(&member.node);
                    self.values = values;
                }
                _ => self.message(&member.node),
            }
        }
    }

    fn elements(&mut self, node: &Node<'_>) {
        match node.elements() {
            Some(elements) => elements.iter().for_each(|element| self.message(element)),
            None => self.value(node, &At::default()),
        }
    }

    /// Masks a value that is the server's own, in which the fields of the scope are.
    fn data(&mut self, node: &Node<'_>) {
        let veil = self.veil;
        self.value(node, &At::root(veil.fields()));
    }

    fn value(&mut self, node: &Node<'_>, at: &At<'_>) {
        if at.ends().next().is_some() {
            self.masked += 1;
            self.values.take(node, self.veil.placeholder());
            let with = quoted(self.veil.placeholder());
            return self.edits.replace(node.span.clone(), with);
        }
        match &node.value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(written) if self.values.0.contains(*written) => {
                self.put(node, self.veil.placeholder(), 1);
            }
            Value::Number(written) => {
                if let Some((rewritten, found)) = self.veil.rewrite(written.as_bytes()) {
                    self.put(node, &String::from_utf8_lossy(&rewritten), found);
                }
            }
            Value::Text(text) => {
                if let Some((rewritten, found)) = self.text(text) {
                    self.put(node, &rewritten, found);
                }
            }
            Value::Array(elements) => {
                let at = at.element();
                elements.iter().for_each(|element| self.value(element, &at));
            }
            Value::Object(members) => {
                for member in members {
                    self.name(member);
                    self.value(&member.node, &at.member(&member.name));
                }
            }
        }
    }

    fn put(&mut self, node: &Node<'_>, text: &str, found: u64) {
        self.masked += found;
        self.edits.replace(node.span.clone(), quoted(text));
    }

    fn name(&mut self, member: &Member<'_>) {
        if let Some((rewritten, found)) = self.veil.rewrite(member.name.as_bytes()) {
            self.masked += found;
            let rewritten = quoted(&String::from_utf8_lossy(&rewritten));
            self.edits.replace(member.name_span.clone(), rewritten);
        }
    }

    /// A text with everything in it masked; nothing where nothing was found.
    fn text(&mut self, text: &str) -> Option<(String, u64)> {
        let is_said = begins_like_json(text);
        if is_said || may_be_json(text) {
            match self.json(text) {
                Ok(rewritten) => return rewritten,
                Err(_) if is_said && !self.veil.fields().is_empty() => {
                    return Some((BROKEN.to_owned(), 1));
                }
                Err(_) => {}
            }
        }
        let without = self.values.without(text, self.veil.placeholder());
        let (text, repeated) = match &without {
            Some((without, repeated)) => (without.as_str(), *repeated),
            None => (text, 0),
        };
        match self.veil.rewrite(text.as_bytes()) {
            Some((rewritten, found)) => {
                let rewritten = String::from_utf8_lossy(&rewritten).into_owned();
                Some((rewritten, found + repeated))
            }
            None => without,
        }
    }

    /// The same for a text that is JSON, or several one after the other.
    fn json(&mut self, text: &str) -> Result<Option<(String, u64)>, Broken> {
        let (rewritten, masked) = match json::read(text.as_bytes()) {
            Ok(node) if self.level < LEVELS_MAX => {
                let mut inner = Mask {
                    level: self.level + 1,
                    values: std::mem::take(&mut self.values),
                    ..Mask::new(self.veil, self.binary)
                };
                inner.data(&node);
                self.values = inner.values;
                (inner.edits.apply(text.as_bytes()), inner.masked)
            }
            // Texts in it that are JSON again are not looked into.
            _ => {
                let mut json = Json::new(Arc::clone(self.veil));
                let mut out = BytesMut::new();
                json.feed(text.as_bytes(), &mut out)?;
                json.finish(&mut out)?;
                (out.to_vec(), json.masked())
            }
        };
        let rewritten = || String::from_utf8_lossy(&rewritten).into_owned();
        Ok((masked > 0).then(|| (rewritten(), masked)))
    }

    /// Leaves out a content that cannot be looked into: an image, a sound, the bytes of a resource. Says
    /// whether it is one.
    fn is_withheld(&mut self, node: &Node<'_>, members: &[Member<'_>]) -> bool {
        let Some(bytes) = members.iter().find(|member| {
            let is_text = member.node.text().is_some();
            let is_bytes = match &*member.name {
                "blob" => true,
                "data" => node.get("mimeType").is_some(),
                _ => false,
            };
            is_text && is_bytes
        }) else {
            return false;
        };
        if self.binary {
            for member in members.iter().filter(|member| member.name != bytes.name) {
                self.name(member);
                self.message(&member.node);
            }
            return true;
        }
        self.masked += 1;
        let mut out = Vec::new();
        match node.get("uri").and_then(Node::text) {
            // The contents of a resource.
            Some(uri) => {
                let uri = self.text(uri).map_or(uri.to_owned(), |(text, _)| text);
                out.extend(b"{\"uri\":");
                json::put_text(&mut out, &uri);
                out.extend(b",\"mimeType\":\"text/plain\",\"text\":");
            }
            None => out.extend(b"{\"type\":\"text\",\"text\":"),
        }
        json::put_text(&mut out, BINARY);
        out.push(b'}');
        self.edits.replace(node.span.clone(), out);
        true
    }
}

/// Texts and numbers that masked fields have.
#[derive(Default)]
struct Values(BTreeSet<String>);

impl Values {
    /// What is shorter stands in too many words, in bytes.
    const BYTES_MIN: usize = 4;

    fn take(&mut self, node: &Node<'_>, placeholder: &str) {
        match &node.value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(written) => self.put(written, placeholder),
            Value::Text(text) => self.put(text.trim(), placeholder),
            Value::Array(elements) => elements
                .iter()
                .for_each(|node| self.take(node, placeholder)),
            Value::Object(members) => {
                { members.iter() }.for_each(|member| self.take(&member.node, placeholder));
            }
        }
    }

    fn put(&mut self, value: &str, placeholder: &str) {
        let is_one = value.len() >= Self::BYTES_MIN && !placeholder.contains(value);
        if is_one && self.0.len() < MCP_VALUES_MAX {
            self.0.insert(value.to_owned());
        }
    }

    /// A text without them, and how many there were; nothing where there were none.
    fn without(&self, text: &str, placeholder: &str) -> Option<(String, u64)> {
        let mut without: Option<String> = None;
        let mut found = 0;
        // The longest first: one may be a part of another.
        let mut values: Vec<&String> = self.0.iter().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        for value in values {
            let text = without.as_deref().unwrap_or(text);
            let times = text.matches(value.as_str()).count();
            if times > 0 {
                found += times as u64;
                without = Some(text.replace(value.as_str(), placeholder));
            }
        }
        without.map(|without| (without, found))
    }
}

/// Whether a text that does not begin so can still be JSON with objects in it: a mixed array, or a text that is
/// JSON again.
fn may_be_json(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim();
    (text.starts_with('[') && text.ends_with(']'))
        || (text.len() > 1 && text.starts_with('"') && text.ends_with('"'))
}

/// Whether a text is an object with members, or an array of objects, as far as its beginning goes.
fn begins_like_json(text: &str) -> bool {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    while let Some(inner) = rest.strip_prefix('[') {
        rest = inner.trim_start();
    }
    match rest.strip_prefix('{') {
        Some(inner) => inner.trim_start().starts_with(['"', '}']),
        None => false,
    }
}
