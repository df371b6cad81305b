use std::time::{SystemTime, UNIX_EPOCH};

use bailiwick_run::Time;

/// The wall clock; a clock before 1970 reads as 1970.
pub(crate) fn now() -> Time {
    from_system(SystemTime::now())
}

/// A moment in RFC 3339 form, UTC.
pub(crate) fn read(text: &str) -> Option<Time> {
    humantime::parse_rfc3339(text).ok().map(from_system)
}

fn from_system(time: SystemTime) -> Time {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
