use bailiwick_run::ApprovalId;
use bytes::Bytes;
use hyper::Method;

use super::{Client, ClientError, body};
use crate::api::{AgentWords, Approval, Approvals, ApproveRequest, DenyRequest, WhichApprovals};

impl Client {
    /// Calls that wait for a yes, the one with the least time left first; then, if wanted, those that were decided.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn approvals(&self, which: WhichApprovals) -> Result<Vec<Approval>, ClientError> {
        let state = match which {
            WhichApprovals::Open => "open",
            WhichApprovals::All => "all",
        };
        let path = format!("/v1/approvals?state={state}");
        Ok(self.get::<Approvals>(&path).await?.approvals)
    }

    /// One of them.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn approval(&self, id: &ApprovalId) -> Result<Approval, ClientError> {
        self.get(&format!("/v1/approvals/{id}")).await
    }

    /// What the agent wrote. That it was looked at is recorded.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn agent_words(&self, id: &ApprovalId) -> Result<AgentWords, ClientError> {
        self.get(&format!("/v1/approvals/{id}/words")).await
    }

    /// Says yes to one.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn approve(
        &self,
        id: &ApprovalId,
        request: &ApproveRequest,
    ) -> Result<Approval, ClientError> {
        self.decide(id, "approve", body(request)).await
    }

    /// Says no to one.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn deny(
        &self,
        id: &ApprovalId,
        request: &DenyRequest,
    ) -> Result<Approval, ClientError> {
        self.decide(id, "deny", body(request)).await
    }

    async fn decide(
        &self,
        id: &ApprovalId,
        how: &str,
        request: Bytes,
    ) -> Result<Approval, ClientError> {
        let path = format!("/v1/approvals/{id}/{how}");
        self.json(Method::POST, &path, request).await
    }
}
