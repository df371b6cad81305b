//! Bytes to calls and back: per protocol the frames, the states of a session, and what a command
//! does. Sans-IO: bytes go in, [`Step`]s come out; no socket, no clock, no decision is made here.
//!
//! A protocol is one directory with one [`Session`], and one line in [`PROTOCOLS`].

pub mod content;
mod errand;
pub mod http;
mod limits;
pub mod mcp;
mod near;
pub mod postgres;
mod session;
pub mod sql;

pub use errand::{Did, Errand, Fence, Granted, Inspection, Login, PerRun, Sweep};
pub use session::{
    Agent, Answer, CancelKey, Claim, Cleared, End, Endpoint, Fault, Form, Knowledge, LoginFailure,
    Masked, Named, Plumbing, Protocol, Refused, Result, Rows, Seed, Session, Step, Terms, Ticket,
    TlsMode, Transport, Veil, Wanted, Why,
};

/// Every protocol this gateway speaks.
pub const PROTOCOLS: [&Protocol; 3] = [&http::PROTOCOL, &mcp::PROTOCOL, &postgres::PROTOCOL];
