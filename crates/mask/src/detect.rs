use std::ops::Range;

use crate::fold::Folded;
use crate::kind::{Kind, PREFIX};
use crate::rules::Rules;
use crate::text::{byte, run_end, slice};

/// The detectors, ready to use. Making one compiles the patterns (milliseconds); a clone is cheap.
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

    /// All detectors.
    pub fn new() -> Self {
        Self {
            rules: Rules::new(),
        }
    }

    /// What is sensitive in a text, in order and without overlap.
    pub fn find(&self, text: &str) -> Vec<Finding> {
        self.find_bytes(text.as_bytes())
    }

    /// The text with a placeholder for each finding, or nothing where there is none. The text may
    /// be anything; bytes that are not UTF-8 are kept. What was valid UTF-8, JSON, CSV or an array
    /// stays so: a number that stands bare in JSON is replaced by a quoted placeholder.
    pub fn rewrite(&self, text: &[u8]) -> Option<Rewritten> {
        let findings = self.find_bytes(text);
        if findings.is_empty() {
            return None;
        }
        let mut bytes = Vec::with_capacity(text.len());
        let mut quotes = Quotes::new(text);
        let mut copied = 0;
        for finding in &findings {
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

    fn find_bytes(&self, text: &[u8]) -> Vec<Finding> {
        if text.len() < Self::SHORTEST || !worth_a_look(text) {
            return Vec::new();
        }
        let folded = Folded::new(text);
        let found = merge(self.rules.apply(folded.view()));
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
