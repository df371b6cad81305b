use bailiwick_action::Fingerprint;
use bailiwick_run::{ApprovalId, RunId};

/// That people said yes to one call of one run, under the policies that held it. Whoever keeps the approvals makes
/// it when it is used up, so it cannot be copied.
#[derive(Debug)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// Whose call.
    pub run: RunId,
    /// Exactly which.
    pub fingerprint: Fingerprint,
    /// Under which policies.
    pub policy_digest: String,
}
