//! What the demo says has to be so: each claim is checked, and what was different is told.

/// What has been checked so far.
#[derive(Debug, Default)]
pub(super) struct Checks {
    held: usize,
    different: Vec<String>,
}

impl Checks {
    /// Something that has to be so, in words that say what is expected.
    pub(super) fn that(&mut self, holds: bool, expected: &str) {
        if holds {
            self.held += 1;
        } else {
            self.different.push(expected.to_owned());
        }
    }

    /// The same for two things that have to be equal.
    pub(super) fn equal<T: PartialEq + std::fmt::Debug>(
        &mut self,
        found: T,
        expected: T,
        what: &str,
    ) {
        if found == expected {
            self.held += 1;
        } else {
            self.different
                .push(format!("{what}: expected {expected:?}, found {found:?}"));
        }
    }

    /// How many held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// What was expected and not so.
    pub(super) fn different(&self) -> &[String] {
        &self.different
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_different_is_kept_in_words() {
        let mut checks = Checks::default();
        checks.that(true, "water is wet");
        checks.equal(1, 1, "ones");
        checks.equal(2, 3, "moons");
        assert_eq!(checks.held(), 2);
        assert_eq!(checks.different(), ["moons: expected 3, found 2"]);
    }
}
