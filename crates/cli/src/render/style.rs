//! Colours, used only where a terminal shows them.

use anstyle::{AnsiColor, Style};

/// The word `error:`.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// The word `help:`.
pub(crate) const HELP: Style = AnsiColor::Cyan.on_default().bold();
/// The word `note:`.
pub(crate) const NOTE: Style = AnsiColor::Yellow.on_default().bold();
/// What was denied, or is broken.
pub(crate) const DENIED: Style = AnsiColor::Red.on_default().bold();
/// Why something was denied.
pub(crate) const REASON: Style = AnsiColor::Red.on_default();
/// What is in order.
pub(crate) const FINE: Style = AnsiColor::Green.on_default();
/// What is as expected and need not stand out.
pub(crate) const DIM: Style = Style::new().dimmed();
/// A heading.
pub(crate) const HEADING: Style = Style::new().bold();
