use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use ulid::{ULID_LEN, Ulid};

use crate::Time;

/// The id of a run: `run_` and the 26 characters of a ULID. Opaque and public: it says when the run
/// was opened and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Ulid);

impl RunId {
    const PREFIX: &'static str = "run_";

    /// A new id from the time it is opened and 80 bits of randomness.
    pub fn new(now: Time, random: [u8; 10]) -> Self {
        let random = random
            .into_iter()
            .fold(0u128, |bits, byte| bits << 8 | u128::from(byte));
        Self(Ulid::from_parts(now.millis(), random))
    }

    /// When the run was opened, as its id says.
    pub fn opened(self) -> Time {
        Time::from_millis(self.0.timestamp_ms())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Text that is not a run's id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a run id: it is `run_` and 26 characters of 0-9 and A-Z")]
pub struct InvalidRunId;

impl FromStr for RunId {
    type Err = InvalidRunId;

    /// Accepts the canonical spelling only, so that one run has one name everywhere.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ulid = text.strip_prefix(Self::PREFIX).ok_or(InvalidRunId)?;
        let id = Ulid::from_string(ulid).map_err(|_| InvalidRunId)?;
        if id.array_to_str(&mut [0; ULID_LEN]) == ulid {
            Ok(Self(id))
        } else {
            Err(InvalidRunId)
        }
    }
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
