use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bailiwick_action::Fingerprint;
use bailiwick_run::RunId;
use tokio::sync::oneshot;

use crate::chain::{ChainId, Step};
use crate::digest::Digest;
use crate::error::AppendError;
use crate::tell::Tell;

/// The proof that a record is durable. Only the log makes one, and only after the record's bytes
/// survived an `fdatasync`.
#[derive(Debug)]
pub struct Receipt {
    chain: ChainId,
    seq: u64,
    digest: Digest,
    fingerprint: Option<Fingerprint>,
}

impl Receipt {
    /// For the writer alone, after the sync.
    pub(crate) fn of_durable(step: &Step, fingerprint: Option<Fingerprint>) -> Self {
        Self {
            chain: step.chain,
            seq: step.seq,
            digest: step.digest,
            fingerprint,
        }
    }

    /// The run whose chain the record belongs to; nothing for the gateway's own.
    pub fn run(&self) -> Option<RunId> {
        self.chain.run()
    }

    /// The record's number in its chain.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The record's name: `RUN/SEQ`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.chain, self.seq)
    }

    /// The digest of the record's exact bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// For a `call.decided`: which call was decided about.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }
}

/// The proof that a record has its place in the log and is on its way to the disk. It is not durable:
/// what it is good for is a read, which may run meanwhile, as long as nothing of its result is
/// released before the record is.
#[derive(Debug)]
pub struct Submitted {
    fingerprint: Option<Fingerprint>,
}

impl Submitted {
    /// For a `call.decided`: which call was decided about.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }
}

/// The proof that a record is written: the operating system has it, so it outlives this process,
/// though not the machine. It is durable within 10 ms.
#[derive(Debug)]
pub struct Written {
    _writer: (),
}

impl Written {
    /// For the writer alone, after the write.
    pub(crate) fn of_written() -> Self {
        Self { _writer: () }
    }
}

/// A record on its way to the disk, ready with its proof: a [`Receipt`] when it is durable, or
/// [`Written`] when it is written. Cancel safe.
#[derive(Debug)]
#[must_use = "only the proof says how far the record has come"]
pub struct Pending<P = Receipt> {
    seq: u64,
    submitted: Option<Submitted>,
    state: State<P>,
}

#[derive(Debug)]
enum State<P> {
    Refused(AppendError),
    Waiting(oneshot::Receiver<Result<P, AppendError>>),
}

impl<P> Pending<P> {
    pub(crate) fn waiting(
        seq: u64,
        fingerprint: Option<Fingerprint>,
        receiver: oneshot::Receiver<Result<P, AppendError>>,
    ) -> Self {
        Self {
            seq,
            submitted: Some(Submitted { fingerprint }),
            state: State::Waiting(receiver),
        }
    }

    pub(crate) fn refused(error: AppendError) -> Self {
        Self {
            seq: 0,
            submitted: None,
            state: State::Refused(error),
        }
    }

    /// The record's number in its chain, known before it is durable; zero if it was refused.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The proof that the record is on its way, which can be had once; or why it was refused.
    pub fn submitted(&mut self) -> Result<Submitted, AppendError> {
        match (&self.state, self.submitted.take()) {
            (State::Refused(error), _) => Err(error.clone()),
            (State::Waiting(_), Some(submitted)) => Ok(submitted),
            (State::Waiting(_), None) => {
                let why = "the proof that its record is on its way was used already";
                Err(AppendError::Unrecordable(why.into()))
            }
        }
    }

    /// Waits on this thread. Not for use inside an async runtime.
    pub fn wait(self) -> Result<P, AppendError> {
        match self.state {
            State::Refused(error) => Err(error),
            State::Waiting(receiver) => receiver.blocking_recv().unwrap_or_else(|_| Err(gone())),
        }
    }
}

impl<P> Future for Pending<P> {
    type Output = Result<P, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            State::Refused(error) => Poll::Ready(Err(error.clone())),
            State::Waiting(receiver) => Pin::new(receiver)
                .poll(context)
                .map(|received| received.unwrap_or_else(|_| Err(gone()))),
        }
    }
}

/// Who waits for a record, and for how much.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// Nobody: it becomes durable with what comes next, or soon by itself.
    Nobody,
    /// Until it is written.
    Written(oneshot::Sender<Result<Written, AppendError>>),
    /// Until it is durable.
    Durable(oneshot::Sender<Result<Receipt, AppendError>>),
}

impl Waiter {
    /// It never will be. Whoever asked may have gone.
    pub(crate) fn refuse(self, error: &AppendError) {
        match self {
            Waiter::Nobody => {}
            Waiter::Written(waiter) => drop(waiter.send(Err(error.clone()))),
            Waiter::Durable(waiter) => drop(waiter.send(Err(error.clone()))),
        }
    }

    /// It is written. Whoever waits for more goes on waiting.
    pub(crate) fn written(&mut self) {
        match std::mem::replace(self, Waiter::Nobody) {
            Waiter::Written(waiter) => drop(waiter.send(Ok(Written::of_written()))),
            other => *self = other,
        }
    }

    /// It is durable: what to tell, if somebody waits for that.
    pub(crate) fn durable(self, receipt: impl FnOnce() -> Receipt) -> Option<Tell> {
        match self {
            Waiter::Durable(waiter) => Some(Tell {
                waiter,
                receipt: receipt(),
            }),
            Waiter::Nobody | Waiter::Written(_) => None,
        }
    }

    /// Whether anybody waits.
    pub(crate) fn waits(&self) -> bool {
        !matches!(self, Waiter::Nobody)
    }

    /// Whether it is enough for somebody that it is written.
    pub(crate) fn wants_written(&self) -> bool {
        matches!(self, Waiter::Written(_))
    }

    /// Whether the disk is to be hurried for it.
    pub(crate) fn wants_durable(&self) -> bool {
        matches!(self, Waiter::Durable(waiter) if !waiter.is_closed())
    }
}

fn gone() -> AppendError {
    AppendError::Stopped {
        reason: "the writer of the log has ended".into(),
    }
}
