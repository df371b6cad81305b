//! `[[read]]`, `[[write]]`, `[[destroy]]` and `[[admin]]`.

use bailiwick_action::{Class, Kind};

use crate::TargetName;
use crate::document::Section;
use crate::limits::MAX_NAME;
use crate::task::{Grant, Item};

use super::{condition, items, target, verbs};

/// The grants of a class.
pub(super) fn grants(top: &Section<'_, '_>, class: Class, targets: &[TargetName]) -> Vec<Grant> {
    let known: Vec<&'static str> = ["target", "approve"]
        .into_iter()
        .chain(target::grant_keys())
        .collect();
    let sections = top.sections(class.as_str(), &known);
    let numbered = (1..).zip(&sections);
    numbered
        .map(|(number, section)| grant(section, class, number, targets))
        .collect()
}

fn grant(section: &Section<'_, '_>, class: Class, number: usize, targets: &[TargetName]) -> Grant {
    let target = target::of_section(section, targets);
    let foreign = target.is_some_and(|target| target::foreign_to_grant(section, target));
    let items = items::items(section, class, target);
    let mut grant = Grant {
        class,
        number,
        target: target.map(|target| target.name.clone()).unwrap_or_default(),
        columns: None,
        conditions: Vec::new(),
        binary: section.boolean("binary"),
        unpinned: section.boolean("unpinned"),
        approve: approve(section),
        place: section.document.place(&section.at),
        verbs: Default::default(),
        items,
    };
    // What else could be said of keys that do not belong here would only confuse.
    if !foreign {
        grant.verbs = verbs::verbs(section, class, &grant.items);
        verbs::check_use(section, class, &grant.verbs, &grant.items);
        grant.columns = verbs::columns(section, &grant.verbs, &grant.items);
        grant.conditions = condition::conditions(section);
        check_tools(section, &grant.items);
    }
    grant
}

/// Arguments and pins are of tools only.
fn check_tools(section: &Section<'_, '_>, items: &[Item]) {
    let tools = |item: &&Item| item.covered.kind() == Kind::Tool;
    let count = items.iter().filter(tools).count();
    if section.has("arguments") && count < items.len() {
        let message =
            "arguments are those of tools; put what else this grant names in a grant of its own";
        section.report("arguments", message);
    }
    if section.has("unpinned") && count == 0 && !items.is_empty() {
        section.report(
            "unpinned",
            "only tools are pinned, and this grant names none",
        );
    }
}

fn approve(section: &Section<'_, '_>) -> Option<String> {
    let who = section.string("approve")?.value;
    let name = who
        .strip_prefix("group:")
        .or_else(|| who.strip_prefix("human:"));
    let fits = name.is_some_and(|name| {
        !name.is_empty()
            && who.len() <= MAX_NAME
            && !name.chars().any(|c| c.is_control() || c.is_whitespace())
    });
    if !fits {
        section.report(
            "approve",
            "it names who approves, as in \"group:data-owners\"",
        );
    }
    Some(who.to_owned())
}
