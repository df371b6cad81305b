//! What is put to random bytes, and what has to hold whatever they are: of the protocol's frames, of a
//! session between an agent and a target, of the classifier, of the masking of rows, of exchanges of HTTP, of
//! messages of MCP in both directions, and of task files. A broken promise is a panic.
//!
//! It goes by the public interfaces alone, as the gateway does. libFuzzer drives it from `targets/`;
//! `tests/replay.rs` puts the corpus to it, and random inputs, with a stable compiler.

mod catalogue;
mod classify;
mod drive;
mod exchange;
mod frames;
mod http;
mod input;
mod mcp;
mod message;
mod rows;
mod server;
mod session;
mod sql;
mod tasks;
mod veil;

pub use classify::classify;
pub use frames::frames;
pub use http::http;
pub use mcp::{mcp_answers, mcp_requests};
pub use rows::rows;
pub use session::session;
pub use tasks::tasks;

/// Puts an input to something, and panics if a promise is broken.
pub type Target = fn(&[u8]);

/// Everything that is fuzzed, by name.
pub const TARGETS: [(&str, Target); 8] = [
    ("frames", frames),
    ("http", http),
    ("mcp_answers", mcp_answers),
    ("mcp_requests", mcp_requests),
    ("session", session),
    ("classify", classify),
    ("rows", rows),
    ("tasks", tasks),
];
