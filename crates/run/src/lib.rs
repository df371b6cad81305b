//! Who is asking: a [`Run`], its [`Launcher`], its time box, and the [`Verifier`] its credential is
//! checked against. Only a check that succeeded makes a [`Verified`], and only that opens a session.
//!
//! No network, no storage, no clock: `now` is always an argument.

mod credential;
mod id;
mod launcher;
mod live;
mod tally;
mod time;

pub use credential::{BearerDigest, Iterations, Proof, ScramKeys, Secret, Verified, Verifier};
pub use id::{ApprovalId, InvalidApprovalId, InvalidRunId, RunId};
pub use launcher::{InvalidLauncher, Launcher};
pub use live::{Confinement, Cut, Ending, Run};
pub use tally::Tally;
pub use time::{InvalidTime, Time, TimeBox};
