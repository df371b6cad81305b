use std::fmt;
use std::str::FromStr;

use bailiwick_run::{InvalidRunId, RunId};

/// Whose records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chain {
    /// A run's.
    Run(RunId),
    /// The gateway's own.
    Gateway,
}

/// As it stands in records.
impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => run.fmt(f),
            Self::Gateway => f.write_str("gateway"),
        }
    }
}

impl FromStr for Chain {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        match text {
            "gateway" => Ok(Self::Gateway),
            run => run.parse().map(Self::Run),
        }
    }
}

impl From<RunId> for Chain {
    fn from(run: RunId) -> Self {
        Self::Run(run)
    }
}
