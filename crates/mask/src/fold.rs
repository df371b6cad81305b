//! A plainer view of a text, so that a value does not slip by because it is spelt with other
//! characters: full-width and other digits, non-breaking spaces, typographic hyphens, invisible
//! characters, and the escapes of JSON. Only the view is searched; what is rewritten is the text.

use std::borrow::Cow;
use std::ops::Range;

use crate::text::{byte, slice};

/// The view, and the way back from it.
pub(crate) struct Folded<'a> {
    original: &'a [u8],
    view: Cow<'a, [u8]>,
    /// Where each byte of the view comes from; empty where the view is the text itself.
    origins: Vec<u32>,
}

impl<'a> Folded<'a> {
    pub(crate) fn new(original: &'a [u8]) -> Self {
        let plain = Self {
            original,
            view: Cow::Borrowed(original),
            origins: Vec::new(),
        };
        // Origins are 32 bits wide to keep a large text cheap. No message is that large.
        let Ok(length) = u32::try_from(original.len()) else {
            return plain;
        };
        let Some(same) = first_difference(original) else {
            return plain;
        };
        let mut view = slice(original, 0..same).to_vec();
        let mut origins: Vec<u32> = (0..length).take(same).collect();
        let mut at = same;
        while at < original.len() {
            let unit = Unit::at(original, at);
            // `at` is below `length`, which is 32 bits wide.
            let origin = u32::try_from(at).unwrap_or(length);
            match unit.becomes {
                Becomes::Itself => {
                    view.extend_from_slice(slice(original, at..at + unit.width));
                    origins.extend((origin..).take(unit.width));
                }
                Becomes::Byte(byte) => {
                    view.push(byte);
                    origins.push(origin);
                }
                Becomes::Nothing => {}
            }
            at += unit.width;
        }
        Self {
            original,
            view: Cow::Owned(view),
            origins,
        }
    }

    /// What to search.
    pub(crate) fn view(&self) -> &[u8] {
        &self.view
    }

    /// The part of the text that a part of the view comes from.
    pub(crate) fn original(&self, range: &Range<usize>) -> Range<usize> {
        let origin = |at: usize| self.origins.get(at).map(|origin| *origin as usize);
        let last = range.end.checked_sub(1).and_then(origin);
        match (origin(range.start), last) {
            (Some(start), Some(last)) => {
                let unit = Unit::at(self.original, last);
                let width = match unit.becomes {
                    // Each of its bytes stands for itself.
                    Becomes::Itself => 1,
                    Becomes::Byte(_) | Becomes::Nothing => unit.width,
                };
                start..last + width
            }
            _ => range.clone(),
        }
    }
}

fn first_difference(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(next) = byte(text, at) {
        // Most text is plain; many bytes are looked at in one step.
        if let Some(many) = text.get(at..at + 32)
            && many
                .iter()
                .fold(true, |plain, byte| plain & is_plain(*byte))
        {
            at += 32;
            continue;
        }
        if is_plain(next) {
            at += 1;
            continue;
        }
        let unit = Unit::at(text, at);
        if unit.becomes != Becomes::Itself {
            return Some(at);
        }
        at += unit.width;
    }
    None
}

/// Whether a byte stands for itself whatever is around it.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii() & (byte != b'\\')
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    Itself,
    Byte(u8),
    Nothing,
}

/// One character or escape of the text.
struct Unit {
    becomes: Becomes,
    width: usize,
}

impl Unit {
    fn at(text: &[u8], at: usize) -> Self {
        match byte(text, at) {
            Some(b'\\') => escape(text, at),
            Some(0x80..) => character(text, at),
            _ => Self {
                becomes: Becomes::Itself,
                width: 1,
            },
        }
    }
}

fn escape(text: &[u8], at: usize) -> Unit {
    let unit = |becomes, width| Unit { becomes, width };
    match byte(text, at + 1) {
        Some(b'n' | b'r' | b't') => unit(Becomes::Byte(b'\n'), 2),
        Some(b'/') => unit(Becomes::Byte(b'/'), 2),
        // As one, so that the second does not start another escape.
        Some(b'\\') => unit(Becomes::Itself, 2),
        Some(b'u') => match hexadecimal(slice(text, at + 2..at + 6)) {
            Some(code @ (0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)) => {
                unit(Becomes::Byte(code as u8), 6)
            }
            Some(code) => match char::from_u32(code).map(plain) {
                Some(becomes @ (Becomes::Byte(_) | Becomes::Nothing)) => unit(becomes, 6),
                Some(Becomes::Itself) | None => unit(Becomes::Itself, 1),
            },
            None => unit(Becomes::Itself, 1),
        },
        _ => unit(Becomes::Itself, 1),
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    if digits.len() != 4 {
        return None;
    }
    digits.iter().try_fold(0, |code, digit| {
        Some(code << 4 | char::from(*digit).to_digit(16)?)
    })
}

fn character(text: &[u8], at: usize) -> Unit {
    let width = match byte(text, at) {
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        _ => 1,
    };
    let decoded = str::from_utf8(slice(text, at..at + width))
        .ok()
        .and_then(|text| text.chars().next());
    match decoded {
        Some(decoded) => Unit {
            becomes: plain(decoded),
            width,
        },
        // Not UTF-8: one byte that nothing matches.
        None => Unit {
            becomes: Becomes::Itself,
            width: 1,
        },
    }
}

/// What a character beyond ASCII is searched as.
fn plain(character: char) -> Becomes {
    let digit = |zero: u32| Becomes::Byte(b'0' + ((character as u32 - zero) % 10) as u8);
    match character {
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            Becomes::Byte(b' ')
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => Becomes::Byte(b'-'),
        // Soft hyphen, zero-width characters, marks of direction, byte order mark.
        '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => Becomes::Nothing,
        '\u{fe6b}' => Becomes::Byte(b'@'),
        '\u{ff01}'..='\u{ff5e}' => Becomes::Byte((character as u32 - 0xfee0) as u8),
        '\u{660}'..='\u{669}' => digit(0x660),
        '\u{6f0}'..='\u{6f9}' => digit(0x6f0),
        '\u{1d7ce}'..='\u{1d7ff}' => digit(0x1d7ce),
        _ => Becomes::Itself,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(text: &str) -> String {
        String::from_utf8_lossy(Folded::new(text.as_bytes()).view()).into_owned()
    }

    #[test]
    fn other_spellings_become_plain() {
        assert_eq!(view("４１１１\u{a0}١\u{2011}𝟗\u{200b}＠é"), "4111 1-9@é");
        assert_eq!(
            view(r"a\u0040b\n\/\\n\u00e9\uff20\"),
            "a@b\n/\\\\n\\u00e9@\\"
        );
        assert_eq!(view(r#"\u0022 \u005c \u00 \u"#), r#"\u0022 \u005c \u00 \u"#);
    }

    #[test]
    fn a_plain_text_is_not_copied() {
        for text in ["plain", "déjà vu", r#"a \"b\" \x"#] {
            assert!(matches!(
                Folded::new(text.as_bytes()).view,
                Cow::Borrowed(_)
            ));
        }
    }

    #[test]
    fn the_way_back_covers_whole_characters_and_escapes() {
        let text = "xé ４\u{200b}２\\u0040! end";
        let folded = Folded::new(text.as_bytes());
        let found = folded.view().windows(3).position(|w| w == b"42@").unwrap();
        let range = folded.original(&(found..found + 3));
        assert_eq!(text.get(range), Some("４\u{200b}２\\u0040"));
    }
}
