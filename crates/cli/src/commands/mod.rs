//! One file per command.

pub(crate) mod close;
pub(crate) mod confined;
pub(crate) mod erase;
pub(crate) mod export;
pub(crate) mod gateway;
pub(crate) mod init;
pub(crate) mod lasting;
pub(crate) mod mcp;
pub(crate) mod open;
pub(crate) mod page;
pub(crate) mod prune;
pub(crate) mod receipt;
pub(crate) mod reindex;
pub(crate) mod rotate;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod signer;
pub(crate) mod task;
pub(crate) mod trail;
pub(crate) mod trust;
pub(crate) mod verify;
pub(crate) mod verify_receipt;
pub(crate) mod witness;
