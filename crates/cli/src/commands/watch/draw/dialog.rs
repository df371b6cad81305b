//! Boxes above the rest: what is asked before something is done, and the keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::super::app::App;
use super::super::deed::{Asked, Question};
use super::super::palette::Palette;
use super::detail::fact;
use super::wrapped;
use crate::render::clean;

/// How wide a box is at most.
const COLUMNS_MAX: u16 = 76;

/// What its border takes, on both sides together.
const BORDER: u16 = 2;

/// Asks before something is done. What is to be pressed is always there, however little room there is.
pub(super) fn ask(frame: &mut Frame, palette: &Palette, question: &Question, area: Rect) {
    let inside = usize::from(area.width.min(COLUMNS_MAX).saturating_sub(BORDER));
    let mut facts = Vec::new();
    for (name, value) in &question.facts {
        facts.extend(fact(
            palette,
            name,
            value,
            palette.plain,
            inside.saturating_sub(1),
        ));
    }
    let mut end = vec![Line::default()];
    for line in wrapped(question.words, inside.saturating_sub(4)) {
        end.push(Line::raw(format!("  {line}")));
    }
    end.push(Line::default());
    match &question.asked {
        Asked::Yes(_) => end.push(Line::from(vec![
            Span::raw("  "),
            Span::styled("y", palette.key),
            Span::raw(" yes, do it    "),
            Span::styled("n", palette.key),
            Span::raw(" no"),
        ])),
        Asked::Reason(_, reason) => {
            for line in wrapped(&format!("{reason}▏"), inside.saturating_sub(4)) {
                end.push(Line::from(vec![
                    Span::styled("  > ", palette.key),
                    Span::styled(line, palette.strong),
                ]));
            }
            end.push(Line::from(vec![
                Span::styled("  Enter", palette.key),
                Span::raw(" denies it    "),
                Span::styled("Esc", palette.key),
                Span::raw(" leaves it open"),
            ]));
        }
    }
    let room = usize::from(area.height.saturating_sub(BORDER)).saturating_sub(end.len());
    if facts.len() > room {
        facts.truncate(room.saturating_sub(1));
        let more = "  … and more than there is room for: Esc, then Enter shows all";
        facts.push(Line::styled(more, palette.notice));
    }
    facts.extend(end);
    boxed(frame, palette, &question.title, facts, area);
}

/// All keys.
pub(super) fn help(frame: &mut Frame, app: &App, area: Rect) {
    let keys = [
        ("j k ↓ ↑", "move; g G first and last; PgUp PgDn by ten"),
        ("Tab", "next list; Shift-Tab the one before"),
        ("Enter", "look closer; Esc back"),
        ("/", "only what has these words; Esc clears"),
        ("s", "suspend the run: it may do nothing for now"),
        ("r", "resume it"),
        ("x", "revoke it: it ends"),
        ("a", "approve the call that waits"),
        ("d", "deny it, with a reason for the agent"),
        ("q", "quit; Ctrl-Z back to the shell for now"),
        ("", ""),
        ("", "Nothing is done before it was asked."),
        ("", "Red is outside a scope. Times are UTC."),
    ];
    let palette = app.palette;
    let lines = keys.into_iter().map(|(key, does)| {
        Line::from(vec![
            Span::styled(format!("  {key:<10}"), palette.key),
            Span::raw(does),
        ])
    });
    boxed(frame, &palette, "Keys", lines.collect(), area);
}

fn boxed(frame: &mut Frame, palette: &Palette, title: &str, lines: Vec<Line>, area: Rect) {
    let width = area.width.min(COLUMNS_MAX);
    let wanted = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .saturating_add(BORDER);
    let height = area.height.min(wanted);
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    let title = Line::styled(format!(" {} ", clean(title)), palette.strong);
    let block = Block::bordered().title(title);
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(block), place);
}
