use super::ViewError;
use crate::api::{Answer, Search};
use crate::index::{Query, SearchError};
use crate::people::{Person, Role};
use crate::registry::Registry;

impl Registry {
    /// Records that are found by their words; by words of payloads only for somebody who may see payloads.
    ///
    /// # Errors
    /// If it cannot be searched so, or the index has no answer.
    pub async fn search(&self, search: Search, who: &Person) -> Result<Answer, ViewError> {
        let query = Query::new(search).map_err(SearchError::from)?;
        let query = match who.may(Role::Auditor) {
            true => query.with_payloads(),
            false => query,
        };
        Ok(self.index().search(query).await?)
    }
}
