//! Who is running, and how people look at it: the [`Registry`] opens and ends runs, the [`Server`]
//! gives it an API on a Unix socket (and, for reading, on TCP), and the [`Client`](client::Client)
//! is how local commands use that.
//!
//! A run is opened by the local user that the socket's peer credentials prove, as
//! `human:NAME@localhost`. Every request also carries the token of `data/control.token`: a confined
//! agent, though the same user, cannot read that file and so has no say here.

pub mod api;
pub mod client;
mod clock;
mod index;
mod limits;
mod live;
mod names;
mod peer;
mod people;
mod registry;
mod server;
mod socket;
mod store;
#[cfg(test)]
mod testing;
mod token;
mod trail;
mod witness;

pub use index::{ReindexError, Words, reindex};
pub use live::Live;
pub use people::{Person, Role, Via};
pub use registry::{
    AgentKit, AgentUrl, AttachError, Attachment, EndError, EraseError, Kit, LookupError,
    OpenRunError, Opened, Opening, PruneRunsError, Registry, Settings, StartError,
};
pub use server::{BindError, Server, ServerSettings};
pub use store::StoreError;
pub use witness::WitnessServer;
