use bailiwick_run::Time;
use bytes::Bytes;
use hyper::Method;
use tokio::time::sleep;

use super::{Client, ClientError, encoded};
use crate::api::{Answer, IndexState, Reindexed, Reindexing, Search};
use crate::limits::REINDEX_LOOK;

impl Client {
    /// Records that are found by their words, over all runs.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn search(&self, search: &Search) -> Result<Answer, ClientError> {
        let limit = search.limit.map(|limit| limit.to_string());
        let moment = |time: Option<Time>| time.map(|time| time.to_string());
        let parts = [
            ("words", search.words.clone()),
            ("run", search.run.clone()),
            ("task", search.task.clone()),
            ("launcher", search.launcher.clone()),
            ("target", search.target.clone()),
            ("denied", search.denied.then(|| "true".to_owned())),
            ("since", moment(search.since)),
            ("until", moment(search.until)),
            ("limit", limit),
        ];
        let parts = parts
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", encoded(&value?))));
        let query = parts.collect::<Vec<_>>().join("&");
        self.get(&format!("/v1/search?{query}")).await
    }

    /// How far the index is.
    ///
    /// # Errors
    /// As [`health`](Self::health).
    pub async fn index(&self) -> Result<IndexState, ClientError> {
        self.get("/v1/index").await
    }

    /// Has the index made anew, and waits for it.
    ///
    /// # Errors
    /// As [`health`](Self::health); and if the index cannot be made.
    pub async fn reindex(&self) -> Result<Reindexed, ClientError> {
        let asked: Reindexing = (self.json(Method::POST, "/v1/reindex", Bytes::new())).await?;
        loop {
            sleep(REINDEX_LOOK).await;
            let state = self.index().await?;
            match (state.rebuilt, state.failure) {
                (Some(rebuilt), _) if state.rebuilds >= asked.rebuild => return Ok(rebuilt),
                (_, Some(failure)) => return Err(ClientError::NoIndex(failure)),
                _ => {}
            }
        }
    }
}
