//! The terminal: taken over at the start, and given back as it was, however this ends.

use std::io;

use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::{DefaultTerminal, Frame};
use rustix::process::{Signal, kill_current_process_group};

use crate::failure::Failure;

/// The terminal while it is ours. Also a panic gives it back.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    pub(super) fn enter() -> Result<Self, Failure> {
        ratatui::try_init().map(Self).map_err(lost)
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame)) -> Result<(), Failure> {
        self.0.draw(draw).map(drop).map_err(lost)
    }

    /// Gives the terminal back to the shell and stops this process and what it was started with, as Ctrl-Z does.
    /// Goes on when the shell says so.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        self.0.show_cursor().map_err(lost)?;
        ratatui::try_restore().map_err(lost)?;
        kill_current_process_group(Signal::TSTP).map_err(|error| lost(error.into()))?;
        self.again()
    }

    /// Takes the terminal over once more and draws everything, whatever was done to it in the meantime.
    pub(super) fn again(&mut self) -> Result<(), Failure> {
        let taken = || {
            // A shell may have set it back without us knowing: only what is off can be turned on.
            disable_raw_mode()?;
            enable_raw_mode()?;
            execute!(io::stdout(), EnterAlternateScreen)
        };
        taken().map_err(lost)?;
        // Not `clear`: it asks the terminal where its cursor is, and the answer would arrive among the keys.
        let size = self.0.size().map_err(lost)?;
        self.0.resize(size.into()).map_err(lost)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn lost(error: io::Error) -> Failure {
    Failure::new(format!("the terminal cannot be used: {error}"))
}
