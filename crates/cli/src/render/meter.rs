//! How far long work has come.

use std::cell::Cell;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Work that is done sooner needs no word about it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the line changes.
const EVERY: Duration = Duration::from_millis(200);

/// A line on stderr, where that is a terminal, that says how much is done and how fast.
pub(crate) struct Meter {
    what: &'static str,
    start: Instant,
    /// When the line was written last.
    shown: Cell<Option<Instant>>,
    is_wanted: bool,
}

impl Meter {
    /// For work on so many of these.
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            start: Instant::now(),
            shown: Cell::new(None),
            is_wanted: std::io::stderr().is_terminal(),
        }
    }

    /// So much is done.
    pub(crate) fn show(&self, done: u64, total: u64) {
        let now = Instant::now();
        let is_due = match self.shown.get() {
            None => now.duration_since(self.start) >= PATIENCE,
            Some(shown) => now.duration_since(shown) >= EVERY,
        };
        if self.is_wanted && is_due {
            self.shown.set(Some(now));
            let line = line(self.what, done, total, now.duration_since(self.start));
            write(&format!("\r{line}\x1b[K"));
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&self) {
        if self.shown.take().is_some() {
            write("\r\x1b[K");
        }
    }
}

/// Whoever cannot be shown it misses nothing.
fn write(text: &str) {
    let mut stderr = std::io::stderr();
    let _ = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

fn line(what: &str, done: u64, total: u64, time: Duration) -> String {
    let rate = u128::from(done) * 1000 / time.as_millis().max(1);
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
    format!("{done} of {total} {what} ({percent} %), {rate}/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_how_much_and_how_fast() {
        let two_seconds = Duration::from_secs(2);
        assert_eq!(
            line("records", 512, 1024, two_seconds),
            "512 of 1024 records (50 %), 256/s"
        );
        assert_eq!(
            line("records", 0, 0, Duration::ZERO),
            "0 of 0 records (100 %), 0/s"
        );
    }
}
