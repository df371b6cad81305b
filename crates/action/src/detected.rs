use std::fmt;

/// What detectors find in a value that nobody has named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Detected {
    /// The number of a payment card.
    Card,
    /// An address for electronic mail.
    Email,
    /// An international bank account number.
    Iban,
    /// A telephone number in international form.
    Phone,
    /// A password, key or token.
    Secret,
    /// A US social security number.
    Ssn,
}

impl Detected {
    /// Every kind, in the order of their names.
    pub const ALL: [Detected; 6] = [
        Detected::Card,
        Detected::Email,
        Detected::Iban,
        Detected::Phone,
        Detected::Secret,
        Detected::Ssn,
    ];

    /// Its name, as in the placeholder.
    pub fn as_str(self) -> &'static str {
        match self {
            Detected::Card => "card",
            Detected::Email => "email",
            Detected::Iban => "iban",
            Detected::Phone => "phone",
            Detected::Secret => "secret",
            Detected::Ssn => "ssn",
        }
    }

    /// The kind of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Some of what detectors find.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct DetectedSet(u8);

impl DetectedSet {
    /// None of it.
    pub const NONE: Self = Self(0);

    /// All of it.
    pub const ALL: Self = Self((1 << Detected::ALL.len()) - 1);

    /// These and one more.
    #[must_use]
    pub fn with(self, kind: Detected) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// What is in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this and not in the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether this kind is in it.
    pub fn contains(self, kind: Detected) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// What is in it, in the order of the names.
    pub fn iter(self) -> impl Iterator<Item = Detected> {
        Detected::ALL
            .into_iter()
            .filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<Detected> for DetectedSet {
    fn from_iter<I: IntoIterator<Item = Detected>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for DetectedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in() {
        let set: DetectedSet = [Detected::Ssn, Detected::Card].into_iter().collect();
        assert_eq!(
            set.iter().collect::<Vec<_>>(),
            [Detected::Card, Detected::Ssn]
        );
        let other = DetectedSet::NONE.with(Detected::Ssn).with(Detected::Email);
        assert_eq!(set.and(other).iter().collect::<Vec<_>>(), [Detected::Ssn]);
        assert!(set.and(DetectedSet::NONE).is_empty());
        assert_eq!(
            Detected::ALL.into_iter().collect::<DetectedSet>(),
            DetectedSet::ALL
        );
        for kind in Detected::ALL {
            assert_eq!(Detected::named(kind.as_str()), Some(kind));
        }
        assert_eq!(Detected::named("emails"), None);
    }
}
