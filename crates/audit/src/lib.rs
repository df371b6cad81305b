//! The record: written ahead, chained, published as a signed tree, and checked by anyone.
//!
//! - [`Log`] takes records and makes them durable. A [`Receipt`] exists only once its record
//!   survived an `fdatasync`; whoever demands one demands that.
//! - [`Reader`] looks at what was recorded.
//! - [`Published`] hands it on to other systems, [`ocsf`] in their words.
//! - [`verify`] checks it, trusting neither the operator nor the code that wrote it.
//!
//! The bytes on disk are described in `docs/log-format.md`.

// What the tests of this folder and those in `tests/` share names the crate as its users do.
#[cfg(test)]
extern crate self as bailiwick_audit;

mod chain;
mod digest;
mod disk;
mod entry;
mod error;
#[cfg(test)]
mod faults;
mod integrator;
mod keys;
#[cfg(test)]
mod kills;
#[cfg(test)]
#[path = "../tests/kit/mod.rs"]
mod kit;
mod layout;
mod limits;
mod log;
mod memory;
mod merkle;
mod note;
pub mod ocsf;
mod open;
mod payload;
mod proof_file;
mod prove;
mod prove_trail;
mod prune;
mod publication;
mod published;
mod queue;
mod reader;
mod receipt;
mod record;
mod rotate;
mod sign;
mod signer;
mod syncer;
mod tell;
mod threads;
mod tiles;
mod transport;
mod verify;
mod vitals;
mod wal;
mod witness;
mod witnesses;
mod writer;

pub use digest::Digest;
pub use entry::{
    Entry, Record, RecordedAction, RecordedApproval, RecordedCall, RecordedDecision,
    RecordedErased, RecordedLogin, RecordedOutcome, RecordedPayload, RecordedPolicy,
    RecordedPruned, RecordedResource, RecordedSignal, RecordedVerified, RecordedViewed,
    RecordedWitness,
};
pub use error::AppendError;
pub use keys::{InvalidSecret, KeyError, PayloadSecret};
pub use log::{Config, Log};
pub use memory::{MemoryError, Refusal};
pub use open::{OpenError, Recovered};
pub use proof_file::ProofFile;
pub use prove_trail::TrailProof;
pub use prune::PruneError;
pub use published::{Next, Place, Published};
pub use reader::{Forward, InOrder, ReadError, Reader};
pub use receipt::{Pending, Receipt, Submitted, Written};
pub use record::{
    ContinuedBy, Continues, Disagreement, Draft, Event, Found, Outcome, Ruling, State, Subject,
};
pub use rotate::{RotateError, Rotated, rotate};
pub use signer::{SignerConfig, SignerError, SigningDesk, serve as serve_signer};
pub use transport::{Answer, Bounds, Transport, TransportError};
pub use verify::{
    Agreement, Broken, Cosigned, DirSource, Judgement, KnownLog, KnownWitness, NotProven,
    NotTrusted, Policy, PolicyError, Predecessor, Progress, Proven, Report, Resumed, RunReport,
    RunState, Source, Successor, TrailBroken, TrailReport, Verification, VerifyOptions, Witnessed,
    verify, verify_predecessors, verify_receipt,
};
pub use vitals::{Latencies, Vitals, WitnessStanding, WitnessVitals};
pub use wal::scan::WalError;
pub use witness::{Witness, WitnessConfig, WitnessError};
