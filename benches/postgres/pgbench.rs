//! Runs pgbench once.

use std::time::Duration;

use bailiwick_tests::{command, finish};

use crate::options::{Cell, Load};

/// Transactions a second, without the time to connect.
pub(crate) fn run(url: &str, cell: Cell, time: Duration) -> f64 {
    let clients = cell.clients.to_string();
    let threads = cell.clients.min(2).to_string();
    let seconds = time.as_secs().to_string();
    let script = match cell.load {
        Load::Select => "select-only",
        Load::TpcB => "tpcb-like",
    };
    let mode = cell.mode.to_string();
    let mut pgbench = command("pgbench");
    pgbench.args(["--no-vacuum", "--builtin", script, "--protocol", &mode]);
    pgbench.args(["--client", &clients, "--jobs", &threads, "--time", &seconds]);
    let finished = finish(pgbench.arg(url));
    let said = finished.ok();
    let tps = said.lines().find_map(|line| {
        let rest = line.strip_prefix("tps = ")?;
        rest.split(' ').next()?.parse().ok()
    });
    tps.unwrap_or_else(|| panic!("pgbench did not say how fast it was: {finished:#?}"))
}
