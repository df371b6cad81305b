//! Moments, durations and numbers as people read them.

use std::time::Duration;

use bailiwick_run::Time;

use crate::api::{RunState, Summary};

/// A moment: exactly, in full, and by how long ago it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// RFC 3339, UTC.
    pub(crate) iso: String,
    /// `26 Nov 2026, 04:33:12 UTC`.
    pub(crate) full: String,
    /// `04:33:12`.
    pub(crate) clock: String,
    /// `2 m ago`, `in 2 m`.
    pub(crate) ago: String,
}

impl Moment {
    /// As seen now.
    pub(crate) fn new(time: Time, now: Time) -> Self {
        let iso = time.to_string();
        let (day, clock) = iso.split_once('T').unwrap_or((&iso, ""));
        let clock = clock.get(..8).unwrap_or(clock).to_owned();
        Self {
            full: format!("{}, {clock} UTC", date(day)),
            ago: ago(time, now),
            clock,
            iso,
        }
    }
}

/// `26 Nov 2026` of `2026-11-26`.
fn date(day: &str) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut parts = day.splitn(3, '-');
    let (year, month, number) = (parts.next(), parts.next(), parts.next());
    let month = month.and_then(|month| MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?));
    match (year, month, number) {
        (Some(year), Some(month), Some(number)) => {
            format!("{} {month} {year}", number.trim_start_matches('0'))
        }
        _ => day.to_owned(),
    }
}

/// How long ago something was, or how soon it is, in one unit.
pub(crate) fn ago(time: Time, now: Time) -> String {
    let past = time.until(now);
    if past.is_zero() && time > now {
        return format!("in {}", roughly(now.until(time)));
    }
    match past.as_secs() {
        0..5 => "just now".to_owned(),
        _ => format!("{} ago", roughly(past)),
    }
}

/// A while in one unit.
fn roughly(while_: Duration) -> String {
    match while_.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} m", seconds / 60),
        seconds @ 3_600..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// A while in its two largest units.
pub(crate) fn for_long(while_: Duration) -> String {
    let seconds = while_.as_secs() + u64::from(while_.subsec_nanos() >= 500_000_000);
    let parts = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => parts(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => parts(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => parts(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// A moment of a run, by its time since the run's start.
pub(crate) fn since(start: Time, moment: Time) -> String {
    let passed = start.until(moment);
    let seconds = passed.as_secs();
    match seconds {
        0..60 => format!("+{seconds}.{:03} s", passed.subsec_millis()),
        60..3_600 => format!("+{}:{:02}", seconds / 60, seconds % 60),
        _ => format!(
            "+{}:{:02}:{:02}",
            seconds / 3_600,
            seconds % 3_600 / 60,
            seconds % 60
        ),
    }
}

/// `1,234,567`.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 call`, `2 calls`.
pub(crate) fn count(how_many: u64, of_what: &str) -> String {
    match how_many {
        1 => format!("1 {of_what}"),
        many => format!("{} {of_what}s", number(many)),
    }
}

/// A size in one unit.
pub(crate) fn bytes(size: u64) -> String {
    match size {
        0..1_024 => count(size, "byte"),
        1_024..1_048_576 => format!("{} KiB", size.div_ceil(1_024)),
        _ => format!("{} MiB", size.div_ceil(1_048_576)),
    }
}

/// How far a run is, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The class by which it is drawn: `alive`, `ending`, `ended`, `suspended`.
    pub(crate) class: &'static str,
    /// One word.
    pub(crate) word: &'static str,
    /// It can still do something, now or when it is resumed.
    pub(crate) is_live: bool,
    /// Nobody has to stop it: it is suspended.
    pub(crate) is_suspended: bool,
}

impl Standing {
    /// Of a run that the list of runs does not know.
    pub(crate) fn unknown() -> Self {
        Self {
            class: "ended",
            word: "not in the list",
            is_live: false,
            is_suspended: false,
        }
    }

    /// Of what is no run.
    pub(crate) fn none() -> Self {
        Self {
            class: "door",
            word: "",
            is_live: false,
            is_suspended: false,
        }
    }

    /// Of a state.
    pub(crate) fn of(state: RunState) -> Self {
        let (class, word, is_live, is_suspended) = match state {
            RunState::Open => ("alive", "alive", true, false),
            RunState::Suspended => ("suspended", "suspended", true, true),
            RunState::Ending => ("ending", "ending", false, false),
            RunState::Ended => ("ended", "ended", false, false),
        };
        Self {
            class,
            word,
            is_live,
            is_suspended,
        }
    }
}

/// Why a run ended, in words.
pub(crate) fn ending(name: &str) -> &str {
    match name {
        "closed" => "its work was done",
        "expired" => "its time was over",
        "revoked" => "somebody revoked it",
        "gateway-stopped" => "the gateway stopped",
        other => other,
    }
}

/// A run's time box: how much of it is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TimeBox {
    /// All of it, in seconds.
    pub(crate) whole: u64,
    /// How long the bar is, in seconds: what is left of it, or once the run has ended, what was used.
    pub(crate) shown: u64,
    /// `12 m left of 30 m`, `used 2 m of 30 m`.
    pub(crate) words: String,
}

impl TimeBox {
    /// Of a run, as seen now.
    pub(crate) fn of(run: &Summary, now: Time) -> Self {
        let whole = run.opened.until(run.expires);
        let until = run.ended.unwrap_or(now).min(run.expires);
        let passed = run.opened.until(until);
        let words = match run.ended {
            Some(_) => format!("used {} of {}", for_long(passed), for_long(whole)),
            None => format!(
                "{} left of {}",
                for_long(whole.saturating_sub(passed)),
                for_long(whole)
            ),
        };
        Self {
            whole: whole.as_secs().max(1),
            shown: match run.ended {
                Some(_) => passed.as_secs(),
                None => whole.saturating_sub(passed).as_secs(),
            },
            words,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_numbers_are_short() {
        let now = Time::from_millis(1_795_667_592_000);
        let moment = Moment::new(Time::from_millis(1_795_667_592_000 - 125_000), now);
        assert_eq!(moment.ago, "2 m ago");
        assert_eq!(moment.full, format!("26 Nov 2026, {} UTC", moment.clock));
        assert_eq!(ago(now.after(Duration::from_secs(90)), now), "in 1 m");
        assert_eq!(ago(now, now), "just now");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(number(123), "123");
        assert_eq!(count(1, "call"), "1 call");
        assert_eq!(count(1_000, "call"), "1,000 calls");
        assert_eq!(for_long(Duration::from_secs(3_725)), "1 h 2 m");
        assert_eq!(
            since(now, now.after(Duration::from_millis(61_500))),
            "+1:01"
        );
        assert_eq!(bytes(1_025), "2 KiB");
    }
}
