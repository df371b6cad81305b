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
mod memory;
mod merkle;
mod note;
mod open;
mod payload;
mod prove;
mod prune;
mod publication;
mod queue;
mod reader;
mod receipt;
mod record;
mod sign;
mod signer;
mod tell;
mod threads;
mod tiles;
mod transport;
mod verify;
mod wal;
mod witness;
mod witnesses;

pub use digest::Digest;
pub use entry::{
    Entry, Record, RecordedAction, RecordedCall, RecordedDecision, RecordedErased, RecordedLogin,
    RecordedOutcome, RecordedPayload, RecordedPruned, RecordedResource, RecordedWitness,
};
pub use error::AppendError;
pub use keys::KeyError;
pub use log::{Config, Log};
pub use memory::{MemoryError, Refusal};
pub use open::{OpenError, Recovered};
pub use prune::PruneError;
pub use reader::{Forward, ReadError, Reader};
pub use receipt::{Pending, Receipt, Submitted, Written};
pub use record::{ContinuedBy, Continues, Disagreement, Draft, Event, Outcome, State, Subject};
pub use signer::{SignerConfig, SignerError, SigningDesk, serve as serve_signer};
pub use transport::{Answer, Bounds, Transport, TransportError};
pub use verify::{
    Broken, Cosigned, DirSource, Judgement, KnownLog, KnownWitness, NotTrusted, Policy,
    PolicyError, Predecessor, Report, RunReport, RunState, Source, Successor, VerifyOptions,
    verify,
};
pub use wal::scan::WalError;
pub use witness::{Witness, WitnessConfig, WitnessError};
