use bailiwick_audit::{Draft, Event, Subject};

use super::ViewError;
use crate::api::{Answer, Search};
use crate::index::{Query, SearchError};
use crate::people::{Person, Role};
use crate::registry::Registry;

impl Registry {
    /// Records that are found by their words; by words of payloads only for somebody who may see payloads, and that
    /// they look for them is on record before.
    ///
    /// # Errors
    /// If it cannot be searched so or recorded, or the index has no answer.
    pub async fn search(&self, search: Search, who: &Person) -> Result<Answer, ViewError> {
        let query = Query::new(search.clone()).map_err(SearchError::from)?;
        let in_payloads = self.searches_payloads(who);
        if in_payloads && query.has_words() {
            let searched = Draft {
                event: Event::PayloadsSearched {
                    by: who.name.clone(),
                },
                subject: Subject::Gateway,
                // They may be the very values that are kept out of records.
                payload: serde_json::to_vec(&search).ok(),
            };
            self.log().append(searched).await?;
        }
        let query = match in_payloads {
            true => query.with_payloads(),
            false => query,
        };
        Ok(self.index().search(query).await?)
    }

    /// Whether what somebody looks for is looked for in payloads, too.
    pub(crate) fn searches_payloads(&self, who: &Person) -> bool {
        self.has_words_of_payloads() && who.may(Role::Auditor)
    }
}
