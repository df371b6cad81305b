//! `[[mask]]`.

use bailiwick_action::FieldPath;

use crate::TargetName;
use crate::document::{At, Section};
use crate::name::Column;
use crate::task::{Mask, MaskedField};

use super::target;

/// The masked columns and fields.
pub(super) fn masks(
    top: &Section<'_, '_>,
    targets: &[TargetName],
) -> (Vec<Mask>, Vec<MaskedField>) {
    let (mut masks, mut fields) = (Vec::new(), Vec::new());
    for section in top.sections("mask", &["target", "columns", "lookup", "fields"]) {
        let target = target::of_section(&section, targets);
        let name = target.map(|target| target.name.clone()).unwrap_or_default();
        if target.is_some_and(|target| target::foreign_to_mask(&section, target)) {
            continue;
        }
        let has_fields = target.is_some_and(|target| matches!(&*target.kind, "http" | "mcp"));
        if has_fields && !section.has("fields") {
            let message = "this key is missing: name fields, as in [\"$.customer.email\"]";
            section.report("fields", message);
        } else if !has_fields && !section.has("columns") {
            let message = "this key is missing: name columns, as in [\"public.tickets.email\"]";
            section.report("columns", message);
        }
        let lookup = section.boolean("lookup");
        for entry in section.strings("columns").unwrap_or_default() {
            match Column::parse(entry.value) {
                Ok(column) => masks.push(Mask {
                    target: name.clone(),
                    column,
                    lookup,
                    place: section.document.place(&entry.at),
                }),
                Err(error) => wrong(&section, "columns", &entry, &error.to_string()),
            }
        }
        for entry in section.strings("fields").unwrap_or_default() {
            match FieldPath::parse(entry.value) {
                Ok(path) => fields.push(MaskedField {
                    target: name.clone(),
                    path,
                    place: section.document.place(&entry.at),
                }),
                Err(error) => wrong(&section, "fields", &entry, &error.to_string()),
            }
        }
    }
    (masks, fields)
}

fn wrong(section: &Section<'_, '_>, key: &str, entry: &At<&str>, error: &str) {
    let message = format!("{:?}: {error}", entry.value);
    section
        .document
        .report(&entry.at, &section.key(key), message);
}
