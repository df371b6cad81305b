//! Lines of the log on stderr: each is one line, whatever is in it. Agents, targets and witnesses have their
//! words in some of them.

use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

use crate::render::{clean, clean_json};

/// Writes lines on stderr.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lines {
    /// For people, with colours.
    Text,
    /// One JSON object each.
    Json,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        *self
    }
}

impl Write for Lines {
    /// Takes a whole line: that is how it is called.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let mut stderr = io::stderr().lock();
        let line_of = match self {
            Self::Text => one_line(&text),
            Self::Json => format!("{}\n", clean_json(text.trim_end_matches('\n'))),
        };
        stderr.write_all(line_of.as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The text as one line. Only colours are left in it of all that a terminal obeys.
fn one_line(text: &str) -> String {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut line = String::with_capacity(text.len() + 1);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        line.push_str(&clean(before));
        match colour(after) {
            Some((colour, after)) => {
                line.push_str("\u{1b}[");
                line.push_str(colour);
                line.push('m');
                rest = after;
            }
            None => {
                line.push_str("\\u{1b}[");
                rest = after;
            }
        }
    }
    line.push_str(&clean(rest));
    line.push('\n');
    line
}

/// What follows where a colour begins, if it is one: digits and semicolons up to an `m`.
fn colour(text: &str) -> Option<(&str, &str)> {
    let (colour, rest) = text.split_once('m')?;
    let is_colour = colour
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b';');
    (is_colour && colour.len() <= 16).then_some((colour, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_and_moves_no_cursor() {
        for (text, line) in [
            ("all is well\n", "all is well\n"),
            (
                "\u{1b}[32m INFO\u{1b}[0m x\n",
                "\u{1b}[32m INFO\u{1b}[0m x\n",
            ),
            ("a\nERROR b\r\n", "a ERROR b \n"),
            ("a\u{1b}[2J\u{1b}[Hb\n", "a\\u{1b}[2J\\u{1b}[Hb\n"),
            ("\u{1b}]0;title\u{7}\n", "\\u{1b}]0;title\\u{7}\n"),
            ("\u{202e}evil\n", "\\u{202e}evil\n"),
        ] {
            assert_eq!(one_line(text), line);
        }
    }
}
