//! What somebody has to look into at once.

use super::class::{Activity, Body, Finding, Severity, Status};
use super::objects::FindingInfo;
use super::{Mapped, Source};

/// Detection Finding: Create. A witness has signed another history of the log.
pub(super) fn disagreed(source: Source<'_>) -> Option<Mapped<'_>> {
    let record = source.record;
    let witness = record.witness.as_ref()?;
    let (name, size, ours) = (&witness.name, witness.size, witness.ours);
    let message = match witness.problem.as_str() {
        "larger" => format!("{name} has signed a tree of {size} records, and there were {ours}"),
        _ => format!(
            "the tree of {ours} records did not grow from the one of {size} that {name} has signed"
        ),
    };
    let body = Finding {
        finding_info: FindingInfo {
            desc: message.clone(),
            title: "A witness has signed another history of the log",
            uid: format!("{}#{}/{}", source.origin, record.run, record.seq),
        },
        is_alert: true,
    };
    Some(Mapped {
        message,
        severity: Severity::CRITICAL,
        status: Status::NEW,
        ..Mapped::new(Activity::CREATE_FINDING, Body::Finding(body))
    })
}
