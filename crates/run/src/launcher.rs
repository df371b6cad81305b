use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The human or workflow that started a run: `human:alice@acme.com`, `workflow:github:acme/support`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Launcher(String);

impl Launcher {
    /// The longest name, in bytes, with its prefix.
    pub const MAX_LEN: usize = 256;

    /// The name with its prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Launcher {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Text that names no launcher.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a launcher: it is `human:NAME` or `workflow:NAME`, at most 256 bytes, \
     without spaces or control characters"
)]
pub struct InvalidLauncher;

impl FromStr for Launcher {
    type Err = InvalidLauncher;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text
            .strip_prefix("human:")
            .or_else(|| text.strip_prefix("workflow:"))
            .ok_or(InvalidLauncher)?;
        let fits = !name.is_empty()
            && text.len() <= Self::MAX_LEN
            && !name.chars().any(|c| c.is_control() || c.is_whitespace());
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidLauncher)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_humans_and_workflows_launch() {
        assert!("human:alice@acme.com".parse::<Launcher>().is_ok());
        assert!("workflow:github:acme/support".parse::<Launcher>().is_ok());
        for wrong in ["alice", "human:", "robot:r2", "human:a b", "human:a\nb"] {
            assert_eq!(wrong.parse::<Launcher>(), Err(InvalidLauncher), "{wrong:?}");
        }
    }
}
