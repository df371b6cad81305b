use bailiwick_audit::{AppendError, Draft, Event, Ruling, Subject};
use bailiwick_run::{ApprovalId, Launcher, RunId, Time};

use super::Approvals;
use super::entry::Entry;
use super::moment::Moment;
use crate::live::lock;

impl Approvals {
    /// Ends what nobody decided, or nobody made use of, in time.
    pub(crate) async fn lapse_due(&self, now: Moment) {
        let due = {
            let book = lock(&self.0.book);
            if book.is_empty() {
                return;
            }
            book.due(now)
        };
        for entry in due {
            let _pen = entry.pen.lock().await;
            // Whoever had the pen before may have decided in time.
            if entry.is_due(now) {
                self.lapse(&entry, now.wall).await;
            }
        }
    }

    /// A run may not act any more, or not now: none of its calls that wait, or were approved and not made, can be
    /// made. That is on record when this returns.
    pub(crate) async fn void(&self, run: RunId, now: Moment) {
        let Some(pen) = lock(&self.0.book).pen_of_asker(run) else {
            return;
        };
        let _pen = pen.lock().await;
        let pending = lock(&self.0.book).pending(run);
        for entry in pending {
            self.lapse(&entry, now.wall).await;
        }
    }

    /// The same at a run's end: nothing is asked for it any more.
    pub(crate) async fn close(&self, run: RunId, now: Moment) {
        self.void(run, now).await;
        lock(&self.0.book).close(run);
    }

    /// A call was taken back. It ends its question, if that is not another's too.
    pub(crate) async fn withdraw(&self, id: &ApprovalId, now: Moment) {
        let Some(entry) = self.find(id) else {
            return;
        };
        let _pen = entry.pen.lock().await;
        if !entry.is_waited_for() {
            self.lapse(&entry, now.wall).await;
        }
    }

    /// For whoever has the pen.
    async fn lapse(&self, entry: &Entry, at: Time) {
        if !entry.lapse(at) {
            return;
        }
        let draft = decided(entry, Ruling::Lapse, None, None, None);
        match self.0.log.append(draft).await {
            // Tried again when it is next looked for.
            Err(error @ (AppendError::DiskFull | AppendError::Behind)) => {
                tracing::error!(run = %entry.run(), approval = %entry.id, %error, "that an approval lapsed has to wait");
            }
            Err(error) => {
                tracing::error!(run = %entry.run(), approval = %entry.id, %error, "that an approval lapsed is not recorded");
                entry.told();
            }
            Ok(_) => entry.told(),
        }
        entry.dismiss();
    }
}

/// What became of a question, as it is recorded.
pub(super) fn decided(
    entry: &Entry,
    ruling: Ruling,
    by: Option<Launcher>,
    expires: Option<Time>,
    payload: Option<Vec<u8>>,
) -> Draft {
    Draft {
        event: Event::ApprovalDecided {
            approval: entry.id,
            of: entry.held,
            ruling,
            by,
            expires,
        },
        subject: Subject::Run(entry.question.run.clone()),
        payload,
    }
}
