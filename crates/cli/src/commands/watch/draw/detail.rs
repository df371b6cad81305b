//! One call that waits, or one incident, with all that is known of it.

use bailiwick_control::api::Approval;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::app::{App, Pane};
use super::super::deed::facts;
use super::super::feed::Noted;
use super::super::palette::Palette;
use super::{title, wrapped};
use crate::render::{clean, time_box};

/// Where values begin.
const INDENT: usize = 12;

/// A name and a value, wrapped.
pub(super) fn fact(
    palette: &Palette,
    name: &str,
    value: &str,
    style: Style,
    columns: usize,
) -> Vec<Line<'static>> {
    let parts = wrapped(value, columns.saturating_sub(INDENT));
    let lines = parts.into_iter().enumerate().map(|(index, part)| {
        let name = if index == 0 { clean(name) } else { "".into() };
        Line::from(vec![
            Span::styled(format!("  {name:<width$}", width = INDENT - 2), palette.dim),
            Span::styled(part, style),
        ])
    });
    lines.collect()
}

/// A call that waits.
pub(super) fn call(frame: &mut Frame, app: &App, call: &Approval, area: Rect) {
    let palette = app.palette;
    let left = time_box(app.now.until(call.expires));
    let words = format!("{} waits for a yes, {left} more", call.id);
    let mut lines = Vec::new();
    let columns = usize::from(area.width);
    for (name, value) in facts(call) {
        lines.extend(fact(&palette, name, &value, palette.plain, columns));
    }
    lines.extend(fact(
        &palette,
        "record",
        &call.record,
        palette.plain,
        columns,
    ));
    lines.push(Line::default());
    let more = format!(
        "This is what the gateway understood of it. What the agent itself wrote is shown, on record, by \
         `bailiwick approvals {} --words`.",
        call.id
    );
    lines.extend(fact(&palette, "", &more, palette.dim, columns));
    page(frame, app, Pane::Held, &words, lines, area);
}

/// Something that was outside a scope.
pub(super) fn incident(frame: &mut Frame, app: &App, noted: &Noted, area: Rect) {
    let palette = app.palette;
    let columns = usize::from(area.width);
    let incident = &noted.incident;
    let mut lines = Vec::new();
    let mut tell = |name: &str, value: Option<&str>, style: Style| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            lines.extend(fact(&palette, name, value, style, columns));
        }
    };
    let is_signal = incident.kind == "signal.raised";
    let style = if is_signal {
        palette.notice
    } else {
        palette.denied
    };
    tell("time", Some(&incident.time.to_string()), palette.plain);
    tell("target", incident.target.as_deref(), palette.plain);
    tell("call", incident.verb.as_deref(), palette.plain);
    for action in &incident.actions {
        tell("would do", Some(action), style);
    }
    tell("reason", incident.reason.as_deref(), style);
    tell("remedy", incident.remedy.as_deref(), palette.plain);
    tell("task", noted.task.as_deref(), palette.plain);
    tell("launcher", noted.launcher.as_deref(), palette.plain);
    tell("record", Some(&incident.id), palette.plain);
    lines.push(Line::default());
    let keys = "Enter goes to its run's trail, Esc back.";
    lines.extend(fact(&palette, "", keys, palette.dim, columns));
    let words = if is_signal {
        "A signal"
    } else {
        "Outside the scope"
    };
    page(frame, app, Pane::Incidents, words, lines, area);
}

fn page(frame: &mut Frame, app: &App, pane: Pane, words: &str, lines: Vec<Line>, area: Rect) {
    let (line, below) = title(app, pane, words, area);
    let top = Rect { height: 1, ..area };
    frame.render_widget(line, top);
    frame.render_widget(Paragraph::new(lines), below);
}
