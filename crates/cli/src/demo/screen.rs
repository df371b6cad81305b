//! How the demo looks: numbered acts, lines that begin with a word for what they are, 80 columns.

use std::time::Duration;

use anstyle::Style;
use std::io::IsTerminal;

use crate::failure::Failure;
use crate::render::{self, Cell, Table, style};

/// The most columns that a line takes.
const COLUMNS: usize = 80;

/// Where words that label a line end, and the space after them.
const LABEL: usize = 8;
const TEXT: usize = LABEL + 2;

/// Where the demo's own words and the output of commands begin.
const INDENT: usize = 3;

/// Where the demo is shown.
#[derive(Debug)]
pub(super) struct Screen {
    columns: usize,
    terminal: bool,
    acts: u32,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            columns: render::columns().min(COLUMNS),
            terminal: std::io::stdout().is_terminal(),
            acts: 0,
        }
    }

    /// How long somebody who reads along takes for a line. Where nobody does, no time at all.
    pub(super) fn pace(&self) -> Duration {
        Duration::from_millis(if self.terminal { 250 } else { 0 })
    }

    /// The columns for the output of commands, and whether it is to have colours.
    pub(super) fn for_output(&self) -> (usize, bool) {
        (self.columns - INDENT, self.terminal)
    }

    /// The demo's first line.
    pub(super) fn title(&self, text: &str) -> Result<(), Failure> {
        self.wrapped(0, text, style::HEADING)
    }

    /// The demo's last words.
    pub(super) fn closing(&self, text: &str) -> Result<(), Failure> {
        self.wrapped(0, text, Style::new())
    }

    /// The next act.
    pub(super) async fn act(&mut self, title: &str) -> Result<(), Failure> {
        tokio::time::sleep(self.pace() * 3).await;
        self.acts += 1;
        self.blank()?;
        self.wrapped(0, &format!("{}. {title}", self.acts), style::HEADING)?;
        tokio::time::sleep(self.pace()).await;
        Ok(())
    }

    /// Words of the demo itself.
    pub(super) fn tell(&self, text: &str) -> Result<(), Failure> {
        self.wrapped(INDENT, text, Style::new())
    }

    /// Words of the demo itself that are beside the point.
    pub(super) fn aside(&self, text: &str) -> Result<(), Failure> {
        self.wrapped(INDENT, text, style::DIM)
    }

    /// A line of what goes on. The label has the style, the text has it if `whole`.
    pub(super) fn line(
        &self,
        label: &str,
        style: Style,
        text: &str,
        whole: bool,
    ) -> Result<(), Failure> {
        let mut table = Table::new(0);
        table.text(TEXT, text, if whole { style } else { Style::new() });
        let text = table.render(self.columns);
        let text = text.get(TEXT..).unwrap_or("\n");
        render::print(&format!("{style}{label:>LABEL$}{style:#}  {text}"))
    }

    /// Rows as a table.
    pub(super) fn rows(&self, rows: &[Vec<String>]) -> Result<(), Failure> {
        // The last column is the longest here.
        let mut table = Table::new(rows.iter().map(Vec::len).max().unwrap_or(1) - 1);
        for row in rows {
            table.row(row.iter().map(|value| Cell::new(value).style(style::DIM)));
        }
        self.indented(TEXT, &table.render(self.columns - TEXT))
    }

    /// Text of somebody else, line by line.
    pub(super) fn quote(&self, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| {
            let mut table = Table::new(0);
            table.text(TEXT, line, style::NOTE);
            let bar = style::DIM;
            let lines = table.render(self.columns);
            lines.lines().try_for_each(|line| {
                let line = line.get(TEXT..).unwrap_or_default();
                render::print(&format!("{bar}{:>LABEL$}{bar:#}  {line}\n", "|"))
            })
        })
    }

    /// A command, as one types it.
    pub(super) fn command(&self, command: &str) -> Result<(), Failure> {
        let style = style::HELP;
        self.indented(INDENT, &format!("{style}$ {command}{style:#}\n"))
    }

    /// What a command of ours has printed, colours included. Lines that are too long are wrapped.
    pub(super) fn output(&self, text: &str) -> Result<(), Failure> {
        let mut out = String::new();
        for line in text.lines() {
            let indent = INDENT + line.len() - line.trim_start().len();
            let mut used = 0;
            for word in line.split_whitespace() {
                let width = strip_str(word).to_string().width();
                if used > 0 && used + 1 + width <= self.columns {
                    used += 1;
                    out.push(' ');
                } else {
                    if used > 0 {
                        out.push('\n');
                    }
                    out.extend(std::iter::repeat_n(' ', indent));
                    used = indent;
                }
                used += width;
                out.push_str(word);
            }
            out.push('\n');
        }
        render::print(&out)
    }

    /// An empty line.
    pub(super) fn blank(&self) -> Result<(), Failure> {
        render::print("\n")
    }

    fn wrapped(&self, indent: usize, text: &str, style: Style) -> Result<(), Failure> {
        let mut table = Table::new(0);
        table.text(indent, text, style);
        render::print(&table.render(self.columns))
    }

    fn indented(&self, indent: usize, text: &str) -> Result<(), Failure> {
        let lines: String = text
            .lines()
            .map(|line| match line {
                "" => "\n".to_owned(),
                line => format!("{:indent$}{line}\n", ""),
            })
            .collect();
        render::print(&lines)
    }
}
