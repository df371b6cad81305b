//! The vocabulary every other crate shares: what an agent's command is ([`Call`]), what it does
//! ([`Action`]: a [`Verb`] on a [`Resource`]) and what was decided about it ([`Decision`]).
//!
//! Pure data: no IO, no clock, nothing of ours below it.

mod action;
mod call;
mod decision;
mod detected;
mod fact;
mod field;
mod fingerprint;
mod pin;
mod resource;
mod verb;

pub use action::Action;
pub use call::{Call, Held, Payload, Stage, WRITTEN_BACK};
pub use decision::{Decision, Denial};
pub use detected::{Detected, DetectedSet};
pub use fact::{Fact, Facts, Input};
pub use field::{FieldPath, FieldStep, InvalidPath};
pub use fingerprint::{Fingerprint, FingerprintKey};
pub use pin::Pin;
pub use resource::{Kind, Resource};
pub use verb::{Class, UnknownVerb, Verb};
