use bailiwick_policy::Question;
use bailiwick_run::{ApprovalId, RunId};

use super::Registry;
use crate::api::{AgentWords, Approval, Counts, WhichApprovals};
use crate::approvals::{AskError, Asked, Moment, RuleError};
use crate::live::lock;
use crate::people::{Person, Role};
use crate::view::{Chain, ViewError};

/// Why somebody is not shown what the agent wrote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WordsError {
    /// There is no such question, or they may not answer it either.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// It cannot be recorded that they saw it, or the record cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
}

impl Registry {
    /// Asks people about a call of a live run. The same call is one question however often it is made. A new one is
    /// on record when this returns.
    ///
    /// # Errors
    /// If the run may not act, it or all runs together ask too much, or it cannot be recorded.
    pub async fn ask(&self, question: Question) -> Result<Asked, AskError> {
        let (registry, run) = (self.clone(), question.run.id);
        let live = move || registry.find(&run).is_some();
        self.0.approvals.ask(question, live).await
    }

    /// Uses an approval up, if the run may act and its time is not over: once, by whoever is first.
    pub fn take(&self, id: &ApprovalId) -> Option<bailiwick_policy::Approval> {
        let live = |run: &RunId| self.find(run).is_some();
        self.0.approvals.take(id, Moment::now(), live)
    }

    /// The agent has taken its call back: unless another waits for the same question, nothing can become of it any
    /// more. That is on record soon after.
    pub fn withdraw(&self, id: ApprovalId) {
        let registry = self.clone();
        tokio::spawn(async move { registry.0.approvals.withdraw(&id, Moment::now()).await });
    }

    /// Approvals: those that can be decided, the one with the least time left first; then, if wanted, the others
    /// that are still remembered, the newest first.
    pub fn approvals(&self, which: WhichApprovals) -> Vec<Approval> {
        let counts = |run: &RunId| self.counts(run);
        self.0.approvals.list(which, Moment::now(), counts)
    }

    /// One of them.
    pub fn approval(&self, id: &ApprovalId) -> Option<Approval> {
        let counts = |run: &RunId| self.counts(run);
        self.0.approvals.show(id, Moment::now(), counts)
    }

    /// Says yes to a call, for all that this person may speak for. It can be made, once, when everybody who is asked
    /// has said so, and that is durable when this returns. The note is remembered; the agent does not see it.
    ///
    /// # Errors
    /// If there is no such question or it is over, they may not say yes to it, or it cannot be recorded.
    pub async fn approve(
        &self,
        id: &ApprovalId,
        who: &Person,
        note: Option<String>,
    ) -> Result<Approval, RuleError> {
        let registry = self.clone();
        let live = move |run: &RunId| registry.find(run).is_some();
        let approvals = &self.0.approvals;
        let said = approvals.approve(id, who.clone(), note, live).await;
        let run = said.inspect_err(|error| refused(id, who, error))?;
        tracing::info!(%run, approval = %id, by = %who.name, "somebody said yes to a call");
        self.approval(id).ok_or(RuleError::NoSuch(*id))
    }

    /// Says no to a call. That is durable when this returns, and then the agent is told why.
    ///
    /// # Errors
    /// As [`approve`](Self::approve).
    pub async fn deny(
        &self,
        id: &ApprovalId,
        who: &Person,
        reason: &str,
    ) -> Result<Approval, RuleError> {
        let said = self.0.approvals.deny(id, who.clone(), reason).await;
        let run = said.inspect_err(|error| refused(id, who, error))?;
        tracing::info!(%run, approval = %id, by = %who.name, "somebody said no to a call");
        self.approval(id).ok_or(RuleError::NoSuch(*id))
    }

    /// What the agent wrote, for whoever is asked, or may see payloads anyway. That they saw it is durable when this
    /// returns.
    ///
    /// # Errors
    /// If there is no such question, it is not for them, or it cannot be read or recorded.
    pub async fn agent_words(
        &self,
        id: &ApprovalId,
        who: &Person,
    ) -> Result<AgentWords, WordsError> {
        let held = self.0.approvals.held(id)?;
        if !who.may(Role::Auditor) {
            held.is_for(who)?;
        }
        let record = held.record();
        let shown = self
            .record(Chain::Run(held.run), held.seq, Some(who))
            .await?;
        let (payload, payload_missing) = match shown {
            Some(shown) => (shown.payload, shown.payload_missing),
            None => (None, Some("its record was removed".to_owned())),
        };
        Ok(AgentWords {
            record,
            payload,
            payload_missing,
        })
    }

    /// A run may not act for now: what it asked lapses, and that is on record when this returns. For whoever has
    /// seen to it that the run is not found any more.
    pub(crate) async fn void_questions(&self, run: RunId) {
        self.0.approvals.void(run, Moment::now()).await;
    }

    /// What a run that has not ended did so far.
    fn counts(&self, run: &RunId) -> Counts {
        let slots = lock(&self.0.slots);
        slots
            .runs
            .get(run)
            .map_or_else(Counts::default, |slot| slot.counts())
    }
}

/// Whoever tries to decide what is not theirs may be more than mistaken.
fn refused(id: &ApprovalId, who: &Person, error: &RuleError) {
    if matches!(error, RuleError::NotTheirs(_)) {
        tracing::warn!(approval = %id, by = %who.name, via = who.via.as_str(), %error, "somebody may not decide this");
    }
}
