use bailiwick_run::RunId;

use super::ViewError;
use crate::api::{RunList, RunQuery, RunState, Summary, Which};
use crate::limits::{RUNS_LISTED, RUNS_LISTED_MAX, SEARCH_WORDS_BYTES_MAX, SEARCH_WORDS_MAX};
use crate::registry::Registry;
use crate::store::Listing;

impl Registry {
    /// Runs, the newest first.
    ///
    /// # Errors
    /// If the words are too many, or the list of runs cannot be read.
    pub async fn runs(&self, query: RunQuery) -> Result<RunList, ViewError> {
        let which = query.state;
        let limit = query.limit.unwrap_or(RUNS_LISTED).clamp(1, RUNS_LISTED_MAX);
        let list = Listing {
            which,
            words: words(query.words.as_deref().unwrap_or_default())?,
            task: query.task,
            launcher: query.launcher,
            before: query.before,
            limit: limit.saturating_add(1),
        };
        let stored = self.store().list(list).await?;
        let page = stored.iter().take(limit as usize);
        let next = page.clone().next_back().map(|last| last.run.id);
        let next = next.filter(|_| stored.len() > limit as usize);
        let runs = page.map(|stored| self.current(stored.summary()));
        let runs = runs.filter(|summary| match which {
            Which::All => true,
            // One may have ended since.
            Which::Open => summary.state != RunState::Ended,
            Which::Ended => summary.state == RunState::Ended,
        });
        Ok(RunList {
            runs: runs.collect(),
            next,
        })
    }

    /// These runs at a glance, so far as they are in the list.
    pub(super) async fn summaries(&self, ids: Vec<RunId>) -> Result<Vec<Summary>, ViewError> {
        let stored = self.store().find_all(ids).await?;
        let summaries = stored.iter().map(|stored| self.current(stored.summary()));
        Ok(summaries.collect())
    }

    /// As the run is now, where it has not ended.
    fn current(&self, stored: Summary) -> Summary {
        match self.slot(&stored.run) {
            Some(slot) => slot.summary(),
            None => stored,
        }
    }
}

fn words(text: &str) -> Result<Vec<String>, ViewError> {
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    if text.len() > SEARCH_WORDS_BYTES_MAX || words.len() > SEARCH_WORDS_MAX {
        return Err(ViewError::Query(format!(
            "at most {SEARCH_WORDS_MAX} words and {SEARCH_WORDS_BYTES_MAX} bytes are looked for"
        )));
    }
    Ok(words)
}
