//! What a server says its tools are, and the digest by which a definition is known again.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::json::{self, Node, Value, put_text};

/// The members of a tool's definition that make it the tool that somebody looked at: all that a model or a
/// person goes by. Icons and `_meta` are not among them.
const DEFINING: [&str; 6] = [
    "annotations",
    "description",
    "inputSchema",
    "name",
    "outputSchema",
    "title",
];

/// A tool as its server defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is called for people, if the server says so.
    pub title: Option<String>,
    /// What it does, in the server's words.
    pub description: Option<String>,
    /// Its definition in the one spelling that the digest is of, for a comparison by eye.
    pub definition: String,
    /// The digest of its definition ([`definition_digest`]).
    pub digest: [u8; 32],
    /// The arguments that are repeated in header fields: the path of each, by the name of the field in
    /// lower case.
    pub(super) mirrored: BTreeMap<String, Vec<String>>,
}

/// The digest of a tool's definition, as one element of a server's `tools/list` has it.
///
/// It is the SHA-256 of the UTF-8 text of one JSON object. The object has the tool's members `annotations`,
/// `description`, `inputSchema`, `name`, `outputSchema` and `title`, as far as the tool has them, and no
/// others. The text is the object's in the form of RFC 8785 (no white space, members sorted by their names'
/// UTF-16 code units, one spelling of every string), but that a number stands as the server wrote it.
///
/// # Errors
/// If the text is no tool; says why.
pub fn definition_digest(tool: &[u8]) -> Result<[u8; 32], String> {
    let node = json::read(tool).map_err(|why| why.to_string())?;
    match Tool::of(&node) {
        Some(tool) => Ok(tool.digest),
        None => Err("it is no tool: an object with a name and an inputSchema".to_owned()),
    }
}

impl Tool {
    /// Reads a tool. Nothing where it is none, or one that a client must not use.
    pub(super) fn of(node: &Node<'_>) -> Option<Self> {
        let text = |name: &str| node.get(name).and_then(Node::text).map(str::to_owned);
        let name = text("name")?;
        let schema = node.get("inputSchema")?;
        schema.members()?;
        let mut definition = Vec::new();
        definition.push(b'{');
        let members = node.members()?.iter();
        put_members(
            &mut definition,
            members
                .filter(|member| DEFINING.contains(&&*member.name))
                .map(|member| (&*member.name, &member.node)),
        );
        definition.push(b'}');
        Some(Self {
            name,
            title: text("title"),
            description: text("description"),
            digest: Sha256::digest(&definition).into(),
            definition: String::from_utf8(definition).ok()?,
            mirrored: mirrored(schema)?,
        })
    }
}

fn put_canonical(out: &mut Vec<u8>, node: &Node<'_>) {
    match &node.value {
        Value::Null => out.extend(b"null"),
        Value::Bool(true) => out.extend(b"true"),
        Value::Bool(false) => out.extend(b"false"),
        Value::Number(written) => out.extend(written.bytes()),
        Value::Text(text) => put_text(out, text),
        Value::Array(elements) => {
            out.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put_canonical(out, element);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            put_members(
                out,
                members.iter().map(|member| (&*member.name, &member.node)),
            );
            out.push(b'}');
        }
    }
}

fn put_members<'n, 'a: 'n>(
    out: &mut Vec<u8>,
    members: impl Iterator<Item = (&'n str, &'n Node<'a>)>,
) {
    let mut members: Vec<_> = members.collect();
    members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    for (index, (name, node)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_text(out, name);
        out.push(b':');
        put_canonical(out, node);
    }
}

/// The word by which a schema says that an argument is repeated in a header field (2026-07-28,
/// basic/transports/streamable-http, "Custom Headers from Tool Parameters").
const ANNOTATION: &str = "x-mcp-header";

/// Which arguments a tool's schema repeats in header fields. Nothing where it breaks a rule of it: then
/// the tool must not be used.
fn mirrored(schema: &Node<'_>) -> Option<BTreeMap<String, Vec<String>>> {
    let mut found = BTreeMap::new();
    let mut path = Vec::new();
    reachable(schema, &mut path, &mut found)?;
    (annotations(schema) == found.len()).then_some(found)
}

/// Walks along `properties` alone: an annotation anywhere else is not found, and so one too many.
fn reachable(
    schema: &Node<'_>,
    path: &mut Vec<String>,
    found: &mut BTreeMap<String, Vec<String>>,
) -> Option<()> {
    let Some(properties) = schema.get("properties").and_then(Node::members) else {
        return Some(());
    };
    for property in properties {
        path.push(property.name.clone().into_owned());
        if let Some(annotation) = property.node.get(ANNOTATION) {
            let header = annotation.text()?;
            let kind = property.node.get("type").and_then(Node::text)?;
            let is_primitive = matches!(kind, "string" | "integer" | "boolean");
            let is_token = !header.is_empty() && header.bytes().all(is_token_byte);
            let header = format!("mcp-param-{}", header.to_ascii_lowercase());
            let is_new = found.insert(header, path.clone()).is_none();
            if !(is_primitive && is_token && is_new) {
                return None;
            }
        }
        reachable(&property.node, path, found)?;
        path.pop();
    }
    Some(())
}

/// How often the word stands in a schema as a member's name.
fn annotations(node: &Node<'_>) -> usize {
    match &node.value {
        Value::Array(elements) => elements.iter().map(annotations).sum(),
        Value::Object(members) => members
            .iter()
            .map(|member| usize::from(member.name == ANNOTATION) + annotations(&member.node))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => 0,
    }
}

/// A byte of a field's name (RFC 9110, section 5.6.2).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The tools of one server, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Tools {
    tools: BTreeMap<String, Tool>,
    /// Names that stand for more than one tool, and so for none.
    twice: BTreeSet<String>,
}

impl Tools {
    /// Adds those of one page of a list.
    pub(super) fn add(&mut self, elements: &[Node<'_>]) {
        for tool in elements.iter().filter_map(Tool::of) {
            let name = tool.name.clone();
            if self.tools.insert(name.clone(), tool).is_some() {
                self.twice.insert(name);
            }
        }
    }

    /// Whether another list has each of them, as it is defined here.
    pub(super) fn are_in(&self, other: &Tools) -> bool {
        let is_in = |tool: &Tool| {
            { other.get(&tool.name) }.is_some_and(|other| other.digest == tool.digest)
        };
        self.twice.is_empty() && self.tools.values().all(is_in)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.tools.len()
    }

    /// The one of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Tool> {
        self.tools.get(name).filter(|_| !self.twice.contains(name))
    }

    /// All that have a name of their own.
    pub(super) fn into_all(self) -> impl Iterator<Item = Tool> {
        let twice = self.twice;
        self.tools
            .into_values()
            .filter(move |tool| !twice.contains(&tool.name))
    }
}
