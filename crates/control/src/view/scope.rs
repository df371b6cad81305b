use std::collections::BTreeMap;

use bailiwick_run::RunId;

use super::ViewError;
use crate::api::{RunScope, Words};
use crate::registry::Registry;

impl Registry {
    /// What a run might do, and what it did of it; nothing if there never was one of this id, or its task is gone.
    ///
    /// # Errors
    /// If the index, the list of runs or the record cannot be read.
    pub async fn run_scope(&self, id: &RunId) -> Result<Option<RunScope>, ViewError> {
        let Some(summary) = self.summary(id).await? else {
            return Ok(None);
        };
        let did = self.index().chain_counts(*id).await?;
        let engine = self.engine();
        let live = self.find(id);
        let scope = live.map(|live| live.scope.borrow().clone());
        let task = match &scope {
            Some(scope) => Some(scope.task()),
            None => engine.task(&summary.task),
        };
        let words = match &scope {
            Some(scope) => scope.describe(),
            None => engine.describe(&summary.task).unwrap_or_default(),
        };
        let mut used: BTreeMap<String, u64> = BTreeMap::new();
        for entry in task.into_iter().flat_map(|task| task.entries()) {
            used.insert(entry, 0);
        }
        for (policy, calls) in did.used {
            let entry = task.and_then(|task| task.entry_of(&policy));
            *used.entry(entry.unwrap_or(policy)).or_default() += calls;
        }
        let changed = self.opened_with(id).await?.as_deref() != engine.scope_digest(&summary.task);
        Ok(Some(RunScope {
            run: summary.run,
            launcher: summary.launcher,
            words: words.iter().map(Words::from).collect(),
            changed,
            used,
            masked: did.masked,
        }))
    }
}
