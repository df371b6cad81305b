//! The logs that a log continues, as far as they are kept beside it.

use std::collections::BTreeSet;
use std::path::Path;

use super::broken::Broken;
use super::{DirSource, Predecessor, Report, VerifyOptions, is_absence, read_if_there, verify};

/// Checks the logs in `archive/` of a data folder that a log continues, from the last one back: each
/// must be whole, end where the one after it says, and name that one and its key. Returns their
/// reports in that order; the first that is not there ends it.
///
/// `report` is that of the data folder's own log, checked with `vkey`.
///
/// # Errors
/// The first broken thing.
pub fn verify_predecessors(
    data: &Path,
    report: &Report,
    vkey: &str,
) -> Result<Vec<Report>, Broken> {
    let mut found = Vec::new();
    let mut wanted = report.continues.clone();
    let mut successor = vkey.trim_end().to_owned();
    let mut met = BTreeSet::from([successor.clone()]);
    while let Some(log) = wanted {
        if !met.insert(log.vkey.clone()) {
            return Err(Broken::Succession {
                log: log.origin,
                what: "it is named as what comes before a log that came before it".to_owned(),
            });
        }
        let Some(folder) = find(data, &log)? else {
            break;
        };
        let source = DirSource::new(folder.join("log"));
        let options = VerifyOptions::for_data_dir(&folder, None);
        let report = verify(&source, &log.vkey, &options)?;
        let ended = (report.records, report.root.as_str());
        if ended != (log.size, log.root.as_str()) {
            return Err(Broken::Succession {
                log: log.origin,
                what: format!(
                    "it has {} records and the root {}, but the log that continues it says {} and {}",
                    report.records, report.root, log.size, log.root
                ),
            });
        }
        let named = report.continued_by.as_ref().map(|log| log.vkey.as_str());
        if named != Some(successor.as_str()) {
            return Err(Broken::Succession {
                log: log.origin,
                what: match named {
                    Some(named) => {
                        format!("it says that the log with the key {named} continues it")
                    }
                    None => "it does not say that another log continues it".to_owned(),
                },
            });
        }
        successor = log.vkey;
        wanted = report.continues.clone();
        found.push(report);
    }
    Ok(found)
}

/// The folder of an archived log, by its key.
fn find(data: &Path, log: &Predecessor) -> Result<Option<std::path::PathBuf>, Broken> {
    let archive = data.join("archive");
    let unreadable = |error| Broken::Unreadable {
        file: archive.display().to_string(),
        error,
    };
    let listed = match std::fs::read_dir(&archive) {
        Ok(listed) => listed,
        Err(error) if is_absence(&error) => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    for entry in listed {
        let folder = entry.map_err(unreadable)?.path();
        let vkey = read_if_there(&folder.join("log.vkey")).map_err(unreadable)?;
        if vkey.is_some_and(|vkey| vkey.trim_ascii_end() == log.vkey.as_bytes()) {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}
