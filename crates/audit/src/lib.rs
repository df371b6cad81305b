//! The record: written ahead, chained, published as a signed tree, and checked by anyone.
//!
//! - [`Log`] takes records and makes them durable. A [`Receipt`] exists only once its record
//!   survived an `fdatasync`; whoever demands one demands that.
//! - [`Reader`] looks at what was recorded.
//! - [`verify`] checks it, trusting neither the operator nor the code that wrote it.
//!
//! The bytes on disk are described in `docs/log-format.md`.

mod chain;
mod digest;
mod disk;
mod entry;
mod error;
#[cfg(test)]
mod faults;
mod integrator;
mod keys;
mod layout;
mod limits;
mod log;
mod merkle;
mod note;
mod open;
mod payload;
mod prove;
mod prune;
mod queue;
mod reader;
mod receipt;
mod record;
mod tell;
mod threads;
mod tiles;
mod verify;
mod wal;

pub use digest::Digest;
pub use entry::{
    Entry, Record, RecordedAction, RecordedCall, RecordedDecision, RecordedErased, RecordedLogin,
    RecordedOutcome, RecordedPayload, RecordedPruned, RecordedResource,
};
pub use error::AppendError;
pub use keys::KeyError;
pub use log::{Config, Log};
pub use open::{OpenError, Recovered};
pub use prune::PruneError;
pub use reader::{Forward, ReadError, Reader};
pub use receipt::{Pending, Receipt, Submitted, Written};
pub use record::{ContinuedBy, Continues, Draft, Event, Outcome, State, Subject};
pub use verify::{
    Broken, DirSource, Predecessor, Report, RunReport, RunState, Source, Successor, VerifyOptions,
    verify,
};
pub use wal::scan::WalError;
