//! What the log says about itself, in records of the gateway's chain.

use std::collections::BTreeSet;

use bailiwick_run::RunId;
use serde::{Deserialize, Serialize};

use super::broken::Broken;

/// What the log says about itself.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The runs whose payloads were erased, in that order, each once.
    pub(super) erased: Vec<RunId>,
    /// The same, to find one among many.
    known_erased: BTreeSet<RunId>,
    /// Records before this index may be missing, by the last `log.pruned`.
    pub(super) pruned: u64,
    /// The log that this one continues.
    pub(super) continues: Option<Predecessor>,
    /// The log that continues this one.
    pub(super) continued_by: Option<Successor>,
}

/// The log that another one continues: its name and key, and where it ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Predecessor {
    /// Its name.
    pub origin: String,
    /// The key that checks it.
    pub vkey: String,
    /// How many records it has.
    pub size: u64,
    /// Its root, in base64.
    pub root: String,
}

/// The log that continues another one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Successor {
    /// Its name.
    pub origin: String,
    /// The key that checks it.
    pub vkey: String,
}

#[derive(Deserialize)]
struct Record {
    erased: Option<Erased>,
    pruned: Option<Pruned>,
    continues: Option<Predecessor>,
    continued_by: Option<Successor>,
}

#[derive(Deserialize)]
struct Erased {
    run: String,
}

#[derive(Deserialize)]
struct Pruned {
    before: u64,
}

impl Said {
    /// Reads a record of the gateway's chain, if it is of a type that is about the log itself.
    pub(super) fn read(
        &mut self,
        index: u64,
        kind: &str,
        bytes: &[u8],
        not_a_record: impl Fn(&str) -> Broken,
    ) -> Result<(), Broken> {
        if !matches!(
            kind,
            "payloads.erased" | "log.pruned" | "log.continues" | "log.continued"
        ) {
            return Ok(());
        }
        let record: Record =
            serde_json::from_slice(bytes).map_err(|error| not_a_record(&error.to_string()))?;
        let missing = || not_a_record("it does not say what its type says it does");
        match kind {
            "payloads.erased" => {
                let run = record.erased.and_then(|erased| erased.run.parse().ok());
                let run = run.ok_or_else(missing)?;
                if self.known_erased.insert(run) {
                    self.erased.push(run);
                }
            }
            "log.pruned" => {
                let before = record.pruned.ok_or_else(missing)?.before;
                // Or it would be leave to remove what nobody had seen when it was given.
                if before > index {
                    return Err(not_a_record(
                        "it says that records were pruned which come after it",
                    ));
                }
                self.pruned = self.pruned.max(before);
            }
            "log.continues" => self.continues = Some(record.continues.ok_or_else(missing)?),
            _ => self.continued_by = Some(record.continued_by.ok_or_else(missing)?),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_before_the_record_of_it_can_be_pruned() {
        let read = |index, before: u64| {
            let mut said = Said::default();
            let record =
                format!(r#"{{"pruned":{{"before":{before},"by":"human:alice@acme.com"}}}}"#);
            let not_a_record = |reason: &str| Broken::NotARecord {
                index,
                file: "tile/entries/002".to_owned(),
                reason: reason.to_owned(),
            };
            let done = said.read(index, "log.pruned", record.as_bytes(), not_a_record);
            done.map(|()| said.pruned)
        };
        assert_eq!(read(600, 512).unwrap(), 512);
        assert_eq!(read(512, 512).unwrap(), 512);
        assert!(read(511, 512).is_err());
        assert!(read(600, u64::MAX).is_err());
    }
}
