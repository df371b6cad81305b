//! The one way by which words of others (an agent, a target, a file) come into a page.

use std::borrow::Cow;
use std::fmt;

use crate::limits::{CONSOLE_BLOCK_CHARS_MAX, CONSOLE_LINE_CHARS_MAX};

/// Text that shows as itself and as nothing else: what would control a terminal, turn the direction of
/// writing or be invisible is written out, as `\u{202e}`. It is not markup either: templates escape it.
///
/// What is longer than a page has room for is in two parts, and the second one is shown on demand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    head: String,
    rest: String,
}

impl Text {
    /// One line. Line ends are spaces.
    pub(crate) fn line(text: &str) -> Self {
        Self::cut(&clean(text, false), CONSOLE_LINE_CHARS_MAX)
    }

    /// Lines that stay lines.
    pub(crate) fn block(text: &str) -> Self {
        Self::cut(&clean(text, true), CONSOLE_BLOCK_CHARS_MAX)
    }

    /// One line in all its length.
    pub(crate) fn whole(text: &str) -> Self {
        Self {
            head: clean(text, false).into_owned(),
            rest: String::new(),
        }
    }

    fn cut(text: &str, most: usize) -> Self {
        let at = text
            .char_indices()
            .nth(most)
            .map_or(text.len(), |(at, _)| at);
        let (head, rest) = text.split_at_checked(at).unwrap_or((text, ""));
        Self {
            head: head.to_owned(),
            rest: rest.to_owned(),
        }
    }

    /// What is shown at once.
    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    /// What is shown on demand.
    pub(crate) fn rest(&self) -> &str {
        &self.rest
    }

    /// How long that is.
    pub(crate) fn more(&self) -> usize {
        self.rest.chars().count()
    }

    /// Whether there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_empty()
    }
}

/// The beginning, with `…` where more would follow.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)?;
        if self.rest.is_empty() {
            return Ok(());
        }
        f.write_str("…")
    }
}

fn clean(text: &str, lines: bool) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\t' if lines => clean.push(c),
            '\n' | '\r' | '\t' => clean.push(' '),
            c if is_unsafe(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// The same as what the commands write out in a terminal.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator; zero width; directions;
            // line and paragraph ends; word joiner to the invisible operators; isolates and
            // deprecated format marks.
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            // Fillers and blanks without a glyph, the byte order mark, annotations, tags.
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_turns_or_hides_is_written_out() {
        assert_eq!(Text::line("naïve 表 ok").to_string(), "naïve 表 ok");
        assert_eq!(
            Text::line("a\x1b[2Jb\u{9b}c").to_string(),
            "a\\u{1b}[2Jb\\u{9b}c"
        );
        assert_eq!(
            Text::line("a\u{202e}b\u{200b}").to_string(),
            "a\\u{202e}b\\u{200b}"
        );
        assert_eq!(Text::line("a\r\nb\tc").to_string(), "a  b c");
        assert_eq!(Text::block("a\nb\tc\rd").to_string(), "a\nb\tc d");
        for c in (0..0x20).chain(0x7f..0xa0) {
            let c = char::from_u32(c).unwrap();
            assert!(
                !Text::line(&c.to_string())
                    .to_string()
                    .contains(char::is_control)
            );
        }
    }

    #[test]
    fn what_is_too_long_is_in_two_parts() {
        let long = "é".repeat(CONSOLE_LINE_CHARS_MAX + 3);
        let text = Text::line(&long);
        assert_eq!(text.head().chars().count(), CONSOLE_LINE_CHARS_MAX);
        assert_eq!((text.rest(), text.more()), ("ééé", 3));
        assert!(text.to_string().ends_with("é…"));
        assert_eq!(Text::whole(&long).rest(), "");
    }
}
