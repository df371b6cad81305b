use std::sync::Arc;

use bailiwick_audit::{Draft, Event, Subject};
use bailiwick_policy::Question;
use bailiwick_run::{ApprovalId, Time};

use super::entry::{Entry, Kept};
use super::moment::{Deadline, Moment};
use super::{Approvals, AskError, Asked, notice};
use crate::live::lock;

impl Approvals {
    /// Asks about a call of a run that is live as long as `live` says so. A question that the same call has already
    /// is joined. A new one is on record when this returns.
    pub(crate) async fn ask(
        &self,
        question: Question,
        live: impl Fn() -> bool + Send + 'static,
    ) -> Result<Asked, AskError> {
        // On a task of its own: whoever asks may go away half way through, and people would look in vain for a
        // question that is on record.
        let approvals = self.clone();
        let asked = tokio::spawn(async move { approvals.put(question, live).await });
        // Without an answer only while the runtime ends, and every run with it.
        asked.await.unwrap_or(Err(AskError::NotLive))
    }

    async fn put(&self, question: Question, live: impl Fn() -> bool) -> Result<Asked, AskError> {
        if !live() {
            return Err(AskError::NotLive);
        }
        let pen = lock(&self.0.book).pen(question.run.id);
        let _pen = pen.lock().await;
        // A run that ends has its questions voided by whoever has the pen after that. From here on, that is
        // somebody after us.
        if !live() {
            lock(&self.0.book).abandon(question.run.id);
            return Err(AskError::NotLive);
        }
        let now = Moment::now();
        {
            let book = lock(&self.0.book);
            if let Some(entry) = book.answering(&question, now) {
                return Ok(entry.asked());
            }
            book.room(question.run.id, now)?;
        }
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|_| AskError::Random)?;
        let id = ApprovalId::new(now.wall, random);
        let settings = &self.0.settings;
        let ends = question.run.time_box.expires;
        let expires = Deadline::within(now, settings.decide_within, ends);
        let receipt = self.0.log.append(held(id, expires.wall, &question)).await?;
        let entry: Kept = Arc::new(Entry::new(
            id,
            Entry::without_words(question),
            receipt.seq(),
            now,
            expires,
            settings.use_within,
            Arc::clone(&pen),
        ));
        lock(&self.0.book).add(Arc::clone(&entry));
        self.notify(&entry).await;
        Ok(entry.asked())
    }

    async fn notify(&self, entry: &Entry) {
        let sinks = &self.0.settings.notify;
        if sinks.is_empty() {
            return;
        }
        let notice = notice::of_question(entry);
        // It waits in the console even so, and whoever looks there sees it.
        if let Err(error) = self.0.notices.put(notice, sinks.clone()).await {
            tracing::error!(run = %entry.run(), approval = %entry.id, %error, "nobody is told of a call that waits");
        }
    }
}

fn held(id: ApprovalId, expires: Time, question: &Question) -> Draft {
    Draft {
        event: Event::CallHeld {
            target: question.target.clone(),
            protocol: question.protocol,
            verb: question.verb.clone(),
            actions: question.actions.clone(),
            fingerprint: question.fingerprint,
            approval: id,
            approvers: question.approvers.clone(),
            expires,
            policy_digest: question.policy_digest.clone(),
        },
        subject: Subject::Run(question.run.clone()),
        payload: Some(question.payload.clone()),
    }
}
