//! A throwaway PostgreSQL: a real server from the system's packages, on a free port, in a temporary
//! folder, gone without a trace when it is dropped or when the process that started it dies. For the
//! demo and for tests; never for data that anyone wants to keep.

mod guard;
mod install;
mod options;
mod postgres;
mod user;

pub use options::{Auth, Certificate, Options};
pub use postgres::{PsqlError, StartError, Throwaway};
