//! Trouble with the record itself: what no record can say, because that is what is in trouble.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use crate::limits::{TROUBLE_LOOK, UNSIGNED_TIME_MAX, UNWITNESSED_TIME_MAX};
use crate::registry::Registry;

/// One trouble that has begun.
pub(super) struct Trouble {
    /// What a rule calls it: `log`, `witness`.
    pub(super) when: &'static str,
    /// In one word, for its name.
    pub(super) key: &'static str,
    /// In words for people.
    pub(super) words: String,
}

/// Watches over the record.
pub(super) struct Troubles {
    data: PathBuf,
    witnessed: bool,
    looked: Option<Instant>,
    /// Those that go on, and have been told.
    told: BTreeSet<&'static str>,
    /// How far what is signed was behind, and since when.
    unsigned: Behind,
    unwitnessed: Behind,
}

/// Something that has to follow the log.
#[derive(Default)]
struct Behind(Option<(u64, Instant)>);

impl Behind {
    /// Whether it has not moved from where it was for longer than this, though there is more.
    fn is_stuck(&mut self, at: u64, of: u64, time: std::time::Duration) -> bool {
        match self.0 {
            _ if at >= of => self.0 = None,
            Some((was, since)) if was == at => return since.elapsed() > time,
            _ => self.0 = Some((at, Instant::now())),
        }
        false
    }
}

impl Troubles {
    pub(super) fn new(data: PathBuf, witnessed: bool) -> Self {
        Self {
            data,
            witnessed,
            looked: None,
            told: BTreeSet::new(),
            unsigned: Behind::default(),
            unwitnessed: Behind::default(),
        }
    }

    /// What has begun since this was asked last.
    pub(super) fn look(&mut self, registry: &Registry) -> Vec<Trouble> {
        if self
            .looked
            .is_some_and(|last| last.elapsed() < TROUBLE_LOOK)
        {
            return Vec::new();
        }
        self.looked = Some(Instant::now());
        let vitals = registry.vitals();
        let (signed, records) = (vitals.signed, vitals.records);
        let unsigned = (self.unsigned).is_stuck(signed, records, UNSIGNED_TIME_MAX);
        let unwitnessed = self.witnessed && {
            let witnessed = covered(&self.data.join("log").join("witnessed")).unwrap_or(0);
            (self.unwitnessed).is_stuck(witnessed, signed, UNWITNESSED_TIME_MAX)
        };
        let troubles = [
            ("log", "stopped", vitals.trouble.map(|trouble| trouble.to_string())),
            (
                "log",
                "index",
                registry.index().state().failure.map(|failure| {
                    format!("the index of the record cannot be kept up: {failure}")
                }),
            ),
            (
                "log",
                "unverified",
                registry.unverified().map(|(run, problem)| {
                    format!("the trail of {run} does not verify: {problem}")
                }),
            ),
            (
                "log",
                "unsigned",
                unsigned.then(|| {
                    format!(
                        "no checkpoint has been signed for {} s, though there are new records; the gateway's own \
                         log says why",
                        UNSIGNED_TIME_MAX.as_secs()
                    )
                }),
            ),
            (
                "witness",
                "unwitnessed",
                unwitnessed.then(|| {
                    format!(
                        "too few witnesses have signed for {} min; the gateway's own log says which do not",
                        UNWITNESSED_TIME_MAX.as_secs() / 60
                    )
                }),
            ),
        ];
        let mut begun = Vec::new();
        for (when, key, words) in troubles {
            match words {
                None => {
                    self.told.remove(key);
                }
                Some(words) if self.told.insert(key) => {
                    begun.push(Trouble { when, key, words });
                }
                Some(_) => {}
            }
        }
        begun
    }
}

/// How many records a checkpoint covers, as its second line says (C2SP tlog-checkpoint).
fn covered(path: &std::path::Path) -> Option<u64> {
    let note = std::fs::read_to_string(path).ok()?;
    note.lines().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_does_not_move_for_long_is_stuck() {
        let mut behind = Behind::default();
        let time = Duration::from_millis(20);
        assert!(!behind.is_stuck(5, 5, time));
        assert!(!behind.is_stuck(5, 6, time));
        std::thread::sleep(time * 2);
        assert!(behind.is_stuck(5, 7, time));
        // It moved: that is enough, however far behind it is.
        assert!(!behind.is_stuck(6, 9, time));
        assert!(!behind.is_stuck(9, 9, time));
    }
}
