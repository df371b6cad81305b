//! How a command fails: one line that says what happened, one that says what to do.

use std::fmt::{self, Display};
use std::process::ExitCode;

use crate::render::{self, style};

/// The exit status of a command that could not do what it was asked to. Status 1 is kept for answers:
/// `verify` found the log broken, `task check` found a task wrong.
const STATUS: u8 = 2;

/// Why a command could not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    help: Option<String>,
    status: u8,
}

impl Failure {
    /// A failure, in words: lower case, no full stop; a line each if there are several.
    pub(crate) fn new(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            help: None,
            status: STATUS,
        }
    }

    /// Nothing to report: the command just ends here.
    pub(crate) fn quiet() -> Self {
        Self::new("").status(0)
    }

    /// The same failure, with what to do about it.
    pub(crate) fn help(mut self, help: impl Display) -> Self {
        self.help = Some(help.to_string());
        self
    }

    /// The same failure, with another exit status.
    pub(crate) fn status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// The same failure, with this exit status unless it has one of its own.
    pub(crate) fn or_status(mut self, status: u8) -> Self {
        if self.status == STATUS {
            self.status = status;
        }
        self
    }

    /// What to do about it.
    pub(crate) fn remedy(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The same failure where somebody has said already what it is: only its exit status is left.
    pub(crate) fn told(self) -> Self {
        Self::new("").status(self.status)
    }

    /// Prints it on stderr and says with what to exit.
    pub(crate) fn report(&self) -> ExitCode {
        for line in self.message.lines() {
            anstream::eprintln!(
                "{}error:{:#} {}",
                style::ERROR,
                style::ERROR,
                render::clean(line)
            );
        }
        if let Some(help) = &self.help {
            anstream::eprintln!(
                "{}help:{:#} {}",
                style::HELP,
                style::HELP,
                render::clean(help)
            );
        }
        ExitCode::from(self.status)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
