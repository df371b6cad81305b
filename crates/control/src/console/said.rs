//! What a record says, in words: of a call, what it does to what; of an event, what happened and who
//! wanted it.

use bailiwick_audit::{Record, RecordedAction, RecordedCall};
use bailiwick_run::Time;

use super::words::{self, count, for_long};
use crate::clock;

/// Columns of a table that a line names.
const COLUMNS_SHOWN: usize = 6;

/// Actions of a call that a line names.
const ACTIONS_SHOWN: usize = 4;

/// When a record was made.
pub(crate) fn time(record: &Record) -> Time {
    clock::read(&record.time).unwrap_or_else(|| Time::from_millis(0))
}

/// What a call does, what it is named after first: `update public.tickets (priority), select …`.
pub(crate) fn call(call: &RecordedCall) -> String {
    let own_verb = own_verb(&call.verb);
    let mut actions: Vec<&RecordedAction> = (call.actions.iter())
        .filter(|action| action.class != "session")
        .collect();
    // What the call is named after is what it is about; what it needs for that comes later.
    actions.sort_by_key(|action| action.verb != own_verb);
    let left_out = actions.len().saturating_sub(ACTIONS_SHOWN) as u64 + call.more_actions;
    let shown = actions.into_iter().take(ACTIONS_SHOWN);
    let mut parts: Vec<String> = shown.map(action).collect();
    match left_out {
        0 if parts.is_empty() => call.verb.clone(),
        0 => parts.join(", "),
        more => {
            parts.push(format!("and {more} more"));
            parts.join(", ")
        }
    }
}

fn own_verb(verb: &str) -> String {
    verb.rsplit(' ').next().unwrap_or_default().to_lowercase()
}

fn action(action: &RecordedAction) -> String {
    let mut text = match action.resource.kind.as_str() {
        "request" => action.resource.to_string(),
        _ => format!("{} {}", action.verb, action.resource),
    };
    if !action.columns.is_empty() {
        let shown: Vec<&str> = (action.columns.iter().take(COLUMNS_SHOWN))
            .map(String::as_str)
            .collect();
        let more = action.columns.len().saturating_sub(COLUMNS_SHOWN) as u64 + action.more_columns;
        let more = if more > 0 { ", …" } else { "" };
        text.push_str(&format!(" ({}{more})", shown.join(", ")));
    }
    text
}

/// What a call that the index found does, what it is named after first.
pub(crate) fn actions(verb: Option<&str>, actions: &[String]) -> String {
    let own = format!("{} ", own_verb(verb.unwrap_or_default()));
    // That a session is kept is nothing that is done to anything.
    let done = actions.iter().map(String::as_str);
    let done = done.filter(|action| !action.starts_with("session "));
    let (mut named, others): (Vec<&str>, Vec<&str>) =
        done.partition(|action| action.starts_with(&own));
    named.extend(others);
    let more = named.len().saturating_sub(ACTIONS_SHOWN);
    named.truncate(ACTIONS_SHOWN);
    let mut text = named.join(", ");
    if more > 0 {
        text.push_str(&format!(", and {more} more"));
    }
    match text.is_empty() {
        true => verb.unwrap_or_default().to_owned(),
        false => text,
    }
}

/// What happened, in a word and the rest: of everything but calls and their outcomes.
pub(crate) fn event(record: &Record) -> (String, String) {
    let (word, what) = match record.r#type.as_str() {
        "run.opened" => ("opened", opened(record)),
        "run.closed" => ("ended", ended(record)),
        "run.suspended" => ("suspended", by(record.by.as_deref())),
        "run.resumed" => ("resumed", by(record.by.as_deref())),
        "approval.decided" => answered(record),
        "signal.raised" => ("signal", signal(record)),
        "payloads.searched" => ("payloads searched", by(record.by.as_deref())),
        "payloads.viewed" => ("payloads viewed", viewed(record)),
        "receipt.taken" => ("receipt taken", viewed(record)),
        "run.verified" => verified(record),
        "payloads.erased" => (
            "payloads erased",
            (record.erased.as_ref()).map_or_else(String::new, |erased| {
                format!("those of {}, by {}", erased.run, erased.by)
            }),
        ),
        "index.remade" => (
            "index made anew",
            format!("by {}", record.by.as_deref().unwrap_or_default()),
        ),
        "policy.loaded" => ("policy loaded", by(record.by.as_deref())),
        "link.made" => ("link to sign in", by(record.by.as_deref())),
        "person.signed_in" => ("signed in", signed_in(record)),
        "person.signed_out" => ("signed out", record.by.clone().unwrap_or_default()),
        "log.pruned" => (
            "log pruned",
            (record.pruned.as_ref()).map_or_else(String::new, |pruned| {
                format!(
                    "everything before record {}, by {}",
                    pruned.before, pruned.by
                )
            }),
        ),
        "log.continued" => (
            "log continued",
            (record.continued_by.as_ref())
                .map_or_else(String::new, |log| format!("as {}", log.origin)),
        ),
        "log.continues" => (
            "log continues",
            (record.continues.as_ref()).map_or_else(String::new, |log| {
                format!(
                    "{}, which ended with {}",
                    log.origin,
                    count(log.size, "record")
                )
            }),
        ),
        "gateway.started" => (
            "gateway started",
            record.version.clone().unwrap_or_default(),
        ),
        "gateway.stopped" => ("gateway stopped", String::new()),
        "witness.disagreed" => (
            "witness disagreed",
            (record.witness.as_ref()).map_or_else(String::new, |witness| {
                format!("{} has signed another history of this log", witness.name)
            }),
        ),
        other => (other, String::new()),
    };
    (word.to_owned(), what)
}

fn opened(record: &Record) -> String {
    let expires = record.expires.as_deref().and_then(clock::read);
    let lasts = expires.map_or_else(String::new, |expires| {
        format!("for {}", for_long(time(record).until(expires)))
    });
    match record.confinement.as_deref() {
        Some("unconfined") => format!("{lasts}, its process not confined"),
        Some("elsewhere") => format!("{lasts}, for a process started elsewhere"),
        _ => lasts,
    }
}

/// Why, and who wanted it: but for its launcher, whose run it is and who closed it.
fn ended(record: &Record) -> String {
    let ending = record.ending.as_deref().unwrap_or_default();
    match (ending, record.by.as_deref()) {
        ("revoked", Some(by)) => format!("{by} revoked it"),
        ("closed", Some(by)) if record.launcher.as_deref() != Some(by) => format!("{by} closed it"),
        _ => words::ending(ending).to_owned(),
    }
}

fn by(by: Option<&str>) -> String {
    by.map_or_else(String::new, |by| format!("by {by}"))
}

fn answered(record: &Record) -> (&'static str, String) {
    let Some(approval) = &record.approval else {
        return ("approval decided", String::new());
    };
    let word = match approval.effect.as_deref() {
        Some("approve") => "approved",
        Some("deny") => "denied by a person",
        Some("lapse") => "nobody answered in time, or the call was taken back",
        _ => "approval decided",
    };
    (
        word,
        format!("{} {}", approval.id, by(approval.by.as_deref()))
            .trim()
            .to_owned(),
    )
}

fn signal(record: &Record) -> String {
    let Some(signal) = &record.signal else {
        return String::new();
    };
    let done = match signal.actions.is_empty() {
        true => String::new(),
        false => format!("; done about it: {}", signal.actions.join(", ")),
    };
    format!(
        "{} ({}), because of {}{done}",
        signal.name, signal.rule, signal.of
    )
}

fn viewed(record: &Record) -> String {
    record.viewed.as_ref().map_or_else(String::new, |viewed| {
        let which = match viewed.from == viewed.to {
            true => format!("{}/{}", viewed.chain, viewed.from),
            false => format!("{}/{} to {}", viewed.chain, viewed.from, viewed.to),
        };
        format!("{which}, by {}", viewed.by)
    })
}

fn verified(record: &Record) -> (&'static str, String) {
    let Some(verified) = &record.verified else {
        return ("verified", String::new());
    };
    let (run, by) = (&verified.run, &verified.by);
    match &verified.problem {
        None => ("verified", format!("{run}, whole, by {by}")),
        Some(problem) => ("does not verify", format!("{run}, by {by}: {problem}")),
    }
}

fn signed_in(record: &Record) -> String {
    let who = record.by.as_deref().unwrap_or_default();
    let via = record.via.as_deref().unwrap_or("somehow");
    match record.roles.is_empty() {
        true => format!("{who} ({via})"),
        false => format!("{who} ({via}) as {}", record.roles.join(", ")),
    }
}
