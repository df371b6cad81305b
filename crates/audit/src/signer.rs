//! The log's signing key in a process of its own, so that the gateway never holds it. A gateway asks
//! over a Unix socket; `docs/witness.md` describes what is said there.
//!
//! The signer has a memory of what it signed, and that is what makes it more than a key in another
//! place: it signs a checkpoint only if that grew from the last one, whatever the gateway or
//! whoever has become the gateway says.

mod desk;
mod protocol;
mod remote;
mod serve;

pub use desk::{SignerConfig, SignerError, SigningDesk};
pub(crate) use remote::{Remote, Unknown};
pub use serve::serve;
