//! What a run may do. Task files ([`Task`]) and the organisation's guardrails ([`Guardrail`]) are
//! loaded into an [`Engine`], all right or not at all; it gives each run its [`Scope`], and the scope
//! decides every call: an [`Allow`], which nothing else can make, a [`Hold`], which an [`Approval`] turns
//! into one, or a denial that says what was outside the scope and what to ask for.
//!
//! Decisions are made by Cedar. Tasks become policies as syntax trees, never as text, checked
//! strictly against `schema.cedarschema`; a policy that fails while it is evaluated is a deny.
//!
//! No clock, no network; the only files it reads are those of [`Engine::load`].

mod approval;
mod compare;
mod compile;
mod condition;
mod covered;
mod describe;
mod digest;
mod document;
mod engine;
mod explain;
mod guardrail;
mod hold;
mod limits;
mod model;
mod name;
mod number;
mod parse;
mod pins;
mod problem;
mod request;
mod scope;
mod task;
mod uri;

pub use approval::{Approval, Estimate, Question, Standing};
pub use compare::Entry;
pub use condition::Condition;
pub use covered::Covered;
pub use describe::{Line, Sort};
pub use engine::{Engine, Operation, ScopeError, TargetName};
pub use guardrail::Guardrail;
pub use hold::{Hold, NotApproved};
pub use name::{Column, Pattern};
pub use pins::{Pins, pins_text};
pub use problem::{LoadErrors, Place, Problem};
pub use request::RequestPattern;
pub use scope::{Allow, Ruling, Scope};
pub use task::{Clear, Confine, Grant, Granted, Item, Mask, MaskedField, Reference, Task, TooLong};
pub use uri::UriPattern;
