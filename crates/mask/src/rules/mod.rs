//! The detectors' rules. A rule is a pattern that is quick to search for and a judge that looks at
//! each match and its surroundings. One pass over the text tells which patterns occur at all; most
//! texts end there.

mod card;
mod email;
mod iban;
mod password;
mod phone;
mod secret;
mod ssn;

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use crate::detect::Finding;
use crate::kind::Kind;

/// What a judge says of a match.
pub(crate) enum Verdict {
    /// It is none. The search goes on just behind its first byte.
    No,
    /// There is none before this place.
    NoneBefore(usize),
    /// This is one.
    Found(Range<usize>),
}

/// A judge sees the whole text and where the pattern matched. What it does must be linear: it looks
/// at a bounded stretch, or at what the search will then skip.
type Judge = fn(text: &[u8], matched: Range<usize>) -> Verdict;

struct Rule {
    kind: Kind,
    /// Bytes, not characters. Every repetition is bounded.
    pattern: &'static str,
    judge: Judge,
}

const RULES: [Rule; 14] = [
    Rule {
        kind: Kind::Email,
        pattern: email::PATTERN,
        judge: email::judge,
    },
    Rule {
        kind: Kind::Card,
        pattern: card::PATTERN,
        judge: card::judge,
    },
    Rule {
        kind: Kind::Iban,
        pattern: iban::PATTERN,
        judge: iban::judge,
    },
    Rule {
        kind: Kind::Ssn,
        pattern: ssn::PATTERN,
        judge: ssn::judge,
    },
    Rule {
        kind: Kind::Phone,
        pattern: phone::PATTERN,
        judge: phone::judge,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::TOKEN,
        judge: secret::judge_token,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::EXACT_TOKEN,
        judge: secret::judge_exact_token,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::SK_KEY,
        judge: secret::judge_sk_key,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::AWS_SECRET,
        judge: secret::judge_aws_secret,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::BEARER,
        judge: secret::judge_bearer,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::JWT,
        judge: secret::judge_jwt,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::PRIVATE_KEY,
        judge: secret::judge_private_key,
    },
    Rule {
        kind: Kind::Secret,
        pattern: password::ASSIGNED,
        judge: password::judge_assigned,
    },
    Rule {
        kind: Kind::Secret,
        pattern: password::IN_URL,
        judge: password::judge_in_url,
    },
];

/// The rules, compiled. A pattern that did not compile is a rule that never matches; a test sees to
/// it that there is none.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    any: RegexSet,
    each: Vec<Regex>,
}

impl Rules {
    pub(crate) fn new() -> Self {
        let patterns = RULES.iter().map(|rule| rule.pattern);
        Self {
            any: RegexSetBuilder::new(patterns)
                .unicode(false)
                .build()
                .unwrap_or_else(|_| RegexSet::empty()),
            each: RULES.iter().filter_map(compile).collect(),
        }
    }

    /// Everything found, rule by rule.
    pub(crate) fn apply(&self, text: &[u8]) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !self.any.is_match(text) {
            return findings;
        }
        let matches = self.any.matches(text);
        for ((index, rule), pattern) in RULES.iter().enumerate().zip(&self.each) {
            if !matches.matched(index) {
                continue;
            }
            let mut from = 0;
            while let Some(matched) = (from <= text.len())
                .then(|| pattern.find_at(text, from))
                .flatten()
            {
                let next = matched.start() + 1;
                from = match (rule.judge)(text, matched.range()) {
                    Verdict::No => next,
                    Verdict::NoneBefore(place) => place.max(next),
                    Verdict::Found(range) => {
                        let end = range.end;
                        findings.push(Finding {
                            range,
                            kind: rule.kind,
                        });
                        end.max(next)
                    }
                };
            }
        }
        findings
    }
}

fn compile(rule: &Rule) -> Option<Regex> {
    RegexBuilder::new(rule.pattern).unicode(false).build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_has_bounds() {
        let rules = Rules::new();
        assert_eq!(rules.any.len(), RULES.len());
        assert_eq!(rules.each.len(), RULES.len());
        for rule in RULES {
            for unbounded in ["*", "]+", ")+", ",}"] {
                assert!(!rule.pattern.contains(unbounded), "{}", rule.pattern);
            }
        }
    }
}
