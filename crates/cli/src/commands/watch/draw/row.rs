//! Rows of fields that fit, and text that is wrapped. What comes from others is cleaned here.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::render::{clean, fit, width};

/// What a field that takes what is left has at least.
const REST_MIN: usize = 4;

enum Room {
    /// So many columns, with the text at its left or right end.
    Fixed(usize, bool),
    /// So many shares of what is left.
    Share(usize),
}

/// Fields with a space between them.
#[derive(Default)]
pub(super) struct Row {
    mark: &'static str,
    fields: Vec<(String, Style, Room)>,
}

impl Row {
    /// What stands before the first field.
    pub(super) fn mark(mut self, mark: &'static str) -> Self {
        self.mark = mark;
        self
    }

    /// A field of so many columns.
    pub(super) fn field(self, text: impl AsRef<str>, style: Style, columns: usize) -> Self {
        self.push(text, style, Room::Fixed(columns, false))
    }

    /// The same, aligned to the right.
    pub(super) fn number(self, text: impl AsRef<str>, style: Style, columns: usize) -> Self {
        self.push(text, style, Room::Fixed(columns, true))
    }

    /// A field that takes a share of what is left.
    pub(super) fn rest(self, text: impl AsRef<str>, style: Style) -> Self {
        self.push(text, style, Room::Share(1))
    }

    /// The same, of so many shares.
    pub(super) fn rest_of(self, text: impl AsRef<str>, style: Style, shares: usize) -> Self {
        self.push(text, style, Room::Share(shares))
    }

    fn push(mut self, text: impl AsRef<str>, style: Style, room: Room) -> Self {
        self.fields
            .push((clean(text.as_ref()).into_owned(), style, room));
        self
    }

    /// The line, as wide as there is room.
    pub(super) fn fit(self, columns: u16) -> Line<'static> {
        let gaps = 1 + self.fields.len();
        let fixed: usize = self
            .fields
            .iter()
            .map(|(_, _, room)| match room {
                Room::Fixed(columns, _) => *columns,
                Room::Share(_) => 0,
            })
            .sum();
        let mut shares: usize = self
            .fields
            .iter()
            .map(|(_, _, room)| match room {
                Room::Share(shares) => *shares,
                Room::Fixed(..) => 0,
            })
            .sum();
        let mut left = usize::from(columns).saturating_sub(fixed + gaps);
        let mut spans = vec![Span::raw(format!("{:1}", self.mark))];
        for (text, style, room) in self.fields {
            let (columns, right) = match room {
                Room::Fixed(columns, right) => (columns, right),
                Room::Share(part) => {
                    let columns = (left * part).checked_div(shares).unwrap_or(0).max(REST_MIN);
                    left = left.saturating_sub(columns);
                    shares -= part;
                    (columns, false)
                }
            };
            let text = fit(&text, columns);
            let padding = " ".repeat(columns.saturating_sub(width(&text)));
            let text = match right {
                true => format!(" {padding}{text}"),
                false => format!(" {text}{padding}"),
            };
            spans.push(Span::styled(text, style));
        }
        Line::from(spans)
    }
}

/// Clean text cut to so many columns.
pub(super) fn cut(text: &str, columns: u16) -> String {
    fit(text, columns.into()).into_owned()
}

/// Something at the left end of a line, and at its right end the first of these that there is room for.
pub(super) fn ends(
    mut parts: Vec<Span<'static>>,
    right: [String; 2],
    style: Style,
    columns: u16,
) -> Line<'static> {
    let used: usize = parts.iter().map(Span::width).sum();
    let left = usize::from(columns).saturating_sub(used);
    if let Some(right) = right.into_iter().find(|right| width(right) < left) {
        parts.push(Span::raw(" ".repeat(left - width(&right))));
        parts.push(Span::styled(right, style));
    }
    Line::from(parts)
}

/// The text, cleaned, in lines of at most so many columns. A word that is longer than that is broken.
pub(in super::super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(REST_MIN);
    let text = clean(text);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        for c in word.chars() {
            let mut bytes = [0; 4];
            if width(&line) + width(c.encode_utf8(&mut bytes)) > columns {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_wrapped_by_words_and_long_words_are_broken() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrapped("表表表", 4), ["表表", "表"]);
        assert_eq!(wrapped("a\u{1b}[2J", 40), ["a\\u{1b}[2J"]);
        assert_eq!(wrapped("", 4), [""]);
    }

    #[test]
    fn a_row_is_as_wide_as_there_is_room() {
        let style = Style::new();
        for columns in [40, 80, 81, 200] {
            let row = Row::default()
                .field("state", style, 9)
                .rest(
                    "a very long name of a task that does not fit anywhere at all",
                    style,
                )
                .rest_of("表表表表表表表表表表表表", style, 3)
                .number("12", style, 5);
            assert_eq!(row.mark("▸").fit(columns).width(), usize::from(columns));
        }
    }
}
