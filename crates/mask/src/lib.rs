//! Finds sensitive values in what a target answers and puts placeholders in their place: addresses,
//! card and account numbers, secrets and keys. It knows no protocol and no type; whoever calls it
//! decides which values are text.
//!
//! What it cannot see: a value that was encoded, reversed or cut up before it came back
//! (`encode(email, 'base64')`, `left(card, 8)`). Against those stand the column rules of a task, which
//! follow a column through any expression. What is found here is what nobody thought to name.
//!
//! Everything here takes time linear in the text, whoever wrote it.

mod detect;
mod fold;
mod kind;
mod rules;
mod text;

pub use detect::{Detectors, Finding, Rewritten};
pub use kind::{Kind, PREFIX, WHOLE};
