use bailiwick_run::RunId;

use super::{Client, ClientError};
use crate::api::{Incidents, Trail};

impl Client {
    /// What was denied to so many runs at most, the newest first.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn incidents(&self, limit: u32) -> Result<Incidents, ClientError> {
        self.get(&format!("/v1/incidents?limit={limit}")).await
    }

    /// The records of a run after this number, or the gateway's own if there is none, without their payloads: who
    /// sees those is on record, and this leaves none.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn records(&self, run: Option<&RunId>, after: u64) -> Result<Trail, ClientError> {
        let chain = run.map_or("gateway".to_owned(), |run| format!("runs/{run}"));
        self.get(&format!("/v1/{chain}/trail?after={after}&payloads=false"))
            .await
    }
}
