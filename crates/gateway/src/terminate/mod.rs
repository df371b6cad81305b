//! Where HTTP ends, on both sides. An agent's request becomes the one unambiguous form in which a session
//! reads it ([`bhttp`](bailiwick_wire::http::bhttp)), and what the session lets through becomes a request
//! of the gateway's own; the same way back. Nothing of the agent's connection reaches the target but what a
//! session has put in a message, and nothing here knows what a message means.

mod address;
mod agent;
mod authority;
mod body;
mod client;
mod coding;
mod command;
mod credential;
mod exchange;
mod head;
mod metadata;
mod own;
mod proxy;
mod server;
mod strict;
#[cfg(test)]
mod tests;
mod together;
mod towards;
mod upstream;
mod websocket;

pub(crate) use authority::Authority;
pub use own::{Answered, Own};
pub(crate) use server::{ALPN, connection, turn_away};
pub(crate) use together::Togethers;
