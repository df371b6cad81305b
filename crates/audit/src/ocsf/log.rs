//! What was done to the log itself.

use super::class::{Activity, Body, EventLog, Severity, Status};
use super::objects::{Actor, User};
use super::{Mapped, Source};

/// Event Log Activity: Delete, of payloads.
pub(super) fn erased(source: Source<'_>) -> Option<Mapped<'_>> {
    let erased = source.record.erased.as_ref()?;
    let actor = Actor {
        session: None,
        user: User::launcher(&erased.by),
    };
    Some(Mapped {
        message: format!("{} erased the payloads of {}", erased.by, erased.run),
        placed: &["erased.by"],
        severity: Severity::LOW,
        ..activity(source, Activity::DELETE_LOG, Some(actor))
    })
}

/// Event Log Activity: Delete, of the oldest records.
pub(super) fn pruned(source: Source<'_>) -> Mapped<'_> {
    Mapped {
        message: "the log's oldest records were removed".to_owned(),
        severity: Severity::LOW,
        ..activity(source, Activity::DELETE_LOG, None)
    }
}

/// Event Log Activity: Rotate. The last record of a log.
pub(super) fn continued(source: Source<'_>) -> Mapped<'_> {
    Mapped {
        message: "the log ends here, and another continues it".to_owned(),
        ..activity(source, Activity::ROTATE_LOG, None)
    }
}

/// Event Log Activity: Start. The first record of a log that continues another.
pub(super) fn continues(source: Source<'_>) -> Mapped<'_> {
    Mapped {
        message: "the log continues another".to_owned(),
        ..activity(source, Activity::START_LOG, None)
    }
}

fn activity<'e>(
    source: Source<'e>,
    activity: Activity<'e>,
    actor: Option<Actor<'e>>,
) -> Mapped<'e> {
    Mapped {
        activity,
        body: Body::EventLog(EventLog {
            actor,
            log_name: source.origin,
        }),
        control: None,
        correlation: None,
        is_truncated: false,
        message: String::new(),
        placed: &[],
        severity: Severity::INFORMATIONAL,
        status: Status::SUCCESS,
    }
}
