//! What people see: clean text, widths, colours.

mod clean;
mod meter;
pub(crate) mod style;
mod table;
mod time;

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal, Write};

use crate::failure::Failure;

pub(crate) use clean::{clean, clean_json, clean_lines, fit, width};
pub(crate) use meter::Meter;
pub(crate) use table::{Cell, Table};
pub(crate) use time::{ago, for_long, now, since, time_box};

/// The columns that output is made for where it goes to no terminal.
const COLUMNS: usize = 120;

/// Where a terminal is narrower than this, lines are left to wrap.
const COLUMNS_MIN: usize = 60;

/// Prints to stdout. Whoever reads it may have seen enough and gone; that ends the command quietly.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::quiet()),
        Err(error) => Err(Failure::new(format!("cannot write the output: {error}"))),
    }
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(value)
        .map_err(|error| Failure::new(format!("cannot write the output: {error}")))?;
    print(&format!("{line}\n"))
}

/// Says something on stderr that the user should know.
pub(crate) fn note(text: impl Display) {
    let text = text.to_string();
    anstream::eprintln!("{}note:{:#} {}", style::NOTE, style::NOTE, clean(&text));
}

/// How many columns a line may have.
pub(crate) fn columns() -> usize {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        // Whoever shows it to somebody can say how much room there is.
        let told = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok());
        return told.map_or(COLUMNS, |columns: usize| columns.max(COLUMNS_MIN));
    }
    rustix::termios::tcgetwinsize(&stdout)
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0)
        .map_or(COLUMNS, |columns| columns.max(COLUMNS_MIN))
}

/// `1 row`, `2 rows`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}
