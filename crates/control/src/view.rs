//! What people look at, out of the index: what was outside a scope, how much happens, what a run did of what it
//! might. The index is a moment behind the record; how far it is, is said, and [`Changes`] tell when it moves on.

use bailiwick_audit::{AppendError, ReadError};

use crate::index::SearchError;
use crate::registry::LookupError;
use crate::store::StoreError;

mod activity;
mod chain;
mod changes;
mod incidents;
mod runs;
mod scope;
mod search;
#[cfg(test)]
mod tests;
mod trail;

pub use chain::Chain;
pub use changes::{Change, Changes};

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// It cannot be asked so.
    #[error("{0}")]
    Query(String),
    /// The index has no answer.
    #[error(transparent)]
    Index(#[from] SearchError),
    /// The list of runs cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not known whether there is such a run.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The record cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What people look at, search and take has to be on record first, and could not be.
    #[error("nothing is shown, because it could not be recorded that it is: {0}")]
    Record(#[from] AppendError),
}
