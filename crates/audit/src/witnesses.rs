//! Asking witnesses to sign what is published, each on a thread of its own: nobody else waits for
//! them, neither the log nor another witness.

mod ask;
mod round;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::layout::Layout;
use crate::limits;
use crate::prove::Prover;
use crate::publication::{Publication, Published};
use crate::queue::lock;
use crate::record::{Disagreement, Event};
use crate::transport::Transport;
use crate::verify::{KnownWitness, Policy};
use crate::vitals::{WitnessStanding, WitnessVitals};
use ask::{Question, Told};
use round::{Attempt, Next, Round};

/// The name of the threads.
const THREAD: &str = "audit-witness";

/// What the threads of the witnesses share.
struct Shared {
    layout: Layout,
    publication: Arc<Publication>,
    policy: Policy,
    transport: Arc<dyn Transport>,
    record: Box<dyn Fn(Event) + Send + Sync>,
    round: Mutex<Round>,
    /// How each of them is.
    vitals: Mutex<Vec<WitnessVitals>>,
    /// Held from an answer until the files say so, so that their order is that of the answers.
    files: Mutex<()>,
    closing: AtomicBool,
    /// How many threads run.
    running: Mutex<usize>,
    ended: Condvar,
}

/// The witnesses of a log, being asked.
pub(crate) struct Witnesses {
    shared: Arc<Shared>,
}

impl Witnesses {
    /// Asks every witness of the policy that has a URL, from now on, about what is published.
    pub(crate) fn ask(
        layout: Layout,
        publication: Arc<Publication>,
        policy: Policy,
        transport: Arc<dyn Transport>,
        record: Box<dyn Fn(Event) + Send + Sync>,
    ) -> io::Result<Self> {
        let asked: Vec<_> = policy
            .witnesses()
            .iter()
            .filter_map(|witness| Some((witness.clone(), witness.url()?.to_owned())))
            .collect();
        let vitals = asked.iter().map(|(witness, _)| WitnessVitals {
            name: witness.name().to_owned(),
            signed: 0,
            standing: WitnessStanding::Unasked,
        });
        let shared = Arc::new(Shared {
            vitals: Mutex::new(vitals.collect()),
            layout,
            publication,
            policy,
            transport,
            record,
            round: Mutex::new(Round::new(asked.len(), Instant::now())),
            files: Mutex::new(()),
            closing: AtomicBool::new(false),
            running: Mutex::default(),
            ended: Condvar::new(),
        });
        for (seat, (witness, url)) in asked.into_iter().enumerate() {
            let worker = Worker {
                shared: Arc::clone(&shared),
                seat,
                witness,
                url,
                known: 0,
                trouble: None,
                disagreement: None,
            };
            *lock(&shared.running) += 1;
            let thread = thread::Builder::new().name(THREAD.to_owned());
            thread.spawn(|| worker.run())?;
        }
        Ok(Self { shared })
    }

    /// How each of them is.
    pub(crate) fn vitals(&self) -> Vec<WitnessVitals> {
        lock(&self.shared.vitals).clone()
    }

    /// Gives the witnesses a short while to sign the last checkpoint. Nothing is written for them any
    /// more when this returns.
    pub(crate) fn finish(self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.shared.publication.wake();
        let since = Instant::now();
        let mut running = lock(&self.shared.running);
        // Who waits for itself waits in vain.
        let is_one_of_them = thread::current().name() == Some(THREAD);
        while *running > 0 && !is_one_of_them {
            let Some(left) = limits::LAST_ROUND.checked_sub(since.elapsed()) else {
                tracing::warn!(
                    "not every witness has signed the last checkpoint; they are asked at the next start"
                );
                break;
            };
            let waited = self.shared.ended.wait_timeout(running, left);
            running = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(running);
        self.shared.publication.seal();
    }
}

/// Asks one witness.
struct Worker {
    shared: Arc<Shared>,
    seat: usize,
    witness: KnownWitness,
    url: String,
    /// How many records the last checkpoint covers that it signed, as far as is known.
    known: u64,
    /// When it was last said that it fails.
    trouble: Option<Instant>,
    /// How it disagrees, since it last signed.
    disagreement: Option<Disagreement>,
}

impl Worker {
    fn run(mut self) {
        loop {
            let (latest, turn) = self.shared.publication.latest();
            let closing = self.shared.closing.load(Ordering::SeqCst);
            let now = Instant::now();
            let next = lock(&self.shared.round).next(self.seat, latest.as_ref(), closing, now);
            match next {
                Next::Wait(time) => self.shared.publication.wait(turn, time),
                Next::Ask(published) => self.ask(&published),
                Next::End => break,
            }
        }
    }

    fn ask(&mut self, published: &Arc<Published>) {
        let publication = Arc::clone(&self.shared.publication);
        let mut question = Question {
            transport: self.shared.transport.as_ref(),
            witness: &self.witness,
            url: &self.url,
            published,
            tree: Prover::new(self.shared.layout.log(), published.checkpoint.size),
        };
        let told = question.ask(&mut self.known, || {
            let (latest, _) = publication.latest();
            latest.map_or(0, |latest| latest.checkpoint.size)
        });
        let attempt = self.say(told);
        self.shared.ended(self.seat, published, attempt);
        // Others may wait for this one's answer.
        self.shared.publication.wake();
    }

    /// Says what there is to say about an answer.
    fn say(&mut self, told: Told) -> Attempt {
        let name = self.witness.name();
        match told {
            Told::Cosigned(lines) => {
                let (trouble, disagreement) = (self.trouble.take(), self.disagreement.take());
                if trouble.is_some() || disagreement.is_some() {
                    tracing::info!("the witness {name} signs again");
                }
                Attempt::Cosigned(lines)
            }
            Told::Ahead => Attempt::Passed,
            Told::Failed(reason) => {
                if self
                    .trouble
                    .is_none_or(|said| said.elapsed() >= limits::SAY_AGAIN)
                {
                    tracing::warn!("the witness {name} does not sign: {reason}; it is asked again");
                    self.trouble = Some(Instant::now());
                }
                Attempt::Failed
            }
            Told::Disagrees {
                problem,
                size,
                ours,
            } => {
                if self.disagreement.replace(problem) != Some(problem) {
                    tracing::error!(
                        "the witness {name} disagrees: {}",
                        what(problem, size, ours)
                    );
                    (self.shared.record)(Event::WitnessDisagreed {
                        witness: name.to_owned(),
                        problem,
                        size,
                        ours,
                    });
                }
                Attempt::Disagreed
            }
        }
    }
}

/// A thread has ended, also where it panicked or never began.
impl Drop for Worker {
    fn drop(&mut self) {
        *lock(&self.shared.running) -= 1;
        self.shared.ended.notify_all();
    }
}

impl Shared {
    /// Takes down what came of an attempt, in the files, too.
    fn ended(&self, seat: usize, published: &Arc<Published>, attempt: Attempt) {
        if let Some(vitals) = lock(&self.vitals).get_mut(seat) {
            vitals.standing = match attempt {
                Attempt::Cosigned(_) => WitnessStanding::Signs,
                // It has signed a newer one.
                Attempt::Passed => vitals.standing,
                Attempt::Failed => WitnessStanding::Fails,
                Attempt::Disagreed => WitnessStanding::Disagrees,
            };
            if matches!(attempt, Attempt::Cosigned(_)) {
                vitals.signed = published.checkpoint.size;
            }
        }
        let _files = lock(&self.files);
        let lines = lock(&self.round).ended(seat, published, attempt, Instant::now());
        let Some(lines) = lines else {
            return;
        };
        let note = format!("{}{lines}", published.note);
        let judged = self.policy.judge(note.as_bytes());
        let enough = judged.is_ok_and(|judgement| judgement.quorum);
        let kept = self.publication.cosign(published, &lines).and_then(|()| {
            if enough {
                lock(&self.round).has_enough();
                self.publication.keep_witnessed(published, &lines)?;
            }
            Ok(())
        });
        if let Err(error) = kept {
            tracing::warn!("the signatures of witnesses could not be kept: {error}");
        }
    }
}

fn what(problem: Disagreement, size: u64, ours: u64) -> String {
    let done = "Either this data folder was restored from an older copy (restore the newest one), or \
                another gateway has this log's name and key (stop it), or somebody has tampered \
                with the log: keep the data folder, and compare with the witness's own checkpoint";
    match problem {
        Disagreement::Larger => {
            format!("it has signed a tree of {size} records, and there are {ours} here. {done}")
        }
        Disagreement::Inconsistent => format!(
            "the tree of {ours} records here did not grow from the one of {size} that it signed. \
             {done}"
        ),
    }
}
