//! Text from others (an agent, a database, a file) made fit for a terminal and its column.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The text with everything shown as itself: control characters, escape sequences and marks that
/// reorder or hide text are written out, as `\u{1b}`.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => clean.push(' '),
            c if is_unsafe(c) => clean.extend(c.escape_unicode()),
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// A line of JSON made fit in the same way, and JSON of the same texts still: what is written out is so as JSON has it, as
/// `\u001b`.
pub(crate) fn clean_json(line: &str) -> Cow<'_, str> {
    if !line.chars().any(is_unsafe) {
        return Cow::Borrowed(line);
    }
    let mut clean = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                clean.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

/// The same for text of several lines, which stay lines.
pub(crate) fn clean_lines(text: &str) -> impl Iterator<Item = Cow<'_, str>> {
    text.lines().map(clean)
}

/// The columns a clean text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// The text cut to so many columns, with `…` where something is missing.
pub(crate) fn fit(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut used = 0;
    let mut kept: String = text
        .chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used < columns
        })
        .collect();
    if columns > 0 {
        kept.push('…');
    }
    Cow::Owned(kept)
}

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
    fn json_stays_json() {
        let text = "naïve 表 \" \\ \x1b[2J\u{7f}\u{9b}\u{202e}\u{e0041}\n😀";
        let json = serde_json::json!({ "message": text }).to_string();
        let cleaned = clean_json(&json);
        assert!(!cleaned.chars().any(is_unsafe), "{cleaned}");
        let read: serde_json::Value = serde_json::from_str(&cleaned).unwrap();
        assert_eq!(read["message"], text);
        assert_eq!(clean_json("{\"a\":1}"), "{\"a\":1}");
    }

    #[test]
    fn nothing_reaches_the_terminal_but_text() {
        assert_eq!(clean("naïve 表 ok"), "naïve 表 ok");
        assert_eq!(clean("a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(clean("a\u{9b}31mb"), "a\\u{9b}31mb");
        assert_eq!(clean("a\nb\tc"), "a b c");
        assert_eq!(clean("a\u{202e}b\u{2066}c"), "a\\u{202e}b\\u{2066}c");
        assert_eq!(clean("a\u{200b}\u{e0041}"), "a\\u{200b}\\u{e0041}");
        for c in (0..0x20).chain(0x7f..0xa0) {
            let c = char::from_u32(c).unwrap();
            assert!(!clean(&c.to_string()).contains(char::is_control), "{c:?}");
        }
    }

    #[test]
    fn text_is_cut_by_columns() {
        assert_eq!(fit("tickets", 7), "tickets");
        assert_eq!(fit("tickets", 5), "tick…");
        assert_eq!(fit("表表表", 5), "表表…");
        assert_eq!(fit("表表表", 4), "表…");
        assert_eq!(fit("tickets", 0), "");
    }
}
