use crate::limits;
use crate::prove::Prover;
use crate::publication::Published;
use crate::record::Disagreement;
use crate::transport::{Answer, Bounds, Transport};
use crate::verify::KnownWitness;
use crate::verify::checkpoint::decimal;
use crate::verify::note::Note;
use crate::witness::submission::Submission;

/// What a witness said of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It has signed: these lines, which are by its key.
    Cosigned(String),
    /// It has signed a larger tree than that, but none that is larger than ours.
    Ahead,
    /// It has signed another history.
    Disagrees {
        problem: Disagreement,
        /// How many records the last checkpoint covers that it signed.
        size: u64,
        /// How many are published here.
        ours: u64,
    },
    /// There is no answer that helps.
    Failed(String),
}

/// Asks a witness to sign a published checkpoint (`add-checkpoint` in C2SP tlog-witness).
pub(super) struct Question<'a> {
    pub(super) transport: &'a dyn Transport,
    pub(super) witness: &'a KnownWitness,
    /// Its submission prefix.
    pub(super) url: &'a str,
    pub(super) published: &'a Published,
    /// The published tree, to prove that it grew.
    pub(super) tree: Prover,
}

impl Question<'_> {
    /// Asks. `known` is how many records the last checkpoint covers that it signed, as far as is
    /// known; `ours` how many are published.
    pub(super) fn ask(&mut self, known: &mut u64, ours: impl Fn() -> u64) -> Told {
        let size = self.published.checkpoint.size;
        let url = format!("{}/add-checkpoint", self.url.trim_end_matches('/'));
        let bounds = Bounds {
            body: limits::WITNESS_ANSWER,
            time: limits::WITNESS_TIME,
        };
        // A second time, if it signed another size last than is known.
        for _ in 0..2 {
            let proof = match self.tree.consistency(*known) {
                Ok(proof) => proof,
                Err(error) => return Told::Failed(format!("the tree cannot be read: {error}")),
            };
            let body = Submission::encode(*known, &proof, &self.published.note);
            let answer = match self.transport.post(&url, body.as_bytes(), bounds) {
                Ok(answer) => answer,
                Err(error) => return Told::Failed(error.to_string()),
            };
            match answer.status {
                200 => {
                    let told = self.cosigned(&answer);
                    if matches!(told, Told::Cosigned(_)) {
                        *known = size;
                    }
                    return told;
                }
                409 => match size_in(&answer) {
                    Some(theirs) if theirs == *known => break,
                    Some(theirs) => {
                        let ours = ours();
                        if theirs > ours {
                            return Told::Disagrees {
                                problem: Disagreement::Larger,
                                size: theirs,
                                ours,
                            };
                        }
                        *known = theirs;
                        if theirs > size {
                            return Told::Ahead;
                        }
                    }
                    None => return Told::Failed("it answered 409 without a size".to_owned()),
                },
                422 => {
                    return Told::Disagrees {
                        problem: Disagreement::Inconsistent,
                        size: *known,
                        ours: size,
                    };
                }
                404 => {
                    return Told::Failed(
                        "it does not know this log; its operator has to add the log's key"
                            .to_owned(),
                    );
                }
                status => {
                    let said = String::from_utf8_lossy(&answer.body);
                    let said: String = said.trim().chars().take(200).collect();
                    return Told::Failed(format!("it answered {status}: {said}"));
                }
            }
        }
        Told::Failed("it contradicts itself about what it signed last".to_owned())
    }

    /// The lines by the witness's key, all of them checked. Those of other keys are passed over.
    fn cosigned(&self, answer: &Answer) -> Told {
        let key = &self.witness.key;
        let Ok(lines) = std::str::from_utf8(&answer.body) else {
            return Told::Failed("its answer is not text".to_owned());
        };
        let note = format!("{}{lines}", self.published.note);
        let judged = Note::parse(note.as_bytes())
            .and_then(|note| Ok((note.cosigned_by(key)?.is_some(), note)));
        match judged {
            Ok((true, note)) => {
                let lines = note.lines_of(key);
                Told::Cosigned(lines.fold(String::new(), |all, line| all + line + "\n"))
            }
            Ok((false, _)) => {
                Told::Failed("it signed with another key than the policy has for it".to_owned())
            }
            Err(why) => Told::Failed(format!("its answer is no signature: {why}")),
        }
    }
}

fn size_in(answer: &Answer) -> Option<u64> {
    if answer.content_type.as_deref() != Some("text/x.tlog.size") {
        return None;
    }
    let text = std::str::from_utf8(&answer.body).ok()?;
    decimal(text.strip_suffix('\n')?)
}
