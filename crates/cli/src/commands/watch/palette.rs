//! Colours. Red is for what is outside a scope, and for nothing else.

use ratatui::style::{Color, Modifier, Style};

/// How things look. Without colours, what matters is bold or reversed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Palette {
    pub(super) plain: Style,
    /// What need not stand out.
    pub(super) dim: Style,
    pub(super) strong: Style,
    /// Outside a scope.
    pub(super) denied: Style,
    /// What wants somebody: held calls, suspended runs, failures.
    pub(super) notice: Style,
    /// What is in order.
    pub(super) fine: Style,
    /// A key that can be pressed.
    pub(super) key: Style,
    /// The selected row where the keys go to.
    pub(super) selected: Style,
}

impl Palette {
    /// With colours, unless `NO_COLOR` says otherwise (no-color.org).
    pub(super) fn from_environment() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if wanted {
            Self::colours()
        } else {
            Self::monochrome()
        }
    }

    pub(super) fn colours() -> Self {
        let plain = Style::new();
        Self {
            plain,
            dim: plain.add_modifier(Modifier::DIM),
            strong: plain.add_modifier(Modifier::BOLD),
            denied: plain.fg(Color::Red).add_modifier(Modifier::BOLD),
            notice: plain.fg(Color::Yellow),
            fine: plain.fg(Color::Green),
            key: plain.fg(Color::Cyan),
            selected: plain.add_modifier(Modifier::REVERSED),
        }
    }

    pub(super) fn monochrome() -> Self {
        let plain = Style::new();
        Self {
            plain,
            dim: plain.add_modifier(Modifier::DIM),
            strong: plain.add_modifier(Modifier::BOLD),
            denied: plain.add_modifier(Modifier::BOLD),
            notice: plain.add_modifier(Modifier::UNDERLINED),
            fine: plain,
            key: plain.add_modifier(Modifier::BOLD),
            selected: plain.add_modifier(Modifier::REVERSED),
        }
    }
}
