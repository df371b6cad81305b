//! Times as people read them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bailiwick_run::Time;

/// Now, by this machine's clock.
pub(crate) fn now() -> Time {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A while in its two largest units, and finer if it is short: `32 ms`, `4.2 s`, `45s`,
/// `2m 5s`.
pub(crate) fn for_long(while_: Duration) -> String {
    let seconds = while_.as_secs();
    let parts = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit} {small}{small_unit}"),
    };
    match seconds {
        0 if !while_.is_zero() => format!("{} ms", while_.subsec_millis()),
        0..60 if while_.subsec_millis() < 100 => format!("{seconds}s"),
        0..60 => format!("{}.{} s", seconds, while_.subsec_millis() / 100),
        60..3_600 => parts(seconds / 60, "m", seconds % 60, "s"),
        3_600..86_400 => parts(seconds / 3_600, "h", seconds % 3_600 / 60, "m"),
        _ => parts(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// A time box, or what is left of it, rounded up to seconds: one that has just begun is whole.
pub(crate) fn time_box(left: Duration) -> String {
    for_long(Duration::from_secs(
        left.as_secs() + u64::from(left.subsec_nanos() > 0),
    ))
}

/// How long ago something was, in one unit: `2m ago`.
pub(crate) fn ago(then: Time) -> String {
    let seconds = then.until(now()).as_secs();
    match seconds {
        0..10 => "just now".into(),
        10..60 => format!("{seconds}s ago"),
        60..3_600 => format!("{}m ago", seconds / 60),
        3_600..86_400 => format!("{}h ago", seconds / 3_600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// A moment of a run, by its time since the run's start: `+0.412s`, `+2m05s`.
pub(crate) fn since(start: Time, moment: Time) -> String {
    let passed = start.until(moment);
    let seconds = passed.as_secs();
    match seconds {
        0..60 => format!("+{}.{:03}s", seconds, passed.subsec_millis()),
        60..3_600 => format!("+{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("+{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let for_secs = |seconds| for_long(Duration::from_secs(seconds));
        assert_eq!(for_long(Duration::from_millis(4_250)), "4.2 s");
        assert_eq!(time_box(Duration::from_millis(1_799_950)), "30m");
        assert_eq!(for_long(Duration::from_millis(32)), "32 ms");
        assert_eq!(for_secs(45), "45s");
        assert_eq!(for_secs(125), "2m 5s");
        assert_eq!(for_secs(1_800), "30m");
        assert_eq!(for_secs(3_600 * 5 + 60), "5h 1m");
        assert_eq!(for_secs(86_400 * 3), "3d");
        let start = Time::from_millis(1_000);
        assert_eq!(since(start, Time::from_millis(1_412)), "+0.412s");
        assert_eq!(since(start, Time::from_millis(126_000)), "+2m05s");
        assert_eq!(since(start, Time::from_millis(3_661_000)), "+1h01m");
        assert_eq!(since(start, Time::from_millis(0)), "+0.000s");
    }
}
