//! `wrk`, which keeps its connections busy.

use std::time::Duration;

use bailiwick_tests::{command, finish};

/// What it measured.
#[derive(Clone, Copy)]
pub(crate) struct Result {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) median: f64,
    /// Milliseconds.
    pub(crate) p99: f64,
}

/// Gets one URL again and again.
pub(crate) fn run(url: &str, token: Option<&str>, connections: u32, time: Duration) -> Result {
    let mut wrk = command("wrk");
    wrk.arg("--latency")
        .args(["--threads", "1", "--connections", &connections.to_string()])
        .args(["--duration", &format!("{}s", time.as_secs())]);
    if let Some(token) = token {
        wrk.args(["--header", &format!("Authorization: Bearer {token}")]);
    }
    let finished = finish(wrk.arg(url));
    let said = finished.ok();
    assert!(
        !said.contains("Non-2xx") && !said.contains("Socket errors"),
        "not every request was answered: {said}"
    );
    let after = |label: &str| {
        let line = said
            .lines()
            .find_map(|line| line.trim().strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label} in {said}"))
            .trim()
    };
    Result {
        rate: after("Requests/sec:").parse().expect("a number"),
        median: millis(after("50%")),
        p99: millis(after("99%")),
    }
}

/// `123.00us`, `1.20ms`, `1.00s`.
fn millis(text: &str) -> f64 {
    let end = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().expect("a number");
    match unit {
        "us" => number / 1000.0,
        "ms" => number,
        "s" => number * 1000.0,
        other => panic!("a unit {other}"),
    }
}
