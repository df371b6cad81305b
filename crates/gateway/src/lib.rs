//! Between agents and targets: connections, TLS, and the gate. Every call an agent sends is held
//! until it is decided and its record durable; only then does it go on. A read may go on before, and
//! then its result is held ([`gate`]).
//!
//! No protocol has a name in here: `wire` says what bytes mean.

mod connect;
mod directory;
pub mod gate;
mod gateway;
mod limits;
mod listen;
mod live;
mod login;
mod running;
mod stream;
mod target;
mod tls;
mod veil;

pub use directory::{Admission, Directory};
pub use gateway::Gateway;
pub use listen::serve;
pub use target::{ReadMode, Target, survey};
pub use tls::{AgentTls, TlsError};
