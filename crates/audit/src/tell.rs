//! Telling those who wait that their records are durable. To wake somebody is a matter of
//! microseconds and of the scheduler's mood; where more waits to be written, the disk should not
//! stand still for it, and a thread of its own does it.

use std::sync::mpsc::{Receiver, Sender};

use tokio::sync::oneshot;

use crate::error::AppendError;
use crate::receipt::Receipt;

/// What one of those who wait is told. There is a receipt, so it is true.
#[derive(Debug)]
pub(crate) struct Tell {
    pub(crate) waiter: oneshot::Sender<Result<Receipt, AppendError>>,
    pub(crate) receipt: Receipt,
}

impl Tell {
    fn tell(self) {
        // Whoever asked may have gone; the record stays.
        drop(self.waiter.send(Ok(self.receipt)));
    }
}

/// Tells the writer's batches, until the writer has ended.
pub(crate) fn run(batches: &Receiver<Vec<Tell>>) {
    for batch in batches {
        batch.into_iter().for_each(Tell::tell);
    }
}

/// Has it told by the other thread if there is no time, or tells it here, which is sooner.
pub(crate) fn tell(batch: Vec<Tell>, hurry: bool, other: &Sender<Vec<Tell>>) {
    let here = match hurry {
        true => other.send(batch).err().map(|unsent| unsent.0),
        false => Some(batch),
    };
    here.into_iter().flatten().for_each(Tell::tell);
}
