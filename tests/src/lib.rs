//! What the tests with real servers and real clients stand on: a PostgreSQL with a ticket store, the
//! built `bailiwick` in front of it, and an agent that speaks the protocol by hand where a driver
//! would be too polite.
//!
//! The gateway is used only as its users use it: by the program, its files and its ports.

mod agent;
mod browser;
mod certificate;
mod chromium;
mod disk;
mod lasting;
mod load;
mod peers;
mod programs;
mod random;
mod small_disk;
mod store;
mod world;

pub use agent::{Agent, Answer, Message, Report, frontend};
pub use browser::{Browser, Page, free_port};
pub use certificate::{Certified, certificate};
pub use chromium::Chromium;
pub use disk::Disk;
pub use lasting::Lasting;
pub use load::{Fate, LOAD, Load, Sent, Told, key_in};
pub use peers::{CREDENTIAL, Journal, McpClient, McpServer, Peer, StdioPeer, lines, mcp_client};
pub use programs::{
    Finished, bailiwick, command, confinement, finish, java, node, node_oidc, node_web,
    programs_18, promtool, psql, python, python_api, python_otlp, python_web, rotel, rsyslogd,
    schemathesis,
};
pub use random::Random;
pub use small_disk::SmallDisk;
pub use store::{SERVICE, SERVICE_PASSWORD, Store, Version, mark};
pub use world::{Builder, Run, TRIAGE, World, actions, http_task, me, signal, task};

use std::time::{Duration, Instant};

/// Says that a test could not be made here, and why. Also where the output of tests that pass is kept
/// back: nothing is skipped in silence.
pub fn skipped(why: &str) {
    use std::io::Write;
    let test = std::thread::current();
    let test = test.name().unwrap_or_default();
    // If nobody can be told there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}

/// How many times longer than on an idle machine a thing may take: tests run on busy ones, too.
const PATIENCE: u32 = 6;

/// Waits until something holds, and fails the test if it does not, much later than the time it takes at most
/// where nothing else runs.
#[track_caller]
pub fn eventually<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            start.elapsed() < PATIENCE * within,
            "not within {PATIENCE} times {within:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
