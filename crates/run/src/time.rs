use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

/// A moment, in milliseconds since the Unix epoch. Shown in RFC 3339 form, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The last moment that RFC 3339 can write (the end of the year 9999).
    const MAX_MILLIS: u64 = 253_402_300_799_999;

    /// A moment from milliseconds since the Unix epoch; later than the year 9999 counts as its end.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis.min(Self::MAX_MILLIS))
    }

    /// Milliseconds since the Unix epoch.
    pub fn millis(self) -> u64 {
        self.0
    }

    /// This moment and a while later.
    pub fn after(self, while_: Duration) -> Self {
        let millis = u64::try_from(while_.as_millis()).unwrap_or(u64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// How long until `later`; zero if it has passed.
    pub fn until(self, later: Time) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = UNIX_EPOCH + Duration::from_millis(self.0);
        humantime::format_rfc3339_millis(moment).fmt(f)
    }
}

/// When a run may act: from `opened` up to, not including, `expires`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeBox {
    /// When the run was opened.
    pub opened: Time,
    /// When it ends, at the latest.
    pub expires: Time,
}

impl TimeBox {
    /// Whether the run has ended by `now`.
    pub fn is_over(&self, now: Time) -> bool {
        now >= self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_in_rfc3339_and_ends_on_the_dot() {
        let opened = Time::from_millis(1_700_000_000_123);
        assert_eq!(opened.to_string(), "2023-11-14T22:13:20.123Z");
        let time_box = TimeBox {
            opened,
            expires: opened.after(Duration::from_secs(60)),
        };
        assert!(!time_box.is_over(opened.after(Duration::from_millis(59_999))));
        assert!(time_box.is_over(opened.after(Duration::from_secs(60))));
        assert_eq!(
            Time::from_millis(u64::MAX).to_string(),
            "9999-12-31T23:59:59.999Z"
        );
    }
}
