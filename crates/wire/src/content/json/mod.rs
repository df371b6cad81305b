//! JSON (RFC 8259). What an agent sends is [`read()`] whole and strictly, so that it cannot mean one thing
//! here and another to the target. What a target answers goes through [`Json`] in pieces.

mod escape;
mod mask;
mod path;
mod read;

pub use mask::Json;
pub(crate) use read::read_held;
pub use read::{Document, Elements, Member, Members, NotJson, Type, Value, read};
