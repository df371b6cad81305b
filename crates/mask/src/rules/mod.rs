//! The detectors' rules. A rule is a pattern that is quick to search for and a judge that looks at
//! each match and its surroundings. One pass over the text tells where a rule may find something; most
//! texts end there ([`hint`]).

mod card;
mod email;
mod hint;
mod iban;
mod password;
mod phone;
mod secret;
mod ssn;

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

use crate::detect::Finding;
use crate::kind::Kind;
use crate::text::slice;

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
    /// Matches wherever the judge would find something, rarely elsewhere, and is short.
    hint: &'static str,
    judge: Judge,
}

const RULES: [Rule; 14] = [
    Rule {
        kind: Kind::Email,
        pattern: email::PATTERN,
        hint: email::HINT,
        judge: email::judge,
    },
    Rule {
        kind: Kind::Card,
        pattern: card::PATTERN,
        hint: card::HINT,
        judge: card::judge,
    },
    Rule {
        kind: Kind::Iban,
        pattern: iban::PATTERN,
        hint: iban::HINT,
        judge: iban::judge,
    },
    Rule {
        kind: Kind::Ssn,
        pattern: ssn::PATTERN,
        hint: ssn::HINT,
        judge: ssn::judge,
    },
    Rule {
        kind: Kind::Phone,
        pattern: phone::PATTERN,
        hint: phone::HINT,
        judge: phone::judge,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::TOKEN,
        hint: secret::TOKEN_HINT,
        judge: secret::judge_token,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::EXACT_TOKEN,
        hint: secret::EXACT_TOKEN_HINT,
        judge: secret::judge_exact_token,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::SK_KEY,
        hint: secret::SK_KEY_HINT,
        judge: secret::judge_sk_key,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::AWS_SECRET,
        hint: secret::AWS_SECRET_HINT,
        judge: secret::judge_aws_secret,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::BEARER,
        hint: secret::BEARER_HINT,
        judge: secret::judge_bearer,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::JWT,
        hint: secret::JWT_HINT,
        judge: secret::judge_jwt,
    },
    Rule {
        kind: Kind::Secret,
        pattern: secret::PRIVATE_KEY,
        hint: secret::PRIVATE_KEY_HINT,
        judge: secret::judge_private_key,
    },
    Rule {
        kind: Kind::Secret,
        pattern: password::ASSIGNED,
        hint: password::ASSIGNED_HINT,
        judge: password::judge_assigned,
    },
    Rule {
        kind: Kind::Secret,
        pattern: password::IN_URL,
        hint: password::IN_URL_HINT,
        judge: password::judge_in_url,
    },
];

/// The rules, compiled. A pattern that did not compile is a rule that never matches; a test sees to
/// it that there is none.
#[derive(Clone, Debug)]
pub(crate) struct Rules(Vec<Regex>);

impl Rules {
    pub(crate) fn new() -> Self {
        Self(RULES.iter().filter_map(compile).collect())
    }

    /// Makes what the first [`apply`](Self::apply) would make.
    pub(crate) fn prepare() {
        hint::prepare();
    }

    /// Everything found, rule by rule.
    pub(crate) fn apply(&self, text: &[u8]) -> Vec<Finding> {
        let hits = hint::hits(text);
        if !hits.any() {
            return Vec::new();
        }
        self.search(text, |rule| hits.of(rule))
    }

    fn search(&self, text: &[u8], place: impl Fn(usize) -> Option<Range<usize>>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for ((index, rule), pattern) in RULES.iter().enumerate().zip(&self.0) {
            let Some(place) = place(index) else {
                continue;
            };
            let searched = slice(text, 0..text.len().min(place.end));
            let mut from = place.start;
            while let Some(matched) = (from <= searched.len())
                .then(|| pattern.find_at(searched, from))
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
        assert_eq!(rules.0.len(), RULES.len());
        for rule in RULES {
            for unbounded in ["*", "]+", ")+", ",}"] {
                assert!(!rule.pattern.contains(unbounded), "{}", rule.pattern);
            }
        }
    }

    /// The rules see nothing else where they look only at what was hinted at.
    #[test]
    fn nothing_is_missed_by_looking_only_where_there_is_a_hint() {
        const PIECES: &[&str] = &[
            "bob@example.com",
            "@",
            "%40",
            ".",
            "-",
            " ",
            "4111",
            "1111",
            "4111111111111111",
            "4111 1111 1111 1111",
            "5105-1051-0510-5100",
            "3782 822463 10005",
            "4222222222222",
            "+49 30 901820",
            "+1 (415) 555-2671",
            "078-05-1120",
            "DE89",
            "3704 0044 0532 0130 00",
            "DE89370400440532013000",
            "NO93 8601 1117 947",
            "gb29nwbk60161331926819",
            "password",
            "passwd=",
            "api_key",
            "\": \"",
            "=",
            "\"",
            "'",
            "\\",
            "hunter22",
            "://",
            "https://a:",
            "svc:pw@h",
            "-----BEGIN PRIVATE KEY-----",
            "\n",
            "MIIabc",
            "-----END PRIVATE KEY-----",
            "eyJhbGciOiJI.",
            "eyJhbGciOiJIUzI1",
            "ghp_",
            "sk-",
            "sk_live_",
            "xoxb-",
            "hvs.",
            "AKIAIOSFODNN7EXAMPL2",
            "secret access key",
            "SecretAccessKey",
            ":",
            ",",
            "Bearer ",
            "authorization: basic ",
            "aB3xY7qK9mZ2aB3xY7qK9mZ2aB3xY7qK9mZ2aB3x",
            "SK",
            "0123456789abcdef0123456789abcdef",
            "AIza",
            "dapi",
            "SG.",
            "AGE-SECRET-KEY-1",
            "bwk_",
            "é",
            "x",
            "0",
            "{",
            "}",
            "(",
            ")",
            "lorem ipsum dolor sit amet ",
        ];
        let rules = Rules::new();
        let mut seed = 3_u64;
        let mut below = |bound: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % bound
        };
        let mut found = 0;
        for round in 0..20_000 {
            let length = if round % 20 == 0 { 400 } else { 12 };
            let text: String = (0..below(length))
                .map(|_| PIECES[below(PIECES.len())])
                .collect();
            let text = text.as_bytes();
            let everywhere = rules.search(text, |_| Some(0..text.len()));
            assert_eq!(
                rules.apply(text),
                everywhere,
                "{:?}",
                String::from_utf8_lossy(text)
            );
            found += everywhere.len();
        }
        assert!(found > 10_000, "{found}");
    }
}
