use std::time::Duration;

use bailiwick_run::{RunId, Time};

use super::ViewError;
use crate::api::{Activity, ActivityQuery};
use crate::clock;
use crate::index::Spans;
use crate::limits::{ACTIVITY_PARTS, ACTIVITY_PARTS_MAX, ACTIVITY_TIME};
use crate::registry::Registry;

/// The last moment that RFC 3339 has a text for, in milliseconds since the Unix epoch.
const LAST: u64 = 253_402_300_799_999;

impl Registry {
    /// Calls over time, by decision.
    ///
    /// # Errors
    /// If the time has no length, the parts are none or too many, it is no run's id, or the index cannot be read.
    pub async fn activity(&self, query: ActivityQuery) -> Result<Activity, ViewError> {
        let run = match &query.run {
            None => None,
            Some(run) => Some(
                run.parse::<RunId>()
                    .map_err(|error| ViewError::Query(format!("`{run}` is {error}")))?,
            ),
        };
        let spans = spans(&query, clock::now())?;
        let parts = self.index().activity(run, spans).await?;
        Ok(Activity {
            since: Time::from_millis(spans.since),
            until: Time::from_millis(spans.until()),
            parts,
        })
    }
}

/// The time that is asked for, in parts that begin where buckets of the index do.
fn spans(query: &ActivityQuery, now: Time) -> Result<Spans, ViewError> {
    let until = query.until.unwrap_or(now);
    let hour_before = until.millis().saturating_sub(millis(ACTIVITY_TIME));
    let since = query.since.map_or(hour_before, Time::millis);
    let parts = query.parts.unwrap_or(ACTIVITY_PARTS);
    if !(1..=ACTIVITY_PARTS_MAX).contains(&parts) {
        return Err(ViewError::Query(format!(
            "the time is cut into 1 to {ACTIVITY_PARTS_MAX} parts, and not into {parts}"
        )));
    }
    if since >= until.millis() {
        return Err(ViewError::Query(
            "the time that is asked for ends before it begins".to_owned(),
        ));
    }
    let spans = Spans::new(since, until.millis(), parts);
    if spans.until() > LAST {
        return Err(ViewError::Query(
            "the time that is asked for ends after the year 9999".to_owned(),
        ));
    }
    Ok(spans)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
