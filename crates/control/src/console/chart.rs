//! Pictures: calls over time by decision, and a run on its time box. Drawn from numbers alone; every
//! picture is also a table.

use std::fmt::{self, Write as _};

use bailiwick_run::Time;

use super::words::{self, Moment};
use crate::api::{Activity, Part};

/// A picture, ready to be part of a page. Made here only, of numbers and words of our own.
#[derive(Clone, Debug)]
pub(crate) struct Svg(String);

impl fmt::Display for Svg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Svg {}

/// The picture's own units: it is stretched to the room it has.
const WIDTH: u64 = 1_200;
const UP: u64 = 84;
const DOWN: u64 = 40;

/// What is there at all is to be seen.
const HEIGHT_MIN: u64 = 4;

/// Calls over time, and the same as a table.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) svg: Svg,
    /// The whole of it in a sentence.
    pub(crate) words: String,
    pub(crate) rows: Vec<Row>,
    /// How long a bar is.
    pub(crate) bar: String,
    pub(crate) begins: Moment,
    pub(crate) ends: Moment,
    pub(crate) total: Part,
}

/// A part of the time in which something happened.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) time: Moment,
    pub(crate) part: Part,
}

impl Chart {
    /// What was allowed and held goes up from the line, and what was denied goes down from it, on a scale
    /// of its own: one call outside a scope among thousands inside is seen.
    pub(crate) fn of(activity: &Activity, now: Time) -> Self {
        let parts = &activity.parts;
        let most_up = (parts.iter())
            .map(|part| part.allowed + part.held)
            .max()
            .unwrap_or(0);
        let most_down = parts.iter().map(|part| part.denied).max().unwrap_or(0);
        let slots = (parts.len() as u64).max(1);
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {}\" preserveAspectRatio=\"none\" aria-hidden=\"true\" \
             focusable=\"false\">",
            UP + DOWN + 1
        );
        for (slot, part) in (0_u64..).zip(parts) {
            let (left, right) = (slot * WIDTH / slots, (slot + 1) * WIDTH / slots);
            let width = (right - left).saturating_sub(2).max(1);
            let allowed = height(part.allowed, most_up, UP);
            let held = height(part.held, most_up, UP);
            let denied = height(part.denied, most_down, DOWN);
            bar(&mut svg, "allowed", left, UP - allowed, width, allowed);
            let top = UP.saturating_sub(allowed + held);
            bar(&mut svg, "held", left, top, width, held);
            bar(&mut svg, "denied", left, UP + 1, width, denied);
        }
        // Writing to a text cannot fail.
        let _ = write!(
            svg,
            "<rect class=\"axis\" x=\"0\" y=\"{UP}\" width=\"{WIDTH}\" height=\"1\"/></svg>"
        );
        let total = parts.iter().fold(Part::default(), |sum, part| Part {
            allowed: sum.allowed + part.allowed,
            denied: sum.denied + part.denied,
            held: sum.held + part.held,
        });
        let (begins, ends) = (
            Moment::new(activity.since, now),
            Moment::new(activity.until, now),
        );
        let length = activity.since.until(activity.until) / u32::try_from(slots).unwrap_or(1);
        let rows = (0_u32..)
            .zip(parts)
            .filter(|(_, part)| **part != Part::default());
        let rows = rows.map(|(slot, part)| Row {
            time: Moment::new(activity.since.after(length * slot), now),
            part: *part,
        });
        Self {
            svg: Svg(svg),
            words: format!(
                "{} allowed, {} held, {} denied, from {} to {}",
                words::number(total.allowed),
                words::number(total.held),
                words::number(total.denied),
                begins.full,
                ends.full
            ),
            rows: rows.collect(),
            bar: words::for_long(length),
            begins,
            ends,
            total,
        }
    }
}

/// How high a bar is: in proportion, but seen whenever there is anything.
fn height(value: u64, most: u64, room: u64) -> u64 {
    match value {
        0 => 0,
        _ => (value.saturating_mul(room) / most.max(1)).clamp(HEIGHT_MIN, room),
    }
}

fn bar(svg: &mut String, class: &'static str, x: u64, y: u64, width: u64, height: u64) {
    if height > 0 {
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        );
    }
}

/// What is marked on a run's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Allowed,
    Held,
    Denied,
}

/// A run on its time box: from when it was opened to when it ends at the latest.
pub(crate) fn timeline(
    opened: Time,
    expires: Time,
    ended: Option<Time>,
    now: Time,
    marks: impl Iterator<Item = (Time, Mark)>,
) -> Svg {
    const MIDDLE: u64 = 24;
    const MARKS_MAX: usize = 600;
    let whole = opened.until(expires).as_millis().max(1);
    let x = |time: Time| {
        let passed = opened.until(time).as_millis().min(whole);
        u64::try_from(passed * u128::from(WIDTH) / whole).unwrap_or(WIDTH)
    };
    let until = x(ended.unwrap_or(now));
    let mut svg = format!(
        "<svg class=\"timeline\" viewBox=\"0 0 {WIDTH} 48\" preserveAspectRatio=\"none\" aria-hidden=\"true\" \
         focusable=\"false\"><rect class=\"left\" x=\"0\" y=\"22\" width=\"{WIDTH}\" height=\"4\"/>\
         <rect class=\"passed\" x=\"0\" y=\"22\" width=\"{until}\" height=\"4\"/>"
    );
    let mut last = [None; 3];
    for (time, mark) in marks.take(MARKS_MAX) {
        let x = x(time).min(WIDTH - 4);
        // Marks of one sort at one place are one mark.
        if let Some(last) = last.get_mut(mark as usize) {
            if *last == Some(x) {
                continue;
            }
            *last = Some(x);
        }
        let (class, top, height) = match mark {
            Mark::Allowed => ("allowed", MIDDLE - 8, 16),
            Mark::Held => ("held", MIDDLE - 14, 14),
            Mark::Denied => ("denied", MIDDLE, 22),
        };
        bar(&mut svg, class, x, top, 4, height);
    }
    let edge = until.min(WIDTH - 2);
    bar(&mut svg, "edge", edge, 4, 2, 40);
    svg.push_str("</svg>");
    Svg(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_denied_call_among_thousands_is_seen() {
        let activity = Activity {
            since: Time::from_millis(0),
            until: Time::from_millis(120_000),
            parts: vec![
                Part {
                    allowed: 90_000,
                    denied: 0,
                    held: 0,
                },
                Part {
                    allowed: 1,
                    denied: 1,
                    held: 2,
                },
            ],
        };
        let chart = Chart::of(&activity, Time::from_millis(120_000));
        let svg = chart.svg.to_string();
        assert!(
            svg.contains("class=\"denied\" x=\"600\" y=\"85\" width=\"598\" height=\"40\""),
            "{svg}"
        );
        assert!(svg.contains("height=\"4\""), "{svg}");
        assert_eq!(chart.total.denied, 1);
        assert_eq!(chart.rows.len(), 2);
        assert_eq!(chart.rows[1].time.iso, "1970-01-01T00:01:00.000Z");
        assert!(!svg.contains("style="));
    }

    #[test]
    fn nothing_is_a_picture_too() {
        let activity = Activity {
            since: Time::from_millis(0),
            until: Time::from_millis(0),
            parts: Vec::new(),
        };
        assert!(Chart::of(&activity, Time::from_millis(5)).rows.is_empty());
        let opened = Time::from_millis(7);
        let marks = [
            (Time::from_millis(3), Mark::Denied),
            (Time::from_millis(3), Mark::Denied),
        ];
        let svg = timeline(
            opened,
            opened,
            None,
            Time::from_millis(9),
            marks.into_iter(),
        );
        assert_eq!(svg.to_string().matches("denied").count(), 1);
    }
}
