//! Sets of source columns, cheap to copy: what a value is made of.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::Source;

/// The columns that a value depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Flow(Rc<BTreeSet<u32>>);

impl Flow {
    /// One column.
    pub(super) fn of(id: u32) -> Self {
        Self(Rc::new(BTreeSet::from([id])))
    }

    /// How many columns.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds the columns of another.
    pub(super) fn add(&mut self, other: &Flow) {
        if self.0.is_empty() {
            self.0 = Rc::clone(&other.0);
        } else if !Rc::ptr_eq(&self.0, &other.0) && !other.0.is_subset(&self.0) {
            Rc::make_mut(&mut self.0).extend(other.0.iter());
        }
    }

    /// The numbers of the columns.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }
}

/// Numbers for source columns.
#[derive(Debug, Default)]
pub(super) struct Sources {
    ids: HashMap<Source, u32>,
    all: Vec<Source>,
}

impl Sources {
    /// The number of a column.
    pub(super) fn id(&mut self, source: Source) -> u32 {
        if let Some(id) = self.ids.get(&source) {
            return *id;
        }
        // Columns are charged for as work, which ends long before the numbers do.
        let id = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.ids.insert(source.clone(), id);
        self.all.push(source);
        id
    }

    /// The column with a number.
    pub(super) fn get(&self, id: u32) -> Option<&Source> {
        self.all.get(usize::try_from(id).ok()?)
    }

    /// The columns of a flow.
    pub(super) fn set(&self, flow: &Flow) -> BTreeSet<Source> {
        flow.ids().filter_map(|id| self.get(id)).cloned().collect()
    }
}
