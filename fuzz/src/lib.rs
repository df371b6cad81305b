//! What is put to random bytes, and what has to hold whatever they are: of the protocol's frames, of a
//! session between an agent and a target, of the classifier, of the masking of rows, and of exchanges of
//! HTTP. A broken
//! promise is a panic.
//!
//! It goes by the public interfaces alone, as the gateway does. libFuzzer drives it from `targets/`;
//! `tests/replay.rs` puts the corpus to it, and random inputs, with a stable compiler.

mod catalogue;
mod classify;
mod drive;
mod frames;
mod http;
mod input;
mod message;
mod rows;
mod server;
mod session;
mod sql;
mod veil;

pub use classify::classify;
pub use frames::frames;
pub use http::http;
pub use rows::rows;
pub use session::session;

/// Puts an input to something, and panics if a promise is broken.
pub type Target = fn(&[u8]);

/// Everything that is fuzzed, by name.
pub const TARGETS: [(&str, Target); 5] = [
    ("frames", frames),
    ("http", http),
    ("session", session),
    ("classify", classify),
    ("rows", rows),
];
