//! Reads what an agent sent, whole and strictly. No tree is built: the text is found to be unambiguous
//! once, and then walked where something is asked of it. What goes on to the target are the agent's own
//! bytes.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use bailiwick_action::{Fact, Facts, FieldPath, FieldStep, Input};

use super::escape::{Escape, is_number, is_scalar, plain, unescape};
use super::path::{Key, Place, arrived, descend, roots};
use crate::limits::{CONTENT_HELD_BYTES_MAX, JSON_DEPTH_READ_MAX, JSON_VALUES_MAX};
use crate::near::differ_in_case_only;

/// Why bytes are not taken as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    /// Longer than what is held.
    #[error("it is longer than {CONTENT_HELD_BYTES_MAX} bytes")]
    TooLong,
    /// Not UTF-8 (RFC 8259, section 8.1).
    #[error("it is not UTF-8")]
    Encoding,
    /// A byte order mark before it.
    #[error("it begins with a byte order mark")]
    ByteOrderMark,
    /// The text ends within a value.
    #[error("it ends in the middle")]
    Incomplete,
    /// Something stands where the grammar does not have it.
    #[error("it is not valid JSON at byte {0}")]
    Syntax(usize),
    /// Something that is no number, nor `true`, `false` or `null`.
    #[error("what stands at byte {0} is no number, nor true, false or null")]
    Scalar(usize),
    /// An escape that is none, or a control character that is not escaped.
    #[error("a string has an invalid escape or a bare control character at byte {0}")]
    Escape(usize),
    /// Half of a surrogate pair, which every reader takes for something else.
    #[error("a string has half of a surrogate pair at byte {0}")]
    Surrogate(usize),
    /// Two members of one name: which of them counts is up to the reader.
    #[error("an object has two members of the same name; the second is at byte {0}")]
    Duplicate(usize),
    /// Objects and arrays in one another, too many.
    #[error("objects and arrays are nested deeper than {JSON_DEPTH_READ_MAX}")]
    TooDeep,
    /// Too many values.
    #[error("it has more than {JSON_VALUES_MAX} values")]
    TooMany,
    /// Something behind the value.
    #[error("something follows the JSON value, at byte {0}")]
    Trailing(usize),
}

/// A whole JSON text that can be read in one way only.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    root: Value<'a>,
}

/// What sort of value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// A value of a [`Document`]: exactly the bytes that the agent wrote, without white space around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    raw: &'a str,
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name, after its escapes are resolved.
    pub name: Cow<'a, str>,
    /// Its value.
    pub value: Value<'a>,
}

/// Reads a whole JSON text (RFC 8259), strictly.
///
/// # Errors
/// If it is not JSON, or may mean different things to different readers. The error does not repeat
/// what the agent wrote.
pub fn read(bytes: &[u8]) -> Result<Document<'_>, NotJson> {
    if bytes.len() > CONTENT_HELD_BYTES_MAX {
        return Err(NotJson::TooLong);
    }
    read_held(bytes)
}

/// The same for a text of whatever length somebody holds.
pub(crate) fn read_held(bytes: &[u8]) -> Result<Document<'_>, NotJson> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(NotJson::ByteOrderMark);
    }
    let text = str::from_utf8(bytes).map_err(|_| NotJson::Encoding)?;
    let mut cursor = Cursor { text, at: 0 };
    cursor.space();
    let start = cursor.at;
    Check {
        cursor: &mut cursor,
        values: 0,
        depth: 0,
    }
    .value()?;
    let raw = cursor.since(start);
    cursor.space();
    if cursor.peek().is_some() {
        return Err(NotJson::Trailing(cursor.at));
    }
    Ok(Document {
        root: Value { raw },
    })
}

impl<'a> Document<'a> {
    /// Its value.
    pub fn root(&self) -> Value<'a> {
        self.root
    }

    /// [`Value::facts`] of its value.
    pub fn facts(&self, inputs: &[Input], out: &mut Facts) {
        self.root.facts(inputs, out);
    }
}

impl<'a> Value<'a> {
    /// Exactly what the agent wrote.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// What sort of value it is.
    pub fn kind(&self) -> Type {
        match self.raw.as_bytes().first() {
            Some(b'{') => Type::Object,
            Some(b'[') => Type::Array,
            Some(b'"') => Type::String,
            Some(b'n') => Type::Null,
            Some(b't' | b'f') => Type::Bool,
            _ => Type::Number,
        }
    }

    /// The text of a string, after its escapes are resolved; nothing of another value.
    pub fn text(&self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Type::String => Cursor::new(self.raw).string().ok(),
            _ => None,
        }
    }

    /// Its members in order, if it is an object; else none.
    pub fn members(&self) -> Members<'a> {
        let mut cursor = Cursor::new(self.raw);
        let open = self.kind() == Type::Object && cursor.open();
        Members { cursor, open }
    }

    /// Its elements in order, if it is an array; else none.
    pub fn elements(&self) -> Elements<'a> {
        let mut cursor = Cursor::new(self.raw);
        let open = self.kind() == Type::Array && cursor.open();
        Elements { cursor, open }
    }

    /// The value at a path of member names, if there is one.
    pub fn get(&self, path: &[&str]) -> Option<Value<'a>> {
        path.iter().try_fold(*self, |value, name| {
            let member = value.members().find(|member| member.name == *name);
            member.map(|member| member.value)
        })
    }

    /// For each [`Input::Field`], seen from this value, all values that it leads to, in order. An input
    /// that leads nowhere gets an empty entry: it was looked at. A member whose name is a step's but for its
    /// case counts as a value that no condition is about, and so does a list where a path has a member, or anything but a
    /// list where it has elements.
    pub fn facts(&self, inputs: &[Input], out: &mut Facts) {
        let fields = inputs.iter().filter_map(|input| match input {
            Input::Field(path) => Some(path.clone()),
            Input::Query(_) => None,
        });
        let mut paths: Vec<FieldPath> = fields.collect();
        paths.sort();
        paths.dedup();
        if paths.is_empty() {
            return;
        }
        for path in &paths {
            out.entry(Input::Field(path.clone())).or_default();
        }
        let places: Vec<Place> = roots(&paths).collect();
        let of = 0..places.len();
        let mut search = Search {
            paths: &paths,
            places,
            cursor: Cursor::new(self.raw),
            out,
        };
        search.value(of);
    }

    fn fact(&self) -> Fact {
        match self.kind() {
            Type::Null => Fact::Null,
            Type::Bool => Fact::Bool(self.raw == "true"),
            Type::Number => Fact::Number(self.raw.to_owned()),
            // An escape is at most six times as long as what it stands for.
            Type::String if self.raw.len() <= 6 * Fact::TEXT_BYTES_MAX + 2 => match self.text() {
                Some(text) if text.len() <= Fact::TEXT_BYTES_MAX => Fact::Text(text.into_owned()),
                _ => Fact::Other,
            },
            Type::String | Type::Array | Type::Object => Fact::Other,
        }
    }
}

/// The members of an object, in order.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    cursor: Cursor<'a>,
    open: bool,
}

impl<'a> Iterator for Members<'a> {
    type Item = Member<'a>;

    fn next(&mut self) -> Option<Member<'a>> {
        if !self.open {
            return None;
        }
        let name = self.cursor.name()?;
        let value = self.cursor.value();
        self.open = self.cursor.more();
        Some(Member { name, value })
    }
}

/// The elements of an array, in order.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    cursor: Cursor<'a>,
    open: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if !self.open {
            return None;
        }
        let value = self.cursor.value();
        self.open = self.cursor.more();
        Some(value)
    }
}

/// A place in a text.
#[derive(Clone, Debug)]
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// What was passed since a place. Both ends are beside ASCII characters.
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn space(&mut self) {
        let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.rest().iter().take_while(is_space).count();
    }

    /// Takes this byte and the space before it, if it is next.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes a string with its quotes.
    fn string(&mut self) -> Result<Cow<'a, str>, NotJson> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        self.at += 1;
        let mut start = self.at;
        let mut text: Option<String> = None;
        loop {
            self.at += plain(self.rest());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let so_far = self.since(start);
                    let text = text.get_or_insert_default();
                    text.push_str(so_far);
                    match unescape(self.rest()) {
                        Escape::Char(char, width) => {
                            text.push(char);
                            self.at += width;
                        }
                        Escape::Lone => return Err(NotJson::Surrogate(self.at)),
                        Escape::Invalid => return Err(NotJson::Escape(self.at)),
                        Escape::Short => return Err(NotJson::Incomplete),
                    }
                    start = self.at;
                }
                Some(_) => return Err(NotJson::Escape(self.at)),
                None => return Err(NotJson::Incomplete),
            }
        }
        let rest = self.since(start);
        self.at += 1;
        Ok(match text {
            None => Cow::Borrowed(rest),
            Some(mut text) => {
                text.push_str(rest);
                Cow::Owned(text)
            }
        })
    }

    /// Takes a number, or `true`, `false` or `null`.
    fn scalar(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        let is_part = |byte: &&u8| is_scalar(**byte);
        self.at += self.rest().iter().take_while(is_part).count();
        match self.since(start).as_bytes() {
            b"" => Err(self.unexpected()),
            b"true" | b"false" | b"null" => Ok(()),
            text if is_number(text) => Ok(()),
            _ => Err(NotJson::Scalar(start)),
        }
    }

    fn unexpected(&self) -> NotJson {
        match self.peek() {
            Some(_) => NotJson::Syntax(self.at),
            None => NotJson::Incomplete,
        }
    }

    // The rest is for a text that was found to be valid.

    /// Takes an opening bracket; says whether something stands inside.
    fn open(&mut self) -> bool {
        self.at += 1;
        self.space();
        !matches!(self.peek(), Some(b'}' | b']') | None)
    }

    /// Takes what follows a value in an object or array; says whether there is another.
    fn more(&mut self) -> bool {
        self.space();
        let more = self.peek() == Some(b',');
        self.at += 1;
        self.space();
        more
    }

    /// Takes a member's name and the colon.
    fn name(&mut self) -> Option<Cow<'a, str>> {
        let name = self.string().ok()?;
        self.take(b':');
        self.space();
        Some(name)
    }

    /// Takes a value.
    fn value(&mut self) -> Value<'a> {
        let start = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.skip_string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                byte if is_scalar(byte) => {
                    let is_part = |byte: &&u8| is_scalar(**byte);
                    self.at += self.rest().iter().take_while(is_part).count();
                }
                _ => {
                    self.at += 1;
                    continue;
                }
            }
            if depth == 0 {
                break;
            }
        }
        Value {
            raw: self.since(start),
        }
    }

    fn skip_string(&mut self) {
        self.at += 1;
        loop {
            self.at += plain(self.rest());
            match self.peek() {
                Some(b'\\') => self.at += 2,
                _ => break,
            }
        }
        self.at += 1;
    }
}

/// Finds a text to be valid.
struct Check<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    values: usize,
    depth: usize,
}

impl Check<'_, '_> {
    fn value(&mut self) -> Result<(), NotJson> {
        self.values += 1;
        if self.values > JSON_VALUES_MAX {
            return Err(NotJson::TooMany);
        }
        self.cursor.space();
        match self.cursor.peek() {
            Some(b'"') => self.cursor.string().map(|_| ()),
            Some(b'{') => self.inside(Self::object),
            Some(b'[') => self.inside(Self::array),
            _ => self.cursor.scalar(),
        }
    }

    fn inside(&mut self, walk: fn(&mut Self) -> Result<(), NotJson>) -> Result<(), NotJson> {
        self.depth += 1;
        if self.depth > JSON_DEPTH_READ_MAX {
            return Err(NotJson::TooDeep);
        }
        self.cursor.at += 1;
        walk(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), NotJson> {
        let mut names = BTreeSet::new();
        if self.cursor.take(b'}') {
            return Ok(());
        }
        loop {
            self.cursor.space();
            let at = self.cursor.at;
            if !names.insert(self.cursor.string()?) {
                return Err(NotJson::Duplicate(at));
            }
            if !self.cursor.take(b':') {
                return Err(self.cursor.unexpected());
            }
            self.value()?;
            if self.cursor.take(b'}') {
                return Ok(());
            }
            if !self.cursor.take(b',') {
                return Err(self.cursor.unexpected());
            }
        }
    }

    fn array(&mut self) -> Result<(), NotJson> {
        if self.cursor.take(b']') {
            return Ok(());
        }
        loop {
            self.value()?;
            if self.cursor.take(b']') {
                return Ok(());
            }
            if !self.cursor.take(b',') {
                return Err(self.cursor.unexpected());
            }
        }
    }
}

/// Walks a valid text once, along the paths.
struct Search<'s, 'a> {
    paths: &'s [FieldPath],
    /// Those of the values that are being walked through.
    places: Vec<Place>,
    cursor: Cursor<'a>,
    out: &'s mut Facts,
}

impl Search<'_, '_> {
    /// Takes the value that stands here; `of` is where its places are.
    fn value(&mut self, of: Range<usize>) {
        let here = self.places.get(of.clone()).unwrap_or_default();
        let arrived: Vec<usize> = arrived(self.paths, here).collect();
        self.misshapen(of.clone());
        let is_container = matches!(self.cursor.peek(), Some(b'{' | b'['));
        if is_container && !of.is_empty() {
            self.found(&arrived, || Fact::Other);
            self.children(of);
        } else {
            let value = self.cursor.value();
            self.found(&arrived, || value.fact());
        }
    }

    fn found(&mut self, arrived: &[usize], fact: impl Fn() -> Fact) {
        for path in arrived.iter().filter_map(|path| self.paths.get(*path)) {
            let facts = self.out.entry(Input::Field(path.clone())).or_default();
            facts.push(fact());
        }
    }

    /// Where a path goes on into an object and a list stands, or the other way round, some targets take the one for
    /// the other (one order, or several). What the path is about is not just missing then.
    fn misshapen(&mut self, of: Range<usize>) {
        let first = self.cursor.peek();
        for place in self.places.get(of).unwrap_or_default() {
            let Some(path) = self.paths.get(place.path) else {
                continue;
            };
            let fits = match path.steps().get(place.step) {
                Some(FieldStep::Member(_)) => matches!(first, Some(b'{' | b'n')),
                Some(FieldStep::Elements) => matches!(first, Some(b'[' | b'n')),
                Some(FieldStep::Descendant(_)) | None => true,
            };
            if !fits {
                let facts = self.out.entry(Input::Field(path.clone())).or_default();
                facts.push(Fact::Other);
            }
        }
    }

    /// A member whose name differs from the path's only in case may be what the target takes for it: no
    /// condition is met then.
    fn near(&mut self, of: Range<usize>, name: &str) {
        for place in self.places.get(of).unwrap_or_default() {
            let Some(path) = self.paths.get(place.path) else {
                continue;
            };
            let near = match path.steps().get(place.step) {
                Some(FieldStep::Member(wanted) | FieldStep::Descendant(wanted)) => {
                    differ_in_case_only(wanted, name)
                }
                Some(FieldStep::Elements) | None => false,
            };
            if near {
                let facts = self.out.entry(Input::Field(path.clone())).or_default();
                facts.push(Fact::Other);
            }
        }
    }

    fn children(&mut self, of: Range<usize>) {
        let is_object = self.cursor.peek() == Some(b'{');
        if !self.cursor.open() {
            self.cursor.at += 1;
            return;
        }
        loop {
            let child = if is_object {
                let Some(name) = self.cursor.name() else {
                    return;
                };
                self.near(of.clone(), &name);
                let key = Key::Member(name.as_bytes());
                descend(self.paths, &mut self.places, of.clone(), key)
            } else {
                descend(self.paths, &mut self.places, of.clone(), Key::Element)
            };
            let start = child.start;
            self.value(child);
            self.places.truncate(start);
            if !self.cursor.more() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
