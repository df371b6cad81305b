use std::collections::BTreeMap;
use std::fmt;

use crate::FieldPath;

/// Where in a call a task's condition looks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input {
    /// A parameter of the request's query, by name (percent-decoded).
    Query(String),
    /// A field of the JSON body, or of a tool call's arguments.
    Field(FieldPath),
}

/// `query notify`, `field $.visibility`.
impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Query(name) => write!(f, "query parameter {name}"),
            Input::Field(path) => write!(f, "field {path}"),
        }
    }
}

/// One value that a call has where a condition looks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// JSON `null`.
    Null,
    /// JSON `true` or `false`.
    Bool(bool),
    /// A JSON number, as it was written.
    Number(String),
    /// A text of at most [`Fact::TEXT_BYTES_MAX`] bytes: a JSON string after its escapes are resolved, or a
    /// query parameter's value.
    Text(String),
    /// An object, an array, or a text that is too long: no condition holds for it.
    Other,
}

impl Fact {
    /// The longest text that a condition can be about, in bytes.
    pub const TEXT_BYTES_MAX: usize = 4096;
}

/// What a call has where the conditions of its run's task look: every value found at each place, in
/// order. A place that was looked at and has no value is there with none; a place that is not in it could
/// not be looked at (a body that is no JSON has no fields), and no condition on it is met, not even one that
/// lets the value be absent. Not part of a record: it is the agent's text.
pub type Facts = BTreeMap<Input, Vec<Fact>>;
