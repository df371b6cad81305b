//! Rows in columns that line up and fit.

use anstyle::Style;

use super::clean::{clean, fit, width};

/// Between columns.
const GAP: usize = 2;

/// What a column that gives way is left with.
const WIDTH_MIN: usize = 12;

/// One field of a row.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    style: Style,
    right: bool,
}

impl Cell {
    /// Clean text.
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self {
            text: clean(text.as_ref()).into_owned(),
            style: Style::new(),
            right: false,
        }
    }

    pub(crate) fn style(mut self, style: Style) -> Self {
        self.style = style;
        self
    }

    /// Aligned to the right, as numbers are.
    pub(crate) fn right(mut self) -> Self {
        self.right = true;
        self
    }
}

#[derive(Debug)]
enum Row {
    Cells(Vec<Cell>),
    Text {
        /// What stands where the first line is indented.
        before: String,
        indent: usize,
        text: String,
        style: Style,
    },
}

/// Rows, and lines of text between them.
#[derive(Debug)]
pub(crate) struct Table {
    /// The column that is cut where the rest leaves too little room.
    gives_way: usize,
    rows: Vec<Row>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(gives_way: usize) -> Self {
        Self {
            gives_way,
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(Row::Cells(cells.into_iter().collect()));
    }

    /// A line of text that belongs to the row before, wrapped if need be.
    pub(crate) fn text(&mut self, indent: usize, text: &str, style: Style) {
        self.rows.push(Row::Text {
            before: String::new(),
            indent,
            text: clean(text).into_owned(),
            style,
        });
    }

    /// A line of text with a word before it, wrapped if need be.
    pub(crate) fn said(&mut self, word: &str, indent: usize, text: &str, style: Style) {
        self.text(indent, text, style);
        if let Some(Row::Text { before, .. }) = self.rows.last_mut() {
            *before = clean(word).into_owned();
        }
    }

    /// The lines, none longer than so many columns if that can be.
    pub(crate) fn render(&self, columns: usize) -> String {
        let widths = self.widths(columns);
        let mut out = String::new();
        for row in &self.rows {
            match row {
                Row::Cells(cells) => line(&mut out, cells, &widths),
                Row::Text {
                    before,
                    indent,
                    text,
                    style,
                } => wrap(&mut out, before, *indent, text, *style, columns),
            }
        }
        out
    }

    fn widths(&self, columns: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            let Row::Cells(cells) = row else { continue };
            widths.resize(widths.len().max(cells.len()), 0);
            for (widest, cell) in widths.iter_mut().zip(cells) {
                *widest = width(&cell.text).max(*widest);
            }
        }
        // A column that nothing is in takes no room, nor does the gap before it.
        let used = widths.iter().filter(|width| **width > 0).count();
        let total = widths.iter().sum::<usize>() + GAP * used.saturating_sub(1);
        if let Some(width) = widths.get_mut(self.gives_way) {
            let floor = WIDTH_MIN.min(*width);
            *width = width
                .saturating_sub(total.saturating_sub(columns))
                .max(floor);
        }
        widths
    }
}

fn line(out: &mut String, cells: &[Cell], widths: &[usize]) {
    let mut pending = 0;
    let mut first = true;
    for (cell, room) in cells.iter().zip(widths) {
        if *room == 0 {
            continue;
        }
        if !first {
            pending += GAP;
        }
        first = false;
        let text = fit(&cell.text, *room);
        let padding = room.saturating_sub(width(&text));
        if text.is_empty() {
            pending += room;
            continue;
        }
        if cell.right {
            pending += padding;
        }
        // Spaces are written only before something, so that no line ends in them.
        out.extend(std::iter::repeat_n(' ', pending));
        out.push_str(&format!("{}{text}{:#}", cell.style, cell.style));
        pending = if cell.right { 0 } else { padding };
    }
    out.push('\n');
}

fn wrap(
    out: &mut String,
    mut before: &str,
    indent: usize,
    text: &str,
    style: Style,
    columns: usize,
) {
    let room = columns.saturating_sub(indent).max(WIDTH_MIN);
    let mut current = String::new();
    let mut flush = |current: &mut String| {
        if !current.is_empty() {
            let dim = super::style::DIM;
            if !before.is_empty() {
                out.push_str(&format!("{dim}{before}{dim:#}"));
            }
            out.extend(std::iter::repeat_n(
                ' ',
                indent.saturating_sub(width(before)),
            ));
            before = "";
            out.push_str(&format!("{style}{current}{style:#}\n"));
            current.clear();
        }
    };
    for word in text.split(' ') {
        if !current.is_empty() && width(&current) + 1 + width(word) > room {
            flush(&mut current);
        }
        if !current.is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    flush(&mut current);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_one_gives_way() {
        let mut table = Table::new(1);
        table.row([
            Cell::new("select"),
            Cell::new("public.tickets"),
            Cell::new("12").right(),
        ]);
        table.row([
            Cell::new("update"),
            Cell::new("public.表"),
            Cell::new("1").right(),
        ]);
        table.row([Cell::new("begin"), Cell::new("")]);
        table.text(2, "one two three four five", Style::new());
        assert_eq!(
            table.render(80),
            "select  public.tickets  12\nupdate  public.表        1\nbegin\n  one two three four five\n"
        );
        assert_eq!(
            table.render(24),
            "select  public.ticke…  12\nupdate  public.表       1\nbegin\n  one two three four five\n"
                .replace("ticke…  12", "tick…  12")
                .replace("表       1", "表      1")
                .replace("one two three four five", "one two three four\n  five")
        );
    }

    #[test]
    fn an_empty_column_takes_no_room() {
        let mut table = Table::new(0);
        table.row([Cell::new("a"), Cell::new(""), Cell::new("b")]);
        assert_eq!(table.render(80), "a  b\n");
    }

    #[test]
    fn escape_sequences_are_shown_not_sent() {
        let mut table = Table::new(0);
        table.row([Cell::new("\x1b]0;owned\x07")]);
        table.text(0, "\x1b[31m", Style::new());
        assert!(!table.render(80).contains('\x1b'));
    }
}
