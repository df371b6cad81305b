use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use ulid::{ULID_LEN, Ulid};

use crate::Time;

/// An id of this prefix and the 26 characters of a ULID. Opaque and public: it says when it was made and
/// nothing else.
macro_rules! id {
    ($(#[$about:meta])* $name:ident, $prefix:literal, $(#[$wrong:meta])* $invalid:ident) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Ulid);

        impl $name {
            const PREFIX: &'static str = $prefix;

            /// A new id from the time it is made and 80 bits of randomness.
            pub fn new(now: Time, random: [u8; 10]) -> Self {
                let random = random
                    .into_iter()
                    .fold(0u128, |bits, byte| bits << 8 | u128::from(byte));
                Self(Ulid::from_parts(now.millis(), random))
            }

            /// When it was made, as it says itself.
            pub fn opened(self) -> Time {
                Time::from_millis(self.0.timestamp_ms())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", Self::PREFIX, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        $(#[$wrong])*
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error("not {}: it is `{}` and 26 characters of 0-9 and A-Z", $name::WHAT, $prefix)]
        pub struct $invalid;

        impl FromStr for $name {
            type Err = $invalid;

            /// Accepts the canonical spelling only, so that one thing has one name everywhere.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let ulid = text.strip_prefix(Self::PREFIX).ok_or($invalid)?;
                let id = Ulid::from_string(ulid).map_err(|_| $invalid)?;
                if id.array_to_str(&mut [0; ULID_LEN]) == ulid {
                    Ok(Self(id))
                } else {
                    Err($invalid)
                }
            }
        }
    };
}

id! {
    /// The id of a run: `run_` and the 26 characters of a ULID.
    RunId, "run_",
    /// Text that is not a run's id.
    InvalidRunId
}

impl RunId {
    const WHAT: &'static str = "a run id";
}

id! {
    /// The id of a call that waits for somebody's approval: `apr_` and the 26 characters of a ULID.
    ApprovalId, "apr_",
    /// Text that is not an approval's id.
    InvalidApprovalId
}

impl ApprovalId {
    const WHAT: &'static str = "an approval id";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_other_spellings() {
        let id = RunId::new(Time::from_millis(1_700_000_000_000), [1; 10]);
        let text = id.to_string();
        assert_eq!(text.len(), 30);
        assert_eq!(text.parse(), Ok(id));
        for wrong in [
            "",
            "run_",
            "postgres",
            &text.to_lowercase(),
            text.trim_start_matches("run_"),
        ] {
            assert_eq!(wrong.parse::<RunId>(), Err(InvalidRunId), "{wrong}");
        }
    }
}
