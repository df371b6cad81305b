//! The gateway's own coming and going.

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
