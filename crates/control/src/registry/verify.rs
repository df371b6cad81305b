//! A run's trail, checked on demand. What was found is a record, and what is shown of it later is read from there.

use bailiwick_audit::{
    AppendError, Draft, Event, Found, ReadError, Subject, TrailBroken, TrailProof, TrailReport,
};
use bailiwick_run::RunId;

use super::{LookupError, Registry, blocking};
use crate::api::{RunState, Verified};
use crate::clock;
use crate::index::{Logs, SearchError};
use crate::limits::{TRAIL_RECORDS_MAX, UNVERIFIED_SHOWN, VERIFIED_RECORDS_MAX};
use crate::live::lock;
use crate::people::Person;
use crate::view::Chain;

/// Why a trail was not checked. That it is not whole is an answer, and none of these.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VerifyError {
    /// There is no such run.
    #[error("no run is called {0}; `bailiwick runs` lists them")]
    NoRun(RunId),
    /// Another one is being checked.
    #[error("another run's trail is being verified; try again in a moment")]
    Busy,
    /// It is in another log.
    #[error(
        "the trail of {0} is in a log that was rotated away, which the gateway does not verify while it runs; \
         `bailiwick verify --run {0}` does"
    )]
    Archived(RunId),
    /// There is nothing left of it.
    #[error("the records of {0} were pruned, and none are left to verify")]
    Pruned(RunId),
    /// It would take too long.
    #[error(
        "the trail of {0} has more than {VERIFIED_RECORDS_MAX} records, which are not verified while others wait; \
         `bailiwick verify --run {0}` does"
    )]
    TooLong(RunId),
    /// It cannot be said where its records are.
    #[error(transparent)]
    Index(#[from] SearchError),
    /// It cannot be recorded, so it does not count.
    #[error("what was found could not be recorded, so it does not count: {0}")]
    Record(#[from] AppendError),
    /// It is not known whether there is such a run.
    #[error(transparent)]
    Lookup(#[from] LookupError),
}

/// How a check ended, and how many records were whole until then.
struct Checked {
    records: u64,
    found: Result<TrailReport, TrailBroken>,
}

impl Registry {
    /// Checks a run's trail: that its chain is whole and its records are under a checkpoint of the log. Puts on record
    /// what was found, whole or not, and who wanted to know.
    ///
    /// # Errors
    /// If it cannot be checked, or not recorded.
    pub(crate) async fn verify(&self, run: RunId, who: &Person) -> Result<Verified, VerifyError> {
        let summary = self.summary(&run).await?.ok_or(VerifyError::NoRun(run))?;
        let _turn = self.0.verifying.try_lock().map_err(|_| VerifyError::Busy)?;
        // Before anything is read: from here on it can only have more records if it has not ended.
        let ended = summary.state == RunState::Ended;
        let log = self.log().clone();
        let signed = blocking(move || log.checkpoint_now()).await;
        if let Err(error) = signed {
            tracing::warn!(%error, "a trail is verified under an older checkpoint");
        }
        let (last, reader) = (self.index().last_of(run).await?, self.reader());
        let base = blocking(move || Logs::base(&reader)).await;
        let checked = match base {
            Ok(base) => match last.unwrap_or(base).checked_sub(base) {
                Some(last) => self.check(run, last, ended).await?,
                None => return Err(VerifyError::Archived(run)),
            },
            Err(error) => Checked {
                records: 0,
                found: Err(error.into()),
            },
        };
        let Checked { records, found } = checked;
        let found = match found {
            Ok(report) => {
                let cosigned = report.checkpoint.cosigned.into_iter();
                Found::Whole {
                    records: report.run.records,
                    tail: report.run.tail,
                    size: report.checkpoint.size,
                    witnesses: cosigned.map(|seen| seen.witness).collect(),
                }
            }
            Err(TrailBroken::Pruned(_)) => return Err(VerifyError::Pruned(run)),
            Err(broken) => Found::Broken {
                records,
                problem: broken.to_string(),
            },
        };
        self.note_verified(run, &found);
        let draft = Draft {
            event: Event::RunVerified {
                run,
                by: who.name.clone(),
                found: found.clone(),
            },
            subject: Subject::Gateway,
            payload: None,
        };
        let receipt = self.0.log.append(draft).await?;
        let (records, tail, size, witnesses, problem) = match found {
            Found::Whole {
                records,
                tail,
                size,
                witnesses,
            } => (records, tail, size, witnesses, None),
            Found::Broken { records, problem } => (records, 0, 0, Vec::new(), Some(problem)),
        };
        Ok(Verified {
            record: format!("gateway/{}", receipt.seq()),
            time: clock::now(),
            by: who.name.to_string(),
            run,
            records,
            tail,
            size,
            witnesses,
            problem,
        })
    }

    async fn check(&self, run: RunId, last: u64, ended: bool) -> Result<Checked, VerifyError> {
        let mut records = 0;
        let broken = |records, broken: TrailBroken| {
            Ok(Checked {
                records,
                found: Err(broken),
            })
        };
        let (reader, policy, vkey) = (self.reader(), self.0.settings.policy.clone(), self.vkey());
        let begun = blocking(move || {
            let policy = policy.map_or_else(
                || bailiwick_audit::Policy::of_log(&vkey),
                |policy| policy.with_log(&vkey),
            );
            let policy = policy.map_err(|error| TrailBroken::Key(error.to_string()))?;
            reader.prove_trail(run, last, &policy)
        });
        let mut proof: TrailProof = match begun.await {
            Ok(proof) => proof,
            Err(error) => return broken(records, error),
        };
        let mut after = 0;
        loop {
            let entries = self
                .entries(Chain::Run(run), after, TRAIL_RECORDS_MAX)
                .await;
            let entries = match entries {
                Ok(entries) => entries.unwrap_or_default(),
                Err(error) => return broken(records, error.into()),
            };
            let Some(newest) = entries.last() else {
                break;
            };
            after = newest.record.seq;
            let followed = blocking(move || {
                let mut whole = 0;
                for entry in &entries {
                    if let Err(error) = proof.follow(entry) {
                        return (proof, whole, Err(error));
                    }
                    whole += 1;
                }
                (proof, whole, Ok(()))
            });
            let (back, whole, followed) = followed.await;
            (proof, records) = (back, records + whole);
            if let Err(error) = followed {
                return broken(records, error);
            }
            if records > VERIFIED_RECORDS_MAX {
                return Err(VerifyError::TooLong(run));
            }
        }
        Ok(Checked {
            records,
            found: proof.end(ended),
        })
    }

    /// What rules about trouble with the log look at.
    fn note_verified(&self, run: RunId, found: &Found) {
        let mut unverified = lock(&self.0.unverified);
        match found {
            Found::Broken { problem, .. } => {
                tracing::error!(%run, %problem, "a run's trail does not verify");
                *unverified = Some((run, problem.clone()));
            }
            Found::Whole { .. } => {
                if unverified.as_ref().is_some_and(|(other, _)| *other == run) {
                    *unverified = None;
                }
            }
        }
    }

    /// The last run whose trail was found not to be whole since the gateway was started, and what is wrong.
    pub(crate) fn unverified(&self) -> Option<(RunId, String)> {
        lock(&self.0.unverified).clone()
    }

    /// What the newest check of a run's trail has found, so far as its record is left.
    ///
    /// # Errors
    /// If the index or the record cannot be read.
    pub(crate) async fn verified(
        &self,
        run: RunId,
    ) -> Result<Option<Verified>, crate::view::ViewError> {
        let numbers = self.index().verified(run).await?.into_iter().collect();
        let mut found = self.checks(numbers).await?;
        Ok(found.pop().filter(|found| found.run == run))
    }

    /// The newest checks that have found something wrong, where no later one of the same run has not.
    ///
    /// # Errors
    /// As [`verified`](Self::verified).
    pub(crate) async fn all_unverified(&self) -> Result<Vec<Verified>, crate::view::ViewError> {
        let numbers = self.index().unverified(UNVERIFIED_SHOWN).await?;
        self.checks(numbers).await
    }

    /// What records of checks say, by their numbers over all logs.
    async fn checks(&self, numbers: Vec<u64>) -> Result<Vec<Verified>, crate::view::ViewError> {
        if numbers.is_empty() {
            return Ok(Vec::new());
        }
        let reader = self.reader();
        let found = blocking(move || {
            let mut found = Vec::with_capacity(numbers.len());
            for number in numbers {
                let there = Logs::from(&reader, number)?.next()?;
                let there = there.filter(|there| there.number == number);
                found.extend(there.and_then(|there| Verified::read(&there.entry)));
            }
            Ok::<_, ReadError>(found)
        });
        Ok(found.await?)
    }
}
