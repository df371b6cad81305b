use std::fmt;
use std::str::FromStr;
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

/// Text that names no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a moment: it is RFC 3339, like 2026-03-01T09:30:00Z or 2026-03-01T10:30:00+01:00")]
pub struct InvalidTime;

impl FromStr for Time {
    type Err = InvalidTime;

    /// Reads RFC 3339, with `Z` or with an offset from UTC. What is finer than a millisecond is left
    /// out; before 1970 there is no moment.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_uppercase();
        let (local, offset) = match text.strip_suffix('Z') {
            Some(local) => (local, 0),
            None => split_offset(&text).ok_or(InvalidTime)?,
        };
        if !local.ends_with(|last: char| last.is_ascii_digit()) {
            return Err(InvalidTime);
        }
        let local = humantime::parse_rfc3339(&format!("{local}Z")).map_err(|_| InvalidTime)?;
        let since = local.duration_since(UNIX_EPOCH).map_err(|_| InvalidTime)?;
        let local = i64::try_from(since.as_millis()).map_err(|_| InvalidTime)?;
        let millis = u64::try_from(local - offset).map_err(|_| InvalidTime)?;
        Ok(Self::from_millis(millis))
    }
}

/// `…+01:30` as what stands before it and the offset in milliseconds.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    let (local, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let (sign, digits) = match offset.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':')?;
    let number = |digits: &str, below: i64| {
        let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: Option<i64> = digits.parse().ok();
        number.filter(|number| plain && *number < below)
    };
    let minutes = number(hours, 24)? * 60 + number(minutes, 60)?;
    Some((local, sign * minutes * 60_000))
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

    #[test]
    fn is_read_back_and_with_any_offset() {
        let moment = Time::from_millis(1_700_000_000_123);
        for same in [
            moment.to_string().as_str(),
            "2023-11-14T22:13:20.123987Z",
            "2023-11-14t22:13:20.123z",
            "2023-11-14T23:13:20.123+01:00",
            "2023-11-14T16:43:20.123-05:30",
            "2023-11-15T00:13:20.123+02:00",
        ] {
            assert_eq!(same.parse(), Ok(moment), "{same}");
        }
        for wrong in [
            "",
            "now",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-11-14T22:13:20+1:00",
            "2023-11-14T22:13:20+24:00",
            "2023-11-14T22:13:20+01:60",
            "2023-11-14T22:13:20++1:00",
            "2023-11-14T22:13:20Z+01:00",
            "1970-01-01T00:00:00+01:00",
            "1969-12-31T23:59:59Z",
            "2023-11-14T22:13:20–01:00",
        ] {
            assert_eq!(wrong.parse::<Time>(), Err(InvalidTime), "{wrong}");
        }
    }
}
