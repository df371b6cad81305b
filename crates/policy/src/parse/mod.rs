//! A task file becomes a [`Task`], or a list of everything that is wrong with it.

mod clear;
mod condition;
mod grant;
mod head;
mod items;
mod mask;
mod target;
mod verbs;

use std::path::Path;

use bailiwick_action::{Class, DetectedSet};

use crate::TargetName;
use crate::digest::Digest;
use crate::document::{Document, Section};
use crate::pins::Pins;
use crate::problem::{Place, Problem};
use crate::task::{Grant, Mask, MaskedField, Task};

/// Reads a task file. `stem` is the file's name without `.toml`, which the task's has to be.
pub(crate) fn task(
    file: &Path,
    stem: &str,
    text: &str,
    targets: &[TargetName],
) -> Result<Task, Vec<Problem>> {
    let document = Document::new(file, text);
    let task = document
        .parse()
        .map(|table| read(&Section::top(&document, &table, &TOP), stem, text, targets));
    let problems = document.into_problems();
    match task {
        Some(task) if problems.is_empty() => Ok(Task {
            place: Place::whole(file),
            ..task
        }),
        _ => Err(problems),
    }
}

/// What a file of `policies/` says of every task.
#[derive(Default)]
pub(crate) struct Above {
    pub(crate) masks: Vec<Mask>,
    pub(crate) fields: Vec<MaskedField>,
    /// What no task may clear.
    pub(crate) never_clear: DetectedSet,
}

/// Reads a file of `policies/` that says what is masked in every task.
pub(crate) fn above(
    file: &Path,
    text: &str,
    targets: &[TargetName],
) -> Result<Above, Vec<Problem>> {
    let document = Document::new(file, text);
    let above = document.parse().map(|table| {
        let top = Section::top(&document, &table, &["mask", "never_clear"]);
        let never_clear = match top.has("never_clear") {
            true => clear::kinds(&top, "never_clear", ""),
            false => DetectedSet::NONE,
        };
        if !top.has("mask") && !top.has("never_clear") {
            top.report(
                "mask",
                "there is no [[mask]] in it: name what every task masks, or remove the file",
            );
        }
        let (masks, fields) = mask::masks(&top, targets);
        Above {
            masks,
            fields,
            never_clear,
        }
    });
    let problems = document.into_problems();
    match above {
        Some(above) if problems.is_empty() => Ok(above),
        _ => Err(problems),
    }
}

const TOP: [&str; 13] = [
    "task",
    "purpose",
    "launchers",
    "ttl",
    "confine",
    "proxy",
    "env",
    "read",
    "write",
    "destroy",
    "admin",
    "mask",
    "clear",
];

const CLASSES: [Class; 4] = [Class::Read, Class::Write, Class::Destroy, Class::Admin];

/// Reads everything, with placeholders for what is wrong: each problem has been reported by then.
fn read(top: &Section<'_, '_>, stem: &str, text: &str, targets: &[TargetName]) -> Task {
    let name = head::name(top, stem);
    let grants: Vec<Grant> = CLASSES
        .into_iter()
        .flat_map(|class| grant::grants(top, class, targets))
        .collect();
    let (masks, fields) = mask::masks(top, targets);
    Task {
        purpose: head::purpose(top),
        launchers: head::launchers(top),
        ttl: head::ttl(top),
        env: head::env(top, &grants, targets),
        masks,
        fields,
        clears: clear::clears(top, &grants, targets),
        confine: head::confine(top),
        proxy: top.boolean("proxy"),
        pins: Pins::new(),
        digest: digest(&name, text, &grants),
        place: Place::whole(Path::new("")),
        name,
        grants,
    }
}

/// Of the file, and of what its words stand for: an operation is whatever the target's description says.
fn digest(name: &str, text: &str, grants: &[Grant]) -> String {
    let digest = Digest::new().part(name.as_bytes()).part(text.as_bytes());
    let items = grants.iter().flat_map(|grant| &grant.items);
    let digest = items.fold(digest, |digest, item| {
        digest.part(item.covered.to_string().as_bytes())
    });
    digest.finish()
}
