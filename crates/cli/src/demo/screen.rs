//! How the demo looks: numbered acts, lines that begin with a word for what they are, 80 columns.

use std::io::IsTerminal;
use std::time::Duration;

use anstream::adapter::strip_str;
use anstyle::Style;
use unicode_width::UnicodeWidthStr;

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
        Duration::from_millis(if self.terminal { 200 } else { 0 })
    }

    /// The columns that the output of commands has room in.
    pub(super) fn room(&self) -> usize {
        self.columns - INDENT
    }

    /// Whether somebody looks, and would like colours.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
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

    /// A link, whole and by itself, for whoever clicks on it.
    pub(super) fn link(&self, url: &str) -> Result<(), Failure> {
        let style = style::HELP;
        render::print(&format!("{style}{}{style:#}\n", render::clean(url)))
    }

    /// What a command of ours has printed, colours included. Lines that are too long are wrapped.
    pub(super) fn output(&self, text: &str) -> Result<(), Failure> {
        let width = |text: &str| strip_str(text).to_string().width();
        let mut out = String::new();
        for line in text.lines() {
            let words = line.trim_start();
            let indent = INDENT + line.len() - words.len();
            let mut current = String::new();
            let mut flush = |current: &mut String| {
                out.push_str(format!("{:indent$}{current}", "").trim_end());
                out.push('\n');
                current.clear();
            };
            for word in words.split(' ') {
                if !current.is_empty() {
                    if indent + width(&current) + 1 + width(word) > self.columns {
                        flush(&mut current);
                    } else {
                        current.push(' ');
                    }
                }
                current.push_str(word);
            }
            flush(&mut current);
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
        let lines = text.lines().map(|line| format!("{:indent$}{line}\n", ""));
        render::print(&lines.collect::<String>())
    }
}
