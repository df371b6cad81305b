//! `[approvals]`: how calls are held for somebody's yes.

use std::time::Duration;

use bailiwick_control::ApprovalSettings;

use super::document::Section;
use super::problem::nearest;

/// The most sinks that hear of a question.
const MAX_SINKS: usize = 16;

/// What is shorter than this nobody can keep.
const SHORTEST: Duration = Duration::from_secs(1);

/// Longer than this nobody should be able to wait, or a yes hold.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn read(top: &Section<'_, '_>) -> ApprovalSettings {
    let mut settings = ApprovalSettings::default();
    let known = ["decide_within", "use_within", "notify"];
    let Some(section) = top.section("approvals", &known) else {
        return settings;
    };
    if let Some(decide_within) = duration(&section, "decide_within") {
        settings.decide_within = decide_within;
    }
    if let Some(use_within) = duration(&section, "use_within") {
        settings.use_within = use_within;
    }
    if let Some(notify) = section.list("notify", MAX_SINKS) {
        let sinks = top.open_section("notify");
        let sinks: Vec<&str> = sinks.iter().flat_map(Section::names).collect();
        for name in &notify {
            if !sinks.contains(&name.as_str()) {
                section.report_nearest(
                    "notify",
                    format!("there is no [notify.{name}]"),
                    nearest(name, sinks.iter().copied()),
                );
            }
        }
        settings.notify = notify;
    }
    settings
}

fn duration(section: &Section<'_, '_>, name: &str) -> Option<Duration> {
    let text = section.plain(name)?;
    let duration = humantime::parse_duration(text).ok();
    let duration = duration.filter(|duration| (SHORTEST..=LONGEST).contains(duration));
    if duration.is_none() {
        section.report(
            name,
            "it has to be a time from \"1s\" to \"24h\", such as \"10m\"",
        );
    }
    duration
}
