//! What is said of what patterns and conditions decide: requests, tool calls and the like.

use std::collections::BTreeSet;

use bailiwick_action::{Action, Kind};

use crate::covered::{Covered, is_matched};
use crate::describe::and;
use crate::limits::{MAX_NAMED_CONDITIONS, MAX_SHOWN_NAME, MAX_SHOWN_TEXT};
use crate::task::Grant;

use super::{Explained, Explainer, clip, shown};

impl Explainer<'_> {
    /// For a request, a tool call and the like.
    pub(super) fn not_met(&self, action: &Action, what: &str) -> Explained {
        let resource = &action.resource;
        let outside = format!("{what} is outside the scope of task {}", self.task.name);
        let ask = format!("ask for {}", self.grant_for(action, &action.columns));
        let grants = || self.task.on(self.target);
        let covering: Vec<&Grant> = grants().filter(|grant| grant.covers(resource)).collect();
        let unmet: Vec<String> = covering
            .iter()
            .filter_map(|grant| unmet(grant, action))
            .take(MAX_NAMED_CONDITIONS)
            .collect();
        if !unmet.is_empty() {
            return Explained::plain(
                format!("{outside}: {}", unmet.join("; or ")),
                "send it so, or ask for a grant with another condition".to_owned(),
            );
        }
        if !covering.is_empty() {
            let granted: BTreeSet<&str> =
                covering.iter().map(|grant| grant.class.as_str()).collect();
            let granted: Vec<&str> = granted.into_iter().collect();
            let granted = and(&granted);
            let class = action.class;
            let detail = format!("it is granted for {granted} but not for {class}");
            return Explained::plain(format!("{outside}: {detail}"), ask);
        }
        let methods: BTreeSet<&str> = grants()
            .flat_map(|grant| &grant.items)
            .filter_map(|item| match (&item.covered, resource.method_and_path()) {
                (Covered::Requests(pattern), Some((_, path))) if pattern.covers_path(path) => {
                    Some(&*pattern.method)
                }
                _ => None,
            })
            .collect();
        let detail = match (methods.is_empty(), resource.method_and_path()) {
            (false, Some((method, _))) => {
                let methods: Vec<&str> = methods.into_iter().collect();
                format!(
                    "its path is granted for {} but not for {method}",
                    and(&methods)
                )
            }
            _ => format!("no grant covers this {}", called(resource.kind)),
        };
        Explained::plain(format!("{outside}: {detail}"), ask)
    }
}

/// The conditions of a grant that an action does not meet. What the agent sent is not in it.
fn unmet(grant: &Grant, action: &Action) -> Option<String> {
    let unmet = grant.conditions.iter();
    let unmet: Vec<String> = unmet
        .filter(|condition| !condition.met(&action.facts))
        .take(MAX_NAMED_CONDITIONS)
        .map(|condition| {
            let wanted = clip(&condition.wanted(), MAX_SHOWN_TEXT);
            format!("{} has to be {wanted}", condition.place())
        })
        .collect();
    let unmet: Vec<&str> = unmet.iter().map(String::as_str).collect();
    (!unmet.is_empty()).then(|| and(&unmet))
}

/// A path with `{id}` for each segment that is a number or a UUID, and so names one thing of many.
pub(super) fn general(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        let number = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
        if number || is_uuid(segment) {
            "{id}"
        } else {
            segment
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// RFC 9562, section 4: `f81d4fae-7dec-11d0-a765-00a0c91e6bf6`.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups
            .iter()
            .all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// What an action does, as people say it: `select on public.tickets`, `POST /tickets/5/comments`,
/// `tool add_comment`.
pub(super) fn done(action: &Action) -> String {
    let resource = &action.resource;
    match resource.kind {
        Kind::Request => shown(resource),
        kind if is_matched(kind) => {
            format!("{} {}", called(kind), clip(&resource.name, MAX_SHOWN_NAME))
        }
        _ => format!("{} on {}", action.verb, shown(resource)),
    }
}

/// A kind as MCP and HTTP call it.
fn called(kind: Kind) -> &'static str {
    match kind {
        Kind::Uri => "resource",
        kind => kind.as_str(),
    }
}
