//! How it looks. All text of others goes through [`clean`] here, by [`Row`] and [`wrapped`].

mod detail;
mod dialog;
mod row;

use bailiwick_control::api::{Approval, RunState, Summary};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line as Text, Span};
use ratatui::widgets::Paragraph;

use super::app::{App, Pane};
use super::feed::Noted;
use super::palette::Palette;
use crate::commands::runs;
use crate::commands::trail::{Effect, Line, sentence, time_of_day};
use crate::render::{clean, count, time_box};
use row::Row;
pub(super) use row::wrapped;

/// From so many columns on the trail stands beside the rest, not below.
const SIDE_BY_SIDE: u16 = 140;

/// What is too small to show anything.
const COLUMNS_MIN: u16 = 40;
const ROWS_MIN: u16 = 8;

/// Calls that wait, of which a list shows so many.
const HELD_SHOWN: u16 = 3;

/// How wide the bar of a time box is.
const BAR: usize = 6;

/// Draws everything.
pub(super) fn all(frame: &mut Frame, app: &mut App) {
    let area = frame.area();
    if area.width < COLUMNS_MIN || area.height < ROWS_MIN {
        let words = format!("{COLUMNS_MIN} columns and {ROWS_MIN} rows are the least");
        return frame.render_widget(Paragraph::new(words), area);
    }
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(heading(app, head.width), head);
    if app.is_wide {
        draw_wide(frame, app, body);
    } else {
        draw_panes(frame, app, body);
    }
    frame.render_widget(footing(app, foot.width), foot);
    if app.is_helping {
        dialog::help(frame, app, area);
    }
    if let Some(question) = &app.question {
        dialog::ask(frame, &app.palette, question, area);
    }
}

fn draw_panes(frame: &mut Frame, app: &App, body: Rect) {
    let (lists, beside) = match body.width >= SIDE_BY_SIDE {
        true => {
            let [lists, _, trail] = Layout::horizontal([
                Constraint::Percentage(55),
                Constraint::Length(1),
                Constraint::Min(1),
            ])
            .areas(body);
            (lists, Some(trail))
        }
        false => (body, None),
    };
    let rows = |shown: usize, most: u16| u16::try_from(shown).unwrap_or(most).clamp(1, most);
    let share = (body.height / 4).max(3);
    let held = match app.held().len() {
        0 => 0,
        waiting => 1 + rows(waiting, HELD_SHOWN),
    };
    let runs = 2 + rows(app.runs().len(), share);
    let incidents = 1 + rows(app.incidents().len(), share);
    let trail_rows = if beside.is_some() { 0 } else { 1 };
    let [held_area, runs_area, incidents_area, below] = Layout::vertical([
        Constraint::Length(held),
        Constraint::Length(runs),
        match beside {
            Some(_) => Constraint::Min(1),
            None => Constraint::Length(incidents),
        },
        Constraint::Min(trail_rows),
    ])
    .areas(lists);
    if held > 0 {
        draw_held(frame, app, held_area);
    }
    draw_runs(frame, app, runs_area);
    draw_incidents(frame, app, incidents_area);
    draw_trail(frame, app, beside.unwrap_or(below), false);
}

fn draw_wide(frame: &mut Frame, app: &App, body: Rect) {
    match app.focus {
        Pane::Runs => draw_runs(frame, app, body),
        Pane::Trail => draw_trail(frame, app, body, true),
        Pane::Held => match app.selected_call() {
            Some(call) => detail::call(frame, app, call, body),
            None => draw_held(frame, app, body),
        },
        Pane::Incidents => match app.selected_incident() {
            Some(noted) => detail::incident(frame, app, noted, body),
            None => draw_incidents(frame, app, body),
        },
    }
}

/// How everything is, and whose eyes these are.
fn heading(app: &App, width: u16) -> Text<'static> {
    let palette = app.palette;
    let in_state = |state| {
        app.seen
            .runs
            .iter()
            .filter(|run| run.state == state)
            .count()
    };
    let (open, suspended) = (in_state(RunState::Open), in_state(RunState::Suspended));
    let live = app
        .seen
        .runs
        .iter()
        .filter(|run| run.state != RunState::Ended);
    let denied: u64 = live.map(|run| run.counts.denied).sum();
    let mut parts = vec![
        Span::styled("bailiwick", palette.strong),
        Span::styled(format!(" {}", clean(&app.version)), palette.dim),
        Span::raw(format!("  {open} live")),
    ];
    let mut some = |number: usize, what: &str, style: Style| {
        if number > 0 {
            parts.push(Span::styled(format!(" · {number} {what}"), style));
        }
    };
    some(suspended, "suspended", palette.notice);
    some(app.held().len(), "held", palette.notice);
    some(
        usize::try_from(denied).unwrap_or(usize::MAX),
        "denied",
        palette.denied,
    );
    let clock = format!("{} UTC", time_of_day(app.now));
    let who = format!("{}  {clock}", clean(&app.me));
    row::ends(parts, [who, clock], palette.dim, width)
}

/// What can be pressed, what is typed, or what has come of the last thing.
fn footing(app: &App, width: u16) -> Text<'static> {
    let palette = app.palette;
    if app.is_filtering {
        return Text::from(vec![
            Span::styled("/", palette.key),
            Span::raw(format!("{}▏", clean(&app.filter))),
            Span::styled("   Enter keeps it, Esc clears it", palette.dim),
        ]);
    }
    if let Some(why) = &app.trouble {
        let words = format!("{}; trying again", clean(why));
        return Text::styled(row::cut(&words, width), palette.notice);
    }
    if let Some(word) = app.word() {
        let style = if word.is_trouble {
            palette.notice
        } else {
            palette.fine
        };
        return Text::styled(row::cut(&clean(&word.text), width), style);
    }
    let mut parts = Vec::new();
    let mut key = |key: &'static str, does: &'static str| {
        parts.push(Span::styled(key, palette.key));
        parts.push(Span::styled(format!(" {does}  "), palette.dim));
    };
    if !app.held().is_empty() {
        key("a", "approve");
        key("d", "deny");
    }
    key("s", "suspend");
    key("r", "resume");
    key("x", "revoke");
    key("Enter", if app.is_wide { "back" } else { "open" });
    key("/", "filter");
    key("?", "help");
    if !app.filter.is_empty() {
        parts.push(Span::styled(
            format!("filter: {}", clean(&app.filter)),
            palette.notice,
        ));
    }
    Text::from(parts)
}

/// A pane's title: where the keys go, it stands out.
fn title(app: &App, pane: Pane, words: &str, area: Rect) -> (Text<'static>, Rect) {
    let has_keys = app.focus == pane;
    let style = if has_keys {
        app.palette.strong
    } else {
        app.palette.dim
    };
    let mark = if has_keys { "▶" } else { "─" };
    let words = format!("{mark} {} ", clean(words));
    let rule = usize::from(area.width).saturating_sub(crate::render::width(&words));
    let line = Text::from(vec![
        Span::styled(row::cut(&words, area.width), style),
        Span::styled("─".repeat(rule), app.palette.dim),
    ]);
    let below = Rect {
        y: area.y.saturating_add(1),
        height: area.height.saturating_sub(1),
        ..area
    };
    (line, below)
}

/// Draws a title and, of these rows, as many as fit, the selected one among them.
fn list<T>(
    frame: &mut Frame,
    (app, pane): (&App, Pane),
    (title_line, area): (Text<'static>, Rect),
    (rows, selected): (&[T], usize),
    draw: impl Fn(&T) -> Row,
) {
    let line = Rect {
        y: area.y.saturating_sub(1),
        height: 1,
        ..area
    };
    frame.render_widget(title_line, line);
    let room = usize::from(area.height);
    let first = (selected + 1).saturating_sub(room);
    let shown = rows.iter().enumerate().skip(first).take(room);
    let lines = shown.map(|(index, entry)| {
        let is_selected = index == selected;
        let row = draw(entry).mark(if is_selected { "▸" } else { " " });
        let line = row.fit(area.width);
        match is_selected && app.focus == pane {
            true => line.patch_style(app.palette.selected),
            false => line,
        }
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
}

fn nothing(frame: &mut Frame, palette: &Palette, words: &str, area: Rect) {
    let words = Text::styled(format!("  {words}"), palette.dim);
    frame.render_widget(Paragraph::new(words), area);
}

fn draw_runs(frame: &mut Frame, app: &App, area: Rect) {
    let runs = app.runs();
    let place = match runs.is_empty() {
        true => "Runs".to_owned(),
        false => format!("Runs {}/{}", app.run_row() + 1, runs.len()),
    };
    let (line, heads) = title(app, Pane::Runs, &place, area);
    frame.render_widget(line, Rect { height: 1, ..area });
    // The heads stand between the title and the rows.
    let below = Rect {
        y: heads.y.saturating_add(1),
        height: heads.height.saturating_sub(1),
        ..heads
    };
    list(
        frame,
        (app, Pane::Runs),
        (run_heads(&app.palette).fit(area.width), below),
        (&runs, app.run_row()),
        |run| run_row(app, run),
    );
    if runs.is_empty() {
        let words = match (app.is_loaded, app.filter.is_empty()) {
            (false, _) => "asking the gateway …",
            (true, true) => "no run yet: bailiwick run --task TASK -- COMMAND opens one",
            (true, false) => "no run matches the filter; Esc clears it",
        };
        nothing(frame, &app.palette, words, below);
    }
}

fn run_heads(palette: &Palette) -> Row {
    let dim = palette.dim;
    Row::default()
        .field("STATE", dim, 9)
        .rest("TASK", dim)
        .rest("LAUNCHER", dim)
        .field("TIME LEFT", dim, BAR + 8)
        .number("ALLOWED", dim, 7)
        .number("DENIED", dim, 6)
        .number("MASKED", dim, 6)
        .number("OPEN", dim, 4)
}

fn run_row(app: &App, run: &Summary) -> Row {
    let palette = app.palette;
    let (state, rest) = match run.state {
        RunState::Open => (palette.fine, palette.plain),
        RunState::Suspended => (palette.notice, palette.plain),
        RunState::Ending | RunState::Ended => (palette.dim, palette.dim),
    };
    let denied = if run.counts.denied > 0 {
        palette.denied
    } else {
        palette.dim
    };
    let sessions = match run.sessions {
        0 => String::new(),
        sessions => sessions.to_string(),
    };
    Row::default()
        .field(runs::state(run), state, 9)
        .rest(&run.task, rest)
        .rest(launcher(run.launcher.as_str()), palette.dim)
        .field(time_left(app, run), palette.dim, BAR + 8)
        .number(run.counts.allowed.to_string(), rest, 7)
        .number(run.counts.denied.to_string(), denied, 6)
        .number(run.counts.masked.to_string(), palette.dim, 6)
        .number(sessions, rest, 4)
}

/// `████░░ 12m 30s` of a run that is live, or when one has ended.
fn time_left(app: &App, run: &Summary) -> String {
    if let Some(ended) = run.ended {
        return format!("{} ago", time_box(ended.until(app.now)));
    }
    let whole = run.opened.until(run.expires).as_millis().max(1);
    let left = app.now.until(run.expires);
    // The last part goes only when the time is over.
    let full = (left.as_millis() * BAR as u128).div_ceil(whole);
    let full = usize::try_from(full).unwrap_or(BAR).min(BAR);
    format!(
        "{}{} {}",
        "█".repeat(full),
        "░".repeat(BAR - full),
        time_box(left)
    )
}

/// People are most launchers: that goes without saying.
fn launcher(name: &str) -> &str {
    name.strip_prefix("human:").unwrap_or(name)
}

fn draw_held(frame: &mut Frame, app: &App, area: Rect) {
    let words = match app.held() {
        [_] => "1 call waits for a yes".to_owned(),
        held => format!("{} calls wait for a yes", held.len()),
    };
    let titled = title(app, Pane::Held, &words, area);
    list(
        frame,
        (app, Pane::Held),
        titled,
        (app.held(), app.held_row()),
        |call| held_row(app, call),
    );
}

fn held_row(app: &App, call: &Approval) -> Row {
    let palette = app.palette;
    let left = time_box(app.now.until(call.expires));
    let what = match call.actions.as_slice() {
        [] => call.verb.clone(),
        actions => actions.join(", "),
    };
    Row::default()
        .number(left, palette.notice, 7)
        .rest_of(format!("{what} at {}", call.target), palette.plain, 3)
        .rest(&call.task, palette.dim)
        .rest(launcher(call.launcher.as_str()), palette.dim)
}

fn draw_incidents(frame: &mut Frame, app: &App, area: Rect) {
    let incidents = app.incidents();
    let place = match incidents.is_empty() {
        true => "Incidents".to_owned(),
        false => format!("Incidents {}/{}", app.incident_row() + 1, incidents.len()),
    };
    let titled = title(app, Pane::Incidents, &place, area);
    let below = titled.1;
    list(
        frame,
        (app, Pane::Incidents),
        titled,
        (&incidents, app.incident_row()),
        |noted| incident_row(app, noted),
    );
    if incidents.is_empty() && app.is_loaded {
        let words = match app.filter.is_empty() {
            true => "nothing was outside a scope",
            false => "none matches the filter; Esc clears it",
        };
        nothing(frame, &app.palette, words, below);
    }
}

fn incident_row(app: &App, noted: &Noted) -> Row {
    let palette = app.palette;
    let incident = &noted.incident;
    let is_signal = incident.kind == "signal.raised";
    let style = if is_signal {
        palette.notice
    } else {
        palette.denied
    };
    let who = noted.task.as_deref().unwrap_or("gateway");
    Row::default()
        .field(time_of_day(incident.time), palette.dim, 8)
        .field(if is_signal { "!" } else { "✗" }, style, 1)
        .rest_of(what_was_denied(noted), style, 4)
        .rest(who, palette.dim)
        .rest(
            launcher(noted.launcher.as_deref().unwrap_or_default()),
            palette.dim,
        )
}

/// What was denied, and why, as far as there is room.
fn what_was_denied(noted: &Noted) -> String {
    let incident = &noted.incident;
    let mut words = match (
        incident.actions.as_slice(),
        incident.kind.as_str(),
        &incident.verb,
    ) {
        ([], "login.denied", _) => "access".to_owned(),
        ([], _, Some(verb)) => verb.clone(),
        ([], _, None) => String::new(),
        (actions, _, _) => actions.join(", "),
    };
    if let Some(target) = &incident.target {
        words.push_str(&format!(" at {target}"));
    }
    match (&incident.reason, words.is_empty()) {
        (Some(reason), true) => reason.clone(),
        (Some(reason), false) => format!("{words}: {reason}"),
        (None, _) => words,
    }
}

/// The trail of the selected run, its newest line last. With all the room, each line says all it has to say.
fn draw_trail(frame: &mut Frame, app: &App, area: Rect, is_whole: bool) {
    let run = app.selected_run();
    let summary = run.and_then(|run| app.seen.runs.iter().find(|summary| summary.run == run));
    let mut words = match summary {
        Some(summary) => format!("Trail of {} · {}", summary.run, summary.task),
        None => "Trail".to_owned(),
    };
    if app.back > 0 {
        words.push_str(&format!(
            " · {} below, G goes on",
            count(app.back as u64, "line")
        ));
    }
    let (line, area) = title(app, Pane::Trail, &words, area);
    let title_area = Rect {
        y: area.y.saturating_sub(1),
        height: 1,
        ..area
    };
    frame.render_widget(line, title_area);
    let Some(tail) = app.trail() else {
        return;
    };
    let room = usize::from(area.height);
    let mut shown: Vec<Text> = Vec::new();
    for line in tail.lines.iter().rev().skip(app.back) {
        let mut lines = trail_lines(
            &app.palette,
            line,
            tail.several_targets,
            area.width,
            is_whole,
        );
        lines.reverse();
        shown.extend(lines);
        if shown.len() >= room {
            break;
        }
    }
    if shown.len() < room && tail.cut {
        let earlier = format!("  what was earlier: bailiwick trail {}", tail.run);
        shown.push(Text::styled(earlier, app.palette.dim));
    }
    shown.truncate(room);
    shown.reverse();
    frame.render_widget(Paragraph::new(shown), area);
}

fn trail_lines(
    palette: &Palette,
    line: &Line,
    with_target: bool,
    width: u16,
    is_whole: bool,
) -> Vec<Text<'static>> {
    let (mark, style) = match line.effect {
        Effect::Denied => ("✗", palette.denied),
        Effect::Failed | Effect::Signal => ("!", palette.notice),
        Effect::Held => ("‖", palette.notice),
        Effect::Allowed => (" ", palette.plain),
        Effect::Event => (" ", palette.dim),
    };
    let mut words = sentence(line, with_target);
    if line.times > 1 {
        words.push_str(&format!(" ×{}", line.times));
    }
    if let Some(reason) = &line.reason {
        words.push_str(&format!(": {reason}"));
    }
    let time = time_of_day(line.time);
    if !is_whole {
        let row = Row::default()
            .field(time, palette.dim, 8)
            .rest(words, style);
        return vec![row.mark(mark).fit(width)];
    }
    const INDENT: usize = 11;
    let room = usize::from(width).saturating_sub(INDENT);
    let mut lines: Vec<Text> = Vec::new();
    for (index, part) in wrapped(&words, room).into_iter().enumerate() {
        let begin = if index == 0 {
            format!("{mark} {time} ")
        } else {
            " ".repeat(INDENT)
        };
        lines.push(Text::from(vec![
            Span::styled(begin, palette.dim),
            Span::styled(part, style),
        ]));
    }
    // A call that is held is answered by a key, if it still is.
    let remedy = line.remedy.as_ref();
    if let Some(remedy) = remedy.filter(|_| line.effect != Effect::Held) {
        for part in wrapped(&format!("→ {remedy}"), room) {
            lines.push(Text::styled(format!("{:INDENT$}{part}", ""), palette.dim));
        }
    }
    lines
}
