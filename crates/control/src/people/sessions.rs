//! Sessions of people at the console. They are in memory alone: a restart ends them all.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use super::Person;
use super::secret::{Hashed, fresh};
use crate::limits::{
    SESSION_IDLE_TIME_MAX, SESSION_TIME_MAX, SESSIONS_MAX, SESSIONS_PER_PERSON_MAX,
};
use crate::live::lock;

/// Everybody who is signed in.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<HashMap<Hashed, Slot>>);

struct Slot {
    person: Person,
    csrf: String,
    began: Instant,
    seen: Instant,
}

/// A session that a request belongs to.
#[derive(Clone)]
pub(crate) struct Session {
    /// Which it is.
    pub(crate) id: Hashed,
    /// Whose.
    pub(crate) person: Person,
    /// What every form of it carries.
    pub(crate) csrf: String,
}

/// Why nobody can sign in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// There are too many.
    #[error("there are too many sessions; sign out of some, or wait until they end")]
    TooMany,
    /// There is nothing to make one of.
    #[error("the system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

impl Sessions {
    /// A new session: what the browser keeps to come back to it. Whoever has too many loses the one that was
    /// used the longest ago.
    pub(crate) fn open(&self, person: Person, now: Instant) -> Result<String, SessionError> {
        let (token, csrf) = (fresh("bws_")?, fresh("")?);
        let mut sessions = lock(&self.0);
        sessions.retain(|_, slot| slot.lives(now));
        let theirs = sessions
            .iter()
            .filter(|(_, slot)| slot.person.name == person.name);
        if theirs.clone().count() >= SESSIONS_PER_PERSON_MAX
            && let Some(oldest) = theirs.min_by_key(|(_, slot)| slot.seen).map(|(id, _)| *id)
        {
            sessions.remove(&oldest);
        }
        if sessions.len() >= SESSIONS_MAX {
            return Err(SessionError::TooMany);
        }
        let slot = Slot {
            person,
            csrf,
            began: now,
            seen: now,
        };
        sessions.insert(Hashed::of(&token), slot);
        Ok(token)
    }

    /// The session of this token, which is used now.
    pub(crate) fn find(&self, token: &str, now: Instant) -> Option<Session> {
        let id = Hashed::of(token);
        let mut sessions = lock(&self.0);
        let slot = sessions.get_mut(&id)?;
        if !slot.lives(now) {
            sessions.remove(&id);
            return None;
        }
        slot.seen = now;
        Some(Session {
            id,
            person: slot.person.clone(),
            csrf: slot.csrf.clone(),
        })
    }

    /// Whether it has not ended; looking does not make it last.
    pub(crate) fn lives(&self, id: &Hashed, now: Instant) -> bool {
        lock(&self.0).get(id).is_some_and(|slot| slot.lives(now))
    }

    /// Ends it. Whether it had not ended before.
    pub(crate) fn close(&self, id: &Hashed) -> bool {
        lock(&self.0).remove(id).is_some()
    }
}

impl Slot {
    fn lives(&self, now: Instant) -> bool {
        now.duration_since(self.began) < SESSION_TIME_MAX
            && now.duration_since(self.seen) < SESSION_IDLE_TIME_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::people::Via;

    fn person(name: &str) -> Person {
        Person {
            name: format!("human:{name}@localhost").parse().unwrap(),
            also: BTreeSet::new(),
            roles: BTreeSet::new(),
            groups: BTreeSet::new(),
            via: Via::Local,
        }
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_at_its_end_and_when_told() {
        let sessions = Sessions::default();
        let began = Instant::now();
        let almost = SESSION_IDLE_TIME_MAX - Duration::from_secs(1);
        let token = sessions.open(person("alice"), began).unwrap();
        assert!(sessions.find("bws_", began).is_none());
        let found = sessions.find(&token, began + almost).unwrap();
        assert_eq!(found.person, person("alice"));
        // Looking whether it lives is not use.
        assert!(sessions.lives(&found.id, began + almost + almost));
        assert!(
            sessions
                .find(&token, began + almost + SESSION_IDLE_TIME_MAX)
                .is_none()
        );
        assert!(
            sessions.find(&token, began + almost).is_none(),
            "an end is an end"
        );

        let token = sessions.open(person("alice"), began).unwrap();
        let mut now = began;
        while now + almost < began + SESSION_TIME_MAX {
            now += almost;
            assert!(sessions.find(&token, now).is_some());
        }
        assert!(sessions.find(&token, began + SESSION_TIME_MAX).is_none());

        let token = sessions.open(person("alice"), began).unwrap();
        let id = sessions.find(&token, began).unwrap().id;
        sessions.close(&id);
        assert!(sessions.find(&token, began).is_none());
    }

    #[test]
    fn nobody_can_fill_it_alone() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let bob = sessions.open(person("bob"), now).unwrap();
        let first = sessions.open(person("alice"), now).unwrap();
        for number in 1..=SESSIONS_PER_PERSON_MAX {
            let now = now + Duration::from_millis(number as u64);
            sessions.open(person("alice"), now).unwrap();
        }
        assert!(sessions.find(&first, now).is_none());
        assert!(sessions.find(&bob, now).is_some());
        let tokens: BTreeSet<_> = (0..SESSIONS_MAX)
            .map_while(|number| sessions.open(person(&number.to_string()), now).ok())
            .collect();
        assert_eq!(tokens.len(), SESSIONS_MAX - SESSIONS_PER_PERSON_MAX - 1);
    }
}
