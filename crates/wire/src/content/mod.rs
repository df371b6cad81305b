//! Content: what an agent sends is read, what a target answers is masked while it passes.
//!
//! [`json::read()`] reads a whole JSON text strictly. A [`Masker`] takes an answer in pieces that are cut
//! anywhere and gives out what the agent may see: JSON by field and by detectors ([`json::Json`]),
//! server-sent events ([`events`]), other text by detectors ([`Text`]). None of them holds more than a
//! limit, and after an error nothing more may go out.

pub mod events;
pub mod json;
mod masker;
#[cfg(test)]
mod testing;
mod text;

use std::ops::Range;

pub use masker::Masker;
pub use text::Text;

/// Why a content cannot be masked any further: what is left of it must not go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// What is said to be JSON is not.
    #[error("it is not valid JSON")]
    Syntax,
    /// It ended within a JSON value.
    #[error("it ends in the middle of a JSON value")]
    Incomplete,
    /// It is not in the encoding that it is said to be in.
    #[error("it is not in the character encoding that it should be in")]
    Encoding,
    /// Objects and arrays in one another, too many.
    #[error("its objects and arrays are nested too deep")]
    TooDeep,
    /// A number, a member's name, an event or something found is longer than what is held.
    #[error("a part of it that has to be looked at whole is too long")]
    TooLong,
}

/// What lies in a range; nothing where it is not inside.
fn slice(bytes: &[u8], range: Range<usize>) -> &[u8] {
    bytes.get(range).unwrap_or_default()
}
