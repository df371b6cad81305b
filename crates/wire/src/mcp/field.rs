//! Where in a JSON value a walk is, against a set of paths.

use bailiwick_action::{FieldPath, FieldStep};

/// The paths that are still open at one place of a value, each with the steps that are taken.
#[derive(Clone, Debug, Default)]
pub(super) struct At<'p>(Vec<(&'p FieldPath, usize)>);

impl<'p> At<'p> {
    /// At the root.
    pub(super) fn root(paths: impl IntoIterator<Item = &'p FieldPath>) -> Self {
        Self(paths.into_iter().map(|path| (path, 0)).collect())
    }

    /// At the member of this name.
    pub(super) fn member(&self, name: &str) -> Self {
        self.step(|step| matches!(step, FieldStep::Member(member) | FieldStep::Descendant(member) if member == name))
    }

    /// At an element of an array.
    pub(super) fn element(&self) -> Self {
        self.step(|step| matches!(step, FieldStep::Elements))
    }

    fn step(&self, leads: impl Fn(&FieldStep) -> bool) -> Self {
        let mut open = Vec::new();
        for (path, taken) in &self.0 {
            let Some(step) = path.steps().get(*taken) else {
                continue;
            };
            if leads(step) {
                open.push((*path, taken + 1));
            }
            // It may stand deeper still.
            if matches!(step, FieldStep::Descendant(_)) {
                open.push((*path, *taken));
            }
        }
        Self(open)
    }

    /// The paths that end here.
    pub(super) fn ends(&self) -> impl Iterator<Item = &'p FieldPath> {
        let ends = |(path, taken): &&(&'p FieldPath, usize)| path.steps().len() == *taken;
        self.0.iter().filter(ends).map(|(path, _)| *path)
    }
}
