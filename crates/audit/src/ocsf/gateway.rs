//! The gateway's own coming and going, and what it goes by.

use super::class::{Activity, Body, Lifecycle};
use super::objects::Product;
use super::{Mapped, NAME, Source};

/// Application Lifecycle: Start.
pub(super) fn started<'e>(source: Source<'e>) -> Option<Mapped<'e>> {
    let version = source.record.version.as_deref()?;
    Some(Mapped {
        message: format!("the gateway started, version {version}"),
        placed: &["version"],
        ..lifecycle(source, Activity::START, Some(version))
    })
}

/// Application Lifecycle: Stop.
pub(super) fn stopped(source: Source<'_>) -> Mapped<'_> {
    Mapped {
        message: "the gateway stopped".to_owned(),
        ..lifecycle(source, Activity::STOP, None)
    }
}

/// Application Lifecycle: Update. The class has no place for who did it.
pub(super) fn loaded(source: Source<'_>) -> Option<Mapped<'_>> {
    let record = source.record;
    let (by, policy) = (record.by.as_deref()?, record.policy.as_ref()?);
    Some(Mapped {
        message: format!(
            "other tasks and guardrails are in force, {}, by {by}",
            policy.after
        ),
        ..lifecycle(source, Activity::UPDATE_APP, None)
    })
}

fn lifecycle<'e>(
    source: Source<'e>,
    activity: Activity<'e>,
    version: Option<&'e str>,
) -> Mapped<'e> {
    let app = Product {
        name: NAME,
        uid: Some(source.origin),
        vendor_name: NAME,
        version,
    };
    Mapped::new(activity, Body::Lifecycle(Lifecycle { app }))
}
