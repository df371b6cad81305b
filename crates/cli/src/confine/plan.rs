//! What a confined process may do where, as a tree of the places that differ from the rest.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path};

/// What may be done with a place and all beneath it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// Nothing.
    None,
    /// Reading and executing.
    Read,
    /// Whatever the user may.
    Full,
}

/// What may be done with a folder itself: Landlock hands a folder's rights down to everything
/// beneath, so a folder on the way to a hidden place has none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing in it can be reached.
    Hidden,
    /// What it holds can be used, but it cannot be listed and nothing can be added to it or removed.
    OnTheWay,
    /// It can be read.
    ReadOnly,
    /// Nothing is different.
    Free,
}

/// A place, and the places beneath it that differ from it.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) access: Access,
    pub(super) beneath: BTreeMap<OsString, Plan>,
}

/// Everything may be done everywhere.
impl Default for Plan {
    fn default() -> Self {
        Self::new(Access::Full)
    }
}

impl Plan {
    fn new(access: Access) -> Self {
        Self {
            access,
            beneath: BTreeMap::new(),
        }
    }

    /// Limits what may be done with an absolute path and all beneath. Limits only ever add up.
    pub(super) fn insert(&mut self, place: &Path, access: Access) {
        let mut node = self;
        for name in names(place) {
            if node.access <= access {
                return;
            }
            let inherited = node.access;
            node = node
                .beneath
                .entry(name.to_owned())
                .or_insert_with(|| Plan::new(inherited));
        }
        node.limit(access);
    }

    /// Lets an absolute path and all beneath be read, whatever was said before.
    pub(super) fn reopen(&mut self, place: &Path) {
        let mut node = self;
        for name in names(place) {
            let inherited = node.access;
            node = node
                .beneath
                .entry(name.to_owned())
                .or_insert_with(|| Plan::new(inherited));
        }
        *node = Plan::new(Access::Read);
    }

    /// What may be done with a folder itself.
    pub(super) fn standing(&self, folder: &Path) -> Standing {
        let mut node = self;
        for name in names(folder) {
            match node.beneath.get(name) {
                Some(child) => node = child,
                None => return node.spread(),
            }
        }
        if node.beneath.is_empty() {
            node.spread()
        } else {
            Standing::OnTheWay
        }
    }

    /// What may be done with a place.
    pub(super) fn access(&self, place: &Path) -> Access {
        let mut node = self;
        for name in names(place) {
            match node.beneath.get(name) {
                Some(child) => node = child,
                None => break,
            }
        }
        node.access
    }

    fn limit(&mut self, access: Access) {
        if access < self.access {
            self.access = access;
        }
        let limit = self.access;
        self.beneath.retain(|_, child| {
            child.limit(limit);
            child.access < limit || !child.beneath.is_empty()
        });
    }

    /// The standing of a folder beneath which nothing differs.
    fn spread(&self) -> Standing {
        match self.access {
            Access::None => Standing::Hidden,
            Access::Read => Standing::ReadOnly,
            Access::Full => Standing::Free,
        }
    }
}

fn names(place: &Path) -> impl Iterator<Item = &OsStr> {
    place.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_add_up_whatever_their_order() {
        let hide = ("/srv/b/data", Access::None);
        let read = ("/srv/b", Access::Read);
        for order in [[hide, read], [read, hide]] {
            let mut plan = Plan::default();
            for (place, access) in order {
                plan.insert(Path::new(place), access);
            }
            let access = |place: &str| plan.access(Path::new(place));
            assert_eq!(access("/srv/b/data/log"), Access::None);
            assert_eq!(access("/srv/b/tasks"), Access::Read);
            assert_eq!(access("/srv/c"), Access::Full);
            let standing = |place: &str| plan.standing(Path::new(place));
            assert_eq!(standing("/srv"), Standing::OnTheWay);
            assert_eq!(standing("/srv/b"), Standing::OnTheWay);
            assert_eq!(standing("/srv/b/data/log"), Standing::Hidden);
            assert_eq!(standing("/srv/b/tasks"), Standing::ReadOnly);
            assert_eq!(standing("/home"), Standing::Free);
        }
    }

    #[test]
    fn one_folder_of_a_hidden_place_can_be_reopened() {
        let mut plan = Plan::default();
        plan.insert(Path::new("/d"), Access::None);
        plan.reopen(Path::new("/d/handed/run_a"));
        let access = |place: &str| plan.access(Path::new(place));
        assert_eq!(access("/d/handed/run_a/mcp.json"), Access::Read);
        assert_eq!(access("/d/handed/run_b/mcp.json"), Access::None);
        assert_eq!(access("/d/keys"), Access::None);
        assert_eq!(access("/e"), Access::Full);
    }

    #[test]
    fn what_is_beneath_a_hidden_place_is_hidden() {
        let mut plan = Plan::default();
        plan.insert(Path::new("/d/keys"), Access::Read);
        plan.insert(Path::new("/d"), Access::None);
        plan.insert(Path::new("/d/log"), Access::Read);
        assert_eq!(plan.access(Path::new("/d/keys")), Access::None);
        assert_eq!(plan.standing(Path::new("/d")), Standing::Hidden);
    }
}
