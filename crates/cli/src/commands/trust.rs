//! Whom a command trusts: the keys of logs, and policies.

use std::path::{Path, PathBuf};

use bailiwick_audit::Policy;
use clap::Args;

use crate::failure::Failure;

/// More than the longest policy has.
const MAX_FILE: u64 = 1024 * 1024;

/// Which logs and witnesses to trust.
#[derive(Args)]
pub(crate) struct TrustArgs {
    /// A log's verifier key, NAME+ID+KEY; may be given again for another log
    #[arg(long = "key", value_name = "VKEY")]
    keys: Vec<String>,
    /// A trust policy: the logs, the witnesses, and how many of these must have signed (C2SP
    /// tlog-policy)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

impl TrustArgs {
    /// The policy, with the keys that were given as logs that it accepts, too; nothing if there is
    /// neither.
    pub(crate) fn given(&self) -> Result<Option<Policy>, Failure> {
        let mut policy = match &self.policy {
            Some(file) => Some(read(file)?),
            None => None,
        };
        for key in &self.keys {
            policy = Some(accept(policy, key)?);
        }
        Ok(policy)
    }

    /// The same, where some log has to be known.
    pub(crate) fn required(&self) -> Result<Policy, Failure> {
        let known = self.given()?.filter(|policy| !policy.logs().is_empty());
        known.ok_or_else(|| {
            Failure::new("no log's key is known to check it with").help(
                "give the log's verifier key, --key NAME+ID+KEY, or --policy FILE, which has it",
            )
        })
    }
}

/// Reads a trust policy.
pub(crate) fn read(file: &Path) -> Result<Policy, Failure> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(file).and_then(|open| open.take(MAX_FILE).read_to_end(&mut bytes));
    read.map_err(|error| {
        Failure::new(format!(
            "cannot read the policy `{}`: {error}",
            file.display()
        ))
    })?;
    Policy::parse(&bytes).map_err(|error| {
        Failure::new(format!("`{}` is no valid policy: {error}", file.display())).help(
            "a policy has lines `log`, `witness`, `group` and one `quorum`; see docs/verifying.md",
        )
    })
}

/// The policy with one more log, by its key; one of that log alone if there is none.
pub(crate) fn accept(policy: Option<Policy>, key: &str) -> Result<Policy, Failure> {
    let accepted = match policy {
        Some(policy) => policy.with_log(key.trim()),
        None => Policy::of_log(key.trim()),
    };
    accepted.map_err(|error| {
        Failure::new(format!("`{key}`: {error}"))
            .help("a log's key is one line, NAME+ID+KEY: from a file, --key \"$(cat log.vkey)\"")
    })
}
