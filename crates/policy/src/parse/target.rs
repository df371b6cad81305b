//! Which target a section is about, and what may be said of one of its kind.

use crate::TargetName;
use crate::describe::and;
use crate::document::{At, Document, Section};
use crate::problem::nearest;

/// The target of this name; reports it if there is none.
pub(super) fn known<'t>(
    document: &Document<'_>,
    name: &At<&str>,
    key: &str,
    targets: &'t [TargetName],
) -> Option<&'t TargetName> {
    let found = targets.iter().find(|target| target.name == name.value);
    if found.is_some() {
        return found;
    }
    let message = if targets.is_empty() {
        format!(
            "no target is called `{}`; the configuration names none",
            name.value
        )
    } else {
        let known: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
        let known = known.join(", ");
        format!(
            "no target is called `{}`; the configuration has {known}",
            name.value
        )
    };
    let near = nearest(
        name.value,
        targets.iter().map(|target| target.name.as_str()),
    );
    document.report_nearest(&name.at, key, message, near);
    None
}

/// The target of a `[[read]]`, `[[mask]]` and so on.
pub(super) fn of_section<'t>(
    section: &Section<'_, '_>,
    targets: &'t [TargetName],
) -> Option<&'t TargetName> {
    let why = "say which target of the configuration this is about";
    let target = section.required_string("target", why)?;
    known(section.document, &target, &section.key("target"), targets)
}

/// The keys of a grant that go with each kind of target. Those of a kind that is not among these are not
/// checked.
const GRANT: [(&str, &[&str]); 3] = [
    (
        "postgres",
        &[
            "tables",
            "columns",
            "verbs",
            "functions",
            "settings",
            "roles",
            "objects",
        ],
    ),
    (
        "http",
        &[
            "requests",
            "operations",
            "operation",
            "query",
            "body",
            "binary",
        ],
    ),
    (
        "mcp",
        &[
            "tools",
            "resources",
            "prompts",
            "features",
            "arguments",
            "binary",
            "unpinned",
        ],
    ),
];

/// The same of a mask.
const MASK: [(&str, &[&str]); 3] = [
    ("postgres", &["columns", "lookup"]),
    ("http", &["fields"]),
    ("mcp", &["fields"]),
];

/// Every key that a grant may have on some target, but `target` and `approve`.
pub(super) fn grant_keys() -> impl Iterator<Item = &'static str> {
    GRANT.into_iter().flat_map(|(_, keys)| keys.iter().copied())
}

/// Reports keys of a grant that make no sense for its target; whether there were any.
pub(super) fn foreign_to_grant(section: &Section<'_, '_>, target: &TargetName) -> bool {
    foreign(section, target, "grant", &GRANT)
}

/// Reports keys of a mask that make no sense for its target; whether there were any.
pub(super) fn foreign_to_mask(section: &Section<'_, '_>, target: &TargetName) -> bool {
    foreign(section, target, "mask", &MASK)
}

fn foreign(
    section: &Section<'_, '_>,
    target: &TargetName,
    what: &str,
    kinds: &[(&str, &[&str])],
) -> bool {
    let Some((kind, own)) = kinds.iter().find(|(kind, _)| *kind == target.kind) else {
        return false;
    };
    let mut found = false;
    for (_, keys) in kinds {
        for key in keys.iter().filter(|key| !own.contains(key)) {
            if section.has(key) {
                let message = match *key {
                    "verbs" => "verbs are for what a database has: what a request or a tool does is said by the \
                                kind of grant, [[read]], [[write]], [[destroy]] or [[admin]], that it stands in"
                        .to_owned(),
                    key => format!(
                        "`{key}` makes no sense here: `{}` is of kind {kind}, and a {what} on it may have {}",
                        target.name,
                        and(own)
                    ),
                };
                section.report(key, message);
                found = true;
            }
        }
    }
    found
}
