//! Shows what the agent does while it does it, and keeps what has to be checked.

use anstyle::Style;

use super::event::Event;
use super::screen::Screen;
use crate::failure::Failure;
use crate::render::{count, style};

/// What became of the agent's doings.
#[derive(Debug, Default)]
pub(super) struct Telling {
    /// Every value it got to see.
    pub(super) seen: Vec<String>,
    /// Placeholders among them.
    pub(super) masked: u64,
    /// Statements that were let through.
    pub(super) allowed: u64,
    /// Rows it changed.
    pub(super) changed: u64,
    /// The SQLSTATE of each error it got, and whether that came with a detail and a hint.
    pub(super) errors: Vec<(String, bool)>,
    /// What it tried beside the gateway, and whether it was stopped.
    pub(super) tried: Vec<(String, bool)>,
    /// Whether it took a ticket's text for orders.
    pub(super) obeyed: bool,
}

impl Telling {
    /// Shows one event.
    pub(super) async fn tell(&mut self, screen: &mut Screen, event: Event) -> Result<(), Failure> {
        match event {
            Event::Says { text } => screen.line("agent", style::HEADING, &text, false),
            Event::Asks { call } => screen.line("asked", Style::new(), &call, false),
            Event::Waits { call, .. } => screen.line("asked", Style::new(), &call, false),
            Event::Reads { rows } => self.read(screen, rows),
            Event::Changes { rows, what } => {
                self.allowed += 1;
                self.changed += rows;
                let text = format!("{what}, {}", count(rows, "row"));
                screen.line("allowed", style::FINE, &text, false)
            }
            Event::Fails {
                code,
                message,
                detail,
                hint,
            } => {
                self.errors
                    .push((code.clone(), detail.is_some() && hint.is_some()));
                let text = format!("{code}: {}", detail.unwrap_or(message));
                screen.line("denied", style::DENIED, &text, true)?;
                match hint {
                    Some(hint) => screen.line("hint", style::DIM, &hint, true),
                    None => Ok(()),
                }
            }
            Event::Obeys { ticket, text } => {
                self.obeyed = true;
                screen.act("A ticket gives it other orders").await?;
                screen.tell(&format!("This is the text of ticket {ticket}:"))?;
                screen.quote(&text)?;
                screen.tell("The agent takes it for an order.")
            }
            Event::Turns => screen.act("It goes for the record of all this").await,
            Event::Tries { what, stopped } => {
                self.tried.push((what.clone(), stopped.is_some()));
                match stopped {
                    Some(reason) => {
                        screen.line("stopped", style::FINE, &format!("{what}: {reason}"), false)
                    }
                    None => screen.line("REACHED", style::DENIED, &what, true),
                }
            }
        }
    }

    fn read(&mut self, screen: &Screen, rows: Vec<Vec<String>>) -> Result<(), Failure> {
        self.allowed += 1;
        let masked: usize = rows
            .iter()
            .flatten()
            .map(|value| value.matches(bailiwick_mask::PREFIX).count())
            .sum();
        let masked = masked as u64;
        self.masked += masked;
        let text = format!(
            "{}, {} masked",
            count(rows.len() as u64, "row"),
            count(masked, "value")
        );
        screen.line("allowed", style::FINE, &text, false)?;
        // A value of several lines is shown by its first.
        let short = |value: &String| value.lines().next().unwrap_or_default().to_owned();
        let shown: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(short).collect())
            .collect();
        self.seen.extend(rows.into_iter().flatten());
        screen.rows(&shown)
    }
}
