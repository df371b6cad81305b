use std::fmt;

/// What every placeholder starts with.
pub const PREFIX: &str = "[masked";

/// What stands for a value of a masked column.
pub const WHOLE: &str = "[masked]";

/// What a detector found. Where findings overlap the later kind names the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A telephone number in international form.
    Phone,
    /// A US social security number.
    Ssn,
    /// An address for electronic mail.
    Email,
    /// An international bank account number.
    Iban,
    /// The number of a payment card.
    Card,
    /// A password, key or token.
    Secret,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] = [
        Kind::Phone,
        Kind::Ssn,
        Kind::Email,
        Kind::Iban,
        Kind::Card,
        Kind::Secret,
    ];

    /// What stands in its place. Without quotes, backslashes, braces, commas and spaces, so that it
    /// is valid inside a JSON string, an array, a record and a CSV field.
    pub fn placeholder(self) -> &'static str {
        match self {
            Kind::Phone => "[masked:phone]",
            Kind::Ssn => "[masked:ssn]",
            Kind::Email => "[masked:email]",
            Kind::Iban => "[masked:iban]",
            Kind::Card => "[masked:card]",
            Kind::Secret => "[masked:secret]",
        }
    }
}

/// The placeholder.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.placeholder())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_safe_where_it_is_put() {
        for text in Kind::ALL.map(Kind::placeholder).into_iter().chain([WHOLE]) {
            assert!(text.starts_with(PREFIX) && text.ends_with(']'), "{text}");
            assert!(
                !text.contains(['"', '\'', '\\', '{', '}', ',', ' ', '(']),
                "{text}"
            );
        }
    }
}
