//! What witnesses keep: the newest checkpoint of the log that each has seen (C2SP tlog-witness,
//! monitor retrieval).

use bailiwick_run::Time;
use sha2::{Digest as _, Sha256};

use super::checkpoint::{Checkpoint, Head};
use super::key::LogKey;
use super::lower_hex;
use super::note::Note;
use super::policy::{KnownWitness, Policy};
use super::report::Agreement;
use crate::limits;
use crate::transport::Transport;

/// A checkpoint that a witness keeps, signed by the log and by it.
#[derive(Clone, Debug)]
pub(super) struct Testimony {
    pub(super) witness: String,
    pub(super) time: Time,
    pub(super) checkpoint: Checkpoint,
    /// All of it, as evidence.
    pub(super) note: String,
}

/// What the witnesses of a policy answered.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) known: Vec<Testimony>,
    /// Of whom there is no word, and why.
    pub(super) silent: Vec<(String, String)>,
}

impl Asked {
    /// The same, once their checkpoints have been found to be of this very tree.
    pub(super) fn agreements(&self) -> Vec<Agreement> {
        let agree = self.known.iter().map(|testimony| Agreement {
            witness: testimony.witness.clone(),
            records: testimony.checkpoint.size,
            time: testimony.time.to_string(),
        });
        agree.collect()
    }
}

/// Asks every witness of a policy that has a URL for the newest checkpoint it has seen of this log.
pub(super) fn ask(policy: &Policy, key: &LogKey, transport: &dyn Transport) -> Asked {
    let witnesses: Vec<(&KnownWitness, &str)> = policy
        .witnesses()
        .iter()
        .filter_map(|witness| Some((witness, witness.url()?)))
        .collect();
    let mut asked = Asked::default();
    // Slow ones are waited for side by side.
    for some in witnesses.chunks(limits::WITNESSES_AT_ONCE) {
        let answers = std::thread::scope(|scope| {
            let ask = |&(witness, url): &(_, _)| {
                scope.spawn(move || ask_one(witness, url, key, transport))
            };
            let asking: Vec<_> = some.iter().map(ask).collect();
            let answers = asking.into_iter().map(|one| {
                one.join()
                    .unwrap_or_else(|_| Err("asking it failed".to_owned()))
            });
            answers.collect::<Vec<_>>()
        });
        for ((witness, _), answer) in some.iter().zip(answers) {
            match answer {
                Ok(testimony) => asked.known.push(testimony),
                Err(why) => asked.silent.push((witness.name().to_owned(), why)),
            }
        }
    }
    asked
}

fn ask_one(
    witness: &KnownWitness,
    url: &str,
    key: &LogKey,
    transport: &dyn Transport,
) -> Result<Testimony, String> {
    let origin = lower_hex(&Sha256::digest(key.name()));
    let url = format!("{}/{origin}/checkpoint", url.trim_end_matches('/'));
    let answer = transport
        .get(&url, limits::ASK_WITNESS)
        .map_err(|error| error.to_string())?;
    match answer.status {
        200 => {}
        404 => return Err("it has seen no checkpoint of this log".to_owned()),
        status => return Err(format!("{url} answers with status {status}")),
    }
    let wrong = |why: String| format!("what it answers is no checkpoint of this log: {why}");
    let note = Note::parse(&answer.body).map_err(|why| wrong(why.to_string()))?;
    let head = Head::of(key, &note).map_err(|why| wrong(why.to_string()))?;
    let time = note
        .cosigned_by(&witness.key)
        .map_err(|why| wrong(why.to_string()))?
        .ok_or_else(|| wrong("it has not signed that itself".to_owned()))?;
    Ok(Testimony {
        witness: witness.name().to_owned(),
        time: Time::from_millis(time.saturating_mul(1000)),
        checkpoint: Checkpoint {
            file: url,
            size: head.size,
            root: head.root,
        },
        note: String::from_utf8_lossy(&answer.body).into_owned(),
    })
}
