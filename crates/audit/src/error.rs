use std::sync::Arc;

/// Why a record was not made. Nothing that depends on it may happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The run is open already.
    #[error("{0} is open already")]
    AlreadyOpen(String),
    /// The disk does not keep up.
    #[error(
        "too much is waiting to be recorded or signed; try again. The gateway's own log says whether \
         its signer is missing; if not, give the data folder a faster disk"
    )]
    Behind,
    /// The log was closed.
    #[error("the log is closed, because the gateway is stopping")]
    Closed,
    /// The disk is full; what is left is kept for records that close calls and runs.
    #[error(
        "the disk of the data folder is full, so nothing new can be recorded or allowed; \
         make room, and the gateway goes on by itself"
    )]
    DiskFull,
    /// The run was never opened, or is closed.
    #[error("{0} is not open, so nothing can be recorded about it")]
    NotOpen(String),
    /// The payload is too long.
    #[error("the payload is {size} bytes long; at most {limit} can be kept")]
    PayloadTooLong {
        /// How long it is.
        size: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The run is still open.
    #[error("{0} is still open, so its payloads cannot be erased; close or revoke it first")]
    StillOpen(String),
    /// The record or its payload could not be put into form.
    #[error("cannot make the record: {0}")]
    Unrecordable(Arc<str>),
    /// What was recorded is durable, but the signer is missing, so no checkpoint covers it yet.
    #[error("what is recorded is not signed yet: {reason}")]
    Unsigned {
        /// Why not.
        reason: Arc<str>,
    },
    /// A write to the log failed, and what is on the disk can no longer be known.
    #[error(
        "the log has stopped ({reason}); nothing can be recorded or allowed until the gateway is \
         restarted. Check the disk first"
    )]
    Stopped {
        /// What failed.
        reason: Arc<str>,
    },
}
