use std::collections::BTreeSet;

use bailiwick_action::{Class, Fingerprint, Held, Stage};
use bailiwick_run::RunId;

use crate::approval::Approval;
use crate::scope::{Allow, Scope};

/// The proof that all of a call is allowed but for the approvals of its grants. Only
/// [`Scope::decide`](crate::Scope::decide) makes one. It becomes an [`Allow`] by [`approved`](Self::approved);
/// where nothing of the call is run yet, by [`prepared`](Self::prepared).
#[derive(Debug)]
pub struct Hold {
    allow: Allow,
    approvers: BTreeSet<String>,
    run: RunId,
    target: String,
    policy_digest: String,
}

/// An approval that is not for the call that it was presented for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    /// It is another run's.
    #[error("the approval is for another run")]
    OtherRun,
    /// It is for a call to another target.
    #[error("the approval is for another target")]
    OtherTarget,
    /// Something else was sent when it was asked for.
    #[error("the approval is for another call")]
    OtherCall,
    /// Other policies held the call that it is for, or they are not in force any more.
    #[error("the approval was given under other policies")]
    OtherPolicies,
}

impl Hold {
    pub(crate) fn new(
        allow: Allow,
        approvers: BTreeSet<String>,
        run: RunId,
        target: String,
        policy_digest: String,
    ) -> Self {
        Self {
            allow,
            approvers,
            run,
            target,
            policy_digest,
        }
    }

    /// Who has to say yes, each of them: the approvers of all grants concerned.
    pub fn approvers(&self) -> &BTreeSet<String> {
        &self.approvers
    }

    /// The policies that permit it once it is approved.
    pub fn policies(&self) -> &[String] {
        self.allow.policies()
    }

    /// The heaviest class among the call's actions.
    pub fn class(&self) -> Class {
        self.allow.class()
    }

    /// The allow of a call that runs nothing: what it prepares is held when it is to run.
    ///
    /// # Errors
    /// If the call runs something; then it is held as it was.
    pub fn prepared(self, held: &Held) -> Result<Allow, Box<Self>> {
        match held.stage {
            Stage::Prepares => Ok(self.allow),
            Stage::Waits | Stage::Retries | Stage::Unfinished(_) => Err(Box::new(self)),
        }
    }

    /// The allow that an approval makes of it; the approval is used up. `asked` is what the question names,
    /// made from the call as it is now ([`Fingerprint::of_question`]), and `scope` the run's as it is now: it may
    /// have come under other guardrails while people were asked.
    ///
    /// # Errors
    /// If the approval is not for this call of this run under these policies.
    pub fn approved(
        self,
        approval: Approval,
        asked: Fingerprint,
        scope: &Scope,
    ) -> Result<Allow, NotApproved> {
        if approval.run != self.run {
            return Err(NotApproved::OtherRun);
        }
        if approval.target != self.target {
            return Err(NotApproved::OtherTarget);
        }
        if approval.fingerprint != asked {
            return Err(NotApproved::OtherCall);
        }
        if approval.policy_digest != self.policy_digest || scope.digest() != self.policy_digest {
            return Err(NotApproved::OtherPolicies);
        }
        Ok(self.allow.approved_by(approval.id))
    }
}
