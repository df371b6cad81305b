//! The second fence: with `credentials = "per-run"` each run has a login of its own at the target, which
//! PostgreSQL itself holds to what the run's task grants, and which goes when the run does.
//!
//! Everything here is tried on the system's PostgreSQL and on the newest.

mod documented;
mod fence;
mod kit;
mod lifetime;
mod many;
mod operator;
mod reload;

/// Makes a test of each function, on each PostgreSQL.
#[macro_export]
macro_rules! on_each_version {
    ($($name:ident),* $(,)?) => {
        mod on_the_systems {
            $(#[test] fn $name() { super::$name(bailiwick_tests::Version::System); })*
        }
        mod on_the_newest {
            $(#[test] fn $name() { super::$name(bailiwick_tests::Version::Newest); })*
        }
    };
}
