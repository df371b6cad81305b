//! Which paths lead to a value, while it is walked to.

use std::ops::Range;

use bailiwick_action::{FieldPath, FieldStep};

/// How far along a path a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Which path, by its index.
    pub(super) path: usize,
    /// How many of its steps are taken.
    pub(super) step: usize,
}

/// What a value is to the one it stands in.
#[derive(Clone, Copy)]
pub(super) enum Key<'a> {
    Member(&'a [u8]),
    Element,
}

/// The places of a value that stands in nothing.
pub(super) fn roots(paths: &[FieldPath]) -> impl Iterator<Item = Place> {
    (0..paths.len()).map(|path| Place { path, step: 0 })
}

/// Appends the places of a child to those of the values it stands in; `of` is where its parent's are.
pub(super) fn descend(
    paths: &[FieldPath],
    places: &mut Vec<Place>,
    of: Range<usize>,
    key: Key<'_>,
) -> Range<usize> {
    let start = places.len();
    for index in of {
        let Some(place) = places.get(index).copied() else {
            break;
        };
        let steps = paths.get(place.path).map_or(&[][..], FieldPath::steps);
        let next = Place {
            step: place.step + 1,
            ..place
        };
        match (steps.get(place.step), key) {
            (Some(FieldStep::Member(name)), Key::Member(key)) if name.as_bytes() == key => {
                places.push(next);
            }
            (Some(FieldStep::Elements), Key::Element) => places.push(next),
            (Some(FieldStep::Descendant(name)), key) => {
                places.push(place);
                if matches!(key, Key::Member(key) if name.as_bytes() == key) {
                    places.push(next);
                }
            }
            _ => {}
        }
    }
    // Two ways may lead to one place (`$..a..b`): once is enough, or they would multiply.
    let mut at = start;
    while at < places.len() {
        let known = places.get(start..at).unwrap_or_default();
        match places.get(at) {
            Some(place) if known.contains(place) => {
                places.remove(at);
            }
            _ => at += 1,
        }
    }
    start..places.len()
}

/// The paths, of those of a value's places, that lead to exactly this value.
pub(super) fn arrived(paths: &[FieldPath], places: &[Place]) -> impl Iterator<Item = usize> {
    let arrived = |place: &&Place| {
        let path = paths.get(place.path);
        path.is_some_and(|path| path.steps().len() == place.step)
    };
    places.iter().filter(arrived).map(|place| place.path)
}
