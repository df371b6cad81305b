//! `[metrics]` and `stop_within`: for whoever keeps the gateway running.

use std::net::SocketAddr;
use std::time::Duration;

use super::document::Section;
use super::listen::address;

/// How long running calls may take when the gateway stops, if nothing is said.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// And how long at most.
const STOP_WITHIN_MAX: Duration = Duration::from_secs(300);

/// What watches over the gateway, and how it stops.
#[derive(Debug)]
pub(crate) struct Upkeep {
    /// Where metrics are read without a token.
    pub(crate) metrics: Option<SocketAddr>,
    /// How long calls that are running may take to end when the gateway stops.
    pub(crate) stop_within: Duration,
}

impl Upkeep {
    pub(super) fn read(top: &Section<'_, '_>) -> Self {
        let metrics = top
            .section("metrics", &["listen"])
            .and_then(|section| address(&section, "listen"));
        Self {
            metrics,
            stop_within: stop_within(top).unwrap_or(STOP_WITHIN),
        }
    }
}

fn stop_within(top: &Section<'_, '_>) -> Option<Duration> {
    const NAME: &str = "stop_within";
    let text = top.plain(NAME)?;
    let time = humantime::parse_duration(text).ok();
    let time = time.filter(|time| *time <= STOP_WITHIN_MAX);
    if time.is_none() {
        let most = STOP_WITHIN_MAX.as_secs() / 60;
        top.report(
            NAME,
            format!("`{text}` is not a time of at most {most} minutes, such as \"5s\" or \"0s\""),
        );
    }
    time
}
