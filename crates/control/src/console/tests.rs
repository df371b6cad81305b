//! The stylesheet's colours, and templates with hostile words in every place.

use std::collections::BTreeMap;

use askama::Template;
use bailiwick_run::Time;
use serde_json::json;

use super::layout::{Here, Layout, Who};
use super::text::Text;
use super::{approvals, assets, chart, incidents, notice, record, runs, search, tasks};
use crate::api::{Activity, IncidentQuery};
use crate::people::{Person, Role, Via};

/// What an agent would like a page to do.
pub(crate) const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>\u{202e}evil\u{200b}\u{1b}[31m\u{7}\u{2066}</td>{{7*7}}";

/// Nothing of it is more than text.
pub(crate) fn is_harmless(page: &str) {
    for never in [
        "<script>",
        "<img",
        "\u{202e}",
        "\u{200b}",
        "\u{1b}",
        "\u{7}",
        "\u{2066}",
        "evil</td>",
        "&#34;'>",
    ] {
        assert!(!page.contains(never), "{never:?} in {page}");
    }
    assert!(
        !page.contains(" style=") && !page.contains(" onerror=\"") && !page.contains("javascript:"),
        "{page}"
    );
    // The only script is ours, and it is a file.
    assert_eq!(
        page.matches("<script").count(),
        page.matches("<script src=\"/assets/").count(),
        "{page}"
    );
}

fn layout() -> Layout {
    let person = person();
    Layout {
        here: Here::Elsewhere,
        who: Some(Who {
            name: Text::line(HOSTILE),
            ..Who::of(&person)
        }),
        csrf: "csrf".into(),
        alive: 1,
        waiting: 1,
        ..Layout::bare(HOSTILE, Time::from_millis(0))
    }
}

fn person() -> Person {
    Person {
        name: "human:a@localhost".parse().unwrap(),
        also: [].into(),
        roles: Role::ALL.into(),
        groups: ["owners".to_owned()].into(),
        via: Via::Local,
    }
}

#[test]
fn what_can_be_done_is_not_called_what_would_allow_it() {
    let page = |r#type: &str, remedy: &str| {
        let incidents = serde_json::from_value(json!({
            "records": 1,
            "runs": [{
                "run": "run_01M8B3RFQNATRAN988CCMJPX3Q", "task": "t", "launcher": "human:a@localhost",
                "state": "open", "denied": 1,
                "newest": [{
                    "id": "run_x/1", "type": r#type, "time": "2026-11-26T04:33:12.000Z", "actions": [],
                    "reason": "why", "remedy": remedy
                }]
            }]
        }));
        let now = Time::from_millis(1_795_667_592_000);
        let activity = Activity {
            since: now,
            until: now,
            parts: Vec::new(),
        };
        let shown = incidents::Shown {
            incidents: &incidents.unwrap(),
            query: &IncidentQuery::default(),
            over: "hour",
            chart: chart::Chart::of(&activity, now),
            expires: Vec::new(),
            now,
        };
        incidents::Page::new(layout(), shown).render().unwrap()
    };
    let allows = "If it should be allowed:";
    let asks = page("call.decided", "ask for [[read]] target = \"t\"");
    assert!(asks.contains(allows) && asks.contains("Denied: </span>"));
    let other = page("call.decided", "do without it");
    assert!(!other.contains(allows) && other.contains("What to do:"));
    let signal = page("signal.raised", "");
    assert!(!signal.contains("Denied: </span>"), "{signal}");
}

#[test]
fn hostile_words_are_nothing_but_words_in_every_template() {
    let now = Time::from_millis(1_795_667_592_000);
    let run = "run_01M8B3RFQNATRAN988CCMJPX3Q";
    let time = "2026-11-26T04:33:12.000Z";
    let long = HOSTILE.repeat(100);
    let parse = |value: serde_json::Value| value;
    let incidents = serde_json::from_value(parse(json!({
        "records": 1, "next": 7,
        "runs": [{
            "run": run, "task": HOSTILE, "launcher": HOSTILE, "state": "open", "denied": 9,
            "newest": [{
                "id": HOSTILE, "type": "call.decided", "time": time, "target": HOSTILE, "verb": HOSTILE,
                "actions": [HOSTILE, long], "reason": long, "remedy": long
            }, {"id": "run_x/1", "type": HOSTILE, "time": time, "actions": []}]
        }]
    })))
    .unwrap();
    let query = IncidentQuery {
        task: Some(HOSTILE.into()),
        launcher: Some(HOSTILE.into()),
        target: Some(HOSTILE.into()),
        ..IncidentQuery::default()
    };
    let activity = Activity {
        since: now,
        until: now,
        parts: Vec::new(),
    };
    let shown = incidents::Shown {
        incidents: &incidents,
        query: &query,
        over: "hour",
        chart: chart::Chart::of(&activity, now),
        expires: Vec::new(),
        now,
    };
    let mut pages = vec![incidents::Page::new(layout(), shown).render().unwrap()];

    let summary: crate::api::Summary = serde_json::from_value(json!({
        "run": run, "task": HOSTILE, "launcher": "human:a@localhost", "confinement": "landlock", "state": "open",
        "opened": time, "expires": time, "counts": {"allowed": 1, "denied": 1, "masked": 1}, "sessions": 1
    }))
    .unwrap();
    let filter = runs::Filter {
        state: HOSTILE.into(),
        task: HOSTILE.into(),
        launcher: HOSTILE.into(),
        text: HOSTILE.into(),
    };
    let listed = std::slice::from_ref(&summary);
    let next = Some(run.parse().unwrap());
    pages.push(
        runs::Page::new(layout(), listed, &filter, next, now)
            .render()
            .unwrap(),
    );
    pages.push(
        notice::Confirm::new(layout(), &summary, notice::Act::Revoke)
            .render()
            .unwrap(),
    );
    let status = axum::http::StatusCode::NOT_FOUND;
    pages.push(
        notice::Trouble::new(layout(), status, HOSTILE, HOSTILE)
            .render()
            .unwrap(),
    );

    let approval = |state: &str| {
        serde_json::from_value(json!({
            "id": "apr_01M8B3RFQNATRAN988CCMJPX3Q", "run": run, "task": HOSTILE, "launcher": "human:b@localhost",
            "reason": long, "counts": {"allowed": 1, "denied": 1, "masked": 1}, "target": HOSTILE,
            "protocol": HOSTILE, "verb": HOSTILE, "actions": [HOSTILE], "more_actions": 3, "class": "destroy",
            "approvers": ["group:owners", HOSTILE],
            "given": [{"approver": HOSTILE, "by": "human:c@localhost"}],
            "estimate": {"unknown": HOSTILE}, "asked": time, "expires": time, "use_within": "5m", "state": state,
            "answer": HOSTILE, "record": HOSTILE
        }))
        .unwrap()
    };
    let asked = [approval("open"), approval("denied")];
    pages.push(
        approvals::Page::new(layout(), &asked, &person(), None, now)
            .render()
            .unwrap(),
    );

    let task: crate::api::TaskDetail = serde_json::from_value(json!({
        "name": HOSTILE, "purpose": HOSTILE, "launchers": [HOSTILE], "ttl": "30m", "env": {HOSTILE: HOSTILE},
        "targets": [HOSTILE], "gateway_only": true, "digest": HOSTILE, "file": HOSTILE,
        "words": [{"sort": "allowed", "text": HOSTILE}, {"sort": "guardrail", "text": long}], "references": []
    }))
    .unwrap();
    pages.push(
        tasks::Page::new(layout(), std::slice::from_ref(&task.task))
            .render()
            .unwrap(),
    );
    pages.push(tasks::OnePage::new(layout(), &task).render().unwrap());

    let asked = search::Asked {
        words: HOSTILE.into(),
        run: HOSTILE.into(),
        task: HOSTILE.into(),
        launcher: HOSTILE.into(),
        target: HOSTILE.into(),
        since: HOSTILE.into(),
        until: HOSTILE.into(),
        denied: HOSTILE.into(),
    };
    let answer = serde_json::from_value(json!({
        "hits": [{
            "id": HOSTILE, "index": 1, "type": HOSTILE, "time": time, "run": HOSTILE, "seq": 1, "launcher": HOSTILE,
            "task": HOSTILE, "target": HOSTILE, "effect": HOSTILE, "reason": long, "state": HOSTILE
        }],
        "more": true, "records": 1, "complete": false
    }))
    .unwrap();
    pages.push(
        search::Page::new(
            layout(),
            &asked,
            Some(Ok(&answer)),
            search::Searched::Payloads,
            now,
        )
        .render()
        .unwrap(),
    );
    pages.push(
        search::Page::new(
            layout(),
            &asked,
            Some(Err(long.clone())),
            search::Searched::Payloads,
            now,
        )
        .render()
        .unwrap(),
    );

    let payload = json!({ HOSTILE: HOSTILE, "rows": [[HOSTILE]], "text": long });
    let payload = || record::Payload::of("run_x/1".into(), Some(&payload), Some(HOSTILE));
    pages.push(record::PayloadFragment::from(payload()).render().unwrap());
    pages.push(
        record::PayloadPage::new(layout(), payload())
            .render()
            .unwrap(),
    );

    for page in pages {
        is_harmless(&page);
        assert!(
            page.contains("\\u{202e}evil") || page.contains("\\u{202e}"),
            "{page}"
        );
    }
}

/// The colours of a theme, by their names.
fn tokens(block: &str) -> BTreeMap<String, [f64; 3]> {
    let pairs = block
        .lines()
        .filter_map(|line| line.trim().strip_prefix("--")?.split_once(": "));
    let colour = |hex: &str| {
        let hex = hex.strip_prefix('#')?.strip_suffix(';')?;
        let part =
            |at: usize| Some(f64::from(u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?) / 255.0);
        Some([part(0)?, part(2)?, part(4)?])
    };
    pairs
        .filter_map(|(name, value)| Some((name.to_owned(), colour(value)?)))
        .collect()
}

/// WCAG 2.2, relative luminance and contrast ratio.
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let luminance = |colour: [f64; 3]| {
        let [r, g, b] = colour.map(|part| match part <= 0.040_45 {
            true => part / 12.92,
            false => ((part + 0.055) / 1.055).powf(2.4),
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn colours_can_be_told_apart_in_both_themes() {
    let mut themes = assets::CSS
        .split(":root {")
        .skip(1)
        .take(2)
        .map(|rest| rest.split('}').next().unwrap());
    for theme in [themes.next().unwrap(), themes.next().unwrap()] {
        let tokens = tokens(theme);
        // Text, WCAG 1.4.3.
        for (text, on) in [
            ("ink", "paper"),
            ("ink", "card"),
            ("ink", "out-soft"),
            ("ink", "accent-soft"),
            ("ink", "line"),
            ("soft", "paper"),
            ("soft", "card"),
            ("soft", "out-soft"),
            ("accent", "paper"),
            ("accent", "card"),
            ("accent", "accent-soft"),
            ("out", "paper"),
            ("out", "card"),
            ("out", "out-soft"),
            ("on-accent", "accent"),
            ("on-out", "out"),
        ] {
            let ratio = contrast(tokens[text], tokens[on]);
            assert!(ratio >= 4.5, "{text} on {on}: {ratio:.2}");
        }
        // Edges and pictures, WCAG 1.4.11.
        for (part, on) in [
            ("edge", "paper"),
            ("edge", "card"),
            ("bar", "paper"),
            ("accent", "paper"),
            ("out", "paper"),
        ] {
            let ratio = contrast(tokens[part], tokens[on]);
            assert!(ratio >= 3.0, "{part} on {on}: {ratio:.2}");
        }
    }
    let black_on_white = contrast([0.0; 3], [1.0; 3]);
    assert!((black_on_white - 21.0).abs() < 0.01);
}
