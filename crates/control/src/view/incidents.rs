use bailiwick_run::RunId;

use super::ViewError;
use crate::api::{IncidentQuery, Incidents, RunIncidents, RunState};
use crate::index::ChainIncidents;
use crate::limits::{INCIDENT_RUNS, INCIDENT_RUNS_MAX};
use crate::registry::Registry;

impl Registry {
    /// Runs with calls that were denied, or signals, the one with the newest first.
    ///
    /// # Errors
    /// If the index or the list of runs cannot be read.
    pub async fn incidents(&self, query: IncidentQuery) -> Result<Incidents, ViewError> {
        let limit = query
            .limit
            .unwrap_or(INCIDENT_RUNS)
            .clamp(1, INCIDENT_RUNS_MAX);
        let found = self.index().incidents(query, limit).await?;
        let ids: Vec<RunId> = found.chains.iter().filter_map(ChainIncidents::id).collect();
        let states = self.states(ids).await?;
        let run = |chain: ChainIncidents| {
            let run = chain.id();
            RunIncidents {
                run,
                state: run.and_then(|run| states.get(&run).copied()),
                task: chain.task,
                launcher: chain.launcher,
                denied: chain.denied,
                newest: chain.newest,
            }
        };
        Ok(Incidents {
            runs: found.chains.into_iter().map(run).collect(),
            next: found.next,
            records: found.records,
            unverified: self.all_unverified().await?,
        })
    }

    /// How far these runs are, as far as that is known.
    async fn states(
        &self,
        runs: Vec<RunId>,
    ) -> Result<std::collections::HashMap<RunId, RunState>, ViewError> {
        let summaries = self.summaries(runs).await?;
        Ok(summaries
            .into_iter()
            .map(|summary| (summary.run, summary.state))
            .collect())
    }
}
