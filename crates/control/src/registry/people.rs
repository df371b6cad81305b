//! What is recorded of people who sign in.

use bailiwick_audit::{AppendError, Draft, Event, Subject};
use bailiwick_run::Launcher;

use super::Registry;
use crate::people::Person;

impl Registry {
    /// Records that somebody has a session from now on.
    ///
    /// # Errors
    /// If it cannot be recorded; then they have none.
    pub(crate) async fn signed_in(&self, person: &Person) -> Result<(), AppendError> {
        self.of_people(Event::PersonSignedIn {
            by: person.name.clone(),
            via: person.via.as_str(),
            // In the order of their names.
            roles: {
                let mut roles: Vec<_> = person.roles.iter().map(|role| role.as_str()).collect();
                roles.sort_unstable();
                roles
            },
        })
        .await
    }

    /// Records that somebody has no session any more, because they said so.
    ///
    /// # Errors
    /// If it cannot be recorded.
    pub(crate) async fn signed_out(&self, by: Launcher) -> Result<(), AppendError> {
        self.of_people(Event::PersonSignedOut { by }).await
    }

    /// Records that somebody gets a link by which they can sign in.
    ///
    /// # Errors
    /// If it cannot be recorded; then they get none.
    pub(crate) async fn link_made(&self, by: Launcher) -> Result<(), AppendError> {
        self.of_people(Event::LinkMade { by }).await
    }

    /// Records that somebody could not sign in.
    ///
    /// # Errors
    /// If it cannot be recorded.
    pub(crate) async fn sign_in_denied(&self, reason: String) -> Result<(), AppendError> {
        self.of_people(Event::LoginDenied {
            target: None,
            reason,
        })
        .await
    }

    /// Has the index made anew, which is on record. Says which rebuild that is
    /// ([`Index::rebuild`](crate::index::Index::rebuild)).
    ///
    /// # Errors
    /// If it cannot be recorded; then the index stays.
    pub(crate) async fn reindex(&self, by: Launcher) -> Result<u64, AppendError> {
        self.of_people(Event::IndexRemade { by }).await?;
        Ok(self.index().rebuild())
    }

    async fn of_people(&self, event: Event) -> Result<(), AppendError> {
        let draft = Draft {
            event,
            subject: Subject::Gateway,
            payload: None,
        };
        self.0.log.append(draft).await.map(drop)
    }
}
