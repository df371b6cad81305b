//! Proving a run's whole trail to the verifier, which is in `verify/trail.rs`.

use bailiwick_run::RunId;

use crate::entry::Entry;
use crate::prove::Prover;
use crate::reader::{ReadError, Reader};
use crate::verify::Policy;
use crate::verify::trail::{TrailBroken, TrailCheck, TrailReport};

/// A run's trail that is being verified, record by record.
pub struct TrailProof {
    reader: Reader,
    prover: Prover,
    check: TrailCheck,
}

impl Reader {
    /// Begins to verify a run's trail: its chain, and that its records are under the newest checkpoint that enough
    /// witnesses have seen, or if that does not cover the record at the index `last`, under the newest.
    ///
    /// # Errors
    /// If there is no checkpoint that the policy trusts.
    pub fn prove_trail(
        &self,
        run: RunId,
        last: u64,
        policy: &Policy,
    ) -> Result<TrailProof, TrailBroken> {
        let note = self
            .checkpoint_over(last)?
            .ok_or(TrailBroken::NoCheckpoint)?;
        let checkpoint = policy.judge(note.as_bytes())?;
        Ok(TrailProof {
            prover: Prover::new(self.layout().log(), checkpoint.size),
            check: TrailCheck::new(run, checkpoint, self.pruned()?),
            reader: self.clone(),
        })
    }
}

impl TrailProof {
    /// Takes the run's next record.
    ///
    /// # Errors
    /// If it is not the next, or not the one that the log has signed.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), TrailBroken> {
        let path = match entry.index < self.check.size() {
            true => {
                let prover = &mut self.prover;
                let proved = |_: &std::path::Path| prover.inclusion(entry.index);
                let path = self.reader.at(self.reader.layout().log(), proved);
                Some(path.map_err(|error: ReadError| TrailBroken::Read(error))?)
            }
            false => None,
        };
        self.check.follow(entry, path.as_deref())
    }

    /// What the trail was found to be, when all of its records were taken. `ended` says that the run has ended.
    ///
    /// # Errors
    /// If records are missing at its beginning or its end.
    pub fn end(self, ended: bool) -> Result<TrailReport, TrailBroken> {
        self.check.end(ended)
    }
}
