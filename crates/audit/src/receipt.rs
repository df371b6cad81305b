use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bailiwick_action::Fingerprint;
use bailiwick_run::RunId;
use tokio::sync::oneshot;

use crate::chain::{ChainId, Step};
use crate::digest::Digest;
use crate::error::AppendError;

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
        match self.chain {
            ChainId::Gateway => None,
            ChainId::Run(run) => Some(run),
        }
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

/// A record on its way to the disk. Ready when it is durable, or never will be.
#[derive(Debug)]
#[must_use = "only the receipt says that the record is durable"]
pub struct Pending {
    seq: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Refused(AppendError),
    Waiting(oneshot::Receiver<Result<Receipt, AppendError>>),
}

impl Pending {
    pub(crate) fn waiting(
        seq: u64,
        receiver: oneshot::Receiver<Result<Receipt, AppendError>>,
    ) -> Self {
        Self {
            seq,
            state: State::Waiting(receiver),
        }
    }

    pub(crate) fn refused(error: AppendError) -> Self {
        Self {
            seq: 0,
            state: State::Refused(error),
        }
    }

    /// The record's number in its chain, known before it is durable; zero if it was refused.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Waits on this thread. Not for use inside an async runtime.
    pub fn wait(self) -> Result<Receipt, AppendError> {
        match self.state {
            State::Refused(error) => Err(error),
            State::Waiting(receiver) => receiver.blocking_recv().unwrap_or_else(|_| Err(gone())),
        }
    }
}

impl Future for Pending {
    type Output = Result<Receipt, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            State::Refused(error) => Poll::Ready(Err(error.clone())),
            State::Waiting(receiver) => Pin::new(receiver)
                .poll(context)
                .map(|received| received.unwrap_or_else(|_| Err(gone()))),
        }
    }
}

fn gone() -> AppendError {
    AppendError::Stopped {
        reason: "the writer of the log has ended".into(),
    }
}
