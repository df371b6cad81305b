//! Between agents and targets: connections, TLS, and the gate. Every call an agent sends is held
//! until it is decided and its record durable; only then does it go on. A read may go on before, and
//! then its result is held ([`gate`]).
//!
//! No protocol has a name in here: `wire` says what bytes mean.

mod approval;
mod calls;
mod connect;
mod desk;
mod directory;
mod discreet;
mod entrance;
mod errand;
mod fence;
pub mod gate;
mod gateway;
mod kept;
mod limits;
mod listen;
mod live;
mod login;
mod meters;
mod running;
mod seldom;
mod stream;
mod sweep;
mod target;
mod terminate;
mod tls;
mod upstream;
mod veil;

pub use desk::{Asked, Desk, Estimate, NotAsked, Question, Standing};
pub use directory::{Admission, Directory, Suspended};
pub use errand::{beyond, inspect};
pub use gateway::Gateway;
pub use limits::OPEN_FILES_MAX;
pub use listen::{Phase, serve};
pub use sweep::keep_logins;
pub use target::{Credentials, ReadMode, Target, survey};
pub use terminate::{Answered, Own};
pub use tls::{AgentTls, TlsError};
pub use upstream::{ClientCredentials, Command, Credential, Upstream};
