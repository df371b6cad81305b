use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::{ROUND, WITNESS_EVERY, WITNESS_REST};
use crate::publication::Published;

/// Which checkpoint the witnesses are asked about. All are asked about the same one, because a quorum
/// has to have seen one and the same; when those that answer have answered, it is the newest one's
/// turn.
pub(super) struct Round {
    asked: Option<Arc<Published>>,
    since: Instant,
    /// As many have cosigned as the policy asks for.
    enough: bool,
    seats: Vec<Seat>,
}

/// A witness, as the round sees it.
#[derive(Clone, Debug, Default)]
struct Seat {
    /// What it said of the checkpoint: its signature lines, or nothing that helps.
    answer: Option<String>,
    /// It is not asked before.
    rests_until: Option<Instant>,
    /// How often it has failed since it last answered.
    failures: u32,
}

/// What a witness's thread does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Ask(Arc<Published>),
    /// Look again after a change, or after this time.
    Wait(Option<Duration>),
    /// Nothing more is to be asked before the end.
    End,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// These are its signature lines.
    Cosigned(String),
    /// It has nothing to say of this checkpoint; perhaps of a newer one.
    Passed,
    /// It is asked again after a while.
    Failed,
    /// It is asked again after a long while.
    Disagreed,
}

impl Round {
    pub(super) fn new(seats: usize, now: Instant) -> Self {
        Self {
            asked: None,
            since: now,
            enough: false,
            seats: vec![Seat::default(); seats],
        }
    }

    /// What the thread of this seat does, when `latest` is what is published.
    pub(super) fn next(
        &mut self,
        seat: usize,
        latest: Option<&Arc<Published>>,
        closing: bool,
        now: Instant,
    ) -> Next {
        let newer = latest.filter(|latest| self.asked.as_ref() != Some(*latest));
        if let Some(newer) = newer
            && (closing || self.is_over(now))
        {
            self.begin(newer, now);
        }
        let is_newest = self.asked.as_ref() == latest;
        let over_in = (self.over_at()).saturating_duration_since(now);
        let (Some(asked), Some(seat)) = (&self.asked, self.seats.get(seat)) else {
            return if closing { Next::End } else { Next::Wait(None) };
        };
        let rests = seat
            .rests_until
            .and_then(|until| until.checked_duration_since(now))
            .filter(|left| !left.is_zero());
        match (&seat.answer, rests) {
            (Some(_), _) if closing => Next::End,
            (None, Some(_)) if closing && seat.failures > 0 => Next::End,
            (Some(_), _) if is_newest => Next::Wait(None),
            (Some(_), _) => Next::Wait(Some(over_in)),
            (None, Some(left)) => Next::Wait(Some(left)),
            (None, None) => Next::Ask(Arc::clone(asked)),
        }
    }

    /// Takes down what came of an attempt. Says which lines the checkpoint has now, if that is new.
    pub(super) fn ended(
        &mut self,
        seat: usize,
        asked: &Arc<Published>,
        attempt: Attempt,
        now: Instant,
    ) -> Option<String> {
        let same = self.asked.as_ref() == Some(asked);
        let seat = self.seats.get_mut(seat)?;
        let mut rest = WITNESS_EVERY;
        let answer = match attempt {
            Attempt::Cosigned(lines) => Some(lines),
            Attempt::Passed => Some(String::new()),
            Attempt::Failed => {
                let doubled = WITNESS_EVERY.saturating_mul(1 << seat.failures.min(10));
                rest = doubled.min(WITNESS_REST);
                None
            }
            Attempt::Disagreed => {
                rest = WITNESS_REST;
                None
            }
        };
        seat.rests_until = Some(now + rest);
        let Some(answer) = answer else {
            seat.failures = seat.failures.saturating_add(1);
            return None;
        };
        seat.failures = 0;
        // About an older checkpoint it helps nobody any more.
        if !same {
            return None;
        }
        let is_new = !answer.is_empty();
        seat.answer = Some(answer);
        is_new.then(|| {
            let lines = self.seats.iter().filter_map(|seat| seat.answer.as_deref());
            lines.collect()
        })
    }

    /// As many have cosigned as the policy asks for.
    pub(super) fn has_enough(&mut self) {
        self.enough = true;
    }

    fn begin(&mut self, published: &Arc<Published>, now: Instant) {
        self.asked = Some(Arc::clone(published));
        self.since = now;
        self.enough = false;
        for seat in &mut self.seats {
            seat.answer = None;
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        let rests = |seat: &Seat| seat.failures > 0 && seat.rests_until > Some(now);
        let answered = |seat: &Seat| seat.answer.is_some() || rests(seat);
        self.asked.is_none() || now >= self.over_at() || self.seats.iter().all(answered)
    }

    /// When nobody is waited for any more.
    fn over_at(&self) -> Instant {
        self.since + if self.enough { WITNESS_EVERY } else { ROUND }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::Checkpoint;

    fn published(size: u64) -> Arc<Published> {
        let root = [1; 32];
        Arc::new(Published {
            checkpoint: Checkpoint { size, root },
            note: String::new(),
        })
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn cosigned(name: &str) -> Attempt {
        Attempt::Cosigned(format!("{name}\n"))
    }

    #[test]
    fn all_are_asked_about_the_same_one_and_then_about_the_newest() {
        let start = Instant::now();
        let mut round = Round::new(2, start);
        assert_eq!(round.next(0, None, false, start), Next::Wait(None));
        let (one, two, three) = (published(1), published(2), published(3));
        let ask = |published: &Arc<Published>| Next::Ask(Arc::clone(published));
        assert_eq!(round.next(0, Some(&one), false, start), ask(&one));
        let lines = round.ended(0, &one, cosigned("a"), start);
        assert_eq!(lines.as_deref(), Some("a\n"));
        assert_eq!(round.next(0, Some(&one), false, start), Next::Wait(None));
        // The other is slow, and a newer one is there meanwhile.
        let wait = Next::Wait(Some(ROUND));
        assert_eq!(round.next(0, Some(&two), false, start), wait);
        assert_eq!(round.next(1, Some(&two), false, start), ask(&one));
        let lines = round.ended(1, &one, cosigned("b"), start + SECOND);
        assert_eq!(lines.as_deref(), Some("a\nb\n"));
        // Not more than once a second.
        let soon = start + SECOND / 2;
        assert_eq!(
            round.next(0, Some(&three), false, soon),
            Next::Wait(Some(SECOND / 2))
        );
        assert_eq!(
            round.next(0, Some(&three), false, start + SECOND),
            ask(&three)
        );
    }

    #[test]
    fn one_that_is_down_or_slow_delays_nobody() {
        let start = Instant::now();
        let mut round = Round::new(2, start);
        let (one, two) = (published(1), published(2));
        let ask = |published: &Arc<Published>| Next::Ask(Arc::clone(published));
        round.next(0, Some(&one), false, start);
        round.ended(0, &one, cosigned("a"), start);
        assert_eq!(round.ended(1, &one, Attempt::Failed, start), None);
        let later = start + SECOND / 2;
        // It rests, so the round is over.
        assert_eq!(
            round.next(1, Some(&two), false, later),
            Next::Wait(Some(SECOND / 2))
        );
        let after = start + SECOND;
        assert_eq!(round.next(0, Some(&two), false, after), ask(&two));
        // Each failure doubles the rest, up to its limit.
        let mut now = after;
        for seconds in [2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(round.next(1, Some(&two), false, now), ask(&two));
            round.ended(1, &two, Attempt::Failed, now);
            now += Duration::from_secs(seconds);
        }
        // One that hangs is given up after a while; its answer then helps nobody.
        let mut round = Round::new(2, start);
        round.next(0, Some(&one), false, start);
        round.ended(0, &one, cosigned("a"), start);
        assert_eq!(round.next(0, Some(&two), false, start + ROUND), ask(&two));
        assert_eq!(round.ended(1, &one, cosigned("b"), start + ROUND), None);
        // With enough of them, it is given up after a second.
        let mut round = Round::new(2, start);
        round.next(0, Some(&one), false, start);
        round.ended(0, &one, cosigned("a"), start);
        round.has_enough();
        assert_eq!(
            round.next(0, Some(&two), false, start),
            Next::Wait(Some(SECOND))
        );
        assert_eq!(round.next(0, Some(&two), false, start + SECOND), ask(&two));
    }

    #[test]
    fn the_last_checkpoint_is_asked_about_once_before_the_end() {
        let start = Instant::now();
        let mut round = Round::new(3, start);
        let (one, two) = (published(1), published(2));
        let ask = |published: &Arc<Published>| Next::Ask(Arc::clone(published));
        assert_eq!(round.next(0, Some(&one), false, start), ask(&one));
        round.ended(0, &one, cosigned("a"), start);
        round.ended(1, &one, Attempt::Disagreed, start);
        // The third has not answered yet.
        let soon = Next::Wait(Some(SECOND));
        assert_eq!(round.next(0, Some(&two), true, start), soon);
        assert_eq!(round.next(1, Some(&two), true, start), Next::End);
        assert_eq!(round.next(2, Some(&two), true, start), ask(&two));
        round.ended(2, &two, Attempt::Failed, start);
        assert_eq!(round.next(2, Some(&two), true, start), Next::End);
        assert_eq!(round.next(0, Some(&two), true, start + SECOND), ask(&two));
        round.ended(0, &two, cosigned("a"), start + SECOND);
        assert_eq!(round.next(0, Some(&two), true, start + SECOND), Next::End);
    }
}
