use std::time::{Duration, Instant};

use bailiwick_run::Time;

use crate::clock;

/// Now, by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(super) wall: Time,
    /// The one that nobody can set.
    pub(super) steady: Instant,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self {
            wall: clock::now(),
            steady: Instant::now(),
        }
    }
}

/// When something is over: when either clock says so, as with the time box of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    pub(super) wall: Time,
    steady: Instant,
}

impl Deadline {
    /// After this while, and never later than `latest`.
    pub(super) fn within(now: Moment, while_: Duration, latest: Time) -> Self {
        let while_ = while_.min(now.wall.until(latest));
        Self {
            wall: now.wall.after(while_),
            steady: now.steady + while_,
        }
    }

    pub(super) fn is_over(&self, now: Moment) -> bool {
        now.wall >= self.wall || now.steady >= self.steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_by_the_clock_that_is_ahead_and_never_after_the_run() {
        let seconds = Duration::from_secs;
        let now = Moment::now();
        let later = |wall: u64, steady: u64| Moment {
            wall: now.wall.after(seconds(wall)),
            steady: now.steady + seconds(steady),
        };
        let deadline = Deadline::within(now, seconds(600), now.wall.after(seconds(1_800)));
        assert!(!deadline.is_over(later(599, 599)));
        assert!(deadline.is_over(later(600, 0)));
        // Somebody has set the wall clock back.
        assert!(deadline.is_over(later(0, 600)));

        let capped = Deadline::within(now, seconds(600), now.wall.after(seconds(60)));
        assert_eq!(capped.wall, now.wall.after(seconds(60)));
        assert!(capped.is_over(later(0, 60)));
    }
}
