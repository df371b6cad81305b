//! The first look at a text: where anything may be in it at all. Most texts end here, so this is what the
//! speed of masking hangs on. One table-driven automaton for all rules; it sees everything that a rule would
//! find, and some of what a judge would then turn down.
//!
//! A step of an automaton waits for the one before it, while the processor could do several at once: a
//! longer text is looked at in four places at the same time.

use std::ops::Range;
use std::sync::LazyLock;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind, nfa::thompson};

use super::RULES;
use crate::text::slice;

/// Before what stands alone.
macro_rules! apart {
    ($pattern:expr) => {
        concat!("(?:^|[^0-9A-Za-z])(?:", $pattern, ")")
    };
}
pub(super) use apart;

/// Longer than all that any pattern of a rule can match.
const OVERLAP: usize = 256;

/// Shorter texts are looked at in one go.
const LANES_FROM: usize = 1_024;

/// Counters in the hints multiply; this is where it would end.
const TABLE_BYTES_MAX: usize = 4 << 20;

type Table = dense::DFA<Vec<u32>>;

/// Where in a text each rule may find something; nothing for most.
pub(super) struct Hits {
    any: bool,
    of: [Range<usize>; RULES.len()],
}

impl Hits {
    const NONE: Self = Self {
        any: false,
        of: [const {
            // As none has begun and all have ended.
            Range {
                start: usize::MAX,
                end: 0,
            }
        }; RULES.len()],
    };

    /// Whether there is any.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// Where to search for what a rule finds.
    pub(super) fn of(&self, rule: usize) -> Option<Range<usize>> {
        let hits = self.of.get(rule).filter(|hits| hits.start <= hits.end)?;
        Some(hits.start.saturating_sub(OVERLAP)..hits.end + OVERLAP)
    }

    #[cold]
    fn add(&mut self, table: &Table, state: StateID, at: usize) {
        self.any = true;
        for index in 0..table.match_len(state) {
            let rule = table.match_pattern(state, index).as_usize();
            if let Some(hits) = self.of.get_mut(rule) {
                *hits = hits.start.min(at)..hits.end.max(at);
            }
        }
    }
}

static TABLE: LazyLock<Option<Table>> = LazyLock::new(build);

/// Makes the automaton, if it is not there.
pub(super) fn prepare() {
    LazyLock::force(&TABLE);
}

/// Where rules may find something. Without an automaton everywhere; a test sees to it that there is one.
pub(super) fn hits(text: &[u8]) -> Hits {
    let everywhere = Hits {
        any: true,
        of: [const { 0..usize::MAX / 2 }; RULES.len()],
    };
    let Some(table) = &*TABLE else {
        return everywhere;
    };
    let start = start::Config::new().anchored(Anchored::No);
    let Ok(start) = table.start_state(&start) else {
        return everywhere;
    };
    let mut hits = Hits::NONE;
    if text.len() < LANES_FROM {
        one_lane(table, start, text, 0..text.len(), &mut hits);
        return hits;
    }
    let quarter = text.len() / 4;
    let lane = |index: usize| slice(text, quarter * index..quarter * (index + 1));
    let [mut a, mut b, mut c, mut d] = [start; 4];
    let lanes = lane(0).iter().zip(lane(1)).zip(lane(2)).zip(lane(3));
    for (at, (((one, two), three), four)) in lanes.enumerate() {
        a = table.next_state(a, *one);
        b = table.next_state(b, *two);
        c = table.next_state(c, *three);
        d = table.next_state(d, *four);
        // Nothing else is special here: the search is not anchored, and there are no words of Unicode.
        if table.is_special_state(a)
            || table.is_special_state(b)
            || table.is_special_state(c)
            || table.is_special_state(d)
        {
            for (index, state) in [a, b, c, d].into_iter().enumerate() {
                if table.is_match_state(state) {
                    hits.add(table, state, quarter * index + at);
                }
            }
        }
    }
    // Each goes on into the next one's part, as far as something that began in its own may reach.
    for (index, state) in [a, b, c, d].into_iter().enumerate() {
        let from = quarter * (index + 1);
        let to = match index {
            3 => text.len(),
            _ => text.len().min(from + OVERLAP),
        };
        one_lane(table, state, text, from..to, &mut hits);
    }
    hits
}

fn one_lane(table: &Table, mut state: StateID, text: &[u8], range: Range<usize>, hits: &mut Hits) {
    for (at, byte) in slice(text, range.clone()).iter().enumerate() {
        state = table.next_state(state, *byte);
        if table.is_match_state(state) {
            hits.add(table, state, range.start + at);
        }
    }
    // A match is told one byte later.
    let end = table.next_eoi_state(state);
    if table.is_match_state(end) {
        hits.add(table, end, range.end);
    }
}

fn build() -> Option<Table> {
    let hints: Vec<&str> = RULES.iter().map(|rule| rule.hint).collect();
    dense::Builder::new()
        .configure(
            dense::Config::new()
                .start_kind(StartKind::Unanchored)
                .match_kind(MatchKind::All)
                .accelerate(false)
                .dfa_size_limit(Some(TABLE_BYTES_MAX))
                .determinize_size_limit(Some(4 * TABLE_BYTES_MAX)),
        )
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .thompson(thompson::Config::new().utf8(false))
        .build_many(&hints)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    #[test]
    fn there_is_an_automaton_and_it_is_small() {
        let table = build().unwrap();
        assert!(table.memory_usage() < 3 << 20, "{}", table.memory_usage());
    }

    #[test]
    fn what_lies_across_two_lanes_is_seen() {
        let finding = b" 4111111111111111 ";
        for at in 0..4_000 {
            let mut text = vec![b'.'; 4_096];
            for (place, byte) in text.iter_mut().skip(at).zip(finding) {
                *place = *byte;
            }
            let hits = hits(&text);
            let rule = RULES
                .iter()
                .position(|rule| rule.kind == Kind::Card)
                .unwrap();
            let found = hits.of(rule).unwrap();
            assert!(found.start <= at && found.end >= at + finding.len(), "{at}");
        }
        let nothing = hits(&[b'.'; 4_096]);
        assert!((0..RULES.len()).all(|rule| nothing.of(rule).is_none()));
    }
}
