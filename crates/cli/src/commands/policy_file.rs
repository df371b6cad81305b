//! Reading a trust policy (C2SP tlog-policy).

use std::io::Read;
use std::path::Path;

use bailiwick_audit::Policy;

use crate::failure::Failure;

/// The largest policy file, in bytes.
const MAX_FILE: u64 = 256 * 1024;

/// Reads a trust policy from a file.
pub(crate) fn read(file: &Path) -> Result<Policy, Failure> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|open| open.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| {
            Failure::new(format!(
                "the policy `{}` cannot be read: {error}",
                file.display()
            ))
        })?;
    Policy::parse(&bytes).map_err(|error| {
        Failure::new(format!("{}: {error}", file.display()))
            .help("https://c2sp.org/tlog-policy describes the file")
    })
}
