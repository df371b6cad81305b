//! What one task allows and another does not, in words.

use std::collections::BTreeSet;

use bailiwick_action::{Resource, Verb};

use crate::covered::Covered;
use crate::describe::{self, Line, Sort};
use crate::name::{Column, Pattern};
use crate::problem::Place;
use crate::task::{Clear, Confine, Grant, Item, MaskedField, Task};

/// One entry of a task's grants.
#[derive(Clone, Debug)]
pub struct Entry<'t> {
    /// Its name, as a run's scope has it: `read-1/public.tickets`.
    pub name: String,
    /// Where it is.
    pub place: &'t Place,
    /// What it allows, in words.
    pub words: Vec<String>,
}

impl Task {
    /// All entries of its grants, with what each of them allows.
    pub fn parts(&self) -> impl Iterator<Item = Entry<'_>> {
        let grants = self.grants.iter();
        grants.flat_map(|grant| {
            grant.items.iter().map(move |item| {
                let verbs = grant.verbs_on(item.covered.kind()).collect();
                let lines = describe::entry(grant, item, &verbs);
                Entry {
                    name: grant.entry(item),
                    place: &item.place,
                    words: lines.into_iter().map(|line| line.text).collect(),
                }
            })
        })
    }

    /// What it allows and `other` does not, in words. Entries are compared one by one: what `other` allows by several
    /// entries together, or for requests and resources by another pattern, counts as not allowed.
    pub fn beyond(&self, other: &Task) -> Vec<Line> {
        let mut lines = Vec::new();
        for grant in &self.grants {
            for item in &grant.items {
                let verbs = grant.verbs_on(item.covered.kind());
                let beyond: BTreeSet<Verb> = verbs
                    .filter(|verb| !allows(other, grant, item, *verb))
                    .collect();
                lines.extend(describe::entry(grant, item, &beyond));
            }
        }
        lines.extend(self.unmasked(other).map(|text| Line {
            sort: Sort::Masked,
            text,
        }));
        lines.extend(self.clearer(other).map(|text| Line {
            sort: Sort::Allowed,
            text,
        }));
        lines.extend(self.looser(other).into_iter().map(|text| Line {
            sort: Sort::Rest,
            text,
        }));
        let mut seen = BTreeSet::new();
        lines.retain(|line| seen.insert(line.text.clone()));
        lines
    }

    /// What `other` masks at a target that this has grants on, and this does not.
    fn unmasked(&self, other: &Task) -> impl Iterator<Item = String> {
        let masks = |target: &str, column: &Column| {
            let masks = self.masks.iter();
            let mut of_it = masks.filter(|mask| mask.target == target && mask.column == *column);
            let masked = of_it.clone().next().is_some();
            (masked, masked && of_it.all(|mask| mask.lookup))
        };
        let columns = other
            .masks
            .iter()
            .filter(|mask| self.on(&mask.target).next().is_some());
        let columns = columns.filter_map(move |mask| {
            let Column {
                schema,
                table,
                name,
            } = &mask.column;
            let of = format!("{name} of {schema}.{table} on {}", mask.target);
            match (masks(&mask.target, &mask.column), mask.lookup) {
                ((false, _), _) => Some(format!("may see {of}, masked by the other")),
                ((true, true), false) => {
                    Some(format!("may look rows up by {of}, which is masked by both"))
                }
                ((true, _), _) => None,
            }
        });
        let fields = other.fields.iter().filter(|field| {
            let own = |own: &&MaskedField| own.target == field.target && own.path == field.path;
            self.on(&field.target).next().is_some() && !self.fields.iter().any(|field| own(&field))
        });
        let fields = fields.map(|field| {
            format!(
                "may see {} of what {} answers, masked by the other",
                field.path, field.target
            )
        });
        columns.chain(fields).collect::<Vec<_>>().into_iter()
    }

    /// What of columns this lets through, and `other` does not.
    fn clearer<'t>(&'t self, other: &'t Task) -> impl Iterator<Item = String> + 't {
        self.clears.iter().filter_map(move |clear| {
            let same = other
                .clears
                .iter()
                .filter(|same| (&same.target, &same.column) == (&clear.target, &clear.column));
            let kinds = same.fold(clear.kinds, |kinds, same| kinds.without(same.kinds));
            let more = Clear {
                kinds,
                ..clear.clone()
            };
            (!kinds.is_empty()).then(|| describe::cleared(&more))
        })
    }

    /// In what its runs are less bound, whatever they do.
    fn looser(&self, other: &Task) -> Vec<String> {
        let launchers = self.launchers.iter();
        let launchers = launchers.filter(|launcher| !other.launchers.contains(launcher));
        let mut looser: Vec<String> = launchers
            .map(|launcher| format!("may be opened by {launcher}"))
            .collect();
        if self.ttl > other.ttl {
            let ttl = humantime::format_duration(self.ttl);
            looser.push(format!("may last for {ttl}"));
        }
        if (self.confine, other.confine) == (Confine::Default, Confine::GatewayOnly) {
            looser.push("may use the network beside the gateway".to_owned());
        }
        looser
    }
}

/// Whether a task allows all that an entry does by a verb, and holds it no more.
fn allows(task: &Task, grant: &Grant, item: &Item, verb: Verb) -> bool {
    let kind = item.covered.kind();
    let mut alike: Vec<&Grant> = task.on(&grant.target).collect();
    alike.retain(|other| other.verbs_on(kind).any(|of| of == verb));
    // What waits for somebody's approval waits, whatever else allows it.
    let held = |other: &Grant| {
        other.approve.is_some()
            && other.approve != grant.approve
            && other.items.iter().any(|of| {
                includes(&of.covered, &item.covered) || includes(&item.covered, &of.covered)
            })
    };
    if alike.iter().any(|other| held(other)) {
        return false;
    }
    alike.retain(|other| other.class == grant.class);
    alike.iter().any(|other| {
        other
            .items
            .iter()
            .any(|of| includes(&of.covered, &item.covered))
            && match (other.limited(verb), grant.limited(verb)) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(wide), Some(narrow)) => narrow.is_subset(wide),
            }
            && (other.conditions.is_empty() || other.conditions == grant.conditions)
            && (other.binary || !grant.binary)
            && (other.unpinned || !grant.unpinned)
    })
}

/// Whether the one covers all that the other does, as far as can be told from how they are written.
fn includes(wide: &Covered, narrow: &Covered) -> bool {
    match narrow {
        _ if wide == narrow => true,
        Covered::Named(Pattern {
            kind,
            schema,
            name: Some(name),
        }) => wide.covers(&Resource {
            kind: *kind,
            schema: schema.clone(),
            name: name.clone(),
        }),
        Covered::Named(_) | Covered::Requests(_) | Covered::Uris(_) => false,
    }
}
