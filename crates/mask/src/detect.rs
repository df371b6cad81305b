use std::ops::Range;

use crate::fold::Folded;
use crate::kind::{Kind, PREFIX};
use crate::rules::Rules;
use crate::text::{byte, run_end, slice};

/// The detectors, ready to use but for [`prepare`](Self::prepare). Making one compiles the patterns
/// (milliseconds); a clone is cheap.
#[derive(Clone, Debug)]
pub struct Detectors {
    rules: Rules,
}

/// Something sensitive in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where, in bytes.
    pub range: Range<usize>,
    /// What.
    pub kind: Kind,
}

/// A text with placeholders in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The text.
    pub bytes: Vec<u8>,
    /// How many placeholders were put in.
    pub count: u64,
}

impl Detectors {
    /// The shortest text in which anything can be found: `a@b.co`.
    const SHORTEST: usize = 6;

    /// A line that is longer is settled in parts.
    pub const LINE_BYTES_MAX: usize = 32 * 1024;

    /// How far a rule looks ahead of where what it looks for begins, but for what is found without an
    /// end.
    pub const REACH: usize = 8 * 1024;

    /// All detectors.
    pub fn new() -> Self {
        Self {
            rules: Rules::new(),
        }
    }

    /// Makes what the first look at a text would make: some tenths of a second of the processor, once for
    /// the process, which nobody's call should have to wait for.
    pub fn prepare() {
        Rules::prepare();
    }

    /// What is sensitive in a text, in order and without overlap.
    pub fn find(&self, text: &str) -> Vec<Finding> {
        self.find_bytes(text.as_bytes(), |_| true)
    }

    /// The text with a placeholder for each finding, or nothing where there is none. The text may
    /// be anything; bytes that are not UTF-8 are kept. What was valid UTF-8, JSON, CSV or an array
    /// stays so: a number that stands bare in JSON is replaced by a quoted placeholder.
    pub fn rewrite(&self, text: &[u8]) -> Option<Rewritten> {
        write(text, &self.find_bytes(text, |_| true))
    }

    /// The same for findings of some kinds alone. What else is found in such a one, or across it, counts by
    /// itself.
    pub fn rewrite_only(&self, text: &[u8], wanted: impl Fn(Kind) -> bool) -> Option<Rewritten> {
        write(text, &self.find_bytes(text, wanted))
    }

    /// As [`Detectors::rewrite`], for a text of which more is to come: how many bytes at its start are
    /// settled, whatever follows, and these with placeholders in them. What is not settled is to be
    /// looked at again with what follows.
    ///
    /// Text is settled in whole lines, and a line that is longer than [`Detectors::LINE_BYTES_MAX`] up to
    /// [`Detectors::REACH`] bytes before its end so far. Nothing is settled of what was found and may go
    /// on, however long it is: a private key, say.
    pub fn rewrite_start(&self, text: &[u8]) -> (usize, Option<Rewritten>) {
        let findings = self.find_bytes(text, |_| true);
        let settled = settled(text, &findings);
        let inside = findings.partition_point(|finding| finding.range.end <= settled);
        let findings = findings.get(..inside).unwrap_or_default();
        (settled, write(slice(text, 0..settled), findings))
    }

    /// Whether a text holds a placeholder, so that nobody writes one over what it stands for.
    pub fn has_placeholder(text: &[u8]) -> bool {
        let prefix = PREFIX.as_bytes();
        text.windows(prefix.len() + 1)
            .enumerate()
            .any(|(at, window)| {
                let after = at + prefix.len();
                window.starts_with(prefix)
                    && match byte(text, after) {
                        Some(b']') => true,
                        Some(b':') => {
                            let end = run_end(text, after + 1, |byte| byte.is_ascii_lowercase());
                            byte(text, end) == Some(b']')
                        }
                        _ => false,
                    }
            })
    }

    fn find_bytes(&self, text: &[u8], wanted: impl Fn(Kind) -> bool) -> Vec<Finding> {
        if text.len() < Self::SHORTEST || !worth_a_look(text) {
            return Vec::new();
        }
        let folded = Folded::new(text);
        let mut found = self.rules.apply(folded.view());
        found.retain(|finding| wanted(finding.kind));
        let found = merge(found);
        found
            .into_iter()
            .map(|finding| Finding {
                range: folded.original(&finding.range),
                kind: finding.kind,
            })
            .collect()
    }
}

impl Default for Detectors {
    fn default() -> Self {
        Self::new()
    }
}

/// The text with placeholders where something was found, or nothing where there is none.
fn write(text: &[u8], findings: &[Finding]) -> Option<Rewritten> {
    if findings.is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut quotes = Quotes::new(text);
    let mut copied = 0;
    for finding in findings {
        bytes.extend_from_slice(slice(text, copied..finding.range.start));
        let quoted = quotes.is_bare_number(&finding.range);
        if quoted {
            bytes.push(b'"');
        }
        bytes.extend_from_slice(finding.kind.placeholder().as_bytes());
        if quoted {
            bytes.push(b'"');
        }
        copied = finding.range.end;
    }
    bytes.extend_from_slice(text.get(copied..).unwrap_or_default());
    Some(Rewritten {
        bytes,
        count: findings.len() as u64,
    })
}

/// How many bytes at the start of a text no rule looks at again, whatever follows.
fn settled(text: &[u8], findings: &[Finding]) -> usize {
    let lines = last_line_end(text, findings);
    let long = match text.len().checked_sub(Detectors::LINE_BYTES_MAX) {
        Some(_) => last_break(text, findings),
        None => 0,
    };
    lines.max(long)
}

/// No rule looks beyond the end of a line, but those of private keys and of AWS secrets.
fn last_line_end(text: &[u8], findings: &[Finding]) -> usize {
    let mut end = text.len();
    loop {
        let Some(line_end) = slice(text, 0..end).iter().rposition(|byte| *byte == b'\n') else {
            return 0;
        };
        let after = line_end + 1;
        // Only a private key ends with the end of a line, if it ends there at all.
        let index = findings.partition_point(|finding| finding.range.start < after);
        let last = index.checked_sub(1).and_then(|index| findings.get(index));
        end = match last {
            Some(last) if last.range.end >= after => last.range.start,
            _ if names_a_secret(slice(text, 0..after)) => line_end,
            _ => return after,
        };
    }
}

/// Whether a text ends with what an AWS secret may follow on the next line, or with the start of it.
fn names_a_secret(text: &[u8]) -> bool {
    let is_part = |byte: &u8| !(byte.is_ascii_whitespace() || br#""'\:=,;|>"#.contains(byte));
    let end = text.iter().rposition(is_part).map_or(0, |last| last + 1);
    let name = slice(text, end.saturating_sub(20)..end);
    let ends_with_key = name
        .last_chunk::<3>()
        .is_some_and(|last| last.eq_ignore_ascii_case(b"key"));
    // Spelt with other characters it could be anything.
    ends_with_key
        || name.starts_with(b"AKIA")
        || name.starts_with(b"ASIA")
        || name
            .last()
            .is_some_and(|last| !last.is_ascii() || *last == b'}')
}

/// A place well before the end that nothing found goes across, after a byte that keeps apart if there
/// is one.
fn last_break(text: &[u8], findings: &[Finding]) -> usize {
    let apart = |byte: &u8| matches!(byte, b' ' | b'\t' | b'<' | b'>' | b'{' | b'}' | b';' | b'"');
    let mut end = text.len().saturating_sub(Detectors::REACH);
    // A character is not cut, nor an escape.
    while byte(text, end).is_some_and(|next| matches!(next, 0x80..=0xbf)) {
        end -= 1;
    }
    let near = end.saturating_sub(Detectors::REACH);
    let mut place = slice(text, near..end)
        .iter()
        .rposition(apart)
        .map_or(end, |last| near + last + 1);
    let index = findings.partition_point(|finding| finding.range.start < place);
    if let Some(last) = index.checked_sub(1).and_then(|index| findings.get(index))
        && last.range.end > place
    {
        place = last.range.start;
    }
    place
}

/// Whether a text has any of the characters without which nothing is found. Many short values have
/// none, and this look is far cheaper than a search.
fn worth_a_look(text: &[u8]) -> bool {
    text.iter().any(|byte| match byte {
        b'@' | b'=' | b':' | b'-' | b'_' | b'.' | b'"' | b'\'' | b'\\' => true,
        byte => byte.is_ascii_digit() || !byte.is_ascii(),
    })
}

fn merge(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| (finding.range.start, finding.range.end));
    let mut merged: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings {
        match merged.last_mut() {
            Some(last) if finding.range.start < last.range.end => {
                last.range.end = last.range.end.max(finding.range.end);
                last.kind = last.kind.max(finding.kind);
            }
            _ => merged.push(finding),
        }
    }
    merged
}

/// Knows whether a place in a text that looks like JSON is inside a string. Asked in order, it walks
/// the text once.
struct Quotes<'a> {
    text: &'a [u8],
    looks_like_json: bool,
    at: usize,
    inside: bool,
}

impl<'a> Quotes<'a> {
    fn new(text: &'a [u8]) -> Self {
        let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
        Self {
            text,
            looks_like_json: matches!(first, Some(b'{' | b'[')),
            at: 0,
            inside: false,
        }
    }

    /// Whether what is in the range is a number that stands in JSON without quotes. A text that only
    /// looks like JSON (an array's, say) does no worse for a pair of quotes.
    fn is_bare_number(&mut self, range: &Range<usize>) -> bool {
        if !self.looks_like_json {
            return false;
        }
        while self.at < range.start {
            match byte(self.text, self.at) {
                Some(b'\\') if self.inside => self.at += 1,
                Some(b'"') => self.inside = !self.inside,
                _ => {}
            }
            self.at += 1;
        }
        let digits = slice(self.text, range.clone());
        let before = slice(self.text, 0..range.start);
        let after = self.text.get(range.end..).unwrap_or_default();
        !self.inside
            && digits.iter().all(u8::is_ascii_digit)
            && matches!(before.trim_ascii_end().last(), Some(b':' | b',' | b'['))
            && matches!(after.trim_ascii_start().first(), Some(b',' | b'}' | b']'))
    }
}
