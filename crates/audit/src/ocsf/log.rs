//! What was done to the log itself.

use super::class::{Activity, Body, EventLog, Severity};
use super::objects::{Actor, User};
use super::{Mapped, Source};

/// Event Log Activity: Delete, of payloads.
pub(super) fn erased(source: Source<'_>) -> Option<Mapped<'_>> {
    let erased = source.record.erased.as_ref()?;
    Some(Mapped {
        message: format!("{} erased the payloads of {}", erased.by, erased.run),
        placed: &["erased.by"],
        severity: Severity::LOW,
        ..activity(source, Activity::DELETE_LOG, Some(&erased.by))
    })
}

/// Event Log Activity: Delete, of the oldest records.
pub(super) fn pruned(source: Source<'_>) -> Option<Mapped<'_>> {
    let pruned = source.record.pruned.as_ref()?;
    Some(Mapped {
        message: format!("{} removed the records before {}", pruned.by, pruned.before),
        placed: &["pruned.by"],
        severity: Severity::LOW,
        ..activity(source, Activity::DELETE_LOG, Some(&pruned.by))
    })
}

/// Event Log Activity: Rotate. The last record of a log.
pub(super) fn continued(source: Source<'_>) -> Option<Mapped<'_>> {
    let next = &source.record.continued_by.as_ref()?.origin;
    Some(Mapped {
        message: format!("the log ends here, and {next} continues it"),
        ..activity(source, Activity::ROTATE_LOG, None)
    })
}

/// Event Log Activity: Start. The first record of a log that continues another.
pub(super) fn continues(source: Source<'_>) -> Option<Mapped<'_>> {
    let last = &source.record.continues.as_ref()?.origin;
    Some(Mapped {
        message: format!("the log continues {last}"),
        ..activity(source, Activity::START_LOG, None)
    })
}

fn activity<'e>(source: Source<'e>, activity: Activity<'e>, by: Option<&'e str>) -> Mapped<'e> {
    let body = EventLog {
        actor: by.map(|by| Actor {
            session: None,
            user: User::launcher(by),
        }),
        log_name: source.origin,
    };
    Mapped::new(activity, Body::EventLog(body))
}
