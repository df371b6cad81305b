//! How often what a rule looks for has happened.

use std::collections::VecDeque;
use std::time::Duration;

use bailiwick_run::Time;
use serde::{Deserialize, Serialize};

use super::Rule;
use crate::limits::SIGNAL_AGAIN_AFTER;

/// How often a rule has matched in one chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Count {
    /// How often, since it was raised or began.
    seen: u32,
    /// When, in milliseconds, where only what is within a time counts: no more than raise it.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    times: VecDeque<u64>,
    /// When it was raised last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raised: Option<u64>,
}

impl Count {
    /// One more, at this moment; whether that raises the rule. In the chain of a run it is raised once, until
    /// somebody resumes the run; in the gateway's own again and again, at most once a minute.
    pub(super) fn hit(&mut self, rule: &Rule, of_a_run: bool, time: Time) -> bool {
        let now = time.millis();
        if of_a_run && self.raised.is_some() {
            return false;
        }
        self.seen = self.seen.saturating_add(1);
        let enough = match rule.within {
            None => self.seen >= rule.after,
            Some(within) => {
                let after = usize::try_from(rule.after).unwrap_or(usize::MAX);
                self.times.push_back(now);
                while self.times.len() > after || self.is_old(within, now) {
                    self.times.pop_front();
                }
                self.times.len() >= after
            }
        };
        let again = millis(SIGNAL_AGAIN_AFTER);
        if !enough || self.raised.is_some_and(|raised| now < raised + again) {
            return false;
        }
        *self = Self {
            raised: Some(now),
            ..Self::default()
        };
        true
    }

    fn is_old(&self, within: Duration, now: u64) -> bool {
        let first = self.times.front();
        first.is_some_and(|first| first + millis(within) < now)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::{Does, When};
    use super::*;

    fn rule(after: u32, within: Option<u64>) -> Rule {
        Rule {
            name: "r".into(),
            when: When::Denied,
            after,
            within: within.map(Duration::from_secs),
            tasks: Vec::new(),
            launchers: Vec::new(),
            targets: Vec::new(),
            does: Does::default(),
        }
    }

    fn raises(rule: &Rule, of_a_run: bool, seconds: &[u64]) -> Vec<bool> {
        let mut count = Count::default();
        let at = |second: &u64| Time::from_millis(1_700_000_000_000 + second * 1000);
        seconds
            .iter()
            .map(|second| {
                // As it is after a restart.
                let stored = serde_json::to_string(&count).unwrap();
                count = serde_json::from_str(&stored).unwrap();
                count.hit(rule, of_a_run, at(second))
            })
            .collect()
    }

    #[test]
    fn the_nth_in_a_run_raises_it_once() {
        assert_eq!(raises(&rule(1, None), true, &[0, 1]), [true, false]);
        let third = [false, false, true, false, false, false];
        assert_eq!(
            raises(&rule(3, None), true, &[0, 9, 99, 999, 1000, 1001]),
            third
        );
    }

    #[test]
    fn only_what_is_within_the_time_counts() {
        let rule = rule(3, Some(10));
        assert_eq!(
            raises(&rule, true, &[0, 9, 18, 19, 20]),
            [false, false, false, true, false]
        );
        assert_eq!(raises(&rule, true, &[0, 5, 10]), [false, false, true]);
    }

    #[test]
    fn about_the_gateway_itself_it_is_raised_once_a_minute() {
        let expected = [true, false, false, true];
        assert_eq!(raises(&rule(1, None), false, &[0, 1, 59, 60]), expected);
    }
}
